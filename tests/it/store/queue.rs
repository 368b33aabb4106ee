//! Offering, claiming and settling.

use std::time::Duration;

use rusqlite::types::Value;
use stride::event::Ending;
use stride::job::{AttemptId, Class, JobId, JobState, Outcome, Position};
use stride::limits::Cost;
use stride::retry::Next;
use stride::store::{Settlement, StoreError};

use crate::support::{
    Fixture, answered, attempt, claim, failed, in_doubt, settle, settlement, succeeded, throttled,
    unreachable, unsendable,
};

/// The rows of the view `attempts` of one job, as text.
fn attempts(fixture: &Fixture, path: &str) -> Vec<Vec<Value>> {
    let sql = fixture.sql();
    let mut statement = sql
        .prepare("SELECT * FROM attempts WHERE path = ?1 ORDER BY number")
        .unwrap();
    assert_eq!(
        statement.column_names().collect::<Vec<_>>(),
        [
            "path",
            "position",
            "number",
            "chunk",
            "runner",
            "outcome",
            "class",
            "status",
            "idempotency_key",
            "started",
            "ended",
            "step",
            "polls",
            "cost",
            "cost_unknown",
            "lane"
        ]
    );
    let rows = statement.query_map([path], |row| (0..16).map(|i| row.get(i)).collect());
    rows.unwrap().map(Result::unwrap).collect()
}

