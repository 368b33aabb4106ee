//! The numbers in messages: limits of the service, and the cost and weight of a call.

use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::Number;

use crate::job::{Bill, Hint, Money, Policy};

/// The limits of the service.
#[derive(serde::Deserialize)]
pub(super) struct Limit {
    remaining: Option<Whole<u64>>,
    reset: Option<f64>,
    calls: Option<Whole<u64>>,
    window: Option<f64>,
}

/// A whole number. Many languages write `3.0` for 3.
pub(super) struct Whole<T>(pub(super) T);

impl<'de, T: FromStr> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = Number::deserialize(from)?.to_string();
        let whole = number.strip_suffix(".0").unwrap_or(&number).parse();
        whole
            .map(Self)
            .map_err(|_| D::Error::custom(format!("{number} is no such number")))
    }
}

/// Reads an amount of money.
pub(super) fn cost<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Money>, D::Error> {
    number(from, Money::round, "cost")
}

/// Reads a weight.
pub(super) fn weight<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    number(from, Bill::round_weight, "weight")
}

fn number<'de, D: Deserializer<'de>, T>(
    from: D,
    read: fn(&str) -> Option<T>,
    what: &str,
) -> Result<Option<T>, D::Error> {
    let number = Option::<Number>::deserialize(from)?;
    let read = number.map(|number| {
        read(&number.to_string()).ok_or_else(|| D::Error::custom(format!("{number} is no {what}")))
    });
    read.transpose()
}

/// Returns a wait, which is cut to 366 days.
pub(super) fn seconds(number: Option<f64>) -> Option<Duration> {
    Duration::try_from_secs_f64(number?.min(366.0 * 86_400.0)).ok()
}

/// Returns what the service stated, by the worker's word.
pub(super) fn hint(limit: Option<Limit>, bill: Bill) -> Option<Box<Hint>> {
    let mut hint = limit.map_or_else(Hint::default, |limit| {
        let window = seconds(limit.window).filter(|window| !window.is_zero());
        let policy = limit.calls.zip(window);
        Hint {
            policy: policy.map(|(calls, window)| Policy {
                calls: calls.0,
                window,
            }),
            remaining: limit.remaining.map(|calls| calls.0),
            reset: seconds(limit.reset),
            bill,
        }
    });
    hint.bill = bill;
    (!hint.is_empty()).then(|| Box::new(hint))
}
