//! Calls that long-lived processes make, by the worker protocol.
//!
//! A thread of its own serves all workers. The slots, on the driver threads, send it calls and wait for the answers.

mod fail;
mod life;
mod member;
mod pool;
mod team;
mod wire;

use std::cell::RefCell;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{PidfdFlags, getppid, pidfd_open};
use tokio::net::unix::pipe;
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, oneshot};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep_until, timeout};

use super::CommandContext;
use super::error::CommandError;
use super::program::check_program;
use super::programs::Programs;
use crate::caller::lanes::Lanes;
use crate::caller::{AsyncCaller, Calling, Cancel};
use crate::job::{Attempt, Class, Failure, FailureKind, Job, Outcome};
use crate::settings::{Command, Settings, Way};
use member::Call;
use pool::{Pool, PoolRules};
use team::Team;
pub use wire::Hello;
#[cfg(any(test, fuzzing))]
pub use wire::heard;

/// The time that a worker has to answer a call after a stop.
const STOP_PATIENCE: Duration = Duration::from_millis(200);
/// The time between two looks whether the run is stopped before a worker has said hello.
const LOOK: Duration = Duration::from_millis(50);
/// The longest time for the end of all workers.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// A checked command of workers and the settings of their calls, for any file.
#[derive(Debug, Clone)]
pub struct WorkerPlan {
    words: Vec<OsString>,
    pub(in crate::caller) programs: Programs,
    rules: PoolRules,
    worker_start: Duration,
    lanes: Lanes,
    handle: Arc<OnceLock<Handle>>,
}

/// The thread that serves the workers.
#[derive(Debug)]
struct Handle {
    orders: UnboundedSender<Order>,
    last_call: AtomicU64,
    hello: OnceLock<Hello>,
}

#[derive(Debug)]
enum Order {
    Call(Call),
    /// The call of this number is cancelled.
    Cancel(u64),
    /// A line about the run's progress.
    Report(String),
    /// Ends all workers, and then drops this.
    End(mpsc::Sender<()>),
}

/// The pipes to the program that started stride.
#[derive(Debug)]
pub struct StarterPipes {
    /// The end to read.
    pub from: OwnedFd,
    /// The end to write.
    pub to: OwnedFd,
}

/// What workers need when they begin.
pub struct WorkerStart {
    /// Identifies the run to its workers.
    pub run: String,
    /// The program that started stride, if that is the worker.
    pub starter: Option<StarterPipes>,
    /// Is called when that program asks for a stop, or has ended. True means at once, without the calls in flight.
    pub on_stop: Box<dyn Fn(bool) + Send>,
}

impl Default for WorkerStart {
    fn default() -> Self {
        Self {
            run: String::new(),
            starter: None,
            on_stop: Box::new(|_| {}),
        }
    }
}

impl fmt::Debug for WorkerStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerStart")
            .field("run", &self.run)
            .finish_non_exhaustive()
    }
}

impl WorkerPlan {
    /// Checks a command. Its words are used as they are.
    ///
    /// # Errors
    ///
    /// It cannot be run.
    pub fn new(
        command: &Command,
        settings: &Settings,
        context: CommandContext<'_>,
    ) -> Result<Self, CommandError> {
        let is_starter = command.way == Way::Starter;
        if !is_starter {
            let program = command.words.first().filter(|word| !word.is_empty());
            let program = program.ok_or(CommandError::Empty)?;
            check_program(program, context.base, context.path.as_deref())?;
        }
        Ok(Self {
            lanes: context.lanes.clone(),
            words: command.words.iter().map(OsString::from).collect(),
            programs: Programs::new(command, settings, context)?,
            rules: PoolRules {
                workers: if is_starter {
                    Some(1)
                } else {
                    settings.workers
                },
                threads: settings.threads.most(),
                timeout: settings.timeout,
                idle_timeout: settings.idle_timeout,
                is_starter,
            },
            worker_start: settings.worker_start,
            handle: Arc::default(),
        })
    }

    /// Takes the new lines of the workers' standard error.
    pub fn said(&self) -> Vec<String> {
        self.programs.said()
    }

    /// Returns the rows of the pool.
    pub(in crate::caller) fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    /// Returns the words of the command.
    pub fn words(&self) -> &[OsString] {
        &self.words
    }

    /// Returns whether the worker is the program that started stride.
    pub fn is_starter(&self) -> bool {
        self.rules.is_starter
    }

    /// Returns the line of a call for people: without the values of the pool.
    pub fn call_line(&self, job: &Job, attempt: &Attempt) -> String {
        let pool = self.lanes.masked_json(attempt.lane.into());
        wire::call_start(1) + &self.line(job, attempt, pool.as_deref())
    }

