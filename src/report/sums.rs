//! What all attempts of a run come to, added up one after the other.

use std::collections::{BTreeMap, HashMap};

use crate::job::JobId;
use crate::store::{How, Tried};

use super::histogram::Histogram;

/// How many calls are the slowest.
const SLOWEST: usize = 20;
/// The most chunks that are told apart, which is more than a runner can have.
const MOST_CHUNKS: usize = 10_000;
/// From so many attempts on, jobs are counted together.
pub(super) const MOST_TRIES: usize = 1_000;

/// What some attempts came to.
#[derive(Debug, Clone, Default)]
pub(super) struct Slot {
    /// How many ended how, in the order of [`How::ALL`].
    ended: [u64; How::ALL.len()],
    /// How many of them were not their job's first.
    pub(super) repeats: u64,
    /// How long those took that were answered: with a result, or with a definite failure.
    pub(super) latency: Histogram,
}

impl Slot {
    pub(super) fn of(&self, how: How) -> u64 {
        self.ended[how as usize]
    }

    /// How many were sent, or perhaps sent, and have ended.
    pub(super) fn calls(&self) -> u64 {
        let sent = [How::Succeeded, How::Failed, How::Throttled, How::InDoubt];
        sent.into_iter().map(|how| self.of(how)).sum()
    }

    fn add(&mut self, tried: &Tried, how: How) {
        self.ended[how as usize] += 1;
        self.repeats += u64::from(tried.number > 1);
        if is_answered(how) {
            self.latency.add(tried.took.unsigned_abs());
        }
    }
}

fn is_answered(how: How) -> bool {
    matches!(how, How::Succeeded | How::Failed)
}

/// How many jobs had so many attempts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Jobs {
    /// All of them.
    pub(super) all: u64,
    /// Those whose last one succeeded.
    pub(super) succeeded: u64,
}

/// A call that took long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slow {
    pub(super) job: JobId,
    pub(super) number: u32,
    pub(super) chunk: i64,
    pub(super) started: i64,
    pub(super) took: i64,
    pub(super) how: How,
}

/// The sums.
#[derive(Debug)]
pub(super) struct Sums {
    /// By when they ended.
    pub(super) slots: Vec<Slot>,
    pub(super) all: Slot,
    /// How long those took that were answered, by chunk.
    pub(super) chunks: BTreeMap<i64, Histogram>,
    /// By how many attempts they had; at most [`MOST_TRIES`].
    pub(super) tries: BTreeMap<usize, Jobs>,
    /// How many attempts each runner made.
    pub(super) runners: HashMap<i64, u64>,
    pub(super) in_flight: u64,
    slowest: Vec<Slow>,
    /// What a call has to have taken to be one of the slowest.
    slow: i64,
    /// The job whose attempts are being added: how many there were, and whether the last one succeeded.
    job: Option<(JobId, usize, bool)>,
}

impl Sums {
    /// Of nothing, in so many buckets of time.
    pub(super) fn new(buckets: usize) -> Self {
        Self {
            slots: vec![Slot::default(); buckets],
            all: Slot::default(),
            chunks: BTreeMap::new(),
            tries: BTreeMap::new(),
            runners: HashMap::new(),
            in_flight: 0,
            slowest: Vec::new(),
            slow: 0,
            job: None,
        }
    }

