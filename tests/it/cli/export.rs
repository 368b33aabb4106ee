//! Exports, and the commands that read a run.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use super::Place;
use crate::support::{FakeApi, Reply};

/// A run with an answer of each kind, a refusal, and files `a` to `e`.
fn mixed() -> (FakeApi, Place) {
    let api = FakeApi::start(|request| match request.target.as_str() {
        "/a" => Reply::json(r#"{"n": 1e400, "n": [25, "\ud800"]}"#),
        "/b" => Reply::text("=plain, \"text\"\n"),
        "/c" => Reply::status(200).body("audio/mpeg", b"ID3\xff\0".to_vec()),
        "/d" => Reply::json(json!({"error": "page 3 has no text layer"})).with_status(422),
        _ => Reply::json(" [1,\n 2] "),
    });
    let place = Place::new();
    for name in ["a", "b", "c", "d", "e"] {
        place.write(name, name);
    }
    place
        .stride(&[
            "run",
            "--expect",
            "any",
            "--url",
            &format!("{}/{{name}}", api.url()),
            "a",
            "b",
            "c",
            "d",
            "e",
        ])
        .expect(3);
    (api, place)
}

#[test]
fn row_93_an_export_is_complete_or_an_error_with_the_alternatives() {
    let (_api, place) = mixed();
    let refused = place.stride(&["export", "-o", "out.json"]).expect(3);
    refused
        .says("4 of 5 files")
        .says("stride retry calls the failed files again")
        .says("--partial")
        .says("--all");
    assert!(!place.at("out.json").exists());
    let partial = place.stride(&["export", "--partial"]).expect(0).stdout;
    let expected = concat!(
        "{\n",
        r#""a": {"n": 1e400, "n": [25, "\ud800"]},"#,
        "\n",
        r#""b": "=plain, \"text\"\n","#,
        "\n",
        r#""c": {"base64":"SUQz/wA=","media_type":"audio/mpeg"},"#,
        "\n",
        "\"e\": [1,\n 2]\n}\n",
    );
    assert_eq!(String::from_utf8(partial).unwrap(), expected);
    let all = place.stride(&["export", "--all"]).expect(0).stdout;
    let all = String::from_utf8(all).unwrap();
    assert!(
        all.contains(r#""d": {"error": {"state":"failed","class":"rejected","#),
        "{all}"
    );
    assert!(all.contains("page 3 has no text layer"));
    place.stride(&["retry", "--queue-only"]).expect(0);
    place
        .stride(&["export"])
        .expect(3)
        .says("to resume the run: stride resume");
}

#[test]
fn the_other_formats_have_a_line_a_file() {
    let (_api, place) = mixed();
    let jsonl = place
        .stride(&["export", "--all", "--format", "jsonl"])
        .expect(0)
        .stdout;
    let lines: Vec<&str> = std::str::from_utf8(&jsonl).unwrap().lines().collect();
    assert_eq!(lines.len(), 5);
    assert!(
        lines[0].contains(r#""result":{"n": 1e400, "n": [25, "\ud800"]}"#),
        "{}",
        lines[0]
    );
    let failed: Value = serde_json::from_str(lines[3]).unwrap();
    assert_eq!(
        (&failed["state"], &failed["status"], &failed["class"]),
        (&json!("failed"), &json!(422), &json!("rejected"))
    );
    assert!(failed["started"].as_str().unwrap().ends_with('Z') && failed["duration"].is_f64());
    assert_eq!(
        serde_json::from_str::<Value>(lines[4]).unwrap()["result"],
        json!([1, 2])
    );

    let csv = place
        .stride(&["export", "--all", "--format", "csv"])
        .expect(0)
        .stdout;
    let mut reader = csv::Reader::from_reader(csv.as_slice());
    let columns: Vec<String> = reader
        .headers()
        .unwrap()
        .iter()
        .map(str::to_owned)
        .collect();
    let expected = [
        "file",
        "state",
        "attempts",
        "status",
        "class",
        "error",
        "started",
        "duration",
        "result",
        "path_bytes",
    ];
    assert_eq!(columns, expected);
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(&rows[1][8], "'=plain, \"text\"\n", "no cell is a formula");
    assert_eq!(&rows[2][8], "data:audio/mpeg;base64,SUQz/wA=");
    assert_eq!((&rows[3][1], &rows[3][3]), ("failed", "422"));
}

#[test]
fn rows_90_and_92_two_exports_of_one_state_are_the_same_bytes_and_replace_the_file_whole() {
    let (_api, place) = mixed();
    for format in ["json", "jsonl", "csv"] {
        let export = |file| {
            place
                .stride(&["export", "--all", "--format", format, "-o", file])
                .expect(0)
                .says("wrote 4 results and 1 failure")
        };
        place.write("one", "what was there before");
        export("one");
        export("two");
        assert_eq!(
            fs::read(place.at("one")).unwrap(),
            fs::read(place.at("two")).unwrap()
        );
    }
    place
        .stride(&["export", "--all", "-o", "stride.db"])
        .expect(2)
        .says("belongs to the run's database");
    place.stride(&["export", "--all", "-o", "."]).expect(2);
    place
        .stride(&["export", "--all", "-o", "no/such/folder"])
        .expect(1)
        .says("no/such/folder");
    place.stride(&["verify"]).expect(0);
}

#[test]
fn row_10_a_closed_pipe_is_not_an_error_and_a_full_disk_is() {
    let (_api, place) = mixed();
    for words in [
        &["export", "--all"][..],
        &["status"],
        &["failures"],
        &["failures", "--json"],
        &["verify"],
    ] {
        let mut closed = place
            .command(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(closed.stdout.take());
        let output = closed.wait_with_output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let output = place.command(words).stdout(full).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(1),
            "{words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn failures_are_grouped_with_their_examples() {
    let (_api, place) = mixed();
    let said = String::from_utf8(place.stride(&["failures"]).expect(0).stdout).unwrap();
    assert!(
        said.contains("failed: 1 × HTTP 422 Unprocessable Entity: page 3 has no text layer (rejected)\n    d\n"),
        "{said}"
    );
    assert_eq!(place.stride(&["failures", "-0"]).expect(0).stdout, b"d\0");
    let retry = |words: &[&str]| {
        place
            .stride(&[&["retry", "--queue-only"], words].concat())
            .expect(0)
    };
    retry(&["--class", "transient"]).says("0 failed files");
    retry(&["--status", "500"]).says("0 failed files");
    retry(&["--match", "page 4"]).says("0 failed files");
    retry(&[
        "--match", "page 3", "--class", "rejected", "--class", "auth", "--status", "422",
    ])
    .says("1 failed file ");
    assert_eq!(place.status()["pending"], json!(1));
}

#[test]
fn status_has_its_documented_fields_and_works_on_a_closed_run() {
    let (_api, place) = mixed();
    let status = place.status();
    for (name, value) in [
        ("total", 5),
        ("pending", 0),
        ("running", 0),
        ("done", 4),
        ("failed", 1),
        ("held", 0),
    ] {
        assert_eq!(status[name], json!(value), "{name}");
    }
    for (name, value) in [("attempts", 5), ("in_doubt", 0), ("in_doubt_recovered", 0)] {
        assert_eq!(status[name], json!(value), "{name}");
    }
    let said = String::from_utf8(place.stride(&["status"]).expect(0).stdout).unwrap();
    assert!(said.contains("4 of 5 files done, 1 failed"), "{said}");
    let view = place.sql("SELECT path, position, number, chunk, runner, outcome, class, status, idempotency_key, started, ended FROM attempts WHERE path = 'd'");
    assert_eq!(&view[0][..3], ["d", "3", "1"]);
    assert_eq!(&view[0][5..8], ["failed", "rejected", "422"]);
}

#[test]
fn row_29_damage_is_found_and_the_rest_can_be_exported() {
    let (_api, place) = mixed();
    rusqlite::Connection::open(place.at("stride.db"))
        .unwrap()
        .execute("UPDATE result SET body = x'31' WHERE job = 4", [])
        .unwrap();
    place
        .stride(&["verify"])
        .expect(6)
        .says("the result of e does not match its checksum");
    let exported = place
        .stride(&["export", "--partial", "--format", "jsonl"])
        .expect(3)
        .says("skipped 1 damaged or missing result: e")
        .says("hint: stride verify   says what is wrong with each");
    assert_eq!(exported.stdout.split(|byte| *byte == b'\n').count(), 3 + 1);
}

#[test]
fn a_pipe_is_written_to_and_stays_a_pipe() {
    let (_api, place) = mixed();
    let pipe = place.at("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let mut export = place
        .command(&["export", "--all", "-o", "pipe"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let read = fs::read(&pipe).unwrap();
    assert!(export.wait().unwrap().success());
    assert_eq!(read, place.stride(&["export", "--all"]).expect(0).stdout);
    assert!(!fs::metadata(&pipe).unwrap().is_file());
}

#[test]
fn row_89_the_leftovers_of_a_killed_export_are_removed() {
    let (_api, place) = mixed();
    place.write(".out.json.stride-0123456789abcdef", "half a resu");
    place
        .stride(&["export", "--all", "-o", "out.json"])
        .expect(0);
    assert!(!place.at(".out.json.stride-0123456789abcdef").exists());
}

#[test]
fn another_database_is_not_replaced() {
    let api = FakeApi::start(|_| Reply::json("1"));
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    place.write("a", "a");
    let run = ["run", "--db", "other.db", "--url", &api.url(), "a"];
    place.stride(&run).expect(0);
    let before = std::fs::read(place.at("other.db")).unwrap();
    let hint = "use --db other.db to name a database";
    for command in [
        &["export"][..],
        &["export", "--format", "json"],
        &["report"],
    ] {
        place
            .stride(&[command, &["other.db"]].concat())
            .expect(2)
            .says(hint);
        place
            .stride(&[command, &["-o", "other.db"]].concat())
            .expect(2);
        assert_eq!(std::fs::read(place.at("other.db")).unwrap(), before);
    }
    place
        .stride(&["report", "-o", "other.db"])
        .expect(2)
        .says("it is a database");
    assert_eq!(place.bystander(), bystander);
}
