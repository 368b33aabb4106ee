//! The reason of a stop: the last lines, `status`, `status --json` and the report give it in the service's own words.

use std::fs;
use std::io::{Read, Write};

use jiff::{Timestamp, ToSpan as _, ZonedDateTime};
use serde_json::{Value, json};
use stride::report::stop_reason;

use super::bystander::Scene;
use super::{counts, place};
use crate::cli::{Place, Ran};
use crate::http::tls::{params, self_signed, server};
use crate::support::{Counter, FakeApi, RawServer, Reply, at_once};

/// Checks every message about a stop.
#[track_caller]
fn stopped(place: &Place, ran: &Ran, reason: &str, action: &str, words: &str) {
    let code = match action {
        "wait" => 75,
        _ => 4,
    };
    assert_eq!(ran.code, Some(code), "{reason}: {}", ran.stderr);
    assert!(ran.stderr.contains(words), "{reason}: {}", ran.stderr);
    let status: Value = place.status();
    let stopped = &status["stopped"];
    let said = stopped["words"].as_str().unwrap_or_default();
    assert_eq!(
        (&stopped["reason"], &stopped["action"]),
        (&json!(reason), &json!(action)),
        "{status}"
    );
    assert!(said.contains(words), "{reason}: {stopped}");
    // Only a wait has an end.
    assert_eq!(stopped["until"].is_null(), reason != "wait", "{stopped}");
    let known = ["reason", "action", "until", "words"];
    let names: Vec<&String> = stopped.as_object().unwrap().keys().collect();
    assert_eq!(names, known);
    let sentence = stop_reason(reason, stopped["words"].as_str().unwrap_or_default());
    assert_ne!(sentence, reason, "it has no words");
    let text = |name: &str| String::from_utf8(place.stride(&[name]).expect(0).stdout).unwrap();
    let told = text("status");
    let line = told.lines().find(|line| line.starts_with("stopped"));
    let line = line.unwrap_or_default();
    assert!(line.contains(sentence) && line.contains(words), "{told}");
    let way_out = match reason {
        "rejected" | "redirect" => "repeat the run command",
        _ => "stride resume",
    };
    assert!(line.contains(way_out), "{told}");
    let report = text("report").replace("&#39;", "'");
    let (_, begin) = report.split_once("The last session stopped early").unwrap();
    let (line, _) = begin.split_once("</p>").unwrap();
    assert!(line.contains(sentence) && line.contains(words), "{line}");
}

