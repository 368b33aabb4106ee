//! Describes why a run is no faster. Moments are milliseconds since 1970.

use stride::governor::Why;
use stride::store::RunnerStatus;

use crate::cli::output::format::{counted, grouped};
use crate::cli::output::time::clock;

/// A reason and its moment.
pub(crate) type Limit = (Why, Option<i64>);

/// Returns the reason that a process has recorded.
pub(crate) fn recorded(noted: &RunnerStatus) -> Option<Limit> {
    Some((noted.limited_by?, noted.limited_at))
}

/// Describes a reason. Returns an empty text if nothing limits the run.
pub(crate) fn describe((why, moment): &Limit) -> String {
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
        Why::Room => "too little disk space".to_owned(),
        Why::Work => moment.map_or_else(String::new, |moment| {
            format!("the next file waits until {}", clock(moment))
        }),
    }
}

/// Returns true if no call may start.
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

    use super::*;

    const MOMENT: i64 = 1_800_000_000_000;

    #[test]
    fn a_reason_names_its_moment_if_it_has_one() {
        let at = clock(MOMENT);
        let asked = Why::Asked(Duration::ZERO);
        let outage = Why::Outage {
            since: Duration::ZERO,
            every: Duration::from_secs(3),
        };
        for (limit, words) in [
            ((Why::Threads(1), None), "1 thread".to_owned()),
            ((Why::Found(49.25), None), "49.2 calls/s, found".to_owned()),
            (
                (asked, Some(MOMENT)),
                format!("waiting until {at}, as the service asked"),
            ),
            ((asked, None), "waiting, as the service asked".to_owned()),
            (
                (outage, Some(MOMENT)),
                format!("service unavailable since {at}, probing every 3 s"),
            ),
            (
                (Why::Work, Some(MOMENT)),
                format!("the next file waits until {at}"),
            ),
            ((Why::Work, None), String::new()),
        ] {
            assert_eq!(describe(&limit), words);
        }
    }
}
