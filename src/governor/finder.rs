//! Finding a service's limit, where nobody has said it.
//!
//! The rate follows CUBIC (RFC 9438; Ha, Rhee and Xu, "CUBIC: a new TCP-friendly high-speed TCP variant", 2008),
//! as the adaptive mode of the AWS SDKs' retries does, with two changes. The growth is in shares of the level
//! instead of calls, so that it is the same for a limit of 20 and of 2,000 calls a second. And the level to
//! which it returns after a refusal is not a fixed share of that before: between two refusals a service has
//! accepted as much as its limit allows, so what it accepted divided by that time is the limit, or a little
//! less. A plain additive increase would need a unit, and would be too slow for a large limit or too rough for
//! a small one; a gradient of latencies (Netflix's concurrency-limits) sees queues, and a service that counts
//! calls has none.

use std::time::Duration;

use super::window::{Pacer, seconds};

/// What is remembered of what was found, from one runner to the next.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Found {
    /// Calls in a second.
    pub rate: Option<f64>,
    /// Calls at the same time.
    pub width: Option<usize>,
}

/// Finds how many calls a second a service allows.
#[derive(Debug)]
pub(super) struct RateFinder {
    pacer: Pacer,
    /// Calls in a second.
    level: f64,
    /// The level that is thought to be the limit; none while it is still unknown.
    known: Option<f64>,
    /// What the service states.
    stated: Option<f64>,
    /// Since when the level grows, and from how much below `known`.
    grows_from: Duration,
    dip: f64,
    /// What was accepted since the last refusal.
    accepted: u64,
    refused_at: Option<Duration>,
    opened_at: Duration,
    /// Whether the level is tried a little below that at which it was refused.
    trial: bool,
    /// Whether the service lets calls be made up for that were not made before, so that it refuses late.
    saves_up: bool,
    /// Whether the level has kept somebody from calling since it was last looked at.
    bound: bool,
    /// When the level was last looked at.
    looked: Duration,
    window: Look,
    /// Of the latest window in which the service was at ease.
    ease: Option<Ease>,
}

/// What happened since the level was last looked at.
#[derive(Debug, Default)]
struct Look {
    accepted: u64,
    latency: Duration,
}

/// A service that is at ease: how long it took, and how much it did.
#[derive(Debug, Clone, Copy)]
struct Ease {
    latency: f64,
    throughput: f64,
}

impl RateFinder {
    /// Begins small.
    const FIRST: f64 = 4.0;
    const LEAST: f64 = 1.0 / 60.0;
    const MOST: f64 = 100_000.0;
    /// How fast the level grows beyond the known limit: by this share, times the third power of the seconds.
    const GROWTH: f64 = 8e-5;
    /// Back to so much of the level at the least where it is not known better.
    const BACK: f64 = 0.7;
    /// A little below what was found, for a moment.
    const DIP: f64 = 0.05;
    /// After so short a time what was accepted is the limit itself.
    const SHORT: Duration = Duration::from_secs(4);
    /// A wait below this says no more than this.
    const SHORTEST_WAIT: Duration = Duration::from_millis(100);
    /// After so long a time without a refusal a level was right.
    const LONG: Duration = Duration::from_secs(10);
    /// A little below.
    const NEAR: f64 = 0.93;
    /// How deep the services' buckets are thought to be.
    const DEPTH: Duration = Duration::from_secs(1);
    /// How often the level is looked at, and doubled while nothing is known.
    const LOOK: Duration = Duration::from_millis(500);
    /// What a service states is kept by so much: its clock is not ours.
    const STATED: f64 = 0.99;

    pub(super) fn new(now: Duration, found: Option<f64>) -> Self {
        let level = found.unwrap_or(Self::FIRST).clamp(Self::LEAST, Self::MOST);
        Self {
            pacer: Pacer::new(level, 1),
            level,
            known: found,
            stated: None,
            grows_from: now,
            dip: Self::DIP,
            accepted: 0,
            refused_at: None,
            opened_at: now,
            trial: false,
            saves_up: false,
            bound: false,
            looked: now,
            window: Look::default(),
            ease: None,
        }
    }

    pub(super) fn level(&self) -> f64 {
        self.level
    }

    /// What is worth being remembered: a limit that was met, or stated.
    pub(super) fn found(&self) -> Option<f64> {
        self.known.or(self.stated)
    }

    pub(super) fn ready_at(&self) -> Duration {
        self.pacer.ready_at()
    }

    /// The level keeps somebody from calling.
    pub(super) fn binds(&mut self) {
        self.bound = true;
    }

    pub(super) fn take(&mut self, now: Duration) {
        self.pacer.take(now, 1);
    }

    /// The service accepted a call, which took so long.
    pub(super) fn accepted(&mut self, took: Duration) {
        self.accepted += 1;
        self.window.accepted += 1;
        self.window.latency += took;
    }

