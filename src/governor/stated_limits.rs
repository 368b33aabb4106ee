//! Reads the limits that a service states in its answers.
//!
//! Some services state the calls left and the time until the count resets, but not the length of their window. That length
//! is inferred from two resets.

use std::time::Duration;

use super::rate_controller::LONGEST_SPREAD;
use crate::job::Hint;

/// Shortest window that is recognized, in seconds.
const SHORTEST: f64 = 5.0;
/// Rate to keep, as a fraction of the stated one, because the service's clock differs.
const BELOW_STATED: f64 = 0.99;

/// The stated count of calls. Moments are in seconds.
#[derive(Debug, Default)]
pub(super) struct StatedLimits {
    /// Most calls left in the present window.
    most: u64,
    left: u64,
    /// Latest call whose answer was read.
    call: u64,
    /// Moment of the first call in the present window.
    began: Option<f64>,
}

/// The call whose answer stated a limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct AnsweredCall {
    pub(super) number: u64,
    /// Moment of sending.
    pub(super) sent: f64,
    /// Other calls in flight.
    pub(super) in_flight: usize,
    /// Calls sent after this one.
    pub(super) sent_later: u64,
}

impl StatedLimits {
    /// Reads a stated limit. Returns the rate to keep, in calls per second, and the time for which no call is left.
    pub(super) fn read(
        &mut self,
        hint: &Hint,
        call: AnsweredCall,
    ) -> (Option<f64>, Option<Duration>) {
        // The calls of a short window are spread evenly.
        let rate = |(calls, window): (f64, f64)| {
            (window <= LONGEST_SPREAD).then_some(BELOW_STATED * calls / window)
        };
        let stated = (hint.policy).map(|policy| (policy.calls as f64, policy.window.as_secs_f64()));
        let (Some(left), Some(reset)) = (hint.remaining, hint.reset) else {
            return (stated.and_then(rate), None);
        };
        let inferred = self
            .infer_window(call, left, reset.as_secs_f64())
            .map(|window| (left as f64 + 1.0, window));
        let rate = stated.or(inferred).and_then(rate);
        // Ignore a short reset in whole seconds, or if the stated limit sets the rate anyway. Also ignore it if fewer than ten
        // calls were ever left: such a small bucket is often empty.
        let is_long = reset > Duration::from_secs(2);
        let is_rounded = reset.subsec_nanos() == 0;
        if !is_long && (is_rounded || self.most < 10 || hint.policy.is_some()) {
            return (rate, None);
        }
        let sent_later = if is_long { call.sent_later } else { 0 };
        (rate, (left <= sent_later).then_some(reset))
    }

    /// Returns the length of the window once two windows have begun, if it equals the stated time until the next. A window
    /// begins when more calls are left than before.
    fn infer_window(&mut self, call: AnsweredCall, left: u64, reset: f64) -> Option<f64> {
        if call.number < self.call {
            return None;
        }
        let begins = left > self.left + self.most / 2 + call.in_flight as u64;
        (self.call, self.left) = (call.number, left);
        if !begins {
            self.most = self.most.max(left);
            return None;
        }
        self.most = left;
        let window = call.sent - self.began.replace(call.sent)?;
        // The stated time may be rounded up to a second, so short windows look like a bucket that is soon full.
        let fits = window >= SHORTEST && window > reset - 1.0 && window < reset + 0.1 * window;
        fits.then_some(window)
    }
}
