//! Trials: the plan of a run, one file in full detail, a random sample.

use std::collections::HashSet;

use super::{Place, listed};
use crate::support::{FakeApi, Reply};

const SECRET: &str = "sk-trial-0123456789abcdef";

#[test]
fn a_dry_run_shows_the_plan_and_does_nothing() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    place.texts(50);
    let url = format!("{}/{{name}}?k={{env:KEY}}", api.url());
    let words = [
        "run",
        "--dry-run",
        "--url",
        &url,
        "-H",
        "Authorization: Bearer {env:KEY}",
        "-H",
        "X-Api-Key: literal-secret",
        "--json",
        "{\"name\": \"{name}\", \"key\": \"{env:KEY}\"}",
        "--rate",
        "30/m",
        "--rate",
        "5000/d",
        "texts",
        "texts/0001",
    ];
    let ran = place.stride_with(&[("KEY", SECRET)], &words).expect(0);
    let told = String::from_utf8(ran.stdout).unwrap();
    for line in [
        "files: 50",
        "total size: 500 bytes",
        "rate: 30/m and 5000/d",
        "earliest finish: 1 m",
        "> POST ",
        "/0000?k=[redacted]",
        "> authorization: Bearer [redacted]",
        "> x-api-key: [redacted]",
        "> content-type: application/json",
        "> {\"name\": \"0000\", \"key\": \"[redacted]\"}",
    ] {
        assert!(told.contains(line), "{line} is not in {told}");
    }
    let length = format!(
        "> content-length: {}",
        "{\"name\": \"0000\", \"key\": \"\"}".len() + SECRET.len()
    );
    assert!(told.contains(&length), "{told}");
    assert!(
        !told.contains(SECRET) && !told.contains("literal-secret"),
        "{told}"
    );
    assert_eq!(api.requests(), 0);
    assert_eq!(listed(&place.at("")), ["texts"]);
}

#[test]
fn a_dry_run_does_not_change_an_existing_run() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    place.texts(2);
    let words = [
        "run",
        "--dry-run",
        "--url",
        &api.url(),
        "-X",
        "PUT",
        "texts",
        "bystander.txt",
        ".",
    ];
    let told = String::from_utf8(place.stride(&words).expect(0).stdout).unwrap();
    // The walk skips stride's own files.
    assert!(
        told.contains("files: 3") && told.contains("> PUT"),
        "{told}"
    );
    assert_eq!(place.status()["total"], 1);
    assert_eq!(place.bystander(), bystander);
    assert_eq!(api.requests(), 1);
}

#[test]
fn try_shows_one_call_in_full_and_records_nothing() {
    let api = FakeApi::start(|request| match request.target.as_str() {
        "/0000" => Reply::json("{\"a\": 1}")
            .header("x-seen", request.header("authorization").unwrap_or("")),
        _ => Reply::text("not like this").with_status(422),
    });
    let place = Place::new();
    place.texts(2);
    let url = format!("{}/{{name}}", api.url());
    let words = [
        "try",
        "texts/0000",
        "--url",
        &url,
        "-H",
        "Authorization: Bearer {env:KEY}",
    ];
    let ran = place.stride_with(&[("KEY", SECRET)], &words).expect(0);
    assert_eq!(ran.stdout, b"{\"a\": 1}\n");
    let told = ran.stderr;
    for line in [
        "> POST",
        "> texts/0000",
        "< HTTP/1.1 200 OK",
        "< x-seen: Bearer [redacted]",
        "nothing was recorded",
        "would record",
    ] {
        assert!(told.contains(line), "{line} is not in {told}");
    }
    assert!(!told.contains(SECRET));
    let sent = &api.log()[0];
    assert_eq!(
        sent.request.header("authorization"),
        Some(format!("Bearer {SECRET}").as_str())
    );
    let words = ["try", "texts/0001", "--url", &url];
    let ran = place
        .stride(&words)
        .expect(3)
        .says("HTTP 422")
        .says("rejected");
    assert_eq!(ran.stdout, b"not like this\n");
    place
        .stride(&["try", "texts/none", "--url", &url])
        .expect(3)
        .says("missing");
    place.stride(&["try", "texts/0000"]).expect(2).says("--url");
    assert_eq!(listed(&place.at("")), ["texts"]);
}

