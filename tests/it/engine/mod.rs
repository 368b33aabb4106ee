//! The engine, with scripted callers and a real store.

mod doubt;
mod drivers;
mod gate;
mod guards;
mod retries;
mod steps;
mod stop;
mod strides;

use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use stride::caller::{Caller, Cancel, SlotCaller};
use stride::engine::{self, RunError, RunOutcome, Stop};
use stride::event::{Event, Settled};
use stride::job::{Attempt, IdempotencyKey, Job, Outcome};
use stride::settings::Settings;
use stride::store::Store;

use crate::support::{LIMIT, lock};

/// A caller that runs a function.
struct Scripted<F>(F);

impl<F: FnMut(&Job, &Attempt, &Cancel) -> Outcome + Send> Caller for Scripted<F> {
    fn call(&mut self, job: &Job, attempt: &Attempt, cancel: &Cancel) -> Outcome {
        (self.0)(job, attempt, cancel)
    }
}

/// Returns callers that all run the same script.
fn callers<F>(threads: usize, script: F) -> Vec<Box<dyn Caller>>
where
    F: FnMut(&Job, &Attempt, &Cancel) -> Outcome + Clone + Send + 'static,
{
    let caller = || Box::new(Scripted(script.clone())) as Box<dyn Caller>;
    std::iter::repeat_with(caller).take(threads).collect()
}

/// No wait before a retry, and all threads at once from the beginning.
fn settings() -> Settings {
    Settings {
        retry_delay: Duration::ZERO,
        retry_max_delay: Duration::ZERO,
        canary: false,
        ..Settings::default()
    }
}

fn name(job: &Job) -> String {
    job.path.as_str().unwrap().to_owned()
}

/// The calls that were made: the job, attempt number and key of each, in the order in which they began.
#[derive(Debug, Clone, Default)]
struct Calls(Arc<Mutex<Vec<(String, u32, IdempotencyKey)>>>);

impl Calls {
    fn note(&self, job: &Job, attempt: &Attempt) {
        lock(&self.0).push((name(job), attempt.id.number, attempt.key));
    }

    fn len(&self) -> usize {
        lock(&self.0).len()
    }

    fn names(&self) -> Vec<String> {
        lock(&self.0).iter().map(|call| call.0.clone()).collect()
    }

    /// The keys of one job's calls.
    fn keys(&self, name: &str) -> Vec<IdempotencyKey> {
        let calls = lock(&self.0);
        let calls = calls.iter().filter(|call| call.0 == name);
        calls.map(|call| call.2).collect()
    }
}

/// The events so far.
#[derive(Default)]
struct Told {
    events: Mutex<Vec<Event>>,
    changed: Condvar,
}

/// A run in a thread of its own.
struct Running {
    stop: Stop,
    told: Arc<Told>,
    ended: mpsc::Receiver<Ended>,
}

/// A run that has ended.
struct Ended {
    store: Store,
    result: Result<RunOutcome, RunError>,
}

impl Running {
    fn start(store: Store, callers: Vec<Box<dyn Caller>>, settings: &Settings) -> Self {
        Self::start_with(store, callers, settings, Stop::new())
    }

    /// Starts with one thread, and callers for more.
    fn start_alone(store: Store, callers: Vec<Box<dyn Caller>>, settings: &Settings) -> Self {
        let settings = Settings {
            threads: 1.into(),
            ..settings.clone()
        };
        Self::start_as(store, callers, settings, Stop::new())
    }

    /// Starts with the configured number of threads.
    fn start_auto(store: Store, callers: Vec<Box<dyn Caller>>, settings: &Settings) -> Self {
        Self::start_as(store, callers, settings.clone(), Stop::new())
    }

    fn start_with(
        store: Store,
        callers: Vec<Box<dyn Caller>>,
        settings: &Settings,
        stop: Stop,
    ) -> Self {
        let settings = Settings {
            threads: callers.len().into(),
            ..settings.clone()
        };
        Self::start_as(store, callers, settings, stop)
    }

    fn start_as(
        mut store: Store,
        callers: Vec<Box<dyn Caller>>,
        settings: Settings,
        stop: Stop,
    ) -> Self {
        let told = Arc::<Told>::default();
        let (tell, ended) = mpsc::channel();
        let (listener, asked) = (Arc::clone(&told), stop.clone());
        thread::spawn(move || {
            let mut callers = callers.into_iter();
            let mut make = move || {
                callers
                    .next()
                    .map(SlotCaller::from)
                    .ok_or_else(|| "no caller is left".into())
            };
            let result = engine::run(&mut store, &mut make, &settings, &asked, &mut |event| {
                lock(&listener.events).push(event.clone());
                listener.changed.notify_all();
            });
            let _ = tell.send(Ended { store, result });
        });
        Self { stop, told, ended }
    }

    /// Blocks until the events satisfy `such`.
    fn wait_until(&self, such: impl Fn(&[Event]) -> bool) {
        let events = lock(&self.told.events);
        let waited = self
            .told
            .changed
            .wait_timeout_while(events, LIMIT, |events| !such(events));
        let (events, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "waited in vain; {events:?}");
    }

    /// Blocks until `n` settlements are reported.
    fn wait_for_settled(&self, n: usize) {
        self.wait_until(|events| {
            events
                .iter()
                .filter(|event| matches!(event, Event::Settled(_)))
                .count()
                >= n
        });
    }

    /// Blocks until nothing happens for a moment.
    fn wait_for_quiet(&self) {
        let ticks = |events: &[Event]| {
            events
                .iter()
                .filter(|event| matches!(event, Event::Tick))
                .count()
        };
        let before = ticks(&lock(&self.told.events));
        self.wait_until(|events| ticks(events) >= before + 2);
    }

    /// Waits for the end, which must not be an error.
    fn finish(self) -> (RunOutcome, Vec<Event>, Store) {
        let told = Arc::clone(&self.told);
        let ended = self.end();
        let events = std::mem::take(&mut *lock(&told.events));
        (ended.result.unwrap(), events, ended.store)
    }

    fn end(self) -> Ended {
        self.ended.recv_timeout(LIMIT).expect("the run ends")
    }
}

/// Runs to the end, and closes the store.
fn run(
    store: Store,
    callers: Vec<Box<dyn Caller>>,
    settings: &Settings,
) -> (RunOutcome, Vec<Event>) {
    let (run_outcome, events, store) = Running::start(store, callers, settings).finish();
    store.close().unwrap();
    (run_outcome, events)
}

fn settled(events: &[Event]) -> Vec<&Settled> {
    let settled = events.iter().filter_map(|event| match event {
        Event::Settled(settled) => Some(&**settled),
        _ => None,
    });
    settled.collect()
}
