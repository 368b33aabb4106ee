//! Windows: so much in any stretch of time of this length. Each is a rolling budget; of those that count the
//! same thing the shortest also paces evenly.

use std::collections::VecDeque;
use std::time::Duration;

use super::rate::{Measure, Rate};

/// What a call takes of each window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Calls: one.
    pub calls: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// The weight that the user gives to the file.
    pub weight: u64,
}

impl Default for Cost {
    /// One call of nothing.
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

/// Lets calls through one interval apart: the generic cell rate algorithm (ITU-T I.371), in which a call that
/// comes late, because a commit or the scheduler took its time, may be made up for by as much as the
/// tolerance, and no more.
#[derive(Debug, Clone)]
struct Pacer {
    interval: Duration,
    tolerance: Duration,
    next: Duration,
}

impl Pacer {
    /// How much lateness is made up for: longer than a commit.
    pub(super) const LATENESS: Duration = Duration::from_millis(20);
    /// How much slower than the rate it goes. Exactly at a service's limit, a lateness made up for and the
    /// network's jitter would put one call too many into its window now and then, and each costs a pause.
    pub(super) const MARGIN: f64 = 0.01;

    /// A pacer for so much in a second, whose first call may be made at once, and then `burst` in a row.
    pub(super) fn new(per_second: f64, burst: u64) -> Self {
        let interval = seconds((1.0 + Self::MARGIN) / per_second);
        let more = u32::try_from(burst.saturating_sub(1)).unwrap_or(u32::MAX);
        Self {
            interval,
            tolerance: interval.saturating_mul(more) + Self::LATENESS,
            next: Duration::ZERO,
        }
    }

    /// When the next call may be made.
    pub(super) fn ready_at(&self) -> Duration {
        self.next
            .saturating_sub(self.tolerance.saturating_sub(Self::LATENESS))
    }

    /// Goes on from a call that was made at `at`, whatever was made before it.
    fn resume(&mut self, at: Duration, amount: u64) {
        self.next = at.saturating_add(self.time_of(amount));
    }

    fn time_of(&self, amount: u64) -> Duration {
        seconds(self.interval.as_secs_f64() * amount as f64)
    }

    /// Accounts for a call made at `now` that takes so much.
    pub(super) fn take(&mut self, now: Duration, amount: u64) {
        let from = self.next.max(now.saturating_sub(Self::LATENESS));
        self.next = from.saturating_add(self.time_of(amount));
    }
}

/// A duration, however long.
pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}

/// How many slots a window is divided into: what was taken in one of them is given back when all of it has
/// left the window, so that a window lasts longer by at most one slot, and memory does not grow with the rate.
const SLOTS: u32 = 500;
/// A call is late on its way by as much as commits and networks take, and the next may be less so: so much
/// longer than it says does a window last, in its own length and at most.
const SLACK: (f64, Duration) = (0.005, Duration::from_millis(500));

/// A rolling budget: at most so much in any stretch of time of this length.
#[derive(Debug, Clone)]
struct Rolling {
    most: u64,
    length: Duration,
    slot: Duration,
    /// What was taken, by slot.
    taken: VecDeque<(u64, u64)>,
    sum: u64,
}

