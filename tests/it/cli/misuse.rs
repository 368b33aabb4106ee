//! Wrong paths, wrong files, wrong words: always one clear error and the right exit code.

use std::fs;

use super::{Place, listed};

const LOOKS: [&[&str]; 6] = [
    &["resume"],
    &["retry"],
    &["status"],
    &["failures"],
    &["export"],
    &["verify"],
];

#[test]
fn a_database_that_is_not_there_is_named_with_a_way_on() {
    let place = Place::new();
    for words in LOOKS {
        place
            .stride(words)
            .expect(6)
            .says("there is no run at")
            .says("hint: ");
        place
            .stride(&[words, &["--db", "no/folder/x.db"]].concat())
            .expect(6)
            .says("error: ");
    }
    assert!(listed(&place.at("")).is_empty(), "nothing was left behind");
}

#[test]
fn a_file_that_is_no_run_is_left_as_it_is() {
    let place = Place::new();
    place.write("text", "this is no database, but it is long enough to have a header of a hundred bytes, or so one would think");
    place.write("empty", "");
    fs::create_dir(place.at("folder")).unwrap();
    let other = rusqlite::Connection::open(place.at("other")).unwrap();
    other
        .execute_batch("CREATE TABLE t (x); PRAGMA user_version = 1;")
        .unwrap();
    drop(other);
    place.write("in", "x");
    let run: &[&str] = &["run", "--url", "http://127.0.0.1:9/", "in"];
    for db in ["text", "empty", "folder", "other"] {
        let before = fs::read(place.at(db)).ok();
        for words in LOOKS.into_iter().chain([run]) {
            place
                .stride(&[words, &["--db", db]].concat())
                .expect(6)
                .says("is not a run's database");
        }
        assert_eq!(fs::read(place.at(db)).ok(), before, "{db} was changed");
    }
}

#[test]
fn a_newer_database_is_left_as_it_is() {
    let place = Place::new();
    place.write("list", "");
    place
        .stride(&[
            "run",
            "--url",
            "http://127.0.0.1:9/",
            "--files-from",
            "list",
        ])
        .expect(0);
    rusqlite::Connection::open(place.at("stride.db"))
        .unwrap()
        .execute_batch("PRAGMA user_version = 999")
        .unwrap();
    let before = fs::read(place.at("stride.db")).unwrap();
    for words in LOOKS {
        place
            .stride(words)
            .expect(6)
            .says("schema version 999")
            .says("update stride");
    }
    assert_eq!(fs::read(place.at("stride.db")).unwrap(), before);
}

#[test]
fn wrong_words_are_usage_errors() {
    let place = Place::new();
    for words in [
        &["rnu"][..],
        &["run"],
        &["run", "texts"],
        &["export", "--partial", "--all"],
        &["export", "--format", "xml"],
        &["retry", "--class", "bad"],
        &["demo", "--faults"],
        &[],
    ] {
        place.stride(words).expect(2);
    }
    assert!(listed(&place.at("")).is_empty());
    let help = place.stride(&["--help"]).expect(0).stdout;
    assert!(String::from_utf8(help).unwrap().contains("stride resume"));
    place.stride(&["--version"]).expect(0);
}

#[test]
fn rows_10_and_11_closed_outputs_do_not_stop_a_run() {
    let api = crate::support::FakeApi::start(|_| crate::support::Reply::json(1));
    let place = Place::new();
    place.texts(5);
    let words = format!(
        "'{}' run --url {} texts 2>&- >&-",
        env!("CARGO_BIN_EXE_stride"),
        api.url()
    );
    let mut shell = std::process::Command::new("/bin/sh");
    let status = shell
        .args(["-c", &words])
        .current_dir(place.at(""))
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(api.requests(), 5);
    place.stride(&["verify"]).expect(0);
}

#[test]
fn more_threads_than_descriptors_are_refused_before_anything_is_made() {
    let place = Place::new();
    place.texts(1);
    let words = format!(
        "ulimit -n 100 && '{}' run -j 50 --url http://127.0.0.1:9/ texts",
        env!("CARGO_BIN_EXE_stride")
    );
    let mut shell = std::process::Command::new("/bin/sh");
    let output = shell
        .args(["-c", &words])
        .current_dir(place.at(""))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("hint: use -j 7 or fewer"), "{said}");
    assert_eq!(listed(&place.at("")), ["texts"]);
}
