//! Budgets of calls, time and money, over all sessions of a run.
//!
//! A call reserves its cost when it is claimed, so that no budget of calls or money is exceeded. If nothing was sent, the
//! reservation is released. A throttled call counts but is free, unless its answer states a cost.

use std::time::Duration;

use crate::job::{Money, Price};

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
    pub pricing: Pricing,
}

/// The source of a call's price. A cost that an answer states takes precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pricing {
    /// Each call that was perhaps sent costs this.
    Each(Money),
    /// The answer states it. A call whose answer states none costs as much as the dearest so far.
    Answer,
}

impl Default for Pricing {
    /// Calls are free.
    fn default() -> Self {
        Self::Each(Money::default())
    }
}

/// Consumption of the budgets, over all sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Calls that may have been sent.
    pub calls: u64,
    /// Sum of the prices.
    pub cost: Money,
    /// Calls whose own cost is unknown. The sum counts each with the cost of the dearest call before it.
    pub unknown: u64,
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
    /// Number of calls whose cost is unknown.
    pub unknown: i64,
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
    /// Returns a budget that allows no further call. `reserve` is the cost of the calls in flight that is not counted yet,
    /// and of one more call.
    pub(crate) fn exhausted(&self, budgets: &Budgets, reserve: Money) -> Option<Budget> {
        let calls = budgets.calls.filter(|most| self.calls >= *most);
        let time = budgets.duration.filter(|most| self.worked >= *most);
        let next = self.cost.0.saturating_add(reserve.0);
        let cost = budgets.cost.filter(|most| next > most.0);
        (calls.map(Budget::Calls))
            .or(time.map(Budget::Duration))
            .or(cost.map(|_| Budget::Cost(self.cost)))
    }

    /// Returns the number of calls that the budgets still allow.
    pub(crate) fn remaining_calls(&self, budgets: &Budgets) -> u64 {
        let calls = budgets.calls.map(|most| most.saturating_sub(self.calls));
        let money = budgets.cost.map(|most| most.0.saturating_sub(self.cost.0));
        let paid = money.and_then(|money| match budgets.pricing {
            Pricing::Each(price) => money.checked_div(price.0),
            Pricing::Answer => None,
        });
        calls.unwrap_or(u64::MAX).min(paid.unwrap_or(u64::MAX))
    }

    /// Returns the change since `before`.
    pub(crate) fn since(&self, before: &Self) -> UsageDelta {
        UsageDelta {
            calls: self.calls.wrapping_sub(before.calls).cast_signed(),
            cost: self.cost.0.wrapping_sub(before.cost.0).cast_signed(),
            unknown: self.unknown.wrapping_sub(before.unknown).cast_signed(),
            worked: self.worked.saturating_sub(before.worked),
        }
    }

    /// Counts money.
    pub(crate) fn add_cost(&mut self, price: Price) {
        self.cost.0 = self.cost.0.saturating_add(price.amount.0);
        self.unknown += u64::from(!price.is_known);
    }

    /// Releases money that was counted.
    pub(crate) fn release_cost(&mut self, amount: Money) {
        self.cost.0 = self.cost.0.saturating_sub(amount.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(text: &str) -> Money {
        text.parse().unwrap()
    }

    #[test]
    fn the_last_call_fits_and_the_next_does_not() {
        let each = money("0.3");
        let budgets = Budgets {
            cost: Some(money("1")),
            pricing: Pricing::Each(each),
            ..Budgets::default()
        };
        let mut used = Usage::default();
        for _ in 0..3 {
            assert_eq!(used.exhausted(&budgets, each), None);
            used.add_cost(Price {
                amount: each,
                is_known: true,
            });
        }
        let spent = Budget::Cost(money("0.9"));
        assert_eq!(used.exhausted(&budgets, each), Some(spent));
        used.release_cost(each);
        assert_eq!(
            (
                used.exhausted(&budgets, each),
                used.remaining_calls(&budgets)
            ),
            (None, 1)
        );
    }
}
