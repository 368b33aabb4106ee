//! Fills a new run in bulk. The result equals that of one insert for each name.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, thread};

use stride::job::FileName;
use stride::store::{Loaded, Loader, NewJob, Store, StoreError};

use crate::support::{BYSTANDER, Fixture, numbers};

/// The definitions of everything in a database.
fn schema(sql: &rusqlite::Connection) -> Vec<(String, Option<String>)> {
    let mut statement = sql
        .prepare("SELECT name, sql FROM sqlite_schema ORDER BY type, name")
        .unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_new_run_has_the_schema_of_the_migrations_in_order() {
    let fixture = Fixture::numbered(3);
    let plain = rusqlite::Connection::open_in_memory().unwrap();
    let mut migrations: Vec<PathBuf> = fs::read_dir("migrations")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    migrations.sort();
    for (number, path) in (1..).zip(migrations) {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with(&format!("{number:04}_")), "{name}");
        plain
            .execute_batch(&fs::read_to_string(&path).unwrap())
            .unwrap();
    }
    assert_eq!(schema(&fixture.sql()), schema(&plain));
}

#[test]
fn row_47_duplicates_leave_no_gap_at_any_position() {
    let mut fixture = Fixture::empty();
    let columns = |name: &FileName| format!(r#"{{"name":"{}"}}"#, name.as_bytes().len());
    let mut rows = Vec::new();
    // Equal names have equal rows.
    for name in [
        "b",
        "b",
        "é",
        "a",
        "caf\u{fffd}",
        BYSTANDER,
        "b",
        "c",
        "a",
        "d",
        "d",
    ] {
        rows.push(FileName::from(name));
    }
    // The same bytes as text and as a blob are different names, and each is found again.
    for name in [&b"\xff"[..], b"caf\xe9", b"\xff"] {
        rows.push(FileName::new(name));
    }
    let rows: Vec<_> = rows
        .into_iter()
        .map(|name| (columns(&name), name))
        .collect();
    let lock = fixture.lock();
    let (mut store, loaded) = Store::create(lock, &fixture.new_run(), |loader| {
        rows.iter()
            .try_for_each(|(columns, name)| loader.add_with(name, Some(columns)))
    })
    .unwrap();
    let expected = Loaded {
        added: 9,
        duplicates: 5,
        ..Loaded::default()
    };
    assert_eq!((loaded, store.counts().pending), (expected, 9));
    let (mut first, mut position) = (Vec::<&FileName>::new(), 0);
    let sql = fixture.sql();
    for (columns, name) in &rows {
        if first.contains(&name) {
            continue;
        }
        first.push(name);
        let found: (i64, String) = sql
            .query_row(
                "SELECT id, fields FROM job JOIN columns ON columns.job = job.id WHERE CAST(path AS BLOB) = ?1",
                [name.as_bytes()],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        assert_eq!(found, (position, columns.clone()), "{name}");
        position += 1;
    }
    let orphans = "SELECT count(*) FROM columns WHERE job NOT IN (SELECT id FROM job)";
    assert_eq!(sql.query_row(orphans, [], |row| row.get(0)), Ok(0));
    fixture.watch_bystander();
    // A later list continues after them.
    let again = store.load(|loader| {
        loader.add(&"d".into())?;
        loader.add(&"new".into())?;
        loader.add(&"new".into())
    });
    let again: Loaded = again.unwrap();
    assert_eq!((again.added, again.known, again.duplicates), (1, 1, 1));
    let last = "SELECT id FROM job WHERE path = 'new'";
    assert_eq!(sql.query_row(last, [], |row| row.get(0)), Ok(9));
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn rows_of_one_name_must_be_equal() {
    let name = FileName::from("x");
    let plain = |columns| NewJob {
        name: &name,
        key: None,
        columns,
        file: None,
    };
    let file = FileName::from("f");
    let other = Some(r#"{"a":2}"#);
    let one = plain(Some(r#"{"a":1}"#));
    let with_file = NewJob {
        file: Some(&file),
        ..one
    };
    for (second, third, is_refused) in [
        (one, one, false),
        (one, plain(None), false),
        (plain(None), one, false),
        (one, plain(other), true),
        (plain(None), plain(other), true),
        (with_file, one, true),
    ] {
        let fill = |loader: &mut Loader<'_>| {
            loader.add(&"before".into())?;
            for job in [&one, &second, &third] {
                loader.add_job(job)?;
            }
            Ok::<_, StoreError>(())
        };
        let new = Fixture::empty();
        let created = Store::create(new.lock(), &new.new_run(), fill);
        let existing = Fixture::numbered(2);
        let loaded = existing.start().load(fill);
        for loaded in [created.map(|(_, loaded)| loaded), loaded] {
            match loaded {
                Err(StoreError::Conflict { path, rows }) => {
                    assert!(is_refused);
                    assert_eq!((path, rows.0), (name.clone(), 1));
                }
                loaded => assert_eq!((is_refused, loaded.unwrap().duplicates), (false, 2)),
            }
        }
        assert_eq!(existing.problems(), [""; 0]);
    }
}

#[test]
fn a_first_name_without_columns_gets_those_of_its_row() {
    let mut fixture = Fixture::empty();
    let columns = r#"{"a":1}"#;
    let lock = fixture.lock();
    let created = Store::create(lock, &fixture.new_run(), |loader| {
        loader.add(&"x".into())?;
        loader.add(&BYSTANDER.into())?;
        loader.add_with(&"x".into(), Some(columns))?;
        loader.add_with(&"y".into(), Some(columns))
    });
    let (mut store, loaded): (_, Loaded) = created.unwrap();
    assert_eq!((loaded.added, loaded.duplicates), (3, 1));
    fixture.watch_bystander();
    let fields = |name: &str| {
        let sql = "SELECT fields FROM columns WHERE job = ?1";
        let id = fixture.id(name).0;
        fixture
            .sql()
            .query_row(sql, [id], |row| row.get::<_, String>(0))
    };
    assert_eq!(
        (fields("x"), fields("y")),
        (Ok(columns.to_owned()), Ok(columns.to_owned()))
    );
    let again = store.load(|loader| {
        loader.add(&"z".into())?;
        loader.add_with(&"z".into(), Some(columns))
    });
    let again: Loaded = again.unwrap();
    assert_eq!((again.added, again.duplicates), (1, 1));
    assert_eq!(fields("z"), Ok(columns.to_owned()));
    assert_eq!(fixture.problems(), [""; 0]);
}

/// The unlinked files that this process has open, with their modes.
fn unnamed() -> Vec<(PathBuf, u32)> {
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let open = open.filter_map(|entry| {
        let name = fs::read_link(entry.path()).ok()?;
        let mode = fs::metadata(entry.path()).ok()?.mode() & 0o777;
        name.to_string_lossy()
            .ends_with(" (deleted)")
            .then_some((name, mode))
    });
    open.collect()
}

#[test]
fn a_long_list_is_sorted_in_the_databases_own_folder() {
    let mut fixture = Fixture::empty();
    // More names than fit into memory, in nearly reverse order.
    let tail = "x".repeat(4000);
    let names = numbers(20_000);
    let folder = fixture.database.parent().unwrap().to_owned();
    let done = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut seen = Vec::new();
            while !done.load(Ordering::SeqCst) {
                seen.extend(unnamed());
            }
            seen
        });
        let lock = fixture.lock();
        let made = Store::create(lock, &fixture.new_run(), |loader| {
            loader.add(&BYSTANDER.into())?;
            names.iter().rev().try_for_each(|name| {
                loader.add(&format!("{name}{tail}").as_str().into())?;
                // With duplicates SQLite sorts three times, so that the test sees more files.
                loader.add(&format!("{}{tail}", name.as_bytes().len()).as_str().into())
            })?;
            Ok::<_, StoreError>(())
        });
        done.store(true, Ordering::SeqCst);
        let (_, loaded) = made.unwrap();
        assert_eq!(loaded.added + loaded.duplicates, 40_001);
        assert_eq!(
            loaded.duplicates, 20_000,
            "those of one to five digits are there already"
        );
        looking.join().unwrap()
    });
    let ours: Vec<_> = seen
        .iter()
        .filter(|(file, _)| file.starts_with(&folder))
        .collect();
    assert!(!ours.is_empty(), "{seen:?}");
    assert!(ours.iter().all(|(_, mode)| *mode == 0o600), "{ours:?}");
    let named = fs::read_dir(&folder).unwrap().flatten();
    let named = named.filter(|entry| entry.file_name().to_string_lossy().contains("etilqs"));
    assert_eq!(named.count(), 0);
    fixture.watch_bystander();
    assert_eq!(fixture.problems(), [""; 0]);
}
