//! Words of a refusal's body that say what is to blame: a limit, or the file.

use crate::failure_class::contains;

/// Words of a limit, in lower case and with spaces for `-` and `_`.
const OF_LIMITS: [&str; 5] = [
    "rate limit",
    "ratelimit",
    "too many requests",
    "throttl",
    "request limit exceeded",
];
/// Windows that make a quota a limit.
const OF_QUOTAS: [&str; 4] = ["per second", "per minute", "per hour", "per day"];
/// Words that no refusal has but that of a limit: those of GitHub and Google, which say it with a 403 that need not
/// have any header for it.
const SURE: [&str; 2] = ["secondary rate limit", "ratelimitexceeded"];

/// How far a body's words speak of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Speaks {
    /// Not at all.
    No,
    /// In words that another refusal could have too.
    Perhaps,
    /// In words that no other refusal has.
    Surely,
}

/// Returns how far the words of a body speak of a limit. Addresses in it, such as that of a page about limits, do not
/// count.
pub(in super::super) fn speaks_of_limit(body: &[u8]) -> Speaks {
    let text = String::from_utf8_lossy(body).to_ascii_lowercase();
    let words: Vec<&str> = text
        .split([' ', '\t', '\r', '\n', '"', '\'', '<', '>', '(', ')', ','])
        .filter(|word| !word.is_empty() && !word.contains("//"))
        .collect();
    let text = words.join(" ").replace(['-', '_'], " ");
    let has = |words: &[&str]| words.iter().any(|words| text.contains(words));
    if has(&SURE) {
        Speaks::Surely
    } else if has(&OF_LIMITS) || text.contains("quota") && has(&OF_QUOTAS) {
        Speaks::Perhaps
    } else {
        Speaks::No
    }
}

/// Words by which a refusal says that the request itself is larger than a limit, so that no waiting helps.
const TOO_LARGE: [&str; 3] = [
    "request too large",
    "reduce the length of",
    "reduce your message size",
];
/// Words that say the same unless a rate is what has to be reduced.
const REDUCED: &str = "must be reduced";
/// How far before those words a rate would be named, in bytes.
const NAMED_BEFORE: usize = 60;
const RATES: [&[u8]; 5] = [b"rate", b"frequen", b"concurren", b"number of", b"calls"];

/// Returns whether the words of a body say that the file itself is too large for the service's limit.
pub(in super::super) fn too_large(body: &[u8]) -> bool {
    if TOO_LARGE.iter().any(|words| contains(body, words)) {
        return true;
    }
    let text = body.to_ascii_lowercase();
    let found = text
        .windows(REDUCED.len())
        .position(|window| window == REDUCED.as_bytes());
    found.is_some_and(|at| {
        let before = &text[at.saturating_sub(NAMED_BEFORE)..at];
        // The sentence that the words stand in.
        let start = before.iter().rposition(|byte| b".!\"\n".contains(byte));
        let sentence = &before[start.map_or(0, |start| start + 1)..];
        let names = |rate: &[u8]| sentence.windows(rate.len()).any(|window| window == rate);
        !RATES.iter().any(|rate| names(rate))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_told_by_words_that_are_no_address() {
        for (body, speaks) in [
            ("API rate limit exceeded for user ID 1.", Speaks::Perhaps),
            (r#"{"code":"RATE_LIMIT_REACHED"}"#, Speaks::Perhaps),
            ("Too Many Requests", Speaks::Perhaps),
            ("ThrottlingException", Speaks::Perhaps),
            (
                "Quota exceeded for quota metric 'Read requests' per minute",
                Speaks::Perhaps,
            ),
            ("You have exceeded a secondary rate limit.", Speaks::Surely),
            (r#"{"reason":"userRateLimitExceeded"}"#, Speaks::Surely),
            ("Resource not accessible by integration", Speaks::No),
            (
                r#"{"message":"Must have admin rights","documentation_url":"https://docs.example/rate-limits"}"#,
                Speaks::No,
            ),
            ("quotaExceeded", Speaks::No),
            ("The key expired on Friday", Speaks::No),
        ] {
            assert_eq!(speaks_of_limit(body.as_bytes()), speaks, "{body}");
        }
    }

    #[test]
    fn a_request_that_is_too_large_is_told_from_a_rate_that_is() {
        for body in [
            "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 31538.",
            "Limit 30000, Requested 31538. The input or output tokens must be reduced in order to run successfully.",
            "Please reduce the length of the messages or completion.",
            "Request too large for model, please reduce your message size and try again.",
        ] {
            assert!(too_large(body.as_bytes()), "{body}");
        }
        for body in [
            "",
            "Request rate is large",
            "The request rate is too large. Please retry after sometime.",
            "RequestRateTooLarge",
            "The request rate must be reduced.",
            "The number of requests in flight must be reduced",
            "Your concurrency must be reduced",
            "This request would exceed the rate limit for your organization of 20,000 input tokens per minute. Please reduce the prompt length or the maximum tokens requested, or try again later.",
            "Rate limit reached for gpt-4: Limit 10000, Used 9000, Requested 3000. Please try again in 6s.",
        ] {
            assert!(!too_large(body.as_bytes()), "{body}");
        }
    }
}
