//! Verifies sound databases, and finds damage.

use std::fs;

use stride::event::Ending;
use stride::job::Class;
use stride::store::{Reader, StoreError};

use crate::support::{Fixture, PAGE, attempt, claim, failed, in_doubt, succeeded, throttled};

/// A run with jobs in every state.
fn rich() -> Fixture {
    let fixture = Fixture::new(&[
        "done", "failed", "doubtful", "running", "pending", "done too",
    ]);
    let mut store = fixture.start();
    attempt(&mut store, fixture.id("done"), throttled(None));
    attempt(
        &mut store,
        fixture.id("done"),
        succeeded("{\"a\": \"some bytes\"}"),
    );
    attempt(&mut store, fixture.id("done too"), succeeded("2"));
    attempt(
        &mut store,
        fixture.id("failed"),
        failed(Class::Rejected, Some(422), "m"),
    );
    attempt(&mut store, fixture.id("doubtful"), in_doubt());
    claim(&mut store, fixture.id("running"));
    store.close().unwrap();
    fixture
}

/// Damages a run by SQL and expects these words in the first problem.
fn expect(sql: &str, words: &[&str]) {
    let fixture = rich();
    assert_eq!(fixture.problems(), [""; 0]);
    let changed = fixture
        .sql()
        .execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}"));
    changed.unwrap();
    let before = fixture.contents();
    let problems = fixture.problems();
    let found = problems
        .iter()
        .any(|problem| words.iter().all(|word| problem.contains(word)));
    assert!(found, "{sql}: {problems:?}");
    assert_eq!(fixture.contents(), before, "a check changes nothing");
}

#[test]
fn a_sound_run_is_found_sound_while_it_is_worked_on() {
    let fixture = rich();
    let mut store = fixture.start();
    claim(&mut store, fixture.id("pending"));
    let verdict = fixture.reader().verify().unwrap();
    assert_eq!((verdict.problems, verdict.results), (Vec::new(), 3));
    store.finish(&Ending::Stopped).unwrap();
    store.close().unwrap();
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn row_29_a_flipped_byte_in_a_result_is_found_and_never_handed_out() {
    let fixture = rich();
    let body = "SELECT body FROM result WHERE job = (SELECT id FROM job WHERE path = 'done')";
    let mut bytes: Vec<u8> = fixture.sql().query_row(body, [], |row| row.get(0)).unwrap();
    bytes[3] ^= 1;
    let update = "UPDATE result SET body = ?1 WHERE job = (SELECT id FROM job WHERE path = 'done')";
    fixture.sql().execute(update, [bytes]).unwrap();
    let problems = fixture.problems();
    assert!(
        problems.len() == 1 && problems[0].contains("the result of done"),
        "{problems:?}"
    );
    let mut seen = Vec::new();
    let read = fixture.reader().records(false, &mut |record| {
        seen.push((record.path, record.is_damaged, record.result.is_some()));
        Ok::<_, StoreError>(())
    });
    read.unwrap();
    assert_eq!(
        seen,
        [
            ("done".into(), true, false),
            ("done too".into(), false, true),
            (crate::support::BYSTANDER.into(), false, true)
        ]
    );
}

#[test]
fn a_checksum_that_was_changed_is_found() {
    expect(
        "UPDATE result SET sha256 = zeroblob(32) WHERE job = (SELECT id FROM job WHERE path = 'done')",
        &["the result of done"],
    );
}

#[test]
fn a_done_job_without_a_result_is_found() {
    expect(
        "DELETE FROM result WHERE job = (SELECT id FROM job WHERE path = 'done')",
        &["done is done without a result"],
    );
}

#[test]
fn a_result_of_a_job_that_is_not_done_is_found() {
    expect(
        "UPDATE work SET state = 3 WHERE job = (SELECT id FROM job WHERE path = 'done')",
        &["done has a result without being done"],
    );
}

#[test]
fn a_result_of_a_failed_attempt_is_found() {
    expect(
        "UPDATE result SET attempt = 1 WHERE job = (SELECT id FROM job WHERE path = 'done')",
        &["done has a result of an attempt that did not succeed"],
    );
}

#[test]
fn wrong_counts_are_found() {
    for change in [
        "done = done + 1",
        "pending = 0",
        "attempts = attempts - 1",
        "in_doubt = 0",
        "in_doubt_recovered = 7",
    ] {
        expect(&format!("UPDATE counts SET {change}"), &["the counts say"]);
    }
}

#[test]
fn a_missing_attempt_is_found() {
    expect(
        "DELETE FROM attempt WHERE job = (SELECT id FROM job WHERE path = 'failed')",
        &["failed has more or fewer attempts than it counts"],
    );
}

#[test]
fn an_attempt_in_flight_of_a_job_that_does_not_run_is_found_and_the_reverse() {
    expect(
        "UPDATE work SET state = 0 WHERE job = (SELECT id FROM job WHERE path = 'running')",
        &["running has an attempt in flight without running"],
    );
    expect(
        "UPDATE work SET state = 1 WHERE job = (SELECT id FROM job WHERE path = 'doubtful')",
        &["doubtful is running without an attempt in flight"],
    );
}

#[test]
fn a_row_that_refers_to_nothing_is_found() {
    expect("DELETE FROM runner WHERE id = 2", &["attempt", "runner"]);
}

#[test]
fn row_28_a_scribbled_page_is_found() {
    let mut fixture = rich();
    // Free pages cannot be damaged.
    fixture.sql().execute_batch("VACUUM").unwrap();
    let size = fs::metadata(&fixture.database).unwrap().len() as usize;
    let whole = fs::read(&fixture.database).unwrap();
    let mut missed = Vec::new();
    for page in 1..size / PAGE {
        let mut bytes = whole.clone();
        // The header of the page's tree, and some of its cells.
        bytes[page * PAGE..page * PAGE + 64].fill(0x5a);
        fs::write(&fixture.database, bytes).unwrap();
        let looked = Reader::open(&fixture.database).and_then(|reader| reader.verify());
        let sound = looked.is_ok_and(|verdict| verdict.problems.is_empty());
        if sound {
            missed.push(page);
        }
    }
    assert_eq!(missed, [0; 0]);
    fs::write(&fixture.database, whole).unwrap();
    fixture.watch_bystander();
}
