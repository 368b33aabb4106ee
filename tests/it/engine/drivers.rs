//! Callers that share a thread: the guarantees are those of a thread for each.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;

use stride::caller::{AsyncCaller, Calling, Cancel, SlotCaller};
use stride::engine::{self, RunOutcome, Stop, Urgency};
use stride::event::{Ending, Event};
use stride::job::{Attempt, Class, Failure, Job, Outcome};
use stride::settings::Settings;
use stride::store::Store;
use tokio::sync::Notify;

use super::{name, settings};

use crate::support::{Fixture, lock, succeeded};

/// An asynchronous caller that runs a function.
struct Scripted<F>(F);

impl<F> AsyncCaller for Scripted<F>
where
    F: FnMut(&Job, &Cancel) -> Calling<'static> + Send,
{
    fn call<'c>(&'c mut self, job: &'c Job, _: &'c Attempt, cancel: &'c Cancel) -> Calling<'c> {
        (self.0)(job, cancel)
    }
}

fn worker<F>(script: F) -> SlotCaller
where
    F: FnMut(&Job, &Cancel) -> Calling<'static> + Send + 'static,
{
    SlotCaller::Async(Box::new(Scripted(script)))
}

/// Runs `threads` slots whose callers run the same script.
fn run<F>(store: &mut Store, threads: usize, script: F, stop: &Stop) -> (RunOutcome, Vec<Event>)
where
    F: FnMut(&Job, &Cancel) -> Calling<'static> + Clone + Send + 'static,
{
    let settings = Settings {
        threads: threads.into(),
        ..settings()
    };
    let mut events = Vec::new();
    let mut make = move || Ok(worker(script.clone()));
    let run_outcome = engine::run(store, &mut make, &settings, stop, &mut |event| {
        events.push(event.clone());
    });
    (run_outcome.unwrap(), events)
}

/// All calls are in flight at once, on any number of threads: each waits for the others.
#[test]
fn many_calls_are_in_flight_at_once_and_each_chunk_has_its_stride() {
    const THREADS: usize = 50;
    let fixture = Fixture::numbered(2 * THREADS);
    let (arrived, together) = (Arc::<AtomicUsize>::default(), Arc::new(Notify::new()));
    let called = Arc::new(Mutex::new(Vec::new()));
    let made = AtomicUsize::new(0);
    let mut make = || {
        let chunk = made.fetch_add(1, Ordering::SeqCst);
        let (arrived, together) = (Arc::clone(&arrived), Arc::clone(&together));
        let called = Arc::clone(&called);
        Ok(worker(move |job: &Job, _: &Cancel| -> Calling<'static> {
            lock(&called).push((chunk, job.position.0 as usize));
            let (arrived, together) = (Arc::clone(&arrived), Arc::clone(&together));
            Box::pin(async move {
                let all = together.notified();
                if (arrived.fetch_add(1, Ordering::SeqCst) + 1).is_multiple_of(THREADS) {
                    together.notify_waiters();
                } else {
                    all.await;
                }
                succeeded("1")
            })
        }))
    };
    let settings = Settings {
        threads: THREADS.into(),
        ..settings()
    };
    let mut store = fixture.open();
    let ran = engine::run(&mut store, &mut make, &settings, &Stop::new(), &mut |_| {});
    let counts = ran.unwrap().counts;
    // One of the jobs is the bystander's, which is done.
    assert_eq!(counts.done, counts.total);
    let called = lock(&called);
    let strided = |(chunk, position): &(usize, usize)| position % THREADS == *chunk;
    assert_eq!(called.len(), 2 * THREADS);
    assert!(called.iter().all(strided), "{called:?}");
}

#[test]
fn row_4_a_caller_that_panics_ends_the_run_and_leaves_only_its_own_call_in_doubt() {
    let fixture = Fixture::numbered(4);
    let mut store = fixture.open();
    let script = |job: &Job, _: &Cancel| -> Calling<'static> {
        let name = name(job);
        Box::pin(async move {
            tokio::task::yield_now().await;
            assert!(name != "1", "this test's caller panics here");
            succeeded("1")
        })
    };
    let (run_outcome, _) = run(&mut store, 2, script, &Stop::new());
    assert!(matches!(&run_outcome.ending, Ending::Panicked(path) if path.to_string() == "1"));
    assert_eq!(run_outcome.counts.in_doubt, 1);
    store.close().unwrap();
    // The next runner calls the remaining jobs.
    let good = |_: &Job, _: &Cancel| -> Calling<'static> { Box::pin(async { succeeded("2") }) };
    let mut store = fixture.open();
    let (run_outcome, _) = run(&mut store, 2, good, &Stop::new());
    assert_eq!(run_outcome.ending, Ending::Finished);
    assert_eq!(run_outcome.counts.done, run_outcome.counts.total);
}

/// One call reports itself how the stop ended it, and one never returns.
#[test]
fn an_urgent_stop_reports_every_call() {
    let fixture = Fixture::numbered(2);
    let mut store = fixture.open();
    let stop = Stop::new();
    let (tell, called) = mpsc::channel();
    let asked = stop.clone();
    let asking = thread::spawn(move || {
        let _both: [(); 2] = [called.recv().unwrap(), called.recv().unwrap()];
        asked.ask(Urgency::Now);
    });
    let script = move |job: &Job, cancel: &Cancel| -> Calling<'static> {
        tell.send(()).unwrap();
        let (says, cancel) = (name(job) == "0", cancel.clone());
        Box::pin(async move {
            if says {
                cancel.cancelled().await;
                return Outcome::Interrupted;
            }
            std::future::pending().await
        })
    };
    let (run_outcome, events) = run(&mut store, 2, script, &stop);
    asking.join().unwrap();
    assert_eq!(run_outcome.ending, Ending::Stopped);
    let doubts: Vec<String> = run_outcome
        .in_doubt
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        (doubts, run_outcome.counts.in_doubt),
        (vec!["1".to_owned()], 1)
    );
    assert_eq!(
        (run_outcome.counts.pending, run_outcome.counts.running),
        (2, 0)
    );
    let settled = events
        .iter()
        .filter(|event| matches!(event, Event::Settled(_)));
    assert_eq!(settled.count(), 2);
}

#[test]
fn a_failure_is_tried_again_by_the_same_caller() {
    let fixture = Fixture::numbered(3);
    let mut store = fixture.open();
    let calls = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&calls);
    let script = move |_: &Job, _: &Cancel| -> Calling<'static> {
        let first = counted.fetch_add(1, Ordering::SeqCst) < 2;
        Box::pin(async move {
            match first {
                true => Outcome::Failed(Failure::new(Class::Transient, "test", "not yet")),
                false => succeeded("1"),
            }
        })
    };
    let (run_outcome, _) = run(&mut store, 1, script, &Stop::new());
    assert_eq!(run_outcome.counts.done, run_outcome.counts.total);
    assert_eq!(calls.load(Ordering::SeqCst), 5);
}
