//! What keeps a run from going faster, as one line: a word, and a number where one belongs to it. Moments have columns of
//! their own.

use std::time::Duration;

use crate::governor::Why;

pub(super) fn line(why: &Why) -> String {
    let word = match why {
        Why::Threads(threads) => return format!("threads {threads}"),
        Why::AtOnce(calls) => return format!("at_once {calls}"),
        Why::Rate(rate) => return format!("rate {rate}"),
        Why::Found(rate) => return format!("found {rate:.3}"),
        Why::Outage { every, .. } => return format!("outage {:.3}", every.as_secs_f64()),
        Why::Rising => "rising",
        Why::Asked(_) => "asked",
        Why::Refused(_) => "refused",
        Why::Spent(_) => "spent",
        Why::First => "first",
        Why::Looking => "looking",
        Why::Room => "room",
        Why::Share => "share",
        Why::Work => "work",
    };
    word.to_owned()
}

/// Reads such a line; moments are zero. Returns `None` for the words of stride 0.1.0.
pub(super) fn read(line: &str) -> Option<Why> {
    let (word, number) = line.split_once(' ').unwrap_or((line, ""));
    let zero = Duration::ZERO;
    Some(match word {
        "threads" => Why::Threads(number.parse().ok()?),
        "at_once" => Why::AtOnce(number.parse().ok()?),
        "rate" => Why::Rate(number.parse().ok()?),
        "found" => Why::Found(number.parse().ok()?),
        "outage" => Why::Outage {
            since: zero,
            every: Duration::try_from_secs_f64(number.parse().ok()?).ok()?,
        },
        "rising" => Why::Rising,
        "asked" => Why::Asked(zero),
        "refused" => Why::Refused(zero),
        "spent" => Why::Spent(zero),
        "first" => Why::First,
        "looking" => Why::Looking,
        "room" => Why::Room,
        "share" => Why::Share,
        "work" => Why::Work,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_read_back() {
        let zero = Duration::ZERO;
        for why in [
            Why::Threads(1),
            Why::AtOnce(4),
            Why::Rate("10/s".parse().unwrap()),
            Why::Found(49.25),
            Why::Outage {
                since: zero,
                every: Duration::from_secs(3),
            },
            Why::Rising,
            Why::Asked(zero),
            Why::Refused(zero),
            Why::Spent(zero),
            Why::First,
            Why::Looking,
            Why::Room,
            Why::Share,
            Why::Work,
        ] {
            assert_eq!(read(&line(&why)), Some(why));
        }
    }

    #[test]
    fn the_words_of_an_earlier_version_say_nothing() {
        for line in [
            "",
            "the service asked to wait until",
            "threads",
            "next file at",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