    /// The service states its limit.
    pub(super) fn stated(&mut self, per_second: f64, now: Duration) {
        let stated = (per_second * Self::STATED).clamp(Self::LEAST, Self::MOST);
        if self
            .stated
            .is_none_or(|before| (before - stated).abs() > before * 0.001)
        {
            self.stated = Some(stated);
            self.known = Some(stated);
            self.dip = 0.0;
            self.grows_from = now;
            self.set(stated);
        }
    }

    /// The service refused a call and asked for a wait: nobody calls before `opens`.
    ///
    /// What it accepted since the last refusal says what it allows, for its bucket was empty then and is now.
    pub(super) fn refused(&mut self, now: Duration, opens: Duration, asked: Duration) {
        let level = self.level;
        let accepted = self.accepted as f64;
        let measured = self.refused_at.map(|before| {
            // In a pause longer than its bucket is deep, a service does not save up.
            let paused = self.opened_at.saturating_sub(before).min(Self::DEPTH);
            let run = now.saturating_sub(self.opened_at);
            (accepted / (paused + run).as_secs_f64().max(0.001), run)
        });
        let tried = std::mem::take(&mut self.trial);
        let limit = match measured {
            Some((rate, run)) if run < Self::SHORT => {
                self.saves_up |= tried;
                rate
            }
            // A service that saves up was passed long before it refused; one that does not, just now. Which it is
            // shows when it is tried again a little below.
            Some((rate, _)) if rate < level * Self::NEAR && !self.saves_up => {
                self.trial = true;
                level * Self::NEAR
            }
            Some((rate, run)) => {
                self.saves_up |= tried && run < Self::LONG;
                rate.max(level * Self::BACK)
            }
            // Doubled once too often.
            None if self.known.is_none() => level / 2.0,
            None => level * Self::BACK,
        };
        // A service that asks for a short wait means to be called again after it, whatever else it refuses.
        let asked = asked.max(Self::SHORTEST_WAIT);
        let least = Self::LEAST.max(1.0 / asked.as_secs_f64());
        let least = least.min(level);
        let limit = limit.min(level * 0.95).clamp(least, Self::MOST);
        self.known = Some(limit);
        self.dip = Self::DIP;
        self.grows_from = opens;
        self.refused_at = Some(now);
        self.opened_at = opens;
        self.accepted = 0;
        self.bound = false;
        self.window = Look::default();
        self.looked = opens;
        self.ease = None;
        self.set((limit * (1.0 - self.dip)).max(least));
    }

    /// Looks at what happened of late, and goes on from there.
    pub(super) fn look(&mut self, now: Duration) {
        let since = now.saturating_sub(self.looked);
        let calls = self.window.accepted as f64;
        let mean = if calls > 0.0 {
            self.window.latency.as_secs_f64() / calls
        } else {
            0.0
        };
        // Long enough for calls that were made at this level to have come back.
        if since < Self::LOOK.max(seconds(2.0 * mean)) || now < self.opened_at {
            return;
        }
        let throughput = calls / since.as_secs_f64();
        let bound = std::mem::take(&mut self.bound);
        self.looked = now;
        self.window = Look::default();
        if self.congested(calls, mean, throughput) {
            self.known = Some(throughput);
            self.dip = 0.1;
            self.grows_from = now;
            self.set(throughput * 0.9);
            return;
        }
        if !bound {
            // Something else keeps the calls back: what was not tried is not known to be allowed.
            self.grows_from += since;
            return;
        }
        match (self.known, self.stated) {
            (None, _) => self.set(self.level * 2.0),
            (Some(known), stated) => {
                let x = now.saturating_sub(self.grows_from).as_secs_f64();
                let k = (self.dip / Self::GROWTH).cbrt();
                let level = known * (1.0 + Self::GROWTH * (x - k).powi(3));
                self.set(stated.map_or(level, |stated| level.min(stated)));
            }
        }
    }

    /// Whether the service takes longer than it did and does not more for it: the calls wait in a queue.
    fn congested(&mut self, calls: f64, mean: f64, throughput: f64) -> bool {
        if calls < 10.0 {
            return false;
        }
        let ease = *self.ease.get_or_insert(Ease {
            latency: mean,
            throughput,
        });
        if throughput > ease.throughput * 1.1 || mean < ease.latency * 1.5 {
            // What is usual may become slower in the course of hours.
            self.ease = Some(Ease {
                latency: mean.min(ease.latency * 1.02),
                throughput: throughput.max(ease.throughput * 0.98),
            });
            return false;
        }
        mean > ease.latency * 2.0
    }

    fn set(&mut self, level: f64) {
        self.level = level.clamp(Self::LEAST, Self::MOST);
        self.pacer.set(self.level);
    }
}

/// Finds how many calls at the same time are of use: it climbs while more calls at once bring more answers, and
/// goes back and rests where they only take longer. Hill climbing on throughput rather than a gradient of
/// latencies: files of one list differ in size, and so do their latencies whatever the service.
#[derive(Debug)]
pub(super) struct WidthFinder {
    width: usize,
    most: usize,
    /// The width before the last step up, and what it brought.
    before: Option<(usize, f64)>,
    bound: bool,
    looked: Duration,
    rests_until: Duration,
    answers: u64,
    troubles: u64,
    latency: Duration,
    doubling: bool,
}

