//! Which job is for which thread. Pure: time is an argument, and jobs come in pages that the store offers in
//! list order.
//!
//! With N threads, chunk *i* is the positions ≡ *i* (mod N), and thread *i* takes them in order. A thread whose
//! chunk has nothing takes from the chunk with most left. Memory does not grow with the list: each chunk keeps
//! a short hand of jobs and a cursor, from which the next page is read when the hand is empty. A chunk that
//! falls behind has its hand full and its cursor stays; what lies between its cursor and the others' is then
//! mostly its own, so that reading it again later costs little.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use crate::job::{JobId, Position};
use crate::retry::MAY_KILL;
use crate::store::Offer;

/// What a thread that asks for a job gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Deal {
    /// This job.
    Job(JobId),
    /// Nothing is known yet: read a page from this position on, hand it to [`Dealer::offer`] and ask again.
    Look(Position),
    /// This job, if no call is in flight: it may kill its process. Otherwise ask again.
    Alone(JobId),
    /// Every job that is left waits; the first one until this moment.
    Wait(Duration),
    /// No job is left.
    Nothing,
}

#[derive(Debug)]
pub(super) struct Dealer {
    chunks: Vec<Chunk>,
    /// The end of the list, to tell how much of a chunk is left.
    end: u64,
    /// The latest moment until which any job has had to wait.
    last_due: Duration,
    /// Jobs that are called after all others, by the moment from which they may be.
    last: BinaryHeap<Reverse<(Duration, JobId)>>,
    /// Jobs that may kill their process, which are called after all others, each alone. Those come first that were there at
    /// the fewest deaths, so that an innocent one has its turn before it is held.
    alone: BinaryHeap<Reverse<(u32, Duration, JobId)>>,
}

#[derive(Debug, Default)]
struct Chunk {
    /// Jobs to be called, in list order.
    hand: VecDeque<JobId>,
    /// Jobs that came back or have to wait, by the moment from which they may be called.
    waiting: BinaryHeap<Reverse<(Duration, Position, JobId)>>,
    /// Everything pending before this position has been dealt.
    cursor: u64,
    /// Nothing lies beyond the cursor.
    exhausted: bool,
}

impl Chunk {
    fn take(&mut self, now: Duration) -> Option<JobId> {
        if self
            .waiting
            .peek()
            .is_some_and(|Reverse((due, ..))| *due <= now)
        {
            return self.waiting.pop().map(|Reverse((.., job))| job);
        }
        self.hand.pop_front()
    }

    /// How many jobs are left, as far as the cursor tells: what lies beyond it may be done already.
    fn left(&self, end: u64, threads: usize) -> u64 {
        let beyond = if self.exhausted {
            0
        } else {
            end.saturating_sub(self.cursor) / threads as u64 + 1
        };
        self.hand.len() as u64 + self.waiting.len() as u64 + beyond
    }

    /// Whether there is room for what lies beyond the cursor. A chunk with very many jobs waiting reads on when
    /// some of them are due.
    fn can_look(&self, most: usize) -> bool {
        !self.exhausted && self.waiting.len() < most
    }

    fn has_more(&self, now: Duration, most: usize) -> bool {
        self.can_look(most)
            || !self.hand.is_empty()
            || self
                .waiting
                .peek()
                .is_some_and(|Reverse((due, ..))| *due <= now)
    }
}

impl Dealer {
    /// A dealer for so many threads, on a list of so many jobs.
    pub(super) fn new(threads: usize, end: u64) -> Self {
        Self {
            chunks: std::iter::repeat_with(Chunk::default)
                .take(threads)
                .collect(),
            end,
            last_due: Duration::ZERO,
            last: BinaryHeap::new(),
            alone: BinaryHeap::new(),
        }
    }

    /// The moment from which the last of the jobs that wait may be called. Where it has passed, none waits.
    pub(super) fn last_due(&self) -> Duration {
        self.last_due
    }

