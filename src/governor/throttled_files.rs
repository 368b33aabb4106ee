//! Counts the throttled calls of each file. A file that is throttled repeatedly while others are accepted is at fault
//! itself, and no evidence for a limit.

use std::collections::HashMap;
use std::time::Duration;

use crate::job::JobId;

/// Files whose latest call was throttled.
#[derive(Debug, Default)]
pub(super) struct ThrottledFiles {
    files: HashMap<JobId, FileThrottles>,
    /// Successful calls.
    successes: u64,
}

/// The throttled calls of one file that count. [`ThrottledFiles::record`] says which.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileThrottles {
    pub(super) count: u32,
    /// Moment of the first.
    since: Duration,
    /// Successful calls of all files when the latest was recorded.
    successes: u64,
}

impl FileThrottles {
    /// The least number of throttles that are the file's own fault.
    pub(super) const OWN: u32 = 3;
    /// Throttles, and time since the first, after which the file fails.
    const MOST: u32 = 10;
    const LONGEST: Duration = Duration::from_secs(600);

    pub(super) fn are_own(&self) -> bool {
        self.count >= Self::OWN
    }

    /// Returns true if the file fails.
    pub(super) fn are_final(&self, now: Duration) -> bool {
        self.count >= Self::MOST && now.saturating_sub(self.since) >= Self::LONGEST
    }
}

impl ThrottledFiles {
    /// The least number of throttled files that counts as many.
    const MANY: usize = 6;

    /// Records a throttled call. Each counts if `all_count`, or after the third. Otherwise only the first counts, and
    /// each after a success of another file. With `few_left` each after the second counts, because soon no other file is
    /// left that could succeed.
    pub(super) fn record(
        &mut self,
        file: JobId,
        now: Duration,
        all_count: bool,
        few_left: bool,
    ) -> FileThrottles {
        let throttles = self.files.entry(file).or_insert(FileThrottles {
            count: 0,
            since: now,
            successes: u64::MAX,
        });
        let others = throttles.successes != self.successes;
        // A file with throttles of its own is called last, so there may be no other.
        if others || throttles.are_own() || all_count || few_left && throttles.count > 1 {
            throttles.count += 1;
        }
        throttles.successes = self.successes;
        *throttles
    }

    pub(super) fn succeeded(&mut self, file: JobId) {
        self.successes += 1;
        self.remove(file);
    }

    pub(super) fn remove(&mut self, file: JobId) {
        self.files.remove(&file);
    }

    pub(super) fn is_one(&self) -> bool {
        self.files.len() == 1
    }

    pub(super) fn are_many(&self) -> bool {
        self.files.len() >= Self::MANY
    }

    /// Returns the file with the most throttles of its own, and their number.
    pub(super) fn most(&self) -> Option<(JobId, u32)> {
        let own = (self.files.iter()).filter(|(_, throttles)| throttles.are_own());
        own.map(|(file, throttles)| (*file, throttles.count))
            .max_by_key(|(file, count)| (*count, file.0))
    }
}
