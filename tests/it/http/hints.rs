//! Limits that a service states.

use std::time::Duration;

use stride::job::{Class, Failure, Hint, Outcome, Policy};

use super::{Client, answer_to, failed, is_in_doubt, succeeded, throttled};
use crate::support::{FakeApi, Reply};

const MINUTE: Duration = Duration::from_secs(60);

fn limited(reply: Reply) -> Reply {
    reply
        .header("RateLimit-Policy", "\"daily\";q=5000;w=86400")
        .header("RateLimit-Policy", "\"burst\";q=100;w=60")
        .header("RateLimit", "\"burst\";r=50;t=30")
}

fn expected() -> Option<Box<Hint>> {
    Some(Box::new(Hint {
        policy: Some(Policy {
            calls: 100,
            window: MINUTE,
        }),
        remaining: Some(50),
        reset: Some(MINUTE / 2),
        ..Hint::default()
    }))
}

#[test]
fn every_answer_has_its_stated_limits() {
    assert_eq!(
        succeeded(answer_to(limited(Reply::json("1")))).hint,
        expected()
    );
    assert_eq!(
        failed(answer_to(limited(Reply::json("{")))).hint,
        expected()
    );
    for status in [302, 404, 500] {
        assert_eq!(
            failed(answer_to(limited(Reply::status(status)))).hint,
            expected()
        );
    }
    let (failure, wait) = throttled(answer_to(limited(Reply::status(429))));
    assert_eq!((failure.hint, wait), (expected(), None));
    let broken_off = answer_to(limited(Reply::truncated("half", 100)));
    assert!(is_in_doubt(&broken_off, "truncated"), "{broken_off:?}");
    assert_eq!(broken_off.failure().unwrap().hint, expected());
    assert_eq!(succeeded(answer_to(Reply::json("1"))).hint, None);
}

#[test]
fn an_answer_that_is_too_large_has_its_stated_limits() {
    let api = FakeApi::start(|_| limited(Reply::text("0123456789")));
    let client = Client::post(&api.url()).with(|settings| settings.max_response = 5);
    assert_eq!(failed(client.call()).hint, expected());
}

#[test]
fn a_refusal_waits_for_the_reset_of_the_exhausted_limit() {
    let refused = |headers: &[(&str, &str)]| {
        let reply = Reply::status(429);
        let reply = headers
            .iter()
            .fold(reply, |reply, (name, value)| reply.header(name, *value));
        throttled(answer_to(reply)).1
    };
    let used_up = ("X-RateLimit-Remaining-Requests", "0");
    let reset = ("X-RateLimit-Reset-Requests", "1m0s");
    assert_eq!(refused(&[used_up, reset]), Some(MINUTE));
    assert_eq!(refused(&[reset]), Some(MINUTE));
    let stated = [used_up, reset, ("Retry-After", "30")];
    assert_eq!(refused(&stated), Some(MINUTE / 2));
    let in_ms = [
        used_up,
        reset,
        ("Retry-After", "30"),
        ("Retry-After-Ms", "250"),
    ];
    assert_eq!(refused(&in_ms), Some(Duration::from_millis(250)));
    let passed = refused(&[("Retry-After", "1000000000")]);
    assert_eq!(passed, Some(Duration::ZERO));
    let never = refused(&[("Retry-After", "99000000000")]);
    assert_eq!(never, Some(Duration::from_secs(366 * 86_400)));
}

#[test]
fn a_body_states_a_wait_if_the_rate_is_refused() {
    let google = r#"{"error":{"code":429,"details":[{"retryDelay":"31s"}]}}"#;
    let (_, wait) = throttled(answer_to(Reply::json(google).with_status(429)));
    assert_eq!(wait, Some(Duration::from_secs(31)));
    // The longer of two.
    let both = Reply::text("Please try again in 6m0s").with_status(429);
    let (_, wait) = throttled(answer_to(both.header("Retry-After", "1")));
    assert_eq!(wait, Some(6 * MINUTE));
    let away = Reply::text("Please retry in 1.5s.").with_status(503);
    let (failure, wait) = throttled(answer_to(away));
    assert_eq!(failure.status, Some(503));
    assert_eq!(wait, Some(Duration::from_millis(1500)));
    for status in [400, 403, 500, 502] {
        let other = Reply::text("Please try again in 6m0s").with_status(status);
        failed(answer_to(other));
    }
}

