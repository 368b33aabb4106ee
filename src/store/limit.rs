//! Formats and parses the limiting reason as one line: a word, and a number if it has one. Moments have columns of their own.

use std::mem::discriminant;
use std::time::Duration;

use crate::governor::Why;

/// The words of reasons without a number.
const WORDS: [(&str, Why); 8] = [
    ("rising", Why::Rising),
    ("asked", Why::Asked(Duration::ZERO)),
    ("refused", Why::Refused(Duration::ZERO)),
    ("spent", Why::Spent(Duration::ZERO)),
    ("first", Why::First),
    ("looking", Why::Looking),
    ("room", Why::Room),
    ("work", Why::Work),
];

pub(super) fn format(why: &Why) -> String {
    match why {
        Why::Threads(threads) => format!("threads {threads}"),
        Why::AtOnce(calls) => format!("at_once {calls}"),
        Why::Rate(rate) => format!("rate {rate}"),
        Why::Found(rate) => format!("found {rate:.3}"),
        Why::Outage { every, .. } => format!("outage {:.3}", every.as_secs_f64()),
        why => {
            let is_same = |(_, known): &&(_, Why)| discriminant(known) == discriminant(why);
            let word = WORDS.iter().find(is_same).map_or("", |(word, _)| word);
            word.to_owned()
        }
    }
}

/// Parses such a line. Moments are zero.
pub(super) fn parse(line: &str) -> Option<Why> {
    let Some((word, number)) = line.split_once(' ') else {
        let found = WORDS.iter().find(|(word, _)| *word == line);
        return found.map(|(_, why)| *why);
    };
    Some(match word {
        "threads" => Why::Threads(number.parse().ok()?),
        "at_once" => Why::AtOnce(number.parse().ok()?),
        "rate" => Why::Rate(number.parse().ok()?),
        "found" => Why::Found(number.parse().ok()?),
        "outage" => Why::Outage {
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
            Why::Threads(1),
            Why::AtOnce(4),
            Why::Rate("10/s".parse().unwrap()),
            Why::Found(49.25),
            Why::Outage {
                since: Duration::ZERO,
                every: Duration::from_secs(3),
            },
        ];
        for why in numbers.into_iter().chain(WORDS.map(|(_, why)| why)) {
            assert_eq!(parse(&format(&why)), Some(why));
        }
    }
}
