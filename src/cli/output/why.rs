//! Describes why a run is no faster. Moments are milliseconds since 1970.

use stride::governor::LimitedBy;
use stride::store::RunnerStatus;

use crate::cli::output::format::{counted, grouped};
use crate::cli::output::time::clock;

/// A reason and its moment.
pub(crate) type Limit = (LimitedBy, Option<i64>);

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
        LimitedBy::Threads(threads) => counted(*threads as u64, "thread"),
        LimitedBy::ServiceConcurrency(calls) => format!(
            "{} at a time, as the service allows",
            counted(*calls as u64, "call")
        ),
        LimitedBy::Rate(rate) => format!("rate {rate}"),
        LimitedBy::LearnedRate(rate) => format!("{}, found", speed(*rate)),
        LimitedBy::RampUp => "the pace rises after a pause".to_owned(),
        LimitedBy::RetryAfter(_) => waiting("as the service asked"),
        LimitedBy::Throttled(_) => waiting("the service refused a call"),
        LimitedBy::QuotaReset(_) => waiting("no calls left by the service's own count"),
        LimitedBy::Outage { every, .. } => {
            let since = moment.map(|since| format!(" since {}", clock(since)));
            format!(
                "service unavailable{}, probing every {} s",
                since.unwrap_or_default(),
                (every.as_secs_f64() * 10.0).round() / 10.0
            )
        }
        LimitedBy::Submitted(files) => {
            format!("{} submitted and unfinished", counted(*files, "file"))
        }
        LimitedBy::Canary => "the first call goes alone".to_owned(),
        LimitedBy::SpotCheck => "looking elsewhere in the list".to_owned(),
        LimitedBy::Cost => "the calls in flight may use up --max-cost".to_owned(),
        LimitedBy::DiskSpace => "too little disk space".to_owned(),
        LimitedBy::NoWork => moment.map_or_else(String::new, |moment| {
            format!("the next file waits until {}", clock(moment))
        }),
    }
}

/// Returns true if the service keeps calls from starting.
pub(crate) fn is_wait(why: &LimitedBy) -> bool {
    matches!(
        why,
        LimitedBy::RetryAfter(_)
            | LimitedBy::Throttled(_)
            | LimitedBy::QuotaReset(_)
            | LimitedBy::Outage { .. }
    )
}

/// Returns true for an outage, whose end is unknown.
pub(crate) fn is_outage(why: &LimitedBy) -> bool {
    matches!(why, LimitedBy::Outage { .. })
}

/// Formats a rate per second, minute or hour.
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
        let asked = LimitedBy::RetryAfter(Duration::ZERO);
        let outage = LimitedBy::Outage {
            since: Duration::ZERO,
            every: Duration::from_secs(3),
        };
        for (limit, words) in [
            ((LimitedBy::Threads(1), None), "1 thread".to_owned()),
            (
                (LimitedBy::LearnedRate(49.25), None),
                "49.2 calls/s, found".to_owned(),
            ),
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
                (LimitedBy::NoWork, Some(MOMENT)),
                format!("the next file waits until {at}"),
            ),
            ((LimitedBy::NoWork, None), String::new()),
        ] {
            assert_eq!(describe(&limit), words);
        }
    }
}
