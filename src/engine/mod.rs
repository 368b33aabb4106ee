//! Running a run: one writer thread, N chunk threads, and the caller's own thread, which receives the events.
//! No SQL and no HTTP here. A chunk thread is a thread of the system where its caller needs one to wait in, and a place
//! at a driver, which has many, where it does not.
//!
//! ```text
//!   chunk thread 0 ─┐ report                                  ┌─► claims ─► chunk thread 0
//!   chunk thread 1 ─┼────────► writer: settle + claim, commit ┼─► claims ─► chunk thread 1
//!   chunk thread 2 ─┘              ▲                   │      └─► claims ─► chunk thread 2
//!                             stop │                   └─► events ─► the thread that called `run`
//! ```
//!
//! Ending is dropping: the writer returns, its claims' senders are gone, each chunk thread ends with its
//! `recv`. A chunk thread that sits in a call which cannot be dropped is left behind: it owns nothing that
//! anybody waits for, and its report finds no reader.

mod chunk;
mod clock;
mod crew;
mod dealer;
mod driver;
mod schedule;
mod stop;
mod teller;
mod writer;

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use thiserror::Error;

pub use stop::{Stop, Urgency};

use crate::caller::{Cancel, Worker};
use crate::event::{Counts, Ending, Event};
use crate::governor::{Governor, Refusal, Signal};
use crate::job::{Class, Failure, FileName, Outcome};
use crate::settings::{Settings, Threads};
use crate::store::{Rescued, Store, StoreError};
use crew::Crew;
use schedule::Schedule;
use teller::Teller;
use writer::Writer;

/// How often [`Event::Tick`] comes while nothing happens.
const TICK: Duration = Duration::from_millis(200);

/// How many groups' events may be on their way to the listener.
const GROUPS_WAITING: usize = 16;

/// Makes who calls for one more chunk.
pub type MakeCaller<'c> =
    dyn FnMut() -> Result<Worker, Box<dyn std::error::Error + Send + Sync>> + Send + 'c;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// How.
    pub ending: Ending,
    /// Where the run stands.
    pub counts: Counts,
    /// The jobs whose call the stop cut off.
    pub in_doubt: Vec<FileName>,
}

