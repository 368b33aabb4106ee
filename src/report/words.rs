//! Formats numbers, moments and durations. Moments are in UTC, in milliseconds since 1970.

use std::time::Duration;

use jiff::Timestamp;

use crate::settings::show_duration;
pub(super) use crate::text::{counted, grouped};

/// Formats a moment with its day: `28 Nov 2026, 07:41:37`.
pub(super) fn moment(moment: i64) -> String {
    format(moment, "%-d %b %Y, %H:%M:%S")
}

/// Formats a moment in the notation of `strftime`.
pub(super) fn format(moment: i64, format: &str) -> String {
    match Timestamp::from_millisecond(moment) {
        Ok(moment) => moment.strftime(format).to_string(),
        Err(_) => "?".to_owned(),
    }
}

/// Formats the duration of a call: `840 ms`, `2.35 s`, `3 m 20 s`.
pub(super) fn took(milliseconds: u64) -> String {
    match milliseconds {
        ..1_000 => format!("{milliseconds} ms"),
        1_000..10_000 => format!("{:.2} s", milliseconds as f64 / 1e3),
        10_000..60_000 => format!("{:.1} s", milliseconds as f64 / 1e3),
        _ => span(milliseconds),
    }
}

/// Formats a time: `0.4 s`, `3 m 20 s`, `2 d 04 h`.
pub(super) fn span(milliseconds: u64) -> String {
    show_duration(Duration::from_millis(milliseconds)).to_string()
}

/// Formats a part of a whole: `12.5 %`. Rounding never gives 0 % or 100 %.
pub(super) fn share(part: u64, whole: u64) -> String {
    match (part, whole) {
        (_, 0) => String::new(),
        (part, whole) if part == whole => "100 %".to_owned(),
        (0, _) => "0 %".to_owned(),
        _ => format!(
            "{:.1} %",
            (part as f64 / whole as f64 * 100.0).clamp(0.1, 99.9)
        ),
    }
}

/// Describes why a session stopped early, from [`crate::governor::StopReason::as_str`] and the service's own words. Returns
/// an unknown reason unchanged.
pub fn stop_reason<'r>(reason: &'r str, words: &str) -> &'r str {
    match reason {
        "credentials" if words.starts_with("HTTP 403") => "the service forbids the calls",
        "credentials" => "the service does not accept the credentials",
        "quota" => "the quota at the service is exhausted",
        "certificate" => "the connection to the service cannot be trusted",
        "name" => "the service's name cannot be resolved",
        "proxy" => "the proxy rejects the calls",
        "not_started" => "the program that makes the calls cannot be used",
        "hung" => "all threads of the function hang",
        "redirect" => "the service answers the calls with redirects that stride does not follow",
        "missing_files" => "many files in a row are missing",
        "rejected" => "the calls of the first files all failed for one cause",
        "failures" => "more files failed than --max-failures allows",
        "outage" => "the service was unavailable for as long as --max-outage allows",
        "wait" => "the service asks for a longer wait than --max-wait allows",
        "max_calls" => "the run has made all calls that --max-calls allows",
        "max_duration" => "the run has worked as long as --max-duration allows",
        "max_cost" => "the run has cost as much as --max-cost allows",
        "until" => "the time of --until has come",
        "submitted" => "no file may be submitted, and nothing is due to be polled (--submit-only)",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_moments_read_well() {
        assert_eq!(moment(1_795_851_697_250), "28 Nov 2026, 07:41:37");
        assert_eq!(moment(i64::MAX), "?");
        assert_eq!(
            [840, 2_350, 12_400, 200_000].map(took),
            ["840 ms", "2.35 s", "12.4 s", "3 m 20 s"]
        );
        let shares = [(1, 3), (1, 1_000_000), (999_999, 1_000_000), (0, 5), (5, 5)];
        assert_eq!(
            shares.map(|(part, whole)| share(part, whole)),
            ["33.3 %", "0.1 %", "99.9 %", "0 %", "100 %"]
        );
    }

    #[test]
    fn a_forbidden_call_is_not_said_to_have_wrong_credentials() {
        for (words, expected) in [
            ("HTTP 403: no", "the service forbids the calls"),
            (
                "HTTP 401: no",
                "the service does not accept the credentials",
            ),
            ("", "the service does not accept the credentials"),
        ] {
            assert_eq!(stop_reason("credentials", words), expected);
        }
    }
}