#[test]
fn an_attempt_goes_from_claim_to_result() {
    let fixture = Fixture::new(&["ü.txt", "b"]);
    let mut store = fixture.start();
    let id = fixture.id("ü.txt");
    let mut group = store.group().unwrap();
    let claim = group.claim(id, 5, Cost::default(), None).unwrap().unwrap();
    let counts = group.commit().unwrap();
    assert_eq!(
        (counts.pending, counts.running, counts.done, counts.attempts),
        (1, 1, 1, 2)
    );
    assert_eq!(claim.job.file, fixture.database.with_file_name("ü.txt"));
    assert_eq!(claim.attempt.id, AttemptId { job: id, number: 1 });

    let text = |text: &str| Value::Text(text.to_owned());
    let row = &attempts(&fixture, "ü.txt")[0];
    let key = text(&claim.attempt.key.to_string());
    let runner = Value::Integer(store.runner().unwrap());
    assert_eq!(
        row[..5],
        [
            text("ü.txt"),
            Value::Integer(0),
            Value::Integer(1),
            Value::Integer(5),
            runner
        ]
    );
    assert_eq!(
        row[5..9],
        [Value::Null, Value::Null, Value::Null, key.clone()]
    );
    assert_eq!(row[10], Value::Null);

    let body = b" {\"a\": 1}\n";
    assert_eq!(
        settle(
            &mut store,
            &settlement(&claim, answered("application/json", body))
        )
        .unwrap(),
        JobState::Done
    );
    let row = &attempts(&fixture, "ü.txt")[0];
    assert_eq!(
        row[5..9],
        [text("succeeded"), Value::Null, Value::Integer(200), key]
    );
    let rest = [
        Value::Integer(1),
        Value::Null,
        Value::Null,
        Value::Integer(0),
        Value::Null,
    ];
    assert_eq!(row[11..], rest);
    for time in &row[9..11] {
        let Value::Text(time) = time else {
            panic!("{time:?}")
        };
        assert!(
            time.len() == 24 && time.ends_with('Z') && time.starts_with("20"),
            "{time}"
        );
    }
    let record = fixture.record("ü.txt");
    let result = record.result.unwrap();
    assert_eq!(
        (record.state, record.attempts, record.took),
        (JobState::Done, 1, Some(7))
    );
    assert_eq!(
        (result.body, result.media_type.as_deref()),
        (body.into(), Some("application/json"))
    );
    let counts = store.counts();
    assert_eq!((counts.pending, counts.running, counts.done), (1, 0, 2));
    assert_eq!(fixture.reader().counts().unwrap(), counts);
    store.finish(&Ending::Finished).unwrap();
    store.close().unwrap();
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn every_outcome_is_recorded_under_its_name() {
    let fixture = Fixture::numbered(8);
    let mut store = fixture.start();
    for (job, outcome, state, word, class) in [
        ("0", succeeded("1"), JobState::Done, "succeeded", None),
        (
            "1",
            failed(Class::Rejected, Some(422), "m"),
            JobState::Failed,
            "failed",
            Some(Class::Rejected),
        ),
        (
            "2",
            failed(Class::Transient, Some(500), "m"),
            JobState::Pending,
            "failed",
            Some(Class::Transient),
        ),
        (
            "3",
            throttled(None),
            JobState::Pending,
            "throttled",
            Some(Class::Throttled),
        ),
        (
            "4",
            unreachable(),
            JobState::Pending,
            "not_sent",
            Some(Class::Transient),
        ),
        (
            "5",
            unsendable(),
            JobState::Failed,
            "not_sent",
            Some(Class::Input),
        ),
        (
            "6",
            in_doubt(),
            JobState::Pending,
            "in_doubt",
            Some(Class::Transient),
        ),
        (
            "7",
            Outcome::Interrupted,
            JobState::Pending,
            "interrupted",
            None,
        ),
    ] {
        assert_eq!(
            attempt(&mut store, fixture.id(job), outcome),
            state,
            "{word}"
        );
        let record = fixture.record(job);
        assert_eq!(
            (record.state, record.outcome.as_deref(), record.class),
            (state, Some(word), class)
        );
    }
    assert_eq!(store.counts().in_doubt, 1);
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn a_stale_settlement_changes_nothing() {
    let fixture = Fixture::new(&["a", "b"]);
    let mut store = fixture.start();
    let (a, b) = (fixture.id("a"), fixture.id("b"));
    let first = claim(&mut store, a);
    let wrong = |number| Settlement {
        attempt: AttemptId { job: a, number },
        ..settlement(&first, succeeded("\"stale\""))
    };
    let refuse = |store: &mut stride::store::Store, settlement: &Settlement, why: &str| {
        let (before, counts) = (fixture.contents(), store.counts());
        let refused = settle(store, settlement);
        assert!(
            matches!(refused, Err(StoreError::Stale { .. })),
            "{why}: {refused:?}"
        );
        assert_eq!(
            (fixture.contents(), store.counts()),
            (before, counts),
            "{why}"
        );
    };
    refuse(&mut store, &wrong(0), "a number that never was");
    refuse(&mut store, &wrong(2), "a number that is not yet");
    let unknown = Settlement {
        attempt: AttemptId {
            job: JobId(999),
            number: 1,
        },
        ..settlement(&first, succeeded("1"))
    };
    refuse(&mut store, &unknown, "no such job");
    settle(
        &mut store,
        &settlement(&first, failed(Class::Transient, None, "m")),
    )
    .unwrap();
    refuse(&mut store, &wrong(1), "pending again");
    let second = claim(&mut store, a);
    refuse(&mut store, &wrong(1), "running again");
    settle(&mut store, &settlement(&second, succeeded("2"))).unwrap();
    refuse(&mut store, &wrong(2), "settled already");
    refuse(&mut store, &wrong(1), "settled long ago");

    let other = claim(&mut store, b);
    let (before, counts) = (fixture.contents(), store.counts());
    let mut group = store.group().unwrap();
    group.settle(&settlement(&other, succeeded("3"))).unwrap();
    assert!(group.settle(&wrong(2)).is_err());
    drop(group);
    assert_eq!(
        (fixture.contents(), store.counts()),
        (before, counts),
        "nor the rest of its group"
    );
    assert_eq!(fixture.record("a").result.unwrap().body, b"2");
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn a_group_without_a_commit_changes_nothing() {
    let fixture = Fixture::new(&["a", "b"]);
    let mut store = fixture.start();
    let running = claim(&mut store, fixture.id("a"));
    let (before, counts) = (fixture.contents(), store.counts());
    let mut group = store.group().unwrap();
    group.settle(&settlement(&running, succeeded("1"))).unwrap();
    group
        .claim(fixture.id("b"), 0, Cost::default(), None)
        .unwrap()
        .unwrap();
    drop(group);
    assert_eq!((fixture.contents(), store.counts()), (before, counts));
    settle(&mut store, &settlement(&running, succeeded("1"))).unwrap();
    assert_eq!(claim(&mut store, fixture.id("b")).attempt.id.number, 1);
}

#[test]
fn only_pending_jobs_are_claimed() {
    let fixture = Fixture::new(&["running", "done", "failed", "pending"]);
    let mut store = fixture.start();
    claim(&mut store, fixture.id("running"));
    attempt(&mut store, fixture.id("done"), succeeded("1"));
    attempt(&mut store, fixture.id("failed"), unsendable());
    let before = fixture.contents();
    let mut group = store.group().unwrap();
    for name in ["running", "done", "failed"] {
        assert!(
            group
                .claim(fixture.id(name), 0, Cost::default(), None)
                .unwrap()
                .is_none(),
            "{name}"
        );
    }
    assert!(
        group
            .claim(JobId(999), 0, Cost::default(), None)
            .unwrap()
            .is_none()
    );
    group.commit().unwrap();
    assert_eq!(fixture.contents(), before);
    let mut group = store.group().unwrap();
    assert!(
        group
            .claim(fixture.id("pending"), 0, Cost::default(), None)
            .unwrap()
            .is_some()
    );
    assert!(
        group
            .claim(fixture.id("pending"), 0, Cost::default(), None)
            .unwrap()
            .is_none(),
        "twice in one group"
    );
}

#[test]
fn row_40_jobs_are_offered_in_list_order_with_the_rest_of_their_wait() {
    let fixture = Fixture::numbered(6);
    let mut store = fixture.start();
    attempt(&mut store, fixture.id("1"), succeeded("1"));
    let later = claim(&mut store, fixture.id("3"));
    let later = Settlement {
        next: Next::Again(Duration::from_secs(3600)),
        ..settlement(&later, failed(Class::Transient, None, "m"))
    };
    settle(&mut store, &later).unwrap();
    let group = store.group().unwrap();
    let positions = |from, limit| -> Vec<u64> {
        let offers = group.offer(Position(from), limit, Duration::MAX).unwrap();
        offers.iter().map(|offer| offer.position.0).collect()
    };
    assert_eq!(positions(0, 100), [0, 2, 3, 4, 5]);
    assert_eq!(positions(1, 2), [2, 3]);
    assert_eq!(positions(6, 100), [0; 0]);
    let wait = |longest| group.offer(Position(3), 1, longest).unwrap()[0].wait;
    assert!((Duration::from_secs(3000)..=Duration::from_secs(3600)).contains(&wait(Duration::MAX)));
    assert_eq!(
        wait(Duration::from_secs(60)),
        Duration::from_secs(60),
        "whatever the clock did"
    );
    assert_eq!(
        group.offer(Position(0), 1, Duration::MAX).unwrap()[0].wait,
        Duration::ZERO
    );
}

#[test]
fn a_key_stays_after_doubt_and_changes_after_an_answer() {
    let fixture = Fixture::new(&["a", "b"]);
    let mut store = fixture.start();
    let mut next = |name: &str, outcome: Outcome| {
        let claim = claim(&mut store, fixture.id(name));
        settle(&mut store, &settlement(&claim, outcome)).unwrap();
        claim.attempt.key
    };
    let failure = || failed(Class::Transient, Some(500), "m");
    let first = next("a", in_doubt());
    for (outcome, after) in [
        (throttled(None), "doubt"),
        (unreachable(), "throttling"),
        (Outcome::Interrupted, "not being sent"),
        (failure(), "an interruption"),
        (in_doubt(), "a failure that says nothing about the doubt"),
    ] {
        assert_eq!(next("a", outcome), first, "after {after}");
    }
    let second = next("b", failure());
    let other = claim(&mut store, fixture.id("b")).attempt.key;
    assert!(other != first && other != second, "after an answer");
    drop(store);
    let mut store = fixture.start();
    assert_eq!(
        fixture.state("a"),
        JobState::Failed,
        "two were charged, and then one too many"
    );
    assert_eq!(
        claim(&mut store, fixture.id("b")).attempt.key,
        other,
        "in another process"
    );
}

#[test]
fn before_its_runner_has_begun_a_store_claims_nothing() {
    let fixture = Fixture::numbered(1);
    let mut store = fixture.open();
    assert!(store.group().is_err());
}