impl Rolling {
    fn new(rate: Rate) -> Self {
        let (mut most, mut length) = (rate.amount(), rate.window());
        // Half a call in a window is one call in two of them.
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
            slot: length / SLOTS,
            taken: VecDeque::new(),
            sum: 0,
        }
    }

    fn slot_of(&self, now: Duration) -> u64 {
        u64::try_from(now.as_nanos() / self.slot.as_nanos().max(1)).unwrap_or(u64::MAX)
    }

    /// When what was taken in a slot has left the window.
    fn freed_at(&self, slot: u64) -> Duration {
        let end = u32::try_from(slot + 1).map_or_else(
            |_| seconds(self.slot.as_secs_f64() * (slot + 1) as f64),
            |slots| self.slot.saturating_mul(slots),
        );
        end.saturating_add(self.length)
    }

    fn forget(&mut self, now: Duration) {
        while let Some(&(slot, amount)) = self.taken.front()
            && self.freed_at(slot) <= now
        {
            self.sum -= amount;
            self.taken.pop_front();
        }
    }

    /// When there is room for so much more. What is larger than the window goes when the window is empty.
    fn ready_at(&self, amount: u64) -> Duration {
        let mut sum = self.sum;
        let mut ready = Duration::ZERO;
        for &(slot, taken) in &self.taken {
            if sum == 0 || sum.saturating_add(amount) <= self.most {
                break;
            }
            sum -= taken;
            ready = self.freed_at(slot);
        }
        ready
    }

    fn take(&mut self, now: Duration, amount: u64) {
        self.forget(now);
        let slot = self.slot_of(now);
        self.sum = self.sum.saturating_add(amount);
        match self.taken.back_mut() {
            // Never into an earlier slot than the last: a clock that went back must not give back early.
            Some((last, taken)) if *last >= slot => *taken = taken.saturating_add(amount),
            _ => self.taken.push_back((slot, amount)),
        }
    }

    /// Gives back what was taken at a moment.
    fn give_back(&mut self, at: Duration, amount: u64) {
        let slot = self.slot_of(at);
        // A clock that went back put it into a later slot than its own.
        let taken = self.taken.iter_mut().rev();
        let own = taken.filter(|(taken_in, _)| *taken_in >= slot).last();
        if let Some((_, taken)) = own {
            let back = amount.min(*taken);
            *taken -= back;
            self.sum -= back;
        }
    }

    /// When the last of so many more could be taken, at best, seen from `now`.
    fn finish(&self, mut left: u64, now: Duration) -> Duration {
        let room = self.most.saturating_sub(self.sum);
        if left <= room {
            return Duration::ZERO;
        }
        left -= room;
        let mut end = now;
        for &(slot, taken) in &self.taken {
            end = end.max(self.freed_at(slot));
            if left <= taken {
                return end;
            }
            left -= taken;
        }
        // From then on, a whole budget in each window.
        let windows = u32::try_from(left.div_ceil(self.most.max(1))).unwrap_or(u32::MAX);
        end.saturating_add(self.length.saturating_mul(windows))
    }
}

#[derive(Debug, Clone)]
struct Window {
    rate: Rate,
    rolling: Rolling,
    /// Of those that count the same the shortest paces evenly.
    pacer: Option<Pacer>,
}

/// What was taken at some time before: that long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// How long ago.
    pub ago: Duration,
    /// What.
    pub cost: Cost,
}

/// Windows that must all have room.
#[derive(Debug, Clone)]
pub(crate) struct Windows(Vec<Window>);

impl Windows {
    /// Windows of these rates, of which much may have been taken before `now`: the oldest first.
    pub(crate) fn new(rates: &[Rate], burst: u64, spent: &[Spent], now: Duration) -> Self {
        let shortest = |measure| {
            let same = rates.iter().filter(|rate| rate.measure() == measure);
            same.min_by(|a, b| {
                a.window()
                    .cmp(&b.window())
                    .then(b.interval().cmp(&a.interval()))
            })
        };
        let windows = rates.iter().map(|rate| {
            let paces = shortest(rate.measure()) == Some(rate);
            let per_second = rate.amount() / rate.window().as_secs_f64();
            Window {
                rate: *rate,
                rolling: Rolling::new(*rate),
                pacer: paces.then(|| Pacer::new(per_second, burst)),
            }
        });
        let mut windows = Self(windows.collect());
        for Spent { ago, cost } in spent {
            windows.recall(*cost, now.saturating_sub(*ago));
        }
        windows
    }

    /// Accounts for what was taken before, perhaps under other rates. It counts in full against the budgets. The
    /// pace only goes on from the latest of it: calls are no debt to a pace that nobody had asked for, and a file
    /// is one of at most a window.
    fn recall(&mut self, cost: Cost, at: Duration) {
        for window in &mut self.0 {
            let measure = window.rate.measure();
            let amount = cost.of(measure);
            window.rolling.take(at, amount);
            if let Some(pacer) = &mut window.pacer {
                let most = match measure {
                    Measure::Calls => 1,
                    Measure::Bytes | Measure::Weight => window.rate.amount() as u64,
                };
                pacer.resume(at, amount.min(most));
            }
        }
    }

