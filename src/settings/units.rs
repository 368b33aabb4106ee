//! Parses and formats durations and sizes.

use std::fmt;
use std::time::Duration;

/// Parses a duration with its unit: `250ms`, `30s`, `10m`, `2h`, `1d`.
///
/// # Errors
///
/// Returns a message for the user if the text is not such a duration.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split_unit(text);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => f64::NAN,
    };
    number
        .parse()
        .ok()
        .and_then(|number: f64| Duration::try_from_secs_f64(number * seconds).ok())
        // The bound is short enough to be added to any clock.
        .filter(|duration| *duration <= Duration::from_secs(366 * 86_400))
        .ok_or_else(|| {
            format!(
                "`{text}` is not a duration: use a number and a unit, such as 250ms, 30s, 10m or 2h"
            )
        })
}

/// Parses a size with its unit: `512B`, `64KiB`, `16MiB`, `1GiB`, or in powers of ten `10KB`, `10MB`, `1GB`.
///
/// # Errors
///
/// Returns a message for the user if the text is not such a size.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = split_unit(text);
    let bytes: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => 0,
    };
    number
        .parse()
        .ok()
        .and_then(|number: u64| number.checked_mul(bytes))
        .filter(|size| *size > 0)
        .ok_or_else(|| format!("`{text}` is not a size: use a whole number and a unit, such as 64KiB, 16MiB or 10MB"))
}

fn split_unit(text: &str) -> (&str, &str) {
    text.split_at(
        text.find(|c: char| c.is_ascii_alphabetic())
            .unwrap_or(text.len()),
    )
}

/// Formats a duration for people: `0.4 s`, `12 s`, `3 m 20 s`, `5 h 02 m`, `2 d 04 h`.
pub fn show_duration(duration: Duration) -> impl fmt::Display {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} m {:02} s", seconds / 60, seconds % 60),
        3600..86400 => format!("{} h {:02} m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {:02} h", seconds / 86400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_need_their_units() {
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(parse_size("16MiB"), Ok(16 << 20));
        assert_eq!(parse_size("10MB"), Ok(10_000_000));
        for wrong in ["", "10", "s", "-1s", "1w", "1e30h", "nans"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "10", "MiB", "-1B", "1.5MiB", "0B", "99999999999GiB"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_are_formatted_for_people() {
        let shown = |seconds| show_duration(Duration::from_secs_f64(seconds)).to_string();
        assert_eq!(shown(0.42), "0.4 s");
        assert_eq!(shown(12.0), "12 s");
        assert_eq!(shown(200.0), "3 m 20 s");
        assert_eq!(shown(18_120.0), "5 h 02 m");
        assert_eq!(shown(90_000.0), "1 d 01 h");
    }
}
