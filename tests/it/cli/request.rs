//! The request: what is sent and stored, and what a change of it does.

use std::fs;

use serde_json::json;

use super::{Place, listed};
use crate::support::{FakeApi, Reply};

const SECRET: &str = "sesame-4711-and-more";

/// Checks that no file of a run contains the secret.
fn assert_no_secret(place: &Place) {
    let mut looked_at = 0;
    for name in listed(&place.at("")) {
        let path = place.at(&name);
        if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            assert!(
                !bytes
                    .windows(SECRET.len())
                    .any(|window| window == SECRET.as_bytes()),
                "{name} has the secret"
            );
            looked_at += 1;
        }
    }
    assert!(looked_at >= 3);
}

#[test]
fn placeholders_and_references_are_filled_and_a_secret_is_not_stored() {
    let api = FakeApi::start(|request| match request.target.as_str() {
        // A service that repeats its request in errors, as many do.
        target if target.contains("0001") => {
            let headers: Vec<_> = request.headers.iter().rev().collect();
            Reply::text(format!("{headers:?}")).with_status(400)
        }
        _ => Reply::json(1),
    });
    let place = Place::new();
    let url = format!("{}/{{path}}?n={{name}}", api.url());
    let bystander = place.with_bystander(&url);
    place.texts(2);
    let words = [
        "run",
        "--accept-change",
        "-H",
        "Authorization: Bearer {env:KEY}",
        "-H",
        "X-Stem: {stem}",
    ];
    let words = [
        &words[..],
        &[
            "-H",
            "Content-Type:",
            "--events",
            "events",
            "--url",
            &url,
            "texts",
        ],
    ]
    .concat();
    place.stride(&words).expect(2).says("KEY is not set");
    let output = place.command(&words).env("KEY", SECRET).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("[redacted]") && !said.contains(SECRET),
        "{said}"
    );
    let call = api
        .log()
        .into_iter()
        .find(|call| call.target.contains("0000"))
        .unwrap();
    assert_eq!(call.target, "/texts%2F0000?n=0000");
    assert_eq!(
        call.request.header("authorization"),
        Some(format!("Bearer {SECRET}").as_str())
    );
    assert_eq!(
        (
            call.request.header("x-stem"),
            call.request.header("content-type")
        ),
        (Some("0000"), None)
    );
    assert_no_secret(&place);
    place
        .stride(&["export", "--all", "-o", "results.json"])
        .expect(0);
    assert_no_secret(&place);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_literal_credential_is_used_and_must_be_repeated() {
    let api = FakeApi::start(|request| match request.header("x-api-key") {
        Some(SECRET) => Reply::json(1),
        _ => Reply::status(500),
    });
    let place = Place::new();
    place.texts(2);
    let header = format!("X-Api-Key: {SECRET}");
    place
        .stride(&["run", "-H", &header, "--url", &api.url(), "texts/0000"])
        .expect(0)
        .says("not stored");
    place
        .stride(&[
            "run",
            "-H",
            &header,
            "--url",
            &api.url(),
            "texts",
            "--events",
            "events",
        ])
        .expect(0);
    place.write("texts/0002", "x");
    let resumed = [
        "run",
        "-H",
        &header,
        "--url",
        "http://127.0.0.1:9/",
        "--accept-change",
        "texts",
    ];
    let run = place.begin(&resumed);
    run.until_says("service unavailable");
    run.signal(rustix::process::Signal::INT);
    run.end().expect(130);
    place
        .stride(&["resume"])
        .expect(2)
        .says("X-Api-Key")
        .says("use -H");
    place
        .stride(&["resume", "-H", "X-Other: 1"])
        .expect(2)
        .says("X-Api-Key");
    assert_no_secret(&place);
    assert_eq!(api.requests(), 2);
}

