//! Measures the recent throughput. Pure: moments are arguments, in milliseconds since 1970.

use std::collections::VecDeque;
use std::time::Duration;

/// The shortest window over which the rate is taken, in milliseconds of work; before that, all of it.
const WINDOW: i64 = 15_000;
/// The number of completions up to which the window grows.
const ENOUGH: u64 = 30;
/// The longest window, in milliseconds of work.
const LONGEST: i64 = 600_000;
/// The shortest time of work that has a rate, in milliseconds.
const SOONEST: i64 = 1_000;
/// The approximate number of last calls in the mean duration.
const CALLS: f64 = 64.0;

/// Recent completions. Time in which no call may start is excluded, so the rate afterwards is the same as before.
#[derive(Debug, Clone, Default)]
pub(crate) struct Throughput {
    began: i64,
    /// The total time in which no call could start.
    paused: i64,
    paused_since: Option<i64>,
    completed: VecDeque<Second>,
    /// The mean duration of calls, in milliseconds, and the number of calls in it.
    mean: f64,
    calls: f64,
    last_begun: Option<i64>,
}

/// The completions of one second.
#[derive(Debug, Clone, Copy)]
struct Second {
    /// The number of the second, counted in time of work.
    number: i64,
    calls: u64,
    files: u64,
}

impl Throughput {
    pub(crate) fn new(now: i64) -> Self {
        Self {
            began: now,
            ..Self::default()
        }
    }

    /// Returns the time in which calls could start, in milliseconds.
    fn worked(&self, now: i64) -> i64 {
        let until = self.paused_since.map_or(now, |since| since.min(now));
        let worked = until - self.began - self.paused;
        // The system clock may be set back.
        let last = self.completed.back().map_or(0, |last| last.number * 1000);
        worked.max(last)
    }

    /// Begins or ends a pause, in which no call can start.
    pub(crate) fn pause(&mut self, paused: bool, now: i64) {
        match (self.paused_since, paused) {
            (None, true) => self.paused_since = Some(now),
            (Some(since), false) => {
                self.paused += now.saturating_sub(since).max(0);
                self.paused_since = None;
            }
            _ => {}
        }
    }

    /// Records that a call began.
    pub(crate) fn call_began(&mut self, now: i64) {
        self.last_begun = Some(now);
    }

    /// Records the end of a call. `is_last` means that its file needs no other call.
    pub(crate) fn call_ended(&mut self, is_last: bool, took: Duration, now: i64) {
        self.add(1, u64::from(is_last), now);
        self.calls = (self.calls + 1.0).min(CALLS);
        self.mean += (took.as_secs_f64() * 1000.0 - self.mean) / self.calls;
    }

    /// Adds calls that have ended, and files that need no other call.
    pub(crate) fn add(&mut self, calls: u64, files: u64, now: i64) {
        let worked = self.worked(now);
        match self.completed.back_mut() {
            Some(last) if last.number == worked / 1000 => {
                last.calls += calls;
                last.files += files;
            }
            _ => self.completed.push_back(Second {
                number: worked / 1000,
                calls,
                files,
            }),
        }
        while let Some(first) = self.completed.front()
            && first.number * 1000 < worked - LONGEST
        {
            self.completed.pop_front();
        }
    }

    /// Returns whether no call has ended for a while.
    pub(crate) fn is_quiet(&self, now: i64) -> bool {
        let worked = self.worked(now);
        let last = self.completed.back();
        last.is_none_or(|last| worked - last.number * 1000 > WINDOW)
    }

    /// Returns the rate of calls.
    pub(crate) fn calls_per_second(&self, now: i64) -> Option<f64> {
        self.per_second(now, |second| second.calls)
    }

    /// Returns the rate of files that need no other call.
    pub(crate) fn files_per_second(&self, now: i64) -> Option<f64> {
        self.per_second(now, |second| second.files)
    }

    fn per_second(&self, now: i64, number: impl Fn(&Second) -> u64) -> Option<f64> {
        let worked = self.worked(now);
        let (mut sum, mut over) = (0, worked.min(LONGEST));
        for each in self.completed.iter().rev() {
            let ago = worked - each.number * 1000;
            if ago > LONGEST {
                break;
            }
            if ago > WINDOW && sum >= ENOUGH {
                over = ago - 1000;
                break;
            }
            sum += number(each);
        }
        (sum > 0 && over >= SOONEST).then(|| sum as f64 * 1000.0 / over as f64)
    }

