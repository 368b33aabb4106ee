//! Stops, and errors that stop a run.

use std::fs;
use std::time::{Duration, Instant};

use stride::caller::Cancel;
use stride::engine::{RunError, Stop, Urgency};
use stride::event::{Ending, Event};
use stride::job::{FileName, JobState, Outcome};
use stride::limits::Rates;
use stride::retry::DoubtPolicy;
use stride::settings::Settings;
use stride::store::StoreError;

use super::{Calls, Running, callers, settings, settled};
use crate::support::{Counter, Fixture, Gate, POLICY, in_doubt, succeeded};

/// Three threads, each in a call that lasts until the gate is open and ignores `cancel`.
fn three_in_flight(fixture: &Fixture, settings: &Settings) -> (Running, Gate, Calls) {
    let (gate, calls, begun) = (Gate::default(), Calls::default(), Counter::default());
    let script = {
        let (gate, calls, begun) = (gate.clone(), calls.clone(), begun.clone());
        move |job: &_, attempt: &_, _: &_| {
            calls.note(job, attempt);
            begun.add();
            gate.wait();
            succeeded("\"late\"")
        }
    };
    let running = Running::start(fixture.open(), callers(3, script), settings);
    begun.wait_for(3);
    (running, gate, calls)
}

fn stopping(events: &[Event]) -> Option<usize> {
    events.iter().find_map(|event| match event {
        Event::Stopping { in_flight, .. } => Some(*in_flight),
        _ => None,
    })
}

#[test]
fn a_stop_lets_calls_in_flight_end_and_begins_none() {
    let fixture = Fixture::numbered(9);
    let (running, gate, calls) = three_in_flight(&fixture, &settings());
    running.stop.ask(Urgency::Drain);
    running.wait_until(|events| stopping(events) == Some(3));
    gate.open();
    let (run_outcome, events, store) = running.finish();
    assert_eq!(
        (run_outcome.ending.clone(), calls.len()),
        (Ending::Stopped, 3)
    );
    let counts = run_outcome.counts;
    assert_eq!(
        (counts.done, counts.pending, counts.in_doubt, counts.running),
        (4, 6, 0, 0)
    );
    assert_eq!(run_outcome.in_doubt, []);
    assert_eq!(settled(&events).len(), 3);
    store.close().unwrap();
    assert_eq!(fixture.reader().info().unwrap().ended.unwrap().1, "stopped");
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn an_urgent_stop_does_not_wait_for_a_caller_that_ignores_it() {
    let fixture = Fixture::numbered(9);
    let settings = Settings {
        grace: Duration::from_secs(3600),
        ..settings()
    };
    let (running, gate, calls) = three_in_flight(&fixture, &settings);
    let asked = Instant::now();
    running.stop.ask(Urgency::Now);
    let (run_outcome, _, store) = running.finish();
    // It takes less than half a second; a machine that is busy with other tests may take its time.
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "{:?}",
        asked.elapsed()
    );
    let counts = run_outcome.counts;
    assert_eq!(
        (
            run_outcome.ending.clone(),
            counts.done,
            counts.pending,
            counts.in_doubt
        ),
        (Ending::Stopped, 1, 9, 3)
    );
    let mut names = run_outcome.in_doubt;
    names.sort();
    assert_eq!(names, ["0", "1", "2"].map(FileName::from));
    store.close().unwrap();
    let before = fixture.contents();
    gate.open();
    let record = fixture.record("0");
    assert_eq!(
        (record.outcome.as_deref(), record.kind.as_deref()),
        (Some("in_doubt"), Some("stopped"))
    );
    assert_eq!(
        (fixture.contents(), fixture.problems()),
        (before, Vec::new()),
        "a late answer changes nothing"
    );

    let first: Vec<_> = ["0", "1", "2"].map(|name| calls.keys(name)[0]).into();
    let (running, gate, calls) = three_in_flight(&fixture, &self::settings());
    gate.open();
    assert_eq!(running.finish().0.counts.done, 10);
    assert_eq!(
        ["0", "1", "2"].map(|name| calls.keys(name)[0]).to_vec(),
        first,
        "the same operations"
    );
}

#[test]
fn an_urgent_stop_records_late_reports() {
    let fixture = Fixture::new(&["doubt", "unsent", "done", "later"]);
    let begun = Counter::default();
    let script = {
        let begun = begun.clone();
        move |job: &stride::job::Job, _: &_, cancel: &Cancel| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            begun.add();
            runtime.block_on(cancel.cancelled());
            match job.path.as_str() {
                Some("doubt") => in_doubt(),
                Some("unsent") => Outcome::Interrupted,
                _ => succeeded("1"),
            }
        }
    };
    let running = Running::start(
        fixture.open(),
        callers(3, script),
        &Settings {
            retries: 0,
            ..settings()
        },
    );
    begun.wait_for(3);
    running.stop.ask(Urgency::Now);
    let (run_outcome, ..) = running.finish();
    assert_eq!(run_outcome.in_doubt, [FileName::from("doubt")]);
    let states = ["doubt", "unsent", "done", "later"].map(|name| fixture.state(name));
    assert_eq!(
        states,
        [
            JobState::Pending,
            JobState::Pending,
            JobState::Done,
            JobState::Pending
        ]
    );
    let outcomes = ["doubt", "unsent"].map(|name| fixture.record(name).outcome.unwrap());
    assert_eq!(outcomes, ["in_doubt", "interrupted"]);
    assert_eq!((run_outcome.counts.in_doubt, begun.get()), (1, 3));
}

