//! Detects load shedding: a service that refuses calls at random, at any rate.

/// Evidence for load shedding. A run is the calls from one refusal to the next.
#[derive(Debug)]
pub(super) struct LoadShedding {
    pub(super) is_on: bool,
    /// Consecutive short runs.
    short: u32,
    /// Consecutive short runs that prove load shedding.
    needed: u32,
    /// Answers of the present trial.
    accepted: u32,
    refused: u32,
}

impl Default for LoadShedding {
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

impl LoadShedding {
    /// Most accepted calls in a short run. If one in six calls is refused, 99 % of the runs are short.
    pub(super) const SHORT: u64 = 24;
    /// Fewest answers in a trial of whether load shedding continues.
    const TRIAL: u32 = 24;

    /// Records a run.
    pub(super) fn record_run(&mut self, is_short: bool) {
        self.short = if is_short { self.short + 1 } else { 0 };
        if self.short >= self.needed {
            (self.is_on, self.short, self.accepted, self.refused) = (true, 0, 0, 0);
        }
    }

    /// Records an answer. Returns true if more than two of three in a trial are refused, which disproves load shedding.
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
