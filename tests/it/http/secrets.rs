//! Secrets are sent, and occur nowhere else.

use std::sync::Arc;

use stride::caller::Credential;
use stride::job::{Failure, Outcome};
use stride::settings::HeaderValue;

use super::{Client, SECRET, failed, succeeded};
use crate::support::{FakeApi, Reply};

/// A client whose secret is in a header by reference.
fn with_reference(url: &str) -> Client {
    Client::post(url).template("Authorization", "Bearer {env:SECRET}")
}

/// Returns whether a significant part of the secret, at least half of it, occurs in this text.
fn shows(text: &[u8]) -> bool {
    let half = SECRET.len() / 2;
    SECRET
        .as_bytes()
        .windows(half)
        .any(|part| text.windows(half).any(|window| window == part))
}

#[test]
fn a_reference_and_a_credential_are_sent_as_their_values() {
    let api = FakeApi::start(|_| Reply::json(1));
    let client = with_reference(&format!("{}/?key={{env:SECRET}}", api.url()));
    succeeded(client.call());
    let request = api.log().pop().unwrap().request;
    assert_eq!(
        request.header("authorization"),
        Some(format!("Bearer {SECRET}").as_str())
    );
    assert_eq!(
        request.target,
        "/?key=s3cr3t%2Ft0ken%2Bof-forty-characters-exactly"
    );

    let mut client = Client::post(&api.url()).header("authorization", HeaderValue::Withheld);
    client.credentials = vec![Credential {
        name: "Authorization".to_owned(),
        value: Credential::basic(b"Aladdin:open sesame"),
    }];
    succeeded(client.call());
    let request = api.log().pop().unwrap().request;
    assert_eq!(
        request.header("authorization"),
        Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
    );
}

#[test]
fn echoed_secrets_are_masked_in_failures() {
    let api = FakeApi::start(|request| {
        let authorization = request.header("authorization").unwrap().to_owned();
        let echo = format!("you sent {authorization} to {}", request.target);
        match request.attempt {
            0 => Reply::text(&echo).with_status(401),
            1 => Reply::text(&echo).with_status(429),
            2 => Reply::json(&echo),
            _ => Reply::status(302).header("Location", format!("/login?key={SECRET}")),
        }
    });
    let client = with_reference(&format!("{}/?key={{env:SECRET}}", api.url()));
    for _ in 0..4 {
        let outcome = client.call();
        let failure = outcome.failure().unwrap();
        let whole = format!("{outcome:?} {}", String::from_utf8_lossy(&failure.body));
        assert!(
            !shows(whole.as_bytes()) && !whole.contains("s3cr3t%2F"),
            "{whole}"
        );
        assert!(
            failure.body.is_empty() || whole.contains("[redacted]"),
            "{whole}"
        );
    }
    assert!(
        failed(client.call())
            .message
            .contains("/login?key=[redacted]")
    );
}

#[test]
fn a_literal_credential_is_masked_whole_and_word_by_word() {
    let api = FakeApi::start(|request| {
        Reply::text(request.header("x-api-key").unwrap()).with_status(403)
    });
    let mut client = Client::post(&api.url()).header("X-Api-Key", HeaderValue::Withheld);
    client.credentials = vec![Credential {
        name: "x-api-key".to_owned(),
        value: format!("Token {SECRET}"),
    }];
    assert_eq!(failed(client.call()).body, b"[redacted]");
    assert!(!format!("{:?} {:?}", client.credentials, client.plan()).contains(SECRET));
}

/// At any position in the body, including across the end of its kept part.
#[test]
fn no_part_of_a_secret_remains_at_the_end_of_a_kept_body() {
    let echo = |body: String| {
        let body = Arc::new(body);
        let api = FakeApi::start(move |_| Reply::text(&body).with_status(400));
        failed(with_reference(&api.url()).call()).body
    };
    for before in (Failure::BODY_KEPT - SECRET.len() - 20)..Failure::BODY_KEPT + 20 {
        if before % 7 == 0 {
            let kept = echo(format!("{}{SECRET}{}", "x".repeat(before), "y".repeat(200)));
            assert!(!shows(&kept), "after {before} bytes");
            assert!(kept.len() <= Failure::BODY_KEPT);
        }
    }
    // Each masked secret makes room for more of the following text.
    for distance in [0, 1, 7, 30] {
        let kept = echo(format!("{SECRET}{}", "x".repeat(distance)).repeat(300));
        assert!(
            !shows(&kept),
            "every {distance} bytes: {}",
            String::from_utf8_lossy(&kept[kept.len() - 80..])
        );
    }
}

#[test]
fn a_success_is_kept_byte_for_byte_even_if_it_echoes_secrets() {
    let api = FakeApi::start(|_| Reply::json(format!("\"{SECRET}\"")));
    let Outcome::Succeeded(answer) = with_reference(&api.url()).call() else {
        panic!("it failed")
    };
    assert_eq!(answer.body, format!("\"{SECRET}\"").into_bytes());
}

#[test]
fn a_plan_shows_no_secret() {
    let client = with_reference("http://127.0.0.1/?key={env:SECRET}");
    let plan = client.plan().unwrap();
    assert!(!shows(
        format!("{plan:?} {:?}", plan.caller().unwrap()).as_bytes()
    ));
    let mut bad = with_reference("http://127.0.0.1/");
    bad.request.url = "no-scheme/{env:SECRET}".to_owned();
    let error = bad.plan().unwrap_err();
    assert!(!shows(format!("{error} {error:?}").as_bytes()), "{error}");
}
