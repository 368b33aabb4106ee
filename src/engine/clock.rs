//! The clock of a run.

use std::time::Duration;

/// Returns the time since boot, including sleep. Unlike the time of day it cannot be set; unlike `Instant` it advances
/// while a laptop sleeps, as the service's clock does.
#[cfg(target_os = "linux")]
pub(super) fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(
        time.tv_sec.try_into().unwrap_or(0),
        time.tv_nsec.try_into().unwrap_or(0),
    )
}

/// Returns the time since a moment before the run.
#[cfg(not(target_os = "linux"))]
pub(super) fn now() -> Duration {
    use std::sync::OnceLock;
    use std::time::Instant;

    static BEGAN: OnceLock<Instant> = OnceLock::new();
    // The clock starts at one day, so that usage from before the run has a time, too.
    const DAY: Duration = Duration::from_secs(86_400);
    DAY + BEGAN.get_or_init(Instant::now).elapsed()
}
