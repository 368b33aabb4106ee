//! The clock of a run.

use std::time::Duration;

/// Time since this machine was started, sleep included: unlike the time of day nobody can put it back or
/// forward, and unlike the clock of `Instant` it goes on while a laptop is closed, as the service's does.
#[cfg(target_os = "linux")]
pub(super) fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(
        time.tv_sec.try_into().unwrap_or(0),
        time.tv_nsec.try_into().unwrap_or(0),
    )
}

/// Time since some moment before the run.
#[cfg(not(target_os = "linux"))]
pub(super) fn now() -> Duration {
    use std::sync::OnceLock;
    use std::time::Instant;

    static BEGAN: OnceLock<Instant> = OnceLock::new();
    // What was spent before the run has to lie before it.
    const DAY: Duration = Duration::from_secs(86_400);
    DAY + BEGAN.get_or_init(Instant::now).elapsed()
}
