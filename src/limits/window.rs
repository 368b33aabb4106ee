//! Rate limits in sliding windows. Among the rates of one unit, the one with the shortest window also spaces its calls
//! evenly.

use std::collections::VecDeque;
use std::time::Duration;

use super::gcra::{Gcra, seconds};
use super::rate::{Measure, Rate};

/// The charge of a call on each rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Number of calls.
    pub calls: u64,
    /// Size of the file, in bytes.
    pub bytes: u64,
    /// Weight of the file (`--weight`).
    pub weight: u64,
}

impl Default for Cost {
    /// One call without a file.
    fn default() -> Self {
        Self {
            calls: 1,
            bytes: 0,
            weight: 0,
        }
    }
}

impl Cost {
    fn of(self, measure: Measure) -> u64 {
        match measure {
            Measure::Calls => self.calls,
            Measure::Bytes => self.bytes,
            Measure::Weight => self.weight,
        }
    }
}

/// Buckets per window. A bucket expires as a whole, so a window lasts up to one bucket longer, and memory does not grow
/// with the rate.
const BUCKETS: u32 = 500;
/// Extension of each window, as a fraction of its length and at most. Commits and networks delay a call by varying times,
/// so calls may arrive closer together than they were sent.
const SLACK: (f64, Duration) = (0.005, Duration::from_millis(500));

/// A sliding window: at most this amount in any period of this length.
#[derive(Debug, Clone)]
struct SlidingWindow {
    most: u64,
    length: Duration,
    /// Length of a bucket.
    bucket: Duration,
    /// Amounts charged, by the number of the bucket.
    charged: VecDeque<(u64, u64)>,
    sum: u64,
}

impl SlidingWindow {
    fn new(rate: Rate) -> Self {
        let (mut most, mut length) = (rate.amount(), rate.window());
        // Half a call per window is one call per two windows.
        if most < 1.0 {
            length = seconds(length.as_secs_f64() / most);
            most = 1.0;
        } else if most.fract() > 0.0 {
            length *= 10;
            most *= 10.0;
        }
        Self {
            most: most as u64,
            length: length + length.mul_f64(SLACK.0).min(SLACK.1),
            bucket: length / BUCKETS,
            charged: VecDeque::new(),
            sum: 0,
        }
    }

    fn bucket_of(&self, now: Duration) -> u64 {
        u64::try_from(now.as_nanos() / self.bucket.as_nanos().max(1)).unwrap_or(u64::MAX)
    }

    /// Returns when a bucket leaves the window.
    fn expires_at(&self, bucket: u64) -> Duration {
        let end = u32::try_from(bucket + 1).map_or_else(
            |_| seconds(self.bucket.as_secs_f64() * (bucket + 1) as f64),
            |buckets| self.bucket.saturating_mul(buckets),
        );
        end.saturating_add(self.length)
    }

    fn expire(&mut self, now: Duration) {
        while let Some(&(bucket, amount)) = self.charged.front()
            && self.expires_at(bucket) <= now
        {
            self.sum -= amount;
            self.charged.pop_front();
        }
    }

    /// Returns the earliest moment at which this amount fits. An amount above the limit fits an empty window.
    fn ready_at(&self, amount: u64) -> Duration {
        let mut sum = self.sum;
        let mut ready = Duration::ZERO;
        for &(bucket, charged) in &self.charged {
            if sum == 0 || sum.saturating_add(amount) <= self.most {
                break;
            }
            sum -= charged;
            ready = self.expires_at(bucket);
        }
        ready
    }

    fn charge(&mut self, now: Duration, amount: u64) {
        self.expire(now);
        let bucket = self.bucket_of(now);
        self.sum = self.sum.saturating_add(amount);
        match self.charged.back_mut() {
            // If the clock went back, an earlier bucket would expire too soon.
            Some((last, charged)) if *last >= bucket => *charged = charged.saturating_add(amount),
            _ => self.charged.push_back((bucket, amount)),
        }
    }

