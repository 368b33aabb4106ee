//! Lists that are tables: a job keeps the columns of its row.

use std::fs;

use serde_json::{Value, json};

use super::{Place, listed};
use crate::support::{FakeApi, Reply};

/// A service that refuses bodies with the text "no".
fn picky() -> FakeApi {
    FakeApi::start(|request| match &*request.body {
        b"no" => Reply::json(json!({"error": "no"})).with_status(422),
        body => Reply::json(json!({"body": body.len()})),
    })
}

impl Place {
    /// Names and columns of all jobs in order, without the bystander.
    fn columns(&self) -> Vec<(String, Value)> {
        let rows = self.sql(
            "SELECT CAST(path AS BLOB), coalesce(fields, 'null') FROM job LEFT JOIN columns ON job = id
             WHERE path <> 'bystander.txt' ORDER BY id",
        );
        let read = |mut row: Vec<String>| {
            let fields = serde_json::from_str(&row[1]).unwrap_or(Value::from(row[1].as_str()));
            (row.swap_remove(0), fields)
        };
        rows.into_iter().map(read).collect()
    }
}

#[test]
fn rows_of_a_csv_list_are_jobs_with_columns() {
    let api = picky();
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    let odd = "two\r\nlines, \"quoted\"; 👍 \u{1b}[1m '; DROP TABLE columns;--";
    place.write("in/a;1.txt", "a");
    place.write("in/b \"2\".txt", "b");
    place.write(b"in/caf\xe9", "c");
    let cell = odd.replace('"', "\"\"");
    let list = [
        format!("\u{feff}note,path,empty\r\n\"{cell}\",in/a;1.txt,\r\n").as_bytes(),
        b"x,\"in/b \"\"2\"\".txt\",\r\n\r\ny,in/caf\xe9,\r\ny,in/caf\xe9,\r\n",
    ]
    .concat();
    place.write("list.csv", &list);
    let words = ["run", "--url", &api.url(), "--list-format", "csv"];
    let run = |list: &[&str]| place.stride(&[&words, list].concat());
    run(&["--files-from", "list.csv"])
        .expect(0)
        .says("3 files; 1 duplicate collapsed; 1 skipped (blank line)");
    assert_eq!(api.requests(), 4);
    let expected = [
        (
            "in/a;1.txt",
            json!({"note": odd, "path": "in/a;1.txt", "empty": ""}),
        ),
        (
            "in/b \"2\".txt",
            json!({"note": "x", "path": "in/b \"2\".txt", "empty": ""}),
        ),
        (
            "in/caf\u{fffd}",
            json!(r#"{"note":"y","path":"in/caf\udce9","empty":""}"#),
        ),
    ];
    let expected = expected.map(|(name, columns)| (name.to_owned(), columns));
    assert_eq!(place.columns(), expected);
    // The same list again, and a list elsewhere with files beside it.
    place.write("in/d", "d");
    place.write("in/e", "e");
    place.write("ids.csv", "id\nin/d\n");
    run(&["--files-from", "list.csv"])
        .expect(0)
        .says("none of them new");
    run(&["--key-column", "id", "--files-from", "ids.csv", "in/e"])
        .expect(0)
        .says("2 files");
    let columns = place.columns();
    assert_eq!(columns[..3], expected);
    assert_eq!(columns[3], ("in/e".to_owned(), Value::Null));
    assert_eq!(columns[4], ("in/d".to_owned(), json!({"id": "in/d"})));
    assert_eq!(api.requests(), 6);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn rows_of_a_jsonl_list_on_standard_input_are_jobs_with_columns() {
    let api = picky();
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    place.texts(2);
    let first = r#"{"file": "texts/0000", "n": 12345678901234567890.10, "o": {"path": [null]}}"#;
    let second = r#"{"n":1e3,"file":"texts\/0001"}"#;
    place.write("more", format!("{second}\n{first}"));
    let words = ["run", "--url", &api.url(), "--list-format", "jsonl"];
    let lists = ["--files-from", "-", "--files-from", "more"];
    let input = format!("\u{feff}{first}\r\n  \r\n");
    place
        .stride_reading(&[&words[..], &lists].concat(), input.as_bytes())
        .expect(0)
        .says("2 files; 1 duplicate collapsed; 1 skipped (blank line)");
    // Each value is unchanged, to the digit.
    let stored = place
        .sql("SELECT fields FROM columns ORDER BY job")
        .concat();
    assert_eq!(stored, [first, second]);
    assert_eq!(
        (api.requests(), place.columns()[1].0.as_str()),
        (3, "texts/0001")
    );
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_later_row_counts_for_every_file_if_no_call_uses_it() {
    let api = picky();
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    place.write("good", "yes");
    place.write("bad", "no");
    let words = ["run", "--url", &api.url(), "--list-format", "csv"];
    let words = [&words[..], &["--files-from", "-"]].concat();
    let run = |list: &str| place.stride_reading(&words, list.as_bytes());
    run("path,try\ngood,1\nbad,1\n").expect(3);
    run("path,try\ngood,2\nbad,2\n").expect(3);
    let columns: Vec<Value> = place.columns().into_iter().map(|(_, row)| row).collect();
    let expected = [
        json!({"path": "good", "try": "2"}),
        json!({"path": "bad", "try": "2"}),
    ];
    assert_eq!(columns, expected);
    place.stride(&["verify"]).expect(0);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_row_that_cannot_be_a_job_changes_nothing() {
    let api = picky();
    let with_run = Place::new();
    let bystander = with_run.with_bystander(&api.url());
    for (format, list, said, hint) in [
        (
            "csv",
            &b"path;a\nx;1\n"[..],
            "line 1 of the list list has no column `path` or `file`, only `path;a`",
            "commas",
        ),
        (
            "csv --key-column b",
            b"path,a\nx,1\n",
            "has no column `b`, only `path`, `a`",
            "--key-column",
        ),
        (
            "csv",
            b"path,a\nx,1\n\"y\n\",2,3\n",
            "line 3 of the list list",
            "between quotes",
        ),
        (
            "csv",
            b"path,a\nx,1\n,2\n",
            "line 3 of the list list has an empty name in the column `path`",
            "a name",
        ),
        (
            "csv",
            b"path,a\nx,1\ny,\xff\n",
            "line 3 of the list list is not UTF-8 in the column `a`",
            "UTF-8",
        ),
        (
            "csv",
            b"path,a\nx,1\ny,\"2\nz,3\n",
            "line 3 of the list list begins a row with an unclosed quote",
            "close it",
        ),
        (
            "jsonl",
            b"{\"path\":\"x\"}\n[\"y\"]\n",
            "line 2 of the list list is not a JSON object",
            "jq -c",
        ),
        (
            "jsonl",
            b"{\"path\":\"x\"}\n\n{\"path\":null}\n",
            "line 3 of the list list has a value that is neither text nor a number",
            "@line",
        ),
        (
            "jsonl",
            b"{\"path\":\"x\"}\n{\"file\":\"y\"}\n",
            "line 2 of the list list has no column `path`, only `file`",
            "--key-column",
        ),
    ] {
        let empty = Place::new();
        let words = format!(
            "run --url {} --files-from list --list-format {format}",
            api.url()
        );
        let words: Vec<&str> = words.split(' ').collect();
        for place in [&empty, &with_run] {
            place.write("list", list);
            let refused = place.stride(&words).expect(2);
            refused
                .says(said)
                .says("note: nothing was changed")
                .says("hint: ")
                .says(hint);
        }
        assert_eq!(listed(&empty.at("")), ["list"], "{said:?}");
    }
    let count = "SELECT count(*), (SELECT count(*) FROM columns) FROM job";
    assert_eq!(with_run.sql(count), [["1", "0"]]);
    assert_eq!(api.requests(), 1);
    assert_eq!(with_run.bystander(), bystander);
}

#[test]
fn tables_may_be_nested_as_deep_as_json_in_the_database() {
    let api = picky();
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    place.write("x", "x");
    for (levels, code) in [(1000, 0), (1001, 2)] {
        let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
        place.write("list", format!(r#"{{"path":"x","deep":{open}{close}}}"#));
        let url = api.url();
        let words = ["run", "--url", &url, "--files-from", "list"];
        place
            .stride(&[&words[..], &["--list-format", "jsonl"]].concat())
            .expect(code);
    }
    assert_eq!(api.requests(), 2);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn flags_that_do_not_fit_a_list_are_usage_errors() {
    let place = Place::new();
    place.write("list", "path\nx\n");
    let run = ["run", "--url", "http://127.0.0.1:9/"];
    for (words, said) in [
        (&["--list-format", "csv", "list"][..], "--files-from"),
        (&["--key-column", "path", "list"], "--files-from"),
        (
            &["--files-from", "list", "--key-column", "path"],
            "--list-format",
        ),
        (
            &["--files-from", "list", "--list-format", "csv", "-0"],
            "-0 needs a list that is not a table",
        ),
        (
            &["--files-from", "list", "--list-format", "jsonl", "-0"],
            "-0 needs a list that is not a table",
        ),
        (
            &["--files-from", "list", "--list-format", "tsv"],
            "lines, csv, jsonl",
        ),
        (
            &["--files-from", "none", "--list-format", "csv"],
            "cannot read the list none",
        ),
    ] {
        place
            .stride(&[&run, words].concat())
            .expect(2)
            .says("error: ")
            .says(said);
    }
    assert_eq!(listed(&place.at("")), ["list"]);
    assert_eq!(fs::read(place.at("list")).unwrap(), b"path\nx\n");
}

/// A row need not be about a file, as long as nothing of one is asked for.
#[test]
fn columns_are_put_into_the_request_and_rows_need_no_files() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    place.write("texts/a.txt", "text of a");
    place.write(
        "list.jsonl",
        "{\"path\": \"row-1\", \"id\": 17, \"q\": \"a b&c\", \"o\": {\"x\": [1e400]}}\n{\"path\": \"texts/a.txt\", \"id\": \"x/y\", \"q\": \"\\\"\", \"o\": null}\n",
    );
    let url = format!("{}/{{col.id}}?q={{col.q}}", api.url());
    let list = [
        "--files-from",
        "list.jsonl",
        "--list-format",
        "jsonl",
        "-j",
        "1",
    ];
    let words = [&["run", "--url", &url, "-X", "GET"][..], &list].concat();
    place.stride(&words).expect(0);
    let targets: Vec<String> = api.log().into_iter().map(|call| call.target).collect();
    assert_eq!(targets, ["/17?q=a%20b%26c", "/x%2Fy?q=%22"]);
    let json = r#"{"id": {col.id}, "q": "<{col.q}>", "o": {col.o}}"#;
    let words = [
        &["run", "--db", "json.db", "--url", &url, "--json", json][..],
        &list,
    ]
    .concat();
    place.stride(&words).expect(0);
    let bodies: Vec<String> = api.log()[2..]
        .iter()
        .map(|call| String::from_utf8_lossy(&call.body).into_owned())
        .collect();
    assert_eq!(
        bodies,
        [
            r#"{"id": 17, "q": "<a b&c>", "o": {"x": [1e400]}}"#,
            r#"{"id": "x/y", "q": "<\">", "o": null}"#
        ]
    );
    // A missing file fails its row if the request sends it.
    let words = [
        &[
            "run", "--db", "file.db", "--url", &url, "--json", "[{text}]",
        ][..],
        &list,
    ]
    .concat();
    place
        .stride(&words)
        .expect(3)
        .says("1 × the file is missing (input)");
    assert_eq!(api.requests(), 5);
}
