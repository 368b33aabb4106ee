//! Jobs of several steps: submit, poll, fetch.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stride::caller::{Caller, Cancel};
use stride::engine::Urgency;
use stride::event::{Counts, Ending};
use stride::governor::{Fault, StopReason};
use stride::job::{Attempt, Class, Failure, Job, JobState, Outcome, StepKind};
use stride::limits::Budget;
use stride::report::Report;
use stride::retry::DoubtPolicy;
use stride::settings::Settings;
use stride::store::{AttemptOutcome, AttemptSummary, StoreError, change_settings};

use super::{Running, callers, name, run, settings, settled};
use crate::support::{Fixture, advanced, failure, in_doubt, lock, not_ready, succeeded, throttled};

/// A service: each job is submitted, and ready at its poll of this number.
#[derive(Clone)]
struct Service {
    ready: u32,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// Submissions and polls of each job.
    submitted: HashMap<String, u32>,
    polls: HashMap<String, u32>,
    /// Submitted jobs that are not finished, at most.
    open: i64,
    most_open: i64,
}

impl Service {
    fn ready_at(ready: u32) -> Self {
        Self {
            ready,
            seen: Arc::default(),
        }
    }

    fn call(&self, job: &Job, attempt: &Attempt) -> Outcome {
        let mut seen = lock(&self.seen);
        let name = name(job);
        if attempt.step.index == 0 {
            assert_eq!(job.answers.len(), 0);
            *seen.submitted.entry(name.clone()).or_default() += 1;
            seen.open += 1;
            seen.most_open = seen.most_open.max(seen.open);
            return advanced(&format!("{{\"id\": \"{name}\"}}"), StepKind::Poll);
        }
        let handle = String::from_utf8(job.answers[0].body.clone()).unwrap();
        assert!(handle.contains(&format!("\"{name}\"")), "{handle}");
        let polls = seen.polls.entry(name).or_default();
        *polls += 1;
        if *polls < self.ready {
            return not_ready();
        }
        seen.open -= 1;
        succeeded(&handle)
    }

    fn callers(&self, threads: usize) -> Vec<Box<dyn Caller>> {
        let service = self.clone();
        let script = move |job: &Job, attempt: &Attempt, _: &Cancel| service.call(job, attempt);
        callers(threads, script)
    }
}

fn polled() -> Settings {
    Settings {
        poll_every: Duration::from_millis(1),
        ..settings()
    }
}

#[test]
fn every_job_is_submitted_once_and_polled_until_it_is_ready() {
    let fixture = Fixture::numbered(300);
    let service = Service::ready_at(4);
    let (run_outcome, _) = run(fixture.open(), service.callers(8), &polled());
    assert_eq!(run_outcome.ending, Ending::Finished);
    assert_eq!(run_outcome.counts.done, 301);
    let seen = lock(&service.seen);
    assert_eq!(seen.submitted.len(), 300);
    assert!(seen.submitted.values().all(|times| *times == 1));
    assert!(seen.polls.values().all(|times| *times == 4));
    // Two rows each: the submission, and all polls.
    assert_eq!(run_outcome.counts.attempts, 601);
    let sql = "SELECT count(*) FROM attempt WHERE step = 1 AND polls = 4";
    let rows: i64 = fixture.sql().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 300);
    let left: i64 = (fixture.sql())
        .query_row("SELECT count(*) FROM progress", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0);
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn no_more_jobs_are_submitted_than_allowed() {
    let fixture = Fixture::numbered(40);
    let service = Service::ready_at(3);
    let settings = Settings {
        max_submitted: Some(5),
        ..polled()
    };
    let (run_outcome, _) = run(fixture.open(), service.callers(8), &settings);
    assert_eq!(run_outcome.counts.done, 41);
    assert_eq!(lock(&service.seen).most_open, 5);
}

