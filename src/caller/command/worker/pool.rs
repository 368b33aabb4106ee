//! Which worker gets which call, and when a call has taken too long. No I/O, and time is an argument.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::member::{Call, Phase, Reply, Signals, Worker, given_up, later, reply};
use super::wire::{self, Hello};
use crate::job::{Class, Failure, FailureKind, Outcome};
use crate::settings::show_duration;

/// With more unread lines than this, a worker gets none about the progress, in bytes.
const MOST_UNREAD: usize = 16 << 10;
/// A check of the time that is this late shows that the process was suspended.
const SUSPENDED: Duration = Duration::from_secs(1);

/// The rules of a pool.
#[derive(Debug, Clone, Copy)]
pub(super) struct PoolRules {
    /// The number of workers, or `None` for as many as the threads need.
    pub(super) workers: Option<usize>,
    /// The number of calls that may be out at once.
    pub(super) threads: usize,
    pub(super) timeout: Duration,
    pub(super) idle_timeout: Duration,
    /// The only worker is the program that started stride: it cannot be killed or started again, and replaces a thread
    /// that is stuck.
    pub(super) is_starter: bool,
}

#[derive(Debug)]
pub(super) struct Pool {
    rules: PoolRules,
    /// The workers by their numbers.
    workers: Vec<Option<Worker>>,
    waiting: VecDeque<Call>,
    /// Calls that are made alone. They wait for an empty worker.
    suspects: VecDeque<Call>,
    /// The first worker's, which all others must repeat.
    hello: Option<Hello>,
    /// Gets the first worker's hello, or `None` if there will be none.
    first: Option<mpsc::Sender<Option<Hello>>>,
    /// The reason why no call can be made any longer.
    broken: Option<Failure>,
    is_ending: bool,
    /// Workers to start.
    to_start: Vec<usize>,
    next_check: Option<Instant>,
    /// Set when `next_check` has become earlier.
    pub(super) recheck: Rc<Notify>,
}

impl Pool {
    /// Creates a pool whose first worker is to be started.
    pub(super) fn new(rules: PoolRules, first: mpsc::Sender<Option<Hello>>) -> Self {
        let mut pool = Self {
            rules,
            workers: Vec::new(),
            waiting: VecDeque::new(),
            suspects: VecDeque::new(),
            hello: None,
            first: Some(first),
            broken: None,
            is_ending: false,
            to_start: Vec::new(),
            next_check: None,
            recheck: Rc::default(),
        };
        pool.start();
        pool
    }

    /// Returns the number of calls that a worker is asked to take at once.
    pub(super) fn width(&self) -> usize {
        self.rules.threads.div_ceil(self.rules.workers.unwrap_or(1))
    }

    fn start(&mut self) {
        let free = self.workers.iter().position(Option::is_none);
        let index = free.unwrap_or(self.workers.len());
        if index == self.workers.len() {
            self.workers.push(None);
        }
        self.greet(index);
        self.to_start.push(index);
    }

    /// Makes room for a worker whose process is about to start.
    pub(super) fn greet(&mut self, index: usize) {
        let width = self.hello.as_ref().map_or(1, |hello| hello.width);
        if let Some(place) = self.workers.get_mut(index) {
            *place = Some(Worker::new(width));
        }
    }

    pub(super) fn has_to_start(&self) -> bool {
        !self.to_start.is_empty()
    }

