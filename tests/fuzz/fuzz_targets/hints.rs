//! Parses any answer about waiting. The wait is neither negative nor longer than a year.

#![no_main]

use std::time::{Duration, UNIX_EPOCH};

use libfuzzer_sys::fuzz_target;
use stride::caller::fuzzing::said;

const MOST: Duration = Duration::from_secs(366 * 86_400);

/// The known names, so that a byte can choose a header.
const NAMES: [&str; 26] = [
    "retry-after",
    "retry-after-ms",
    "date",
    "ratelimit",
    "ratelimit-policy",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
    "x-rate-limit-limit-minute",
    "x-rate-limit-remaining",
    "x-rate-limit-reset",
    "x-ms-retry-after-ms",
    "x-amz-retry-after",
    "x-amzn-ratelimit-limit",
    "anthropic-ratelimit-requests-remaining",
    "anthropic-ratelimit-requests-reset",
    "anthropic-ratelimit-input-tokens-reset",
];

fuzz_target!(|input: (u32, &str)| {
    let (after_1970, text) = input;
    // One header on each line, whose first letter chooses the name.
    let headers: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| {
            let first = line.chars().next()?;
            let name = NAMES[(first as usize).checked_sub('A' as usize)? % NAMES.len()];
            Some((name, &line[first.len_utf8()..]))
        })
        .collect();
    let now = UNIX_EPOCH + Duration::from_secs(after_1970.into());
    let what = said(&headers, text.as_bytes(), now);
    assert_eq!(what, said(&headers, text.as_bytes(), now));
    assert!(what.wait.is_none_or(|wait| wait <= MOST));
    assert!(what.by_body.is_none_or(|wait| wait <= MOST));
    assert!(what.stated.is_none_or(|stated| what.wait == Some(stated)));
    if let Some(hint) = what.hint {
        assert!(!hint.is_empty());
        assert!(hint.reset.is_none_or(|reset| reset <= MOST));
        if let Some(policy) = hint.policy {
            assert!(policy.calls > 0 && !policy.window.is_zero() && policy.window <= MOST);
        }
    }
    if headers.is_empty() {
        assert!(what.wait.is_none() && what.hint.is_none());
    }
});