#[test]
fn a_session_that_only_submits_ends_when_nothing_is_due() {
    let fixture = Fixture::numbered(10);
    let service = Service::ready_at(2);
    let submits = Settings {
        poll_every: Duration::from_secs(600),
        submit_only: true,
        ..settings()
    };
    let (run_outcome, _) = run(fixture.open(), service.callers(3), &submits);
    let Ending::Halted(halt) = &run_outcome.ending else {
        panic!("{:?}", run_outcome.ending)
    };
    let StopReason::Submitted(wait) = halt.reason else {
        panic!("{halt:?}")
    };
    assert!(wait > Duration::from_secs(590) && wait <= Duration::from_secs(600));
    let counts = run_outcome.counts;
    assert_eq!((counts.waiting, counts.pending), (10, 0));
    let until: Option<i64> = fixture
        .sql()
        .query_row("SELECT max(stopped_until) FROM runner", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert!(until.is_some());
    // What is due is polled.
    fixture
        .sql()
        .execute(
            "UPDATE work SET not_before = 1 WHERE state = 6 AND job < 4",
            [],
        )
        .unwrap();
    let (run_outcome, _) = run(fixture.open(), service.callers(3), &submits);
    let counts = run_outcome.counts;
    assert_eq!((counts.waiting, counts.done), (6, 5));
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn a_stop_while_all_wait_ends_at_once() {
    let fixture = Fixture::numbered(3);
    let service = Service::ready_at(2);
    let settings = Settings {
        poll_every: Duration::from_secs(3600),
        ..settings()
    };
    let running = Running::start(fixture.open(), service.callers(2), &settings);
    running.wait_for_settled(6);
    running.stop.ask(Urgency::Drain);
    let (run_outcome, _, store) = running.finish();
    assert_eq!(run_outcome.ending, Ending::Stopped);
    assert_eq!(run_outcome.counts.waiting, 3);
    drop(store);
}

#[test]
fn a_poll_in_doubt_is_repeated_although_doubts_are_held() {
    let fixture = Fixture::new(&["a"]);
    let script = |_: &Job, attempt: &Attempt, _: &Cancel| match attempt.step.index {
        0 => advanced("{}", StepKind::Poll),
        _ if attempt.id.number < 4 => in_doubt(),
        _ => succeeded("1"),
    };
    let settings = Settings {
        in_doubt: DoubtPolicy::Hold,
        ..polled()
    };
    let (run_outcome, _) = run(fixture.open(), callers(1, script), &settings);
    assert_eq!(run_outcome.counts.done, 2);
    assert_eq!(fixture.record("a").attempts, 4);
}

#[test]
fn a_write_in_doubt_is_held_and_goes_on_at_its_step() {
    let fixture = Fixture::new(&["a"]);
    let script = |_: &Job, attempt: &Attempt, _: &Cancel| match attempt.step.index {
        0 => advanced("{}", StepKind::Write),
        _ => in_doubt(),
    };
    let settings = Settings {
        in_doubt: DoubtPolicy::Hold,
        ..polled()
    };
    let (run_outcome, _) = run(fixture.open(), callers(1, script), &settings);
    assert_eq!(
        (run_outcome.counts.held, fixture.state("a")),
        (1, JobState::Held)
    );
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn polling_has_an_end() {
    let fixture = Fixture::new(&["a", "b"]);
    let service = Service::ready_at(1000);
    let settings = Settings {
        poll_for: Duration::from_secs(1),
        ..polled()
    };
    let (run_outcome, _) = run(fixture.open(), service.callers(2), &settings);
    assert_eq!(run_outcome.ending, Ending::Finished);
    let record = fixture.record("a");
    let message = record.message.unwrap();
    assert_eq!(
        (record.state, record.kind.as_deref()),
        (JobState::Failed, Some("poll_timed_out"))
    );
    assert!(
        message.starts_with("step 2: not ready within 1.0 s (--poll-for) and "),
        "{message}"
    );
    assert!(message.ends_with(": queued"), "{message}");
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn a_budget_of_calls_stops_new_files_and_no_polls() {
    let fixture = Fixture::numbered(10);
    let service = Service::ready_at(3);
    let settings = Settings {
        max_calls: Some(4),
        ..polled()
    };
    let (run_outcome, _) = run(fixture.open(), service.callers(2), &settings);
    let Ending::Halted(halt) = &run_outcome.ending else {
        panic!("{:?}", run_outcome.ending)
    };
    assert_eq!(halt.reason, StopReason::Budget(Budget::Calls(4)));
    let counts = run_outcome.counts;
    assert_eq!((counts.done, counts.waiting, counts.pending), (5, 0, 6));
    // A later session finds the budget used up, and still polls what is submitted.
    let sql = "UPDATE limiter_state SET calls = 3";
    fixture.sql().execute(sql, []).unwrap();
    let submits = Settings {
        submit_only: true,
        poll_every: Duration::from_millis(200),
        ..settings.clone()
    };
    run(fixture.open(), service.callers(2), &submits);
    let (run_outcome, _) = run(fixture.open(), service.callers(2), &settings);
    let counts = run_outcome.counts;
    assert_eq!((counts.done, counts.waiting, counts.pending), (6, 0, 5));
    assert_eq!(fixture.problems(), [""; 0]);
}

/// Runs one thread whose service refuses some calls with a long wait, until `such` outcomes are settled.
fn with_throttle(
    refuses: impl Fn(&str, u16) -> bool + Clone + Send + 'static,
    such: impl Fn(&[&str]) -> bool,
) -> Counts {
    let fixture = Fixture::new(&["a", "b", "c"]);
    let script = move |job: &Job, attempt: &Attempt, _: &Cancel| match (
        name(job).as_str(),
        attempt.step.index,
    ) {
        (name, step) if refuses(name, step) => throttled(Some(Duration::from_secs(3600))),
        (_, 0) => advanced("{}", StepKind::Poll),
        _ if attempt.step.asked < 3 => not_ready(),
        _ => succeeded("1"),
    };
    let settings = Settings {
        max_wait: Duration::from_secs(9999),
        ..polled()
    };
    let running = Running::start(fixture.open(), callers(1, script), &settings);
    running.wait_until(|events| {
        let outcomes: Vec<&str> = settled(events).iter().map(|event| event.outcome).collect();
        such(&outcomes)
    });
    running.wait_for_quiet();
    running.stop.ask(Urgency::Drain);
    let (run_outcome, _, _) = running.finish();
    run_outcome.counts
}

#[test]
fn a_throttle_of_submissions_does_not_delay_polls() {
    let counts = with_throttle(
        |name, step| name == "b" && step == 0,
        |outcomes| outcomes.contains(&"succeeded") && outcomes.contains(&"throttled"),
    );
    assert_eq!((counts.done, counts.pending, counts.waiting), (2, 2, 0));
}

#[test]
fn a_throttle_of_polls_delays_submissions_too() {
    let counts = with_throttle(
        |name, step| name == "a" && step == 1,
        |outcomes| outcomes.contains(&"throttled"),
    );
    assert_eq!((counts.done, counts.pending, counts.waiting), (1, 2, 1));
}

#[test]
fn the_report_knows_steps() {
    let fixture = Fixture::numbered(3);
    let service = Service::ready_at(3);
    run(fixture.open(), service.callers(2), &polled());
    let mut attempts = Vec::new();
    let each = &mut |attempt: AttemptSummary| attempts.push((attempt.outcome, attempt.is_repeat));
    fixture.reader().attempts(each).unwrap();
    let count = |outcome| {
        attempts
            .iter()
            .filter(|each| each.0 == Some(outcome))
            .count()
    };
    assert_eq!(count(AttemptOutcome::Advanced), 3);
    assert!(
        attempts.iter().all(|(_, is_repeat)| !is_repeat),
        "{attempts:?}"
    );
    let page = Report::new(&fixture.reader(), 0, false).unwrap().html();
    assert!(page.contains("advanced"), "{page}");
}

#[test]
fn a_change_of_the_time_between_polls_applies_at_once() {
    let fixture = Fixture::numbered(3);
    let service = Service::ready_at(5);
    let slow = Settings {
        poll_every: Duration::from_secs(3600),
        ..settings()
    };
    let running = Running::start(fixture.open(), service.callers(2), &slow);
    running.wait_for_settled(6);
    let faster = |settings| {
        Ok::<_, StoreError>(Settings {
            poll_every: Duration::from_millis(1),
            ..settings
        })
    };
    change_settings(&fixture.database, faster).unwrap();
    let (run_outcome, _, _) = running.finish();
    assert_eq!(run_outcome.counts.done, 4);
}

/// A service that takes every job, and refuses every call of a later step with this failure.
fn refusing(failure: Failure) -> (Arc<Mutex<u32>>, Vec<Box<dyn Caller>>) {
    let submitted = Arc::new(Mutex::new(0));
    let count = Arc::clone(&submitted);
    let script = move |_: &Job, attempt: &Attempt, _: &Cancel| match attempt.step.index {
        0 => {
            *lock(&count) += 1;
            advanced("{}", StepKind::Poll)
        }
        _ => Outcome::Failed(failure.clone()),
    };
    (submitted, callers(8, script))
}

#[test]
fn a_wrong_second_request_does_not_submit_the_whole_list() {
    for (class, status, reason) in [
        (Class::Rejected, 404, StopReason::Rejected),
        (Class::Auth, 401, StopReason::Fault(Fault::Auth)),
        (Class::Rejected, 422, StopReason::Rejected),
    ] {
        let fixture = Fixture::numbered(200);
        let (submitted, callers) = refusing(failure(class, Some(status), "no such thing"));
        let (run_outcome, _) = run(fixture.open(), callers, &polled());
        let Ending::Halted(halt) = &run_outcome.ending else {
            panic!("{status}: {:?}", run_outcome.ending)
        };
        assert_eq!(halt.reason, reason, "{status}");
        let first = *lock(&submitted);
        assert!(first <= 33, "{status}: {first} submitted");
        let counts = run_outcome.counts;
        assert_eq!(
            (counts.failed, counts.waiting),
            (0, first.into()),
            "{status}"
        );
        // When the request is corrected, none is submitted again.
        let service = Service::ready_at(1);
        let script = {
            let service = service.clone();
            move |job: &Job, attempt: &Attempt, _: &Cancel| match attempt.step.index {
                0 => service.call(job, attempt),
                _ => succeeded("1"),
            }
        };
        let (run_outcome, _) = run(fixture.open(), callers_of(script), &polled());
        assert_eq!(run_outcome.counts.done, 201, "{status}");
        assert_eq!(lock(&service.seen).submitted.len(), 200 - first as usize);
        assert_eq!(fixture.problems(), [""; 0]);
    }
}

#[test]
fn refused_submissions_among_others_fail_although_no_result_is_there() {
    let fixture = Fixture::numbered(100);
    let script = |job: &Job, attempt: &Attempt, _: &Cancel| match attempt.step.index {
        0 if job.position.0.is_multiple_of(2) => {
            Outcome::Failed(failure(Class::Rejected, Some(422), "no"))
        }
        0 => advanced("{}", StepKind::Poll),
        _ if attempt.step.asked < 2 => not_ready(),
        _ => succeeded("1"),
    };
    let (run_outcome, _) = run(fixture.open(), callers_of(script), &polled());
    assert_eq!(run_outcome.ending, Ending::Finished);
    let counts = run_outcome.counts;
    assert_eq!((counts.done, counts.failed), (51, 50));
}

fn callers_of<F>(script: F) -> Vec<Box<dyn Caller>>
where
    F: FnMut(&Job, &Attempt, &Cancel) -> Outcome + Clone + Send + 'static,
{
    callers(4, script)
}

#[test]
fn a_budget_ends_a_run_in_which_only_later_writes_are_left() {
    let fixture = Fixture::numbered(10);
    let script = |_: &Job, attempt: &Attempt, _: &Cancel| match attempt.step.index {
        0 => advanced("{}", StepKind::Write),
        _ => succeeded("1"),
    };
    let settings = Settings {
        max_calls: Some(5),
        ..polled()
    };
    let (run_outcome, _) = run(fixture.open(), callers_of(script), &settings);
    let Ending::Halted(halt) = &run_outcome.ending else {
        panic!("{:?}", run_outcome.ending)
    };
    assert_eq!(halt.reason, StopReason::Budget(Budget::Calls(5)));
    let counts = run_outcome.counts;
    assert_eq!(counts.attempts, 6);
    assert!(counts.waiting > 0, "{counts:?}");
}
