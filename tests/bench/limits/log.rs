//! What a service saw of its callers, and the figures that are read off it. Times count from the first call.

use std::collections::VecDeque;
use std::time::Duration;

/// The grain of the log.
pub(crate) const GRAIN: Duration = Duration::from_millis(100);
/// Over how long a rate is looked at.
pub(crate) const MEAN: Duration = Duration::from_secs(5);
/// How much of the limit counts as having reached it.
const REACHED: f64 = 0.8;
/// How far from the limit a settled rate may be.
const NEAR: std::ops::RangeInclusive<f64> = 0.8..=1.2;
/// How many of the later windows may be farther away all the same.
const STRAYS: f64 = 0.05;
/// How much has to be seen of a rate before it is called settled.
const SEEN: Duration = Duration::from_secs(10);

/// Calls, counted by when they arrived.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    /// All that arrived.
    pub(crate) calls: u64,
    /// Those that the limit let through.
    pub(crate) accepted: u64,
    /// Those answered 429.
    pub(crate) refused: u64,
    /// Those that have been answered, whatever it was.
    pub(crate) answered: u64,
    /// From arrival to answer, of those together.
    pub(crate) latency: Duration,
}

impl Tally {
    /// The calls of both.
    fn plus(self, other: &Self) -> Self {
        Self {
            calls: self.calls + other.calls,
            accepted: self.accepted + other.accepted,
            refused: self.refused + other.refused,
            answered: self.answered + other.answered,
            latency: self.latency + other.latency,
        }
    }

    /// The refused ones, in % of all.
    pub(crate) fn refused_percent(&self) -> f64 {
        100.0 * self.refused as f64 / self.calls.max(1) as f64
    }

    /// The accepted ones, in % of what `rate` allows in `time`.
    pub(crate) fn accepted_percent(&self, rate: f64, time: Duration) -> f64 {
        100.0 * self.accepted as f64 / (rate * time.as_secs_f64())
    }

    /// From arrival to answer, in the mean.
    pub(crate) fn mean_latency(&self) -> Duration {
        self.latency.div_f64(self.answered.max(1) as f64)
    }
}

/// The log of a service.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    grains: Vec<Tally>,
    /// The window in which the most calls are looked for.
    watched: Duration,
    recent: VecDeque<Duration>,
    most: usize,
}

/// The number of a moment's grain.
fn grain(at: Duration) -> usize {
    usize::try_from(at.as_nanos() / GRAIN.as_nanos()).unwrap_or(usize::MAX)
}

impl Log {
    /// A log that also looks for the most calls in any window of this length.
    pub(crate) fn watching(window: Duration) -> Self {
        Self {
            watched: window,
            ..Self::default()
        }
    }

    fn at(&mut self, at: Duration) -> &mut Tally {
        let grain = grain(at);
        if self.grains.len() <= grain {
            self.grains.resize(grain + 1, Tally::default());
        }
        &mut self.grains[grain]
    }

    /// A call arrived.
    pub(crate) fn arrived(&mut self, at: Duration, accepted: bool) {
        let tally = self.at(at);
        tally.calls += 1;
        if accepted {
            tally.accepted += 1;
        } else {
            tally.refused += 1;
        }
        if self.watched.is_zero() {
            return;
        }
        let gone = |then: &Duration| at.saturating_sub(*then) >= self.watched;
        while self.recent.front().is_some_and(gone) {
            self.recent.pop_front();
        }
        self.recent.push_back(at);
        self.most = self.most.max(self.recent.len());
    }

    /// The call that arrived then was answered after so long.
    pub(crate) fn answered(&mut self, arrived: Duration, latency: Duration) {
        let tally = self.at(arrived);
        tally.answered += 1;
        tally.latency += latency;
    }

    /// The most calls seen in any window of the watched length, accepted or not.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// The calls that arrived from one moment until before another, both on the grain.
    pub(crate) fn between(&self, from: Duration, to: Duration) -> Tally {
        let to = grain(to).min(self.grains.len());
        let grains = &self.grains[grain(from).min(to)..to];
        grains.iter().fold(Tally::default(), Tally::plus)
    }

    /// The accepted rate over [`MEAN`] from a moment on, as a part of `rate`.
    fn part(&self, from: Duration, rate: f64) -> f64 {
        let tally = self.between(from, from + MEAN);
        tally.accepted_percent(rate, MEAN) / 100.0
    }

    /// How long after `change` the accepted rate came near the new `rate` to stay there until `end`: the first
    /// window of [`MEAN`] that is near it, with no more than [`STRAYS`] of all later ones farther away.
    pub(crate) fn settled(&self, change: Duration, rate: f64, end: Duration) -> Option<Duration> {
        let starts = grain(change)..=grain(end.saturating_sub(MEAN));
        let windows: Vec<(Duration, bool)> = starts
            .map(|n| GRAIN * u32::try_from(n).unwrap_or(u32::MAX))
            .map(|from| (from, NEAR.contains(&self.part(from, rate))))
            .collect();
        let (mut strays, mut settled) = (0.0, None);
        for (later, (from, near)) in windows.iter().rev().enumerate() {
            strays += f64::from(u8::from(!near));
            let seen = *from + SEEN <= end;
            if *near && seen && strays <= STRAYS * (later + 1) as f64 {
                settled = Some(*from - change);
            }
        }
        settled
    }

    /// How long after `change` the accepted rate of the [`MEAN`] before had first reached `rate`, or almost.
    pub(crate) fn reached(&self, change: Duration, rate: f64, end: Duration) -> Option<Duration> {
        let moments = grain(change.max(MEAN))..=grain(end);
        moments
            .map(|n| GRAIN * u32::try_from(n).unwrap_or(u32::MAX))
            .find(|at| self.part(*at - MEAN, rate) >= REACHED)
            .map(|at| at - change)
    }
}
