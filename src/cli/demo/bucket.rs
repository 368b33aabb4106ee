//! How the demo's API limits its callers: a token bucket, as most services do. Pure: time is an argument.

use std::time::Instant;

/// A token bucket one second deep: a caller that was quiet may make the calls of a second at once.
#[derive(Debug)]
pub(crate) struct Bucket {
    rate: f64,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    /// A full bucket for `rate` calls in a second.
    pub(crate) fn new(rate: f64, now: Instant) -> Self {
        Self {
            rate,
            tokens: Self::depth(rate),
            filled: now,
        }
    }

    /// Below one call in a second it must still hold one.
    fn depth(rate: f64) -> f64 {
        rate.max(1.0)
    }

    /// Takes a token, if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let gained = now.saturating_duration_since(self.filled).as_secs_f64() * self.rate;
        self.tokens = (self.tokens + gained).min(Self::depth(self.rate));
        self.filled = now;
        let one = self.tokens >= 1.0;
        if one {
            self.tokens -= 1.0;
        }
        one
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_bucket_holds_one_second() {
        let start = Instant::now();
        let mut bucket = Bucket::new(3.0, start);
        let mut taken = |millis| {
            let now = start + Duration::from_millis(millis);
            (0..10).filter(|_| bucket.take(now)).count()
        };
        assert_eq!(taken(0), 3);
        assert_eq!(taken(300), 0);
        assert_eq!(taken(700), 2);
        assert_eq!(taken(60_000), 3);
    }

    #[test]
    fn a_bucket_for_slow_calls_holds_one() {
        let start = Instant::now();
        let mut bucket = Bucket::new(0.1, start);
        assert!(bucket.take(start));
        assert!(!bucket.take(start + Duration::from_secs(9)));
        assert!(bucket.take(start + Duration::from_secs(11)));
    }
}
