//! Prices calls, and reserves money for those whose cost only their answers state.

use std::collections::VecDeque;

use crate::job::{Money, Price};
use crate::limits::Pricing;

/// The number of known costs of which the dearest is reserved for a call.
const RECENT: usize = 100;

/// The costs of the run's calls.
#[derive(Debug, Default)]
pub(super) struct Prices {
    /// The dearest known cost; `None` as long as none is known.
    dearest: Option<Money>,
    /// The latest known costs.
    recent: VecDeque<Money>,
    /// Money reserved for calls in flight.
    reserved: Money,
}

/// The money of a call in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reservation {
    /// It is counted already.
    Counted(Money),
    /// Only the answer states the cost. This much is reserved.
    Reserved(Money),
    /// The call is free, unless its answer states a cost.
    Exempt,
}

impl Prices {
    /// Creates the prices of a run whose earlier sessions saw this dearest cost.
    pub(super) fn new(dearest: Option<Money>) -> Self {
        Self {
            dearest,
            recent: dearest.into_iter().collect(),
            reserved: Money::default(),
        }
    }

    pub(super) fn dearest(&self) -> Option<Money> {
        self.dearest
    }

    /// Returns whether a call has to go alone, because nothing shows yet what calls cost.
    pub(super) fn is_first(&self, pricing: Pricing) -> bool {
        pricing == Pricing::Answer && self.recent.is_empty()
    }

    /// Returns the cost of the calls in flight that is not counted yet, and of one more call.
    pub(super) fn with_next(&self, pricing: Pricing) -> Money {
        let next = match pricing {
            Pricing::Each(price) => price,
            // Before the first cost is known, any money left is enough.
            Pricing::Answer => self.recent.iter().max().copied().unwrap_or(Money(1)),
        };
        Money(self.reserved.0.saturating_add(next.0))
    }

    /// Reserves the money of one call.
    pub(super) fn reserve(&mut self, pricing: Pricing) -> Reservation {
        match pricing {
            Pricing::Each(price) => Reservation::Counted(price),
            Pricing::Answer => {
                let reserve = self.recent.iter().max().copied().unwrap_or_default();
                self.reserved.0 = self.reserved.0.saturating_add(reserve.0);
                Reservation::Reserved(reserve)
            }
        }
    }

    /// Releases a reservation, except money that is counted.
    pub(super) fn release(&mut self, reservation: Reservation) {
        if let Reservation::Reserved(amount) = reservation {
            self.reserved.0 = self.reserved.0.saturating_sub(amount.0);
        }
    }

    /// Returns the price of a call that was perhaps sent; `None` if it is free. `stated` is its cost by its answer.
    pub(super) fn price(
        &mut self,
        reservation: Reservation,
        stated: Option<Money>,
    ) -> Option<Price> {
        if let Some(amount) = stated {
            self.dearest = self.dearest.max(Some(amount));
            self.recent.push_back(amount);
            if self.recent.len() > RECENT {
                self.recent.pop_front();
            }
        }
        let (amount, is_known) = match (stated, reservation) {
            (Some(amount), _) | (None, Reservation::Counted(amount)) => (amount, true),
            (None, Reservation::Reserved(_)) => (self.dearest.unwrap_or_default(), false),
            (None, Reservation::Exempt) => return None,
        };
        let is_free = is_known && amount == Money::default();
        (!is_free).then_some(Price { amount, is_known })
    }
}
