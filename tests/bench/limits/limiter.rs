//! The limits that services have, judged call by call. Pure: time is an argument, counted from the service's
//! start.

use std::collections::VecDeque;
use std::time::Duration;

/// How a service limits its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// A token bucket one second deep, full at the start
    Bucket,
    /// The same, and every answer tells in its headers what is left
    Headers,
    /// Windows of one second, aligned to the service's start
    Fixed,
    /// So many calls in any window, wherever it begins
    Sliding,
}

impl Kind {
    /// As it is written on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Bucket => "bucket",
            Self::Headers => "headers",
            Self::Fixed => "fixed",
            Self::Sliding => "sliding",
        }
    }
}

/// What a call comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is taken.
    Accepted,
    /// It is refused, and may come again after so many whole seconds, at least one.
    Refused(u64),
}

/// Judges calls.
#[derive(Debug)]
pub(crate) struct Limiter {
    kind: Kind,
    rate: f64,
    /// The length of a window; a bucket's depth in time.
    window: Duration,
    /// A bucket's tokens, as of `filled`.
    tokens: f64,
    filled: Duration,
    /// The number of the fixed window that calls came in last, and how many it took.
    current: u128,
    taken: f64,
    /// When the calls of the last sliding window were taken.
    log: VecDeque<Duration>,
}

impl Limiter {
    /// A limiter that takes `rate` calls a second; `window` is one second but for sliding ones.
    pub(crate) fn new(kind: Kind, rate: f64, window: Duration) -> Self {
        let mut limiter = Self {
            kind,
            rate,
            window,
            tokens: 0.0,
            filled: Duration::ZERO,
            current: 0,
            taken: 0.0,
            log: VecDeque::new(),
        };
        limiter.tokens = limiter.most();
        limiter
    }

    /// Its kind.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The calls it takes in a second.
    pub(crate) fn rate(&self) -> f64 {
        self.rate
    }

    /// The whole tokens left in a bucket.
    pub(crate) fn left(&self) -> u64 {
        self.tokens as u64
    }

    /// The calls that a window takes, or a full bucket.
    fn most(&self) -> f64 {
        (self.rate * self.window.as_secs_f64()).round().max(1.0)
    }

    /// Fills the bucket up to `now`.
    fn fill(&mut self, now: Duration) {
        let gained = now.saturating_sub(self.filled).as_secs_f64() * self.rate;
        self.tokens = (self.tokens + gained).min(self.most());
        self.filled = now;
    }

    /// Changes the rate. What a bucket holds over the new depth is gone.
    pub(crate) fn change(&mut self, now: Duration, rate: f64) {
        self.fill(now);
        self.rate = rate;
        self.tokens = self.tokens.min(self.most());
    }

    /// Judges a call that arrives at `now`; a call never arrives before the one that was judged last.
    pub(crate) fn judge(&mut self, now: Duration) -> Verdict {
        let wait = match self.kind {
            Kind::Bucket | Kind::Headers => self.draw(now),
            Kind::Fixed => self.count(now),
            Kind::Sliding => self.slide(now),
        };
        wait.map_or(Verdict::Accepted, |wait| {
            Verdict::Refused((wait.as_secs_f64().ceil() as u64).max(1))
        })
    }

    /// Takes a token, or tells how long until there is one.
    fn draw(&mut self, now: Duration) -> Option<Duration> {
        /// What adding up fractions may lack of a whole token.
        const ROUNDING: f64 = 1e-9;
        self.fill(now);
        if self.tokens + ROUNDING >= 1.0 {
            self.tokens = (self.tokens - 1.0).max(0.0);
            return None;
        }
        Some(Duration::from_secs_f64((1.0 - self.tokens) / self.rate))
    }

    /// Takes a place in the fixed window, or tells how long until the next one.
    fn count(&mut self, now: Duration) -> Option<Duration> {
        let (length, now) = (self.window.as_nanos(), now.as_nanos());
        if now / length != self.current {
            self.current = now / length;
            self.taken = 0.0;
        }
        if self.taken + 1.0 <= self.most() {
            self.taken += 1.0;
            return None;
        }
        let rest = length - now % length;
        Some(Duration::from_nanos(
            u64::try_from(rest).unwrap_or(u64::MAX),
        ))
    }

    /// Takes a place in the window that ends now, or tells how long until the oldest call leaves it.
    fn slide(&mut self, now: Duration) -> Option<Duration> {
        let gone = |then: &Duration| now.saturating_sub(*then) >= self.window;
        while self.log.front().is_some_and(gone) {
            self.log.pop_front();
        }
        if self.log.len() < self.most() as usize {
            self.log.push_back(now);
            return None;
        }
        let oldest = self.log.front().copied().unwrap_or(now);
        Some((oldest + self.window).saturating_sub(now))
    }
}