#[test]
fn a_refusal_of_the_service_is_shown_in_its_words() {
    at_once(
        [
            (
                Reply::json(r#"{"error":"The key expired on Friday"}"#).with_status(401),
                "credentials",
                "fix",
                "HTTP 401 Unauthorized: The key expired on Friday",
            ),
            (
                Reply::json(r#"{"error":"not in your country"}"#).with_status(403),
                "credentials",
                "fix",
                "HTTP 403 Forbidden: not in your country",
            ),
            (
                Reply::json(r#"{"error":"please pay"}"#).with_status(402),
                "quota",
                "raise",
                "HTTP 402 Payment Required: please pay",
            ),
            (
                Reply::json(r#"{"error":{"code":"insufficient_quota"}}"#).with_status(429),
                "quota",
                "raise",
                "HTTP 429",
            ),
            (
                Reply::status(302).header("Location", "/sign-in"),
                "redirect",
                "fix",
                "/sign-in",
            ),
            (
                Reply::text("back in an hour")
                    .with_status(429)
                    .header("Retry-After", "3600"),
                "wait",
                "wait",
                "HTTP 429 Too Many Requests: back in an hour",
            ),
            (
                Reply::text("the database is away").with_status(500),
                "outage",
                "wait",
                "HTTP 500 Internal Server Error: the database is away",
            ),
        ],
        |(reply, reason, action, words)| {
            let scene = Scene::new(60, move |_| reply.clone());
            let ran = scene.run(&["--max-outage", "500ms"]);
            stopped(&scene.place, &ran, reason, action, words);
            scene.expect(60, 0, 0);
            scene.expect_nothing_charged();
        },
    );
}

#[test]
fn a_wrong_request_is_shown_in_the_words_of_the_service() {
    let api = FakeApi::start(|_| Reply::text("no such model: gtp-4").with_status(404));
    let place = place(100);
    let ran = place.stride(&["run", "--url", &api.url(), "texts"]);
    stopped(
        &place,
        &ran,
        "rejected",
        "fix",
        "HTTP 404 Not Found: no such model: gtp-4",
    );
}

#[test]
fn a_limit_of_the_user_is_shown() {
    let cases: [(&[&str], &str, &str); 5] = [
        (&["--max-calls", "5"], "max_calls", "raise"),
        (&["--max-cost", "1", "--cost", "0.3"], "max_cost", "raise"),
        (
            &["--max-duration", "1s", "--rate", "5/s"],
            "max_duration",
            "raise",
        ),
        (&["--rate", "5/s"], "until", "wait"),
        (&["--max-failures", "3"], "failures", "raise"),
    ];
    at_once(cases, |(flags, reason, action)| {
        let scene = Scene::new(100, move |request| {
            match reason == "failures" && request.target.ends_with('7') {
                true => Reply::status(422),
                false => Reply::json(1),
            }
        });
        let soon = ZonedDateTime::now().checked_add(3.seconds()).unwrap();
        let soon = soon.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        let until: &[&str] = match reason {
            "until" => &["--until", &soon],
            _ => &[],
        };
        let ran = scene.run(&[flags, until].concat());
        stopped(&scene.place, &ran, reason, action, "");
        let failed = scene.count("failed");
        assert_eq!(failed > 0, reason == "failures", "{failed} failed");
        assert!(scene.count("pending") > 0, "{reason}");
        assert_eq!(scene.place.bystander(), scene.bystander);
    });
}

#[test]
fn a_missing_disk_is_shown() {
    let scene = Scene::new(60, |_| Reply::json(1));
    scene.run(&["--max-calls", "1"]).expect(4);
    fs::rename(scene.place.at("texts"), scene.place.at("unmounted")).unwrap();
    let ran = scene.place.stride(&["resume", "--max-calls", "none"]);
    stopped(&scene.place, &ran, "missing_files", "fix", "");
    scene.expect(60, 0, 0);
}

#[test]
fn an_unknown_host_and_an_untrusted_certificate_are_shown() {
    let nowhere = place(20);
    let ran = nowhere.stride(&["run", "--url", "http://nobody.invalid/", "texts"]);
    stopped(&nowhere, &ran, "name", "fix", "nobody.invalid");
    counts(&nowhere, &[("pending", 20), ("failed", 0), ("calls", 0)]);
    let (server, requests) = server(self_signed(&params("localhost")));
    let url = format!("https://localhost:{}/", server.port());
    let place = place(20);
    let ran = place.stride(&["run", "--url", &url, "texts"]);
    stopped(&place, &ran, "certificate", "fix", "TLS: certificate");
    counts(&place, &[("pending", 20), ("failed", 0), ("calls", 0)]);
    assert_eq!(requests.get(), 0);
}

/// A proxy that answers CONNECT with this status.
fn refusing(status: &'static str) -> RawServer {
    RawServer::start(move |mut connection| {
        let _ = connection.read(&mut [0; 1024]);
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        let _ = connection.write_all(answer.as_bytes());
    })
}

#[test]
fn a_proxy_that_refuses_tunnels_is_shown_with_its_status() {
    for status in ["403 Forbidden", "407 Proxy Authentication Required"] {
        let (proxy, place) = (refusing(status), place(20));
        let url = "https://service.invalid/";
        let ran = place.stride(&["run", "-x", &proxy.url(), "--url", url, "texts"]);
        let words = format!("the proxy answered CONNECT with HTTP {}", &status[..3]);
        stopped(&place, &ran, "proxy", "fix", &words);
        counts(&place, &[("pending", 20), ("failed", 0), ("calls", 0)]);
    }
    // The service behind it may come back.
    let (proxy, place) = (refusing("503 Service Unavailable"), place(20));
    let url = "https://service.invalid/";
    let words = ["run", "-x", &proxy.url(), "--url", url, "texts"];
    let ran = place.stride(&[&words[..], &["--max-outage", "500ms"]].concat());
    stopped(&place, &ran, "outage", "wait", "HTTP 503");
}

/// A wait longer than `--max-wait` stops the run after one call. The service may state it in any header or body.
#[test]
fn a_wait_is_read_from_every_usual_header_and_body() {
    let later = Timestamp::now().checked_add(90.seconds()).unwrap();
    let (epoch, moment) = (later.as_second().to_string(), later.to_string());
    let refused = || Reply::status(429);
    let body = |text: &str| Reply::json(text).with_status(429);
    let used_up =
        |left: &str, reset: &str, value: &str| refused().header(left, "0").header(reset, value);
    let github = r#"{"message":"API rate limit exceeded for 203.0.113.7."}"#;
    let no_flags: &[&str] = &[];
    at_once(
        [
            (refused().header("Retry-After", "90"), no_flags),
            (refused().header("Retry-After", &epoch), no_flags),
            (refused().header("Retry-After-Ms", "90000"), no_flags),
            (
                used_up("X-RateLimit-Remaining", "X-RateLimit-Reset", &epoch),
                no_flags,
            ),
            (
                used_up("X-RateLimit-Remaining", "X-RateLimit-Reset", "90"),
                no_flags,
            ),
            (
                used_up(
                    "X-RateLimit-Remaining-Requests",
                    "X-RateLimit-Reset-Requests",
                    "1m30s",
                ),
                no_flags,
            ),
            (
                used_up(
                    "anthropic-ratelimit-requests-remaining",
                    "anthropic-ratelimit-requests-reset",
                    &moment,
                ),
                no_flags,
            ),
            (
                refused().header("RateLimit", "\"default\";r=0;t=90"),
                no_flags,
            ),
            (
                body(r#"{"error":{"details":[{"retryDelay":"31s"}]}}"#),
                no_flags,
            ),
            (body(r#""Please try again in 6m0s""#), no_flags),
            (
                body(r#"{"error":{"wait":90}}"#),
                &["--retry-after", ".error.wait"],
            ),
            (Reply::status(503).header("Retry-After", "90"), no_flags),
            // A limit that is answered with 403.
            (Reply::status(403).header("Retry-After", "90"), no_flags),
            (
                Reply::json(github)
                    .with_status(403)
                    .header("X-RateLimit-Remaining", "0")
                    .header("X-RateLimit-Reset", &epoch),
                no_flags,
            ),
        ],
        |(reply, flags)| {
            let what = format!("{reply:?} {flags:?}");
            let scene = Scene::new(20, move |_| reply.clone());
            let ran = scene.run(&[&["-j", "1", "--max-wait", "10s"], flags].concat());
            assert_eq!(ran.code, Some(75), "{what}: {}", ran.stderr);
            assert_eq!(scene.calls(), 1, "{what}");
            stopped(&scene.place, &ran, "wait", "wait", "");
            scene.expect(20, 0, 0);
            scene.expect_nothing_charged();
        },
    );
}

#[test]
fn a_limit_that_is_answered_with_403_is_waited_for() {
    let github = r#"{"message":"API rate limit exceeded for 203.0.113.7."}"#;
    at_once([true, false], |by_headers| {
        let seen = Counter::default();
        let scene = Scene::new(40, move |_| match seen.add() {
            10 if by_headers => Reply::status(403).header("Retry-After", "1"),
            10 => Reply::json(github)
                .with_status(403)
                .header("X-RateLimit-Remaining", "0")
                .header("X-RateLimit-Reset", "1"),
            _ => Reply::json(1),
        });
        scene.run(&["-j", "1"]).expect(0);
        scene.expect(0, 40, 0);
        assert_eq!(scene.calls(), 41);
    });
}
