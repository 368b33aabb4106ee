//! Jobs of several steps in the store: submit, poll, fetch.

use std::time::Duration;

use stride::job::{Class, Failure, FailureKind, FileName, JobState, Outcome, StepKind};
use stride::retry::{DoubtPolicy, RetryPolicy};
use stride::settings::Settings;
use stride::store::{Chosen, Filter, Redo, Settlement, Store, StoreError, change_settings};

use crate::support::{
    Fixture, POLICY, advanced, attempt, claim, failed, in_doubt, not_ready, settle, settlement,
    settlement_under, succeeded,
};

/// The attempts of a job: step, number of polls, outcome.
fn attempts(fixture: &Fixture, name: &str) -> Vec<(u16, Option<u32>, Option<String>)> {
    let sql = "SELECT step, polls, outcome FROM attempt WHERE job = ?1 ORDER BY number";
    let sql_connection = fixture.sql();
    let mut statement = sql_connection.prepare(sql).unwrap();
    let rows = statement.query_map([fixture.id(name).0], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

fn row(step: u16, polls: Option<u32>, outcome: &str) -> (u16, Option<u32>, Option<String>) {
    (step, polls, Some(outcome.to_owned()))
}

#[test]
fn a_job_goes_on_from_its_step_with_the_answers_before() {
    let fixture = Fixture::new(&["a"]);
    let mut store = fixture.start();
    let id = fixture.id("a");
    let first = claim(&mut store, id);
    let submitted = settlement(&first, advanced(r#"{"id": 7}"#, StepKind::Poll));
    assert_eq!(settle(&mut store, &submitted).unwrap(), JobState::Waiting);
    let counts = store.counts();
    assert_eq!((counts.waiting, counts.pending, counts.total), (1, 0, 2));
    let mut keys = vec![first.attempt.key];
    for asked in 0..3 {
        let poll = claim(&mut store, id);
        assert_eq!(poll.job.answers.len(), 1);
        assert_eq!(poll.job.answers[0].body, br#"{"id": 7}"#);
        let step = poll.attempt.step;
        assert_eq!((step.index, step.kind), (1, StepKind::Poll));
        assert_eq!((step.asked, step.polls), (asked, asked + 1));
        assert_eq!(poll.attempt.id.number, 2, "one row for all polls");
        keys.push(poll.attempt.key);
        let state = settle(&mut store, &settlement(&poll, not_ready())).unwrap();
        assert_eq!(state, JobState::Waiting);
    }
    keys.dedup();
    assert_eq!(keys.len(), 2, "a key for each step");
    let state = attempt(&mut store, id, advanced(r#"{"url": "x"}"#, StepKind::Read));
    assert_eq!(state, JobState::Waiting);
    let fetch = claim(&mut store, id);
    assert_eq!((fetch.attempt.step.index, fetch.job.answers.len()), (2, 2));
    let state = settle(&mut store, &settlement(&fetch, succeeded("1"))).unwrap();
    assert_eq!(state, JobState::Done);
    assert_eq!(
        attempts(&fixture, "a"),
        [
            row(0, None, "advanced"),
            row(1, Some(4), "advanced"),
            row(2, None, "succeeded")
        ]
    );
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn a_poll_in_doubt_closes_its_row_and_a_late_answer_changes_nothing() {
    let fixture = Fixture::new(&["a"]);
    let mut store = fixture.start();
    let id = fixture.id("a");
    attempt(&mut store, id, advanced("{}", StepKind::Poll));
    let earlier = claim(&mut store, id);
    settle(&mut store, &settlement(&earlier, not_ready())).unwrap();
    let poll = claim(&mut store, id);
    assert_eq!(poll.attempt.id, earlier.attempt.id);
    let before = fixture.contents();
    let late: Settlement = settlement(&earlier, succeeded("\"late\""));
    let refused = settle(&mut store, &late);
    assert!(matches!(refused, Err(StoreError::Stale { .. })));
    assert_eq!(fixture.contents(), before);
    let state = settle(&mut store, &settlement(&poll, in_doubt())).unwrap();
    assert_eq!(state, JobState::Waiting);
    attempt(&mut store, id, not_ready());
    assert_eq!(
        attempts(&fixture, "a")[1..],
        [row(1, Some(2), "in_doubt"), row(1, Some(1), "not_ready")]
    );
    assert_eq!(fixture.problems(), [""; 0]);
}

fn as_kind(class: Class, kind: FailureKind) -> Outcome {
    Outcome::Failed(Failure::new(class, kind, "words"))
}

#[test]
fn a_retry_goes_on_at_the_step_unless_the_work_was_refused() {
    let kinds = [
        (
            "job_failed",
            as_kind(Class::Rejected, FailureKind::JobFailed),
            0,
        ),
        ("expired", as_kind(Class::Rejected, FailureKind::Expired), 0),
        ("bad", as_kind(Class::BadResponse, FailureKind::NotJson), 1),
        ("rejected", failed(Class::Rejected, Some(422), "no"), 1),
        (
            "never known",
            as_kind(Class::Rejected, FailureKind::Expired),
            1,
        ),
        ("auth", failed(Class::Auth, Some(401), "who are you"), 1),
        ("quota", failed(Class::Quota, Some(402), "pay"), 1),
        (
            "timed_out",
            as_kind(Class::Transient, FailureKind::PollTimedOut),
            1,
        ),
    ];
    let names = kinds.each_ref().map(|kind| kind.0);
    let fixture = Fixture::new(&names);
    let mut store = fixture.start();
    let policy = RetryPolicy {
        retries: 0,
        ..POLICY
    };
    for (name, outcome, _) in &kinds {
        attempt(
            &mut store,
            fixture.id(*name),
            advanced("{}", StepKind::Poll),
        );
        // A handle that was never answered may be called in the wrong place.
        if *name != "never known" {
            attempt(&mut store, fixture.id(*name), not_ready());
        }
        let poll = claim(&mut store, fixture.id(*name));
        let settled = settlement_under(&policy, &poll, outcome.clone());
        assert_eq!(settle(&mut store, &settled).unwrap(), JobState::Failed);
    }
    assert_eq!(fixture.problems(), [""; 0]);
    assert_eq!(store.requeue(&Filter::default()).unwrap(), 8);
    let counts = store.counts();
    assert_eq!((counts.pending, counts.waiting, counts.failed), (2, 6, 0));
    for (name, _, step) in kinds {
        let claim = claim(&mut store, fixture.id(name));
        let found = claim.attempt.step;
        assert_eq!(
            (found.index, found.asked, claim.job.answers.len()),
            (step, 0, step.into()),
            "{name}"
        );
        let (state, outcome) = match step {
            0 => (JobState::Waiting, advanced("{}", StepKind::Poll)),
            _ => (JobState::Done, succeeded("1")),
        };
        assert_eq!(
            settle(&mut store, &settlement(&claim, outcome)).unwrap(),
            state
        );
    }
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn a_submission_in_doubt_is_held_and_repeated_with_its_key() {
    let fixture = Fixture::new(&["a"]);
    let mut store = fixture.start();
    let id = fixture.id("a");
    let hold = RetryPolicy {
        in_doubt: DoubtPolicy::Hold,
        ..POLICY
    };
    attempt(&mut store, id, advanced("{}", StepKind::Write));
    let submitted = claim(&mut store, id);
    let doubt = settlement_under(&hold, &submitted, in_doubt());
    assert_eq!(settle(&mut store, &doubt).unwrap(), JobState::Held);
    let requeued = store.requeue_named(&[FileName::from("a")]).unwrap();
    assert_eq!(
        (requeued.changed, fixture.state("a")),
        (1, JobState::Waiting)
    );
    let again = claim(&mut store, id);
    assert_eq!(again.attempt.key, submitted.attempt.key);
    assert!(again.attempt.repeat && again.attempt.step.index == 1);
}

#[test]
fn the_death_of_the_process_is_no_doubt_for_a_poll() {
    let fixture = Fixture::new(&["polls", "writes"]);
    let hold = RetryPolicy {
        in_doubt: DoubtPolicy::Hold,
        ..POLICY
    };
    let mut store = fixture.start();
    attempt(
        &mut store,
        fixture.id("polls"),
        advanced("{}", StepKind::Poll),
    );
    attempt(
        &mut store,
        fixture.id("writes"),
        advanced("{}", StepKind::Write),
    );
    claim(&mut store, fixture.id("writes"));
    for _ in 0..20 {
        claim(&mut store, fixture.id("polls"));
        drop(store);
        store = fixture.open();
        store.start(1, &hold).unwrap();
        assert_eq!(fixture.state("polls"), JobState::Waiting);
        assert_eq!(fixture.state("writes"), JobState::Held);
    }
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn a_waiting_job_can_be_forgotten_and_comes_back_to_its_step() {
    let fixture = Fixture::new(&["a"]);
    let mut store = fixture.start();
    attempt(&mut store, fixture.id("a"), advanced("{}", StepKind::Read));
    let names = [FileName::from("a")];
    store.forget(Chosen::Names(&names)).unwrap();
    assert_eq!(store.counts().waiting, 0);
    assert_eq!(fixture.problems(), [""; 0]);
    store.bring_back(Chosen::Names(&names)).unwrap();
    assert_eq!(store.counts().waiting, 1);
    let read = claim(&mut store, fixture.id("a"));
    assert_eq!(read.attempt.step.index, 1);
}

#[test]
fn a_done_job_begins_at_its_first_step_again_and_a_restored_one_has_no_step() {
    let fixture = Fixture::new(&["a"]);
    let mut store = fixture.start();
    let id = fixture.id("a");
    attempt(&mut store, id, advanced("{}", StepKind::Read));
    attempt(&mut store, id, succeeded("1"));
    let names = [FileName::from("a")];
    assert_eq!(store.redo(Redo::Names(&names)).unwrap().changed, 1);
    let again = claim(&mut store, id);
    assert_eq!((again.attempt.step.index, again.job.answers.len()), (0, 0));
    settle(
        &mut store,
        &settlement(&again, advanced("{}", StepKind::Read)),
    )
    .unwrap();
    assert_eq!(store.restore(&names).unwrap().changed, 1);
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn verify_finds_steps_that_do_not_fit() {
    for (sql, problem) in [
        ("DELETE FROM progress", "a waits without a next step"),
        (
            "DELETE FROM step_answer",
            "a lacks the answer of an earlier step",
        ),
        (
            "UPDATE attempt SET outcome = 'in_doubt' WHERE outcome = 'advanced'",
            "a has the answer of a step that did not end",
        ),
        (
            "UPDATE work SET state = 0 WHERE state = 6",
            "a has a next step without waiting for it",
        ),
    ] {
        let fixture = Fixture::new(&["a"]);
        let mut store = fixture.start();
        attempt(&mut store, fixture.id("a"), advanced("{}", StepKind::Poll));
        store.close().unwrap();
        fixture.sql().execute_batch(sql).unwrap();
        let problems = fixture.problems();
        assert!(
            problems.iter().any(|found| found == problem),
            "{sql}: {problems:?}"
        );
    }
}

#[test]
fn a_retry_anew_begins_at_the_first_step() {
    let fixture = Fixture::new(&["a", "b"]);
    let mut store = fixture.start();
    for name in ["a", "b"] {
        attempt(&mut store, fixture.id(name), advanced("{}", StepKind::Read));
        let refused = failed(Class::Rejected, Some(422), "no");
        attempt(&mut store, fixture.id(name), refused);
    }
    let named = store.requeue_named_anew(&[FileName::from("a")]).unwrap();
    assert_eq!((named.changed, store.counts().pending), (1, 1));
    assert_eq!(store.requeue_anew(&Filter::default()).unwrap(), 1);
    assert_eq!((store.counts().pending, store.counts().waiting), (2, 0));
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn a_shorter_time_between_polls_shortens_the_waits() {
    let fixture = Fixture::new(&["a"]);
    let mut store = fixture.start();
    let slow = RetryPolicy {
        poll_every: Duration::from_secs(3000),
        ..POLICY
    };
    attempt(&mut store, fixture.id("a"), advanced("{}", StepKind::Poll));
    let poll = claim(&mut store, fixture.id("a"));
    settle(&mut store, &settlement_under(&slow, &poll, not_ready())).unwrap();
    let next = |store: &mut Store| {
        let group = store.group().unwrap();
        group.due(0, 10, Duration::MAX).unwrap().next.unwrap()
    };
    assert!(next(&mut store) > Duration::from_secs(2900));
    let settings = Settings {
        poll_every: Duration::from_secs(2),
        ..store.settings().unwrap()
    };
    store.set_settings(&settings).unwrap();
    assert!(next(&mut store) <= Duration::from_secs(20));
    let faster = |settings| {
        Ok::<_, StoreError>(Settings {
            poll_every: Duration::from_secs(1),
            ..settings
        })
    };
    change_settings(&fixture.database, faster).unwrap();
    assert!(next(&mut store) <= Duration::from_secs(10));
}

#[test]
fn a_result_of_an_earlier_submission_is_outdated() {
    let fixture = Fixture::new(&["a", "b"]);
    let mut store = fixture.start();
    let (a, b) = (fixture.id("a"), fixture.id("b"));
    attempt(&mut store, a, advanced("{}", StepKind::Read));
    // The request changes while `a` waits.
    store.close().unwrap();
    fixture
        .sql()
        .execute("UPDATE run SET request = 2", [])
        .unwrap();
    let mut store = fixture.start();
    attempt(&mut store, a, succeeded("1"));
    attempt(&mut store, b, succeeded("1"));
    fixture
        .sql()
        .execute("UPDATE runner SET request = 2 WHERE id = 1", [])
        .unwrap();
    assert_eq!(store.redo(Redo::Outdated).unwrap().changed, 1);
    assert_eq!(
        (fixture.state("a"), fixture.state("b")),
        (JobState::Pending, JobState::Done)
    );
}
