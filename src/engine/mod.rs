//! Running a run: one writer thread, N chunk threads, and the caller's own thread, which receives the events.
//! No SQL and no HTTP here.
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
mod dealer;
mod schedule;
mod stop;
mod writer;

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use thiserror::Error;

pub use stop::{Stop, Urgency};

use crate::caller::{Caller, Cancel};
use crate::event::{Counts, Ending, Event};
use crate::job::FileName;
use crate::settings::Settings;
use crate::store::{Store, StoreError};
use chunk::Chunk;
use writer::Writer;

/// How often [`Event::Tick`] comes while nothing happens.
const TICK: Duration = Duration::from_millis(200);

/// How many events may wait for the listener before the run waits for it too.
const EVENTS_WAITING: usize = 4096;

/// Calls are shallow; thousands of threads should not reserve megabytes each.
const STACK: usize = 1 << 20;

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
        /// Answers that were received and could not be recorded.
        unsaved: usize,
        /// Calls that were in flight.
        in_flight: usize,
    },
    /// There is nobody to make a call.
    #[error("a run needs at least one caller")]
    NoCallers,
    /// A thread could not be made. No call was made.
    #[error("cannot start thread {index}")]
    Thread {
        /// Which.
        index: usize,
        /// Why.
        source: std::io::Error,
    },
}

/// Works on a run until nothing is left to call or `stop` is asked for: one chunk thread for each of
/// `callers`, of which the list's jobs at the positions ≡ *i* (mod N) go to the *i*-th. Every event is handed
/// to `on_event` in this thread, after its commit; while nothing happens, [`Event::Tick`].
///
/// # Errors
///
/// The store fails, which is final: no thread commits after it. What was recorded is safe.
pub fn run(
    store: &mut Store,
    callers: Vec<Box<dyn Caller>>,
    settings: &Settings,
    stop: &Stop,
    on_event: &mut dyn FnMut(&Event),
) -> Result<Outline, RunError> {
    if callers.is_empty() {
        return Err(RunError::NoCallers);
    }
    let (to_writer, inbox) = mpsc::channel();
    let (to_listener, events) = mpsc::sync_channel(EVENTS_WAITING);
    let cancel = Cancel::new();
    let policy = settings.retry_policy();
    let mut claims = Vec::with_capacity(callers.len());
    for (index, caller) in callers.into_iter().enumerate() {
        let (to_chunk, from_writer) = mpsc::channel();
        claims.push(to_chunk);
        let chunk = Chunk {
            index,
            caller,
            policy,
            cancel: cancel.clone(),
            claims: from_writer,
            writer: to_writer.clone(),
        };
        thread::Builder::new()
            .name(format!("chunk {index}"))
            .stack_size(STACK)
            .spawn(move || chunk.run())
            .map_err(|source| RunError::Thread { index, source })?;
    }
    let began = store.start(claims.len(), &policy, &mut fastrand::f64);
    let recovered = began.map_err(|source| RunError::Store {
        source,
        unsaved: 0,
        in_flight: 0,
    })?;
    on_event(&Event::Started {
        runner: store.runner().unwrap_or_default(),
        recovered: recovered.in_doubt,
        counts: store.counts(),
    });
    stop.connect(to_writer);
    let writer = Writer::new(store, settings, cancel, inbox, claims, to_listener);
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
fn listen(events: &Receiver<Event>, on_event: &mut dyn FnMut(&Event)) {
    loop {
        match events.recv_timeout(TICK) {
            Ok(event) => on_event(&event),
            Err(RecvTimeoutError::Timeout) => on_event(&Event::Tick),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
