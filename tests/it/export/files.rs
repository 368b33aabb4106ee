//! An export appears whole or not at all, and shows one moment.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use stride::export::{ExportError, FileError, Format, Selection, to_file, to_stream};
use stride::store::StoreError;

use super::{FILES, FORMATS, done, export, mixed};
use crate::support::{Fixture, attempt, succeeded};

#[test]
fn a_whole_export_is_refused_until_everything_is_done() {
    let fixture = mixed();
    let target = fixture.at("out");
    for format in FILES {
        fs::write(&target, "the old one").unwrap();
        let refused = to_file(&fixture.reader(), format, Selection::Whole, &target);
        let Err(ExportError::Incomplete { counts }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!((counts.done, counts.total), (3, 7));
        assert_eq!(fs::read(&target).unwrap(), b"the old one");
        let mut out = Vec::new();
        to_stream(&fixture.reader(), format, Selection::Whole, &mut out).unwrap_err();
        assert_eq!(out, b"", "nothing is written before it is known");
    }
}

#[test]
fn row_91_an_export_is_of_one_moment() {
    let fixture = Fixture::new(&["a", "b"]);
    let mut store = fixture.start();
    attempt(&mut store, fixture.id("a"), succeeded("1"));
    let reader = fixture.reader();
    let before = export(&reader, Format::Json, Selection::Partial);
    attempt(&mut store, fixture.id("b"), succeeded("2"));
    assert_eq!(export(&reader, Format::Json, Selection::Partial), before);
    assert!(to_stream(&reader, Format::Json, Selection::Whole, &mut Vec::new()).is_err());
    assert!(
        to_stream(
            &fixture.reader(),
            Format::Json,
            Selection::Whole,
            &mut Vec::new()
        )
        .is_ok()
    );
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    files
}

#[test]
fn rows_29_and_89_a_file_is_replaced_whole_or_not_at_all() {
    let fixture = done();
    let folder = fixture.at("exports");
    fs::create_dir(&folder).unwrap();
    let target = folder.join("out.json");
    assert_eq!(
        to_file(&fixture.reader(), Format::Json, Selection::Whole, &target)
            .unwrap()
            .jobs,
        4
    );
    let whole = fs::read_to_string(&target).unwrap();
    assert_eq!(
        whole,
        export(&fixture.reader(), Format::Json, Selection::Whole)
    );
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let usual = folder.join("usual");
    fs::write(&usual, "").unwrap();
    assert_eq!(mode(&target), mode(&usual));
    fs::remove_file(&usual).unwrap();

    let damage = "UPDATE result SET body = x'00' WHERE job = (SELECT id FROM job WHERE path = 'c')";
    fixture.sql().execute(damage, []).unwrap();
    for format in FILES {
        let refused = to_file(&fixture.reader(), format, Selection::Whole, &target);
        let damaged = matches!(&refused, Err(ExportError::Store(StoreError::DamagedResult { path })) if *path == "c".into());
        assert!(damaged, "{refused:?}");
        assert_eq!(fs::read_to_string(&target).unwrap(), whole);
        assert!(
            to_file(
                &fixture.reader(),
                format,
                Selection::Whole,
                &folder.join("new")
            )
            .is_err()
        );
    }
    assert_eq!(files(&folder), ["out.json"]);
    // A partial export has the others.
    for selection in [Selection::Partial, Selection::All] {
        for format in FORMATS {
            let mut out = Vec::new();
            let written = to_stream(&fixture.reader(), format, selection, &mut out).unwrap();
            assert_eq!((written.jobs, written.damaged), (3, vec!["c".into()]));
        }
    }
}

#[test]
fn a_link_is_followed_and_stays_a_link() {
    let fixture = done();
    fs::create_dir(fixture.at("real")).unwrap();
    fs::write(fixture.at("real/out.json"), "old").unwrap();
    symlink("real/out.json", fixture.at("link.json")).unwrap();
    to_file(
        &fixture.reader(),
        Format::Json,
        Selection::Whole,
        &fixture.at("link.json"),
    )
    .unwrap();
    assert!(fixture.at("link.json").is_symlink());
    assert!(
        fs::read_to_string(fixture.at("real/out.json"))
            .unwrap()
            .starts_with("{\n")
    );
    assert_eq!(files(&fixture.at("real")), ["out.json"]);
}

#[test]
fn row_90_the_runs_own_files_are_refused_as_targets() {
    let fixture = done();
    // An open store keeps the WAL and its index.
    let _store = fixture.open();
    symlink("stride.db", fixture.at("link")).unwrap();
    fs::create_dir(fixture.at("folder")).unwrap();
    for own in [
        "stride.db",
        "./stride.db",
        "folder/../stride.db",
        "link",
        "stride.db-wal",
        "stride.db-shm",
        "stride.db.lock",
        "folder",
    ] {
        let target = fixture.at(own);
        let before = fs::read(&target).ok();
        let refused = to_file(&fixture.reader(), Format::Json, Selection::Partial, &target);
        assert!(
            matches!(refused, Err(ExportError::File(FileError::Target { .. }))),
            "{own}: {refused:?}"
        );
        assert_eq!(fs::read(&target).ok(), before, "{own}");
    }
    for missing in ["none/out.json", "stride.db/out.json"] {
        let refused = to_file(
            &fixture.reader(),
            Format::Json,
            Selection::Partial,
            &fixture.at(missing),
        );
        assert!(
            matches!(refused, Err(ExportError::File(FileError::Write { .. }))),
            "{missing}: {refused:?}"
        );
    }
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn a_stream_that_ends_early_is_an_error() {
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            if taken == 0 {
                Err(std::io::ErrorKind::StorageFull.into())
            } else {
                Ok(taken)
            }
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let fixture = done();
    for format in FORMATS {
        let refused = to_stream(&fixture.reader(), format, Selection::Whole, &mut Full(20));
        assert!(
            matches!(refused, Err(ExportError::File(FileError::Write { .. }))),
            "{refused:?}"
        );
    }
}

#[test]
fn written_files_are_noted_for_later_walks() {
    let fixture = done();
    stride::store::note_artifact(&fixture.database, &fixture.at("out.json"));
    stride::store::note_artifact(&fixture.database, &fixture.at("out.json"));
    assert_eq!(
        fixture.reader().artifacts().unwrap(),
        [fixture.at("out.json")]
    );
    let mut store = fixture.start();
    assert_eq!(store.requeue(&stride::store::Filter::default()).unwrap(), 0);
}
