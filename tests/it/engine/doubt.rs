//! Calls that may have been sent and have no answer.

use std::sync::{Arc, Barrier};

use stride::event::{Ending, Event};
use stride::job::{Class, JobState, Outcome};
use stride::retry::DoubtPolicy;
use stride::settings::Settings;
use stride::store::Filter;

use super::{Calls, Running, callers, name, run, settings, settled};
use crate::support::{Fixture, Gate, claim, failed, in_doubt, succeeded};

fn hold() -> Settings {
    Settings {
        in_doubt: DoubtPolicy::Hold,
        ..settings()
    }
}

#[test]
fn doubt_is_repeated_under_the_same_key_and_charged() {
    let fixture = Fixture::new(&["a", "b"]);
    let calls = Calls::default();
    let noted = calls.clone();
    let script = move |job: &_, attempt: &stride::job::Attempt, _: &_| {
        noted.note(job, attempt);
        match (name(job).as_str(), attempt.id.number) {
            ("a", 1..=2) => in_doubt(),
            ("b", _) => in_doubt(),
            _ => succeeded("1"),
        }
    };
    let settings = Settings {
        retries: 2,
        ..settings()
    };
    let (run_outcome, events) = run(fixture.open(), callers(2, script), &settings);
    assert_eq!(
        (fixture.state("a"), fixture.state("b")),
        (JobState::Done, JobState::Failed)
    );
    for name in ["a", "b"] {
        let keys = calls.keys(name);
        assert!(
            keys.len() == 3 && keys.iter().all(|key| *key == keys[0]),
            "{name}: {keys:?}"
        );
    }
    assert_eq!(
        (
            run_outcome.counts.in_doubt,
            run_outcome.counts.in_doubt_recovered
        ),
        (5, 0)
    );
    assert_eq!(run_outcome.in_doubt, [], "no stop cut anything off");
    let doubts = settled(&events)
        .into_iter()
        .filter(|settled| settled.outcome == "in_doubt");
    assert_eq!(doubts.count(), 5);
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn a_call_in_doubt_is_held_on_request_and_keeps_its_key_when_released() {
    let fixture = Fixture::new(&["a", "b"]);
    let calls = Calls::default();
    let noted = calls.clone();
    let script = move |job: &_, attempt: &stride::job::Attempt, _: &_| {
        noted.note(job, attempt);
        if name(job) == "a" && attempt.id.number == 1 {
            in_doubt()
        } else {
            succeeded("1")
        }
    };
    let (run_outcome, _) = run(fixture.open(), callers(2, script.clone()), &hold());
    assert_eq!(
        (run_outcome.ending, run_outcome.counts.held, calls.len()),
        (Ending::Finished, 1, 2)
    );
    assert_eq!(
        run(fixture.open(), callers(2, script.clone()), &hold())
            .0
            .counts
            .held,
        1
    );
    assert_eq!(calls.len(), 2, "not called until a person decides");

    let mut store = fixture.open();
    assert_eq!(
        store
            .requeue(&Filter {
                held: true,
                ..Filter::default()
            })
            .unwrap(),
        1
    );
    let (run_outcome, _) = run(store, callers(2, script), &hold());
    assert_eq!((run_outcome.counts.done, run_outcome.counts.held), (3, 0));
    let keys = calls.keys("a");
    assert!(keys.len() == 2 && keys[0] == keys[1]);
}

#[test]
fn failures_of_the_service_keep_the_key_of_a_call_in_doubt() {
    let fixture = Fixture::new(&["a"]);
    let calls = Calls::default();
    let noted = calls.clone();
    let script = move |job: &_, attempt: &stride::job::Attempt, _: &_| {
        noted.note(job, attempt);
        match attempt.id.number {
            1 => in_doubt(),
            2 => failed(Class::Transient, Some(503), "m"),
            3 => in_doubt(),
            _ => succeeded("1"),
        }
    };
    run(fixture.open(), callers(1, script), &settings());
    let keys = calls.keys("a");
    assert_eq!(keys.len(), 4);
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}

#[test]
fn calls_in_flight_at_a_crash_are_reported_and_repeated_under_their_keys() {
    let fixture = Fixture::new(&["a", "b"]);
    let mut store = fixture.start();
    let dead = claim(&mut store, fixture.id("b"));
    drop(store);
    let calls = Calls::default();
    let noted = calls.clone();
    let script = move |job: &_, attempt: &_, _: &_| {
        noted.note(job, attempt);
        succeeded("1")
    };
    let (run_outcome, events) = run(fixture.open(), callers(1, script), &settings());
    let Event::Started {
        recovered, counts, ..
    } = &events[0]
    else {
        panic!("{events:?}")
    };
    assert_eq!(
        (recovered.as_slice(), counts.in_doubt_recovered),
        (&["b".into()][..], 1)
    );
    assert_eq!(run_outcome.counts.done, 3);
    assert_eq!(calls.keys("b"), [dead.attempt.key]);
    assert_eq!(fixture.record("b").attempts, 2);
}

#[test]
fn row_4_a_caller_that_panics_ends_the_run_and_leaves_only_its_own_call_in_doubt() {
    for (settings, state) in [(settings(), JobState::Pending), (hold(), JobState::Held)] {
        let fixture = Fixture::numbered(9);
        let (together, others) = (Arc::new(Barrier::new(3)), Gate::default());
        let calls = Calls::default();
        let script = {
            let (noted, others) = (calls.clone(), others.clone());
            move |job: &_, attempt: &_, _: &_| {
                noted.note(job, attempt);
                together.wait();
                assert!(name(job) != "1", "this test's caller panics here");
                others.wait();
                succeeded("1")
            }
        };
        let running = Running::start(fixture.open(), callers(3, script), &settings);
        running.wait_until(|events| {
            events
                .iter()
                .any(|event| matches!(event, Event::Stopping { .. }))
        });
        others.open();
        let (run_outcome, _, store) = running.finish();
        assert_eq!(run_outcome.ending, Ending::Panicked("1".into()));
        store.close().unwrap();
        assert_eq!(
            fixture.reader().info().unwrap().ended.unwrap().1,
            "panicked"
        );
        assert_eq!(
            (
                calls.len(),
                run_outcome.counts.done,
                run_outcome.counts.in_doubt
            ),
            (3, 3, 1)
        );
        let record = fixture.record("1");
        assert_eq!(
            (record.state, record.outcome.as_deref()),
            (state, Some("in_doubt"))
        );
        assert_eq!(
            (record.class, record.kind.as_deref()),
            (Some(Class::Local), Some("panicked"))
        );
        assert_eq!(
            (fixture.state("0"), fixture.state("2")),
            (JobState::Done, JobState::Done)
        );
        assert_eq!(fixture.problems(), [""; 0]);
    }
}

/// A file on which the caller panics cannot keep a run from ever ending.
#[test]
fn row_4_a_job_that_always_panics_fails_in_the_end() {
    let fixture = Fixture::new(&["poison"]);
    let settings = Settings {
        retries: 1,
        ..settings()
    };
    let mut runs = 0;
    while fixture.state("poison") == JobState::Pending {
        let poison = |_: &_, _: &_, _: &_| -> Outcome { panic!("this test's caller panics here") };
        let (run_outcome, _) = run(fixture.open(), callers(1, poison), &settings);
        assert_eq!(run_outcome.ending, Ending::Panicked("poison".into()));
        runs += 1;
    }
    assert_eq!((fixture.state("poison"), runs), (JobState::Failed, 3));
}
