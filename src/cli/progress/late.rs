//! How fast calls end, of late. Pure: moments are arguments, in milliseconds since 1970.

use std::collections::VecDeque;
use std::time::Duration;

/// Over how long "of late" reaches at least, in milliseconds of work.
const LATE: i64 = 15_000;
/// Where so much has not come to its end by then, it reaches further back.
const ENOUGH: u64 = 30;
/// How far at most, in milliseconds of work.
const FARTHEST: i64 = 600_000;
/// From when on something can be said, in milliseconds of work.
const SOONEST: i64 = 1_000;
/// Over how many of the last calls their mean duration is taken.
const CALLS: f64 = 64.0;

/// What has ended of late. Time in which nobody may call does not count: afterwards it goes on as before.
#[derive(Debug, Clone, Default)]
pub(crate) struct Late {
    began: i64,
    /// For how long nobody could call, and since when nobody can.
    paused: i64,
    paused_since: Option<i64>,
    ended: VecDeque<Ended>,
    /// The mean duration of calls, in milliseconds, and of how many.
    took: f64,
    calls: f64,
    /// When the last call began.
    last_begun: Option<i64>,
}

/// What has ended in one second.
#[derive(Debug, Clone, Copy)]
struct Ended {
    /// The second of work.
    second: i64,
    calls: u64,
    files: u64,
}

impl Late {
    pub(crate) fn new(now: i64) -> Self {
        Self {
            began: now,
            ..Self::default()
        }
    }

    /// For how long calls could be made until now, in milliseconds.
    fn worked(&self, now: i64) -> i64 {
        let until = self.paused_since.map_or(now, |since| since.min(now));
        let worked = until - self.began - self.paused;
        // A clock may be put back.
        let last = self.ended.back().map_or(0, |last| last.second * 1000);
        worked.max(last)
    }

    /// From now on nobody can call, or everybody can again.
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

    pub(crate) fn begun(&mut self, now: i64) {
        self.last_begun = Some(now);
    }

    /// Takes note of a call's end, and whether its file needs no other.
    pub(crate) fn ended(&mut self, is_last: bool, took: Duration, now: i64) {
        self.count(1, u64::from(is_last), now);
        self.calls = (self.calls + 1.0).min(CALLS);
        self.took += (took.as_secs_f64() * 1000.0 - self.took) / self.calls;
    }

    /// Takes note that so many calls have ended, and so many files need no other.
    pub(crate) fn count(&mut self, calls: u64, files: u64, now: i64) {
        let worked = self.worked(now);
        match self.ended.back_mut() {
            Some(last) if last.second == worked / 1000 => {
                last.calls += calls;
                last.files += files;
            }
            _ => self.ended.push_back(Ended {
                second: worked / 1000,
                calls,
                files,
            }),
        }
        while let Some(first) = self.ended.front()
            && first.second * 1000 < worked - FARTHEST
        {
            self.ended.pop_front();
        }
    }

    /// Whether nothing has ended for a while.
    pub(crate) fn is_quiet(&self, now: i64) -> bool {
        let worked = self.worked(now);
        let last = self.ended.back();
        last.is_none_or(|last| worked - last.second * 1000 > LATE)
    }

    /// Calls that end in a second.
    pub(crate) fn calls(&self, now: i64) -> Option<f64> {
        self.per_second(now, |ended| ended.calls)
    }

    /// Files that need no other call, in a second.
    pub(crate) fn files(&self, now: i64) -> Option<f64> {
        self.per_second(now, |ended| ended.files)
    }

    fn per_second(&self, now: i64, number: impl Fn(&Ended) -> u64) -> Option<f64> {
        let worked = self.worked(now);
        let (mut sum, mut over) = (0, worked.min(FARTHEST));
        for each in self.ended.iter().rev() {
            let ago = worked - each.second * 1000;
            if ago > FARTHEST {
                break;
            }
            if ago > LATE && sum >= ENOUGH {
                // Since the end of that second.
                over = ago - 1000;
                break;
            }
            sum += number(each);
        }
        (sum > 0 && over >= SOONEST).then(|| sum as f64 * 1000.0 / over as f64)
    }

