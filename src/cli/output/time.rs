//! Parses and formats moments in the user's time zone.

use std::time::Duration;

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, ZonedDateTime};

/// Parses a future moment: a local time of day, today or tomorrow, or a date and time, local or with a UTC offset.
pub(crate) fn until(text: &str, now: &ZonedDateTime) -> Option<Timestamp> {
    // The parsers ignore the name of a zone, as in `06:00[Asia/Tokyo]`.
    if text.contains('[') {
        return None;
    }
    if let Ok(time) = text.parse::<Time>()
        && text.contains(':')
        && !text.contains(['T', 't', '-', ' '])
    {
        let today = now
            .date()
            .to_datetime(time)
            .to_zoned_datetime(now.time_zone().clone())
            .ok()?;
        let next = if today > *now {
            today
        } else {
            today.checked_add(1.day()).ok()?
        };
        return Some(next.timestamp());
    }
    let moment = match text.parse::<Timestamp>() {
        Ok(moment) => moment,
        Err(_) => {
            let local: DateTime = text.parse().ok()?;
            local
                .to_zoned_datetime(now.time_zone().clone())
                .ok()?
                .timestamp()
        }
    };
    (moment > now.timestamp()).then_some(moment)
}

/// Formats a moment, in milliseconds since 1970, as a local time with seconds; on another day, as a date and a time
/// without seconds.
pub(crate) fn clock(ms: i64) -> String {
    show(ms, &ZonedDateTime::now())
}

/// Formats a moment, in milliseconds since 1970, as a local date and time with its offset (RFC 3339).
pub(crate) fn moment(ms: i64) -> String {
    rfc3339(ms, &TimeZone::system())
}

fn rfc3339(ms: i64, zone: &TimeZone) -> String {
    let moment = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX);
    let moment = moment.to_zoned_datetime(zone.clone());
    moment.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

fn show(ms: i64, now: &ZonedDateTime) -> String {
    let Ok(moment) = Timestamp::from_millisecond(ms) else {
        return "the end of time".to_owned();
    };
    let moment = moment.to_zoned_datetime(now.time_zone().clone());
    if moment.date() == now.date() {
        moment.strftime("%H:%M:%S").to_string()
    } else {
        moment.strftime("%Y-%m-%d %H:%M").to_string()
    }
}

/// Formats the moment `wait` from now, in UTC.
pub(crate) fn utc_in(wait: Duration) -> String {
    Timestamp::now().checked_add(wait).map_or_else(
        |_| "the end of time".to_owned(),
        |moment| moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> ZonedDateTime {
        text.parse::<Timestamp>()
            .unwrap()
            .to_zoned_datetime(TimeZone::UTC)
    }

    #[test]
    fn a_time_of_day_is_the_next_one() {
        let now = at("2026-03-01T22:15:00Z");
        let read = |text| until(text, &now).map(|moment| moment.to_string());
        assert_eq!(read("23:00").as_deref(), Some("2026-03-01T23:00:00Z"));
        assert_eq!(read("06:00").as_deref(), Some("2026-03-02T06:00:00Z"));
        assert_eq!(
            read("2026-03-05T06:00").as_deref(),
            Some("2026-03-05T06:00:00Z")
        );
        assert_eq!(
            read("2026-03-05 06:00:30").as_deref(),
            Some("2026-03-05T06:00:30Z")
        );
        assert_eq!(
            read("2026-03-05T06:00:00+01:00").as_deref(),
            Some("2026-03-05T05:00:00Z")
        );
        for wrong in [
            "",
            "6",
            "25:00",
            "06:60",
            "tomorrow",
            "2026-03-01T22:14",
            "2020-01-01T00:00:00Z",
            "23:00[Asia/Tokyo]",
            "2026-03-05T06:00[Asia/Tokyo]",
            "2026-03-05T06:00+09:00[Asia/Tokyo]",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_time_in_a_log_has_its_date_and_offset() {
        let ms = at("2026-03-01T23:02:11.9Z").timestamp().as_millisecond();
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        assert_eq!(rfc3339(ms, &zone), "2026-03-02T00:02:11+01:00");
    }

    #[test]
    fn another_day_has_its_date() {
        let now = at("2026-03-01T22:15:00Z");
        let ms = |text: &str| at(text).timestamp().as_millisecond();
        assert_eq!(show(ms("2026-03-01T23:02:11Z"), &now), "23:02:11");
        assert_eq!(show(ms("2026-03-02T03:02:11Z"), &now), "2026-03-02 03:02");
        assert_eq!(show(i64::MAX, &now), "the end of time");
        assert_eq!(utc_in(Duration::MAX), "the end of time");
    }
}
