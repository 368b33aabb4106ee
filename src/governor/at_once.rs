//! A limit on the calls at a time, found from refusals that come only above some number in flight.

/// A limit on the calls at a time.
#[derive(Debug)]
pub(super) struct AtOnce {
    pub(super) most: Option<usize>,
    /// The fewest calls in flight beside which one was refused, since the gate opened.
    pub(super) least_refused: usize,
    /// Accepted calls by the number in flight, since the gate opened.
    accepted: Vec<u32>,
    /// Calls above the limit that were accepted in a row.
    above: u32,
    /// How often it was found and wrong.
    wrong: u32,
}

impl Default for AtOnce {
    fn default() -> Self {
        Self {
            most: None,
            least_refused: usize::MAX,
            accepted: Vec::new(),
            above: 0,
            wrong: 0,
        }
    }
}

impl AtOnce {
    /// The search for this limit ends after so many mistakes.
    const MISTAKES: u32 = 2;
    /// At most one in so many accepted calls may have been above the limit.
    const EXCEPTIONS: u32 = 20;

    pub(super) fn begin(&mut self) {
        self.accepted.clear();
        self.least_refused = usize::MAX;
        self.above = 0;
    }

    pub(super) fn accepted(&mut self, in_flight: usize) {
        if self.wrong < Self::MISTAKES {
            if self.accepted.len() <= in_flight {
                self.accepted.resize(in_flight + 1, 0);
            }
            self.accepted[in_flight] += 1;
        }
    }

    pub(super) fn refused(&mut self, in_flight: usize) {
        self.least_refused = self.least_refused.min(in_flight);
    }

    /// Returns true where three calls in a row went through above the limit.
    pub(super) fn is_passed(&mut self, in_flight: usize) -> bool {
        if self.most.is_some_and(|most| in_flight > most + 1) {
            self.above += 1;
        }
        self.above >= 3
    }

    pub(super) fn wrong(&mut self) {
        self.most = None;
        self.above = 0;
        self.wrong += 1;
    }

    /// The limit, where refusals came only above it.
    pub(super) fn bound(&self) -> Option<usize> {
        let least = self.least_refused;
        if self.wrong >= Self::MISTAKES || !(2..usize::MAX).contains(&least) {
            return None;
        }
        let all: u32 = self.accepted.iter().sum();
        let above: u32 = self.accepted.iter().skip(least).sum();
        (above * Self::EXCEPTIONS <= all).then_some(least - 1)
    }
}