    /// Adds an attempt. Those of one job come one after the other.
    pub(super) fn add(&mut self, tried: &Tried, bucket: Option<usize>) {
        match &mut self.job {
            Some((job, attempts, succeeded)) if *job == tried.job => {
                *attempts += 1;
                *succeeded = tried.how == Some(How::Succeeded);
            }
            _ => {
                self.finish();
                self.job = Some((tried.job, 1, tried.how == Some(How::Succeeded)));
            }
        }
        *self.runners.entry(tried.runner).or_default() += 1;
        let Some(how) = tried.how else {
            self.in_flight += 1;
            return;
        };
        self.all.add(tried, how);
        if let Some(slot) = bucket.and_then(|bucket| self.slots.get_mut(bucket)) {
            slot.add(tried, how);
        }
        if is_answered(how)
            && (self.chunks.len() < MOST_CHUNKS || self.chunks.contains_key(&tried.chunk))
        {
            let took = tried.took.unsigned_abs();
            self.chunks.entry(tried.chunk).or_default().add(took);
        }
        let is_sent = !matches!(how, How::NotSent | How::Interrupted);
        if is_sent && tried.took > self.slow {
            self.note_slow(tried, how);
        }
    }

    fn note_slow(&mut self, tried: &Tried, how: How) {
        self.slowest.push(Slow {
            job: tried.job,
            number: tried.number,
            chunk: tried.chunk,
            started: tried.started,
            took: tried.took,
            how,
        });
        if self.slowest.len() == 2 * SLOWEST {
            self.keep_slowest();
            self.slow = self.slowest.last().map_or(0, |slow| slow.took);
        }
    }

    fn keep_slowest(&mut self) {
        // The sort is stable: of two that took as long, the job that was there first.
        self.slowest
            .sort_by_key(|slow| std::cmp::Reverse(slow.took));
        self.slowest.truncate(SLOWEST);
    }

    /// The slowest calls, the slowest first.
    pub(super) fn take_slowest(&mut self) -> Vec<Slow> {
        self.keep_slowest();
        std::mem::take(&mut self.slowest)
    }

    /// Counts the last job.
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

    fn tried(job: i64, number: u32, how: Option<How>, took: i64) -> Tried {
        Tried {
            job: JobId(job),
            number,
            runner: 1,
            chunk: job % 2,
            started: 0,
            took,
            how,
        }
    }

    #[test]
    fn attempts_are_added_up() {
        let mut sums = Sums::new(2);
        sums.add(&tried(1, 1, Some(How::Throttled), 5), Some(0));
        sums.add(&tried(1, 2, Some(How::Succeeded), 100), Some(1));
        sums.add(&tried(2, 1, Some(How::Failed), 300), Some(1));
        sums.add(&tried(3, 1, Some(How::NotSent), 9_000), Some(1));
        sums.add(&tried(3, 2, None, 0), None);
        sums.finish();
        assert_eq!(
            (sums.all.calls(), sums.all.repeats, sums.in_flight),
            (3, 1, 1)
        );
        assert_eq!(sums.slots[1].of(How::Succeeded), 1);
        assert_eq!(sums.slots[1].latency.quantile(1.0), Some(300));
        assert_eq!(
            sums.all.latency.count(),
            2,
            "what was throttled is no answer"
        );
        let tries: Vec<_> = sums
            .tries
            .iter()
            .map(|(n, jobs)| (*n, jobs.all, jobs.succeeded))
            .collect();
        assert_eq!(tries, [(1, 1, 0), (2, 2, 1)]);
        assert_eq!(sums.chunks[&1].count() + sums.chunks[&0].count(), 2);
        let slowest: Vec<i64> = sums.take_slowest().iter().map(|slow| slow.took).collect();
        assert_eq!(slowest, [300, 100, 5], "what was not sent is not slow");
    }

    #[test]
    fn the_slowest_are_kept_of_many() {
        let mut sums = Sums::new(0);
        for job in 0..10_000 {
            sums.add(
                &tried(job, 1, Some(How::Succeeded), 1 + job * 7_919 % 10_007),
                None,
            );
        }
        let mut all: Vec<i64> = (0..10_000).map(|job| 1 + job * 7_919 % 10_007).collect();
        all.sort_unstable_by_key(|took| std::cmp::Reverse(*took));
        let slowest: Vec<i64> = sums.take_slowest().iter().map(|slow| slow.took).collect();
        assert_eq!(slowest, all[..20]);
    }
}
