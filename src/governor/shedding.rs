//! Load shedding: a service that refuses calls at random, however few are made.

/// The evidence for refusals at random.
#[derive(Debug)]
pub(super) struct Shedding {
    pub(super) is_on: bool,
    /// Short runs in a row, and how many of them are needed.
    short: u32,
    needed: u32,
    accepted: u32,
    refused: u32,
}

impl Default for Shedding {
    fn default() -> Self {
        Self {
            is_on: false,
            short: 0,
            needed: 4,
            accepted: 0,
            refused: 0,
        }
    }
}

impl Shedding {
    /// A run of no more accepted calls is short: where one in six is refused, 99 % of the runs are.
    pub(super) const SHORT: u64 = 24;
    /// Answers, at least, after which it is decided whether it still goes on.
    const TRIAL: u32 = 24;

    pub(super) fn ran(&mut self, is_short: bool) {
        self.short = if is_short { self.short + 1 } else { 0 };
        if self.short >= self.needed {
            (self.is_on, self.short, self.accepted, self.refused) = (true, 0, 0, 0);
        }
    }

    /// Counts an answer to one of so many calls in flight; returns true where two of three are refused, so that it is
    /// no shedding after all.
    pub(super) fn ends(&mut self, accepted: bool, in_flight: usize) -> bool {
        if accepted {
            self.accepted += 1;
        } else {
            self.refused += 1;
        }
        let trial = Self::TRIAL.max(2 * in_flight as u32);
        if self.accepted + self.refused < trial {
            return false;
        }
        let ends = self.refused > 2 * self.accepted;
        (self.accepted, self.refused) = (0, 0);
        if ends {
            self.is_on = false;
            self.needed *= 2;
        }
        ends
    }
}
