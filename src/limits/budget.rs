//! Budgets of calls, time and money, over all sessions of a run.
//!
//! A call reserves its cost when it is claimed, so that no budget of calls or money is exceeded. If nothing was sent, the
//! reservation is released. A throttled call counts but is free.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Money, in billionths of the user's currency unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Money(pub u64);

const BILLION: u64 = 1_000_000_000;

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
        let whole: u64 = whole.parse().map_err(|_| wrong())?;
        let fraction: u64 = format!("{fraction:0<9}").parse().map_err(|_| wrong())?;
        let billionths = whole
            .checked_mul(BILLION)
            .and_then(|whole| whole.checked_add(fraction));
        // SQLite stores signed integers.
        billionths
            .filter(|billionths| *billionths <= i64::MAX.unsigned_abs())
            .map(Self)
            .ok_or_else(wrong)
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

/// The limits of a run. `None` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budgets {
    /// Number of calls.
    pub calls: Option<u64>,
    /// Working time.
    pub duration: Option<Duration>,
    /// Money.
    pub cost: Option<Money>,
    /// Price of a call.
    pub each: Money,
}

/// Consumption of the budgets, over all sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Calls that may have been sent.
    pub calls: u64,
    /// Price of these calls, without throttled ones.
    pub cost: Money,
    /// Working time, without sleep of the machine.
    pub worked: Duration,
}

/// A change of [`Usage`], negative if more was released than reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageDelta {
    /// Number of calls.
    pub calls: i64,
    /// Money, in billionths.
    pub cost: i64,
    /// Working time.
    pub worked: Duration,
}

/// An exhausted budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// `--max-calls`: the limit.
    Calls(u64),
    /// `--max-duration`: the limit.
    Duration(Duration),
    /// `--max-cost`: the money spent. One more call would exceed the limit.
    Cost(Money),
    /// `--until`: the moment has passed.
    Until,
}

impl Usage {
    /// Returns a budget that allows no further call.
    pub(crate) fn exhausted(&self, budgets: &Budgets) -> Option<Budget> {
        let calls = budgets.calls.filter(|most| self.calls >= *most);
        let time = budgets.duration.filter(|most| self.worked >= *most);
        let next = self.cost.0.saturating_add(budgets.each.0);
        let cost = budgets.cost.filter(|most| next > most.0);
        (calls.map(Budget::Calls))
            .or(time.map(Budget::Duration))
            .or(cost.map(|_| Budget::Cost(self.cost)))
    }

    /// Returns the number of calls that the budgets still allow.
    pub(crate) fn remaining_calls(&self, budgets: &Budgets) -> u64 {
        let calls = budgets.calls.map(|most| most.saturating_sub(self.calls));
        let money = budgets.cost.map(|most| most.0.saturating_sub(self.cost.0));
        let paid = money.and_then(|money| money.checked_div(budgets.each.0));
        calls.unwrap_or(u64::MAX).min(paid.unwrap_or(u64::MAX))
    }

    /// Returns the change since `before`.
    pub(crate) fn since(&self, before: &Self) -> UsageDelta {
        UsageDelta {
            calls: self.calls.wrapping_sub(before.calls).cast_signed(),
            cost: self.cost.0.wrapping_sub(before.cost.0).cast_signed(),
            worked: self.worked.saturating_sub(before.worked),
        }
    }

    /// Reserves one call at this price.
    pub(crate) fn reserve(&mut self, price: Money) {
        self.calls += 1;
        self.cost.0 = self.cost.0.saturating_add(price.0);
    }

    /// Releases the reservation of a call that was not sent.
    pub(crate) fn release(&mut self, price: Money) {
        self.calls = self.calls.saturating_sub(1);
        self.release_cost(price);
    }

    /// Releases the price of a call that was sent and is free.
    pub(crate) fn release_cost(&mut self, price: Money) {
        self.cost.0 = self.cost.0.saturating_sub(price.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(text: &str) -> Money {
        text.parse().unwrap()
    }

    #[test]
    fn money_is_exact() {
        assert_eq!(money("0.0015").0, 1_500_000);
        for text in ["25", "0.0015", "0.000000001", "12.5"] {
            assert_eq!(money(text).to_string(), text);
        }
        for wrong in "|-1|1e3|.5|1.|0.0000000001|1.2.3|99999999999".split('|') {
            assert!(wrong.parse::<Money>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_last_call_fits_and_the_next_does_not() {
        let budgets = Budgets {
            cost: Some(money("1")),
            each: money("0.3"),
            ..Budgets::default()
        };
        let mut used = Usage::default();
        for _ in 0..3 {
            assert_eq!(used.exhausted(&budgets), None);
            used.reserve(budgets.each);
        }
        assert_eq!(used.exhausted(&budgets), Some(Budget::Cost(money("0.9"))));
        used.release(budgets.each);
        assert_eq!(
            (used.exhausted(&budgets), used.remaining_calls(&budgets)),
            (None, 1)
        );
    }
}
