//! What an answer means.

use std::time::Duration;

use stride::job::{Class, Failure};

use super::{Client, answer_to, failed, succeeded, throttled};
use crate::support::{FakeApi, Reply};

#[test]
fn a_good_answer_is_kept_as_it_came() {
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
fn every_2xx_is_good_and_what_does_not_say_json_need_not_be() {
    let empty = succeeded(answer_to(Reply::status(204)));
    assert_eq!(
        (empty.status, empty.media_type, empty.body),
        (Some(204), None, Vec::new())
    );
    let created = succeeded(answer_to(Reply::text("not {json").with_status(201)));
    assert_eq!(
        (created.status, created.body),
        (Some(201), b"not {json".to_vec())
    );
    let bytes = succeeded(answer_to(
        Reply::status(200).body("image/png", &b"\x89\xff\0"[..]),
    ));
    assert_eq!(bytes.body, b"\x89\xff\0");
    let nameless = succeeded(answer_to(Reply::status(200)));
    assert_eq!((nameless.media_type, nameless.body), (None, Vec::new()));
    let error = succeeded(answer_to(
        Reply::status(200).body("Application/Problem+JSON; a=b", "[]"),
    ));
    assert_eq!(
        error.media_type.as_deref(),
        Some("Application/Problem+JSON; a=b")
    );
}

#[test]
fn what_says_json_and_is_not_is_a_bad_response() {
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
                (failure.class, failure.kind),
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
fn patience_is_asked_for_in_seconds_or_by_a_date() {
    let date = "Sun, 06 Nov 2044 08:49:37 GMT";
    let wait = |reply: Reply| {
        let (failure, wait) = throttled(answer_to(reply));
        assert_eq!(
            (failure.class, failure.kind),
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
            (failure.class, failure.kind),
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
fn a_redirect_is_not_followed_and_says_where_it_leads() {
    for status in [301, 302, 303, 307, 308] {
        let api =
            FakeApi::start(move |_| Reply::status(status).header("Location", "/elsewhere?a=b"));
        let failure = failed(Client::post(&format!("{}/here", api.url())).call());
        assert_eq!((failure.class, failure.kind), (Class::Rejected, "redirect"));
        assert_eq!(failure.status, Some(status));
        assert!(
            failure.message.contains("/elsewhere?a=b"),
            "{}",
            failure.message
        );
        let targets: Vec<String> = api.log().into_iter().map(|logged| logged.target).collect();
        assert_eq!(targets, ["/here"]);
    }
    assert_eq!(failed(answer_to(Reply::status(304))).kind, "redirect");
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
    // Longer than anybody reads to the end.
    let failure = failed(answer_to(Reply::text(long.repeat(50)).with_status(422)));
    assert_eq!(failure.body, &long.as_bytes()[..Failure::BODY_KEPT]);
}

/// The status is the answer; what is the matter with the body changes nothing.
#[test]
fn an_error_whose_body_breaks_off_or_stands_still_is_that_error() {
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
fn a_compressed_answer_is_kept_as_what_it_says() {
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
    assert_eq!(failed(answer_to(gzip(200, "{"))).kind, "not_json");
}
