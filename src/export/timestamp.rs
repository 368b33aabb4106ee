//! Moments as text.

use jiff::Timestamp;

/// Formats a moment in UTC as RFC 3339 has it: `2026-01-31T23:59:59.125Z`. Takes milliseconds since 1970; a moment before
/// that, or after the year 9999, becomes the nearest within.
pub fn timestamp(milliseconds: i64) -> String {
    let moment = Timestamp::from_millisecond(milliseconds.max(0)).unwrap_or(Timestamp::MAX);
    format!("{moment:.3}")
}
