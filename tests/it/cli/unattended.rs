//! Runs that no person watches: logs, waits for other processes, events and commands at the end.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;

use jiff::Timestamp;
use serde_json::Value;

use super::Place;
use crate::support::{FakeApi, Gate, Reply, has_tool};

/// An API that refuses empty files.
fn api() -> FakeApi {
    FakeApi::start(|request| match request.body.is_empty() {
        true => Reply::json(r#"{"error":"too short"}"#).with_status(422),
        false => Reply::json(1),
    })
}

#[test]
fn quiet_leaves_warnings_errors_and_failures() {
    let (api, place) = (api(), Place::new());
    let bystander = place.with_bystander(&api.url());
    place.texts(3);
    let url = api.url();
    for words in [
        &["run", "--url", &url, "texts", "-q"][..],
        &["--quiet", "resume"],
        &["export", "-q", "-o", "results.json"],
        &["report", "-q", "-o", "report.html"],
        &["set", "-q", "--rate", "900/s"],
    ] {
        assert_eq!(place.stride(words).expect(0).stderr, "", "{words:?}");
    }
    let ran = place.stride_with(&[("STRIDE_QUIET", "1")], &["resume"]);
    assert_eq!(ran.expect(0).stderr, "");
    // What is asked for is printed.
    assert!(!place.stride(&["status", "-q"]).expect(0).stdout.is_empty());
    place.write("empty", "");
    let ran = place.stride(&["run", "-q", "--url", &url, "texts", "empty"]);
    let ran = ran
        .expect(3)
        .says("4 of 5 files done, 1 failed")
        .says("too short");
    for words in ["hint:", "starting:", "list:"] {
        assert!(!ran.stderr.contains(words), "{words}: {}", ran.stderr);
    }
    place
        .stride(&["export", "-q"])
        .expect(3)
        .says("error: incomplete run")
        .says("hint: ");
    place
        .stride(&["retry", "-q", "--max-calls", "1"])
        .expect(4)
        .says("error: stopped: ");
    fs::set_permissions(
        place.at("stride.db"),
        std::os::unix::fs::PermissionsExt::from_mode(0o644),
    )
    .unwrap();
    place
        .stride(&["resume", "-q", "--max-calls", "none"])
        .expect(3)
        .says("warning: other users can read");
    assert_eq!(place.bystander(), bystander);
}

/// Returns the time at the beginning of the line with these words.
fn time_of(log: &str, words: &str) -> Option<Timestamp> {
    let line = log.lines().find(|line| line.contains(words)).unwrap();
    line.split(' ').next().unwrap().parse().ok()
}

#[test]
fn lines_of_a_log_have_their_times_unless_the_journal_adds_them() {
    let (api, place) = (api(), Place::new());
    let bystander = place.with_bystander(&api.url());
    place.texts(3);
    let before = Timestamp::now();
    let ran = place
        .stride(&["run", "--url", &api.url(), "texts"])
        .expect(0);
    for words in ["starting: ", "4 of 4 files done"] {
        let time = time_of(&ran.stderr, words).unwrap();
        assert!(time.as_second() >= before.as_second(), "{}", ran.stderr);
    }
    // Messages to paste or to search for begin as on a terminal.
    assert!(
        ran.stderr.lines().any(|line| line.starts_with("hint: ")),
        "{}",
        ran.stderr
    );
    File::create(place.at(".stderr")).unwrap();
    let file = fs::metadata(place.at(".stderr")).unwrap();
    let mut resume = place.command(&["resume"]);
    resume.env("JOURNAL_STREAM", format!("{}:{}", file.dev(), file.ino()));
    let ran = place.begin_command(&mut resume).end().expect(0);
    assert_eq!(
        time_of(&ran.stderr, "4 of 4 files done"),
        None,
        "{}",
        ran.stderr
    );
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn every_event_has_a_date() {
    let (api, place) = (api(), Place::new());
    let bystander = place.with_bystander(&api.url());
    place.texts(3);
    let before = Timestamp::now();
    let words = [
        "run",
        "--url",
        &api.url(),
        "texts",
        "--events",
        "events.jsonl",
    ];
    place.stride(&words).expect(0);
    let events = fs::read_to_string(place.at("events.jsonl")).unwrap();
    assert!(events.lines().count() > 6, "{events}");
    for line in events.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let time = event["time"].as_str().unwrap();
        assert!(time.ends_with('Z') && time.len() == 24, "{line}");
        let time: Timestamp = time.parse().unwrap();
        assert!(
            before.as_millisecond() <= time.as_millisecond() && time <= Timestamp::now(),
            "{line}"
        );
        assert!(event["t"].is_u64(), "{line}");
    }
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_second_process_waits_for_the_end_of_the_first() {
    let gate = Gate::default();
    let held = gate.clone();
    let api = FakeApi::start(move |request| match request.target.ends_with("held") {
        true => Reply::json(1).when(&held),
        false => Reply::json(1),
    });
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    place.write("held", "held");
    place.write("later", "later");
    let first = place.begin(&["run", "--url", &url, "--timeout", "7m", "held"]);
    api.wait_for(2);
    for wait in [&[][..], &["--wait-lock", "0s"]] {
        let words = ["run", "--url", &url, "later"];
        place
            .stride(&[&words, wait].concat())
            .expect(5)
            .says("with --wait-lock 1h, run, resume and retry wait");
    }
    let mut second = place.command(&["run", "--url", &url, "--wait-lock", "10m", "later"]);
    let second = place.begin_command_into(&mut second, ".second");
    second.until_says("waiting for at most 10 m 00 s: ");
    gate.open();
    first.end().expect(0);
    let ran = second.end().expect(0);
    let ran = ran.says("is in use by process ");
    assert!(ran.stderr.contains("3 of 3 files done"), "{}", ran.stderr);
    assert_eq!(api.requests(), 3);
    // The settings of the first are those of the second.
    let settings = &place.sql("SELECT settings FROM run")[0][0];
    assert!(settings.contains("420"), "{settings}");
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_wait_for_another_process_leaves_nothing_behind_a_wrong_command() {
    let place = Place::new();
    place.write("a", "a");
    let words = [
        "run",
        "--url",
        "http://127.0.0.1:9/",
        "--wait-lock",
        "1s",
        "--json",
        "@none",
        "a",
    ];
    place.stride(&words).expect(2);
    let words = [
        "run",
        "--url",
        "http://127.0.0.1:9/",
        "--wait-lock",
        "1s",
        "-x",
        "nonsense://",
        "a",
    ];
    place.stride(&words).expect(2);
    assert_eq!(super::listed(&place.at("")), ["a"]);
}

#[test]
fn the_next_command_repeats_what_the_run_does_not_remember() {
    let (api, place) = (api(), Place::new());
    let bystander = place.with_bystander(&api.url());
    place.texts(3);
    let url = api.url();
    place
        .stride(&[
            "run",
            "--url",
            &url,
            "texts",
            "--on-finish",
            "cat > told",
            "--max-calls",
            "2",
        ])
        .expect(4)
        .says("stride resume --max-calls none --on-finish 'cat > told'");
    fs::remove_file(place.at("told")).unwrap();
    place.stride(&["resume", "--max-calls", "none"]).expect(0);
    assert!(!place.at("told").exists());
    place.write("empty", "");
    place
        .stride(&[
            "run",
            "--url",
            &url,
            "texts",
            "empty",
            "--events",
            "log",
            "--on-finish",
            "cat > told",
        ])
        .expect(3)
        .says("hint: stride retry --events log --on-finish 'cat > told'   calls");
    // A configured command applies to each run by itself.
    let ran = place
        .stride_with(&[("STRIDE_ON_FINISH", "true")], &["retry"])
        .expect(3);
    assert!(!ran.stderr.contains("--on-finish"), "{}", ran.stderr);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn the_unit_of_the_guide_is_valid() {
    if !has_tool("systemd-analyze") {
        return;
    }
    let page = include_str!("../../../src/guide/unattended.md");
    let unit = page.split("```ini\n").nth(1).unwrap();
    let unit = unit.split("```").next().unwrap();
    assert!(unit.contains("RestartForceExitStatus=75\n"));
    let place = Place::new();
    let bin = env!("CARGO_BIN_EXE_stride");
    place.write("calls.service", unit.replace("/usr/local/bin/stride", bin));
    let verify = ["verify", "calls.service"];
    let output = std::process::Command::new("systemd-analyze")
        .args(verify)
        .current_dir(place.at(""))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    // The command of the unit is one that stride reads.
    let words = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/stride "));
    let script = format!("'{bin}' {} --dry-run", words.unwrap());
    place.write("texts/a", "a");
    let mut shell = std::process::Command::new("/bin/sh");
    let shell = shell.args(["-c", &script]).env("API_KEY", "none");
    assert!(
        shell
            .current_dir(place.at(""))
            .output()
            .unwrap()
            .status
            .success()
    );
}