    /// Takes the numbers of workers that must be started.
    pub(super) fn take_starts(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.to_start)
    }

    /// Adds a call.
    pub(super) fn add(&mut self, call: Call) {
        match call.alone {
            true => self.suspects.push_back(call),
            false => self.waiting.push_back(call),
        }
    }

    /// Deals the calls that wait, and decides which workers to start.
    pub(super) fn deal(&mut self, now: Instant) {
        if let Some(failure) = &self.broken {
            for call in self.suspects.drain(..).chain(self.waiting.drain(..)) {
                reply(call.reply, Err(Outcome::Unreachable(failure.clone())));
            }
            return;
        }
        if self.is_ending {
            return;
        }
        let (is_starter, timeout) = (self.rules.is_starter, self.rules.timeout);
        let mut first_due = None;
        while !self.suspects.is_empty() {
            let can_start = self.can_start();
            let workers = self.workers.iter_mut().flatten();
            let mut ready: Vec<&mut Worker> = workers
                .filter(|worker| worker.phase == Phase::Ready)
                .collect();
            ready.sort_by_key(|worker| worker.calls.len());
            if let Some(empty) = ready.first_mut().filter(|worker| worker.live() == 0)
                && let Some(call) = self.suspects.pop_front()
            {
                first_due = first_due.or(Some(empty.begin(call, now, timeout)));
                continue;
            }
            if ready
                .iter()
                .all(|worker| !worker.is_reserved && !worker.is_alone)
                && !can_start
                && let Some(next) = ready.first_mut()
            {
                next.is_reserved = true;
            }
            break;
        }
        while !self.waiting.is_empty() {
            let workers = self.workers.iter_mut().flatten();
            let free = workers
                .map(|worker| (worker.free(is_starter), worker))
                .max_by_key(|(free, worker)| (*free, usize::MAX - worker.calls.len()));
            let Some((1.., worker)) = free else { break };
            let Some(call) = self.waiting.pop_front() else {
                break;
            };
            first_due = first_due.or(Some(worker.begin(call, now, timeout)));
        }
        let mut lacking = self.waiting.len() + self.suspects.len();
        let workers = self.workers.iter().flatten();
        let starting = workers.filter(|worker| worker.phase == Phase::Starting);
        lacking = lacking.saturating_sub(starting.map(|worker| worker.width).sum());
        while lacking > 0 && self.can_start() {
            self.start();
            let width = self.hello.as_ref().map_or(1, |hello| hello.width);
            lacking = lacking.saturating_sub(width);
        }
        if let Some(due) = first_due {
            self.check_at(due);
        }
    }

    /// Returns whether one more worker may be started.
    fn can_start(&self) -> bool {
        let Some(hello) = &self.hello else {
            return false;
        };
        let workers = || self.workers.iter().flatten();
        let most = self.rules.workers.unwrap_or_else(|| {
            let live: usize = workers().map(Worker::live).sum();
            let all = live + self.waiting.len() + self.suspects.len();
            all.max(self.rules.threads).div_ceil(hello.width)
        });
        workers().count() < most && !self.rules.is_starter
    }

    /// Records a worker's hello.
    ///
    /// # Errors
    ///
    /// It is not the hello of the others.
    pub(super) fn introduce(&mut self, index: usize, hello: Hello) -> Result<(), String> {
        let known = self.hello.get_or_insert_with(|| hello.clone());
        if (&known.name, &known.version) != (&hello.name, &hello.version) {
            return Err("its name and version are not those of the first worker".to_owned());
        }
        if let Some(worker) = self.worker(index) {
            worker.phase = Phase::Ready;
            worker.width = hello.width;
            worker.wants_status = hello.status;
        }
        if let Some(first) = self.first.take() {
            let _ = first.send(Some(hello));
        }
        Ok(())
    }

    /// Returns whether a worker has said hello.
    pub(super) fn is_introduced(&self, index: usize) -> bool {
        self.seen(index)
            .is_some_and(|worker| worker.phase != Phase::Starting)
    }

    /// Returns a worker, unless it has ended.
    pub(super) fn seen(&self, index: usize) -> Option<&Worker> {
        self.workers.get(index)?.as_ref()
    }

    fn worker(&mut self, index: usize) -> Option<&mut Worker> {
        self.workers.get_mut(index)?.as_mut()
    }

    /// Returns what wakes a worker's task.
    pub(super) fn signals(&self, index: usize) -> Rc<Signals> {
        self.seen(index)
            .map(|worker| Rc::clone(&worker.signals))
            .unwrap_or_default()
    }

    /// Writes a line to a worker.
    pub(super) fn write(&mut self, index: usize, line: &str) {
        if let Some(worker) = self.worker(index) {
            worker.write(line);
        }
    }

    /// Takes the lines for a worker, and returns whether they are the last.
    pub(super) fn lines(&mut self, index: usize) -> (Vec<u8>, bool) {
        let is_ending = self.is_ending;
        self.worker(index).map_or((Vec::new(), true), |worker| {
            let is_last = is_ending && worker.phase == Phase::Leaving;
            (std::mem::take(&mut worker.lines), is_last)
        })
    }

    /// Writes a line about the run's progress to the workers that want it, unless they read too slowly.
    pub(super) fn report(&mut self, line: &str) {
        for worker in self.workers.iter_mut().flatten() {
            let has_room = worker.lines.len() < MOST_UNREAD;
            if worker.wants_status && worker.phase == Phase::Ready && has_room {
                worker.write(line);
            }
        }
    }

    /// Ends a call with the worker's answer.
    pub(super) fn answer(&mut self, index: usize, id: u64, answer: Reply) {
        let Some(worker) = self.worker(index) else {
            return;
        };
        if let Some(sender) = worker.answered(id) {
            reply(sender, answer);
        }
        self.retire(index);
    }

    /// Records that a call is alive. From now on, silence for the idle timeout ends it.
    pub(super) fn beat(&mut self, index: usize, id: u64, now: Instant) {
        let due = later(now, self.rules.idle_timeout);
        let call = self
            .worker(index)
            .and_then(|worker| worker.calls.get_mut(&id));
        if let Some(call) = call
            && call.cancelled.is_none()
        {
            call.beats = true;
            call.due = due.min(call.deadline);
            let due = call.due;
            self.check_at(due);
        }
    }

    /// Cancels a call, because the run is being aborted.
    pub(super) fn cancel(&mut self, number: u64, now: Instant) {
        for queue in [&mut self.waiting, &mut self.suspects] {
            if let Some(at) = queue.iter().position(|call| call.number == number)
                && let Some(call) = queue.remove(at)
            {
                return reply(call.reply, Err(Outcome::Interrupted));
            }
        }
        for worker in self.workers.iter_mut().flatten() {
            let found = worker.calls.iter().find(|(_, call)| call.number == number);
            if let Some(id) = found.map(|(id, _)| *id) {
                let due = worker.cancel(id, FailureKind::Stopped, now);
                return self.check_at(due);
            }
        }
    }

    /// Sets the next check of the time to no later than `due`.
    fn check_at(&mut self, due: Instant) {
        if self.next_check.is_none_or(|next| due < next) {
            self.next_check = Some(due);
            self.recheck.notify_one();
        }
    }

    /// Returns the moment of the next check of the time.
    pub(super) fn next_check(&self) -> Option<Instant> {
        self.next_check
    }

    /// Cancels calls that have taken too long, and gives up those whose worker does not answer that.
    pub(super) fn check(&mut self, now: Instant) {
        let Some(planned) = self.next_check.take() else {
            return;
        };
        if now.saturating_duration_since(planned) > SUSPENDED {
            // Answers may have arrived unnoticed.
            self.next_check = Some(now + SUSPENDED);
            return;
        }
        for index in 0..self.workers.len() {
            let Some(worker) = self.worker(index) else {
                continue;
            };
            let calls = worker.calls.iter();
            let due: Vec<u64> = calls
                .filter(|(_, call)| call.reply.is_some() && call.due <= now)
                .map(|(id, _)| *id)
                .collect();
            for id in due {
                self.overdue(index, id, now);
            }
            self.retire(index);
        }
        let calls = self
            .workers
            .iter()
            .flatten()
            .flat_map(|worker| worker.calls.values());
        let dues = calls
            .filter(|call| call.reply.is_some())
            .map(|call| call.due);
        if let Some(due) = dues.min() {
            self.check_at(due);
        }
    }

    fn overdue(&mut self, index: usize, id: u64, now: Instant) {
        let rules = self.rules;
        let Some(worker) = self.worker(index) else {
            return;
        };
        let is_stalled = worker.signals.is_stalled(now);
        let Some(call) = worker.calls.get_mut(&id) else {
            return;
        };
        let Some(why) = call.cancelled else {
            let why = match call.beats && now < call.deadline {
                true => FailureKind::IdleTimeout,
                false => FailureKind::Timeout,
            };
            worker.cancel(id, why, now);
            return;
        };
        if is_stalled {
            call.due = now + SUSPENDED;
            worker.phase = Phase::Leaving;
            worker.signals.kill.notify_one();
        } else if let Some(sender) = call.reply.take() {
            worker.stuck += 1;
            reply(
                sender,
                Err(given_up(why, rules.timeout, rules.idle_timeout)),
            );
        }
    }

    /// Kills a worker that has calls which were given up, if it has no others or they take half of its seats.
    fn retire(&mut self, index: usize) {
        let is_starter = self.rules.is_starter;
        let Some(worker) = self.worker(index) else {
            return;
        };
        let (live, stuck) = (worker.live(), worker.stuck);
        if stuck == 0 || worker.phase == Phase::Starting {
            return;
        }
        if is_starter {
            if stuck >= 2 * worker.width {
                let timeout = show_duration(self.rules.timeout);
                let message =
                    format!("{stuck} threads have not returned {timeout} after their calls began");
                self.fail(Failure::new(Class::Local, FailureKind::Hung, message));
            }
            return;
        }
        if 2 * stuck >= worker.width {
            worker.phase = Phase::Leaving;
        }
        if live == 0 {
            worker.phase = Phase::Leaving;
            worker.signals.kill.notify_one();
        }
    }

    /// Makes every call from now on fail with this.
    pub(super) fn fail(&mut self, failure: Failure) {
        self.broken.get_or_insert(failure);
        if let Some(first) = self.first.take() {
            let _ = first.send(None);
        }
    }

    /// Removes a worker that has ended after it has read `read` bytes of its lines. `outcome` is that of its calls; without
    /// one they wait for the end of the run. Calls that it never read were not sent, and go to other workers.
    pub(super) fn ended(&mut self, index: usize, outcome: Option<Outcome>, read: u64) {
        let Some(worker) = self.worker(index) else {
            return;
        };
        worker.phase = Phase::Leaving;
        if let Some(outcome) = outcome {
            let (unread, others) = worker.release(read);
            for sender in others {
                reply(sender, Err(outcome.clone()));
            }
            unread.into_iter().for_each(|call| self.add(call));
        }
    }

    /// Frees the number of a worker whose processes are gone.
    pub(super) fn remove(&mut self, index: usize) {
        if let Some(place) = self.workers.get_mut(index) {
            *place = None;
        }
    }

    /// Returns whether the number of workers is zero.
    pub(super) fn is_empty(&self) -> bool {
        self.workers.iter().all(Option::is_none)
    }

    pub(super) fn is_ending(&self) -> bool {
        self.is_ending
    }

    /// Tells every worker to exit. Those that are busy or not ready are killed.
    pub(super) fn end(&mut self) {
        self.is_ending = true;
        let is_starter = self.rules.is_starter;
        for worker in self.workers.iter_mut().flatten() {
            let is_idle = worker.phase == Phase::Ready && worker.calls.is_empty();
            worker.phase = Phase::Leaving;
            worker.write(wire::BYE);
            match is_idle || is_starter {
                true => worker.signals.leave.notify_one(),
                false => worker.signals.kill.notify_one(),
            }
        }
    }
}

/// Returns the failure of calls that no worker can make.
pub(super) fn not_started(message: impl Into<String>) -> Failure {
    Failure::new(Class::Local, FailureKind::NotStarted, message)
}

#[cfg(test)]
mod tests;