    /// Refunds an amount that was charged at a moment.
    fn refund(&mut self, at: Duration, amount: u64) {
        let bucket = self.bucket_of(at);
        // If the clock went back, the charge went to a later bucket.
        let own = self
            .charged
            .iter_mut()
            .find(|(number, _)| *number >= bucket);
        if let Some((_, charged)) = own {
            let refund = amount.min(*charged);
            *charged -= refund;
            self.sum -= refund;
        }
    }

    /// Replaces the amount charged for a call at `at` by what it has taken until `now`. It counts from an eighth of the call on:
    /// services count a request at once, and some of them the answer as it comes. `tests/it/governor/weights.rs` compares.
    fn settle(&mut self, charged: u64, actual: u64, at: Duration, now: Duration) {
        if self.expires_at(self.bucket_of(at)) > now {
            self.refund(at, charged);
        }
        let bucket = self.bucket_of(at.saturating_add(now.saturating_sub(at) / 8));
        self.sum = self.sum.saturating_add(actual);
        let index = self.charged.partition_point(|(number, _)| *number < bucket);
        match self.charged.get_mut(index) {
            Some((number, charged)) if *number == bucket => {
                *charged = charged.saturating_add(actual);
            }
            _ => self.charged.insert(index, (bucket, actual)),
        }
        self.expire(now);
    }

    /// Returns the earliest moment, seen from `now`, at which the last of `left` units fits.
    fn finish(&self, mut left: u64, now: Duration) -> Duration {
        let room = self.most.saturating_sub(self.sum);
        if left <= room {
            return Duration::ZERO;
        }
        left -= room;
        let mut end = now;
        for &(bucket, charged) in &self.charged {
            end = end.max(self.expires_at(bucket));
            if left <= charged {
                return end;
            }
            left -= charged;
        }
        // After that, each window admits the whole amount.
        let windows = u32::try_from(left.div_ceil(self.most.max(1))).unwrap_or(u32::MAX);
        end.saturating_add(self.length.saturating_mul(windows))
    }
}

#[derive(Debug, Clone)]
struct RateLimit {
    rate: Rate,
    window: SlidingWindow,
    /// Set for the shortest window of each unit.
    gcra: Option<Gcra>,
}

/// A past charge on the rate limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastCharge {
    /// Time since the charge.
    pub ago: Duration,
    /// The charge.
    pub cost: Cost,
}

/// Rate limits that apply at once.
#[derive(Debug, Clone)]
pub(crate) struct RateLimits(Vec<RateLimit>);

impl RateLimits {
    /// Creates the limits of these rates at `now`. `spent` are earlier charges, the oldest first.
    pub(crate) fn new(rates: &[Rate], burst: u64, spent: &[PastCharge], now: Duration) -> Self {
        let shortest = |measure| {
            let same = rates.iter().filter(|rate| rate.measure() == measure);
            same.min_by(|a, b| {
                a.window()
                    .cmp(&b.window())
                    .then(b.interval().cmp(&a.interval()))
            })
        };
        let limits = rates.iter().map(|rate| {
            let paces = shortest(rate.measure()) == Some(rate);
            let per_second = rate.amount() / rate.window().as_secs_f64();
            RateLimit {
                rate: *rate,
                window: SlidingWindow::new(*rate),
                gcra: paces.then(|| Gcra::new(per_second, burst)),
            }
        });
        let mut limits = Self(limits.collect());
        for PastCharge { ago, cost } in spent {
            limits.recall(*cost, now.saturating_sub(*ago));
        }
        limits
    }

    /// Charges an earlier call, perhaps made under other rates. It counts in full against the windows. The even spacing only
    /// resumes after the latest call, because earlier calls owe nothing to a rate set later.
    fn recall(&mut self, cost: Cost, at: Duration) {
        for limit in &mut self.0 {
            let measure = limit.rate.measure();
            let amount = cost.of(measure);
            limit.window.charge(at, amount);
            if let Some(gcra) = &mut limit.gcra {
                let most = match measure {
                    Measure::Calls => 1,
                    Measure::Bytes | Measure::Weight => limit.rate.amount() as u64,
                };
                gcra.resume(at, amount.min(most));
            }
        }
    }

