use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::oneshot::{self, Receiver};

use super::*;

/// A pool at a moment, with the calls that were given to it.
struct Bench {
    pool: Pool,
    now: Instant,
    replies: Vec<Receiver<Reply>>,
}

impl Bench {
    /// A pool of at most so many workers, the first of which has this width.
    fn new(workers: Option<usize>, width: usize, is_starter: bool) -> Self {
        let rules = PoolRules {
            workers,
            threads: 8,
            timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(5),
            is_starter,
        };
        let (first, _hello) = mpsc::channel();
        let mut bench = Self {
            pool: Pool::new(rules, first),
            now: Instant::now(),
            replies: Vec::new(),
        };
        assert_eq!(bench.started(width), [0]);
        bench
    }

    /// Lets the workers say hello that the pool wants to start.
    fn started(&mut self, width: usize) -> Vec<usize> {
        let started = self.pool.take_starts();
        for index in &started {
            let hello =
                match wire::read(format!("{{\"t\":\"hello\",\"width\":{width}}}").as_bytes()) {
                    Ok(wire::Message::Hello(hello)) => hello,
                    other => panic!("{other:?}"),
                };
            self.pool.introduce(*index, hello).unwrap();
        }
        started
    }

    fn call(&mut self, alone: bool) -> usize {
        let (sender, receiver) = oneshot::channel();
        let number = self.replies.len();
        self.replies.push(receiver);
        self.pool.add(Call {
            number: number as u64,
            name: format!("file {number}").as_str().into(),
            line: "\n".to_owned(),
            alone,
            reply: sender,
        });
        self.pool.deal(self.now);
        number
    }

    fn calls(&mut self, most: usize) {
        for _ in 0..most {
            self.call(false);
        }
    }

    /// The lines for a worker since the last time, without its hello.
    fn lines(&mut self, index: usize) -> Vec<String> {
        let (lines, _) = self.pool.lines(index);
        let lines = String::from_utf8(lines).unwrap();
        lines.lines().map(str::to_owned).collect()
    }

    /// The numbers of calls that the workers got since the last time.
    fn loads(&mut self) -> Vec<usize> {
        (0..self.pool.workers.len())
            .map(|index| self.lines(index).len())
            .collect()
    }

    fn answer(&mut self, index: usize, id: u64) {
        self.pool.answer(index, id, Err(Outcome::Interrupted));
        self.pool.deal(self.now);
    }

    /// Ends a worker that has read the lines of this many bytes.
    fn end(&mut self, index: usize, read: u64) {
        let failure = Failure::new(Class::Transient, FailureKind::Crashed, "");
        let outcome = Some(Outcome::InDoubt(failure));
        self.pool.ended(index, outcome, read);
        self.pool.remove(index);
        self.pool.deal(self.now);
    }

    fn pass(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while let Some(next) = self.pool.next_check().filter(|next| *next <= end) {
            self.now = next;
            self.pool.check(next);
            self.pool.deal(next);
        }
        self.now = end;
    }

    /// The kind of a call's failure, or `None` while it has no outcome.
    fn kind(&mut self, call: usize) -> Option<FailureKind> {
        match self.replies[call].try_recv() {
            Ok(Err(outcome)) => Some(outcome.failure().unwrap().kind),
            Ok(Ok(answer)) => panic!("{answer:?}"),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Closed) => panic!("the call is lost"),
        }
    }
}

#[test]
fn workers_are_started_for_calls_that_have_no_seat() {
    let mut bench = Bench::new(None, 2, false);
    bench.calls(2);
    assert_eq!(bench.started(2), [0; 0]);
    bench.calls(3);
    // A third call does not fit, and five need three workers.
    assert_eq!(bench.started(2), [1, 2]);
    bench.pool.deal(bench.now);
    let mut loads = bench.loads();
    loads.sort_unstable();
    assert_eq!(loads, [1, 2, 2]);
    bench.calls(9);
    // Never more than the threads need, except for calls beyond them.
    assert_eq!(bench.started(2).len(), 4);

    let mut bench = Bench::new(Some(1), 2, false);
    bench.calls(5);
    assert_eq!(bench.started(2), [0; 0]);
    assert_eq!(bench.loads(), [2]);
    bench.answer(0, 2);
    assert_eq!(bench.loads(), [1]);
}

#[test]
fn a_suspect_is_called_alone_and_waits_for_an_empty_worker() {
    let mut bench = Bench::new(Some(1), 3, false);
    bench.calls(2);
    let suspect = bench.call(true);
    bench.calls(1);
    // The worker is reserved.
    assert_eq!(bench.loads(), [2]);
    bench.answer(0, 1);
    assert_eq!(bench.loads(), [0]);
    bench.answer(0, 2);
    assert_eq!(bench.lines(0), ["{\"t\":\"call\",\"id\":3"]);
    bench.calls(1);
    assert_eq!(bench.loads(), [0]);
    assert!(bench.replies[suspect].try_recv().is_err());
    bench.answer(0, 3);
    assert_eq!(bench.loads(), [2]);
}