    /// How long it takes until the calls in flight have ended, if none takes longer than calls took of late.
    pub(crate) fn last_call(&self, now: i64) -> Option<Duration> {
        let end = self.last_begun?.saturating_add(self.took as i64);
        (self.calls > 0.0 && end > now).then(|| Duration::from_millis((end - now).unsigned_abs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: i64 = 1_800_000_000_000;

    /// Calls that end at this pace for so many seconds.
    fn steady(late: &mut Late, from: i64, seconds: i64, each: u64) {
        (0..seconds).for_each(|second| late.count(each, each, from + second * 1000 + 500));
    }

    fn near(rate: Option<f64>, expected: f64) {
        let rate = rate.unwrap();
        assert!((rate / expected - 1.0).abs() < 0.1, "{rate}");
    }

    #[test]
    fn a_rate_is_that_of_the_last_seconds() {
        let mut late = Late::new(BEGAN);
        assert_eq!(late.calls(BEGAN + 60_000), None);
        late.count(1, 0, BEGAN);
        assert_eq!(late.calls(BEGAN + 900), None, "too soon");
        steady(&mut late, BEGAN, 100, 7);
        near(late.calls(BEGAN + 100_000), 7.0);
        steady(&mut late, BEGAN + 100_000, 20, 70);
        near(late.files(BEGAN + 120_000), 70.0);
        // Where calls end and files do not, nobody knows when those will.
        late.count(1000, 0, BEGAN + 120_000);
        assert!(late.calls(BEGAN + 120_000) > late.files(BEGAN + 120_000));
    }

    #[test]
    fn slow_calls_are_counted_over_a_longer_time() {
        let mut late = Late::new(BEGAN);
        // Eight together, once a minute.
        (1..=5).for_each(|minute| late.count(8, 8, BEGAN + minute * 60_000));
        near(late.calls(BEGAN + 300_000), 8.0 / 60.0);
        near(late.calls(BEGAN + 340_000), 8.0 / 68.0);
        // Nothing is for ever.
        assert_eq!(late.calls(BEGAN + 1_000_000), None);
        assert!(late.ended.len() < 10);
        steady(&mut late, BEGAN + 1_000_000, 5_000, 1);
        assert!(late.ended.len() < 610, "{}", late.ended.len());
    }

    #[test]
    fn it_is_quiet_when_nothing_has_ended_for_a_while() {
        let mut late = Late::new(BEGAN);
        assert!(late.is_quiet(BEGAN));
        late.count(1, 0, BEGAN + 2_000);
        assert!(!late.is_quiet(BEGAN + 17_000));
        assert!(late.is_quiet(BEGAN + 17_001));
    }

    #[test]
    fn a_pause_does_not_count() {
        let mut late = Late::new(BEGAN);
        steady(&mut late, BEGAN, 30, 10);
        late.pause(true, BEGAN + 30_000);
        late.pause(true, BEGAN + 31_000);
        near(late.calls(BEGAN + 90_000), 10.0);
        late.pause(false, BEGAN + 630_000);
        near(late.calls(BEGAN + 631_000), 10.0);
    }

    #[test]
    fn a_clock_that_is_put_back_stands_still() {
        let mut late = Late::new(BEGAN);
        steady(&mut late, BEGAN, 30, 10);
        steady(&mut late, BEGAN - 3_600_000, 3, 10);
        assert!(late.calls(BEGAN - 3_600_000).is_some());
        late.pause(true, BEGAN);
        late.pause(false, BEGAN - 3_600_000);
        assert!(late.calls(BEGAN).is_some());
    }

    #[test]
    fn the_last_calls_take_as_long_as_others_or_nobody_knows() {
        let mut late = Late::new(BEGAN);
        late.begun(BEGAN);
        assert_eq!(late.last_call(BEGAN), None);
        (0..200).for_each(|_| late.ended(true, Duration::from_secs(9), BEGAN));
        (0..200).for_each(|_| late.ended(true, Duration::from_secs(3), BEGAN));
        late.begun(BEGAN + 1_000);
        let left = |after| {
            late.last_call(BEGAN + after)
                .map(|left| left.as_secs_f64().round())
        };
        assert_eq!(left(1_000), Some(3.0));
        assert_eq!(left(3_000), Some(1.0));
        assert_eq!(left(5_000), None);
    }
}
