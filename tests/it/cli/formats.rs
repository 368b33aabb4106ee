//! Formats by endings, permissions of exports, and bytes that other programs refuse.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::Place;
use crate::support::{FakeApi, Reply};

/// A run of a name that is not UTF-8, half a surrogate pair, and a refusal.
fn hostile() -> (FakeApi, Place) {
    let api = FakeApi::start(|request| match request.target.as_str() {
        "/half" => Reply::json(r#"{"label":"\ud800","pair":"\ud83d\ude00"}"#),
        "/no" => Reply::json(json!({"detail": "page 3\nhas no text"})).with_status(422),
        _ => Reply::json(r#"{"label":"positive"}"#),
    });
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    place.write(b"t/caf\xe9", "x");
    place.write(b"t/caf\xe8", "x");
    for name in ["half", "no"] {
        place.write(format!("t/{name}"), name);
    }
    place
        .stride(&["run", "--accept-change", "--url", &url, "t"])
        .expect(3);
    assert_eq!(place.bystander(), bystander);
    (api, place)
}

fn exported(place: &Place, file: &str) -> String {
    let words = ["export", "--all", "-o", file];
    place
        .stride(&words)
        .expect(0)
        .says(&format!("wrote 4 results and 1 failure to {file}"));
    String::from_utf8_lossy(&fs::read(place.at(file)).unwrap()).into_owned()
}

#[test]
fn the_ending_chooses_the_format() {
    let (_api, place) = hostile();
    assert!(exported(&place, "x.csv").starts_with("file,state,"));
    assert!(exported(&place, "x.CSV").starts_with("file,state,"));
    assert!(exported(&place, "x.jsonl").starts_with("{\"file\":"));
    assert!(exported(&place, "x.ndjson").starts_with("{\"file\":"));
    assert!(exported(&place, "x.json").starts_with("{\n\""));
    assert!(exported(&place, "without").starts_with("{\n\""));
    assert!(exported(&place, "x.parquet").starts_with("PAR1"));
    let words = ["export", "--all", "--format", "jsonl", "-o", "x.txt"];
    place.stride(&words).expect(0);
    let words = ["export", "--all", "-o", "/dev/null"];
    place.stride(&words).expect(0);
    fs::create_dir(place.at("folder.csv")).unwrap();
    for (file, says) in [
        ("y.xlsx", "use -o y.csv, which spreadsheets open"),
        ("y.tsv", "use -o y.csv"),
        (
            "y.json.gz",
            "stride export --format json | gzip > results.json.gz",
        ),
        ("y.db", "the view `results`"),
        ("y.txt", "stride export --all -o y.txt --format json"),
        (
            "folder.csv",
            "stride export --all -o folder.csv --format dir",
        ),
        ("new/", "stride export --all -o new/ --format dir"),
    ] {
        place
            .stride(&["export", "--all", "-o", file])
            .expect(2)
            .says(says);
        assert!(!place.at(file).is_file(), "{file}");
    }
}

#[test]
fn reasons_are_in_every_format() {
    let (_api, place) = hostile();
    let reason = "HTTP 422 Unprocessable Entity: page 3 has no text";
    assert!(exported(&place, "x.csv").contains(reason));
    assert!(exported(&place, "x.jsonl").contains(reason));
    assert!(exported(&place, "x.json").contains("page 3"));
    let words = ["export", "--all", "--format", "dir", "-o", "x"];
    place.stride(&words).expect(0);
    let manifest = fs::read_to_string(place.at("x/manifest.jsonl")).unwrap();
    assert!(manifest.contains(reason), "{manifest}");
    let failures = place.stride(&["failures", "--json"]).expect(0).json();
    assert!(failures[0]["body"].as_str().unwrap().contains("page 3"));
    let failures = String::from_utf8(place.stride(&["failures"]).stdout).unwrap();
    assert!(failures.contains("page 3\\nhas no text"), "{failures}");
}

#[test]
fn half_pairs_are_replaced_on_request() {
    let (_api, place) = hostile();
    let export = |words: &[&str]| {
        let words = [&["export", "--all"], words].concat();
        String::from_utf8(place.stride(&words).expect(0).stdout).unwrap()
    };
    let whole = export(&[]);
    assert!(whole.contains(r#""t/caf\udce9": "#) && whole.contains(r#""\ud800""#));
    let object = export(&["--replace-surrogates"]);
    let object: Value = serde_json::from_str(&object).unwrap();
    let names: Vec<&String> = object.as_object().unwrap().keys().collect();
    let expected = [
        "bystander.txt",
        "t/caf\u{fffd}e8",
        "t/caf\u{fffd}e9",
        "t/half",
        "t/no",
    ];
    assert_eq!(names, expected, "different names stay different");
    assert_eq!(
        object["t/half"],
        json!({"label": "\u{fffd}", "pair": "\u{1f600}"})
    );
    let lines = export(&["--replace-surrogates", "--format", "jsonl"]);
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["result"].is_object() || line["state"] == "failed");
    }
    let words = [
        "--replace-surrogates",
        "--format",
        "csv",
        "--columns",
        "result.label",
        "--where",
    ];
    assert_eq!(
        export(&[&words[..], &["name=t/half"]].concat()),
        "label\r\n\u{fffd}\r\n"
    );
    let words = [
        "export",
        "--all",
        "--format",
        "dir",
        "-o",
        "x",
        "--replace-surrogates",
    ];
    place.stride(&words).expect(2).says("as received");
}

#[test]
fn a_byte_order_mark_is_written_on_request() {
    let (_api, place) = hostile();
    let words = ["export", "--all", "--bom", "-o", "x.csv"];
    place.stride(&words).expect(0);
    let bytes = fs::read(place.at("x.csv")).unwrap();
    assert!(bytes.starts_with(b"\xef\xbb\xbffile,"));
    let words = ["export", "--all", "--bom", "-o", "x.json"];
    place
        .stride(&words)
        .expect(2)
        .says("--bom needs --format csv");
}

#[test]
fn row_98_exports_have_the_permissions_of_new_files_and_keep_those_of_old_ones() {
    let (_api, place) = hostile();
    let mode = |path: &str| {
        let meta = fs::metadata(place.at(path)).unwrap();
        meta.permissions().mode() & 0o777
    };
    let export = |umask: &str, words: &str| {
        let bin = env!("CARGO_BIN_EXE_stride");
        let command = format!("umask {umask}; exec '{bin}' export --all {words}");
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &command]).current_dir(place.at(""));
        assert!(shell.output().unwrap().status.success(), "{words}");
    };
    for (umask, file, folder) in [("022", 0o644, 0o755), ("027", 0o640, 0o750)] {
        export(umask, &format!("-o {umask}.json"));
        assert_eq!(mode(&format!("{umask}.json")), file);
        export(umask, &format!("--format dir -o {umask}"));
        assert_eq!(mode(umask), folder);
        assert_eq!(mode(&format!("{umask}/t")), folder);
        assert_eq!(mode(&format!("{umask}/t/half.json")), file);
    }
    let private = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    private(&place.at("022.json"), 0o600);
    private(&place.at("022"), 0o700);
    export("022", "-o 022.json");
    export("022", "--format dir -o 022");
    assert_eq!((mode("022.json"), mode("022")), (0o600, 0o700));
    assert_eq!((mode("stride.db"), mode("stride.db.lock")), (0o600, 0o600));
}

#[test]
fn a_selection_without_results_leads_to_its_failures() {
    let (_api, place) = hostile();
    let words = ["export", "--where", "state=failed", "-o", "x.csv"];
    let ran = place.stride(&words).expect(3);
    let all = "hint: stride export --where 'state=failed' -o x.csv --all";
    assert!(!ran.stderr.contains("--partial"), "{}", ran.stderr);
    ran.says(all);
    // The shell takes `>=500` for a file.
    let words = ["export", "--where", "status"];
    place
        .stride(&words)
        .expect(2)
        .says("use 'status>=500', with the quotes");
}
