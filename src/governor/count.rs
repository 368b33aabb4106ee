//! Reads a service's own count of calls, where it says what is left and when that is whole again, and not how long its
//! window is.

/// A shorter window is not recognized, in seconds.
const SHORTEST: f64 = 5.0;

/// A service's own count. Moments are seconds.
#[derive(Debug, Default)]
pub(super) struct Count {
    /// The most calls that were left in the present window.
    pub(super) most: u64,
    left: u64,
    /// The latest call whose answer was read.
    call: u64,
    /// The moment of the call that was the first in its window.
    began: Option<f64>,
}

impl Count {
    /// Reads the answer to this call, sent at `sent` beside so many others: so many calls are left, for so long. Returns
    /// the length of its window, once two were seen to begin: more calls were left than before, and the time between the
    /// two is that until the next.
    pub(super) fn read(
        &mut self,
        (call, sent, others): (u64, f64, usize),
        left: u64,
        reset: f64,
    ) -> Option<f64> {
        if call < self.call {
            return None;
        }
        let begins = left > self.left + self.most / 2 + others as u64;
        (self.call, self.left) = (call, left);
        if !begins {
            self.most = self.most.max(left);
            return None;
        }
        self.most = left;
        let window = sent - self.began.replace(sent)?;
        // What is stated may be rounded up to a second, so that short windows cannot be told from a bucket that is soon full.
        let fits = window >= SHORTEST && window > reset - 1.0 && window < reset + 0.1 * window;
        fits.then_some(window)
    }
}
