//! Strided queue: decides which slot gets which job. Pure: time is an argument, and the store offers jobs in pages,
//! in list order.
//!
//! Slot *i* of N takes the positions ≡ *i* (mod N) in order: its partition. A slot whose partition is empty
//! takes from the fullest one. Memory does not grow with the list: a partition keeps a short buffer and a cursor,
//! from which the next page is read. When a partition falls behind, its buffer fills and its cursor stays. Later it
//! reads again from there, which costs little, because by then mostly its own jobs are left.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use crate::job::{JobId, Position};
use crate::retry::MAY_KILL;
use crate::store::Offer;

/// The answer to a slot that asks for a job.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NextJob {
    /// The job to call.
    Job(JobId),
    /// Read a page from this position on, pass it to [`StridedQueue::add_page`] and ask again.
    NeedPage(Position),
    /// This job may kill its process: take it if no call is in flight, otherwise ask again.
    Alone(JobId),
    /// All jobs left wait, the first one until this moment.
    Wait(Duration),
    /// No job is left.
    Empty,
}

#[derive(Debug)]
pub(super) struct StridedQueue {
    partitions: Vec<Partition>,
    /// Length of the list, to estimate the rest of a partition.
    end: u64,
    /// Latest moment until which any job had to wait.
    last_due: Duration,
    /// Jobs to call after all others, by due time.
    last: BinaryHeap<Reverse<(Duration, JobId)>>,
    /// Jobs that may kill their process: each is called alone, after all others. Those with the fewest crashes come
    /// first, so that an innocent job gets its turn before it is held.
    alone: BinaryHeap<Reverse<(u32, Duration, JobId)>>,
}

#[derive(Debug, Default)]
struct Partition {
    /// Jobs to call, in list order.
    buffer: VecDeque<JobId>,
    /// Jobs to call again or later, by due time.
    waiting: BinaryHeap<Reverse<(Duration, Position, JobId)>>,
    /// Pending jobs before this position have been taken in.
    cursor: u64,
    /// No job follows the cursor.
    exhausted: bool,
}

impl Partition {
    fn is_due(&self, now: Duration) -> bool {
        (self.waiting.peek()).is_some_and(|Reverse((due, ..))| *due <= now)
    }

    fn take(&mut self, now: Duration) -> Option<JobId> {
        if self.is_due(now) {
            return self.waiting.pop().map(|Reverse((.., job))| job);
        }
        self.buffer.pop_front()
    }

    /// Estimates the jobs left. Those beyond the cursor may be done already.
    fn remaining(&self, end: u64, slots: usize) -> u64 {
        let beyond = if self.exhausted {
            0
        } else {
            end.saturating_sub(self.cursor) / slots as u64 + 1
        };
        self.buffer.len() as u64 + self.waiting.len() as u64 + beyond
    }

    /// Returns true if the next page fits. A partition with very many waiting jobs reads on once some are due.
    fn can_load(&self, most: usize) -> bool {
        !self.exhausted && self.waiting.len() < most
    }

    fn has_more(&self, now: Duration, most: usize) -> bool {
        self.can_load(most) || !self.buffer.is_empty() || self.is_due(now)
    }
}

impl StridedQueue {
    /// Creates a queue for a list of `end` jobs.
    pub(super) fn new(slots: usize, end: u64) -> Self {
        Self {
            partitions: std::iter::repeat_with(Partition::default)
                .take(slots)
                .collect(),
            end,
            last_due: Duration::ZERO,
            last: BinaryHeap::new(),
            alone: BinaryHeap::new(),
        }
    }

    /// Returns when the last waiting job is due. Once this has passed, no job waits.
    pub(super) fn last_due(&self) -> Duration {
        self.last_due
    }

