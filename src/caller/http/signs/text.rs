//! Parses the values in headers and bodies about limits: lists, numbers, durations, times.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// The longest wait, in seconds: 366 days.
const MOST: f64 = 366.0 * 86_400.0;
/// Numbers of seconds from here on are Unix times: as waits they would be thirty years.
const UNIX_TIME: f64 = 1e9;
/// Unix times from here on are in milliseconds: in seconds they would be after the year 5000.
const UNIX_TIME_IN_MS: f64 = 1e11;

/// A member of a list: its name or value, and its parameters.
pub(super) struct Member<'t> {
    pub(super) name: &'t str,
    parameters: Vec<(&'t str, &'t str)>,
}

impl<'t> Member<'t> {
    pub(super) fn get(&self, key: &str) -> Option<&'t str> {
        let found = self.parameters.iter().find(|(other, _)| *other == key);
        found.map(|(_, value)| *value)
    }

    /// Iterates over everything of the form `key=value`.
    pub(super) fn words(&self) -> impl Iterator<Item = (&'t str, &'t str)> {
        word(self.name)
            .into_iter()
            .chain(self.parameters.iter().copied())
    }

    /// Returns whether its unit is calls, which is the default.
    pub(super) fn counts_calls(&self) -> bool {
        self.get("qu")
            .is_none_or(|unit| matches!(unit, "requests" | "request-count"))
    }
}

pub(super) fn members(list: &str) -> Vec<Member<'_>> {
    let member = |text| {
        let mut parts = split(text, ';').into_iter();
        Member {
            name: bare(parts.next().unwrap_or_default()),
            parameters: parts.filter_map(word).collect(),
        }
    };
    split(list, ',').into_iter().map(member).collect()
}

/// Splits at a character outside of quoted strings (RFC 9651, section 3.3.3).
fn split(text: &str, at: char) -> Vec<&str> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut quoted, mut escaped) = (false, false);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if c == at && !quoted => {
                parts.push(&text[start..i]);
                start = i + at.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn word(text: &str) -> Option<(&str, &str)> {
    let (key, value) = text.split_once('=')?;
    Some((key.trim(), bare(value)))
}

/// Removes the spaces and quotes around a text.
fn bare(text: &str) -> &str {
    let text = text.trim();
    let inner = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
    inner.unwrap_or(text)
}

/// Parses an HTTP date or RFC 3339.
pub(super) fn date(text: &str) -> Option<SystemTime> {
    let text = text.trim();
    let date = httpdate::parse_http_date(text).ok();
    date.or_else(|| {
        let moment: Timestamp = text.parse().ok()?;
        // Times before 1970 are in the past, as 1970 is.
        let since_1970 = u64::try_from(moment.as_millisecond()).unwrap_or(0);
        UNIX_EPOCH.checked_add(Duration::from_millis(since_1970))
    })
}

pub(super) fn until(then: SystemTime, clock: SystemTime) -> Duration {
    let left = then.duration_since(clock).unwrap_or(Duration::ZERO);
    seconds(left.as_secs_f64())
}

/// Parses the time until a reset.
pub(super) fn reset(text: &str, clock: SystemTime) -> Option<Duration> {
    match number(text) {
        Some(number) => Some(unix_time_or_seconds(number, clock)),
        None => duration(text.trim())
            .and_then(|(duration, rest)| rest.is_empty().then_some(duration))
            .or_else(|| date(text).map(|then| until(then, clock))),
    }
}

/// Returns the time until a Unix time in seconds or milliseconds. A smaller number is itself the time in seconds.
pub(in super::super) fn unix_time_or_seconds(number: f64, clock: SystemTime) -> Duration {
    if number >= UNIX_TIME_IN_MS {
        until_unix_time(number / 1e3, clock)
    } else if number >= UNIX_TIME {
        until_unix_time(number, clock)
    } else {
        seconds(number)
    }
}

/// Returns the time until a Unix time in milliseconds. A smaller number is itself the time in milliseconds.
pub(super) fn milliseconds(number: f64, clock: SystemTime) -> Duration {
    if number >= UNIX_TIME_IN_MS {
        until_unix_time(number / 1e3, clock)
    } else {
        seconds(number / 1e3)
    }
}

fn until_unix_time(time: f64, clock: SystemTime) -> Duration {
    let now = clock.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    seconds(time - now.as_secs_f64())
}

/// Parses the duration that a text begins with, such as `1h2m3s` or `1 minute and 30 seconds`. Returns the rest of the
/// text too.
pub(super) fn duration(text: &str) -> Option<(Duration, &str)> {
    let mut sum = None;
    let mut rest = text;
    while let Some((amount, after)) = amount_and_unit(rest) {
        sum = Some(sum.unwrap_or(0.0) + amount);
        rest = after.trim_start_matches([' ', ',']);
        rest = rest.strip_prefix("and ").unwrap_or(rest);
    }
    Some((seconds(sum?), rest))
}

fn amount_and_unit(text: &str) -> Option<(f64, &str)> {
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
        "us" | "µs" => 1e-6,
        "ns" => 1e-9,
        _ => return None,
    };
    Some((number(amount)? * unit, after))
}

