//! Adds up all attempts of a run, one after the other.

use std::collections::{BTreeMap, HashMap};

use hdrhistogram::Histogram;

use crate::job::JobId;
use crate::store::{AttemptOutcome, AttemptSummary};

/// The number of slowest calls that are listed.
const SLOWEST: usize = 20;
/// Chunks beyond this number are left out: a run cannot have more, but a damaged database can.
const MOST_CHUNKS: usize = 10_000;
/// Files with this many attempts or more are counted together.
pub(super) const MOST_TRIES: usize = 1_000;
/// The longest time in a histogram, in milliseconds: more than thirty years.
const LONGEST: u64 = 1 << 40;

/// Outcomes in the order of the page, with the class of their color and their meaning.
pub(super) const OUTCOMES: [(AttemptOutcome, &str, &str); AttemptOutcome::ALL.len()] = [
    (AttemptOutcome::Succeeded, "ok", "the service sent a result"),
    (
        AttemptOutcome::Advanced,
        "step",
        "the service sent the answer for the next step",
    ),
    (
        AttemptOutcome::NotReady,
        "poll",
        "the service was polled, and not ready; consecutive polls count once",
    ),
    (
        AttemptOutcome::Failed,
        "bad",
        "the service sent an error, or an answer that is not a result",
    ),
    (
        AttemptOutcome::Throttled,
        "slow",
        "the service asked to wait",
    ),
    (
        AttemptOutcome::InDoubt,
        "doubt",
        "the call may have been sent; no answer came",
    ),
    (
        AttemptOutcome::NotSent,
        "off",
        "the call was not processed, such as without a connection or a readable file",
    ),
    (
        AttemptOutcome::Interrupted,
        "now",
        "stride was stopped before the call was sent",
    ),
];

/// A histogram of latencies in milliseconds. Percentiles are off by less than 1 %.
#[derive(Debug, Clone, Default)]
pub(super) struct Latency(Option<Histogram<u32>>);

impl Latency {
    /// Significant digits of a percentile.
    const DIGITS: u8 = 2;

    fn add(&mut self, milliseconds: i64) {
        // Made on demand, because most steps and chunks of a short run have no calls.
        if self.0.is_none() {
            self.0 = Histogram::new(Self::DIGITS).ok();
        }
        if let Some(histogram) = &mut self.0 {
            // Never fails, because the histogram grows as needed.
            let _ = histogram.record(milliseconds.unsigned_abs().min(LONGEST));
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, Histogram::len)
    }

    /// Returns the value that the share `q` of all values does not exceed.
    pub(super) fn quantile(&self, q: f64) -> Option<u64> {
        let histogram = self.0.as_ref()?;
        Some(histogram.median_equivalent(histogram.value_at_quantile(q)))
    }
}

/// The sums of some attempts that have ended.
#[derive(Debug, Clone, Default)]
pub(super) struct Totals {
    /// Attempts by outcome, in the order of [`AttemptOutcome::ALL`].
    ended: [u64; AttemptOutcome::ALL.len()],
    /// Attempts that were not the first of their file.
    pub(super) repeats: u64,
    /// The latency of answered calls: those with a result or a definite failure.
    pub(super) latency: Latency,
}

impl Totals {
    pub(super) fn of(&self, how: AttemptOutcome) -> u64 {
        self.ended[how as usize]
    }

    pub(super) fn attempts(&self) -> u64 {
        self.ended.iter().sum()
    }

    /// Returns the number of calls that were sent, or perhaps sent.
    pub(super) fn calls(&self) -> u64 {
        let sent = [
            AttemptOutcome::Succeeded,
            AttemptOutcome::Advanced,
            AttemptOutcome::NotReady,
            AttemptOutcome::Failed,
            AttemptOutcome::Throttled,
            AttemptOutcome::InDoubt,
        ];
        sent.into_iter().map(|how| self.of(how)).sum()
    }

    fn add(&mut self, attempt: &AttemptSummary, how: AttemptOutcome) {
        self.ended[how as usize] += 1;
        self.repeats += u64::from(attempt.is_repeat);
        if is_answered(how) {
            self.latency.add(attempt.took);
        }
    }
}

fn is_answered(how: AttemptOutcome) -> bool {
    matches!(
        how,
        AttemptOutcome::Succeeded
            | AttemptOutcome::Advanced
            | AttemptOutcome::NotReady
            | AttemptOutcome::Failed
    )
}

/// The number of files that had a certain number of attempts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Jobs {
    pub(super) all: u64,
    /// Files whose last attempt succeeded.
    pub(super) succeeded: u64,
}

