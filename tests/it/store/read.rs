//! Reads of a run.

use std::time::{Duration, Instant};

use stride::event::Ending;
use stride::job::{CauseKey, Class, Failure, FileName, JobState, Outcome};
use stride::limits::Cost;
use stride::retry::{DoubtPolicy, RetryPolicy};
use stride::store::StoreError;

use crate::support::{
    Fixture, POLICY, attempt, claim, failed, failure, in_doubt, settle, settlement_under,
    succeeded, unsendable,
};

#[test]
fn failures_are_listed_with_their_causes_most_frequent_first() {
    let names = ["e", "d", "held", "c", "done", "b", "missing", "a"];
    let fixture = Fixture::new(&names);
    let mut store = fixture.start();
    for (number, name) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        let rejected = Outcome::Failed(Failure {
            body: format!("body {number}").into_bytes(),
            ..failure(Class::Rejected, Some(422), &format!("message {number}"))
        });
        let outcome = if name == "c" {
            failed(Class::Rejected, Some(413), "large")
        } else {
            rejected
        };
        attempt(&mut store, fixture.id(name), outcome);
    }
    attempt(&mut store, fixture.id("done"), succeeded("1"));
    attempt(&mut store, fixture.id("missing"), unsendable());
    let hold = RetryPolicy {
        in_doubt: DoubtPolicy::Hold,
        ..POLICY
    };
    let held = claim(&mut store, fixture.id("held"));
    settle(&mut store, &settlement_under(&hold, &held, in_doubt())).unwrap();

    let reader = fixture.reader();
    let mut told = Vec::new();
    let each = &mut |record: stride::store::Record| {
        told.push(record.path);
        Ok::<_, StoreError>(())
    };
    reader.failures(None, each).unwrap();
    assert_eq!(
        told,
        ["e", "d", "c", "b", "missing", "a", "held"].map(FileName::from)
    );

    let causes = reader.causes().unwrap();
    let key = |state, class, status, gist: &str| CauseKey {
        state,
        class: Some(class),
        kind: Some("test".to_owned()),
        status,
        gist: gist.to_owned(),
    };
    let counts: Vec<(CauseKey, u64)> = causes
        .iter()
        .map(|cause| (cause.key.clone(), cause.count))
        .collect();
    assert_eq!(
        counts,
        [
            (
                key(
                    JobState::Failed,
                    Class::Rejected,
                    Some(422),
                    "message #: body #"
                ),
                4
            ),
            (key(JobState::Held, Class::Transient, None, "who knows"), 1),
            (
                key(JobState::Failed, Class::Rejected, Some(413), "large"),
                1
            ),
            (key(JobState::Failed, Class::Input, None, "no such file"), 1),
        ]
    );
    let examples: Vec<_> = causes[0]
        .examples
        .iter()
        .map(|example| example.path.clone())
        .collect();
    assert_eq!(examples, ["e", "d", "b", "a"].map(FileName::from));
    assert_eq!(causes[0].examples[2].message, "message 1");
    assert_eq!(causes[0].examples[2].body, b"body 1");
    assert_eq!(causes[0].words(), "message #: body #");
}

#[test]
fn a_reader_sees_one_moment_during_writes() {
    let fixture = Fixture::numbered(3);
    let mut store = fixture.start();
    let reader = fixture.reader();
    let before = reader.counts().unwrap();
    attempt(&mut store, fixture.id("0"), succeeded("1"));
    assert_eq!(reader.counts().unwrap(), before);
    assert_eq!(reader.info().unwrap().runners, 2);
    assert_eq!(fixture.reader().counts().unwrap().done, before.done + 1);
    assert_eq!(reader.counts().unwrap(), before);
}

/// A long export must not delay a run's end, least of all after Ctrl-C.
#[test]
fn a_writer_does_not_wait_for_readers_at_its_end() {
    for ending in [Ending::Finished, Ending::Stopped] {
        let fixture = Fixture::numbered(1);
        let mut store = fixture.start();
        let reader = fixture.reader();
        attempt(&mut store, fixture.id("0"), succeeded("1"));
        let began = Instant::now();
        store.finish(&ending).unwrap();
        store.close().unwrap();
        let took = began.elapsed();
        assert!(took < Duration::from_secs(10), "{took:?}");
        assert_eq!(reader.counts().unwrap().done, 1);
    }
}

#[test]
fn a_reader_does_not_see_uncommitted_data() {
    let fixture = Fixture::numbered(1);
    let mut store = fixture.start();
    let mut group = store.group().unwrap();
    group
        .claim(fixture.id("0"), 0, Cost::default(), None)
        .unwrap();
    assert_eq!(fixture.reader().counts().unwrap().running, 0);
    group.commit().unwrap();
    assert_eq!(fixture.reader().counts().unwrap().running, 1);
}

#[test]
fn calls_in_flight_are_listed_longest_first() {
    let fixture = Fixture::new(&["a", "b", "c", "d"]);
    let mut store = fixture.start();
    for (name, started) in [("a", 3), ("b", 1), ("c", 2)] {
        claim(&mut store, fixture.id(name));
        let sql = "UPDATE attempt SET started = ?1 WHERE job = ?2";
        fixture
            .sql()
            .execute(sql, (started, fixture.id(name).0))
            .unwrap();
    }
    // An earlier call of the same job is not in flight.
    let again = attempt(&mut store, fixture.id("d"), in_doubt());
    assert_eq!(again, JobState::Pending);
    claim(&mut store, fixture.id("d"));
    let named = |(name, started): (&str, i64)| (FileName::from(name), started);
    let first = fixture.reader().in_flight(3).unwrap();
    assert_eq!(first, [("b", 1), ("c", 2), ("a", 3)].map(named));
    let all = fixture.reader().in_flight(9).unwrap();
    assert_eq!(all.len(), 4);
}
