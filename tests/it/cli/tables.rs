//! Exports as other programs read them, and the recipes of the guide.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::Place;
use super::readme::give;
use crate::support::{FakeApi, Reply, has_tool};

/// The variable that names a Python for these tests.
const PYTHON: &str = "STRIDE_EXPORTS_PYTHON";

/// Returns a Python with the packages of `tests/data/requirements-exports.txt`. Without one, the test says that it skips a
/// part, or fails if `STRIDE_REQUIRE_TOOLS` is set.
#[expect(clippy::print_stderr, reason = "said of a test")]
fn python() -> Option<PathBuf> {
    let python = std::env::var_os(PYTHON).map(PathBuf::from);
    let required = std::env::var_os("STRIDE_REQUIRE_TOOLS").is_some();
    assert!(python.is_some() || !required, "{PYTHON} is not set");
    if python.is_none() {
        eprintln!("left out: {PYTHON} does not say where pandas, pyarrow and duckdb are");
    }
    python
}

/// Runs a script in a place.
fn run(python: &Path, script: &str, place: &Place) -> String {
    let output = Command::new(python)
        .args(["-c", script])
        .current_dir(place.at(""))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

/// A run with an answer of each kind, unusual names, and a refusal.
fn mixed() -> (FakeApi, Place) {
    let api = FakeApi::start(|request| match request.target.trim_start_matches('/') {
        "json" => Reply::json(
            r#"{"n": 1e400, "n": [25, "\ud83d\ude00", 0.10], "i": 12345678901234567890123}"#,
        ),
        "spaces" => Reply::json(" [1,\r\n 2] "),
        "text" => Reply::text("=plain, \"text\"\n"),
        "like-json" => Reply::text("{\"a\": 1}"),
        "empty" => Reply::text(""),
        "audio" => Reply::status(200).body("audio/mpeg", b"ID3\xff\0".to_vec()),
        "nothing" => Reply::status(200).body("image/png", Vec::new()),
        "latin" => Reply::status(200).body("text/plain; charset=latin1", b"caf\xe9".to_vec()),
        "large" => Reply::text("größe, ".repeat(700_000)),
        "refused" => Reply::json(json!({"error": "=page 3 has no text layer"})).with_status(422),
        _ => Reply::json("null"),
    });
    let place = Place::new();
    let names = [
        "json",
        "spaces",
        "text",
        "like-json",
        "empty",
        "audio",
        "nothing",
        "latin",
        "large",
        "refused",
        "=1+1",
    ];
    let mut list: Vec<u8> = Vec::new();
    for name in names
        .map(str::as_bytes)
        .into_iter()
        .chain([&b"caf\xe9"[..], b"line\nbreak"])
    {
        place.write(name, name);
        list.extend_from_slice(name);
        list.push(0);
    }
    place.write("list", list);
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    let words = [
        "run",
        "--accept-change",
        "--expect",
        "any",
        "--url",
        &url,
        "--files-from",
        "list",
        "-0",
    ];
    place.stride(&words).expect(3);
    assert_eq!(place.bystander(), bystander);
    (api, place)
}

#[test]
fn other_programs_read_the_contents_of_the_json_export() {
    let Some(python) = python() else {
        return;
    };
    let (_api, place) = mixed();
    for format in ["json", "jsonl", "parquet"] {
        let file = format!("all.{format}");
        let words = ["export", "--all", "--format", format, "-o", &file];
        place
            .stride(&words)
            .expect(0)
            .says("wrote 13 results and 1 failure");
    }
    let words = [
        "export",
        "--where",
        "name=nobody",
        "--columns",
        "file,result",
        "--format",
        "parquet",
        "-o",
        "none.parquet",
    ];
    place.stride(&words).expect(0).says("wrote 0 results");
    let script = include_str!("../../data/exports/compare.py");
    let said = run(&python, script, &place);
    for reader in ["pyarrow", "pandas", "duckdb"] {
        assert!(said.contains(&format!("{reader} 14 rows")), "{said}");
    }
}

#[test]
fn the_recipes_of_the_guide_work() {
    let Some(python) = python() else {
        return;
    };
    let page = include_str!("../../../src/guide/results.md");
    let place = give(page);
    let mut recipes = 0;
    for block in page.split("```python\n").skip(1) {
        let script = block.split("```").next().unwrap();
        let said = run(&python, script, &place);
        // The answers of these tests' service, or their number.
        assert!(said.contains("positive") || said.contains("done"), "{said}");
        recipes += 1;
    }
    assert_eq!(recipes, 6);
}

/// Names that are not UTF-8, half a surrogate pair, formulas, quotes, line breaks, NUL, and an answer that is no object.
#[test]
fn the_recipes_of_the_guide_survive_hostile_rows() {
    let Some(python) = python() else {
        return;
    };
    let api = FakeApi::start(|request| match request.target.trim_start_matches('/') {
        "half" => Reply::json(r#"{"label": "\ud800", "n": 1e400}"#),
        "formula" => {
            Reply::json(r#"{"label": "=cmd|' /C calc'!A0", "n": 12345678901234567890123}"#)
        }
        "lines" => Reply::json(r#"{"label": "a\n\"b\",\r\nc", "\"=x\"": "\t"}"#),
        "nul" => Reply::json(r#"{"label": "a\u0000b", "label\u0000": {"a": [1]}}"#),
        "list" => Reply::json("[1, 2]"),
        "refused" => Reply::json(json!({"error": "=page \"3\"\nhas no text"})).with_status(422),
        _ => Reply::json(r#"{"label": "positive", "n": 1}"#),
    });
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    let names = ["half", "formula", "lines", "nul", "list", "refused"].map(str::as_bytes);
    for name in names
        .into_iter()
        .chain([&b"caf\xe9"[..], b"=1+1", b"two\nlines"])
    {
        place.write([b"t/", name].concat(), name);
    }
    let words = ["run", "--accept-change", "--url", &url, "t"];
    place.stride(&words).expect(3);
    assert_eq!(place.bystander(), bystander);
    let page = include_str!("../../../src/guide/results.md");
    let exports = page
        .lines()
        .filter(|line| line.starts_with("stride export --all "));
    for export in exports {
        let bin = env!("CARGO_BIN_EXE_stride");
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &export.replacen("stride", bin, 1)]);
        let output = shell.current_dir(place.at("")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{export}: {said}");
    }
    for block in page.split("```python\n").skip(1) {
        let script = block.split("```").next().unwrap();
        let said = run(&python, script, &place);
        assert!(
            said.contains("positive") || said.contains("done"),
            "{script}: {said}"
        );
    }
    let script = r#"
import csv, json, pandas, duckdb
rows = list(csv.DictReader(open("results.csv", encoding="utf-8-sig", newline="")))
assert len(rows) == 10 and list(rows[0])[0] == "file", rows
labels = {row["file"]: row["label"] for row in rows}
assert labels["t/formula"] == "'=cmd|' /C calc'!A0" and labels["t/lines"] == 'a\n"b",\r\nc', labels
assert labels["t/nul"] == "a\0b" and labels["t/half"] == '"\\ud800"', labels
flat = pandas.read_parquet("flat.parquet").set_index("file")
assert flat.label["t/half"] == "\ufffd" and flat.label["t/nul"] == "a\0b", flat.label
assert flat.n["t/formula"] == "12345678901234567890123" and flat.result["t/list"] == "[1, 2]", flat.n
assert duckdb.sql("SELECT count(*) FROM 'flat.parquet' WHERE label = 'positive'").fetchall() == [(4,)]
assert len(duckdb.sql("SELECT * FROM read_csv('results.csv', all_varchar = true, quote = '\"')").fetchall()) == 10
whole = json.load(open("results.json"))
assert whole["t/caf\ufffde9"]["label"] == "positive", whole
lines = pandas.DataFrame(map(json.loads, open("results.jsonl", encoding="utf-8")))
assert lines.error.dropna().iloc[0].endswith(': =page "3" has no text')
print("read")
"#;
    assert_eq!(run(&python, script, &place).trim(), "read");
}

/// The SQLite of the machine, which is not stride's.
#[test]
fn the_shell_of_sqlite_reads_the_view() {
    if !has_tool("sqlite3") {
        return;
    }
    let (_api, place) = mixed();
    let shell = |sql: &str| {
        let output = Command::new("sqlite3")
            .args(["stride.db", sql])
            .current_dir(place.at(""))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        String::from_utf8(output.stdout).unwrap()
    };
    let counts = "SELECT state, count(*), count(result) FROM results GROUP BY state ORDER BY state";
    assert_eq!(shell(counts), "done|13|13\nfailed|1|0\n");
    let types =
        "SELECT typeof(result), count(*) FROM results WHERE state = 'done' GROUP BY 1 ORDER BY 1";
    assert_eq!(shell(types), "blob|3\ntext|10\n");
}