    /// Returns the earliest moment of a call of this cost, and the rate that decides it.
    pub(crate) fn ready_at(&self, cost: Cost) -> Option<(Duration, Rate)> {
        let each = self.0.iter().map(|limit| {
            let room = limit.window.ready_at(cost.of(limit.rate.measure()));
            let spaced = limit.gcra.as_ref().map_or(Duration::ZERO, Gcra::ready_at);
            (room.max(spaced), limit.rate)
        });
        each.max_by_key(|(ready, _)| *ready)
    }

    /// Returns the number of calls that fit the windows at `now`, or 0 if even spacing delays the next one.
    pub(crate) fn room(&self, now: Duration) -> u64 {
        let calls = (self.0.iter()).filter(|limit| limit.rate.measure() == Measure::Calls);
        let each = calls.map(|limit| match &limit.gcra {
            Some(gcra) if now < gcra.ready_at() => 0,
            _ => limit.window.most.saturating_sub(limit.window.sum),
        });
        each.min().unwrap_or(u64::MAX)
    }

    /// Charges a call made at `now`.
    pub(crate) fn charge(&mut self, cost: Cost, now: Duration) {
        for limit in &mut self.0 {
            let amount = cost.of(limit.rate.measure());
            limit.window.charge(now, amount);
            if let Some(gcra) = &mut limit.gcra {
                gcra.charge(now, amount);
            }
        }
    }

    /// Refunds a call that was charged at `at` and not made.
    pub(crate) fn refund(&mut self, cost: Cost, at: Duration) {
        for limit in &mut self.0 {
            let amount = cost.of(limit.rate.measure());
            limit.window.refund(at, amount);
            if let Some(gcra) = &mut limit.gcra {
                gcra.next = gcra.next.saturating_sub(gcra.time_of(amount));
            }
        }
    }

    /// Replaces the weight of a call that was charged at `at` by its actual one.
    pub(crate) fn settle(&mut self, charged: u64, actual: u64, at: Duration, now: Duration) {
        let is_weight = |limit: &&mut RateLimit| limit.rate.measure() == Measure::Weight;
        for limit in self.0.iter_mut().filter(is_weight) {
            limit.window.settle(charged, actual, at, now);
            if let Some(gcra) = &mut limit.gcra {
                gcra.settle(charged, actual, now);
            }
        }
    }

    /// Returns the earliest moment at which the last of `left` calls can start by the rates that count calls.
    pub(crate) fn finish(&self, left: u64, now: Duration) -> Duration {
        let calls = (self.0.iter()).filter(|limit| limit.rate.measure() == Measure::Calls);
        let each = calls.map(|limit| {
            let spaced = limit.gcra.as_ref().map_or(Duration::ZERO, |gcra| {
                let rest = seconds(gcra.interval.as_secs_f64() * left.saturating_sub(1) as f64);
                gcra.ready_at().max(now).saturating_add(rest)
            });
            spaced.max(limit.window.finish(left, now))
        });
        each.max().unwrap_or_default()
    }

