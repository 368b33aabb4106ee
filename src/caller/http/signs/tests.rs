//! Headers of services, row by row, and nonsense.

use std::time::UNIX_EPOCH;

use proptest::prelude::*;

use super::*;

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const HALF_A_MINUTE_LATER: &str = "Sun, 06 Nov 1994 08:50:07 GMT";

fn now() -> SystemTime {
    httpdate::parse_http_date(DATE).unwrap()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn look(headers: &[(&str, &str)]) -> impl Fn(&str) -> Vec<String> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let headers: Vec<(String, String)> = headers.iter().map(own).collect();
    move |name| {
        let same = headers.iter().filter(|(other, _)| other == name);
        same.map(|(_, value)| value.clone()).collect()
    }
}

fn wait_of(headers: &[(&str, &str)]) -> Option<Duration> {
    wait(&look(headers), now())
}

fn hint_of(headers: &[(&str, &str)]) -> Option<Hint> {
    hint(&look(headers), now()).map(|hint| *hint)
}

fn says(policy: Option<(u64, u64)>, remaining: Option<u64>, reset: Option<u64>) -> Option<Hint> {
    Some(Hint {
        policy: policy.map(|(calls, window)| Policy {
            calls,
            window: Duration::from_secs(window),
        }),
        remaining,
        reset: reset.map(Duration::from_secs),
    })
}

#[test]
fn retry_after_is_seconds_or_a_date_by_the_services_own_clock() {
    for (value, wait) in [
        (" 7 ", ms(7000)),
        ("0", ms(0)),
        ("1.5", ms(1500)),
        (HALF_A_MINUTE_LATER, ms(30_000)),
        ("Sun, 06 Nov 1994 08:00:00 GMT", ms(0)),
        ("1000000000000", Duration::from_secs(366 * 86_400)),
        ("99999999999999999999", Duration::from_secs(366 * 86_400)),
        ("1994-11-06T08:50:07Z", ms(30_000)),
        (
            "Sun, 06 Nov 9994 08:00:00 GMT",
            Duration::from_secs(366 * 86_400),
        ),
    ] {
        assert_eq!(wait_of(&[("retry-after", value)]), Some(wait), "{value}");
    }
    let by_its_clock = [
        ("retry-after", HALF_A_MINUTE_LATER),
        ("date", "Sun, 06 Nov 1994 08:50:00 GMT"),
    ];
    assert_eq!(wait_of(&by_its_clock), Some(ms(7000)));
    let nonsense = [
        "-1", "-0", "abc", "NaN", "", " ", "inf", "+1", "1e3", "1.2.3", "7s", "0x10", "1,5", "٣",
    ];
    for nonsense in nonsense {
        assert_eq!(wait_of(&[("retry-after", nonsense)]), None, "{nonsense}");
        assert_eq!(wait_of(&[("retry-after-ms", nonsense)]), None, "{nonsense}");
    }
}

#[test]
fn milliseconds_come_first_and_the_reset_of_what_is_used_up_last() {
    let both = [("retry-after", "2"), ("retry-after-ms", "1234")];
    assert_eq!(wait_of(&both), Some(ms(1234)));
    let one_is_nonsense = [("retry-after", "2"), ("retry-after-ms", "soon")];
    assert_eq!(wait_of(&one_is_nonsense), Some(ms(2000)));
    assert_eq!(
        wait_of(&[("retry-after", "2"), ("x-ratelimit-reset", "9")]),
        Some(ms(2000))
    );
    assert_eq!(wait_of(&[("x-ratelimit-reset", "9")]), Some(ms(9000)));
    let used_up = [
        ("ratelimit", "\"day\";r=7;t=80000, \"burst\";r=0;t=3"),
        ("x-ratelimit-remaining-tokens", "0"),
        ("x-ratelimit-reset-tokens", "6m0s"),
    ];
    assert_eq!(
        wait_of(&used_up),
        Some(ms(360_000)),
        "all of it has to be whole"
    );
    let some_left = [("x-ratelimit-remaining", "4"), ("x-ratelimit-reset", "9")];
    assert_eq!(wait_of(&some_left), None);
}

