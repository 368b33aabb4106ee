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
mod error;
mod message;
mod outline;
mod schedule;
mod signal;
mod stop;
mod teller;
mod writer;

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

pub use crew::MakeCaller;
pub use error::RunError;
pub use message::Urgency;
pub use outline::Outline;
pub use stop::Stop;

use crate::caller::Cancel;
use crate::event::Event;
use crate::governor::Governor;
use crate::settings::{Settings, Threads};
use crate::store::Store;
use crew::Crew;
use schedule::Schedule;
use teller::Teller;
use writer::Writer;

/// How often [`Event::Tick`] comes while nothing happens.
const TICK: Duration = Duration::from_millis(200);

/// How many groups' events may be on their way to the listener.
const GROUPS_WAITING: usize = 16;

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