/// Calls a service that always gives this answer, with this expression for waits.
fn ruled(expression: &str, rules: &[&str], reply: Reply) -> Outcome {
    let api = FakeApi::start(move |_| reply.clone());
    let client = Client::post(&api.url()).with(|settings| {
        settings.retry_after = Some(expression.to_owned());
        settings.classes = rules.iter().map(|rule| rule.parse().unwrap()).collect();
    });
    client.call()
}

#[test]
fn an_expression_reads_the_wait_of_a_refusal() {
    let seconds = |n| Some(Duration::from_secs(n));
    let busy = |status| Reply::json(r#"{"wait":{"s":30}}"#).with_status(status);
    let wait = |outcome| throttled(outcome).1;
    // It takes precedence over headers if it returns a number.
    let both = busy(429).header("Retry-After", "5").header("X-Wait", "7");
    assert_eq!(wait(ruled(".wait.s", &[], both.clone())), seconds(30));
    let header = r#"$headers["x-wait"] | tonumber"#;
    assert_eq!(wait(ruled(header, &[], both.clone())), seconds(7));
    for nothing in [".other", "-1", "nan", ".wait", "error"] {
        assert_eq!(wait(ruled(nothing, &[], both.clone())), seconds(5));
    }
    // A date is valid here too.
    let date = busy(429).header("Date", "Tue, 14 Nov 2023 22:13:20 GMT");
    assert_eq!(wait(ruled("1700000040", &[], date)), seconds(40));
    // A 503 is throttling if the expression returns a wait.
    assert_eq!(wait(ruled(".wait.s", &[], busy(503))), seconds(30));
    assert_eq!(
        failed(ruled(".none", &[], busy(503))).class,
        Class::Transient
    );
    // So is a 403 that states a limit, and no other.
    let limit = busy(403).header("Retry-After", "5");
    assert_eq!(wait(ruled(".wait.s", &[], limit)), seconds(30));
    assert_eq!(failed(ruled(".wait.s", &[], busy(403))).class, Class::Auth);
    assert_eq!(
        failed(ruled(".wait.s", &[], busy(500))).class,
        Class::Transient
    );
    // Rules decide for which other answers the expression is evaluated.
    let rules = [
        "status=500:throttled",
        "status=202:throttled",
        "status=503:transient",
    ];
    for status in [500, 202] {
        assert_eq!(wait(ruled(".wait.s", &rules, busy(status))), seconds(30));
    }
    assert_eq!(
        failed(ruled(".wait.s", &rules, busy(503))).class,
        Class::Transient
    );
    // A body may be longer than its kept part.
    let long = format!(r#"{{"text":"{}","wait":{{"s":30}}}}"#, "x".repeat(9000));
    let outcome = ruled(".wait.s", &[], Reply::json(long).with_status(429));
    assert_eq!(outcome.failure().unwrap().body.len(), Failure::BODY_KEPT);
    assert_eq!(wait(outcome), seconds(30));
}

#[test]
fn an_expression_reads_the_wait_of_a_success_that_is_throttled_by_its_words() {
    for (success, expression) in [
        (".ok", ".s"),
        (
            "$headers.none == null and .ok",
            r#"$headers["x-wait"] | tonumber"#,
        ),
    ] {
        let reply = Reply::json(r#"{"ok":false,"why":"busy","s":30}"#).header("X-Wait", "30");
        let api = FakeApi::start(move |_| reply.clone());
        let client = Client::post(&api.url())
            .judged(|judging| judging.success = Some(success.to_owned()))
            .with(|settings| {
                settings.retry_after = Some(expression.to_owned());
                settings.classes = vec!["body~busy:throttled".parse().unwrap()];
            });
        let (_, wait) = throttled(client.call());
        assert_eq!(wait, Some(MINUTE / 2), "{expression}");
    }
}
