//! The gate that all threads pass: throttling closes it for everyone, an outage lets one probe through.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use stride::event::Event;
use stride::governor::LimitedBy;
use stride::job::JobState;
use stride::settings::Settings;

use super::{Running, callers, name, settings};
use crate::support::{Counter, Fixture, Gate, lock, succeeded, throttled, unreachable};

fn is_asked_to_wait(event: &Event) -> bool {
    matches!(event, Event::Gate(Some(shut)) if matches!(shut.why, LimitedBy::RetryAfter(_)))
}

#[test]
fn throttling_closes_the_gate_for_everyone_until_the_stated_moment() {
    const WAIT: Duration = Duration::from_millis(300);
    let fixture = Fixture::numbered(12);
    let (begun, others) = (Counter::default(), Gate::default());
    let throttled_at = Arc::new(Mutex::new(None::<Instant>));
    let later = Arc::new(Mutex::new(Vec::new()));
    let script = {
        let (begun, others, throttled_at, later) = (
            begun.clone(),
            others.clone(),
            Arc::clone(&throttled_at),
            Arc::clone(&later),
        );
        move |job: &_, attempt: &stride::job::Attempt, _: &_| {
            let earlier = begun.add();
            if earlier >= 4 {
                lock(&later).push(Instant::now());
                return succeeded("1");
            }
            // The first four are in flight together.
            begun.wait_for(4);
            if name(job) == "0" && attempt.id.number == 1 {
                *lock(&throttled_at) = Some(Instant::now());
                return throttled(Some(WAIT));
            }
            others.wait();
            succeeded("1")
        }
    };
    let running = Running::start(
        fixture.open(),
        callers(4, script),
        &Settings {
            retries: 0,
            ..settings()
        },
    );
    running.wait_until(|events| events.iter().any(is_asked_to_wait));
    others.open();
    let (run_outcome, events, _store) = running.finish();
    assert_eq!(run_outcome.counts.done, 13);
    assert_eq!(fixture.record("0").attempts, 2);
    let opens = lock(&throttled_at).unwrap() + WAIT;
    let later = lock(&later).clone();
    assert_eq!(later.len(), 9);
    assert!(
        later.iter().all(|at| *at >= opens),
        "somebody called too early"
    );
    let gates: Vec<bool> = events
        .iter()
        .filter_map(|event| match event {
            Event::Gate(closed) => Some(closed.is_some()),
            _ => None,
        })
        .collect();
    assert_eq!(
        gates,
        [true, false],
        "it is told once that it closed and once that it opened"
    );
}

#[test]
fn an_outage_is_probed_by_one_call_at_a_time_and_charged_to_no_file() {
    const THREADS: usize = 4;
    let fixture = Fixture::numbered(12);
    // The first calls, all together, and two probes reach no service.
    let (begun, ended, probe) = (Counter::default(), AtomicUsize::new(0), Gate::default());
    let ended = Arc::new(ended);
    let together = Counter::default();
    let script = {
        let (begun, ended, probe, together) = (
            begun.clone(),
            Arc::clone(&ended),
            probe.clone(),
            together.clone(),
        );
        move |_: &_, _: &_, _: &_| {
            let earlier = begun.add();
            let outcome = match earlier {
                0..THREADS => {
                    begun.wait_for(THREADS);
                    unreachable()
                }
                THREADS => {
                    probe.wait();
                    unreachable()
                }
                // The second probe reaches the service.
                5 => succeeded("1"),
                // Then the gate is open to all: these calls wait for each other.
                _ => {
                    together.add();
                    together.wait_for(THREADS);
                    succeeded("1")
                }
            };
            ended.fetch_add(1, Ordering::SeqCst);
            outcome
        }
    };
    let running = Running::start(
        fixture.open(),
        callers(THREADS, script),
        &Settings {
            retries: 0,
            ..settings()
        },
    );
    begun.wait_for(THREADS + 1);
    running.wait_for_quiet();
    assert_eq!(begun.get(), THREADS + 1, "one probe, and nobody else");
    assert_eq!(ended.load(Ordering::SeqCst), THREADS);
    assert_eq!(fixture.reader().counts().unwrap().running, 1);
    probe.open();
    let (run_outcome, events, _store) = running.finish();
    assert_eq!(
        (run_outcome.counts.done, run_outcome.counts.failed),
        (13, 0)
    );
    assert_eq!(run_outcome.counts.attempts, 1 + 12 + THREADS as u64 + 1);
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::Gate(Some(_))))
    );
    assert!(matches!(
        events.iter().rfind(|event| matches!(event, Event::Gate(_))),
        Some(Event::Gate(None))
    ));
}

#[test]
fn a_service_that_throttles_without_a_wait_is_called_again() {
    let fixture = Fixture::numbered(2);
    let begun = Counter::default();
    let count = begun.clone();
    let began = Instant::now();
    let script = move |_: &_, _: &_, _: &_| {
        if count.add() == 0 {
            throttled(None)
        } else {
            succeeded("1")
        }
    };
    let (run_outcome, _, _store) =
        Running::start(fixture.open(), callers(1, script), &settings()).finish();
    assert_eq!((run_outcome.counts.done, begun.get()), (3, 3));
    assert!(
        began.elapsed() >= Duration::from_millis(250),
        "a quarter of a second at least"
    );
    assert_eq!(fixture.state("0"), JobState::Done);
}

#[test]
fn a_stop_does_not_wait_for_the_gate() {
    let fixture = Fixture::numbered(3);
    let long = Duration::from_secs(600);
    let running = Running::start(
        fixture.open(),
        callers(2, move |_: &_, _: &_, _: &_| throttled(Some(long))),
        &settings(),
    );
    running.wait_until(|events| events.iter().any(is_asked_to_wait));
    running.stop.ask(stride::engine::Urgency::Drain);
    let (run_outcome, ..) = running.finish();
    assert_eq!(
        (run_outcome.counts.pending, run_outcome.counts.in_doubt),
        (3, 0)
    );
}
