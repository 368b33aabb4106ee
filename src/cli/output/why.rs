//! The reason why a run goes no faster, in words. Moments are milliseconds since 1970.

use stride::governor::Why;
use stride::store::Noted;

use crate::cli::output::format::{counted, grouped};
use crate::cli::output::time::clock;

/// A reason and its moment.
pub(crate) type Limit = (Why, Option<i64>);

/// Returns the reason that a runner noted.
pub(crate) fn noted(noted: &Noted) -> Option<Limit> {
    Some((noted.limited_by?, noted.limited_at))
}

/// Returns the words for a reason, empty where nothing limits the run.
pub(crate) fn said((why, moment): &Limit) -> String {
    let waiting = |reason: &str| match moment {
        Some(moment) => format!("waiting until {}, {reason}", clock(*moment)),
        None => format!("waiting, {reason}"),
    };
    match why {
        Why::Threads(threads) => counted(*threads as u64, "thread"),
        Why::AtOnce(calls) => format!(
            "{} at a time, as the service allows",
            counted(*calls as u64, "call")
        ),
        Why::Rate(rate) => format!("rate {rate}"),
        Why::Found(rate) => format!("{}, found", speed(*rate)),
        Why::Rising => "the pace rises after a pause".to_owned(),
        Why::Asked(_) => waiting("as the service asked"),
        Why::Refused(_) => waiting("the service refused a call"),
        Why::Spent(_) => waiting("no calls left by the service's own count"),
        Why::Outage { every, .. } => {
            let since = moment.map(|since| format!(" since {}", clock(since)));
            format!(
                "service unavailable{}, probing every {} s",
                since.unwrap_or_default(),
                (every.as_secs_f64() * 10.0).round() / 10.0
            )
        }
        Why::First => "the first call goes alone".to_owned(),
        Why::Looking => "looking elsewhere in the list".to_owned(),
        Why::Room => "too little room on the disk".to_owned(),
        Why::Share => "the calls granted to this runner are used up".to_owned(),
        Why::Work => moment.map_or_else(String::new, |moment| {
            format!("the next file waits until {}", clock(moment))
        }),
    }
}

/// Returns true where the gate is closed for all calls.
pub(crate) fn is_wait(why: &Why) -> bool {
    matches!(
        why,
        Why::Asked(_) | Why::Refused(_) | Why::Spent(_) | Why::Outage { .. }
    )
}

/// Returns true for an outage, whose end is unknown.
pub(crate) fn is_outage(why: &Why) -> bool {
    matches!(why, Why::Outage { .. })
}

/// Returns a rate in the unit in which it is at least one.
pub(crate) fn speed(rate: f64) -> String {
    match rate {
        100.0.. => format!("{} calls/s", grouped(rate as u64)),
        1.0.. => format!("{rate:.1} calls/s"),
        0.02.. => format!("{:.1} calls/min", rate * 60.0),
        _ => format!("{:.1} calls/h", rate * 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use stride::limits::Rate;

    use super::*;

    const MOMENT: i64 = 1_800_000_000_000;

    #[test]
    fn every_reason_is_said() {
        let at = clock(MOMENT);
        let outage = Why::Outage {
            since: Duration::ZERO,
            every: Duration::from_secs(3),
        };
        let rate = Rate::per_second(10.0);
        for (why, words) in [
            (Why::Threads(1), "1 thread".to_owned()),
            (
                Why::AtOnce(4),
                "4 calls at a time, as the service allows".to_owned(),
            ),
            (Why::Rate(rate), "rate 10/s".to_owned()),
            (Why::Found(49.25), "49.2 calls/s, found".to_owned()),
            (Why::Rising, "the pace rises after a pause".to_owned()),
            (
                Why::Asked(Duration::ZERO),
                format!("waiting until {at}, as the service asked"),
            ),
            (
                Why::Refused(Duration::ZERO),
                format!("waiting until {at}, the service refused a call"),
            ),
            (
                Why::Spent(Duration::ZERO),
                format!("waiting until {at}, no calls left by the service's own count"),
            ),
            (
                outage,
                format!("service unavailable since {at}, probing every 3 s"),
            ),
            (Why::First, "the first call goes alone".to_owned()),
            (Why::Looking, "looking elsewhere in the list".to_owned()),
            (Why::Room, "too little room on the disk".to_owned()),
            (
                Why::Share,
                "the calls granted to this runner are used up".to_owned(),
            ),
            (Why::Work, format!("the next file waits until {at}")),
        ] {
            assert_eq!(said(&(why, Some(MOMENT))), words);
        }
        assert_eq!(said(&(Why::Work, None)), "");
    }
}
