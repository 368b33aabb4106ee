//! Waits in the words of a refusal's body.

use std::time::{Duration, SystemTime};

use super::text::{moment_or_seconds, number, seconds};

/// The form of a wait behind a pattern's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Numbers with units.
    Span,
    /// A number of seconds.
    Seconds,
    /// Either.
    Any,
}

/// The words, in lower case, before a wait. There are no more than these five, because each can be misread.
const PATTERNS: [(&str, Form); 5] = [
    ("retrydelay", Form::Span),
    ("retryafterseconds", Form::Seconds),
    ("try again in", Form::Span),
    ("retry in", Form::Span),
    ("retry after", Form::Any),
];

/// Characters that may stand between the words and the wait.
const BETWEEN: [char; 7] = [' ', '"', '\'', ':', '=', '\\', '~'];

/// Returns the longest wait that the words of a body state.
pub(super) fn stated(body: &[u8], clock: SystemTime) -> Option<Duration> {
    let text = String::from_utf8_lossy(body).to_ascii_lowercase();
    let mut longest = None;
    for (words, form) in PATTERNS {
        for (at, _) in text.match_indices(words) {
            let value = text[at + words.len()..].trim_start_matches(BETWEEN);
            longest = longest.max(read(value, form, clock));
        }
    }
    longest
}

fn read(value: &str, form: Form, clock: SystemTime) -> Option<Duration> {
    let span = || span(value).filter(|_| form != Form::Seconds);
    span().or_else(|| {
        let (amount, rest) = split_number(value);
        // A unit that is not known, the year of a date.
        let ends = !rest.starts_with(|c: char| c.is_alphanumeric() || "-:/+%".contains(c))
            && !rest.trim_start().starts_with(|c: char| c.is_alphanumeric());
        let number = number(amount).filter(|_| form != Form::Span && ends);
        number.map(|number| moment_or_seconds(number, clock))
    })
}

/// Splits behind the number that a text begins with.
fn split_number(text: &str) -> (&str, &str) {
    let of_number = |c: char| c.is_ascii_digit() || c == '.';
    text.split_at(text.find(|c| !of_number(c)).unwrap_or(text.len()))
}

/// Reads as much of a span as a text begins with: `2m59.56s`, `23 seconds`, `1 minute and 30 seconds`.
fn span(text: &str) -> Option<Duration> {
    let mut sum = None;
    let mut rest = text;
    while let Some((amount, after)) = part(rest) {
        sum = Some(sum.unwrap_or(0.0) + amount);
        rest = after.trim_start_matches([' ', ',']);
        rest = rest.strip_prefix("and ").unwrap_or(rest);
    }
    sum.map(seconds)
}

/// Reads a number and its unit, as seconds.
fn part(text: &str) -> Option<(f64, &str)> {
    let (amount, rest) = split_number(text);
    let rest = rest.trim_start_matches(' ');
    let end = rest.find(|c: char| !c.is_alphabetic());
    let (unit, after) = rest.split_at(end.unwrap_or(rest.len()));
    let unit = match unit {
        "d" | "day" | "days" => 86_400.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "ms" | "millisecond" | "milliseconds" => 1e-3,
        _ => return None,
    };
    Some((number(amount)? * unit, after))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn wait(body: &str) -> Option<f64> {
        let clock = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        stated(body.as_bytes(), clock).map(|wait| wait.as_secs_f64())
    }

    #[test]
    fn waits_are_read_from_five_patterns() {
        for (body, seconds) in [
            (
                r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"31s"}]}}"#,
                31.0,
            ),
            (r#"{"retryDelay": "31.438s"}"#, 31.438),
            (r#"{"retryAfterSeconds": 5}"#, 5.0),
            (r#"{"details":{"retryAfterSeconds":1700000030}}"#, 30.0),
            (
                "Rate limit reached on requests per min. Please try again in 6m0s.",
                360.0,
            ),
            ("Please try again in 2m59.56s. Visit", 179.56),
            ("Please try again in 120ms.", 0.12),
            ("Please retry in 1.5s.", 1.5),
            (
                "You exceeded your quota. Please retry in 58.934310785s.",
                58.934_310_785,
            ),
            ("Please retry after 23 seconds.", 23.0),
            ("Retry after 1 minute and 30 seconds", 90.0),
            ("RETRY AFTER 1 HOUR", 3600.0),
            (
                r#"{"description":"Too Many Requests: retry after 35"}"#,
                35.0,
            ),
            ("Too Many Requests: retry after 35.", 35.0),
            ("try again in 2 days", 172_800.0),
            ("retry in 1s, or better try again in 9s", 9.0),
            ("retry after 1600000000", 0.0),
            ("try again in 99999999999999 days", 366.0 * 86_400.0),
        ] {
            assert_eq!(wait(body), Some(seconds), "{body}");
        }
    }

    #[test]
    fn words_that_state_no_wait_say_nothing() {
        for body in [
            "",
            "try again in",
            "Please try again in a moment",
            "try again in -5s",
            "try again in 5",
            "retry in 3 attempts",
            "retry after 2024-05-01",
            "retry after 10:30",
            "retry after 50%",
            "retry after 3 failed calls",
            "retry after 1.2.3 seconds",
            r#"{"retryDelay": 31}"#,
            r#"{"retryDelay": null}"#,
            r#"{"retryAfterSeconds": "soon"}"#,
            r#"{"retryAfterSeconds": -1}"#,
            "we retry afterwards",
        ] {
            assert_eq!(wait(body), None, "{body}");
        }
    }
}