    /// Returns true if a rate counts bytes or weight, so that each file's size is needed.
    pub(crate) fn need_size(&self) -> bool {
        (self.0.iter()).any(|limit| limit.rate.measure() != Measure::Calls)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn limits(rates: &[&str], burst: u64) -> RateLimits {
        let rates: Vec<Rate> = rates.iter().map(|rate| rate.parse().unwrap()).collect();
        RateLimits::new(&rates, burst, &[], Duration::ZERO)
    }

    /// Returns the earliest moment of a call of this cost.
    fn ready(limits: &RateLimits, cost: Cost) -> Duration {
        limits.ready_at(cost).unwrap().0
    }

    fn bytes(bytes: u64) -> Cost {
        Cost {
            bytes,
            ..Cost::default()
        }
    }

    /// Makes calls one after another, each this many milliseconds after the earliest moment. Returns their moments.
    fn calls(limits: &mut RateLimits, lateness: &[u64]) -> Vec<Duration> {
        let mut now = Duration::ZERO;
        let call = |late: &u64| {
            now = now.max(ready(limits, Cost::default())) + ms(*late);
            limits.charge(Cost::default(), now);
            now
        };
        lateness.iter().map(call).collect()
    }

    fn most_within(made: &[Duration], window: Duration) -> usize {
        let within = |from: &Duration| {
            let window = *from..*from + window;
            made.iter().filter(|at| window.contains(at)).count()
        };
        made.iter().map(within).max().unwrap_or(0)
    }

    proptest! {
        /// No period has more calls than any window allows, with any burst.
        #[test]
        fn no_window_is_exceeded(
            a in 1u32..300, b in 1u32..2000, burst in 1u64..50,
            lateness in prop::collection::vec(0u64..40, 2..400),
        ) {
            let mut limits = limits(&[&format!("{a}/s"), &format!("{b}/m")], burst);
            let made = calls(&mut limits, &lateness);
            prop_assert!(most_within(&made, ms(1_000)) <= a as usize);
            prop_assert!(most_within(&made, ms(60_000)) <= b as usize);
        }
    }

    #[test]
    fn the_shortest_window_spaces_calls_evenly_at_its_rate() {
        let made = calls(&mut limits(&["100/s", "100000/d"], 1), &[3; 1000]);
        let gap = made.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap();
        assert!(gap >= ms(2), "{gap:?}");
        let last = made[999];
        assert!((ms(10_000)..ms(10_300)).contains(&last), "{last:?}");
    }

    #[test]
    fn a_longer_window_is_spent_as_fast_as_the_shortest_allows() {
        let made = calls(&mut limits(&["10/s", "30/m"], 1), &[0; 31]);
        assert!(made[29] < ms(4_000), "{:?}", made[29]);
        assert!(made[30] >= ms(60_000), "{:?}", made[30]);
    }

    #[test]
    fn a_burst_goes_at_once_and_stays_within_the_window() {
        let made = calls(&mut limits(&["10/s"], 5), &[0; 30]);
        assert_eq!(made[4], Duration::ZERO, "five at once");
        assert!(made[5] > ms(50));
        assert!(most_within(&made, ms(1_000)) <= 10);
    }

    #[test]
    fn earlier_charges_count_for_windows_and_not_for_spacing() {
        let charge = |ago, calls| PastCharge {
            ago: Duration::from_secs(ago),
            cost: Cost {
                calls,
                ..Cost::default()
            },
        };
        // A thousand calls per second for an hour, without a rate.
        let many: Vec<PastCharge> = (0..3600).rev().map(|ago| charge(ago, 1000)).collect();
        let now = Duration::from_secs(100_000);
        for (rate, spent, least, most) in [
            ("100/m", &[charge(20, 100)][..], 40_000, 41_000),
            ("50/s", &many, 0, 1100),
        ] {
            let limits = RateLimits::new(&[rate.parse().unwrap()], 1, spent, now);
            let wait = ready(&limits, Cost::default()).saturating_sub(now);
            assert!((ms(least)..=ms(most)).contains(&wait), "{rate}: {wait:?}");
        }
    }

    #[test]
    fn a_file_larger_than_its_window_goes_alone_and_delays_the_next() {
        let mut limits = limits(&["10MB/s"], 1);
        let big = bytes(50_000_000);
        assert_eq!(ready(&limits, big), Duration::ZERO);
        limits.charge(big, Duration::ZERO);
        assert!(ready(&limits, bytes(1)) >= ms(5000));
    }

    #[test]
    fn a_clock_that_goes_back_expires_nothing_early() {
        let mut limits = limits(&["2/m"], 2);
        limits.charge(Cost::default(), ms(100_000));
        limits.charge(Cost::default(), ms(10_000));
        assert!(ready(&limits, Cost::default()) >= ms(160_000));
    }

    #[test]
    fn finish_predicts_the_last_call() {
        let mut limits = limits(&["10/s", "100/m"], 1);
        let finish = limits.finish(101, Duration::ZERO);
        assert!((ms(60_000)..ms(62_000)).contains(&finish), "{finish:?}");
        let made = calls(&mut limits, &[0; 101]);
        let off = made[100].abs_diff(finish);
        assert!(off < ms(2_000), "{off:?}");
        assert!(limits.finish(250, made[100]) > ms(180_000));
    }
}
