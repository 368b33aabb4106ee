//! Lists that were corrected after some of their files were called.

use serde_json::json;

use super::Place;
use crate::support::{FakeApi, Reply};

/// Answers with the path of the request.
fn echo() -> FakeApi {
    FakeApi::start(|request| match request.target.ends_with("/bad") {
        true => Reply::status(422),
        false => Reply::json(json!(request.target)),
    })
}

#[test]
fn a_corrected_column_reaches_done_files_if_the_calls_use_it() {
    let api = echo();
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    ["a", "b", "c", "d"]
        .iter()
        .for_each(|name| place.write(name, name));
    let url = format!("{}/{{col.lang}}", api.url());
    let words = ["run", "--db", "new.db", "--url", &url];
    let words = [&words[..], &["--files-from", "list.csv"]].concat();
    let run = |list: &str, more: &[&str]| {
        place.write("list.csv", list);
        place.stride(&[&words[..], more].concat())
    };
    let exported = || {
        let export = ["export", "--db", "new.db", "--all", "--format", "csv"];
        let export = [&export[..], &["--columns", "file,col.lang,col.note,result"]];
        let table = place.stride(&export.concat()).expect(0).stdout;
        String::from_utf8(table).unwrap().replace("\r\n", "\n")
    };
    run("path,lang,note\na,xx,1\nb,en,1\nc,fr,1\nd,bad,1\n", &[]).expect(3);
    place.stride(&["forget", "--db", "new.db", "c"]).expect(0);
    // Calls use the column `lang`, and no call uses `note`.
    let corrected = "path,lang,note\na,de,2\nb,en,2\nc,es,2\nd,it,2\n";
    let ran = run(corrected, &[]).expect(3);
    let calls_again =
        "--files-from list.csv --retry-changed   calls them again with the list's columns";
    let ran = ran
        .says("1 file kept the columns of the call, which differ from the list's: a\n")
        .says(calls_again);
    assert!(!ran.stderr.contains("pending again"), "{}", ran.stderr);
    assert_eq!(
        exported(),
        "file,lang,note,result\na,xx,1,\"\"\"/xx\"\"\"\nb,en,2,\"\"\"/en\"\"\"\nd,it,2,\n"
    );
    // The other states: a failed file is called with the new row, and a forgotten one keeps its result.
    place.stride(&["retry", "--db", "new.db"]).expect(0);
    run(corrected, &["--retry-changed"])
        .expect(0)
        .says("1 changed file pending again");
    assert_eq!(
        exported(),
        "file,lang,note,result\na,de,2,\"\"\"/de\"\"\"\nb,en,2,\"\"\"/en\"\"\"\nd,it,2,\"\"\"/it\"\"\"\n"
    );
    let called = api.requests();
    let ran = run(corrected, &["--retry-changed"])
        .expect(0)
        .says("0 changed files pending again");
    assert!(!ran.stderr.contains("kept the columns"), "{}", ran.stderr);
    place
        .stride(&["forget", "--db", "new.db", "--undo", "c"])
        .expect(0);
    run(corrected, &[])
        .expect(0)
        .says("1 file kept the columns of the call, which differ from the list's: c\n");
    assert_eq!(api.requests(), called);
    // The file itself has changed.
    place.write("b", "longer");
    run(corrected, &["--retry-changed"])
        .expect(0)
        .says("2 changed files pending again");
    assert_eq!(api.requests(), called + 2);
    place.stride(&["verify", "--db", "new.db"]).expect(0);
    // The view has the columns, too.
    let run = rusqlite::Connection::open(place.at("new.db")).unwrap();
    let language = "SELECT columns ->> 'lang' FROM results WHERE path = 'a'";
    let language: String = run.query_row(language, [], |row| row.get(0)).unwrap();
    assert_eq!(language, "de");
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_forgotten_file_gets_its_new_row() {
    let api = echo();
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    ["a", "b"].iter().for_each(|name| place.write(name, name));
    let url = format!("{}/{{col.lang}}", api.url());
    let words = ["run", "--db", "new.db", "--url", &url];
    let words = [&words[..], &["--files-from", "list.csv"]].concat();
    place.write("list.csv", "path,lang\na,de\nb,bad\n");
    place.stride(&words).expect(3);
    place.stride(&["forget", "--db", "new.db", "b"]).expect(0);
    place.write("list.csv", "path,lang\na,de\nb,en\n");
    place
        .stride(&words)
        .expect(0)
        .says("1 file of this list forgotten and not called: b");
    place
        .stride(&["forget", "--db", "new.db", "--undo", "b"])
        .expect(0);
    place
        .stride(&["retry", "--db", "new.db"])
        .expect(0)
        .says("2 of 2 files done");
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_list_of_another_run_is_told_apart_from_one_that_has_grown() {
    let api = echo();
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    let url = api.url();
    let run = |names: std::ops::Range<u32>, db: &[&str]| {
        let mut list = String::new();
        for name in names {
            place.write(format!("{name}"), "text");
            list.push_str(&format!("{name}\n"));
        }
        place.write("list.txt", list);
        let words = ["run", "--url", &url, "--files-from", "list.txt"];
        place.stride(&[&words[..], db].concat()).expect(0).stderr
    };
    let told = "list.txt --db other.db   makes a run of its own";
    let is_told = |stderr: String| stderr.contains(told);
    // One file of the run is missing from the list.
    assert!(!is_told(run(0..20, &[])));
    assert!(!is_told(run(0..60, &[])), "it has grown");
    assert!(!is_told(run(50..100, &[])), "some are known");
    assert!(!is_told(run(50..90, &[])), "none is new");
    let ran = run(100..120, &[]);
    assert!(
        ran.contains("note: stride.db already has 101 files; 20 of this list were added to them")
    );
    assert!(is_told(ran));
    // A name chooses the run.
    run(0..20, &["--db", "named.db"]);
    assert!(!is_told(run(100..120, &["--db", "named.db"])));
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn wrong_names_are_to_be_corrected_where_they_come_from() {
    let api = echo();
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    place.write("right", "text");
    place.write("list.txt", "bystander.txt\nrong\n");
    let words = ["run", "--url", &api.url(), "--files-from", "list.txt"];
    let planned = place
        .stride(&[&words[..], &["--dry-run"]].concat())
        .expect(0);
    let planned = String::from_utf8(planned.stdout).unwrap();
    assert!(
        planned.contains("\nmissing or inaccessible: 1 file: rong\n"),
        "{planned}"
    );
    place.stride(&words).expect(3).says(
        "hint: if names are wrong, correct them in the list list.txt, and repeat the command\n",
    );
    place
        .stride(&["resume"])
        .expect(3)
        .says("hint: if you have corrected the list, repeat the run command; stride resume does not read it again\n");
    place.write("list.txt", "bystander.txt\nright\n");
    let ran = place.stride(&words).expect(3);
    let ran = ran.says("hint: stride forget rong   takes wrong names off the run\n");
    assert!(
        !ran.stderr.contains("correct them"),
        "it was: {}",
        ran.stderr
    );
    // A failure of another kind is no fault of the list.
    place.stride(&["forget", "rong"]).expect(0);
    place.write("bad", "text");
    place.write("list.txt", "bystander.txt\nright\nbad\n");
    let url = format!("{}/{{name}}", api.url());
    let words = [
        "run",
        "--db",
        "new.db",
        "--url",
        &url,
        "--files-from",
        "list.txt",
    ];
    let ran = place.stride(&words).expect(3);
    assert!(!ran.stderr.contains("correct them"), "{}", ran.stderr);
    // No change of a request makes the service take the same files, so this comes last.
    let refused = "whole call\nhint: stride retry --db new.db   calls the refused files again
hint: stride forget --where class=rejected --db new.db   takes the refused files off the run\n";
    let ran = ran.says(refused);
    assert!(
        !ran.stderr.contains("calls the failed files"),
        "{}",
        ran.stderr
    );
    // A name that was refused is not a wrong one.
    place.write("list.txt", "right\n");
    let ran = place.stride(&words).expect(3);
    let ran = ran.says("2 files of this run missing from the list");
    assert!(!ran.stderr.contains("wrong names"), "{}", ran.stderr);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn no_output_replaces_the_list_of_the_run() {
    let api = echo();
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    let long = format!("id,text\na,{}\n", "x".repeat(100_000));
    let lists = [
        ("plain.csv", "a\nb\n", None),
        ("names.csv", "a\0b\0", None),
        ("by-line.csv", "path,text\na,1\nb,2\n", Some("@line")),
        ("by-line.jsonl", "{\"text\": \"event\"}\n", Some("@line")),
        ("long.csv", &long, Some("id")),
        ("lines.csv", "id,text\na,\"1\n2\"\n", Some("id")),
        ("export.csv", "id,state,file\na,NY,f1\n", Some("id")),
    ];
    for name in ["a", "b"] {
        place.write(name, name);
    }
    let url = format!("{}/{{name}}", api.url());
    for (list, text, key) in lists {
        place.write(list, text);
        let db = format!("{list}.db");
        let mut run = vec!["run", "--db", &db, "--url", &url, "--files-from", list];
        match key {
            Some(key) => run.extend(["--json", "{row}", "--key-column", key]),
            None if text.contains('\0') => run.push("-0"),
            None => run.extend(["--list-format", "lines"]),
        }
        let is_refused = |words: &[&str], flag: &str| {
            place
                .stride(words)
                .expect(2)
                .says(&format!("{list} is the list of the run"))
                .says(&format!("use another file with {flag}"));
        };
        is_refused(&[&run[..], &["--events", list]].concat(), "--events");
        place.stride(&run).expect(0);
        for command in ["export", "report"] {
            is_refused(&[command, "--db", &db, "-o", list], "-o FILE");
        }
        is_refused(&["resume", "--db", &db, "--events", list], "--events");
        assert_eq!(std::fs::read_to_string(place.at(list)).unwrap(), text);
    }
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_list_is_known_by_any_path_and_after_a_move_with_its_run() {
    let api = echo();
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    place.write("work/a", "a");
    place.write("work/list", "a\n");
    let run = ["run", "--url", &api.url(), "--files-from", "-"];
    let mut run = place.command(&run);
    run.current_dir(place.at("work"));
    run.stdin(std::fs::File::open(place.at("work/list")).unwrap());
    assert_eq!(run.status().unwrap().code(), Some(0));
    std::fs::rename(place.at("work"), place.at("moved")).unwrap();
    std::os::unix::fs::symlink("moved/list", place.at("link")).unwrap();
    for path in ["moved/list", "moved/../moved/list", "link"] {
        place
            .stride(&["export", "--db", "moved/stride.db", "-o", path])
            .expect(2)
            .says(&format!("{path} is the list of the run"));
    }
    // Other files are replaced, also exports.
    for _ in 0..2 {
        let export = ["export", "--db", "moved/stride.db", "-o", "moved/out"];
        place.stride(&export).expect(0);
    }
    assert_eq!(place.bystander(), bystander);
}
