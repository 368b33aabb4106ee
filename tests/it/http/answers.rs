//! The meaning of answers.

use std::time::Duration;

use stride::job::{Body, Class, Failure};
use stride::settings::Expect;

use super::{Client, SECRET, answer_to, failed, judged_answer, succeeded, throttled};
use crate::support::{FakeApi, Reply};

#[test]
fn a_good_answer_is_kept_byte_for_byte() {
    let body = " {\"a\":1,\"a\":2, \"n\":1e400}\r\n";
    let answer = succeeded(answer_to(Reply::json(body)));
    assert_eq!(answer.status, Some(200));
    assert_eq!(answer.media_type.as_deref(), Some("application/json"));
    assert_eq!(answer.body, body.as_bytes());

    for reply in [
        Reply::json(body).chunked(3),
        Reply::json(body).until_close(),
        Reply::json(body).then_close(),
    ] {
        assert_eq!(succeeded(answer_to(reply)).body, body.as_bytes());
    }
}

#[test]
fn every_2xx_is_a_result_and_only_json_types_must_be_json() {
    let empty = succeeded(answer_to(Reply::status(204)));
    assert_eq!(
        (empty.status, empty.media_type, empty.body),
        (Some(204), None, Body::default())
    );
    let created = succeeded(answer_to(Reply::text("not {json").with_status(201)));
    assert_eq!(
        (created.status, created.body),
        (Some(201), b"not {json".into())
    );
    let bytes = succeeded(answer_to(
        Reply::status(200).body("image/png", &b"\x89\xff\0"[..]),
    ));
    assert_eq!(bytes.body, b"\x89\xff\0");
    let nameless = succeeded(answer_to(Reply::status(200)));
    assert_eq!(
        (nameless.media_type, nameless.body),
        (None, Body::default())
    );
    let error = succeeded(answer_to(
        Reply::status(200).body("Application/Problem+JSON; a=b", "[]"),
    ));
    assert_eq!(
        error.media_type.as_deref(),
        Some("Application/Problem+JSON; a=b")
    );
}

#[test]
fn invalid_json_under_a_json_type_is_a_bad_response() {
    for body in [
        "",
        "{",
        "<html>",
        "{} {}",
        "NaN",
        "\u{feff}{}",
        "{\"a\": undefined}",
    ] {
        for media_type in [
            "application/json",
            "application/vnd.api+json; charset=utf-8",
        ] {
            let failure = failed(answer_to(Reply::status(200).body(media_type, body)));
            assert_eq!(
                (failure.class, failure.kind.as_str()),
                (Class::BadResponse, "not_json"),
                "{body}"
            );
            assert_eq!(
                (failure.status, failure.body),
                (Some(200), body.as_bytes().to_vec())
            );
        }
    }
}

#[test]
fn a_wait_is_stated_in_seconds_or_by_a_date() {
    let date = "Sun, 06 Nov 2044 08:49:37 GMT";
    let wait = |reply: Reply| {
        let (failure, wait) = throttled(answer_to(reply));
        assert_eq!(
            (failure.class, failure.kind.as_str()),
            (Class::Throttled, "http_status")
        );
        wait
    };
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(wait(Reply::status(429)), None);
    assert_eq!(wait(Reply::status(429).header("Retry-After", "soon")), None);
    assert_eq!(
        wait(Reply::status(429).header("retry-after", " 7 ")),
        seconds(7)
    );
    assert_eq!(
        wait(Reply::status(503).header("Retry-After", "0")),
        seconds(0)
    );
    let at = |then| {
        Reply::status(503)
            .header("Date", date)
            .header("Retry-After", then)
    };
    assert_eq!(wait(at("Sun, 06 Nov 2044 08:51:07 GMT")), seconds(90));
    assert_eq!(
        wait(at("Sun, 06 Nov 1994 08:49:37 GMT")),
        seconds(0),
        "that is over"
    );
    let far = wait(Reply::status(429).header("Retry-After", "Sat, 06 Nov 2094 08:49:37 GMT"));
    assert!(
        far.unwrap() > Duration::from_secs(86_400),
        "by our clock where the service tells none"
    );
}

#[test]
fn statuses_have_their_classes() {
    for (status, class) in [
        (408, Class::Transient),
        (425, Class::Transient),
        (500, Class::Transient),
        (502, Class::Transient),
        (503, Class::Transient),
        (504, Class::Transient),
        (599, Class::Transient),
        (401, Class::Auth),
        (403, Class::Auth),
        (407, Class::Auth),
        (400, Class::Rejected),
        (404, Class::Rejected),
        (405, Class::Rejected),
        (413, Class::Rejected),
        (415, Class::Rejected),
        (422, Class::Rejected),
        (451, Class::Rejected),
    ] {
        let failure = failed(answer_to(Reply::text("because").with_status(status)));
        assert_eq!(
            (failure.class, failure.kind.as_str()),
            (class, "http_status"),
            "{status}"
        );
        assert_eq!(
            (failure.status, failure.body),
            (Some(status), b"because".to_vec())
        );
        assert!(
            failure.message.starts_with(&format!("HTTP {status}")),
            "{}",
            failure.message
        );
    }
}

