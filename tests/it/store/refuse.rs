//! Files that are not databases of stride: refused by name, and left unchanged.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use stride::store::{Lock, Reader, Store, StoreError};

use crate::support::{Fixture, PAGE};

/// Opens a database in both ways, which must refuse it for the same reason.
fn refusals(database: &Path) -> [StoreError; 2] {
    let store = Lock::acquire(database).and_then(Store::open).map(drop);
    let reader = Reader::open(database).map(drop);
    [store.unwrap_err(), reader.unwrap_err()]
}

fn is_left_alone(fixture: &Fixture, file: &str, such: impl Fn(&StoreError) -> bool) {
    let path = fixture.at(file);
    let before = fs::read(&path).unwrap();
    for refusal in refusals(&path) {
        assert!(such(&refusal), "{file}: {refusal:?}");
        assert!(refusal.to_string().contains(file), "{refusal}");
    }
    assert_eq!(fs::read(&path).unwrap(), before, "{file}");
    for beside in ["-wal", "-shm", "-journal"] {
        assert!(
            !fixture.at(&format!("{file}{beside}")).exists(),
            "{file}{beside}"
        );
    }
}

fn is_foreign(error: &StoreError) -> bool {
    matches!(error, StoreError::Foreign { .. })
}

#[test]
fn a_database_that_is_not_there_is_missing() {
    let fixture = Fixture::numbered(1);
    symlink("nowhere", fixture.at("dangling.db")).unwrap();
    for name in ["none.db", "dangling.db"] {
        for refusal in refusals(&fixture.at(name)) {
            assert!(matches!(refusal, StoreError::Missing { .. }), "{refusal:?}");
        }
    }
    assert!(!fixture.at("none.db").exists() && !fixture.at("nowhere").exists());
}

#[test]
fn a_missing_folder_is_an_error_and_is_not_created() {
    let fixture = Fixture::numbered(1);
    for refusal in refusals(&fixture.at("none/stride.db")) {
        assert!(
            matches!(refusal, StoreError::Unusable { .. }),
            "{refusal:?}"
        );
    }
    assert!(!fixture.at("none").exists());
}

#[test]
fn row_25_a_file_that_is_not_a_database_is_foreign() {
    let fixture = Fixture::numbered(1);
    fs::write(fixture.at("empty"), "").unwrap();
    fs::write(fixture.at("text"), "These are my notes.\n".repeat(500)).unwrap();
    fs::write(fixture.at("short"), "SQLite format 3").unwrap();
    for file in ["empty", "text", "short"] {
        is_left_alone(&fixture, file, is_foreign);
    }
    fs::create_dir(fixture.at("folder")).unwrap();
    assert!(refusals(&fixture.at("folder")).iter().all(is_foreign));
}

#[test]
fn row_25_another_programs_database_is_foreign() {
    let fixture = Fixture::numbered(1);
    for (file, mode) in [("rollback.sqlite", "DELETE"), ("logged.sqlite", "WAL")] {
        let other = rusqlite::Connection::open(fixture.at(file)).unwrap();
        other
            .execute_batch(&format!(
                "PRAGMA journal_mode = {mode}; CREATE TABLE run (id); INSERT INTO run VALUES (1);"
            ))
            .unwrap();
        other.close().unwrap();
        let path = fixture.at(file);
        let before = fs::read(&path).unwrap();
        assert!(refusals(&path).iter().all(is_foreign), "{file}");
        assert_eq!(fs::read(&path).unwrap(), before, "{file}");
    }
}

#[test]
fn row_26_a_newer_schema_is_refused_with_both_versions() {
    let fixture = Fixture::numbered(1);
    let is_newer = |error: &StoreError| {
        matches!(
            error,
            StoreError::Newer {
                found: 11,
                known: 10,
                ..
            }
        )
    };
    is_refused_as(&fixture, 11, is_newer);
}

#[test]
fn row_27_a_schema_from_before_the_first_release_is_refused() {
    let fixture = Fixture::numbered(1);
    for version in 1..10 {
        let is_older = |error: &StoreError| matches!(error, StoreError::Older { found, .. } if *found == version);
        is_refused_as(&fixture, version, is_older);
    }
    fixture
        .sql()
        .pragma_update(None, "user_version", 10)
        .unwrap();
}

/// Gives a database another version, and expects a refusal without a change.
fn is_refused_as(fixture: &Fixture, version: i64, such: impl Fn(&StoreError) -> bool) {
    fixture
        .sql()
        .pragma_update(None, "user_version", version)
        .unwrap();
    let before = (fixture.contents(), fs::read(&fixture.database).unwrap());
    for refusal in refusals(&fixture.database) {
        assert!(such(&refusal), "{refusal:?}");
    }
    let after = (fixture.contents(), fs::read(&fixture.database).unwrap());
    assert_eq!(after, before);
}

#[test]
fn row_28_a_damaged_database_is_an_error_without_a_panic() {
    let fixture = Fixture::numbered(50);
    let whole = fs::read(&fixture.database).unwrap();
    let damage: [(&str, Vec<u8>); 3] = [
        ("cut.db", whole[..PAGE].to_vec()),
        ("half.db", whole[..whole.len() / 2].to_vec()),
        ("scribbled.db", {
            let mut bytes = whole.clone();
            bytes[PAGE..].fill(0xa5);
            bytes
        }),
    ];
    for (file, bytes) in damage {
        fs::write(fixture.at(file), bytes).unwrap();
        let looked = Reader::open(fixture.at(file)).and_then(|reader| reader.verify());
        assert!(
            looked
                .as_ref()
                .map_or(true, |verdict| !verdict.problems.is_empty()),
            "{file}: {looked:?}"
        );
        // It may open, because the needed page may be intact; later reads must find the damage.
        let worked = Lock::acquire(fixture.at(file))
            .and_then(Store::open)
            .and_then(|mut store| {
                store.load(|loader| {
                    (0..500).try_for_each(|i| loader.add(&format!("new {i}").as_str().into()))
                })
            });
        assert!(worked.is_err(), "{file}: {worked:?}");
    }
}

#[test]
fn row_32_a_name_that_looks_like_a_uri_is_a_name() {
    let fixture = Fixture::numbered(1);
    for refusal in refusals(&fixture.at("file:stride.db?mode=rwc")) {
        assert!(matches!(refusal, StoreError::Missing { .. }), "{refusal:?}");
    }
}

#[test]
fn counts_of_other_jobs_than_there_are_end_it_at_once() {
    let mut fixture = Fixture::numbered(3);
    fixture.forget_bystander();
    let refused = |change: &str| {
        fixture.sql().execute_batch(change).unwrap();
        let opened = fixture.try_open().map(drop).unwrap_err();
        assert!(matches!(opened, StoreError::Damaged { .. }), "{opened:?}");
    };
    refused("UPDATE counts SET pending = 0, done = 0");
    refused("UPDATE counts SET pending = 4, done = 1");
    refused("DELETE FROM counts; INSERT INTO counts (id) VALUES (1)");
    let right = "UPDATE counts SET pending = 3, done = 1";
    fixture.sql().execute_batch(right).unwrap();
    fixture.open();
}
