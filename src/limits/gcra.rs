//! Even spacing of calls.

use std::time::Duration;

/// The generic cell rate algorithm (ITU-T I.371): admits calls one interval apart. A commit or the scheduler may delay a
/// call; later calls catch up by at most the tolerance.
#[derive(Debug, Clone)]
pub(super) struct Gcra {
    /// Time from one unit to the next.
    pub(super) interval: Duration,
    tolerance: Duration,
    /// Theoretical arrival time of the next call.
    pub(super) next: Duration,
    /// Time that settled calls have given back and that no later call has used.
    credit: Duration,
}

impl Gcra {
    /// Delay for which later calls catch up: longer than a commit.
    const CATCH_UP: Duration = Duration::from_millis(20);
    /// Fraction by which calls are slower than the rate. At exactly a service's limit, catching up and network jitter would
    /// sometimes put an extra call into a window. Each refusal costs a pause.
    const MARGIN: f64 = 0.01;

    /// Creates a limiter of this rate, in units per second. The first `burst` calls may go in a row.
    pub(super) fn new(per_second: f64, burst: u64) -> Self {
        let interval = seconds((1.0 + Self::MARGIN) / per_second);
        let more = u32::try_from(burst.saturating_sub(1)).unwrap_or(u32::MAX);
        Self {
            interval,
            tolerance: interval.saturating_mul(more) + Self::CATCH_UP,
            next: Duration::ZERO,
            credit: Duration::ZERO,
        }
    }

    /// Returns the earliest moment of the next call.
    pub(super) fn ready_at(&self) -> Duration {
        self.next
            .saturating_sub(self.tolerance.saturating_sub(Self::CATCH_UP))
    }

    /// Resumes after a call made at `at`, regardless of earlier ones.
    pub(super) fn resume(&mut self, at: Duration, amount: u64) {
        self.next = at.saturating_add(self.time_of(amount));
    }

    pub(super) fn time_of(&self, amount: u64) -> Duration {
        seconds(self.interval.as_secs_f64() * amount as f64)
    }

    /// Charges a call made at `now`.
    pub(super) fn charge(&mut self, now: Duration, amount: u64) {
        let late = now.saturating_sub(Self::CATCH_UP);
        let from = self.next.max(late.saturating_sub(self.credit));
        self.next = from.saturating_add(self.time_of(amount));
        self.credit = late.saturating_sub(self.next);
    }

    /// Replaces the charge of a call by what it has taken until `now`: more is a debt, less gives room back.
    pub(super) fn settle(&mut self, charged: u64, actual: u64, now: Duration) {
        if let Some(more) = actual.checked_sub(charged) {
            self.charge(now, more);
        } else {
            let back = self.time_of(charged - actual);
            self.next = self.next.saturating_sub(back);
            self.credit = self.credit.saturating_add(back);
        }
    }
}

/// Converts seconds to a duration, clamped to its range.
pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}