#[test]
fn a_changed_request_is_shown_and_refused_until_accepted() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    place.texts(1);
    let other = format!("{}/other", api.url());
    let refused = place
        .stride(&["run", "-X", "PUT", "--url", &other, "texts"])
        .expect(2);
    let refused = refused
        .says("(1 file done with the old one)")
        .says("- method: POST\n  + method: PUT");
    refused
        .says(&format!("- url: {}\n  + url: {other}", api.url()))
        .says("--accept-change");
    assert_eq!(place.status()["total"], json!(1));
    place
        .stride(&[
            "run",
            "-X",
            "PUT",
            "--url",
            &other,
            "--accept-change",
            "texts",
        ])
        .expect(0)
        .says("1 result");
    let last = api.log().pop().unwrap();
    assert_eq!(
        (last.request.method.as_str(), last.target.as_str()),
        ("PUT", "/other")
    );
    assert_eq!(api.requests(), 2, "what is done stays done");
    // Settings can change.
    place
        .stride(&[
            "run", "-X", "PUT", "--url", &other, "-j", "3", "--rate", "1000/s", "texts",
        ])
        .expect(0);
    let status = place.status();
    assert_eq!(
        (&status["threads"], &status["rate"]),
        (&json!(3), &json!("1000/s"))
    );
    place.stride(&["resume", "--rate", "none"]).expect(0);
    let status = place.status();
    assert_eq!(
        (&status["threads"], &status["rate"]),
        (&json!(3), &json!("none")),
        "one left out keeps its value"
    );
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn an_invalid_request_is_refused_before_anything_is_created() {
    let place = Place::new();
    place.texts(1);
    for (words, said) in [
        (vec!["--url", "api.example.com/x"], "it needs a scheme"),
        (vec!["--url", "ftp://example.com/x"], "only http and https"),
        (
            vec!["--url", "http://x/{nmae}"],
            "unknown placeholder {nmae}",
        ),
        (vec!["--url", "http://x/{name"], "not closed"),
        (
            vec!["--url", "http://x/", "-H", "X-A: {what}"],
            "unknown placeholder {what}",
        ),
        (vec!["--url", "http://x/", "-H", "no colon"], "no colon"),
        (
            vec!["--url", "http://x/", "-H", "bad name: x"],
            "not a header's name",
        ),
        (
            vec!["--url", "http://x/", "-H", "Content-Length: 3"],
            "it follows from the file",
        ),
        (
            vec!["--url", "http://x/", "-X", "GE T"],
            "not an HTTP method",
        ),
        (vec!["--url", "http://x/", "-j", "0"], "a number from 1"),
        (
            vec!["--url", "http://x/", "--rate", "10"],
            "add a unit: --rate 10/s",
        ),
        (
            vec!["--url", "http://x/", "--timeout", "30"],
            "add a unit: --timeout 30s",
        ),
        (
            vec!["--url", "http://x/", "--max-response", "16"],
            "add a unit: --max-response 16MiB",
        ),
        (
            vec!["--url", "http://x/", "--max-response", "2GiB"],
            "at most 900MiB",
        ),
        (
            vec!["--url", "http://x/", "--in-doubt", "maybe"],
            "possible values",
        ),
    ] {
        place
            .stride(&[&["run"], &words[..], &["texts"]].concat())
            .expect(2)
            .says(said);
        assert_eq!(listed(&place.at("")), ["texts"], "{words:?}");
    }
    place
        .stride(&["run", "--url", "http://x/"])
        .expect(2)
        .says("no files were named");
}

#[test]
fn secrets_of_a_url_are_not_stored() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    place.texts(1);
    let url = api.url().replace("://", &format!("://me:{SECRET}@"));
    place
        .stride(&["run", "--events", "events", "--url", &url, "texts"])
        .expect(0)
        .says("not stored");
    let call = api.log().pop().unwrap();
    assert!(
        call.request
            .header("authorization")
            .is_some_and(|value| value.starts_with("Basic "))
    );
    assert_no_secret(&place);
}

#[test]
fn a_credential_is_a_reference_or_a_literal_and_not_a_mixture() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    place.texts(1);
    let url = api.url();
    let run = |header: &str| place.stride(&["run", "--url", &url, "-H", header, "texts"]);
    run("Authorization: Bearer {API_KEY}")
        .expect(2)
        .says("unknown placeholder {API_KEY}");
    run("Cookie: sid=literal; x={env:PATH}")
        .expect(2)
        .says("mixes a placeholder with a literal");
    run("X-Api-Key: literal-{name}")
        .expect(2)
        .says("mixes a placeholder with a literal");
    run("X-Cache-Key: {name}").expect(0);
    assert_eq!(
        api.log().pop().unwrap().request.header("x-cache-key"),
        Some("0000")
    );
}

