//! Lists that are meant otherwise: tables without their format, other columns, other folders.

use std::fs::{self, File};

use serde_json::json;

use super::{Place, Ran, listed};
use crate::support::{FakeApi, Reply};

const TABLE: &str = "id,path,lang,text\n1,in/a,de,hallo\n2,in/b,en,hello\n3,in/wrong,fr,salut\n";

/// A folder with a table of three rows, two of which have a file.
fn place(api: &FakeApi) -> Place {
    let place = Place::new();
    place.with_bystander(&api.url());
    place.write("list.csv", TABLE);
    place.write("in/a", "a");
    place.write("in/b", "b");
    place
}

fn api() -> FakeApi {
    FakeApi::start(|request| Reply::json(json!(request.body.len())))
}

/// Runs a command whose standard input is this text.
fn piped(place: &Place, words: &[&str], input: &str) -> Ran {
    place.write(".input", input);
    let input = File::open(place.at(".input")).unwrap();
    let output = place.command(words).stdin(input).output().unwrap();
    Ran {
        code: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn a_row_whose_file_is_missing_has_the_true_cause() {
    let api = api();
    let place = place(&api);
    let url = api.url();
    let bystander = place.bystander();
    let run = |words: &[&str]| place.stride(&[&["run", "--url", &url], words].concat());
    let list = ["--files-from", "list.csv"];
    let upload = ["-F", "file=@{path}", "-F", "lang={col.lang}"];
    // The row names its file, which is missing.
    let ran = run(&[&["--db", "a.db"], &list[..], &upload].concat())
        .expect(3)
        .says("the file is missing");
    assert!(!ran.stderr.contains("{row}"), "{}", ran.stderr);
    // Another column names the files.
    let by_id = ["--db", "b.db", "--key-column", "id"];
    run(&[&by_id[..], &list, &upload].concat())
        .expect(3)
        .says("the file is missing; the column `path` names another one: --key-column path")
        .says("the column `path` names the files: repeat the command with --key-column path --forget-unlisted");
    let by_path = ["--db", "b.db", "--key-column", "path", "--forget-unlisted"];
    run(&[&by_path[..], &list, &upload, &["--accept-change"]].concat())
        .expect(3)
        .says("forgot 3 files")
        .says("2 of 3 files done");
    // The request may mean the column or the file.
    let text = [
        "--db",
        "e.db",
        "--key-column",
        "id",
        "--json",
        "[\"{text}\"]",
    ];
    run(&[&text[..], &list].concat()).expect(3).says(
        "repeat the command with {col.text} for the column, or with --key-column path --forget-unlisted for {text} of the file",
    );
    // No column names a file, and the request means a column.
    place.write("rows.csv", "id,text\nx,hallo\ny,hello\n");
    let rows = ["--files-from", "rows.csv", "--key-column", "id", "--db"];
    let text = ["c.db", "--json", r#"{"t":"{text}"}"#];
    run(&[&rows[..], &text].concat())
        .expect(3)
        .says("repeat the command with {col.text}");
    let text = ["c.db", "--json", r#"{"t":"{col.text}"}"#];
    run(&[&rows[..], &text].concat()).expect(0);
    run(&[&rows[..], &["d.db"]].concat())
        .expect(3)
        .says("the column `id` names no files; to use the row itself");
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn many_missing_rows_stop_with_the_same_words() {
    let api = api();
    let place = place(&api);
    let rows: String = (0..60).map(|row| format!("k{row},t\n")).collect();
    place.write("rows.csv", format!("id,text\n{rows}"));
    let stopped = place
        .stride(&[
            "run",
            "--db",
            "c.db",
            "--url",
            &api.url(),
            "--files-from",
            "rows.csv",
            "--key-column",
            "id",
            "--json",
            r#"{"t":"{text}"}"#,
        ])
        .expect(4)
        .says("repeat the command with {col.text}");
    assert!(!stopped.stderr.contains("mounted"), "{}", stopped.stderr);
}

#[test]
fn names_on_standard_input_need_a_flag() {
    let api = api();
    let place = place(&api);
    let url = api.url();
    let bystander = place.bystander();
    let before = listed(&place.at(""));
    let run = ["run", "--db", "new.db", "--url", &url];
    let from = [&run[..], &["--files-from", "-"]].concat();
    let flag = "to read the names from standard input, ";
    piped(&place, &run, "in/a\n").expect(2).says(flag);
    place
        .stride(&run)
        .expect(2)
        .says("name files or folders, or a list with --files-from");
    let dash = [&run[..], &["-"]].concat();
    piped(&place, &dash, "in/a\n")
        .expect(2)
        .says("cannot find -\n")
        .says(flag);
    // A header or an object is no name.
    piped(&place, &from, TABLE)
        .expect(2)
        .says("the list on standard input is a table")
        .says("add --list-format csv;");
    piped(&place, &from, "{\"path\":\"in/a\"}\n")
        .expect(2)
        .says("add --list-format jsonl;");
    fs::remove_file(place.at(".input")).unwrap();
    assert_eq!(listed(&place.at("")), before);
    // Other rows are names until they turn out to be missing.
    let rows = "id,lang\n1,de\n2,en\n";
    piped(&place, &from, rows)
        .expect(3)
        .says("repeat the command with --list-format csv --forget-unlisted");
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn names_without_their_folder_are_found_in_it() {
    let api = api();
    let place = place(&api);
    let url = api.url();
    let from = |db| ["run", "--db", db, "--url", &url, "--files-from", "-"];
    piped(&place, &from("a.db"), "a\nb\n")
        .expect(3)
        .says("the files are in in: name them from here, as `find in -type f` does")
        .says("--forget-unlisted");
    let again = [&from("a.db")[..], &["--forget-unlisted"]].concat();
    piped(&place, &again, "in/a\nin/b\n")
        .expect(0)
        .says("2 of 2 files done");
    let base = place.at("").canonicalize().unwrap();
    piped(&place, &from("b.db"), "x\ny\n")
        .expect(3)
        .says(&format!(
            "names are relative to {}, and the first of the list are not there",
            base.display()
        ));
}

#[test]
fn a_table_that_is_named_as_a_file_is_noted() {
    let api = api();
    let place = place(&api);
    let url = api.url();
    let note = "list.csv is called as one file; for a call for each of its rows, use --files-from list.csv";
    let run =
        |words: &[&str]| place.stride(&[&["run", "--db", "new.db", "--url", &url], words].concat());
    run(&["--dry-run", "list.csv"]).expect(0).says(note);
    run(&["list.csv"]).expect(0).says(note);
    let again = run(&["list.csv"]).expect(0);
    assert!(!again.stderr.contains("one file"), "{}", again.stderr);
    run(&["--files-from", "list.csv"])
        .expect(3)
        .says("1 file of this run missing from the list and kept: list.csv")
        .says("stride forget list.csv --db new.db   takes the list itself off the run");
}
