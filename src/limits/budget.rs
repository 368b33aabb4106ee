//! Budgets: how much a run may use over all its runners. What is reserved when a call is claimed is given back
//! where it turns out that nothing was sent, so that a budget is never passed.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// An amount of money in billionths of whatever unit the user counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Money(pub u64);

const BILLION: u64 = 1_000_000_000;

impl FromStr for Money {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is not an amount: write a number such as 25 or 0.0015");
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
        // SQLite's integers have a sign.
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

/// What a run may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budgets {
    /// Calls.
    pub calls: Option<u64>,
    /// Time in which a runner works on it.
    pub duration: Option<Duration>,
    /// Money.
    pub cost: Option<Money>,
    /// What a call costs.
    pub each: Money,
}

/// What a run has used, over all its runners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    /// Calls that were perhaps sent.
    pub calls: u64,
    /// What they cost.
    pub cost: Money,
    /// Time in which a runner worked on it.
    pub worked: Duration,
}

/// A change of [`Used`]; negative where more was given back than taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Calls.
    pub calls: i64,
    /// Money, in billionths.
    pub cost: i64,
    /// Time.
    pub worked: Duration,
}

/// A budget that is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// `--max-calls`.
    Calls(u64),
    /// `--max-duration`.
    Duration(Duration),
    /// `--max-cost`: what was spent, and what one more call would cost.
    Cost(Money),
    /// `--until`.
    Until,
}

impl Used {
    /// The budget that does not allow one more call.
    pub(crate) fn up(&self, budgets: &Budgets) -> Option<Budget> {
        let calls = budgets.calls.filter(|most| self.calls >= *most);
        let time = budgets.duration.filter(|most| self.worked >= *most);
        let cost = budgets
            .cost
            .filter(|most| self.cost.0.saturating_add(budgets.each.0) > most.0);
        None.or(calls.map(Budget::Calls))
            .or(time.map(Budget::Duration))
            .or(cost.map(|_| Budget::Cost(self.cost)))
    }

    /// How many more calls the budgets allow.
    pub(crate) fn left(&self, budgets: &Budgets) -> u64 {
        let calls = budgets.calls.map(|most| most.saturating_sub(self.calls));
        let money = budgets.cost.map(|most| most.0.saturating_sub(self.cost.0));
        let paid = money.and_then(|money| money.checked_div(budgets.each.0));
        calls.unwrap_or(u64::MAX).min(paid.unwrap_or(u64::MAX))
    }

    /// The change since `before`.
    pub(crate) fn since(&self, before: &Self) -> Usage {
        Usage {
            calls: self.calls.wrapping_sub(before.calls).cast_signed(),
            cost: self.cost.0.wrapping_sub(before.cost.0).cast_signed(),
            worked: self.worked.saturating_sub(before.worked),
        }
    }

    pub(crate) fn reserve(&mut self, each: Money) {
        self.calls += 1;
        self.cost.0 = self.cost.0.saturating_add(each.0);
    }

    /// Nothing was sent.
    pub(crate) fn give_back(&mut self, each: Money) {
        self.calls = self.calls.saturating_sub(1);
        self.give_back_cost(each);
    }

    /// It was sent, and costs nothing.
    pub(crate) fn give_back_cost(&mut self, each: Money) {
        self.cost.0 = self.cost.0.saturating_sub(each.0);
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
        for wrong in [
            "",
            "-1",
            "1e3",
            ".5",
            "1.",
            "0.0000000001",
            "1.2.3",
            "99999999999",
        ] {
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
        let mut used = Used::default();
        for _ in 0..3 {
            assert_eq!(used.up(&budgets), None);
            used.reserve(budgets.each);
        }
        assert_eq!(used.up(&budgets), Some(Budget::Cost(money("0.9"))));
        used.give_back(budgets.each);
        assert_eq!((used.up(&budgets), used.left(&budgets)), (None, 1));
    }

    #[test]
    fn calls_and_time_are_counted() {
        let budgets = Budgets {
            calls: Some(2),
            duration: Some(Duration::from_secs(10)),
            ..Budgets::default()
        };
        let mut used = Used {
            calls: 2,
            ..Used::default()
        };
        assert_eq!(used.up(&budgets), Some(Budget::Calls(2)));
        used = Used {
            worked: Duration::from_secs(10),
            ..Used::default()
        };
        assert_eq!(
            used.up(&budgets),
            Some(Budget::Duration(Duration::from_secs(10)))
        );
    }
}