#[test]
fn a_redirect_is_not_followed_and_its_target_is_shown() {
    for status in [301, 302, 303, 307, 308] {
        let api =
            FakeApi::start(move |_| Reply::status(status).header("Location", "/elsewhere?a=b"));
        let failure = failed(Client::post(&format!("{}/here", api.url())).call());
        assert_eq!(
            (failure.class, failure.kind.as_str()),
            (Class::Rejected, "redirect")
        );
        assert_eq!(failure.status, Some(status));
        assert!(
            failure.message.contains("/elsewhere?a=b"),
            "{}",
            failure.message
        );
        let targets: Vec<String> = api.log().into_iter().map(|logged| logged.target).collect();
        assert_eq!(targets, ["/here"]);
    }
    assert_eq!(
        failed(answer_to(Reply::status(304))).kind.as_str(),
        "redirect"
    );
}

#[test]
fn interim_answers_are_passed_over() {
    let raw = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n\
               HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    assert_eq!(succeeded(answer_to(Reply::raw(raw))).body, b"ok");
}

#[test]
fn the_beginning_of_an_errors_body_is_kept() {
    let long = "0123456789".repeat(1000);
    let failure = failed(answer_to(Reply::text(&long).with_status(422)));
    assert_eq!(failure.body, &long.as_bytes()[..Failure::BODY_KEPT]);
    // Longer than the kept beginning.
    let failure = failed(answer_to(Reply::text(long.repeat(50)).with_status(422)));
    assert_eq!(failure.body, &long.as_bytes()[..Failure::BODY_KEPT]);
}

/// The status decides, even if the body is invalid.
#[test]
fn an_error_with_an_incomplete_body_is_that_error() {
    for reply in [
        Reply::truncated("half a rea", 100).with_status(422),
        Reply::text("half a rea")
            .chunked_and_cut_off(5)
            .with_status(422),
        Reply::stalled("half a rea", 100).with_status(422),
    ] {
        let api = FakeApi::start(move |_| reply.clone());
        let client = Client::post(&api.url())
            .with(|settings| settings.idle_timeout = Duration::from_millis(50));
        let failure = failed(client.call());
        assert_eq!(
            (failure.class, failure.status),
            (Class::Rejected, Some(422))
        );
        assert_eq!(failure.body, b"half a rea");
    }
}

#[test]
fn a_compressed_answer_is_kept_decoded() {
    use std::io::Write;
    let compressed = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let gzip = |status, text| {
        Reply::status(status)
            .body("application/json", compressed(text))
            .header("content-encoding", "gzip")
    };
    assert_eq!(
        succeeded(answer_to(gzip(200, "{\"a\": 1}"))).body,
        b"{\"a\": 1}"
    );
    assert_eq!(
        failed(answer_to(gzip(422, "{\"error\": 1}"))).body,
        b"{\"error\": 1}"
    );
    assert_eq!(failed(answer_to(gzip(200, "{"))).kind.as_str(), "not_json");
}