    /// Estimates the time until the last call in flight ends. Returns `None` before the end of a first call, or if the last
    /// one takes longer than usual.
    pub(crate) fn until_last_call(&self, now: i64) -> Option<Duration> {
        let end = self.last_begun?.saturating_add(self.mean as i64);
        (self.calls > 0.0 && end > now).then(|| Duration::from_millis((end - now).unsigned_abs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: i64 = 1_800_000_000_000;

    /// Records `each` completions a second for `seconds` seconds.
    fn steady(recent: &mut Throughput, from: i64, seconds: i64, each: u64) {
        (0..seconds).for_each(|second| recent.add(each, each, from + second * 1000 + 500));
    }

    #[track_caller]
    fn near(rate: Option<f64>, expected: f64) {
        let rate = rate.unwrap();
        assert!((rate / expected - 1.0).abs() < 0.1, "{rate}");
    }

    #[test]
    fn a_rate_is_that_of_the_last_seconds() {
        let mut recent = Throughput::new(BEGAN);
        assert_eq!(recent.calls_per_second(BEGAN + 60_000), None);
        recent.add(1, 0, BEGAN);
        assert_eq!(recent.calls_per_second(BEGAN + 900), None, "too soon");
        steady(&mut recent, BEGAN, 100, 7);
        near(recent.calls_per_second(BEGAN + 100_000), 7.0);
        steady(&mut recent, BEGAN + 100_000, 20, 70);
        near(recent.files_per_second(BEGAN + 120_000), 70.0);
        // Calls end, but files do not.
        recent.add(1000, 0, BEGAN + 120_000);
        assert!(
            recent.calls_per_second(BEGAN + 120_000) > recent.files_per_second(BEGAN + 120_000)
        );
    }

    #[test]
    fn slow_calls_are_counted_over_a_longer_time() {
        let mut recent = Throughput::new(BEGAN);
        // Eight together, once a minute.
        (1..=5).for_each(|minute| recent.add(8, 8, BEGAN + minute * 60_000));
        near(recent.calls_per_second(BEGAN + 300_000), 8.0 / 60.0);
        near(recent.calls_per_second(BEGAN + 340_000), 8.0 / 68.0);
        assert_eq!(recent.calls_per_second(BEGAN + 1_000_000), None);
        assert!(recent.completed.len() < 10);
        steady(&mut recent, BEGAN + 1_000_000, 5_000, 1);
        assert!(recent.completed.len() < 610, "{}", recent.completed.len());
    }

    #[test]
    fn it_is_quiet_when_nothing_has_ended_for_a_while() {
        let mut recent = Throughput::new(BEGAN);
        assert!(recent.is_quiet(BEGAN));
        recent.add(1, 0, BEGAN + 2_000);
        assert!(!recent.is_quiet(BEGAN + 17_000));
        assert!(recent.is_quiet(BEGAN + 17_001));
    }

    #[test]
    fn a_pause_does_not_count() {
        let mut recent = Throughput::new(BEGAN);
        steady(&mut recent, BEGAN, 30, 10);
        recent.pause(true, BEGAN + 30_000);
        recent.pause(true, BEGAN + 31_000);
        near(recent.calls_per_second(BEGAN + 90_000), 10.0);
        recent.pause(false, BEGAN + 630_000);
        near(recent.calls_per_second(BEGAN + 631_000), 10.0);
    }

    #[test]
    fn a_clock_that_is_set_back_stands_still() {
        let mut recent = Throughput::new(BEGAN);
        steady(&mut recent, BEGAN, 30, 10);
        steady(&mut recent, BEGAN - 3_600_000, 3, 10);
        assert!(recent.calls_per_second(BEGAN - 3_600_000).is_some());
        recent.pause(true, BEGAN);
        recent.pause(false, BEGAN - 3_600_000);
        assert!(recent.calls_per_second(BEGAN).is_some());
    }

    #[test]
    fn the_last_calls_take_as_long_as_others_or_it_is_unknown() {
        let mut recent = Throughput::new(BEGAN);
        recent.call_began(BEGAN);
        assert_eq!(recent.until_last_call(BEGAN), None);
        (0..200).for_each(|_| recent.call_ended(true, Duration::from_secs(9), BEGAN));
        (0..200).for_each(|_| recent.call_ended(true, Duration::from_secs(3), BEGAN));
        recent.call_began(BEGAN + 1_000);
        let left = |after| {
            recent
                .until_last_call(BEGAN + after)
                .map(|left| left.as_secs_f64().round())
        };
        assert_eq!(left(1_000), Some(3.0));
        assert_eq!(left(3_000), Some(1.0));
        assert_eq!(left(5_000), None);
    }
}
