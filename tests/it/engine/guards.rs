//! The engine under a governor that reacts to refusals and to changed settings.

use stride::event::{Ending, Event, Halt};
use stride::governor::{Fault, StopReason};
use stride::job::{Class, JobState};
use stride::limits::Rates;
use stride::settings::{Settings, Threads};
use stride::store::{StoreError, change_settings};

use super::{Calls, Running, callers, name, run, settings};
use crate::support::{Counter, Fixture, Gate, failed, succeeded};

fn refused() -> stride::job::Outcome {
    failed(Class::Auth, Some(401), "HTTP 401")
}

#[test]
fn a_file_that_is_refused_among_others_fails_once_the_cause_is_known() {
    let fixture = Fixture::numbered(6);
    let script = |job: &_, _: &_, _: &_| match name(job).as_str() {
        "2" => refused(),
        _ => succeeded("1"),
    };
    let (run_outcome, events) = run(fixture.open(), callers(1, script), &settings());
    assert_eq!((run_outcome.counts.done, run_outcome.counts.failed), (6, 1));
    assert_eq!(run_outcome.ending, Ending::Finished);
    let settled = events.iter().find_map(|event| match event {
        Event::Settled(settled) if settled.path.as_str() == Some("2") => Some(settled.state),
        _ => None,
    });
    assert_eq!(settled, Some(JobState::Pending), "nobody knew yet");
    let gave_up =
        |event: &&Event| matches!(event, Event::GaveUp { path, .. } if path.as_str() == Some("2"));
    assert_eq!(events.iter().filter(gave_up).count(), 1);
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn the_last_file_that_is_refused_fails_too() {
    let fixture = Fixture::numbered(3);
    let script = |job: &_, _: &_, _: &_| match name(job).as_str() {
        "2" => refused(),
        _ => succeeded("1"),
    };
    let (run_outcome, _) = run(fixture.open(), callers(2, script), &settings());
    assert_eq!((run_outcome.counts.done, run_outcome.counts.failed), (3, 1));
    assert_eq!(run_outcome.ending, Ending::Finished);
}

#[test]
fn a_refused_file_that_is_the_last_does_not_wait_for_the_pace() {
    let fixture = Fixture::numbered(2);
    let script = |job: &_, _: &_, _: &_| match name(job).as_str() {
        "1" => refused(),
        _ => succeeded("1"),
    };
    // With the bystander's, these are the calls of a day, so no call may start before tomorrow.
    let settings = Settings {
        rates: Rates::parse(["3/d"]).unwrap(),
        burst: 3,
        ..settings()
    };
    let (run_outcome, _) = run(fixture.open(), callers(1, script), &settings);
    assert_eq!((run_outcome.counts.done, run_outcome.counts.failed), (2, 1));
    assert_eq!(run_outcome.ending, Ending::Finished);
}

#[test]
fn a_run_without_an_accepted_call_stops_and_leaves_all_files_pending() {
    for jobs in [1, 3, 40] {
        let fixture = Fixture::numbered(jobs);
        let begun = Counter::default();
        let count = begun.clone();
        let script = move |_: &_, _: &_, _: &_| {
            count.add();
            refused()
        };
        let settings = Settings {
            canary: true,
            ..settings()
        };
        let (run_outcome, _) = run(fixture.open(), callers(8, script), &settings);
        let refused = matches!(
            &run_outcome.ending,
            Ending::Halted(Halt { reason: StopReason::Fault(Fault::Auth), words }) if words == "HTTP 401"
        );
        assert!(refused, "{:?}", run_outcome.ending);
        assert_eq!(
            (run_outcome.counts.pending, run_outcome.counts.failed),
            (jobs as u64, 0)
        );
        // Five, the last of the list and a random one.
        assert_eq!(begun.get(), jobs.min(7));
        assert_eq!(fixture.problems(), [""; 0]);
    }
}

#[test]
fn more_failures_than_allowed_stop_the_run() {
    let fixture = Fixture::numbered(40);
    let script = |_: &_, _: &_, _: &_| failed(Class::Rejected, Some(422), "HTTP 422");
    let settings = Settings {
        max_failures: Some("3".parse().unwrap()),
        ..settings()
    };
    let (run_outcome, _) = run(fixture.open(), callers(2, script), &settings);
    assert!(
        matches!(
            run_outcome.ending,
            Ending::Halted(Halt {
                reason: StopReason::Failures(4..=5),
                ..
            })
        ),
        "{:?}",
        run_outcome.ending
    );
    assert!((4..=5).contains(&run_outcome.counts.failed));
    assert!(run_outcome.counts.pending >= 35);
}

#[test]
fn a_budget_that_the_last_file_uses_up_stops_nothing() {
    let fixture = Fixture::numbered(4);
    // The bystander's call was the first.
    let settings = Settings {
        max_calls: Some(5),
        ..settings()
    };
    let script = |_: &_, _: &_, _: &_| succeeded("1");
    let (run_outcome, _) = run(fixture.open(), callers(2, script), &settings);
    assert_eq!(
        (run_outcome.ending, run_outcome.counts.done),
        (Ending::Finished, 5)
    );
}

#[test]
fn settings_that_change_during_a_run_are_applied() {
    let fixture = Fixture::numbered(12);
    let (begun, others) = (Counter::default(), Gate::default());
    let script = {
        let (begun, others) = (begun.clone(), others.clone());
        move |_: &_, _: &_, _: &_| {
            begun.add();
            others.wait();
            succeeded("1")
        }
    };
    let running = Running::start_alone(fixture.open(), callers(12, script), &settings());
    begun.wait_for(1);
    running.wait_for_quiet();
    assert_eq!(begun.get(), 1, "one thread");
    change_settings(&fixture.database, |settings| {
        Ok::<_, StoreError>(Settings {
            threads: 6.into(),
            ..settings
        })
    })
    .unwrap();
    begun.wait_for(6);
    running.wait_for_quiet();
    assert_eq!(begun.get(), 6);
    change_settings(&fixture.database, |settings| {
        Ok::<_, StoreError>(Settings {
            threads: 2.into(),
            ..settings
        })
    })
    .unwrap();
    running.wait_until(|events| {
        events
            .iter()
            .filter(|event| matches!(event, Event::Changed(_)))
            .count()
            == 2
    });
    others.open();
    let (run_outcome, ..) = running.finish();
    assert_eq!(run_outcome.counts.done, 13);
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn an_automatic_number_of_threads_calls_every_file_once() {
    let fixture = Fixture::numbered(200);
    let calls = Calls::default();
    let note = calls.clone();
    let script = move |job: &_, attempt: &_, _: &_| {
        note.note(job, attempt);
        succeeded("1")
    };
    let settings = Settings {
        threads: Threads::Auto,
        ..settings()
    };
    let running = Running::start_auto(fixture.open(), callers(256, script), &settings);
    let (run_outcome, ..) = running.finish();
    assert_eq!((run_outcome.counts.done, calls.len()), (201, 200));
    assert_eq!(fixture.problems(), [""; 0]);
}
