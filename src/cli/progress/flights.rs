//! The calls in flight, as far as they may have to be named: as many as there are threads.

use std::collections::HashMap;

use stride::job::{FileName, JobId};

/// Each with its file's name and when it began, in milliseconds since 1970.
#[derive(Debug, Default)]
pub(crate) struct Flights(HashMap<JobId, (FileName, i64)>);

impl Flights {
    pub(crate) fn began(&mut self, job: JobId, path: FileName, now: i64) {
        self.0.insert(job, (path, now));
    }

    pub(crate) fn ended(&mut self, job: JobId) {
        self.0.remove(&job);
    }

    /// The few that began first, the very first at the beginning.
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
        let mut flights = Flights::default();
        for (job, name) in ["d", "c", "b", "a"].into_iter().enumerate() {
            let moment = [1, 3, 2, 2][job];
            flights.began(JobId(job as i64), name.into(), moment);
        }
        flights.ended(JobId(0));
        flights.ended(JobId(7));
        let named = |(name, moment): (&str, i64)| (FileName::from(name), moment);
        assert_eq!(flights.slowest(2), [("a", 2), ("b", 2)].map(named));
        assert_eq!(flights.slowest(9).len(), 3);
    }
}