    /// Returns when the first waiting job is due.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let waiting = (self.partitions.iter()).filter_map(|partition| partition.waiting.peek());
        let waiting = waiting.map(|Reverse((due, ..))| *due);
        let last = self.last.peek().map(|Reverse((due, _))| *due);
        let alone = self.alone.peek().map(|Reverse((_, due, _))| *due);
        waiting.chain(last).min().or(alone)
    }

    /// Returns the number of partitions.
    pub(super) fn slots(&self) -> usize {
        self.partitions.len()
    }

    /// Returns the number of jobs to read in a page.
    pub(super) fn page_size(&self) -> usize {
        (4 * self.partitions.len()).max(1024)
    }

    /// Returns the maximum number of jobs in a partition's buffer.
    fn buffer_limit(&self) -> usize {
        (65_536 / self.partitions.len()).max(64)
    }

    /// Returns the next job for a slot and removes it from the queue.
    pub(super) fn next(&mut self, slot: usize, now: Duration) -> NextJob {
        let most = self.buffer_limit();
        let own = &mut self.partitions[slot];
        if let Some(job) = own.take(now) {
            return NextJob::Job(job);
        }
        if own.can_load(most) {
            return NextJob::NeedPage(Position(own.cursor));
        }
        let (end, slots) = (self.end, self.partitions.len());
        let fullest = (self.partitions.iter_mut())
            .filter(|partition| partition.has_more(now, most))
            .max_by_key(|partition| partition.remaining(end, slots));
        if let Some(partition) = fullest {
            return partition
                .take(now)
                .map_or(NextJob::NeedPage(Position(partition.cursor)), NextJob::Job);
        }
        if let Some(Reverse((due, job))) = self.last.peek().copied()
            && due <= now
        {
            self.last.pop();
            return NextJob::Job(job);
        }
        match (self.next_due(), self.alone.peek()) {
            // Any other due job would have been returned before.
            (Some(due), Some(Reverse((.., job)))) if due <= now => NextJob::Alone(*job),
            (due, _) => due.map_or(NextJob::Empty, NextJob::Wait),
        }
    }

    /// Removes the job of [`NextJob::Alone`].
    pub(super) fn take_alone(&mut self) {
        self.alone.pop();
    }

    /// Adds a page: the pending jobs from `from` on, in list order. `full` means that more may follow.
    pub(super) fn add_page(&mut self, from: Position, page: &[Offer], full: bool, now: Duration) {
        let (slots, most) = (self.partitions.len(), self.buffer_limit());
        // A partition whose cursor lies before the page would skip the jobs in between.
        let mut uses: Vec<bool> = (self.partitions.iter())
            .map(|partition| partition.cursor >= from.0 && !partition.exhausted)
            .collect();
        for offer in page {
            let index = offer.position.chunk(slots);
            let due = now + offer.wait;
            let partition = &mut self.partitions[index];
            if !uses[index] || offer.position.0 < partition.cursor {
                continue;
            }
            if partition.buffer.len() >= most || partition.waiting.len() >= most {
                partition.cursor = offer.position.0;
                uses[index] = false;
            } else if offer.crashes >= MAY_KILL {
                self.put_alone(offer.job, offer.crashes, due);
            } else if offer.wait.is_zero() {
                partition.buffer.push_back(offer.job);
            } else {
                self.put_back(offer.job, offer.position, due);
            }
        }
        let behind = page.last().map_or(from.0, |last| last.position.0 + 1);
        for (partition, used) in self.partitions.iter_mut().zip(uses) {
            if used {
                partition.cursor = partition.cursor.max(behind);
                partition.exhausted = !full;
            }
        }
    }

    /// Adds a job to call after all others, from `due` on.
    pub(super) fn put_last(&mut self, job: JobId, due: Duration) {
        self.last_due = self.last_due.max(due);
        self.last.push(Reverse((due, job)));
    }

    /// Adds a job that may kill its process, to call from `due` on.
    pub(super) fn put_alone(&mut self, job: JobId, crashes: u32, due: Duration) {
        self.last_due = self.last_due.max(due);
        self.alone.push(Reverse((crashes, due, job)));
    }

    /// Adds a job to call again from `due` on.
    pub(super) fn put_back(&mut self, job: JobId, position: Position, due: Duration) {
        let index = position.chunk(self.partitions.len());
        self.last_due = self.last_due.max(due);
        self.partitions[index]
            .waiting
            .push(Reverse((due, position, job)));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const NOW: Duration = Duration::from_secs(100);
    const WAIT: Duration = Duration::from_secs(5);

    /// A pending job, whose id is its position.
    fn offer(position: u64, wait: Duration, crashes: u32) -> Offer {
        Offer {
            job: JobId(position as i64),
            position: Position(position),
            wait,
            crashes,
        }
    }

    /// A queue, and a store of pending positions.
    struct Model {
        pending: BTreeSet<u64>,
        queue: StridedQueue,
        pages: usize,
    }

    impl Model {
        fn new(slots: usize, pending: impl IntoIterator<Item = u64>) -> Self {
            let pending: BTreeSet<u64> = pending.into_iter().collect();
            let end = pending.last().map_or(0, |last| last + 1);
            Self {
                queue: StridedQueue::new(slots, end),
                pending,
                pages: 0,
            }
        }

        fn next(&mut self, slot: usize, page: usize) -> Option<u64> {
            loop {
                match self.queue.next(slot, NOW) {
                    NextJob::Job(JobId(job)) => {
                        let position = job as u64;
                        assert!(self.pending.remove(&position), "{position} came twice");
                        return Some(position);
                    }
                    NextJob::NeedPage(from) => {
                        let offers = self.pending.range(from.0..).take(page);
                        let offers: Vec<Offer> = offers
                            .map(|position| offer(*position, Duration::ZERO, 0))
                            .collect();
                        self.pages += 1;
                        (self.queue).add_page(from, &offers, offers.len() == page, NOW);
                    }
                    NextJob::Alone(_) | NextJob::Wait(_) | NextJob::Empty => return None,
                }
            }
        }
    }

    #[test]
    fn an_idle_slot_takes_from_the_partition_with_most_left() {
        let mut model = Model::new(3, [0, 1, 2, 4, 5, 7, 10, 13]);
        // Partition 1 has 1, 4, 7, 10, 13; partition 2 has 2, 5.
        for (slot, position) in [(0, 0), (0, 1), (0, 4), (1, 7), (2, 2)] {
            assert_eq!(model.next(slot, 100), Some(position));
        }
    }

    #[test]
    fn waiting_jobs_come_when_they_are_due() {
        let mut queue = StridedQueue::new(2, 2);
        let page = [offer(0, WAIT, 0), offer(1, Duration::ZERO, 0)];
        queue.add_page(Position(0), &page, false, NOW);
        let later = NOW + WAIT;
        assert_eq!(queue.next(0, NOW), NextJob::Job(JobId(1)));
        assert_eq!(queue.next(0, NOW), NextJob::Wait(later));
        queue.put_back(JobId(1), Position(1), later + WAIT);
        assert_eq!(queue.next_due(), Some(later));
        assert_eq!(queue.last_due(), later + WAIT);
        let other = queue.next(1, later);
        assert_eq!(other, NextJob::Job(JobId(0)), "from another partition");
        assert_eq!(queue.next(0, later), NextJob::Wait(later + WAIT));
        assert_eq!(queue.next(0, later + WAIT), NextJob::Job(JobId(1)));
        assert_eq!(queue.next(1, later + WAIT), NextJob::Empty);
    }

    #[test]
    fn jobs_that_may_kill_their_process_come_after_all_others() {
        let mut queue = StridedQueue::new(2, 3);
        let page = [(0, 3), (1, 1), (2, 2)];
        let page = page.map(|(position, crashes)| offer(position, Duration::ZERO, crashes));
        queue.add_page(Position(0), &page, false, NOW);
        assert_eq!(queue.next(0, NOW), NextJob::Job(JobId(1)));
        let later = NOW + WAIT;
        queue.put_back(JobId(1), Position(1), later);
        assert_eq!(queue.next(0, NOW), NextJob::Wait(later));
        assert_eq!(queue.next(0, later), NextJob::Job(JobId(1)));
        for job in [2, 0] {
            assert_eq!(queue.next(0, later), NextJob::Alone(JobId(job)));
            assert_eq!(queue.next(1, later), NextJob::Alone(JobId(job)));
            queue.take_alone();
        }
        assert_eq!(queue.next(0, later), NextJob::Empty);
        queue.put_alone(JobId(0), 3, later);
        assert_eq!(queue.next(0, NOW), NextJob::Wait(later));
        assert_eq!(queue.next(0, later), NextJob::Alone(JobId(0)));
    }

    #[test]
    fn waiting_jobs_do_not_fill_the_memory_and_all_come_in_the_end() {
        let mut queue = StridedQueue::new(2, 1_000_000);
        let (most, full) = (queue.buffer_limit(), queue.page_size());
        let all = 5 * most as u64;
        let later = NOW + WAIT;
        let (mut came, mut now, mut pages) = (0, NOW, 0);
        while came < all {
            match queue.next(0, now) {
                NextJob::Job(_) => came += 1,
                NextJob::Wait(due) => now = due,
                NextJob::Alone(_) | NextJob::Empty => panic!("{came} of {all} came"),
                NextJob::NeedPage(from) => {
                    let offers = (from.0..all).take(full);
                    let page: Vec<Offer> = offers
                        .map(|position| offer(position, later.saturating_sub(now), 0))
                        .collect();
                    queue.add_page(from, &page, page.len() == full, now);
                    pages += 1;
                }
            }
            let waiting = queue.partitions.iter().map(|own| own.waiting.len());
            assert!(waiting.max() <= Some(most));
        }
        assert!(pages < all, "{pages} pages");
    }

    #[test]
    fn a_stuck_slot_costs_neither_memory_nor_order() {
        let most = StridedQueue::new(4, 0).buffer_limit();
        let all = 8 * most as u64;
        let mut model = Model::new(4, 0..all);
        // Slots 1 to 3 finish their partitions while slot 0 does not ask once.
        for _ in 0..all / 4 {
            for slot in 1..4 {
                model.next(slot, 1024);
            }
        }
        let buffered = model.queue.partitions.iter().map(|own| own.buffer.len());
        assert!(buffered.max() <= Some(most));
        let rest: Vec<u64> = std::iter::from_fn(|| model.next(0, 1024)).collect();
        assert!(rest.is_sorted() && rest.iter().all(|position| position % 4 == 0));
        assert!(model.pending.is_empty());
        assert!(model.pages < 160, "{} pages of 128", model.pages);
    }

    proptest! {
        /// In any order of requests, every pending job comes once. A slot takes the jobs of its own partition, in order, as
        /// long as there are any.
        #[test]
        fn every_job_comes_once(
            slots in 1usize..9,
            pending in prop::collection::btree_set(0u64..400, 0..200),
            requests in prop::collection::vec(0usize..9, 0..600),
            page in 1usize..40,
        ) {
            let mut model = Model::new(slots, pending.iter().copied());
            let mut came = Vec::new();
            let mut own = vec![VecDeque::new(); slots];
            for position in &pending {
                own[*position as usize % slots].push_back(*position);
            }
            for request in requests.into_iter().chain(std::iter::repeat_n(0, 201)) {
                let slot = request % slots;
                let Some(position) = model.next(slot, page) else { continue };
                let partition = position as usize % slots;
                prop_assert!(partition == slot || own[slot].is_empty());
                prop_assert_eq!(own[partition].pop_front(), Some(position));
                came.push(position);
            }
            came.sort_unstable();
            prop_assert_eq!(came, pending.into_iter().collect::<Vec<_>>());
        }
    }
}
