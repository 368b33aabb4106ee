//! Which statuses are those of results, and the waits that refusals ask for.

use serde_json::json;

use super::Place;
use super::judging::{counts, exported};
use crate::support::{FakeApi, Reply};

/// A 404 is a result with `--expect-status`.
#[test]
fn a_status_that_is_named_is_that_of_a_result() {
    let api = FakeApi::start(|request| match request.target.trim_start_matches('/') {
        "gone" => Reply::json(r#"{"found":false}"#).with_status(404),
        "page" => Reply::text("<html>").with_status(404),
        "accepted" => Reply::json(r#"{"found":true}"#).with_status(202),
        "moved" => Reply::json("1").with_status(302).header("Location", "/"),
        "wrong" => Reply::json("{}").with_status(400),
        _ => Reply::json(r#"{"found":true}"#),
    });
    let place = Place::new();
    let names = ["there", "gone", "page", "accepted", "moved", "wrong"];
    names.iter().for_each(|name| place.write(name, name));
    let url = format!("{}/{{name}}", api.url());
    let run = |statuses: &str, words: &[&str]| {
        let first = ["run", "--url", &url, "--expect-status", statuses];
        place.stride(&[&first[..], words, &names].concat())
    };
    run("200,302,404", &["-L"])
        .expect(2)
        .says("--expect-status 302 conflicts with -L")
        .says("hint: ");
    run("2xx,nope", &[]).expect(2).says("is not a status");
    run("404,200,302", &[]).expect(3);
    assert_eq!(counts(&place), (3, 3));
    let failures = place.stride(&["failures", "--json"]).json();
    let kinds: Vec<_> = failures
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (&f["path"], &f["kind"], &f["status"]))
        .collect();
    for (path, kind, status) in [
        ("page", "not_json", 404),
        ("accepted", "unexpected_status", 202),
        ("wrong", "http_status", 400),
    ] {
        assert!(
            kinds.contains(&(&json!(path), &json!(kind), &json!(status))),
            "{kinds:?}"
        );
    }
    let exported = exported(&place, &["--partial"]);
    assert_eq!(exported["gone"], json!({"found": false}));
    assert_eq!(exported["moved"], json!(1));
    place.stride(&["verify"]).expect(0);
    // The same set in another order is the same request; a different set is not.
    run("200,302,404", &[]).expect(3);
    let calls = api.requests();
    let other = ["run", "--url", &url, "there"];
    place
        .stride(&other)
        .expect(2)
        .says("expect-status: 200,302,404");
    // Answers are judged again without a call.
    place
        .stride(&["recheck", "--expect-status", "2xx"])
        .expect(0)
        .says("done -> failed: 2 files")
        .says("not done -> done: 1 file")
        .says("HTTP 404 is not the status of a result")
        .says("stride recheck --expect-status 2xx --apply");
    place
        .stride(&["recheck", "--expect-status", "2xx", "--apply"])
        .expect(0);
    assert_eq!(counts(&place), (2, 4));
    place
        .stride(&[
            "recheck",
            "--expect-status",
            "2xx,404",
            "--expect",
            "any",
            "--apply",
        ])
        .expect(0)
        .says("not done -> done: 2 files");
    assert_eq!(counts(&place), (4, 2));
    place.stride(&["verify"]).expect(0);
    assert_eq!(api.requests(), calls, "somebody was called");
}

/// The run keeps an expression for waits until it is given again, and refuses an invalid one.
#[test]
fn the_expression_for_waits_is_a_setting_of_the_run() {
    let api = FakeApi::start(|request| match request.attempt {
        0 => Reply::json(r#"{"odd":{"wait_ms":20}}"#).with_status(429),
        _ => Reply::json(1),
    });
    let place = Place::new();
    place.texts(3);
    let url = format!("{}/{{path}}", api.url());
    let run = |words: &[&str]| place.stride(&[&["run", "--url", &url], words, &["texts"]].concat());
    let stored = || {
        place
            .sql("SELECT settings ->> 'retry_after' FROM run")
            .concat()
            .concat()
    };
    for (words, said) in [
        (
            &["--retry-after", ".odd |"][..],
            "a term is missing at the end",
        ),
        (
            &["--retry-after", ".odd | nope"],
            "there is no filter `nope`",
        ),
    ] {
        run(words).expect(2).says("--retry-after").says(said);
    }
    assert!(!place.at("stride.db").exists());
    run(&["-j", "1", "--retry-after", ".odd.wait_ms / 1000"]).expect(0);
    assert_eq!(stored(), ".odd.wait_ms / 1000");
    let waits = place.sql("SELECT count(*) FROM attempt WHERE outcome = 'throttled'");
    assert_ne!(waits, [["0"]]);
    // A setting that is not given stays; `none` removes it.
    place.stride(&["resume"]).expect(0);
    assert_eq!(stored(), ".odd.wait_ms / 1000");
    place
        .stride(&["resume", "--retry-after", "("])
        .expect(2)
        .says("--retry-after");
    place
        .stride(&["resume", "--retry-after", ".other"])
        .expect(0);
    assert_eq!(stored(), ".other");
    place.stride(&["resume", "--retry-after", "none"]).expect(0);
    assert_eq!(stored(), "");
    // The configuration file can set it, too.
    place.write(
        ".home/.config/stride/stride.toml",
        "retry-after = '.odd |'\n",
    );
    place
        .stride(&["resume"])
        .expect(2)
        .says("stride.toml, line 1")
        .says("a term is missing");
}

/// `--expect-status` decides before `--class`.
#[test]
fn no_rule_applies_to_a_status_that_is_named() {
    let api = FakeApi::start(|request| match &*request.target {
        "/gone" => Reply::json(r#"{"found":false}"#).with_status(404),
        _ => Reply::json("1"),
    });
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    place.write("a", "a");
    let url = format!("{}/gone", api.url());
    let run = ["run", "--db", "x.db", "--url", &url, "a"];
    let flags = [
        "--expect-status",
        "404",
        "--class",
        "status=404:auth",
        "--success",
        ".found",
    ];
    place.stride(&[&run[..], &flags].concat()).expect(3);
    let failures = place.stride(&["failures", "--json", "--db", "x.db"]).json();
    assert_eq!(failures[0]["class"], "bad_response");
    assert_eq!(place.bystander(), bystander);
}