#[test]
fn a_stuck_call_keeps_its_seat_until_the_worker_has_no_other() {
    let mut bench = Bench::new(Some(1), 4, false);
    bench.calls(1);
    bench.pass(30);
    bench.calls(2);
    bench.lines(0);
    bench.pass(31);
    assert_eq!(bench.lines(0), ["{\"t\":\"cancel\",\"id\":1}"]);
    assert_eq!(bench.kind(0), None);
    bench.pass(5);
    assert_eq!(bench.kind(0), Some(FailureKind::Timeout));
    // Two of four seats are taken by live calls, and one by the stuck one.
    bench.calls(2);
    assert_eq!(bench.loads(), [1]);
    // A late answer frees the seat.
    assert_eq!(bench.pool.seen(0).unwrap().awaits(1), Ok(false));
    bench.answer(0, 1);
    assert_eq!(bench.loads(), [1]);
    let answered = bench.pool.seen(0).unwrap().awaits(1);
    assert_eq!(answered, Err("a second answer to file 0".to_owned()));
    // With half of the seats stuck, the worker gets no more calls.
    bench.pass(60);
    assert_eq!(bench.kind(1), Some(FailureKind::Timeout));
    let waiting = bench.call(false);
    assert_eq!(bench.kind(waiting), None);
    let worker = bench.pool.worker(0).unwrap();
    assert_eq!(worker.phase, Phase::Leaving);
}

#[test]
fn silence_after_a_beat_ends_a_call() {
    let mut bench = Bench::new(Some(1), 2, false);
    bench.calls(2);
    bench.pass(20);
    for _ in 0..9 {
        bench.pool.beat(0, 1, bench.now);
        bench.pass(4);
    }
    assert_eq!(bench.kind(0), None);
    bench.pool.beat(0, 1, bench.now);
    bench.lines(0);
    // The limit of the whole call comes first.
    bench.pass(4);
    assert_eq!(bench.lines(0).len(), 2);
    bench.pass(5);
    assert_eq!(bench.kind(0), Some(FailureKind::Timeout));

    let mut bench = Bench::new(Some(1), 2, false);
    bench.calls(2);
    bench.pool.beat(0, 1, bench.now);
    bench.pass(10);
    assert_eq!(bench.kind(0), Some(FailureKind::IdleTimeout));
    assert_eq!(bench.kind(1), None);
}

#[test]
fn a_program_that_cannot_be_killed_has_as_many_seats_again() {
    let mut bench = Bench::new(Some(1), 2, true);
    bench.calls(5);
    assert_eq!(bench.loads(), [2]);
    bench.pass(65);
    // Two cancellations, and two new calls.
    assert_eq!(bench.loads(), [4]);
    bench.pass(66);
    assert_eq!(bench.kind(3), Some(FailureKind::Timeout));
    // All threads are stuck, so the run stops.
    assert_eq!(bench.kind(4), Some(FailureKind::Hung));
    let next = bench.call(false);
    assert_eq!(bench.kind(next), Some(FailureKind::Hung));
}

#[test]
fn a_suspended_process_gets_a_moment_for_answers_that_have_arrived() {
    let mut bench = Bench::new(Some(1), 1, false);
    bench.calls(1);
    bench.lines(0);
    let late = bench.now + Duration::from_secs(3600);
    bench.pool.check(late);
    assert_eq!(bench.loads(), [0]);
    bench.pool.check(late + SUSPENDED);
    assert_eq!(bench.loads(), [1]);
}

#[test]
fn a_call_that_waits_is_interrupted_and_one_that_was_made_is_cancelled() {
    let mut bench = Bench::new(Some(1), 1, false);
    bench.calls(2);
    bench.lines(0);
    bench.pool.cancel(1, bench.now);
    assert_eq!(
        bench.replies[1].try_recv().unwrap(),
        Err(Outcome::Interrupted)
    );
    bench.pool.cancel(0, bench.now);
    assert_eq!(bench.lines(0), ["{\"t\":\"cancel\",\"id\":1}"]);
    bench.pass(5);
    assert_eq!(bench.kind(0), Some(FailureKind::Stopped));
}

#[test]
fn calls_that_an_ended_worker_never_read_go_to_another() {
    let mut bench = Bench::new(Some(1), 3, false);
    bench.calls(1);
    let first = bench.lines(0).concat().len() as u64 + 1;
    bench.answer(0, 1);
    bench.calls(2);
    bench.end(0, 2 * first);
    assert_eq!(bench.kind(1), Some(FailureKind::Crashed));
    assert_eq!(bench.kind(2), None);
    assert_eq!(bench.started(3), [0]);
    bench.pool.deal(bench.now);
    assert_eq!(bench.loads(), [1]);
    // This worker has not answered: another one would not, either.
    bench.end(0, 0);
    assert_eq!(bench.kind(2), Some(FailureKind::Crashed));
}