#[test]
fn every_generation_of_the_draft_is_read() {
    let structured = [
        (
            "ratelimit-policy",
            "\"burst\";q=100;w=60, \"daily\";q=5000;w=86400",
        ),
        ("ratelimit", "\"burst\";r=50;t=30"),
    ];
    assert_eq!(
        hint_of(&structured),
        says(Some((100, 60)), Some(50), Some(30))
    );
    let in_lines = [
        ("ratelimit-policy", "\"a,b;c\\\"\" ; q=5000 ; w=86400"),
        ("ratelimit-policy", "\"burst\";w=60;q=100;pk=:c3RyaWRl=:"),
        ("ratelimit", "\"daily\";r=4;t=8000"),
        ("ratelimit", "\"burst\";r=50;t=30"),
    ];
    assert_eq!(
        hint_of(&in_lines),
        says(Some((100, 60)), Some(4), Some(8000))
    );
    let version_07 = [
        ("ratelimit", "limit=100, remaining=50, reset=5"),
        ("ratelimit-policy", "100;w=60"),
    ];
    assert_eq!(
        hint_of(&version_07),
        says(Some((100, 60)), Some(50), Some(5))
    );
    let three = [
        ("ratelimit-limit", "100, 100;w=60"),
        ("ratelimit-remaining", "50"),
        ("ratelimit-reset", "5"),
    ];
    assert_eq!(hint_of(&three), says(Some((100, 60)), Some(50), Some(5)));
    let bare = [("ratelimit-limit", "100")];
    assert_eq!(hint_of(&bare), None, "a limit without a window is none");
}

#[test]
fn what_does_not_count_calls_counts_only_where_nothing_is_left() {
    let policy = (
        "ratelimit-policy",
        "\"bytes\";q=9;w=1;qu=\"content-bytes\", \"calls\";q=8;w=60;qu=\"requests\"",
    );
    let left = [
        policy,
        ("ratelimit", "\"bytes\";r=1;t=9, \"calls\";r=5;t=7"),
    ];
    assert_eq!(hint_of(&left), says(Some((8, 60)), Some(5), Some(7)));
    let none_left = [
        policy,
        ("ratelimit", "\"bytes\";r=0;t=9, \"calls\";r=5;t=7"),
    ];
    assert_eq!(hint_of(&none_left), says(Some((8, 60)), Some(0), Some(9)));
    let tokens = |remaining| {
        hint_of(&[
            ("x-ratelimit-limit-tokens", "9000;w=1"),
            ("x-ratelimit-remaining-tokens", remaining),
            ("x-ratelimit-reset-tokens", "8s"),
            ("x-ratelimit-remaining-requests", "3"),
            ("x-ratelimit-reset-requests", "2s"),
        ])
    };
    assert_eq!(tokens("1"), says(None, Some(3), Some(2)));
    assert_eq!(tokens("0"), says(None, Some(0), Some(8)));
}

#[test]
fn customary_names_are_read() {
    for before in ["x-ratelimit", "x-rate-limit"] {
        for after in ["", "-requests"] {
            let names =
                ["limit", "remaining", "reset"].map(|name| format!("{before}-{name}{after}"));
            let headers = [
                (names[0].as_str(), "100"),
                (names[1].as_str(), "50"),
                (names[2].as_str(), "5"),
            ];
            assert_eq!(
                hint_of(&headers),
                says(None, Some(50), Some(5)),
                "{names:?}"
            );
        }
    }
    for (word, window) in WINDOWS {
        let name = format!("x-ratelimit-limit-{word}");
        let headers = [(name.as_str(), "10"), ("x-rate-limit-limit-day", "500")];
        let expected = says(Some((10, window)), None, None);
        assert_eq!(hint_of(&headers), expected, "{name}");
    }
    let zero = [
        ("x-ratelimit-limit-minute", "0"),
        ("ratelimit-policy", "5;w=0"),
    ];
    assert_eq!(hint_of(&zero), None);
    assert_eq!(hint_of(&[]), None);
}

#[test]
fn long_headers_hold_nobody_up() {
    let list = "x;r=1,".repeat(100_000) + "y;r=0;t=3";
    let policies = "a;qu=b,".repeat(100_000) + "y;qu=b";
    // In a time that grew with their product this would not end.
    let headers = [("ratelimit", &*list), ("ratelimit-policy", &*policies)];
    assert_eq!(hint_of(&headers), says(None, Some(0), Some(3)));
}

