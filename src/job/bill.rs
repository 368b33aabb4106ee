//! The cost of calls.

use std::fmt;
use std::str::FromStr;

/// Money, in billionths of the user's currency unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Money(pub u64);

const BILLION: u64 = 1_000_000_000;
/// The fraction digits of an amount.
const PLACES: i64 = 9;

/// What an answer states about its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bill {
    /// The money that the call cost.
    pub cost: Option<Money>,
    /// The weight that the call had, such as its tokens.
    pub weight: Option<u64>,
}

/// The money that a call is counted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// The amount.
    pub amount: Money,
    /// The amount is the call's own. Otherwise the answer stated none, or is missing, and the amount is that of the dearest
    /// call so far.
    pub is_known: bool,
}

impl Bill {
    /// Fills what this bill does not state from another one.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            cost: self.cost.or(other.cost),
            weight: self.weight.or(other.weight),
        }
    }

    /// Reads a weight from a decimal number, rounded up. Returns `None` for a negative one and for other text.
    pub fn round_weight(number: &str) -> Option<u64> {
        let weight = number.parse().ok();
        let weight = weight.filter(|weight: &f64| weight.is_finite() && *weight >= 0.0)?;
        Some(weight.ceil() as u64)
    }
}

impl Money {
    /// Rounds a decimal number, which may have an exponent, to billionths, half to even. The text decides, digit by digit,
    /// so no binary fraction takes part. Returns `None` for a negative or too large amount, and for other text.
    pub fn round(number: &str) -> Option<Self> {
        let (negative, number) = match number.strip_prefix('-') {
            Some(number) => (true, number),
            None => (false, number),
        };
        let (number, exponent) = match number.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse().ok()?),
            None => (number, 0_i64),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let mut digits = format!("{whole}{fraction}").into_bytes();
        if whole.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        // The number of digits up to the last one that counts.
        let kept = (whole.len() as i64)
            .checked_add(exponent)?
            .checked_add(PLACES)?;
        let first = digits.iter().position(|digit| *digit != b'0');
        let Some(first) = first
            .map(|first| first as i64)
            .filter(|first| *first <= kept)
        else {
            return (!negative || first.is_none()).then_some(Self(0));
        };
        // No amount has so many digits.
        if kept - first > 20 {
            return None;
        }
        let kept = kept.unsigned_abs() as usize;
        digits.resize(digits.len().max(kept), b'0');
        let (digits, rest) = digits.split_at(kept);
        let amount = digits.iter().try_fold(0_u64, |sum, digit| {
            sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
        })?;
        let up = match rest.split_first() {
            None => false,
            Some((next, rest)) => match next.cmp(&b'5') {
                std::cmp::Ordering::Less => false,
                std::cmp::Ordering::Greater => true,
                std::cmp::Ordering::Equal => {
                    amount % 2 == 1 || rest.iter().any(|digit| *digit != b'0')
                }
            },
        };
        let amount = Self(amount.checked_add(u64::from(up))?);
        (!negative && amount.is_storable()).then_some(amount)
    }

    /// Returns whether SQLite can store the amount: it has signed integers.
    fn is_storable(self) -> bool {
        self.0 <= i64::MAX.unsigned_abs()
    }
}

impl FromStr for Money {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is not an amount: use a number such as 25 or 0.0015");
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
            return Err(wrong());
        }
        Self::round(text).ok_or_else(wrong)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:09}", self.0 % BILLION);
        match fraction.trim_end_matches('0') {
            "" => write!(f, "{}", self.0 / BILLION),
            fraction => write!(f, "{}.{fraction}", self.0 / BILLION),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_exact() {
        let money = |text: &str| text.parse::<Money>().unwrap();
        assert_eq!(money("0.0015").0, 1_500_000);
        for text in ["25", "0.0015", "0.000000001", "12.5"] {
            assert_eq!(money(text).to_string(), text);
        }
        for wrong in "|-1|1e3|.5|1.|0.0000000001|1.2.3|99999999999".split('|') {
            assert!(wrong.parse::<Money>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_number_is_rounded_half_to_even_by_its_digits() {
        for (number, billionths) in [
            ("0", 0),
            ("-0", 0),
            ("-0.0e9", 0),
            ("1", BILLION),
            ("0.0000000005", 0),
            ("0.00000000051", 1),
            ("0.0000000015", 2),
            ("0.0000000025", 2),
            ("0.00000000250000000000000000001", 3),
            ("0.9999999995", BILLION),
            ("6e-10", 1),
            ("6E-11", 0),
            ("1.25e-8", 12),
            ("1e-400", 0),
            ("000012.5", 12_500_000_000),
            ("0.0000000000000000000000001e25", BILLION),
            ("9223372036.854775807", i64::MAX.unsigned_abs()),
        ] {
            assert_eq!(Money::round(number), Some(Money(billionths)), "{number}");
        }
        for wrong in [
            "",
            "-1",
            "-1e-12",
            "+1",
            ".5",
            "1e",
            "e1",
            "1.2.3",
            "nan",
            "null",
            "\"1\"",
            "[1,2]",
            "9223372036.854775808",
            "1e11",
            "1e99999999999999999999",
            "1e9223372036854775807",
        ] {
            assert_eq!(Money::round(wrong), None, "{wrong}");
        }
    }
}
