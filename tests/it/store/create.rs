//! Creates runs, and adds to their lists.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use stride::job::{FileName, JobState, Position};
use stride::settings::{Call, Settings};
use stride::store::{Loaded, Lock, NewRun, Reader, Store, StoreError};

use crate::support::{BYSTANDER, Fixture, claim, take_lock};

/// The files of a folder, by name, that belong to this database.
fn files_of(database: &Path) -> Vec<String> {
    let name = database.file_name().unwrap().to_str().unwrap();
    let mut files: Vec<String> = fs::read_dir(database.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|file| file.contains(name))
        .collect();
    files.sort();
    files
}

fn load(store: &mut Store, names: &[FileName]) -> Result<Loaded, StoreError> {
    store.load(|loader| names.iter().try_for_each(|name| loader.add(name)))
}

fn names(names: &[&str]) -> Vec<FileName> {
    names.iter().map(|&name| name.into()).collect()
}

#[derive(Debug)]
enum Refusal {
    Mine,
    Store,
}

impl From<StoreError> for Refusal {
    fn from(_: StoreError) -> Self {
        Self::Store
    }
}

#[test]
fn a_creation_that_fails_leaves_no_database_and_no_temporary_file() {
    let fixture = Fixture::numbered(1);
    let database = fixture.at("other.db");
    let failed = Store::create(take_lock(&database), &fixture.new_run(), |loader| {
        loader.add(&"a".into()).map_err(Refusal::from)?;
        Err(Refusal::Mine)
    });
    assert!(matches!(failed, Err(Refusal::Mine)));
    assert_eq!(files_of(&database), [""; 0]);

    let lock = take_lock(&database);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        Store::create::<StoreError>(lock, &fixture.new_run(), |_| panic!("in the middle"))
    }));
    assert!(panicked.is_err());
    assert_eq!(files_of(&database), ["other.db.lock"]);
}

#[test]
fn a_log_that_appears_during_a_creation_prevents_the_database() {
    let fixture = Fixture::numbered(1);
    let database = fixture.at("other.db");
    let log = fixture.at("other.db-wal");
    let refused = Store::create(take_lock(&database), &fixture.new_run(), |loader| {
        fs::write(&log, "pages").unwrap();
        loader.add(&"a".into())
    });
    let is_left =
        matches!(refused, Err(StoreError::Left(files)) if files == [log.canonicalize().unwrap()]);
    assert!(is_left);
    assert_eq!(files_of(&database), ["other.db-wal"]);
}

#[test]
fn row_46_the_leftovers_of_a_killed_creation_are_replaced() {
    let fixture = Fixture::numbered(1);
    let database = fixture.at("other.db");
    for leftover in [
        ".other.db.new",
        ".other.db.new-wal",
        ".other.db.new-journal",
    ] {
        fs::write(fixture.at(leftover), "half a database").unwrap();
    }
    let lock = take_lock(&database);
    let (store, _) =
        Store::create(lock, &fixture.new_run(), |loader| loader.add(&"a".into())).unwrap();
    store.close().unwrap();
    let verdict = Reader::open(&database).unwrap().verify().unwrap();
    assert_eq!(verdict.problems, [""; 0]);
    assert!(!fixture.at(".other.db.new").exists());
}

#[test]
fn a_creation_replaces_nothing() {
    let fixture = Fixture::numbered(1);
    let before = fixture.contents();
    fs::write(fixture.at("empty"), "").unwrap();
    symlink("nowhere", fixture.at("dangling")).unwrap();
    for taken in ["stride.db", "empty", "dangling", "."] {
        let lock = take_lock(&fixture.at(taken));
        let refused = Store::create(lock, &fixture.new_run(), |_| Ok::<_, StoreError>(()));
        assert!(
            matches!(refused, Err(StoreError::Exists { .. })),
            "{taken}: {refused:?}"
        );
    }
    assert_eq!(fixture.contents(), before);
    assert_eq!(fs::read(fixture.at("empty")).unwrap(), b"");
    assert!(fixture.at("dangling").is_symlink() && !fixture.at("nowhere").exists());
}

#[test]
fn only_the_owner_can_read_a_database() {
    let mut fixture = Fixture::empty();
    let mode = |file: &str| fs::metadata(fixture.at(file)).unwrap().permissions().mode() & 0o777;
    let lock = fixture.lock();
    let (mut store, _) = Store::create(lock, &fixture.new_run(), |loader| {
        assert_eq!(mode(".stride.db.new"), 0o600, "while it is being built");
        loader.add(&BYSTANDER.into())
    })
    .unwrap();
    store.set_settings(&Settings::default()).unwrap();
    for file in [
        "stride.db",
        "stride.db-wal",
        "stride.db-shm",
        "stride.db.lock",
    ] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
    fixture.watch_bystander();
}