    fn line(&self, job: &Job, attempt: &Attempt, pool: Option<&str>) -> String {
        let chunk = job.position.chunk(self.threads().max(1));
        wire::call_end(job, attempt, chunk, self.rules.timeout, pool)
    }

    /// Starts the first worker and waits for its hello. Returns `None` if the worker ends without a hello: all calls then
    /// fail with the reason, and none is sent. Also returns `None` when `is_stopped`, which it asks at short intervals,
    /// returns true, and if the workers have begun before.
    ///
    /// # Errors
    ///
    /// Their thread cannot be started.
    pub fn begin(
        &self,
        start: WorkerStart,
        is_stopped: &dyn Fn() -> bool,
    ) -> io::Result<Option<Hello>> {
        let (orders, inbox) = unbounded_channel();
        let handle = Handle {
            orders,
            last_call: AtomicU64::new(0),
            hello: OnceLock::new(),
        };
        if self.handle.set(handle).is_err() {
            return Ok(None);
        }
        let (first, hello) = mpsc::channel();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let plan = self.clone();
        thread::Builder::new()
            .name("workers".to_owned())
            .spawn(move || {
                let team = Rc::new(Team {
                    pool: RefCell::new(Pool::new(plan.rules, first)),
                    words: plan.words.clone(),
                    programs: plan.programs.clone(),
                    worker_start: plan.worker_start,
                    run: start.run,
                    is_starter: plan.rules.is_starter,
                    on_stop: start.on_stop,
                    removed: Notify::new(),
                    starts: Notify::new(),
                });
                // The plan has a handle to this thread, which ends with the last one.
                drop(plan);
                let ended = LocalSet::new().block_on(&runtime, manage(team, start.starter, inbox));
                runtime.shutdown_background();
                drop(ended);
            })?;
        loop {
            match hello.recv_timeout(LOOK) {
                Ok(Some(hello)) => {
                    let handle = self.handle.get();
                    return Ok(handle
                        .map(|handle| handle.hello.get_or_init(|| hello))
                        .cloned());
                }
                Err(RecvTimeoutError::Timeout) if !is_stopped() => {}
                Ok(None) | Err(_) => return Ok(None),
            }
        }
    }

    /// Returns the largest number of calls at once: that of the settings, or of seats if there are fewer.
    pub fn threads(&self) -> usize {
        let hello = self.handle.get().and_then(|handle| handle.hello.get());
        let seats = hello.and_then(|hello| Some(self.rules.workers? * hello.width));
        seats.map_or(self.rules.threads, |seats| seats.min(self.rules.threads))
    }

    /// Tells the workers that asked for it how far the run is.
    pub fn report(&self, line: String) {
        if let Some(handle) = self.handle.get() {
            let _ = handle.orders.send(Order::Report(line));
        }
    }

    /// Returns the caller of one slot.
    pub fn async_caller(&self) -> AsyncWorkerCaller {
        AsyncWorkerCaller { plan: self.clone() }
    }

    /// Ends all workers. Those that are idle may exit by themselves.
    pub fn end(&self) {
        if let Some(handle) = self.handle.get() {
            let (ended, end) = mpsc::channel();
            let _ = handle.orders.send(Order::End(ended));
            let _ = end.recv_timeout(END_PATIENCE);
        }
        self.programs.kill();
    }
}

/// Serves the workers until the end.
async fn manage(
    team: Rc<Team>,
    starter: Option<StarterPipes>,
    mut inbox: UnboundedReceiver<Order>,
) -> Option<mpsc::Sender<()>> {
    spawn_local(watch(Rc::clone(&team)));
    spawn_local(start(Rc::clone(&team), starter));
    team.turn();
    let (mut orders, mut ended) = (Vec::new(), None);
    while ended.is_none() && inbox.recv_many(&mut orders, 1024).await > 0 {
        for order in orders.drain(..) {
            let mut pool = team.pool.borrow_mut();
            match order {
                Order::Call(call) => pool.add(call),
                Order::Cancel(number) => pool.cancel(number, Instant::now()),
                Order::Report(line) => pool.report(&line),
                Order::End(sender) => ended = Some(sender),
            }
        }
        team.turn();
    }
    team.pool.borrow_mut().end();
    let all = async {
        while !team.pool.borrow().is_empty() {
            team.removed.notified().await;
        }
    };
    let _ = timeout(END_PATIENCE, all).await;
    ended
}