/// The sums of all attempts. Their size does not depend on how many there are.
#[derive(Debug)]
pub(super) struct Sums {
    /// Sums by the step of the time axis in which the attempts ended.
    pub(super) steps: Vec<Totals>,
    pub(super) all: Totals,
    pub(super) chunks: BTreeMap<i64, Latency>,
    /// Files by their number of attempts; at most [`MOST_TRIES`].
    pub(super) tries: BTreeMap<usize, Jobs>,
    /// The number of attempts of each session.
    pub(super) sessions: HashMap<i64, u64>,
    /// The slowest calls, the slowest first.
    pub(super) slowest: Vec<AttemptSummary>,
    /// The file whose attempts are being added, their number, and whether the last one succeeded.
    job: Option<(JobId, usize, bool)>,
}

impl Sums {
    pub(super) fn new(steps: usize) -> Self {
        Self {
            steps: vec![Totals::default(); steps],
            all: Totals::default(),
            chunks: BTreeMap::new(),
            tries: BTreeMap::new(),
            sessions: HashMap::new(),
            slowest: Vec::new(),
            job: None,
        }
    }

    /// Adds an attempt. The attempts of a file must be consecutive.
    pub(super) fn add(&mut self, attempt: &AttemptSummary, step: Option<usize>) {
        let has_succeeded = attempt.outcome == Some(AttemptOutcome::Succeeded);
        match &mut self.job {
            Some((job, attempts, succeeded)) if *job == attempt.job => {
                *attempts += 1;
                *succeeded = has_succeeded;
            }
            _ => {
                self.finish();
                self.job = Some((attempt.job, 1, has_succeeded));
            }
        }
        *self.sessions.entry(attempt.runner).or_default() += 1;
        let Some(how) = attempt.outcome else { return };
        self.all.add(attempt, how);
        if let Some(step) = step.and_then(|step| self.steps.get_mut(step)) {
            step.add(attempt, how);
        }
        let has_room = self.chunks.len() < MOST_CHUNKS || self.chunks.contains_key(&attempt.chunk);
        if is_answered(how) && has_room {
            let latency = self.chunks.entry(attempt.chunk).or_default();
            latency.add(attempt.took);
        }
        if !matches!(how, AttemptOutcome::NotSent | AttemptOutcome::Interrupted) {
            // Calls that took equally long keep their order.
            let slowest = &mut self.slowest;
            let at = slowest.partition_point(|slow| slow.took >= attempt.took);
            if at < SLOWEST {
                slowest.truncate(SLOWEST - 1);
                slowest.insert(at, *attempt);
            }
        }
    }

    /// Counts the last file.
    pub(super) fn finish(&mut self) {
        if let Some((_, attempts, succeeded)) = self.job.take() {
            let jobs = self.tries.entry(attempts.min(MOST_TRIES)).or_default();
            jobs.all += 1;
            jobs.succeeded += u64::from(succeeded);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(job: i64, number: u32, how: Option<AttemptOutcome>, took: i64) -> AttemptSummary {
        AttemptSummary {
            job: JobId(job),
            number,
            is_repeat: number > 1,
            runner: 1,
            chunk: job % 2,
            started: 0,
            took,
            outcome: how,
        }
    }

    #[test]
    fn attempts_are_added_up() {
        let mut sums = Sums::new(2);
        sums.add(&attempt(1, 1, Some(AttemptOutcome::Throttled), 5), Some(0));
        sums.add(
            &attempt(1, 2, Some(AttemptOutcome::Succeeded), 100),
            Some(1),
        );
        sums.add(&attempt(2, 1, Some(AttemptOutcome::Failed), 300), Some(1));
        sums.add(
            &attempt(3, 1, Some(AttemptOutcome::NotSent), 9_000),
            Some(1),
        );
        sums.add(&attempt(3, 2, None, 0), None);
        sums.finish();
        assert_eq!((sums.all.calls(), sums.all.repeats), (3, 1));
        assert_eq!(sums.steps[1].of(AttemptOutcome::Succeeded), 1);
        assert_eq!(sums.all.latency.count(), 2, "throttled is no answer");
        let tries = sums.tries.iter();
        let tries: Vec<_> = tries
            .map(|(n, jobs)| (*n, jobs.all, jobs.succeeded))
            .collect();
        assert_eq!(tries, [(1, 1, 0), (2, 2, 1)]);
        assert_eq!(sums.chunks[&1].count() + sums.chunks[&0].count(), 2);
        let slowest: Vec<i64> = sums.slowest.iter().map(|slow| slow.took).collect();
        assert_eq!(slowest, [300, 100, 5], "what was not sent is not slow");
    }

    #[test]
    fn the_slowest_of_many_are_kept() {
        let mut sums = Sums::new(0);
        let took = |job: i64| 1 + job * 7_919 % 10_007;
        for job in 0..10_000 {
            sums.add(
                &attempt(job, 1, Some(AttemptOutcome::Succeeded), took(job)),
                None,
            );
        }
        let mut all: Vec<i64> = (0..10_000).map(took).collect();
        all.sort_unstable_by_key(|took| std::cmp::Reverse(*took));
        let slowest: Vec<i64> = sums.slowest.iter().map(|slow| slow.took).collect();
        assert_eq!(slowest, all[..20]);
    }
}
