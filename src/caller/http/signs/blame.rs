//! Tells from a refusal's body whether a limit or the file is to blame.

use crate::failure_class::contains;

/// Phrases of limits, in lower case and with spaces instead of `-` and `_`. Other refusals contain them too.
const OF_LIMITS: [&str; 5] = [
    "rate limit",
    "ratelimit",
    "too many requests",
    "throttl",
    "request limit exceeded",
];
/// Windows that make a quota a limit.
const OF_QUOTAS: [&str; 4] = ["per second", "per minute", "per hour", "per day"];
/// Phrases that only limits have: GitHub and Google send them with a 403, often without any header about limits.
const SURE: [&str; 2] = ["secondary rate limit", "ratelimitexceeded"];

/// Returns whether a body blames a limit. `exhausted` says that the headers name an exhausted limit. URLs in the body
/// are ignored, because they may lead to a page about limits.
pub(in super::super) fn blames_limit(body: &[u8], exhausted: bool) -> bool {
    let text = String::from_utf8_lossy(body).to_ascii_lowercase();
    let words: Vec<&str> = text
        .split([' ', '\t', '\r', '\n', '"', '\'', '<', '>', '(', ')', ','])
        .filter(|word| !word.is_empty() && !word.contains("//"))
        .collect();
    let text = words.join(" ").replace(['-', '_'], " ");
    let has = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
    has(&SURE) || exhausted && (has(&OF_LIMITS) || text.contains("quota") && has(&OF_QUOTAS))
}

/// Phrases of a refusal because of the request's own size, for which waiting does not help.
const TOO_LARGE: [&str; 3] = [
    "request too large",
    "reduce the length of",
    "reduce your message size",
];
/// A phrase that says the same unless its sentence is about a rate.
const REDUCED: &str = "must be reduced";
/// The longest distance from a rate to that phrase, in bytes.
const NAMED_BEFORE: usize = 60;
const RATES: [&[u8]; 5] = [b"rate", b"frequen", b"concurren", b"number of", b"calls"];

/// Returns whether a body says that the file itself exceeds the service's limit.
pub(in super::super) fn blames_size(body: &[u8]) -> bool {
    if TOO_LARGE.iter().any(|phrase| contains(body, phrase)) {
        return true;
    }
    let text = body.to_ascii_lowercase();
    let found = text
        .windows(REDUCED.len())
        .position(|window| window == REDUCED.as_bytes());
    found.is_some_and(|at| {
        let before = &text[at.saturating_sub(NAMED_BEFORE)..at];
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
    fn limits_are_blamed_by_phrases_outside_of_urls() {
        for (body, surely, if_exhausted) in [
            ("API rate limit exceeded for user ID 1.", false, true),
            (r#"{"code":"RATE_LIMIT_REACHED"}"#, false, true),
            ("Too Many Requests", false, true),
            ("ThrottlingException", false, true),
            ("Quota exceeded for 'Read requests' per minute", false, true),
            ("You have exceeded a secondary rate limit.", true, true),
            (r#"{"reason":"userRateLimitExceeded"}"#, true, true),
            ("Resource not accessible by integration", false, false),
            (
                r#"{"message":"Must have admin rights","documentation_url":"https://docs.example/rate-limits"}"#,
                false,
                false,
            ),
            ("quotaExceeded", false, false),
            ("The key expired on Friday", false, false),
        ] {
            let blames = [false, true].map(|exhausted| blames_limit(body.as_bytes(), exhausted));
            assert_eq!(blames, [surely, if_exhausted], "{body}");
        }
    }

    #[test]
    fn a_size_is_distinguished_from_a_rate() {
        for body in [
            "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 31538.",
            "Limit 30000, Requested 31538. The input or output tokens must be reduced in order to run successfully.",
            "Please reduce the length of the messages or completion.",
            "Request too large for model, please reduce your message size and try again.",
        ] {
            assert!(blames_size(body.as_bytes()), "{body}");
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
            assert!(!blames_size(body.as_bytes()), "{body}");
        }
    }
}