#[test]
fn a_database_has_its_application_id_and_keeps_its_wal() {
    let fixture = Fixture::numbered(1);
    let sql = fixture.sql();
    let pragma = |name: &str| -> String {
        let number = |row: &rusqlite::Row<'_>| {
            row.get::<_, i64>(0)
                .map(|number| number.to_string())
                .or_else(|_| row.get(0))
        };
        sql.pragma_query_value(None, name, number).unwrap()
    };
    assert_eq!(pragma("journal_mode"), "wal");
    assert_eq!(pragma("application_id"), 0x7374_7264.to_string());
    assert_eq!(pragma("user_version"), "10");
    let strict = "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND type = 'table'
                  AND name NOT LIKE 'sqlite_%' AND NOT strict";
    assert_eq!(sql.query_row(strict, [], |row| row.get(0)), Ok(0));
}

#[test]
fn row_48_a_later_list_adds_new_names_and_reports_missing_ones() {
    let fixture = Fixture::new(&["a", "b", "c", "d"]);
    let before: Vec<_> = ["a", "b", "c", "d"].map(|name| fixture.rows(name)).into();
    let mut store = fixture.open();
    let counts = store.counts();
    let loaded = load(&mut store, &names(&["c", "x", "x", "a", "y", "c", "x"])).unwrap();
    assert_eq!(
        loaded,
        Loaded {
            added: 2,
            known: 2,
            duplicates: 3,
            left: 3,
            left_examples: names(&["b", "d", BYSTANDER]),
            ..Loaded::default()
        }
    );
    assert_eq!(store.counts().pending, counts.pending + 2);
    assert_eq!(store.counts().total, counts.total + 2);
    assert_eq!(fixture.reader().counts().unwrap(), store.counts());
    assert_eq!(before, ["a", "b", "c", "d"].map(|name| fixture.rows(name)));

    let mut order = Vec::new();
    let each = &mut |record: stride::store::Record| {
        order.push(record.path);
        Ok::<_, StoreError>(())
    };
    fixture.reader().records(true, each).unwrap();
    assert_eq!(order, names(&["a", "b", "c", "d", BYSTANDER, "x", "y"]));

    let nothing = load(&mut store, &[]).unwrap();
    assert_eq!(
        (nothing.left, nothing.left_examples),
        (7, names(&["a", "b", "c"]))
    );
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn row_47_the_first_list_counts_its_duplicates() {
    let mut fixture = Fixture::empty();
    let (store, loaded) = fixture
        .create(&names(&["a", BYSTANDER, "a", "b", "a"]))
        .unwrap();
    let expected = Loaded {
        added: 3,
        duplicates: 2,
        ..Loaded::default()
    };
    assert_eq!((loaded, store.counts().total), (expected, 3));
    fixture.watch_bystander();
}

#[test]
fn row_46_a_load_that_fails_adds_nothing() {
    let fixture = Fixture::numbered(2);
    let mut store = fixture.open();
    let (before, counts) = (fixture.contents(), store.counts());
    let failed = store.load(|loader| {
        loader.add(&"new".into()).map_err(Refusal::from)?;
        Err::<(), _>(Refusal::Mine)
    });
    assert!(matches!(failed, Err(Refusal::Mine)));
    assert_eq!((fixture.contents(), store.counts()), (before, counts));
    assert_eq!(
        load(&mut store, &names(&["new"])).unwrap().added,
        1,
        "the store goes on"
    );
}

#[test]
fn rows_49_and_50_names_of_any_bytes_are_kept() {
    let long = "ü".repeat(100);
    let odd: Vec<FileName> = [
        &b"two\nlines\r\n"[..],
        b"'single' \"double\" `back`",
        b"caf\xe9",
        b"\xff\xfe\x80",
        b"\xed\xa0\x80 a surrogate",
        long.as_bytes(),
        "\u{1f469}\u{200d}\u{1f680}\u{202e}".as_bytes(),
        b" space ",
        b"\x1b]0;title\x07\t",
        b"%_\\ ?1 :a",
        b"-rf",
        b"1",
        b"1.0",
        b"NULL",
        b"x'00'",
    ]
    .into_iter()
    .map(FileName::new)
    .collect();
    let fixture = Fixture::new(&odd);
    let mut store = fixture.start();
    let (mut read, mut claimed) = (Vec::new(), Vec::new());
    let each = &mut |record: stride::store::Record| {
        read.push(record.path);
        Ok::<_, StoreError>(())
    };
    fixture.reader().records(true, each).unwrap();
    assert_eq!(read.pop(), Some(BYSTANDER.into()));
    assert_eq!(read, odd);
    for name in &odd {
        let claim = claim(&mut store, fixture.id(name.clone()));
        assert_eq!(
            fs::read(&claim.job.file).unwrap(),
            name.as_bytes(),
            "{name}"
        );
        claimed.push(claim.job.path);
    }
    assert_eq!(claimed, odd);
    let again = load(&mut store, &odd).unwrap();
    assert_eq!(
        (again.known, again.added, again.left),
        (odd.len() as u64, 0, 1)
    );

    let sql = fixture.sql();
    let kind = |name: &FileName| -> String {
        sql.query_row(
            "SELECT typeof(path) FROM job WHERE id = ?1",
            [fixture.id(name.clone()).0],
            |row| row.get(0),
        )
        .unwrap()
    };
    for name in &odd {
        assert_eq!(
            kind(name),
            if name.as_str().is_some() {
                "text"
            } else {
                "blob"
            },
            "{name}"
        );
    }
    let readable =
        "SELECT count(*) FROM job WHERE path = 'two' || char(10) || 'lines' || char(13, 10)";
    assert_eq!(sql.query_row(readable, [], |row| row.get(0)), Ok(1));
}

/// No file can have such a name, but a list may contain it: it is refused or left out, and not counted.
#[test]
fn a_name_that_cannot_be_stored_is_not_counted() {
    for name in [&b""[..], b"\0", b"\0x"] {
        let fixture = Fixture::numbered(1);
        let mut store = fixture.open();
        if let Ok(loaded) = load(&mut store, &[FileName::new(name), "x".into()]) {
            let jobs: u64 = fixture
                .sql()
                .query_row("SELECT count(*) - 2 FROM job", [], |row| row.get(0))
                .unwrap();
            assert_eq!(loaded.added, jobs, "{name:?}");
        }
        assert_eq!(fixture.problems(), [""; 0], "{name:?}");
    }
}

#[test]
fn the_settings_of_a_run_are_stored() {
    let fixture = Fixture::numbered(1);
    let settings = Settings {
        threads: 3.into(),
        rates: stride::limits::Rates::parse(["7.5/m"]).unwrap(),
        ..Settings::default()
    };
    let call = Call::Program {
        name: "another".to_owned(),
    };
    let mut store = fixture.open();
    store.set_settings(&settings).unwrap();
    store.set_call(&call, &|_| false).unwrap();
    drop(store);
    let store = fixture.open();
    assert_eq!(
        (store.settings().unwrap(), store.call().unwrap()),
        (settings.clone(), call.clone())
    );
    let info = fixture.reader().info().unwrap();
    assert_eq!(
        (info.settings, info.call, info.runners),
        (settings, call, 1)
    );
    assert_eq!(info.ended.unwrap().1, "finished");
}

#[test]
fn a_run_moves_with_its_folder_and_keeps_paths_outside_of_it() {
    let mut fixture = Fixture::empty();
    let folder = fixture.database.parent().unwrap().to_owned();
    let elsewhere = tempfile::tempdir().unwrap();
    for (database, base) in [
        ("old/near.db", folder.join("old/files")),
        ("old/here.db", folder.join("old")),
        ("old/far.db", elsewhere.path().to_owned()),
    ] {
        fs::create_dir_all(fixture.at("old/files")).unwrap();
        let lock = Lock::acquire(fixture.at(database)).unwrap();
        let run = NewRun {
            base: base.clone(),
            ..fixture.new_run()
        };
        let (store, _) = Store::create(lock, &run, |loader| loader.add(&BYSTANDER.into())).unwrap();
        assert_eq!(store.base(), base);
        store.close().unwrap();
    }
    fs::rename(fixture.at("old"), fixture.at("new")).unwrap();
    let base = |database: &str| {
        Reader::open(fixture.at(database))
            .unwrap()
            .info()
            .unwrap()
            .base
    };
    assert_eq!(base("new/near.db"), folder.join("new/files"));
    assert_eq!(base("new/here.db"), folder.join("new"));
    assert_eq!(base("new/far.db"), elsewhere.path());
    fixture.database = fixture.at("new/near.db");
    fixture.watch_bystander();
    assert_eq!(fixture.state(BYSTANDER), JobState::Pending);
    let mut store = fixture.start();
    let group = store.group().unwrap();
    assert_eq!(
        group
            .offer(Position(0), 9, std::time::Duration::ZERO)
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn rows_32_and_42_two_ways_to_a_database_are_one_database() {
    let fixture = Fixture::numbered(1);
    symlink("stride.db", fixture.at("link.db")).unwrap();
    let store = Store::open(take_lock(&fixture.at("./link.db"))).unwrap();
    assert_eq!(store.path(), fixture.database);
    assert!(matches!(fixture.try_open(), Err(StoreError::Busy { .. })));
}