/// Starts the workers that are needed.
async fn start(team: Rc<Team>, mut starter: Option<StarterPipes>) {
    loop {
        team.starts.notified().await;
        let to_start = team.pool.borrow_mut().take_starts();
        for index in to_start {
            match starter.take() {
                Some(pipes) => drop(spawn_local(serve_starter(Rc::clone(&team), index, pipes))),
                None => drop(spawn_local(life::work(Rc::clone(&team), index))),
            }
        }
    }
}

/// Ends calls that take too long.
async fn watch(team: Rc<Team>) {
    let recheck = Rc::clone(&team.pool.borrow().recheck);
    loop {
        let next = team.pool.borrow().next_check();
        tokio::select! {
            () = recheck.notified() => continue,
            () = async { match next {
                Some(next) => sleep_until(next).await,
                None => std::future::pending().await,
            } } => {}
        }
        team.pool.borrow_mut().check(Instant::now());
        team.turn();
    }
}

async fn serve_starter(team: Rc<Team>, index: usize, pipes: StarterPipes) {
    let StarterPipes { from, to } = pipes;
    let open = || -> io::Result<_> {
        for end in [&from, &to] {
            fcntl_setfl(end, fcntl_getfl(end)? | OFlags::NONBLOCK)?;
        }
        Ok(())
    };
    let opened = open().and_then(|()| {
        Ok((
            pipe::Receiver::from_owned_fd_unchecked(from)?,
            pipe::Sender::from_owned_fd_unchecked(to)?,
        ))
    });
    match opened {
        Ok((from, to)) => life::serve(team, index, from, to, parents_end()).await,
        Err(error) => {
            let failure =
                pool::not_started(format!("standard input or output is no pipe: {error}"));
            team.pool.borrow_mut().fail(failure);
            team.remove(index);
        }
    }
}

/// Waits until the program that started stride has ended: a child of it may still hold the pipe.
async fn parents_end() {
    let parent = getppid().and_then(|parent| pidfd_open(parent, PidfdFlags::empty()).ok());
    // A descriptor of a process becomes readable at its end, as a pipe does (pidfd_open(2)).
    let parent = parent.and_then(|parent| pipe::Receiver::from_owned_fd_unchecked(parent).ok());
    if let Some(parent) = parent
        && parent.readable().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

/// Makes the calls of one slot through the workers.
#[derive(Debug)]
pub struct AsyncWorkerCaller {
    plan: WorkerPlan,
}

impl AsyncCaller for AsyncWorkerCaller {
    fn call<'c>(
        &'c mut self,
        job: &'c Job,
        attempt: &'c Attempt,
        cancel: &'c Cancel,
    ) -> Calling<'c> {
        let programs = self.plan.programs.clone();
        Box::pin(async move { programs.mask(self.call_once(job, attempt, cancel).await) })
    }
}

impl AsyncWorkerCaller {
    async fn call_once(&mut self, job: &Job, attempt: &Attempt, cancel: &Cancel) -> Outcome {
        let plan = &self.plan;
        let pool = plan.lanes.json(attempt.lane.into());
        let line = plan.line(job, attempt, pool.as_deref());
        if line.len() > wire::LONGEST_LINE {
            let message = format!(
                "its row is too large for a worker: a call has at most {} bytes",
                wire::LONGEST_LINE
            );
            return Outcome::Unsendable(Failure::new(Class::Input, FailureKind::TooLarge, message));
        }
        let stopped = || {
            Outcome::InDoubt(Failure::new(
                Class::Transient,
                FailureKind::Stopped,
                "stopped before the worker answered",
            ))
        };
        let Some(handle) = plan.handle.get() else {
            let failure = pool::not_started("the workers have not begun");
            return Outcome::Unreachable(failure);
        };
        if cancel.is_cancelled() {
            return Outcome::Interrupted;
        }
        let number = handle.last_call.fetch_add(1, Ordering::Relaxed);
        let (reply, mut answer) = oneshot::channel();
        let _ = handle.orders.send(Order::Call(Call {
            number,
            name: job.path.clone(),
            line,
            alone: attempt.suspect,
            reply,
        }));
        let answer = tokio::select! {
            biased;
            answer = &mut answer => answer,
            () = cancel.cancelled() => {
                let _ = handle.orders.send(Order::Cancel(number));
                match timeout(STOP_PATIENCE, answer).await {
                    Ok(answer) => answer,
                    Err(_) => return stopped(),
                }
            }
        };
        match answer {
            Ok(Ok(answer)) => {
                plan.programs
                    .judge
                    .judge(&job.columns, attempt.id, answer)
                    .await
            }
            Ok(Err(outcome)) => outcome,
            // The program that started stride has ended, which stops the run.
            Err(_) => {
                let _ = timeout(STOP_PATIENCE, cancel.cancelled()).await;
                stopped()
            }
        }
    }
}
