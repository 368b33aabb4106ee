//! The texts that such headers are made of: lists, numbers, times.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// The longest time that anything is taken to mean, in seconds: 366 days.
const MOST: f64 = 366.0 * 86_400.0;
/// From here on a number of seconds is a moment since 1970, for it would be a wait of thirty years.
const MOMENT: f64 = 1e9;
/// From here on such a moment is in milliseconds, for in seconds it would lie beyond the year 5000.
const MOMENT_IN_MS: f64 = 1e11;

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

    /// Everything in it that has the form `key=value`.
    pub(super) fn words(&self) -> impl Iterator<Item = (&'t str, &'t str)> {
        word(self.name)
            .into_iter()
            .chain(self.parameters.iter().copied())
    }

    /// Whether its unit is calls, which it is where none is stated.
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

/// Splits at a character that does not stand in a quoted string (RFC 9651, section 3.3.3).
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

/// A text without spaces and quotes around it.
fn bare(text: &str) -> &str {
    let text = text.trim();
    let inner = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
    inner.unwrap_or(text)
}

/// Reads an HTTP date, or a moment as RFC 3339 has it.
pub(super) fn date(text: &str) -> Option<SystemTime> {
    let text = text.trim();
    let date = httpdate::parse_http_date(text).ok();
    date.or_else(|| {
        let moment: Timestamp = text.parse().ok()?;
        // A moment before 1970 has passed, as 1970 has.
        let since_1970 = u64::try_from(moment.as_millisecond()).unwrap_or(0);
        UNIX_EPOCH.checked_add(Duration::from_millis(since_1970))
    })
}

pub(super) fn until(then: SystemTime, clock: SystemTime) -> Duration {
    let left = then.duration_since(clock).unwrap_or(Duration::ZERO);
    seconds(left.as_secs_f64())
}

/// Reads the time until a reset: a number as [`moment_or_seconds`], a span such as `6m0s`, or a date.
pub(super) fn reset(text: &str, clock: SystemTime) -> Option<Duration> {
    match number(text) {
        Some(number) => Some(moment_or_seconds(number, clock)),
        None => span(text).or_else(|| date(text).map(|then| until(then, clock))),
    }
}

/// Returns the time until a moment since 1970 in seconds or milliseconds, and takes a smaller number for the time itself.
pub(in super::super) fn moment_or_seconds(number: f64, clock: SystemTime) -> Duration {
    if number >= MOMENT_IN_MS {
        since_1970(number / 1e3, clock)
    } else if number >= MOMENT {
        since_1970(number, clock)
    } else {
        seconds(number)
    }
}

/// Returns so many milliseconds, or the time until a moment since 1970 in milliseconds.
pub(super) fn milliseconds(number: f64, clock: SystemTime) -> Duration {
    if number >= MOMENT_IN_MS {
        since_1970(number / 1e3, clock)
    } else {
        seconds(number / 1e3)
    }
}

fn since_1970(moment: f64, clock: SystemTime) -> Duration {
    let now = clock.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    seconds(moment - now.as_secs_f64())
}

/// A span such as `1h2m3s`, `20ms` or `1.5s`.
fn span(text: &str) -> Option<Duration> {
    let of_number = |c: char| c.is_ascii_digit() || c == '.';
    let mut rest = text.trim();
    let mut sum = 0.0;
    loop {
        let (amount, after) = rest.split_at(rest.find(|c| !of_number(c))?);
        let (unit, after) = after.split_at(after.find(of_number).unwrap_or(after.len()));
        sum += number(amount)?
            * match unit {
                "d" => 86_400.0,
                "h" => 3_600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        if after.is_empty() {
            return Some(seconds(sum));
        }
        rest = after;
    }
}

/// A number of digits, with decimals or without; so none that is negative, infinite or not one.
pub(super) fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    if !text.starts_with(|c: char| c.is_ascii_digit()) || text.contains(['e', 'E']) {
        return None;
    }
    text.parse().ok()
}

pub(super) fn count(text: &str) -> Option<u64> {
    // Saturates.
    number(text).map(|number| number as u64)
}

/// So many seconds, as far as it makes sense.
pub(super) fn seconds(seconds: f64) -> Duration {
    // A NaN, which cannot come here, would be nothing.
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
        // Later than that of the other tests: before 2001 a moment in seconds looks like a wait.
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
        for nonsense in [
            "",
            "s",
            "5x",
            "-5",
            "-5s",
            "1.5.s",
            "m5",
            "5m3",
            "NaN",
            "soon",
            "2023-11-14",
        ] {
            assert_eq!(reset(nonsense, clock), None, "{nonsense}");
        }
    }

    #[test]
    fn a_list_is_split_outside_of_its_strings() {
        let list = r#" "a,b;c\"d" ; q=1;w = 2 , limit=5, "open;x=1"#;
        let members = members(list);
        let names: Vec<&str> = members.iter().map(|member| member.name).collect();
        assert_eq!(names, [r#"a,b;c\"d"#, "limit=5", r#""open;x=1"#]);
        assert_eq!(members[0].parameters, [("q", "1"), ("w", "2")]);
        assert_eq!(members[1].words().next(), Some(("limit", "5")));
    }
}
