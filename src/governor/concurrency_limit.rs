//! Detects a limit on concurrent calls: refusals come only above some number in flight.

/// A service's limit on concurrent calls.
#[derive(Debug)]
pub(super) struct ConcurrencyLimit {
    /// The limit, if one was found.
    pub(super) most: Option<usize>,
    /// Fewest calls in flight with a refusal, since the gate opened.
    pub(super) least_refused: usize,
    /// Accepted calls since the gate opened, by the number in flight.
    accepted: Vec<u32>,
    /// Accepted calls that exceeded the limit by more than one.
    above: u32,
    /// Limits that turned out wrong.
    mistakes: u32,
}

impl Default for ConcurrencyLimit {
    fn default() -> Self {
        Self {
            most: None,
            least_refused: usize::MAX,
            accepted: Vec::new(),
            above: 0,
            mistakes: 0,
        }
    }
}

impl ConcurrencyLimit {
    /// Mistakes after which the search ends.
    const MOST_MISTAKES: u32 = 2;
    /// At most one in this many accepted calls may have been above the limit.
    const EXCEPTIONS: u32 = 20;
    /// The value of `above` that disproves the limit.
    const DISPROOF: u32 = 3;

    /// Starts anew when the gate opens.
    pub(super) fn reset(&mut self) {
        self.accepted.clear();
        self.least_refused = usize::MAX;
        self.above = 0;
    }

    pub(super) fn accepted(&mut self, in_flight: usize) {
        if self.mistakes < Self::MOST_MISTAKES {
            if self.accepted.len() <= in_flight {
                self.accepted.resize(in_flight + 1, 0);
            }
            self.accepted[in_flight] += 1;
        }
    }

    pub(super) fn refused(&mut self, in_flight: usize) {
        self.least_refused = self.least_refused.min(in_flight);
    }

    /// Records an accepted call through the open gate. Returns true once the service accepts more than the limit.
    pub(super) fn is_exceeded(&mut self, in_flight: usize) -> bool {
        if self.most.is_some_and(|most| in_flight > most + 1) {
            self.above += 1;
        }
        self.above >= Self::DISPROOF
    }

    /// Drops a limit that turned out wrong.
    pub(super) fn disprove(&mut self) {
        self.most = None;
        self.above = 0;
        self.mistakes += 1;
    }

    /// Returns the limit if refusals came only above it.
    pub(super) fn detect(&self) -> Option<usize> {
        let least = self.least_refused;
        if self.mistakes >= Self::MOST_MISTAKES || !(2..usize::MAX).contains(&least) {
            return None;
        }
        let all: u32 = self.accepted.iter().sum();
        let above: u32 = self.accepted.iter().skip(least).sum();
        (above * Self::EXCEPTIONS <= all).then_some(least - 1)
    }
}