/// Splits a text after the number that it begins with.
pub(super) fn split_number(text: &str) -> (&str, &str) {
    let of_number = |c: char| c.is_ascii_digit() || c == '.';
    text.split_at(text.find(|c| !of_number(c)).unwrap_or(text.len()))
}

/// Parses digits, with or without decimals. Rejects signs, exponents, infinity and NaN.
pub(super) fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    if !text.starts_with(|c: char| c.is_ascii_digit()) || text.contains(['e', 'E']) {
        return None;
    }
    text.parse().ok()
}

pub(super) fn count(text: &str) -> Option<u64> {
    // The cast saturates.
    number(text).map(|number| number as u64)
}

/// Returns a duration of this many seconds, between zero and [`MOST`].
pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.clamp(0.0, MOST)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_reset_has_many_forms() {
        // Later than 2001, when Unix times in seconds began to exceed waits.
        let clock = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for (text, left) in [
            ("5", ms(5000)),
            ("0.25", ms(250)),
            ("1700000030", ms(30_000)),
            ("1700000030500", ms(30_500)),
            ("1600000000", ms(0)),
            ("Tue, 14 Nov 2023 22:13:30 GMT", ms(10_000)),
            ("2023-11-14T22:13:30Z", ms(10_000)),
            ("2023-11-14T22:13:30.5+00:00", ms(10_500)),
            ("2023-11-14T17:13:30-05:00", ms(10_000)),
            ("2023-11-14T22:14Z", ms(40_000)),
            ("2022-11-14T22:13:30Z", ms(0)),
            ("120ms", ms(120)),
            ("6m0s", ms(360_000)),
            ("1h2m3s", ms(3_723_000)),
            ("20ms", ms(20)),
            ("1.5s", ms(1500)),
            ("99999999999d", Duration::from_secs(366 * 86_400)),
        ] {
            assert_eq!(reset(text, clock), Some(left), "{text}");
        }
        let nonsense = "|s|5x|-5|-5s|1.5.s|m5|5m3|NaN|soon|2023-11-14";
        for nonsense in nonsense.split('|') {
            assert_eq!(reset(nonsense, clock), None, "{nonsense}");
        }
    }

    #[test]
    fn lists_are_split_outside_of_quoted_strings() {
        let list = r#" "a,b;c\"d" ; q=1;w = 2 , limit=5, "open;x=1"#;
        let members = members(list);
        let names: Vec<&str> = members.iter().map(|member| member.name).collect();
        assert_eq!(names, [r#"a,b;c\"d"#, "limit=5", r#""open;x=1"#]);
        assert_eq!(members[0].parameters, [("q", "1"), ("w", "2")]);
        assert_eq!(members[1].words().next(), Some(("limit", "5")));
    }
}