impl WidthFinder {
    const FIRST: usize = 4;
    const LOOK: Duration = Duration::from_secs(1);
    const REST: Duration = Duration::from_secs(20);
    /// More calls at once have to bring at least this share of what they would if nobody queued.
    const WORTH: f64 = 0.3;

    pub(super) fn new(now: Duration, found: Option<usize>, most: usize) -> Self {
        Self {
            width: found.unwrap_or(Self::FIRST).clamp(1, most),
            most,
            before: None,
            bound: false,
            looked: now,
            rests_until: now,
            answers: 0,
            troubles: 0,
            latency: Duration::ZERO,
            doubling: found.is_none(),
        }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn binds(&mut self) {
        self.bound = true;
    }

    /// A call was answered, well or not.
    pub(super) fn answered(&mut self, took: Duration, well: bool) {
        self.answers += 1;
        self.latency += took;
        self.troubles += u64::from(!well);
    }

    pub(super) fn look(&mut self, now: Duration) {
        let since = now.saturating_sub(self.looked);
        let mean = self.latency.as_secs_f64() / self.answers.max(1) as f64;
        // A few answers of each thread are what a step is judged by.
        let enough = self.answers >= 3 * self.width as u64;
        if since < Self::LOOK.max(seconds(2.0 * mean)) || !enough {
            return;
        }
        let throughput = self.answers as f64 / since.as_secs_f64();
        let troubled = self.troubles * 10 > self.answers;
        let bound = std::mem::take(&mut self.bound);
        self.looked = now;
        (self.answers, self.troubles, self.latency) = (0, 0, Duration::ZERO);
        if troubled {
            self.before = None;
            self.back(self.width * 7 / 10, now);
            return;
        }
        if let Some((narrow, was)) = self.before.take() {
            let hoped = self.width as f64 / narrow as f64 - 1.0;
            if throughput / was.max(0.001) - 1.0 < hoped * Self::WORTH {
                self.back(narrow, now);
                return;
            }
        }
        if !bound || now < self.rests_until || self.width == self.most {
            return;
        }
        self.before = Some((self.width, throughput));
        let more = if self.doubling {
            self.width
        } else {
            (self.width / 5).max(1)
        };
        self.width = (self.width + more).min(self.most);
    }

    fn back(&mut self, width: usize, now: Duration) {
        // After a doubling the best lies between the two: it is looked for in small steps, at once.
        self.rests_until = if self.doubling { now } else { now + Self::REST };
        self.doubling = false;
        self.width = width.max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stated_limit_is_taken_at_once_and_never_passed() {
        let mut finder = RateFinder::new(Duration::ZERO, None);
        finder.stated(100.0, Duration::ZERO);
        for second in 1..100 {
            finder.binds();
            finder.look(Duration::from_secs(second));
        }
        assert!(
            (98.0..=100.0).contains(&finder.level()),
            "{}",
            finder.level()
        );
        finder.stated(20.0, Duration::from_secs(100));
        assert!(finder.level() <= 20.0);
    }

    #[test]
    fn what_nobody_asks_for_does_not_grow() {
        let mut finder = RateFinder::new(Duration::ZERO, None);
        for second in 1..100 {
            finder.look(Duration::from_secs(second));
        }
        assert!(finder.level() <= RateFinder::FIRST);
    }

    #[test]
    fn what_was_found_is_remembered() {
        let finder = RateFinder::new(Duration::ZERO, Some(48.0));
        assert_eq!((finder.level(), finder.found()), (48.0, Some(48.0)));
    }

    #[test]
    fn a_queue_that_grows_is_not_fed() {
        let mut finder = RateFinder::new(Duration::ZERO, Some(100.0));
        let mut now = Duration::ZERO;
        for second in 0..6 {
            let slow = if second < 2 { 50 } else { 400 };
            for _ in 0..80 {
                finder.accepted(Duration::from_millis(slow));
            }
            finder.binds();
            now += Duration::from_secs(1);
            finder.look(now);
        }
        assert!(finder.level() < 81.0, "{}", finder.level());
    }

    #[test]
    fn width_climbs_while_it_helps_and_goes_back_where_it_does_not() {
        // The service does sixteen calls at once, each in 50 ms.
        let mut finder = WidthFinder::new(Duration::ZERO, None, 256);
        let mut now = Duration::ZERO;
        let mut widths = Vec::new();
        for _ in 0..200 {
            now += Duration::from_secs(1);
            let width = finder.width();
            let served = width.min(16) as u64 * 20;
            let took = Duration::from_millis(50) * width as u32 / width.min(16) as u32;
            for _ in 0..served {
                finder.answered(took, true);
            }
            finder.binds();
            finder.look(now);
            widths.push(finder.width());
        }
        let late = &widths[20..];
        let mean = late.iter().sum::<usize>() as f64 / late.len() as f64;
        assert!((14.0..22.0).contains(&mean), "{widths:?}");
    }
}
