//! Headers as services send them, row by row, and nonsense.

use std::time::UNIX_EPOCH;

use proptest::prelude::*;

use super::*;

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
/// The longest wait, in milliseconds.
const MOST: u64 = 366 * 86_400_000;

fn now() -> SystemTime {
    httpdate::parse_http_date(DATE).unwrap()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Reads headers written as `name: value | name: value`.
fn signs(headers: &str) -> Signs {
    let headers = headers.split('|').filter_map(|header| {
        let (name, value) = header.split_once(':')?;
        Some((name.trim(), value.strip_prefix(' ').unwrap_or(value)))
    });
    let headers: Vec<(&str, &str)> = headers.collect();
    let get_all = |name: &str| {
        let same = headers.iter().filter(|(other, _)| *other == name);
        same.map(|(_, value)| (*value).to_owned()).collect()
    };
    Signs::read(headers.iter().map(|(name, _)| *name), &get_all, now())
}

fn hint_of(headers: &str) -> Option<Hint> {
    signs(headers).hint.map(|hint| *hint)
}

fn hint(policy: Option<(u64, u64)>, remaining: Option<u64>, reset: Option<u64>) -> Option<Hint> {
    Some(Hint {
        policy: policy.map(|(calls, window)| Policy {
            calls,
            window: Duration::from_secs(window),
        }),
        remaining,
        reset: reset.map(Duration::from_secs),
        ..Hint::default()
    })
}

/// Covers the table in the module's documentation.
#[test]
fn services_state_waits_in_their_own_headers() {
    // Unix times in seconds look like waits before 2001, which is when `now` is.
    let date = " | date: Tue, 14 Nov 2023 22:13:20 GMT";
    for (headers, wait) in [
        ("retry-after:  7 ", Some(7_000)),
        ("retry-after: 0", Some(0)),
        ("retry-after: 1.5", Some(1_500)),
        ("retry-after: Sun, 06 Nov 1994 08:50:07 GMT", Some(30_000)),
        ("retry-after: Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
        ("retry-after: Sun, 06 Nov 9994 08:00:00 GMT", Some(MOST)),
        ("retry-after: 1994-11-06T08:50:07Z", Some(30_000)),
        ("retry-after: 1000000000000", Some(MOST)),
        ("retry-after: 99999999999999999999", Some(MOST)),
        (
            "retry-after: Sun, 06 Nov 1994 08:50:07 GMT | date: Sun, 06 Nov 1994 08:50:00 GMT",
            Some(7_000),
        ),
        ("retry-after: 1700000030 DATE", Some(30_000)),
        ("retry-after: 1700000030000 DATE", Some(30_000)),
        ("retry-after: 1600000000 DATE", Some(0)),
        ("retry-after: 2023-11-14T22:13:27Z DATE", Some(7_000)),
        ("retry-after: 2 | retry-after-ms: 1234", Some(1_234)),
        ("retry-after: 2 | retry-after-ms: soon", Some(2_000)),
        ("x-ms-retry-after-ms: 33", Some(33)),
        ("x-ms-retry-after-ms: 1700000000500 DATE", Some(500)),
        ("x-amz-retry-after: 1500", Some(1_500)),
        ("retry-after: 2 | x-ratelimit-reset: 9", Some(2_000)),
        ("x-ratelimit-reset: 9", Some(9_000)),
        ("x-ratelimit-remaining: 4 | x-ratelimit-reset: 9", None),
        // GitHub.
        (
            "x-ratelimit-limit: 5000 | x-ratelimit-remaining: 0 | x-ratelimit-used: 5000 | x-ratelimit-reset: 1700001784 DATE",
            Some(1_784_000),
        ),
        // GitLab.
        (
            "ratelimit-remaining: 0 | ratelimit-reset: 1700000060 DATE",
            Some(60_000),
        ),
        // X.
        (
            "x-rate-limit-remaining: 0 | x-rate-limit-reset: 1700000900 DATE",
            Some(900_000),
        ),
        // OpenAI, out of tokens, then out of requests.
        (
            "x-ratelimit-remaining-requests: 59 | x-ratelimit-reset-requests: 1s | x-ratelimit-remaining-tokens: 0 | x-ratelimit-reset-tokens: 6m0s",
            Some(360_000),
        ),
        (
            "x-ratelimit-remaining-requests: 0 | x-ratelimit-reset-requests: 120ms",
            Some(120),
        ),
        // Anthropic, out of requests, then out of tokens.
        (
            "anthropic-ratelimit-requests-limit: 50 | anthropic-ratelimit-requests-remaining: 0 | anthropic-ratelimit-requests-reset: 2023-11-14T22:13:50Z | anthropic-ratelimit-input-tokens-remaining: 900 | anthropic-ratelimit-input-tokens-reset: 2023-11-14T22:14:50Z DATE",
            Some(30_000),
        ),
        (
            "anthropic-ratelimit-requests-remaining: 49 | anthropic-ratelimit-requests-reset: 2023-11-14T22:13:21Z | anthropic-ratelimit-output-tokens-remaining: 0 | anthropic-ratelimit-output-tokens-reset: 2023-11-14T22:14:50Z DATE",
            Some(90_000),
        ),
        (
            "x-ratelimit-remaining: 0 | x-ratelimit-reset: 2020-01-01T00:00:00Z DATE",
            Some(0),
        ),
        // Two limits are exhausted.
        (
            "ratelimit: \"day\";r=7;t=80000, \"burst\";r=0;t=3 | x-ratelimit-remaining-tokens: 0 | x-ratelimit-reset-tokens: 6m0s",
            Some(360_000),
        ),
    ] {
        let headers = headers.replace(" DATE", date);
        assert_eq!(signs(&headers).wait, wait.map(ms), "{headers}");
    }
    let nonsense = [
        "-1", "-0", "abc", "NaN", "", " ", "inf", "+1", "1e3", "1.2.3", "7s", "0x10", "1,5", "٣",
    ];
    for nonsense in nonsense {
        for name in ["retry-after", "retry-after-ms"] {
            let headers = format!("{name}: {nonsense}");
            assert_eq!(signs(&headers).wait, None, "{headers}");
        }
    }
}

#[test]
fn limits_are_read_from_all_their_headers() {
    let units = "ratelimit-policy: \"bytes\";q=9;w=1;qu=\"content-bytes\", \"calls\";q=8;w=60;qu=\"requests\" | ";
    let tokens = "x-ratelimit-limit-tokens: 9000;w=1 | x-ratelimit-reset-tokens: 8s | x-ratelimit-remaining-requests: 3 | x-ratelimit-reset-requests: 2s | ";
    for (headers, expected) in [
        // Version 08 and later of the draft.
        (
            "ratelimit-policy: \"burst\";q=100;w=60, \"daily\";q=5000;w=86400 | ratelimit: \"burst\";r=50;t=30",
            hint(Some((100, 60)), Some(50), Some(30)),
        ),
        (
            "ratelimit-policy: \"a,b;c\\\"\" ; q=5000 ; w=86400 | ratelimit-policy: \"burst\";w=60;q=100;pk=:c3RyaWRl=: | ratelimit: \"daily\";r=4;t=8000 | ratelimit: \"burst\";r=50;t=30",
            hint(Some((100, 60)), Some(4), Some(8000)),
        ),
        // Version 07.
        (
            "ratelimit: limit=100, remaining=50, reset=5 | ratelimit-policy: 100;w=60",
            hint(Some((100, 60)), Some(50), Some(5)),
        ),
        // Earlier versions.
        (
            "ratelimit-limit: 100, 100;w=60 | ratelimit-remaining: 50 | ratelimit-reset: 5",
            hint(Some((100, 60)), Some(50), Some(5)),
        ),
        // A limit without a window.
        ("ratelimit-limit: 100", None),
        // Other units than calls.
        (
            "UNITS ratelimit: \"bytes\";r=1;t=9, \"calls\";r=5;t=7",
            hint(Some((8, 60)), Some(5), Some(7)),
        ),
        (
            "UNITS ratelimit: \"bytes\";r=0;t=9, \"calls\";r=5;t=7",
            hint(Some((8, 60)), Some(0), Some(9)),
        ),
        (
            "TOKENS x-ratelimit-remaining-tokens: 1",
            hint(None, Some(3), Some(2)),
        ),
        (
            "TOKENS x-ratelimit-remaining-tokens: 0",
            hint(None, Some(0), Some(8)),
        ),
        (
            "x-ratelimit-limit-minute: 0 | ratelimit-policy: 5;w=0",
            None,
        ),
        ("", None),
    ] {
        let headers = headers.replace("UNITS ", units).replace("TOKENS ", tokens);
        assert_eq!(hint_of(&headers), expected, "{headers}");
    }
    for before in ["x-ratelimit", "x-rate-limit"] {
        for after in ["", "-requests"] {
            let headers = format!(
                "{before}-limit{after}: 100 | {before}-remaining{after}: 50 | {before}-reset{after}: 5"
            );
            assert_eq!(
                hint_of(&headers),
                hint(None, Some(50), Some(5)),
                "{headers}"
            );
        }
    }
    for (word, window) in WINDOWS {
        let headers = format!("x-ratelimit-limit-{word}: 10 | x-rate-limit-limit-day: 500");
        assert_eq!(
            hint_of(&headers),
            hint(Some((10, window)), None, None),
            "{headers}"
        );
    }
}

#[test]
fn calls_per_second_are_a_limit() {
    let policy =
        |value| hint_of(&format!("x-amzn-ratelimit-limit: {value}")).and_then(|hint| hint.policy);
    for (value, calls, window) in [
        ("5.0", 5, ms(1000)),
        ("0.5", 1, ms(2000)),
        ("2.5", 2, ms(800)),
    ] {
        assert_eq!(policy(value), Some(Policy { calls, window }), "{value}");
    }
    for nonsense in ["0", "-1", "often", "NaN"] {
        assert_eq!(policy(nonsense), None, "{nonsense}");
    }
}

#[test]
fn long_headers_take_linear_time() {
    let list = "x;r=1,".repeat(100_000) + "y;r=0;t=3";
    let policies = "a;qu=b,".repeat(100_000) + "y;qu=b";
    // In quadratic time this would not end.
    let headers = format!("ratelimit: {list} | ratelimit-policy: {policies}");
    assert_eq!(hint_of(&headers), hint(None, Some(0), Some(3)));
}

#[test]
fn every_header_that_is_read_is_a_sign() {
    let asked = std::cell::RefCell::new(Vec::new());
    let get_all = |name: &str| {
        asked.borrow_mut().push(name.to_owned());
        Vec::new()
    };
    let signs = Signs::read(["retry-after"], &get_all, now());
    assert!(signs.wait.is_none() && signs.hint.is_none());
    for name in asked.into_inner() {
        assert!(is_one(&name) || name == "date", "{name}");
    }
}

#[test]
fn a_wait_in_a_body_is_relative_to_the_services_clock() {
    let clock = signs("date: Tue, 14 Nov 2023 22:13:20 GMT").clock;
    let body = br#"{"retryAfterSeconds":1700000030}"#;
    assert_eq!(stated_wait(body, clock), Some(ms(30_000)));
    assert_eq!(stated_wait(b"retry after lunch", now()), None);
}

proptest! {
    #[test]
    fn no_body_states_more_than_the_longest_wait(
        before in "(retryDelay|retryAfterSeconds|try again in|Retry in|retry after)?",
        value in prop_oneof![
            any::<String>(),
            "[ \"':=~-]{0,3}[0-9]{0,400}\\.?[0-9]{0,9} ?(ms|s|m|h|d|seconds|and|days)?",
        ],
    ) {
        let body = format!("{before}{value}");
        let wait = stated_wait(body.as_bytes(), now());
        prop_assert!(wait.is_none_or(|wait| wait <= ms(MOST)));
    }

    #[test]
    fn no_header_states_more_than_the_longest_wait(
        value in prop_oneof![
            any::<String>(),
            "[\"\\\\,;=:.0-9 qwrtu-]{0,40}",
            "[0-9]{0,400}\\.?[0-9]{0,9}(ms|s|m|h|d|µs)?",
        ],
        after_1970 in any::<u32>(),
    ) {
        let everywhere = |_: &str| vec![value.clone(), value.clone()];
        let now = UNIX_EPOCH + Duration::from_secs(after_1970.into());
        let signs = Signs::read(["retry-after"], &everywhere, now);
        prop_assert!(signs.wait.is_none_or(|wait| wait <= ms(MOST)));
        if let Some(hint) = signs.hint {
            prop_assert!(!hint.is_empty());
            prop_assert!(hint.reset.is_none_or(|reset| reset <= ms(MOST)));
            let sane = |policy: Policy| policy.calls > 0 && !policy.window.is_zero() && policy.window <= ms(MOST);
            prop_assert!(hint.policy.is_none_or(sane));
        }
    }
}
