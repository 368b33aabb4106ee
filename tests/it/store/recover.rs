//! The remains of a crashed runner, and their recovery by the next one.

use std::fs;

use stride::event::Ending;
use stride::job::{Class, FileName, JobState};
use stride::retry::{DoubtPolicy, RetryPolicy};
use stride::store::{Filter, Lock, Reader, Recovered, Store};

use crate::support::{Fixture, POLICY, attempt, claim, failed, settle, settlement, succeeded};

const HOLD: RetryPolicy = RetryPolicy {
    in_doubt: DoubtPolicy::Hold,
    ..POLICY
};

fn start(store: &mut Store, policy: &RetryPolicy) -> Recovered {
    store.start(2, policy).unwrap()
}

/// `charged` and `crashes` of a job.
fn record(fixture: &Fixture, name: &str) -> (u32, u32) {
    let sql = "SELECT charged, crashes FROM work WHERE job = ?1";
    fixture
        .sql()
        .query_row(sql, [fixture.id(name).0], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap()
}

#[test]
fn calls_in_flight_at_a_crash_are_in_doubt_and_reported() {
    let fixture = Fixture::new(&["a", "b", "c", "d"]);
    let mut store = fixture.start();
    let died = store.runner();
    // Not in list order.
    let keys = ["c", "a"].map(|name| claim(&mut store, fixture.id(name)).attempt.key);
    attempt(&mut store, fixture.id("b"), succeeded("1"));
    let untouched = [fixture.rows("b"), fixture.rows("d")];
    drop(store);

    let mut store = fixture.open();
    let recovered = start(&mut store, &POLICY);
    assert_eq!(recovered.in_doubt, ["a", "c"].map(FileName::from));
    let counts = store.counts();
    assert_eq!((counts.pending, counts.running, counts.done), (3, 0, 2));
    assert_eq!(
        (counts.attempts, counts.in_doubt, counts.in_doubt_recovered),
        (4, 2, 2)
    );
    assert_eq!(fixture.reader().counts().unwrap(), counts);
    for name in ["a", "c"] {
        let record = fixture.record(name);
        assert_eq!(
            (record.state, record.outcome.as_deref()),
            (JobState::Pending, Some("in_doubt"))
        );
        assert_eq!(
            (record.class, record.kind.as_deref()),
            (Some(Class::Transient), Some("crashed"))
        );
        assert_eq!(self::record(&fixture, name), (0, 0), "neither was alone");
    }
    assert_eq!([fixture.rows("b"), fixture.rows("d")], untouched);
    let endings = "SELECT ending FROM runner ORDER BY id";
    let sql = fixture.sql();
    let mut statement = sql.prepare(endings).unwrap();
    let endings: Vec<Option<String>> = statement
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(
        endings,
        [Some("finished".to_owned()), Some("died".to_owned()), None]
    );
    assert!(store.runner() > died);
    assert_eq!(
        ["c", "a"].map(|name| claim(&mut store, fixture.id(name)).attempt.key),
        keys,
        "the same operations"
    );
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn row_137_a_job_that_is_alone_at_ten_crashes_is_held_and_reported() {
    let fixture = Fixture::new(&["killer", "other"]);
    let other = fixture.rows("other");
    let mut records = Vec::new();
    let mut store = fixture.start();
    while fixture.state("killer") == JobState::Pending {
        claim(&mut store, fixture.id("killer"));
        drop(store);
        store = fixture.open();
        assert_eq!(
            start(&mut store, &POLICY).in_doubt,
            [FileName::from("killer")]
        );
        let record = record(&fixture, "killer");
        records.push(record);
        let named = fixture.reader().may_kill(5).unwrap();
        let expected = (record.1 >= 2).then(|| (FileName::from("killer"), record.1));
        assert_eq!(named, expected.into_iter().collect::<Vec<_>>());
    }
    assert_eq!(fixture.state("killer"), JobState::Held);
    let expected: Vec<(u32, u32)> = (1..=10).map(|deaths| (0, deaths)).collect();
    assert_eq!(records, expected);
    assert_eq!(fixture.rows("other"), other);
    let held = Filter {
        held: true,
        ..Filter::default()
    };
    store.requeue(&held).unwrap();
    assert_eq!(
        record(&fixture, "killer"),
        (0, 0),
        "a person's retry starts anew"
    );
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn jobs_in_doubt_are_held_on_request() {
    let fixture = Fixture::new(&["a", "b"]);
    let mut store = fixture.start();
    claim(&mut store, fixture.id("a"));
    drop(store);
    let mut store = fixture.open();
    start(&mut store, &HOLD);
    assert_eq!(
        (fixture.state("a"), fixture.state("b")),
        (JobState::Held, JobState::Pending)
    );
    assert_eq!(
        (store.counts().held, store.counts().in_doubt_recovered),
        (1, 1)
    );
    drop(store);
    let mut store = fixture.open();
    assert_eq!(
        start(&mut store, &HOLD),
        Recovered::default(),
        "it is told once"
    );
    assert_eq!(store.counts().held, 1);
}

#[test]
fn after_an_end_nothing_is_in_doubt() {
    let fixture = Fixture::numbered(2);
    let mut store = fixture.start();
    attempt(&mut store, fixture.id("0"), succeeded("1"));
    store.finish(&Ending::Stopped).unwrap();
    store.close().unwrap();
    assert!(
        !fixture.at("stride.db-wal").exists(),
        "the log is folded in"
    );
    assert_eq!(fixture.reader().info().unwrap().ended.unwrap().1, "stopped");
    let mut store = fixture.open();
    assert_eq!(start(&mut store, &POLICY), Recovered::default());
    assert_eq!(store.counts().in_doubt, 0);
}

#[test]
fn opening_a_run_recovers_nothing_until_a_runner_begins() {
    let fixture = Fixture::new(&["a"]);
    let mut store = fixture.start();
    claim(&mut store, fixture.id("a"));
    drop(store);
    let before = fixture.contents();
    fixture.open().close().unwrap();
    assert_eq!(fixture.contents(), before);
}

/// A copy of the files is the state after a power cut: it has everything that a commit has promised.
#[test]
fn committed_data_is_in_the_files_at_once() {
    let fixture = Fixture::new(&["a", "b", "c"]);
    let mut store = fixture.start();
    attempt(&mut store, fixture.id("a"), succeeded("\"kept\""));
    attempt(
        &mut store,
        fixture.id("b"),
        failed(Class::Rejected, Some(422), "kept too"),
    );
    let claimed = claim(&mut store, fixture.id("c"));
    let mut unfinished = store.group().unwrap();
    unfinished
        .settle(&settlement(&claimed, succeeded("\"not yet\"")))
        .unwrap();
    fs::create_dir(fixture.at("after")).unwrap();
    let copy = fixture
        .at("after")
        .canonicalize()
        .unwrap()
        .join("stride.db");
    for suffix in ["", "-wal"] {
        let of = |database: &std::path::Path| format!("{}{suffix}", database.display());
        fs::copy(of(&fixture.database), of(&copy)).unwrap();
    }
    drop(unfinished);
    let mut revived = Store::open(Lock::acquire(&copy).unwrap()).unwrap();
    assert_eq!(start(&mut revived, &POLICY).in_doubt, [FileName::from("c")]);
    let reader = Reader::open(&copy).unwrap();
    assert_eq!(reader.verify().unwrap().problems, [""; 0]);
    let counts = reader.counts().unwrap();
    assert_eq!((counts.done, counts.failed, counts.pending), (2, 1, 1));
    settle(&mut store, &settlement(&claimed, succeeded("1"))).unwrap();
}
