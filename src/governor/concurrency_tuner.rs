//! Finds the concurrency that raises throughput, for `-j auto`.
//!
//! Hill climbing: it adds slots while they raise throughput, and steps back and pauses if calls only take longer. Latency
//! is not a measure, because it differs with the size of the files.

use std::time::Duration;

use crate::limits::seconds;

#[derive(Debug)]
pub(super) struct ConcurrencyTuner {
    concurrency: usize,
    most: usize,
    /// Concurrency before the last step up, and its throughput.
    before: Option<(usize, f64)>,
    /// The concurrency has delayed a call since the last adjustment.
    limiting: bool,
    /// Moment of the last adjustment.
    adjusted: Duration,
    /// End of the pause after a step back.
    paused_until: Duration,
    /// Completed calls since the last adjustment.
    calls: u64,
    /// Completed calls that the service refused or failed.
    failures: u64,
    /// Sum of the durations of completed calls.
    latency: Duration,
    /// Double the concurrency in each step. Ends with the first step back.
    doubling: bool,
}

impl ConcurrencyTuner {
    const FIRST: usize = 4;
    /// Shortest time between adjustments.
    const INTERVAL: Duration = Duration::from_secs(1);
    /// Pause after a step back.
    const PAUSE: Duration = Duration::from_secs(20);
    /// Least gain of a step, as a fraction of the gain if no call queued at the service.
    const LEAST_GAIN: f64 = 0.3;

    pub(super) fn new(now: Duration, found: Option<usize>, most: usize) -> Self {
        Self {
            concurrency: found.unwrap_or(Self::FIRST).clamp(1, most),
            most,
            before: None,
            limiting: false,
            adjusted: now,
            paused_until: now,
            calls: 0,
            failures: 0,
            latency: Duration::ZERO,
            doubling: found.is_none(),
        }
    }

    pub(super) fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// Records that the concurrency delayed a call.
    pub(super) fn set_limiting(&mut self) {
        self.limiting = true;
    }

    /// Records a completed call.
    pub(super) fn record(&mut self, took: Duration, accepted: bool) {
        self.calls += 1;
        self.latency += took;
        self.failures += u64::from(!accepted);
    }

    /// Adjusts the concurrency at intervals.
    pub(super) fn adjust(&mut self, now: Duration) {
        let since = now.saturating_sub(self.adjusted);
        let mean = self.latency.as_secs_f64() / self.calls.max(1) as f64;
        // Each slot has to complete a few calls.
        let enough = self.calls >= 3 * self.concurrency as u64;
        if since < Self::INTERVAL.max(seconds(2.0 * mean)) || !enough {
            return;
        }
        let throughput = self.calls as f64 / since.as_secs_f64();
        let fails = self.failures * 10 > self.calls;
        let limiting = std::mem::take(&mut self.limiting);
        self.adjusted = now;
        (self.calls, self.failures, self.latency) = (0, 0, Duration::ZERO);
        if fails {
            self.before = None;
            self.step_back(self.concurrency * 7 / 10, now);
            return;
        }
        if let Some((before, was)) = self.before.take() {
            let most_gain = self.concurrency as f64 / before as f64 - 1.0;
            if throughput / was.max(0.001) - 1.0 < most_gain * Self::LEAST_GAIN {
                self.step_back(before, now);
                return;
            }
        }
        if !limiting || now < self.paused_until || self.concurrency == self.most {
            return;
        }
        self.before = Some((self.concurrency, throughput));
        let more = if self.doubling {
            self.concurrency
        } else {
            (self.concurrency / 5).max(1)
        };
        self.concurrency = (self.concurrency + more).min(self.most);
    }

    fn step_back(&mut self, concurrency: usize, now: Duration) {
        // After a doubling the optimum lies in between: continue at once, in small steps.
        self.paused_until = if self.doubling {
            now
        } else {
            now + Self::PAUSE
        };
        self.doubling = false;
        self.concurrency = concurrency.max(1);
    }
}