    /// The moment from which the first of the jobs that wait may be called.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let waiting = self.chunks.iter().filter_map(|chunk| chunk.waiting.peek());
        let waiting = waiting.map(|Reverse((due, ..))| *due);
        waiting
            .chain(self.last.peek().map(|Reverse((due, _))| *due))
            .min()
            .or_else(|| self.alone.peek().map(|Reverse((_, due, _))| *due))
    }

    /// For how many threads it deals.
    pub(super) fn threads(&self) -> usize {
        self.chunks.len()
    }

    /// How many jobs a page should have.
    pub(super) fn page(&self) -> usize {
        (4 * self.chunks.len()).max(1024)
    }

    /// How many jobs a chunk's hand may have.
    fn most_in_hand(&self) -> usize {
        (65_536 / self.chunks.len()).max(64)
    }

    /// The next job for a thread. A job that is dealt and not claimed is lost to this dealer.
    pub(super) fn deal(&mut self, thread: usize, now: Duration) -> Deal {
        let most = self.most_in_hand();
        let own = &mut self.chunks[thread];
        if let Some(job) = own.take(now) {
            return Deal::Job(job);
        }
        if own.can_look(most) {
            return Deal::Look(Position(own.cursor));
        }
        let (end, threads) = (self.end, self.chunks.len());
        let fullest = self
            .chunks
            .iter_mut()
            .filter(|chunk| chunk.has_more(now, most))
            .max_by_key(|chunk| chunk.left(end, threads));
        if let Some(chunk) = fullest {
            return chunk
                .take(now)
                .map_or(Deal::Look(Position(chunk.cursor)), Deal::Job);
        }
        if let Some(Reverse((due, job))) = self.last.peek().copied()
            && due <= now
        {
            self.last.pop();
            return Deal::Job(job);
        }
        match (self.next_due(), self.alone.peek()) {
            // No other job is due, or it would have been dealt.
            (Some(due), Some(Reverse((.., job)))) if due <= now => Deal::Alone(*job),
            (due, _) => due.map_or(Deal::Nothing, Deal::Wait),
        }
    }

    /// Deals the job of [`Deal::Alone`].
    pub(super) fn take_alone(&mut self) {
        self.alone.pop();
    }

    /// Takes in a page: the pending jobs from `from` on, in list order. `full` says that there may be more
    /// behind the last of them.
    pub(super) fn offer(&mut self, from: Position, page: &[Offer], full: bool, now: Duration) {
        let (threads, most) = (self.chunks.len(), self.most_in_hand());
        // A chunk whose cursor lies before the page cannot use it: what is between would be skipped.
        let mut uses: Vec<bool> = self
            .chunks
            .iter()
            .map(|chunk| chunk.cursor >= from.0 && !chunk.exhausted)
            .collect();
        for offer in page {
            let index = offer.position.chunk(threads);
            let due = now + offer.wait;
            let chunk = &mut self.chunks[index];
            if !uses[index] || offer.position.0 < chunk.cursor {
                continue;
            }
            if chunk.hand.len() >= most || chunk.waiting.len() >= most {
                chunk.cursor = offer.position.0;
                uses[index] = false;
            } else if offer.crashes >= MAY_KILL {
                self.last_due = self.last_due.max(due);
                self.alone.push(Reverse((offer.crashes, due, offer.job)));
            } else if offer.wait.is_zero() {
                chunk.hand.push_back(offer.job);
            } else {
                self.last_due = self.last_due.max(due);
                let waiting = Reverse((due, offer.position, offer.job));
                chunk.waiting.push(waiting);
            }
        }
        let behind = page.last().map_or(from.0, |last| last.position.0 + 1);
        for (chunk, used) in self.chunks.iter_mut().zip(uses) {
            if used {
                chunk.cursor = chunk.cursor.max(behind);
                chunk.exhausted = !full;
            }
        }
    }

    /// Takes a job back that is to be called after all others, from `due` on.
    pub(super) fn put_last(&mut self, job: JobId, due: Duration) {
        self.last_due = self.last_due.max(due);
        self.last.push(Reverse((due, job)));
    }

    /// Takes a job back that may kill its process, to be called from `due` on.
    pub(super) fn put_alone(&mut self, job: JobId, crashes: u32, due: Duration) {
        self.last_due = self.last_due.max(due);
        self.alone.push(Reverse((crashes, due, job)));
    }

    /// Takes a job back that is to be called again, from `due` on.
    pub(super) fn put_back(&mut self, job: JobId, position: Position, due: Duration) {
        let index = position.chunk(self.chunks.len());
        self.last_due = self.last_due.max(due);
        self.chunks[index]
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

    /// A store of pending positions; a job's id is its position plus 1000.
    struct Model {
        pending: BTreeSet<u64>,
        dealer: Dealer,
        looks: usize,
    }

    impl Model {
        fn new(threads: usize, pending: impl IntoIterator<Item = u64>) -> Self {
            let pending: BTreeSet<u64> = pending.into_iter().collect();
            let end = pending.last().map_or(0, |last| last + 1);
            Self {
                dealer: Dealer::new(threads, end),
                pending,
                looks: 0,
            }
        }

        fn next(&mut self, thread: usize, page: usize) -> Option<u64> {
            loop {
                match self.dealer.deal(thread, NOW) {
                    Deal::Job(job) => {
                        let position = job.0 as u64 - 1000;
                        assert!(self.pending.remove(&position), "{position} was dealt twice");
                        return Some(position);
                    }
                    Deal::Look(from) => {
                        let offer = |&position: &u64| Offer {
                            job: JobId(position as i64 + 1000),
                            position: Position(position),
                            wait: Duration::ZERO,
                            crashes: 0,
                        };
                        let found: Vec<Offer> =
                            self.pending.range(from.0..).take(page).map(offer).collect();
                        self.looks += 1;
                        self.dealer.offer(from, &found, found.len() == page, NOW);
                    }
                    Deal::Alone(_) | Deal::Wait(_) | Deal::Nothing => return None,
                }
            }
        }
    }

    #[test]
    fn each_thread_takes_its_own_stride_in_order() {
        let mut model = Model::new(3, 0..9);
        for round in 0..3 {
            for thread in 0..3 {
                assert_eq!(model.next(thread, 4), Some(round * 3 + thread as u64));
            }
        }
        assert_eq!(model.next(1, 4), None);
    }

    #[test]
    fn an_idle_thread_helps_the_chunk_with_most_left() {
        let mut model = Model::new(3, [0, 1, 2, 4, 5, 7, 10, 13]);
        assert_eq!(model.next(0, 100), Some(0));
        // Chunk 1 has 1, 4, 7, 10, 13; chunk 2 has 2, 5.
        assert_eq!(model.next(0, 100), Some(1));
        assert_eq!(model.next(0, 100), Some(4));
        assert_eq!(model.next(1, 100), Some(7));
        assert_eq!(model.next(2, 100), Some(2));
    }

    #[test]
    fn what_came_back_is_called_again_when_it_is_due_and_not_before() {
        let mut dealer = Dealer::new(2, 0);
        dealer.offer(Position(0), &[], false, NOW);
        assert_eq!(dealer.deal(0, NOW), Deal::Nothing);
        let later = NOW + Duration::from_secs(5);
        dealer.put_back(JobId(7), Position(3), later);
        assert_eq!(dealer.deal(0, NOW), Deal::Wait(later));
        assert_eq!(
            dealer.deal(0, later),
            Deal::Job(JobId(7)),
            "another chunk's thread takes it"
        );
        assert_eq!(dealer.deal(1, later), Deal::Nothing);
    }

    #[test]
    fn jobs_that_may_kill_their_process_come_after_all_others() {
        let mut dealer = Dealer::new(2, 3);
        let offer = |position, crashes| Offer {
            job: JobId(position),
            position: Position(position as u64),
            wait: Duration::ZERO,
            crashes,
        };
        let page = [offer(0, 3), offer(1, 1), offer(2, 2)];
        dealer.offer(Position(0), &page, false, NOW);
        assert_eq!(dealer.deal(0, NOW), Deal::Job(JobId(1)));
        let later = NOW + Duration::from_secs(5);
        dealer.put_back(JobId(1), Position(1), later);
        assert_eq!(dealer.deal(0, NOW), Deal::Wait(later));
        assert_eq!(dealer.deal(0, later), Deal::Job(JobId(1)));
        for job in [2, 0] {
            assert_eq!(dealer.deal(0, later), Deal::Alone(JobId(job)));
            assert_eq!(dealer.deal(1, later), Deal::Alone(JobId(job)));
            dealer.take_alone();
        }
        assert_eq!(dealer.deal(0, later), Deal::Nothing);
        dealer.put_alone(JobId(0), 3, later);
        assert_eq!(dealer.deal(0, NOW), Deal::Wait(later));
        assert_eq!(dealer.deal(0, later), Deal::Alone(JobId(0)));
    }

    #[test]
    fn a_stored_wait_is_kept() {
        let mut dealer = Dealer::new(1, 2);
        let wait = Duration::from_secs(3);
        let offer = |position, wait| Offer {
            job: JobId(position as i64),
            position: Position(position),
            wait,
            crashes: 0,
        };
        dealer.offer(
            Position(0),
            &[offer(0, wait), offer(1, Duration::ZERO)],
            false,
            NOW,
        );
        assert_eq!(dealer.deal(0, NOW), Deal::Job(JobId(1)));
        assert_eq!(dealer.deal(0, NOW), Deal::Wait(NOW + wait));
        assert_eq!(dealer.last_due(), NOW + wait);
        dealer.put_back(JobId(1), Position(1), NOW + 2 * wait);
        let due = (dealer.next_due(), dealer.last_due());
        assert_eq!(due, (Some(NOW + wait), NOW + 2 * wait));
    }

    #[test]
    fn jobs_that_wait_do_not_fill_the_memory_and_all_are_dealt_in_the_end() {
        let mut dealer = Dealer::new(2, 1_000_000);
        let most = dealer.most_in_hand();
        let all = 5 * most as u64;
        let wait = Duration::from_secs(9);
        let later = NOW + wait;
        let (mut dealt, mut now, mut pending) = (0, NOW, 0..all);
        while dealt < all {
            match dealer.deal(0, now) {
                Deal::Job(_) => dealt += 1,
                Deal::Wait(due) => now = due,
                Deal::Alone(_) | Deal::Nothing => panic!("{dealt} of {all} were dealt"),
                Deal::Look(from) => {
                    let offers = (from.0..all).take(dealer.page()).map(|position| Offer {
                        job: JobId(position as i64),
                        position: Position(position),
                        wait: later.saturating_sub(now),
                        crashes: 0,
                    });
                    let page: Vec<Offer> = offers.collect();
                    dealer.offer(from, &page, page.len() == dealer.page(), now);
                    pending.next();
                }
            }
            assert!(
                dealer
                    .chunks
                    .iter()
                    .all(|chunk| chunk.waiting.len() <= most)
            );
        }
        assert!(pending.next().is_some(), "a page was read for every job");
    }

    #[test]
    fn a_stuck_chunk_costs_neither_memory_nor_order() {
        let most = Dealer::new(4, 0).most_in_hand();
        let all = 8 * most as u64;
        let mut model = Model::new(4, 0..all);
        // Threads 1 to 3 finish their chunks while thread 0 does not ask once.
        for _ in 0..all / 4 {
            for thread in 1..4 {
                model.next(thread, 1024);
            }
        }
        assert!(
            model
                .dealer
                .chunks
                .iter()
                .all(|chunk| chunk.hand.len() <= most)
        );
        let rest: Vec<u64> = std::iter::from_fn(|| model.next(0, 1024)).collect();
        assert!(rest.is_sorted() && rest.iter().all(|position| position % 4 == 0));
        assert!(model.pending.is_empty());
        assert!(model.looks < 160, "{} pages of 128", model.looks);
    }

    proptest! {
        /// Whatever the order in which threads ask, every pending job is dealt once; and as long as its own
        /// chunk has jobs a thread takes those, in order.
        #[test]
        fn every_job_is_dealt_once(
            threads in 1usize..9,
            pending in prop::collection::btree_set(0u64..400, 0..200),
            asks in prop::collection::vec(0usize..9, 0..600),
            page in 1usize..40,
        ) {
            let mut model = Model::new(threads, pending.iter().copied());
            let mut dealt = Vec::new();
            let mut own: Vec<VecDeque<u64>> = (0..threads)
                .map(|thread| pending.iter().copied().filter(|position| position % threads as u64 == thread as u64).collect())
                .collect();
            for ask in asks.into_iter().chain(std::iter::repeat_n(0, 201)) {
                let thread = ask % threads;
                let Some(position) = model.next(thread, page) else { continue };
                let chunk = (position % threads as u64) as usize;
                prop_assert!(chunk == thread || own[thread].is_empty());
                prop_assert_eq!(own[chunk].pop_front(), Some(position));
                dealt.push(position);
            }
            dealt.sort_unstable();
            prop_assert_eq!(dealt, pending.into_iter().collect::<Vec<_>>());
        }
    }
}