/// Why a run could not go on.
#[derive(Debug, Error)]
pub enum RunError {
    /// The database failed. Nothing was committed after that.
    #[error("the run's database cannot be written")]
    Store {
        /// Why.
        source: StoreError,
        /// What became of what the calls in flight came to.
        rescued: Box<Rescued>,
        /// Calls that had come to nothing when the process did not wait any longer.
        in_flight: usize,
    },
    /// A run needs a thread.
    #[error("a run needs at least one thread")]
    NoThreads,
    /// A caller could not be made. No call was made.
    #[error("cannot make the caller of thread {index}")]
    Caller {
        /// Which thread's.
        index: usize,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A thread could not be made. No call was made.
    #[error("cannot start thread {index}")]
    Thread {
        /// Which.
        index: usize,
        /// Why.
        source: std::io::Error,
    },
}

/// Works on a run until nothing is left to call, `stop` is asked for, or a guard or a budget ends it: with the
/// chunk threads that `settings` says, each of which gets a caller from `make`. Of *N* threads the *i*-th has
/// the list's jobs at the positions ≡ *i* (mod N). Every event is handed to `on_event` in this thread, after its
/// commit; while nothing happens, [`Event::Tick`]. The run does not wait for a slow listener: what that cannot take is
/// dropped, and [`Event::Missed`] says how many events were.
///
/// # Errors
///
/// The store fails, which is final: no thread commits after it. What was recorded is safe, and what the calls in
/// flight come to, within the grace, is saved in a file from which [`Store::take_in`] records it.
pub fn run<'c>(
    store: &'c mut Store,
    make: &'c mut MakeCaller<'c>,
    settings: &Settings,
    stop: &Stop,
    on_event: &mut dyn FnMut(&Event),
) -> Result<Outline, RunError> {
    let (to_writer, inbox) = mpsc::channel();
    let (to_listener, events) = mpsc::sync_channel(GROUPS_WAITING);
    let cancel = Cancel::new();
    let policy = settings.retry_policy();
    let mut crew = Crew::new(make, to_writer.clone(), cancel.clone(), policy);
    if let Threads::Fixed(threads) = settings.threads {
        if threads == 0 {
            return Err(RunError::NoThreads);
        }
        for _ in 0..threads {
            crew.hire()?;
        }
    }
    let failed = |source| RunError::Store {
        source,
        rescued: Box::default(),
        in_flight: 0,
    };
    let began = store.start(settings.threads.most(), &policy);
    let recovered = began.map_err(failed)?;
    on_event(&Event::Started {
        runner: store.runner().unwrap_or_default(),
        recovered: recovered.in_doubt,
        counts: store.counts(),
    });
    let past = store.past().map_err(failed)?;
    let governor = Governor::new(settings.rules(), &past, clock::now());
    let schedule = Schedule::new(settings, governor, store.counts().total);
    stop.connect(to_writer);
    let teller = Teller::new(to_listener);
    let writer = Writer::new(store, settings, cancel, inbox, crew, schedule, teller);
    thread::scope(|scope| {
        let writer = thread::Builder::new()
            .name("writer".to_owned())
            .spawn_scoped(scope, || writer.run());
        let writer = writer.map_err(|source| RunError::Thread { index: 0, source })?;
        let _guard = EndsRun(stop);
        listen(&events, on_event);
        match writer.join() {
            Ok(outline) => outline,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// The effect of a call on all others. `cause` numbers the causes of rejections.
fn signal(outcome: &Outcome, cause: impl FnOnce(&Failure) -> u64) -> Signal {
    match outcome {
        Outcome::Succeeded(_) => Signal::Accepted,
        Outcome::Failed(failure) => failed(failure, cause),
        // This machine failed, not the service.
        Outcome::InDoubt(failure) if failure.class == Class::Local => Signal::Stale,
        Outcome::InDoubt(failure) if failure.kind == "stopped" => Signal::Stale,
        Outcome::InDoubt(_) => Signal::Failed,
        Outcome::Throttled { wait, failure } => Signal::Refused {
            wait: *wait,
            unavailable: failure.status == Some(UNAVAILABLE),
        },
        Outcome::Unreachable(failure) => match failure.kind {
            "tls" => Signal::Refusal(Refusal::Tls),
            "dns" => Signal::Refusal(Refusal::Name),
            "proxy" => Signal::Refusal(Refusal::Proxy),
            _ => Signal::Unreachable,
        },
        Outcome::Unsendable(failure) if failure.kind == "input_missing" => {
            Signal::Refusal(Refusal::MissingFile)
        }
        Outcome::Unsendable(_) | Outcome::Interrupted => Signal::Unsent,
    }
}

fn failed(failure: &Failure, cause: impl FnOnce(&Failure) -> u64) -> Signal {
    match (failure.class, failure.status) {
        // Calls under credentials that were replaced meanwhile do not count against the new ones.
        _ if failure.kind == Failure::CREDENTIALS_RENEWED => Signal::Stale,
        _ if failure.kind == "redirect" => Signal::Refusal(Refusal::Redirect),
        (Class::Auth, Some(403)) => Signal::Refusal(Refusal::Forbidden),
        (Class::Auth, _) => Signal::Refusal(Refusal::Auth),
        (Class::Quota, _) => Signal::Refusal(Refusal::Quota),
        // The operation under this key goes on, or came too early: the service is well.
        (Class::Transient, Some(409 | 425)) => Signal::Answered,
        (Class::Transient | Class::Throttled, Some(UNAVAILABLE)) => Signal::Refused {
            wait: None,
            unavailable: true,
        },
        (Class::Transient | Class::Throttled, _) => Signal::Failed,
        (Class::Rejected | Class::BadResponse | Class::Input, _) => {
            Signal::Rejected(cause(failure))
        }
        (Class::Local, _) => Signal::Stale,
    }
}

/// The status of a limit at some services, and of an outage at others (RFC 9110, section 15.6.4).
const UNAVAILABLE: u16 = 503;

/// Ends the run where its listener panics: the writer would otherwise work on, and this thread wait for it.
struct EndsRun<'s>(&'s Stop);

impl Drop for EndsRun<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.ask(Urgency::Now);
        }
    }
}

/// Hands events over until the writer has ended.
fn listen(events: &Receiver<Vec<Event>>, on_event: &mut dyn FnMut(&Event)) {
    loop {
        match events.recv_timeout(TICK) {
            Ok(events) => events.iter().for_each(&mut *on_event),
            Err(RecvTimeoutError::Timeout) => on_event(&Event::Tick),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
