//! Heeding what a service says about its limits along with its answers.

use std::time::Duration;

use super::Governor;
use super::finder::RateFinder;
use crate::job::Hint;

/// What a service says is left, and until when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    pub(super) left: u64,
    pub(super) until: Duration,
}

/// A window longer than this is not spread over its length: a short list would wait for nothing.
const LONGEST_SPREAD: Duration = Duration::from_secs(60);
/// Nor is one longer than this where nobody asked for a pace: what is left is spent, and then the reset waited for.
const SPREAD_UNASKED: Duration = Duration::from_secs(2);

impl Governor {
    /// Takes in what a service says about its limits.
    pub(super) fn hinted(&mut self, hint: &Hint, now: Duration) {
        if let (Some(left), Some(reset)) = (hint.remaining, hint.reset) {
            self.allowance = Some(Allowance {
                left,
                until: now.saturating_add(reset.min(self.rules.max_wait)),
            });
        }
        if !self.finds() {
            return;
        }
        let longest = if self.rules.rates.auto {
            LONGEST_SPREAD
        } else {
            SPREAD_UNASKED
        };
        let spread = |window: &Duration| *window <= longest;
        let policy = hint.policy.filter(|policy| spread(&policy.window));
        let stated = match (policy, hint.remaining, hint.reset) {
            (Some(policy), ..) => policy.calls as f64 / policy.window.as_secs_f64(),
            // What is left until the reset can be made until then. The times are whole seconds, often rounded up.
            (None, Some(left @ 1..), Some(reset)) if self.rules.rates.auto && spread(&reset) => {
                // The call that brings this word has taken one of them.
                (left + 1) as f64 / reset.as_secs_f64().max(1.0)
            }
            _ => return,
        };
        if stated > 0.0 {
            self.finder
                .get_or_insert_with(|| RateFinder::new(now, None))
                .stated(stated, now);
        }
    }
}