#[test]
fn literal_headers_of_one_name_keep_their_values() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    place.texts(1);
    place
        .stride(&[
            "run",
            "--url",
            &api.url(),
            "-H",
            "Cookie: a=1",
            "-H",
            "Cookie: b=2",
            "texts",
        ])
        .expect(0);
    let sent = api.log().pop().unwrap();
    let cookies: Vec<&str> = sent
        .request
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("cookie"))
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
}

#[test]
fn a_refused_change_changes_nothing() {
    let api = FakeApi::start(|request| match request.target.as_str() {
        "/" if request.attempt == 0 => Reply::status(422),
        _ => Reply::json(1),
    });
    let place = Place::new();
    place.texts(1);
    let url = api.url();
    let header = ["-H", "Authorization: Bearer {env:KEY}"];
    let words = [&["run", "--url", &url][..], &header, &["texts"]].concat();
    let output = place.command(&words).env("KEY", "k").output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    place.stride(&["retry"]).expect(2).says("KEY is not set");
    assert_eq!(place.status()["failed"], json!(1));
    let other = format!("{}/other", api.url());
    let words = [
        "run",
        "--url",
        &other,
        "--accept-change",
        "--files-from",
        "none",
    ];
    place.stride(&words).expect(2);
    assert_eq!(place.status()["call"]["url"], json!(api.url()));
    place
        .stride(&["resume", "--events", "stride.db"])
        .expect(2)
        .says("belongs to the run's database");
    let said = place
        .stride(&["run", "--url", "http:///me:hunter2pass@host/", "texts"])
        .expect(2)
        .stderr;
    assert!(!said.contains("hunter2pass"), "{said}");
    place.stride(&["verify"]).expect(0);
}

#[test]
fn a_credential_in_a_file_of_data_or_in_json_of_a_form_is_not_stored() {
    const SECRET: &str = "sesame-0123456789";
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    place.write("a.txt", "a");
    place.write("form.txt", format!("client_secret={SECRET}&q={{name}}"));
    let part =
        format!("m={{\"api_key\": \"{SECRET}\", \"q\": \"{{name}}\"}};type=application/json");
    for (number, words) in [["-d", "@form.txt"], ["-F", &part]].into_iter().enumerate() {
        let db = format!("{number}.db");
        place
            .stride(
                &[
                    &["run", "--db", &db, "--url", &api.url(), "a.txt"][..],
                    &words,
                ]
                .concat(),
            )
            .expect(0)
            .says("in the request is not stored");
        let sent = api.log().pop().unwrap().request.body.clone();
        let sent = String::from_utf8_lossy(&sent);
        assert!(sent.contains(SECRET) && sent.contains("a.txt"), "{sent}");
        let stored = fs::read(place.at(&db)).unwrap();
        assert!(!String::from_utf8_lossy(&stored).contains(SECRET));
    }
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_misspelled_file_of_data_is_named_with_the_one_that_was_meant() {
    let place = Place::new();
    place.write("a.txt", "a");
    place.write("bodies/request.json", "{\"a\": \"{text}\"}");
    for (data, hint) in [
        (
            "@bodies/requst.json",
            Some("did you mean @bodies/request.json?"),
        ),
        ("@bodies/other.json", None),
        ("@none/request.json", None),
    ] {
        let ran = place.stride(&["run", "--url", "http://127.0.0.1:9/", "-d", data, "a.txt"]);
        let ran = ran
            .expect(2)
            .says(&format!("cannot read the data in {}", &data[1..]));
        let said = &ran.stderr;
        assert_eq!(said.contains("did you mean"), hint.is_some(), "{said}");
        assert!(said.contains(hint.unwrap_or_default()), "{said}");
    }
}
