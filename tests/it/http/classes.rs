//! The class of a failure, beyond its status.

use std::time::Duration;

use stride::caller::{Caller, Cancel};
use stride::job::{Attempt, Class, Failure, Outcome};

use super::{Client, answer_to, attempt, failed, succeeded, throttled};
use crate::support::{FakeApi, Reply};

fn judged(outcome: Outcome) -> (Class, &'static str, Option<u16>) {
    let Failure {
        class,
        kind,
        status,
        ..
    } = failed(outcome);
    (class, kind.as_str(), status)
}

/// Calls a service that always gives this answer, under these rules.
fn ruled(rules: &[&str], reply: Reply) -> Outcome {
    let api = FakeApi::start(move |_| reply.clone());
    let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
    let client = Client::post(&api.url()).with(|settings| settings.classes = rules);
    client.call()
}

#[test]
fn the_body_tells_a_used_up_allowance() {
    let body = r#"{"error": {"message": "You exceeded your current quota, please check"}}"#;
    for status in [400, 403, 429] {
        let reply = Reply::json(body)
            .with_status(status)
            .header("Retry-After", "1");
        assert_eq!(
            judged(answer_to(reply)),
            (Class::Quota, "quota", Some(status))
        );
    }
    let broken_off = Reply::truncated("insufficient_quota", 100).with_status(429);
    assert_eq!(judged(answer_to(broken_off)).0, Class::Quota);
    assert_eq!(
        judged(answer_to(Reply::status(402))),
        (Class::Quota, "quota", Some(402))
    );

    let throttling = Reply::text("Quota exceeded for the minute").with_status(429);
    assert_eq!(throttled(answer_to(throttling)).0.class, Class::Throttled);
    let result = Reply::json("\"insufficient_quota\"");
    assert_eq!(succeeded(answer_to(result)).status, Some(200));
}

#[test]
fn a_503_with_a_wait_is_throttling() {
    let reply = |wait: &str| Reply::status(503).header("Retry-After", wait);
    assert_eq!(
        throttled(answer_to(reply("1.5"))).1,
        Some(Duration::from_millis(1500))
    );
    let said = ("http_status", Some(503));
    for nonsense in ["soon", "-1", "NaN"] {
        let (class, kind, status) = judged(answer_to(reply(nonsense)));
        assert_eq!((class, (kind, status)), (Class::Transient, said));
    }
}

#[test]
fn a_403_is_throttling_if_headers_and_words_state_a_limit() {
    let (failure, wait) = throttled(answer_to(Reply::status(403).header("Retry-After", "4")));
    assert_eq!(failure.status, Some(403));
    assert_eq!(wait, Some(Duration::from_secs(4)));
    // GitHub's answer at the end of an hourly limit.
    let date = "Tue, 14 Nov 2023 22:13:20 GMT";
    let used_up = |body: &str| {
        Reply::json(body)
            .with_status(403)
            .header("Date", date)
            .header("X-RateLimit-Limit", "60")
            .header("X-RateLimit-Remaining", "0")
            .header("X-RateLimit-Reset", "1700001784")
    };
    let github = r#"{"message":"API rate limit exceeded for 203.0.113.7."}"#;
    let (_, wait) = throttled(answer_to(used_up(github)));
    assert_eq!(wait, Some(Duration::from_secs(1784)));
    // The body may state more.
    let (_, wait) = throttled(answer_to(used_up("\"Rate limit. Retry after 1 hour\"")));
    assert_eq!(wait, Some(Duration::from_secs(3600)));
    // A real 403 states the remaining limit too.
    let other = r#"{"message":"Resource not accessible by integration"}"#;
    assert_eq!(judged(answer_to(used_up(other))).0, Class::Auth);
    assert_eq!(
        judged(answer_to(
            Reply::text("Please retry after 5 seconds").with_status(403)
        ))
        .0,
        Class::Auth
    );
}

#[test]
fn a_429_for_a_file_that_is_too_large_is_not_throttling() {
    let body = r#"{"error":{"message":"Request too large on tokens per min (TPM): Limit 30000, Requested 31538."}}"#;
    let failure = failed(answer_to(
        Reply::json(body)
            .with_status(429)
            .header("Retry-After", "1"),
    ));
    assert_eq!(
        (failure.class, failure.kind.as_str()),
        (Class::Rejected, "too_large")
    );
    assert_eq!(failure.body, body.as_bytes());
    assert!(failure.message.contains("too large"), "{failure:?}");
    let rate = Reply::text("Request rate is large").with_status(429);
    throttled(answer_to(rate));
}

#[test]
fn a_key_can_be_in_use_or_used_up() {
    assert_eq!(
        judged(answer_to(Reply::status(409))),
        (Class::Transient, "conflict", Some(409))
    );
    let api = FakeApi::start(|_| Reply::status(422));
    let client = Client::post(&api.url());
    let job = client.job("a.txt", b"hello");
    let call = |repeat| {
        let attempt = Attempt {
            repeat,
            ..attempt(1)
        };
        judged(client.caller().call(&job, &attempt, &Cancel::new()))
    };
    assert_eq!(call(false), (Class::Rejected, "http_status", Some(422)));
    assert_eq!(call(true), (Class::Rejected, "key_reused", Some(422)));
}

#[test]
fn the_users_rules_come_first() {
    let rules = [
        "body~overloaded:throttled",
        "status=5xx:rejected",
        "status=402:transient",
        "status=202:transient",
        "status=429:quota",
    ];
    let overloaded = Reply::text("{\"type\": \"Overloaded_Error\"}")
        .with_status(529)
        .header("Retry-After", "7");
    let (failure, wait) = throttled(ruled(&rules, overloaded));
    assert_eq!(
        (failure.class, failure.kind.as_str()),
        (Class::Throttled, "http_status")
    );
    assert_eq!(wait, Some(Duration::from_secs(7)));
    for (reply, class) in [
        (Reply::status(500), Class::Rejected),
        (
            Reply::status(503).header("Retry-After", "7"),
            Class::Rejected,
        ),
        (Reply::status(402), Class::Transient),
        (Reply::status(429), Class::Quota),
        (Reply::status(401), Class::Auth),
    ] {
        let (given, kind, _) = judged(ruled(&rules, reply));
        assert_eq!((given, kind), (class, "http_status"));
    }
}

#[test]
fn a_success_can_be_made_a_failure_by_its_status_alone() {
    let rules = ["body~wait:throttled", "status=202:transient"];
    let failure = failed(ruled(&rules, Reply::json("\"wait\"").with_status(202)));
    assert_eq!(
        (failure.class, failure.kind.as_str(), failure.status),
        (Class::Transient, "http_status", Some(202))
    );
    assert_eq!(failure.body, b"\"wait\"");
    assert_eq!(
        succeeded(ruled(&rules, Reply::json("\"wait\""))).status,
        Some(200)
    );
}