#[test]
fn try_uses_the_request_of_an_existing_run() {
    let api = FakeApi::start(|request| {
        Reply::json(format!("\"{}\"", request.header("x-name").unwrap_or("")))
    });
    let place = Place::new();
    place.texts(2);
    place
        .stride(&[
            "run",
            "--url",
            &api.url(),
            "-H",
            "X-Name: {name}",
            "texts/0000",
        ])
        .expect(0);
    let before = place.sql("SELECT * FROM attempt");
    let ran = place.stride(&["try", "texts/0001"]).expect(0);
    assert_eq!(ran.stdout, b"\"0001\"\n");
    assert_eq!(place.sql("SELECT * FROM attempt"), before);
    place
        .stride(&["try", "texts/0001", "-d", "x={name}"])
        .expect(2)
        .says("--url");
}

#[test]
fn a_sample_is_drawn_at_random_and_stays_in_the_run() {
    let api = FakeApi::start(|request| match request.target.as_str() {
        "/bystander.txt" => Reply::json("\"before\""),
        target => Reply::json(format!("{{\"target\": \"{target}\"}}")),
    });
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    place.texts(200);
    let words = ["run", "--sample", "20", "--url", &url, "texts"];
    let ran = place
        .stride(&words)
        .expect(0)
        .says("latency:")
        .says("20 of 20 files done")
        .says("stride resume");
    let shown = String::from_utf8(ran.stdout).unwrap();
    assert_eq!(shown.lines().count(), 20, "{shown}");
    assert!(
        shown
            .lines()
            .all(|line| line.contains("done\t200\t") && line.contains("{\"target\": \"/0")),
        "{shown}"
    );
    let first: HashSet<String> = api.log().into_iter().map(|call| call.target).collect();
    assert_eq!(first.len(), 21);
    // The sample is random: one in 10^26 runs would draw the first files of the list.
    assert!(
        first.iter().any(|target| target.as_str() > "/0020"),
        "{first:?}"
    );
    let status = place.status();
    assert_eq!(
        (&status["done"], &status["pending"]),
        (&21.into(), &180.into())
    );
    place.stride(&["resume"]).expect(0);
    assert_eq!(api.requests(), 201, "no file is called twice");
    let none = place.stride(&words).expect(0);
    assert_eq!(none.stdout, b"");
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_sample_with_failures_reports_them() {
    let api = FakeApi::start(|_| Reply::text("no").with_status(400));
    let place = Place::new();
    place.texts(30);
    let words = ["run", "--sample", "3", "--url", &api.url(), "texts"];
    let ran = place.stride(&words).expect(3).says("0 of 3 files done");
    let shown = String::from_utf8(ran.stdout).unwrap();
    assert!(
        shown.contains("failed\t400\t") && shown.contains("HTTP 400"),
        "{shown}"
    );
    assert_eq!(place.status()["pending"], 27);
}

#[test]
fn a_dry_run_names_the_files_that_would_be_forgotten() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    place.texts(6);
    let url = api.url();
    let run = |words: &[&str]| place.stride(&[&["run", "--url", &url], words].concat());
    run(&["texts"]).expect(0);
    place.stride(&["forget", "texts/0005"]).expect(0);
    let listed = ["./texts/0000", "bystander.txt", "--forget-unlisted"];
    let planned = |words: &[&str]| {
        let planned = run(&[&["--dry-run"], words].concat()).expect(0).stdout;
        String::from_utf8(planned).unwrap()
    };
    let shown = planned(&listed);
    let unlisted = "to forget: 4 files: texts/0001, texts/0002, texts/0003 and 1 more\n";
    assert!(shown.contains(unlisted), "{shown}");
    assert!(!planned(&listed[..2]).contains("to forget"));
    assert_eq!(place.status()["forgotten"], 1);
    run(&listed).expect(0).says("forgot 4 files");
    assert!(planned(&listed).contains("to forget: no file\n"));
    assert_eq!(api.requests(), 7);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_dry_run_refuses_a_file_that_is_no_database() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    place.write("notes.txt", "mine");
    place.texts(1);
    let before = super::listed(&place.at(""));
    for more in [&["--dry-run"][..], &[]] {
        let words = ["run", "--db", "notes.txt", "--url", &api.url(), "texts"];
        place
            .stride(&[&words[..], more].concat())
            .expect(6)
            .says("notes.txt is not a run's database\n");
    }
    assert_eq!(super::listed(&place.at("")), before);
    assert_eq!(api.requests(), 0);
}
