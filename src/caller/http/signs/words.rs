//! Finds waits in the text of a refusal's body.

use std::time::{Duration, SystemTime};

use super::text::{duration, number, split_number, unix_time_or_seconds};

/// The form of a wait after a phrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaitForm {
    /// Numbers with units.
    Duration,
    /// A number of seconds.
    Seconds,
    Any,
}

/// Phrases before a wait, in lower case. The list is short because any of them can be misread.
const PHRASES: [(&str, WaitForm); 5] = [
    ("retrydelay", WaitForm::Duration),
    ("retryafterseconds", WaitForm::Seconds),
    ("try again in", WaitForm::Duration),
    ("retry in", WaitForm::Duration),
    ("retry after", WaitForm::Any),
];

/// Characters that may stand between a phrase and its wait.
const BETWEEN: [char; 7] = [' ', '"', '\'', ':', '=', '\\', '~'];

/// Returns the longest wait that the beginning of a body states.
pub(in super::super) fn stated_wait(body: &[u8], clock: SystemTime) -> Option<Duration> {
    let text = String::from_utf8_lossy(body).to_ascii_lowercase();
    let mut longest = None;
    for (phrase, form) in PHRASES {
        for (at, _) in text.match_indices(phrase) {
            let value = text[at + phrase.len()..].trim_start_matches(BETWEEN);
            longest = longest.max(read(value, form, clock));
        }
    }
    longest
}

fn read(value: &str, form: WaitForm, clock: SystemTime) -> Option<Duration> {
    let duration = duration(value).filter(|_| form != WaitForm::Seconds);
    duration.map(|(duration, _)| duration).or_else(|| {
        let (amount, rest) = split_number(value);
        // The number may be a date's year, or have an unknown unit.
        let ends = !rest.starts_with(|c: char| c.is_alphanumeric() || "-:/+%".contains(c))
            && !rest.trim_start().starts_with(|c: char| c.is_alphanumeric());
        let number = number(amount).filter(|_| form != WaitForm::Duration && ends);
        number.map(|number| unix_time_or_seconds(number, clock))
    })
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn wait(body: &str) -> Option<f64> {
        let clock = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        stated_wait(body.as_bytes(), clock).map(|wait| wait.as_secs_f64())
    }

    #[test]
    fn waits_are_read_after_five_phrases() {
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
    fn other_text_states_no_wait() {
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
