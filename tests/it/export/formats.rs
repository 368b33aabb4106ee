//! The formats of exports.

use std::fs;

use serde_json::{Value, json};
use stride::export::{Format, Selection, to_file};

use super::{FORMATS, VERBATIM, done, export, mixed};
use crate::support::{BYSTANDER, Fixture, attempt, succeeded};

#[test]
fn json_is_written_byte_for_byte_in_list_order() {
    let fixture = done();
    let bystander = serde_json::to_string(BYSTANDER).unwrap();
    let bytes = r#"{"base64":"/wA=","media_type":"application/octet-stream"}"#;
    assert_eq!(
        export(&fixture.reader(), Format::Json, Selection::Whole),
        format!(
            "{{\n\"b\": {bytes},\n\"a\": {VERBATIM},\n\"c\": \"three\\n\\\"3\\\"\",\n{bystander}: {{\"by\": \"stander\"}}\n}}\n"
        ),
    );
}

#[test]
fn a_partial_export_has_the_done_files() {
    let fixture = mixed();
    let out = export(&fixture.reader(), Format::Json, Selection::Partial);
    let object: serde_json::Map<String, Value> = serde_json::from_str(&out).unwrap();
    assert_eq!(
        object.keys().collect::<Vec<_>>(),
        ["done", "=1+1", BYSTANDER]
    );
    assert_eq!(object["done"], Value::Null);
    for (format, lines) in [(Format::Jsonl, 3), (Format::Csv, 4)] {
        assert_eq!(
            export(&fixture.reader(), format, Selection::Partial)
                .lines()
                .count(),
            lines
        );
    }
}

#[test]
fn row_93_an_export_of_all_has_the_state_of_every_file() {
    let fixture = mixed();
    let out = export(&fixture.reader(), Format::Json, Selection::All);
    // A lone surrogate stands for a byte that is not UTF-8; Rust's parsers refuse it.
    let object: serde_json::Map<String, Value> =
        serde_json::from_str(&out.replace(r"\udce9", "?")).unwrap();
    assert_eq!(
        object.keys().collect::<Vec<_>>(),
        [
            "done", "fail?d", "=1+1", "held", "pending", "running", BYSTANDER
        ]
    );
    assert_eq!(
        object["fail?d"],
        json!({"error": {
            "state": "failed", "class": "rejected", "kind": "test", "status": 422,
            "message": "-2+3 \"quoted\",\nand more", "attempts": 1, "body": "why \u{fffd}"
        }})
    );
    assert_eq!(object["held"]["error"]["state"], "held");
    assert_eq!(
        object["pending"],
        json!({"error": {
            "state": "pending", "class": null, "kind": null, "status": null, "message": null, "attempts": 0
        }})
    );
}

#[test]
fn a_line_a_job_is_json_on_one_line() {
    let fixture = mixed();
    let out = export(&fixture.reader(), Format::Jsonl, Selection::All);
    let lines: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let states: Vec<_> = lines
        .iter()
        .map(|line| line["state"].as_str().unwrap())
        .collect();
    assert_eq!(
        states,
        [
            "done", "failed", "done", "held", "pending", "running", "done"
        ]
    );
    assert_eq!(
        (&lines[1]["file"], &lines[1]["path_bytes"]),
        (&json!("fail\u{fffd}d"), &json!("ZmFpbOlk"))
    );
    assert_eq!(lines[0].get("path_bytes"), None);
    assert_eq!(
        (&lines[1]["status"], &lines[1]["class"]),
        (&json!(422), &json!("rejected"))
    );
    assert_eq!(
        (&lines[0]["attempts"], &lines[0]["duration"]),
        (&json!(1), &json!(0.007))
    );
    assert_eq!(lines[2]["result"], "=cmd|' /C calc'!A0");
    assert!(lines[0]["started"].as_str().unwrap().ends_with('Z'));

    let fixture = done();
    let out = export(&fixture.reader(), Format::Jsonl, Selection::Whole);
    assert_eq!(out.lines().count(), 4);
    assert!(out.contains(&format!("\"result\":{VERBATIM}}}")), "{out}");
}

#[test]
fn row_94_a_spreadsheet_runs_no_formula_of_a_table() {
    let fixture = mixed();
    let out = export(&fixture.reader(), Format::Csv, Selection::All);
    let mut table = csv::Reader::from_reader(out.as_bytes());
    let header = table.headers().unwrap().clone();
    assert_eq!(
        header.iter().collect::<Vec<_>>(),
        [
            "file",
            "state",
            "attempts",
            "status",
            "class",
            "error",
            "started",
            "duration",
            "result",
            "path_bytes"
        ]
    );
    let rows: Vec<Vec<String>> = table
        .records()
        .map(|row| row.unwrap().iter().map(str::to_owned).collect())
        .collect();
    let column = |i: usize| -> Vec<&str> { rows.iter().map(|row| row[i].as_str()).collect() };
    assert_eq!(
        column(0),
        [
            "done",
            "fail\u{fffd}d",
            "'=1+1",
            "held",
            "pending",
            "running",
            BYSTANDER
        ]
    );
    assert_eq!(
        column(1),
        [
            "done", "failed", "done", "held", "pending", "running", "done"
        ]
    );
    assert_eq!(rows[1][5], "'-2+3 \"quoted\",\nand more: why \u{fffd}");
    assert_eq!(
        column(8),
        [
            "null",
            "",
            "'=cmd|' /C calc'!A0",
            "",
            "",
            "",
            "{\"by\": \"stander\"}"
        ]
    );
    assert_eq!(rows[1][9], "ZmFpbOlk");
    assert_eq!(rows[0][7], "0.007");
}

#[test]
fn row_92_the_same_run_exports_the_same_bytes() {
    for fixture in [done(), mixed()] {
        let bytes = || {
            let out = fixture.at("out");
            to_file(&fixture.reader(), Format::Parquet, Selection::All, &out).unwrap();
            fs::read(out).unwrap()
        };
        assert!(bytes() == bytes());
        for format in FORMATS {
            let first = export(&fixture.reader(), format, Selection::All);
            to_file(
                &fixture.reader(),
                format,
                Selection::All,
                &fixture.at("out"),
            )
            .unwrap();
            assert_eq!(fs::read_to_string(fixture.at("out")).unwrap(), first);
        }
    }
}

#[test]
fn an_empty_export_is_valid_too() {
    let fixture = Fixture::empty();
    let (store, _) = fixture.create(&[]).unwrap();
    store.close().unwrap();
    assert_eq!(
        export(&fixture.reader(), Format::Json, Selection::Whole),
        "{}\n"
    );
    assert_eq!(
        export(&fixture.reader(), Format::Jsonl, Selection::Whole),
        ""
    );
    assert_eq!(
        export(&fixture.reader(), Format::Csv, Selection::Whole)
            .lines()
            .count(),
        1
    );
}

/// The HTTP caller checks answers when they arrive; a program's own caller may be wrong.
#[test]
fn invalid_json_from_a_caller_does_not_break_the_export() {
    let fixture = Fixture::new(&["a", "b"]);
    let mut store = fixture.start();
    attempt(&mut store, fixture.id("a"), succeeded("not json"));
    attempt(&mut store, fixture.id("b"), succeeded("1"));
    let out = export(&fixture.reader(), Format::Json, Selection::Whole);
    assert!(serde_json::from_str::<Value>(&out).is_ok(), "{out}");
    assert_eq!(
        export(&fixture.reader(), Format::Jsonl, Selection::Whole)
            .lines()
            .count(),
        3
    );
}
