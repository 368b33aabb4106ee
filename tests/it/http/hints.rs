//! What a service says about its limits.

use std::time::Duration;

use stride::job::{Hint, Policy};

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
    }))
}

#[test]
fn every_answer_carries_what_it_says_about_limits() {
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
fn an_answer_that_is_too_large_says_it_too() {
    let api = FakeApi::start(|_| limited(Reply::text("0123456789")));
    let client = Client::post(&api.url()).with(|settings| settings.max_response = 5);
    assert_eq!(failed(client.call()).hint, expected());
}

#[test]
fn a_refusal_waits_for_the_reset_of_what_is_used_up() {
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
fn a_body_states_a_wait_where_calls_are_refused_for_their_rate() {
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
