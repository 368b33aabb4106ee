//! Formats and parses the limiting reason as one line: a word, and a number if it has one. Moments have columns of their own.

use std::mem::discriminant;
use std::time::Duration;

use crate::governor::LimitedBy;

/// The words of reasons without a number.
const WORDS: [(&str, LimitedBy); 9] = [
    ("rising", LimitedBy::RampUp),
    ("asked", LimitedBy::RetryAfter(Duration::ZERO)),
    ("refused", LimitedBy::Throttled(Duration::ZERO)),
    ("spent", LimitedBy::QuotaReset(Duration::ZERO)),
    ("first", LimitedBy::Canary),
    ("looking", LimitedBy::SpotCheck),
    ("room", LimitedBy::DiskSpace),
    ("cost", LimitedBy::Cost),
    ("work", LimitedBy::NoWork),
];

pub(super) fn format(why: &LimitedBy) -> String {
    match why {
        LimitedBy::Threads(threads) => format!("threads {threads}"),
        LimitedBy::Submitted(files) => format!("submitted {files}"),
        LimitedBy::ServiceConcurrency(calls) => format!("at_once {calls}"),
        LimitedBy::Rate(rate) => format!("rate {rate}"),
        LimitedBy::LearnedRate(rate) => format!("found {rate:.3}"),
        LimitedBy::Outage { every, .. } => format!("outage {:.3}", every.as_secs_f64()),
        why => {
            let is_same = |(_, known): &&(_, LimitedBy)| discriminant(known) == discriminant(why);
            let word = WORDS.iter().find(is_same).map_or("", |(word, _)| word);
            word.to_owned()
        }
    }
}

/// Parses such a line. Moments are zero.
pub(super) fn parse(line: &str) -> Option<LimitedBy> {
    let Some((word, number)) = line.split_once(' ') else {
        let found = WORDS.iter().find(|(word, _)| *word == line);
        return found.map(|(_, why)| *why);
    };
    Some(match word {
        "threads" => LimitedBy::Threads(number.parse().ok()?),
        "submitted" => LimitedBy::Submitted(number.parse().ok()?),
        "at_once" => LimitedBy::ServiceConcurrency(number.parse().ok()?),
        "rate" => LimitedBy::Rate(number.parse().ok()?),
        "found" => LimitedBy::LearnedRate(number.parse().ok()?),
        "outage" => LimitedBy::Outage {
            since: Duration::ZERO,
            every: Duration::try_from_secs_f64(number.parse().ok()?).ok()?,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_parsed_as_it_was_formatted() {
        let numbers = [
            LimitedBy::Threads(1),
            LimitedBy::Submitted(30),
            LimitedBy::ServiceConcurrency(4),
            LimitedBy::Rate("10/s".parse().unwrap()),
            LimitedBy::LearnedRate(49.25),
            LimitedBy::Outage {
                since: Duration::ZERO,
                every: Duration::from_secs(3),
            },
        ];
        for why in numbers.into_iter().chain(WORDS.map(|(_, why)| why)) {
            assert_eq!(parse(&format(&why)), Some(why));
        }
    }
}
