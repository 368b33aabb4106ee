//! Tracks the calls in flight, because the view names the slowest ones.

use std::collections::HashMap;

use stride::job::{FileName, JobId};

/// The file of each call and the moment when the call began, in milliseconds since 1970.
#[derive(Debug, Default)]
pub(crate) struct InFlight(HashMap<JobId, (FileName, i64)>);

impl InFlight {
    pub(crate) fn began(&mut self, job: JobId, path: FileName, now: i64) {
        self.0.insert(job, (path, now));
    }

    pub(crate) fn ended(&mut self, job: JobId) {
        self.0.remove(&job);
    }

    /// Returns the calls that began first, in order.
    pub(crate) fn slowest(&self, most: usize) -> Vec<(FileName, i64)> {
        let mut all: Vec<&(FileName, i64)> = self.0.values().collect();
        all.sort_unstable_by(|(a, began), (b, other)| (began, a).cmp(&(other, b)));
        all.into_iter().take(most).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_began_first() {
        let mut calls = InFlight::default();
        for (job, name) in ["d", "c", "b", "a"].into_iter().enumerate() {
            let moment = [1, 3, 2, 2][job];
            calls.began(JobId(job as i64), name.into(), moment);
        }
        calls.ended(JobId(0));
        calls.ended(JobId(7));
        let named = |(name, moment): (&str, i64)| (FileName::from(name), moment);
        assert_eq!(calls.slowest(2), [("a", 2), ("b", 2)].map(named));
        assert_eq!(calls.slowest(9).len(), 3);
    }
}
