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

proptest! {
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
