//! Times as text.

use jiff::Timestamp;

/// Formats a time, in milliseconds since 1970, in UTC (RFC 3339): `2026-01-31T23:59:59.125Z`. Times before 1970
/// become 1970-01-01; times that jiff cannot represent become its latest, 9999-12-30T22:00:00.999Z.
pub fn timestamp(milliseconds: i64) -> String {
    let time = Timestamp::from_millisecond(milliseconds.max(0)).unwrap_or(Timestamp::MAX);
    format!("{time:.3}")
}
