//! Retries: which calls are repeated, how often, and under which key.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use stride::caller::FnCaller;
use stride::engine::Urgency;
use stride::event::Event;
use stride::governor::LimitedBy;
use stride::job::{Answer, Class, Failure, JobState, Outcome};
use stride::settings::Settings;

use super::{Calls, Running, callers, name, run, settings, settled};
use crate::support::{Fixture, failed, succeeded, throttled, unsendable};

/// Calls one job, `a`, with these outcomes, beside one that succeeds.
fn go_through(retries: u32, outcomes: Vec<Outcome>) -> (Fixture, Calls) {
    let fixture = Fixture::new(&["a", "b"]);
    let calls = Calls::default();
    let (noted, next) = (calls.clone(), Arc::new(AtomicUsize::new(0)));
    let script = move |job: &_, attempt: &_, _: &_| {
        noted.note(job, attempt);
        if name(job) == "a" {
            outcomes[next.fetch_add(1, Ordering::SeqCst)].clone()
        } else {
            succeeded("\"b\"")
        }
    };
    let settings = Settings {
        retries,
        ..settings()
    };
    run(fixture.open(), callers(2, script), &settings);
    assert_eq!(calls.keys("b").len(), 1);
    assert_eq!(fixture.problems(), [""; 0]);
    (fixture, calls)
}

fn transient() -> Outcome {
    failed(Class::Transient, Some(500), "overloaded")
}

#[test]
fn a_transient_failure_is_repeated_under_a_new_key_until_it_succeeds() {
    let (fixture, calls) = go_through(2, vec![transient(), transient(), succeeded("\"a\"")]);
    let record = fixture.record("a");
    assert_eq!((record.state, record.attempts), (JobState::Done, 3));
    assert_eq!(record.result.unwrap().body, b"\"a\"");
    let mut keys = calls.keys("a");
    keys.dedup();
    assert_eq!(keys.len(), 3);
}

#[test]
fn a_transient_failure_is_final_when_no_retry_is_left() {
    for retries in [0, 1, 4] {
        let attempts = retries as usize + 1;
        let (fixture, calls) = go_through(retries, vec![transient(); attempts]);
        assert_eq!(fixture.state("a"), JobState::Failed);
        assert_eq!(calls.keys("a").len(), attempts);
        assert_eq!(fixture.reader().counts().unwrap().failed, 1);
    }
}

#[test]
fn permanent_failures_are_not_retried() {
    for class in [
        Class::Quota,
        Class::Auth,
        Class::Rejected,
        Class::BadResponse,
        Class::Input,
        Class::Local,
    ] {
        let (fixture, calls) = go_through(4, vec![failed(class, Some(400), "no")]);
        assert_eq!(
            (fixture.state("a"), calls.keys("a").len()),
            (JobState::Failed, 1),
            "{class:?}"
        );
    }
    let (fixture, calls) = go_through(4, vec![unsendable()]);
    assert_eq!(
        (fixture.state("a"), calls.keys("a").len()),
        (JobState::Failed, 1)
    );
}

#[test]
fn throttling_is_not_charged_and_keeps_the_key() {
    let mut outcomes = vec![throttled(Some(Duration::from_millis(1))); 10];
    outcomes.push(succeeded("1"));
    let (fixture, calls) = go_through(0, outcomes);
    assert_eq!(
        (fixture.state("a"), fixture.record("a").attempts),
        (JobState::Done, 11)
    );
    let keys = calls.keys("a");
    assert!(keys.len() == 11 && keys.iter().all(|key| *key == keys[0]));
}

#[test]
fn an_interruption_is_not_charged() {
    let (fixture, calls) = go_through(
        0,
        vec![Outcome::Interrupted, Outcome::Interrupted, succeeded("1")],
    );
    assert_eq!(
        (fixture.state("a"), calls.keys("a").len()),
        (JobState::Done, 3)
    );
}

#[test]
fn a_retry_waits_no_longer_than_allowed() {
    let fixture = Fixture::numbered(4);
    let calls = Calls::default();
    let noted = calls.clone();
    let script = move |job: &_, attempt: &stride::job::Attempt, _: &_| {
        noted.note(job, attempt);
        if name(job) == "0" && attempt.id.number == 1 {
            transient()
        } else {
            succeeded("1")
        }
    };
    // Retries after an hour, cut to less than a second.
    let settings = Settings {
        retry_delay: Duration::from_secs(3600),
        retry_max_delay: Duration::from_millis(300),
        ..settings()
    };
    let began = Instant::now();
    let (run_outcome, events) = run(fixture.open(), callers(1, script), &settings);
    assert_eq!((run_outcome.counts.done, calls.len()), (5, 5));
    assert!(began.elapsed() < Duration::from_secs(60));
    assert_eq!(settled(&events)[0].state, JobState::Pending);
}

#[test]
fn a_run_that_waits_for_retries_reports_the_end_of_the_wait() {
    let fixture = Fixture::numbered(3);
    let script = |job: &_, _: &_, _: &_| match name(job).as_str() {
        "0" => transient(),
        _ => succeeded("1"),
    };
    let hour = Duration::from_secs(3600);
    let settings = Settings {
        retry_delay: hour,
        retry_max_delay: hour,
        ..settings()
    };
    let running = Running::start(fixture.open(), callers(2, script), &settings);
    let repeats = |event: &Event| match event {
        Event::Flow(flow) if flow.why == LimitedBy::NoWork && flow.moment.is_some() => Some(*flow),
        _ => None,
    };
    running.wait_until(|events| events.iter().any(|event| repeats(event).is_some()));
    running.stop.ask(Urgency::Drain);
    let (run_outcome, events, store) = running.finish();
    assert_eq!(
        (run_outcome.counts.done, run_outcome.counts.pending),
        (3, 1)
    );
    let flow = events.iter().find_map(repeats).unwrap();
    let moment = u64::try_from(flow.moment.unwrap()).unwrap();
    let finish = u64::try_from(flow.finish.unwrap().as_millis()).unwrap();
    // The next moment is the last one. Both are rounded.
    assert!(finish.abs_diff(moment) <= 1, "{finish} is not {moment}");
    assert!((1..=3_600_000).contains(&moment), "{moment}");
    store.close().unwrap();
}

#[test]
fn a_function_is_a_caller() {
    let fixture = Fixture::new(&["good", "bad", "text"]);
    let caller = FnCaller(|job: &stride::job::Job| match name(job).as_str() {
        "bad" => Err(Failure::new(Class::Rejected, "because", "no good")),
        "text" => Ok(Answer::text("plain")),
        name => Ok(Answer::json_text(format!(
            "{{\"size\": {}, \"name\": \"{name}\"}}",
            std::fs::read(&job.file).unwrap().len()
        ))),
    });
    run(
        fixture.open(),
        vec![Box::new(caller.clone()), Box::new(caller)],
        &settings(),
    );
    assert_eq!(
        fixture.record("good").result.unwrap().body,
        br#"{"size": 4, "name": "good"}"#
    );
    assert_eq!(fixture.record("bad").kind.as_deref(), Some("because"));
    assert_eq!(
        fixture.record("text").result.unwrap().media_type.as_deref(),
        Some("text/plain; charset=utf-8")
    );
}