#[test]
fn the_expected_type_takes_precedence_over_the_media_type() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let open = "[".repeat(1_000_000);
    let balanced = format!("{open}{}", "]".repeat(1_000_000));
    let (json, text, any) = (true, true, true);
    for (status, body, is_json, is_text) in [
        (200, &b"<html>sign in</html>"[..], !json, text),
        (200, b"", !json, text),
        (204, b"", !json, text),
        (200, b"NaN", !json, text),
        (200, "\u{feff}{}".as_bytes(), !json, text),
        (200, b"{} {}", !json, text),
        (200, b"{\"a\":1}\n{\"a\":2}", !json, text),
        (200, b"\"\xff\"", !json, !text),
        (200, open.as_bytes(), !json, text),
        (200, br#"{"a":1,"a":2}"#, json, text),
        (201, b"1234567890123456789012345", json, text),
        (200, b" 1e400\r\n", json, text),
        (200, br#""\ud800""#, json, text),
        (200, deep.as_bytes(), json, text),
        (200, balanced.as_bytes(), json, text),
    ] {
        let shown = String::from_utf8_lossy(&body[..body.len().min(30)]);
        for media_type in ["text/html", "application/json"] {
            for (expect, good, kind) in [
                (Expect::Json, is_json, "not_json"),
                (Expect::Text, is_text, "not_text"),
                (Expect::Any, any, ""),
            ] {
                let reply = Reply::status(status).body(media_type, body);
                let outcome = judged_answer(reply, |judging| judging.expect = expect);
                if good {
                    assert_eq!(succeeded(outcome).body, body, "{shown} as {expect}");
                    continue;
                }
                let failure = failed(outcome);
                assert_eq!(
                    (failure.class, failure.kind.as_str(), failure.status),
                    (Class::BadResponse, kind, Some(status)),
                    "{shown} as {expect}"
                );
                assert!(
                    failure.message.contains("--expect any"),
                    "{}",
                    failure.message
                );
                assert_eq!(failure.body, body[..body.len().min(Failure::BODY_KEPT)]);
                let kept = failure.answer.unwrap();
                assert_eq!((kept.body, kept.headers), (body.into(), None));
                assert_eq!(kept.media_type.as_deref(), Some(media_type));
            }
        }
    }
}

#[test]
fn an_answer_to_head_has_headers_and_no_body() {
    let api = FakeApi::start(|_| Reply::status(200).header("X-Size", "7"));
    let client = Client::post(&api.url()).method("HEAD").judged(|judging| {
        judging.expect = Expect::Json;
        judging.success = Some(r#". == null and $headers["x-size"] == "7""#.to_owned());
    });
    let answer = succeeded(client.call());
    assert_eq!(answer.body, b"");
    assert!(answer.headers.unwrap().contains(r#""x-size":"7""#));
}

#[test]
fn the_expression_decides_about_success() {
    let outcome = |body: &str, expression: &str| {
        let reply = Reply::json(body)
            .header("X-Cost", "1")
            .header("x-cost", "2");
        judged_answer(reply, |judging| {
            judging.expect = Expect::Json;
            judging.success = Some(expression.to_owned());
        })
    };
    for (body, expression) in [
        (r#"{"status":"ok"}"#, r#".status == "ok""#),
        ("1", "$status == 200"),
        ("1", r#"$headers["x-cost"] == "1, 2""#),
        ("123456789012345678901", ". > 123456789012345678900"),
        (r#""\ud800""#, r#"type == "string""#),
    ] {
        assert_eq!(succeeded(outcome(body, expression)).body, body.as_bytes());
    }
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    for (body, expression, reason) in [
        (
            r#"{"status":"busy"}"#,
            r#".status == "ok""#,
            "is not true of the answer",
        ),
        ("1", "empty", "is not true of the answer"),
        ("1", ".status", "cannot index 1"),
        (&deep, ".", "nested"),
    ] {
        let failure = failed(outcome(body, expression));
        assert_eq!(
            (failure.class, failure.kind.as_str(), failure.status),
            (Class::BadResponse, "not_successful", Some(200))
        );
        assert!(failure.message.contains(reason), "{}", failure.message);
        assert_eq!(failure.answer.unwrap().body, body.as_bytes());
    }
    // The headers are not kept if no expression uses them.
    assert_eq!(succeeded(outcome("1", ".")).headers, None);
}

#[test]
fn the_words_of_a_rejected_answer_can_choose_its_class() {
    let call = |body: &'static str, rule: &str| {
        let api = FakeApi::start(move |_| Reply::json(body).header("Retry-After", "7"));
        Client::post(&api.url())
            .judged(|judging| judging.success = Some(".ok".to_owned()))
            .with(|settings| settings.classes = vec![rule.parse().unwrap()])
            .call()
    };
    let (failure, wait) = throttled(call(r#"{"ok":false,"why":"Busy"}"#, "body~busy:throttled"));
    assert_eq!(
        (failure.kind.as_str(), wait),
        ("not_successful", Some(Duration::from_secs(7)))
    );
    assert!(failure.answer.is_some());
    let failure = failed(call(r#"{"ok":false}"#, "body~false:transient"));
    assert_eq!(failure.class, Class::Transient);
    // A result may contain the words of an error.
    succeeded(call(r#"{"ok":true,"why":"Busy"}"#, "body~busy:throttled"));
}

#[test]
fn a_kept_rejected_answer_has_no_secrets() {
    let echo = |body: &'static str| {
        let api = FakeApi::start(move |request| {
            let key = request.header("authorization").unwrap().to_owned();
            Reply::text(body.replace("KEY", &key)).header("X-Echo", &key)
        });
        Client::post(&api.url())
            .template("Authorization", "{env:SECRET}")
            .judged(|judging| {
                judging.expect = Expect::Json;
                judging.success = Some(r#"$headers["x-echo"] | length == 40"#.to_owned());
            })
            .call()
    };
    let failure = failed(echo("<html>KEY</html>"));
    assert!(!format!("{failure:?}").contains(SECRET));
    let kept = failure.answer.unwrap();
    assert_eq!(kept.body, b"<html>[redacted]</html>");
    assert!(kept.headers.unwrap().contains(r#""x-echo":"[redacted]""#));
    // The expression reads the original answer.
    let answer = succeeded(echo("1"));
    assert!(!answer.headers.unwrap().contains(SECRET));
}

#[test]
fn an_answer_that_is_too_large_is_not_kept() {
    let api = FakeApi::start(|_| Reply::json("[1,2,3,4,5]"));
    let failure = failed(
        Client::post(&api.url())
            .with(|settings| settings.max_response = 10)
            .call(),
    );
    assert_eq!(
        (failure.kind.as_str(), failure.answer),
        ("response_too_large", None)
    );
}