/// The table of the module, row by row, as services send them.
#[test]
fn services_state_waits_in_their_own_headers() {
    // The tests' clock is before 2001, when a moment in seconds looks like a wait.
    let date = ("date", "Tue, 14 Nov 2023 22:13:20 GMT");
    for (headers, expected) in [
        (vec![("retry-after", "1700000030"), date], 30_000),
        (vec![("retry-after", "1700000030000"), date], 30_000),
        (vec![("retry-after", "1600000000"), date], 0),
        (vec![("retry-after", "2023-11-14T22:13:27Z"), date], 7_000),
        (vec![("retry-after-ms", "250"), ("retry-after", "1")], 250),
        (vec![("x-ms-retry-after-ms", "33")], 33),
        (vec![("x-ms-retry-after-ms", "1700000000500"), date], 500),
        (vec![("x-amz-retry-after", "1500")], 1_500),
        // GitHub.
        (
            vec![
                ("x-ratelimit-limit", "5000"),
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-used", "5000"),
                ("x-ratelimit-reset", "1700001784"),
                date,
            ],
            1_784_000,
        ),
        // GitLab.
        (
            vec![
                ("ratelimit-remaining", "0"),
                ("ratelimit-reset", "1700000060"),
                date,
            ],
            60_000,
        ),
        // X.
        (
            vec![
                ("x-rate-limit-remaining", "0"),
                ("x-rate-limit-reset", "1700000900"),
                date,
            ],
            900_000,
        ),
        // OpenAI: the tokens are used up, the requests are not.
        (
            vec![
                ("x-ratelimit-remaining-requests", "59"),
                ("x-ratelimit-reset-requests", "1s"),
                ("x-ratelimit-remaining-tokens", "0"),
                ("x-ratelimit-reset-tokens", "6m0s"),
            ],
            360_000,
        ),
        (
            vec![
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", "120ms"),
            ],
            120,
        ),
        // Anthropic.
        (
            vec![
                ("anthropic-ratelimit-requests-limit", "50"),
                ("anthropic-ratelimit-requests-remaining", "0"),
                ("anthropic-ratelimit-requests-reset", "2023-11-14T22:13:50Z"),
                ("anthropic-ratelimit-input-tokens-remaining", "900"),
                (
                    "anthropic-ratelimit-input-tokens-reset",
                    "2023-11-14T22:14:50Z",
                ),
                date,
            ],
            30_000,
        ),
        (
            vec![
                ("anthropic-ratelimit-requests-remaining", "49"),
                ("anthropic-ratelimit-requests-reset", "2023-11-14T22:13:21Z"),
                ("anthropic-ratelimit-output-tokens-remaining", "0"),
                (
                    "anthropic-ratelimit-output-tokens-reset",
                    "2023-11-14T22:14:50Z",
                ),
                date,
            ],
            90_000,
        ),
        // Moments that have passed.
        (
            vec![
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "2020-01-01T00:00:00Z"),
                date,
            ],
            0,
        ),
    ] {
        assert_eq!(wait_of(&headers), Some(ms(expected)), "{headers:?}");
        assert!(headers.iter().any(|(name, _)| is_one(name)), "{headers:?}");
    }
}

#[test]
fn every_header_that_is_looked_for_is_a_sign() {
    let asked = std::cell::RefCell::new(Vec::new());
    let look = |name: &str| {
        asked.borrow_mut().push(name.to_owned());
        Vec::new()
    };
    let (wait, hint) = (wait(&look, now()), hint(&look, now()));
    assert!(wait.is_none() && hint.is_none());
    for name in asked.into_inner() {
        assert!(is_one(&name) || name == "date", "{name}");
    }
}

#[test]
fn calls_a_second_are_a_limit() {
    let policy = |value| hint_of(&[("x-amzn-ratelimit-limit", value)]).and_then(|hint| hint.policy);
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
fn a_bodys_wait_is_judged_by_the_services_clock() {
    let look = look(&[("date", "Tue, 14 Nov 2023 22:13:20 GMT")]);
    let body = br#"{"retryAfterSeconds":1700000030}"#;
    assert_eq!(stated_by_body(body, clock(&look, now())), Some(ms(30_000)));
    assert_eq!(stated_by_body(b"retry after lunch", now()), None);
}

proptest! {
    /// Whatever a body says, it states a wait of at most a year, or none.
    #[test]
    fn no_body_is_too_much(
        before in "(retryDelay|retryAfterSeconds|try again in|Retry in|retry after)?",
        value in prop_oneof![
            any::<String>(),
            "[ \"':=~-]{0,3}[0-9]{0,400}\\.?[0-9]{0,9} ?(ms|s|m|h|d|seconds|and|days)?",
        ],
    ) {
        let body = format!("{before}{value}");
        let wait = stated_by_body(body.as_bytes(), now());
        prop_assert!(wait.is_none_or(|wait| wait <= Duration::from_secs(366 * 86_400)));
    }

    /// Whatever a service sends, it is read or it is not, and nothing takes longer than a year.
    #[test]
    fn nothing_that_a_service_sends_is_too_much(
        value in prop_oneof![
            any::<String>(),
            "[\"\\\\,;=:.0-9 qwrtu-]{0,40}",
            "[0-9]{0,400}\\.?[0-9]{0,9}(ms|s|m|h|d|µs)?",
        ],
        after_1970 in any::<u32>(),
    ) {
        let everywhere = |_: &str| vec![value.clone(), value.clone()];
        let now = UNIX_EPOCH + Duration::from_secs(after_1970.into());
        let most = Duration::from_secs(366 * 86_400);
        prop_assert!(wait(&everywhere, now).is_none_or(|wait| wait <= most));
        if let Some(hint) = hint(&everywhere, now) {
            prop_assert!(!hint.is_empty());
            prop_assert!(hint.reset.is_none_or(|reset| reset <= most));
            let sane = |policy: Policy| policy.calls > 0 && !policy.window.is_zero() && policy.window <= most;
            prop_assert!(hint.policy.is_none_or(sane));
        }
    }
}