    /// From when on a call that takes this much may be made, and the window that says so.
    pub(crate) fn ready_at(&self, cost: Cost) -> Option<(Duration, Rate)> {
        let each = self.0.iter().map(|window| {
            let room = window.rolling.ready_at(cost.of(window.rate.measure()));
            let paced = window
                .pacer
                .as_ref()
                .map_or(Duration::ZERO, Pacer::ready_at);
            (room.max(paced), window.rate)
        });
        each.max_by_key(|(ready, _)| *ready)
    }

    /// Accounts for a call made at `now`.
    pub(crate) fn take(&mut self, cost: Cost, now: Duration) {
        for window in &mut self.0 {
            let amount = cost.of(window.rate.measure());
            window.rolling.take(now, amount);
            if let Some(pacer) = &mut window.pacer {
                pacer.take(now, amount);
            }
        }
    }

    /// Gives back what a call took at `at` that was not made.
    pub(crate) fn give_back(&mut self, cost: Cost, at: Duration) {
        for window in &mut self.0 {
            let amount = cost.of(window.rate.measure());
            window.rolling.give_back(at, amount);
            if let Some(pacer) = &mut window.pacer {
                pacer.next = pacer.next.saturating_sub(pacer.time_of(amount));
            }
        }
    }

    /// When the last of so many more calls could be made, at best.
    pub(crate) fn finish(&self, left: u64, now: Duration) -> Duration {
        let calls = self
            .0
            .iter()
            .filter(|window| window.rate.measure() == Measure::Calls);
        let each = calls.map(|window| {
            let paced = window.pacer.as_ref().map_or(Duration::ZERO, |pacer| {
                let rest = seconds(pacer.interval.as_secs_f64() * left.saturating_sub(1) as f64);
                pacer.ready_at().max(now).saturating_add(rest)
            });
            paced.max(window.rolling.finish(left, now))
        });
        each.max().unwrap_or_default()
    }

