//! Executes a run: one writer thread, N slots, and the thread that called `run`, which receives the events. A slot runs
//! the calls of one chunk: a blocking slot has a thread of its own, async slots share driver threads.
//!
//! ```text
//!   slot 0 ─┐ report                                  ┌─► claims ─► slot 0
//!   slot 1 ─┼────────► writer: settle + claim, commit ┼─► claims ─► slot 1
//!   slot 2 ─┘              ▲                   │      └─► claims ─► slot 2
//!                     stop │                   └─► events ─► the thread that called `run`
//! ```
//!
//! When the writer returns, its claim channels close and the slots end. A slot whose call cannot be dropped stays
//! behind: nothing waits for it, and its report is ignored.

mod clock;
mod driver;
mod due_jobs;
mod error;
mod event_sink;
mod message;
mod quarantine;
mod run_outcome;
mod schedule;
mod signal;
mod slot;
mod slot_pool;
mod stop;
mod strided_queue;
mod writer;

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

pub use error::RunError;
pub use message::Urgency;
pub use run_outcome::RunOutcome;
pub use slot_pool::MakeCaller;
pub use stop::Stop;

use crate::caller::Cancel;
use crate::event::Event;
use crate::governor::Governor;
use crate::settings::{Settings, Threads};
use crate::store::Store;
use event_sink::EventSink;
use schedule::Schedule;
use slot_pool::SlotPool;
use writer::Writer;

/// Interval of [`Event::Tick`] while nothing happens.
const TICK: Duration = Duration::from_millis(200);

/// Capacity of the channel to the listener, in groups of events.
const GROUPS_WAITING: usize = 16;

/// Runs until no job is left, `stop` requests the end, or a guard or budget ends the run. Each slot gets a caller from
/// `make`; `settings` sets the number of slots. Slot *i* of *N* first calls the jobs at the positions ≡ *i* (mod N),
/// then helps others. Calls `on_event` in this thread for each event, after its commit, and with [`Event::Tick`] while
/// nothing happens. The run does not wait for a slow listener: it drops events, and [`Event::Missed`] says how many.
///
/// # Errors
///
/// The number of slots is 0, or the writer thread or one of a fixed number of slots cannot be set up; then no call was
/// made. Or the store fails, which is final: nothing is committed after it. Recorded results are safe. Calls in flight
/// that end within the grace are saved in a file, which [`Store::import_rescues`] imports.
pub fn run<'c>(
    store: &'c mut Store,
    make: &'c mut MakeCaller<'c>,
    settings: &Settings,
    stop: &Stop,
    on_event: &mut dyn FnMut(&Event),
) -> Result<RunOutcome, RunError> {
    let (to_writer, inbox) = mpsc::channel();
    let (to_listener, events) = mpsc::sync_channel(GROUPS_WAITING);
    let cancel = Cancel::new();
    let policy = settings.retry_policy();
    let mut slots = SlotPool::new(make, to_writer.clone(), cancel.clone(), policy);
    if let Threads::Fixed(threads) = settings.threads {
        if threads == 0 {
            return Err(RunError::NoThreads);
        }
        for _ in 0..threads {
            slots.spawn()?;
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
        held: recovered.held,
        counts: store.counts(),
    });
    let past = store.past().map_err(failed)?;
    let governor = Governor::new(settings.rules(), &past, clock::now());
    let lanes = store.lanes().to_vec();
    let mut schedule = Schedule::new(settings, governor, lanes.clone(), store.counts().listed());
    schedule.has_steps = store.call().map_err(failed)?.steps() > 1;
    schedule.is_proven = store.has_later_answers().map_err(failed)?;
    stop.connect(to_writer);
    let sink = EventSink::new(to_listener, lanes);
    let writer = Writer::new(store, settings, cancel, inbox, slots, schedule, sink);
    thread::scope(|scope| {
        let writer = thread::Builder::new()
            .name("writer".to_owned())
            .spawn_scoped(scope, || writer.run());
        let writer = writer.map_err(|source| RunError::Thread { source })?;
        let _guard = EndsRun(stop);
        listen(&events, on_event);
        match writer.join() {
            Ok(run_outcome) => run_outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Ends the run if its listener panics: otherwise the writer would continue, and this thread would wait for it.
struct EndsRun<'s>(&'s Stop);

impl Drop for EndsRun<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.ask(Urgency::Now);
        }
    }
}

/// Passes events on until the writer has ended.
fn listen(events: &Receiver<Vec<Event>>, on_event: &mut dyn FnMut(&Event)) {
    loop {
        match events.recv_timeout(TICK) {
            Ok(events) => events.iter().for_each(&mut *on_event),
            Err(RecvTimeoutError::Timeout) => on_event(&Event::Tick),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