#[test]
fn calls_aborted_by_an_urgent_stop_are_held_on_request() {
    let fixture = Fixture::numbered(4);
    let settings = Settings {
        in_doubt: DoubtPolicy::Hold,
        ..settings()
    };
    let (running, gate, _) = three_in_flight(&fixture, &settings);
    running.stop.ask(Urgency::Now);
    let (run_outcome, ..) = running.finish();
    assert_eq!(
        (run_outcome.counts.held, run_outcome.counts.pending),
        (3, 1)
    );
    gate.open();
}

#[test]
fn a_second_more_urgent_stop_cuts_the_first_short() {
    let fixture = Fixture::numbered(9);
    let (running, gate, calls) = three_in_flight(&fixture, &settings());
    running.stop.ask(Urgency::Drain);
    running.wait_until(|events| stopping(events).is_some());
    running.stop.ask(Urgency::Now);
    // A later, less urgent stop changes nothing.
    running.stop.ask(Urgency::Drain);
    let (run_outcome, ..) = running.finish();
    assert_eq!((run_outcome.counts.in_doubt, calls.len()), (3, 3));
    gate.open();
}

#[test]
fn the_grace_aborts_calls_that_do_not_end() {
    let fixture = Fixture::numbered(9);
    let settings = Settings {
        grace: Duration::from_millis(20),
        ..settings()
    };
    let (running, gate, calls) = three_in_flight(&fixture, &settings);
    running.stop.ask(Urgency::Drain);
    let (run_outcome, ..) = running.finish();
    assert_eq!(
        (run_outcome.ending, run_outcome.counts.in_doubt, calls.len()),
        (Ending::Stopped, 3, 3)
    );
    assert_eq!(run_outcome.in_doubt.len(), 3);
    gate.open();
}

#[test]
fn a_stop_asked_for_before_the_run_lets_no_call_begin() {
    for urgency in [Urgency::Drain, Urgency::Now] {
        let fixture = Fixture::numbered(4);
        let stop = Stop::new();
        stop.ask(urgency);
        assert!(stop.is_asked());
        let calls = Calls::default();
        let noted = calls.clone();
        let script = move |job: &_, attempt: &_, _: &_| {
            noted.note(job, attempt);
            succeeded("1")
        };
        let (run_outcome, ..) =
            Running::start_with(fixture.open(), callers(2, script), &settings(), stop).finish();
        assert_eq!(
            (calls.names(), run_outcome.counts.attempts),
            (Vec::new(), 1),
            "{urgency:?}"
        );
    }
}

#[test]
fn a_stop_while_nothing_can_be_called_ends_the_run_at_once() {
    let fixture = Fixture::numbered(3);
    let settings = Settings {
        // The bystander was the first call of today.
        rates: Rates::parse(["2/d"]).unwrap(),
        burst: 2,
        ..settings()
    };
    let running = Running::start(
        fixture.open(),
        callers(2, |_: &_, _: &_, _: &_| succeeded("1")),
        &settings,
    );
    running.wait_for_settled(1);
    running.stop.ask(Urgency::Drain);
    let (run_outcome, ..) = running.finish();
    assert_eq!(
        (
            run_outcome.ending,
            run_outcome.counts.done,
            run_outcome.counts.pending
        ),
        (Ending::Stopped, 2, 2)
    );
}

#[test]
fn row_23_a_run_that_was_taken_over_records_nothing_more_and_saves_its_outcomes() {
    let fixture = Fixture::numbered(9);
    let (running, gate, calls) = three_in_flight(&fixture, &settings());
    fs::remove_file(fixture.at("stride.db.lock")).unwrap();
    let mut usurper = fixture.open();
    usurper.start(1, &POLICY).unwrap();
    let before = fixture.contents();
    gate.open();
    let ended = running.end();
    let Err(RunError::Store {
        source,
        rescued,
        in_flight,
    }) = ended.result
    else {
        panic!("{:?}", ended.result)
    };
    assert!(matches!(source, StoreError::Usurped), "{source:?}");
    assert_eq!(
        (rescued.saved, &rescued.lost[..], in_flight),
        (3, &[][..], 0)
    );
    assert_eq!(
        (fixture.contents(), calls.len()),
        (before, 3),
        "nothing is written or called after it"
    );
}