    /// Whether a window counts what is known only of a file.
    pub(crate) fn weighs(&self) -> bool {
        self.0
            .iter()
            .any(|window| window.rate.measure() != Measure::Calls)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn windows(rates: &[&str], burst: u64) -> Windows {
        let rates: Vec<Rate> = rates.iter().map(|rate| rate.parse().unwrap()).collect();
        Windows::new(&rates, burst, &[], Duration::ZERO)
    }

    /// Takes one call after another, each as soon as it may be and then so much later.
    fn taken(windows: &mut Windows, lateness: &[u64]) -> Vec<Duration> {
        let mut now = Duration::ZERO;
        let mut made = Vec::new();
        for late in lateness {
            let ready = windows
                .ready_at(Cost::default())
                .map_or(Duration::ZERO, |(ready, _)| ready);
            now = now.max(ready) + ms(*late);
            windows.take(Cost::default(), now);
            made.push(now);
        }
        made
    }

    fn most_within(made: &[Duration], window: Duration) -> usize {
        let within = |from: &Duration| {
            made.iter()
                .filter(|at| **at >= *from && **at < *from + window)
                .count()
        };
        made.iter().map(within).max().unwrap_or(0)
    }

    proptest! {
        /// In no stretch of time are there more calls than any of the windows allows, whatever the burst.
        #[test]
        fn no_window_is_ever_passed(
            a in 1u32..300, b in 1u32..2000, burst in 1u64..50,
            lateness in prop::collection::vec(0u64..40, 2..400),
        ) {
            let mut windows = windows(&[&format!("{a}/s"), &format!("{b}/m")], burst);
            let made = taken(&mut windows, &lateness);
            prop_assert!(most_within(&made, Duration::from_secs(1)) <= a as usize);
            prop_assert!(most_within(&made, Duration::from_secs(60)) <= b as usize);
        }
    }

    #[test]
    fn the_shortest_window_paces_evenly_and_keeps_the_rate() {
        let mut windows = windows(&["100/s", "100000/d"], 1);
        let made = taken(&mut windows, &[3; 1000]);
        let gap = made.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap();
        assert!(gap >= ms(2), "{gap:?}");
        assert!(
            (ms(10_000)..ms(10_300)).contains(&made[999]),
            "{:?}",
            made[999]
        );
    }

    #[test]
    fn a_longer_window_is_spent_as_fast_as_the_shortest_allows() {
        let mut windows = windows(&["10/s", "30/m"], 1);
        let made = taken(&mut windows, &[0; 31]);
        assert!(made[29] < Duration::from_secs(4), "{:?}", made[29]);
        assert!(made[30] >= Duration::from_secs(60), "{:?}", made[30]);
    }

    #[test]
    fn a_burst_is_made_at_once_and_stays_within_the_window() {
        let mut windows = windows(&["10/s"], 5);
        let made = taken(&mut windows, &[0; 30]);
        assert_eq!(made[4], Duration::ZERO, "five at once");
        assert!(made[5] > ms(50));
        assert!(most_within(&made, Duration::from_secs(1)) <= 10);
    }

    #[test]
    fn what_was_spent_before_still_counts() {
        let rates = ["100/m".parse().unwrap()];
        let spent = [Spent {
            ago: Duration::from_secs(20),
            cost: Cost {
                calls: 100,
                ..Cost::default()
            },
        }];
        let now = Duration::from_secs(1000);
        let windows = Windows::new(&rates, 1, &spent, now);
        let (ready, _) = windows.ready_at(Cost::default()).unwrap();
        assert!(
            (now + ms(40_000)..now + ms(41_000)).contains(&ready),
            "{ready:?}"
        );
    }

    #[test]
    fn a_slower_pace_does_not_pay_for_what_was_spent_before_it_was_asked_for() {
        // A thousand calls a second for an hour, when nobody had asked for a rate.
        let spent: Vec<Spent> = (0..3600)
            .rev()
            .map(|second| Spent {
                ago: Duration::from_secs(second),
                cost: Cost {
                    calls: 1000,
                    ..Cost::default()
                },
            })
            .collect();
        let now = Duration::from_secs(100_000);
        let windows = Windows::new(&["50/s".parse().unwrap()], 1, &spent, now);
        let (ready, _) = windows.ready_at(Cost::default()).unwrap();
        assert!(ready <= now + ms(1100), "{:?}", ready - now);
    }

    #[test]
    fn a_file_larger_than_its_window_goes_alone_and_pays_afterwards() {
        let mut windows = windows(&["10MB/s"], 1);
        let big = Cost {
            bytes: 50_000_000,
            ..Cost::default()
        };
        assert_eq!(windows.ready_at(big).unwrap().0, Duration::ZERO);
        windows.take(big, Duration::ZERO);
        let (ready, _) = windows
            .ready_at(Cost {
                bytes: 1,
                ..Cost::default()
            })
            .unwrap();
        assert!(ready >= ms(5000), "{ready:?}");
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_back_early() {
        let mut windows = windows(&["2/m"], 2);
        windows.take(Cost::default(), Duration::from_secs(100));
        windows.take(Cost::default(), Duration::from_secs(10));
        assert!(windows.ready_at(Cost::default()).unwrap().0 >= Duration::from_secs(160));
    }

    #[test]
    fn the_end_of_the_list_is_foreseen() {
        let mut windows = windows(&["10/s", "100/m"], 1);
        let finish = windows.finish(101, Duration::ZERO);
        assert!((ms(60_000)..ms(62_000)).contains(&finish), "{finish:?}");
        let made = taken(&mut windows, &[0; 101]);
        let off = made[100].abs_diff(finish);
        assert!(off < ms(2_000), "{off:?}");
        assert!(windows.finish(250, made[100]) > Duration::from_secs(180));
    }
}
