//! Numbers, moments and durations in words. Moments are in UTC, in milliseconds since 1970.

use std::time::Duration;

use jiff::Timestamp;

use crate::settings::show_duration;

const SECOND: i64 = 1_000;
const DAY: i64 = 86_400 * SECOND;

fn format(moment: i64, format: &str) -> String {
    match Timestamp::from_millisecond(moment) {
        Ok(moment) => moment.strftime(format).to_string(),
        Err(_) => "?".to_owned(),
    }
}

/// `28 Nov 2026, 07:41:37`.
pub(super) fn moment(moment: i64) -> String {
    format(moment, "%-d %b %Y, %H:%M:%S")
}

/// The beginning of a step of this width.
pub(super) fn step_begin(moment: i64, width: i64) -> String {
    match width {
        ..SECOND => format(moment, "%-d %b %Y, %H:%M:%S%.1f"),
        _ => self::moment(moment),
    }
}

/// A label of the time axis, where round moments are so far apart.
pub(super) fn tick(moment: i64, apart: i64) -> String {
    match apart {
        ..SECOND => format(moment, "%H:%M:%S%.1f"),
        SECOND..60_000 => format(moment, "%H:%M:%S"),
        60_000..DAY => format(moment, "%H:%M"),
        _ => format(moment, "%-d %b"),
    }
}

/// What [`tick`] leaves out: the day, or the year.
pub(super) fn day(moment: i64, apart: i64) -> String {
    match apart {
        ..DAY => format(moment, "%-d %b %Y"),
        _ => format(moment, "%Y"),
    }
}

/// How long a call took: `840 ms`, `2.35 s`, `3 m 20 s`.
pub(super) fn took(milliseconds: u64) -> String {
    match milliseconds {
        ..1_000 => format!("{milliseconds} ms"),
        1_000..10_000 => format!("{:.2} s", milliseconds as f64 / 1e3),
        10_000..60_000 => format!("{:.1} s", milliseconds as f64 / 1e3),
        _ => span(milliseconds),
    }
}

/// A longer time: `0.4 s`, `3 m 20 s`, `2 d 04 h`.
pub(super) fn span(milliseconds: u64) -> String {
    show_duration(Duration::from_millis(milliseconds)).to_string()
}

/// A part of a whole: `12.5 %`. Only nothing is 0 %, and only the whole is 100 %.
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

/// A number with its thousands set apart: `41,000`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number of things: `1 file`, `41,000 files`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {noun}{s}", grouped(number))
}

/// Returns the words for why a session stopped early, as [`crate::governor::Reason::as_str`] has it. Another reason is
/// its own words.
pub fn stop_reason(reason: &str) -> &str {
    match reason {
        "credentials" => "the service does not accept the credentials",
        "quota" => "the allowance at the service is used up",
        "certificate" => "the connection to the service cannot be trusted",
        "name" => "the service's name cannot be resolved",
        "proxy" => "the proxy rejects the calls",
        "redirect" => "the service answers with redirects, and they are not followed",
        "missing_files" => "many files in a row are missing",
        "rejected" => "the first files were all rejected for one cause",
        "failures" => "more files failed than --max-failures allows",
        "outage" => "the service was unavailable for as long as --max-outage allows",
        "wait" => "the service asks for a longer wait than --max-wait allows",
        "max_calls" => "the run has made all calls that --max-calls allows",
        "max_duration" => "the run has worked as long as --max-duration allows",
        "max_cost" => "the run has cost as much as --max-cost allows",
        "until" => "the time of --until has come",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 28 November 2026, 07:41:37.250.
    const MOMENT: i64 = 1_795_851_697_250;

    #[test]
    fn moments_are_as_fine_as_their_steps() {
        assert_eq!(moment(MOMENT), "28 Nov 2026, 07:41:37");
        assert_eq!(step_begin(MOMENT, 200), "28 Nov 2026, 07:41:37.2");
        assert_eq!(step_begin(MOMENT, 60_000), "28 Nov 2026, 07:41:37");
        assert_eq!(tick(MOMENT, 500), "07:41:37.2");
        assert_eq!(tick(MOMENT, 5_000), "07:41:37");
        assert_eq!(tick(MOMENT, 300_000), "07:41");
        assert_eq!(tick(MOMENT, 2 * DAY), "28 Nov");
        assert_eq!(moment(i64::MAX), "?");
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [840, 2_350, 12_400, 200_000].map(took),
            ["840 ms", "2.35 s", "12.4 s", "3 m 20 s"]
        );
        assert_eq!(
            [
                share(1, 3),
                share(1, 1_000_000),
                share(999_999, 1_000_000),
                share(0, 5),
                share(5, 5)
            ],
            ["33.3 %", "0.1 %", "99.9 %", "0 %", "100 %"]
        );
        assert_eq!(
            [counted(1, "file"), counted(41_000, "file")],
            ["1 file", "41,000 files"]
        );
    }
}
