//! Estimates a service's rate limit from the rates that it accepted and refused. Rates are in calls per second, times in
//! seconds.

/// A rate without a limit.
pub(super) const UNLIMITED: f64 = f64::INFINITY;
/// Slowest rate: one call in ten minutes.
pub(super) const SLOWEST: f64 = 1.0 / 600.0;
/// Time at the limit before a higher rate is tried, at first and at most.
pub(super) const HOLD: f64 = 1.5;
pub(super) const LONGEST_HOLD: f64 = 30.0;
/// First step from the accepted towards the refused rate, its increase after a success, and its bounds. Steps are fractions
/// of the way on a logarithmic scale.
const STEP: f64 = 0.35;
const STEP_INCREASE: f64 = 0.05;
const STEP_BOUNDS: (f64, f64) = (0.05, 0.9);
/// Rate to keep, as a fraction of the estimate: even calls just below the limit are never refused.
const BELOW_ESTIMATE: f64 = 0.98;

/// The estimated limit.
#[derive(Debug)]
pub(super) struct Estimate {
    pub(super) limit: f64,
    /// Highest rate that was accepted for long.
    sustained: f64,
    /// Time at the limit before a higher rate is tried.
    pub(super) hold: f64,
    step: f64,
    /// The present limit was found by trying a higher rate.
    raised: bool,
}

/// A period of calls that ends with a refusal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Period {
    pub(super) length: f64,
    /// Time in it for which the gate was closed longer than the service needed.
    pub(super) late: f64,
    /// Number of accepted calls.
    pub(super) accepted: f64,
    /// Rate of the calls before the refusal.
    pub(super) refused_rate: f64,
}

impl Estimate {
    pub(super) fn new(limit: f64) -> Self {
        Self {
            limit,
            sustained: 0.0,
            hold: HOLD,
            step: STEP,
            raised: false,
        }
    }

    /// Sets a limit that held for this time with an open gate.
    pub(super) fn set(&mut self, limit: f64, time: f64) {
        (self.limit, self.sustained) = (limit, limit);
        self.hold = time.max(HOLD);
    }

    /// Doubles the hold time after a confirmed limit.
    pub(super) fn hold_longer(&mut self) {
        self.hold = (2.0 * self.hold).min(LONGEST_HOLD);
    }

    /// Estimates the limit anew. `raising`: a rate above the present limit was tried.
    pub(super) fn update(&mut self, period: Period, raising: bool) {
        let length = period.length.max(1e-3);
        let (accepted, refused) = (period.accepted, period.refused_rate);
        let low = accepted / length;
        let is_long = length >= 10.0 * period.late;
        let base = if raising {
            low.max(self.limit)
        } else if !is_long && self.sustained > 0.0 && self.sustained < refused {
            self.sustained
        } else {
            low
        };
        if self.raised {
            self.step = if raising {
                (self.step + STEP_INCREASE).min(STEP_BOUNDS.1)
            } else {
                (self.step / 2.0).max(STEP_BOUNDS.0)
            };
        }
        self.raised = raising;
        let limit = if raising {
            base * (refused / base).max(1.0).powf(self.step)
        } else {
            let without_lateness = accepted / (length - period.late).max(1e-3);
            (base * refused)
                .sqrt()
                .min(without_lateness)
                .max(base.min(refused))
        };
        let limit = (BELOW_ESTIMATE * limit).max(SLOWEST);
        self.sustained = if raising || is_long {
            base
        } else {
            base.min(refused)
        };
        let change = limit / self.limit;
        if !(0.75..1.35).contains(&change) {
            self.hold = HOLD;
        } else if raising && (0.9..1.12).contains(&change) {
            self.hold_longer();
        }
        if change < 0.75 {
            self.step = STEP;
        }
        self.limit = limit;
    }

    /// Sets the limit to the rate of a period that ends with a window of the service.
    pub(super) fn set_from_window(&mut self, period: Period) {
        let limit = period.accepted / (period.length - period.late).max(1e-3);
        self.hold = HOLD;
        self.limit = (BELOW_ESTIMATE * limit).max(SLOWEST);
        (self.sustained, self.raised) = (self.limit, false);
    }
}

/// Measures the rate of the calls of the last half to whole second.
#[derive(Debug, Default)]
pub(super) struct RateMeter {
    /// Start of the present interval; 0 before the first call.
    from: f64,
    /// Calls in it.
    calls: f64,
    /// Calls in the interval before.
    before: Option<f64>,
}

impl RateMeter {
    const INTERVAL: f64 = 0.5;

    /// Counts a call at `now`.
    pub(super) fn count(&mut self, now: f64) {
        if self.from == 0.0 {
            self.from = now;
        }
        let passed = now - self.from;
        if passed >= Self::INTERVAL {
            let recent = passed < 2.0 * Self::INTERVAL;
            self.before = Some(if recent { self.calls } else { 0.0 });
            (self.from, self.calls) = (now, 0.0);
        }
        self.calls += 1.0;
    }

    /// Returns the rate at `now`. The gate was opened at `opened`.
    pub(super) fn rate(&self, now: f64, opened: f64) -> f64 {
        let from = if self.from == 0.0 { opened } else { self.from };
        let before = self.before.map_or(0.0, |_| Self::INTERVAL);
        (self.calls + self.before.unwrap_or(0.0)) / (now - from + before).max(0.005)
    }
}
