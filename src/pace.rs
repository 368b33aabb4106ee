//! When the next call may be made: the rate, and the gate that closes for all threads together. Pure: time
//! and chance are arguments, and time is a [`Duration`] since some fixed moment of the run.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use crate::retry::backoff;

/// A number of calls in a unit of time, such as `10/s` or `5000/d`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    calls: f64,
    unit: char,
}

impl Rate {
    /// The time from one call to the next.
    pub fn interval(self) -> Duration {
        let unit = match self.unit {
            's' => 1.0,
            'm' => 60.0,
            'h' => 3_600.0,
            _ => 86_400.0,
        };
        Duration::from_secs_f64(unit / self.calls)
    }
}

/// Calls in a day may be few, but a pace below one in a year is a mistake.
const FEWEST_CALLS: f64 = 1.0 / 366.0;
/// No clock here can tell calls apart that are closer than a microsecond.
const MOST_CALLS: f64 = 1e6;

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            format!(
                "`{text}` is not a rate: write calls and a unit, such as 10/s, 600/m, 5000/h or 100000/d"
            )
        };
        let (calls, unit) = text.split_once('/').ok_or_else(wrong)?;
        let unit = match unit {
            "s" => 's',
            "m" => 'm',
            "h" => 'h',
            "d" => 'd',
            _ => return Err(wrong()),
        };
        let calls: f64 = calls.parse().map_err(|_| wrong())?;
        if !(FEWEST_CALLS..=MOST_CALLS).contains(&calls) {
            return Err(wrong());
        }
        Ok(Self { calls, unit })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.calls, self.unit)
    }
}

/// Lets calls through one interval apart: the generic cell rate algorithm (ITU-T I.371), in which a call that
/// comes late, because a commit or the scheduler took its time, may be made up for by as much as the
/// tolerance, and no more.
#[derive(Debug)]
pub struct Pacer {
    interval: Duration,
    next: Duration,
}

impl Pacer {
    /// How much lateness is made up for: longer than a commit, and less than [`Self::MARGIN`] of a second.
    const TOLERANCE: Duration = Duration::from_millis(8);
    /// How much slower than the rate it goes. Exactly at a service's limit, a lateness made up for and the
    /// network's jitter would put one call too many into its window now and then, and each costs a pause.
    const MARGIN: f64 = 0.01;

    /// A pacer whose first call may be made at once.
    pub fn new(rate: Rate) -> Self {
        Self {
            interval: rate.interval().mul_f64(1.0 + Self::MARGIN),
            next: Duration::ZERO,
        }
    }

    /// When the next call may be made.
    pub fn ready_at(&self) -> Duration {
        self.next
    }

    /// Accounts for a call made at `now`.
    pub fn take(&mut self, now: Duration) {
        self.next = self.next.max(now.saturating_sub(Self::TOLERANCE)) + self.interval;
    }
}

/// Why nobody may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The service asked for patience.
    Throttled,
    /// No connection can be made.
    Unreachable,
}

/// The gate that all threads pass before a call. Throttling closes it until a moment. An outage closes it with
/// a growing wait, after which one call, the probe, goes alone; the gate opens to all when it has connected.
#[derive(Debug, Default)]
pub struct Gate {
    until: Duration,
    why: Option<Closed>,
    /// Counts closings. A call that passed before the last one says nothing new about an outage.
    epoch: u32,
    /// Closings in a row, without a call that got through between them.
    streak: u32,
    probing: bool,
}

/// What a call takes with it through the gate, to be given back with what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    epoch: u32,
    probe: bool,
}

/// How a call bears on the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It reached the service, which took it.
    Reached,
    /// The service asked for patience, for so long if it said so.
    Throttled(Option<Duration>),
    /// No connection could be made.
    Unreachable,
    /// It says nothing: the call was never tried.
    Nothing,
}

impl Gate {
    const THROTTLE_DELAY: Duration = Duration::from_secs(2);
    const OUTAGE_DELAY: Duration = Duration::from_millis(500);
    const MAX_DELAY: Duration = Duration::from_secs(30);
    /// A stated wait below this is not taken at its word when refusals go on.
    const SHORT: Duration = Duration::from_millis(50);
    const SHORT_AT_MOST: Duration = Duration::from_secs(1);

    /// The moment from which a call may pass; `None` while a probe is out and its fate decides.
    pub fn ready_at(&self) -> Option<Duration> {
        (!self.probing).then_some(self.until)
    }

    /// Why it is closed at `now`, and until when, as far as that is known.
    pub fn closed(&self, now: Duration) -> Option<(Closed, Duration)> {
        self.why
            .filter(|_| self.probing || now < self.until)
            .map(|why| (why, self.until))
    }

    /// Lets a call through. To be called at or after [`Gate::ready_at`] only.
    pub fn pass(&mut self) -> Pass {
        let probe = self.why == Some(Closed::Unreachable);
        self.probing = probe;
        Pass {
            epoch: self.epoch,
            probe,
        }
    }

    /// Learns what became of a call.
    pub fn learn(&mut self, pass: Pass, sign: Sign, now: Duration, chance: f64) {
        if pass.probe {
            self.probing = false;
        }
        let news = pass.epoch == self.epoch;
        match sign {
            Sign::Reached => {
                if news && now >= self.until {
                    self.streak = 0;
                    self.why = None;
                }
            }
            Sign::Throttled(Some(wait)) => {
                // A service that says "at once" and refuses again would be asked without end.
                let least = if wait < Self::SHORT {
                    backoff(
                        Self::SHORT,
                        Self::SHORT_AT_MOST,
                        self.streak,
                        0.5 + chance / 2.0,
                    )
                } else {
                    Duration::ZERO
                };
                let until = now.saturating_add(wait.max(least));
                self.close(Closed::Throttled, until, news);
            }
            Sign::Throttled(None) => {
                if news {
                    let wait = jittered(Self::THROTTLE_DELAY, self.streak, chance);
                    self.close(Closed::Throttled, now + wait, true);
                }
            }
            Sign::Unreachable => {
                if news {
                    let wait = jittered(Self::OUTAGE_DELAY, self.streak, chance);
                    self.close(Closed::Unreachable, now + wait, true);
                }
            }
            // A probe that was never made leaves the question open: the next call is the probe.
            Sign::Nothing => {}
        }
    }

    fn close(&mut self, why: Closed, until: Duration, news: bool) {
        self.until = self.until.max(until);
        self.why = Some(why);
        if news {
            self.epoch += 1;
            self.streak += 1;
        }
    }
}

/// Full jitter over the upper half, so that a wait is never next to nothing.
fn jittered(delay: Duration, streak: u32, chance: f64) -> Duration {
    backoff(delay, Gate::MAX_DELAY, streak, 0.5 + chance / 2.0)
}

/// Reads `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date, which is judged by the answer's own
/// `Date` where it has one, for the service's clock may differ from ours. What cannot be read is `None`.
pub fn retry_after(value: &str, date: Option<&str>, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let then = httpdate::parse_http_date(value).ok()?;
    let now = date
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .unwrap_or(now);
    Some(then.duration_since(now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_rate_needs_its_unit() {
        assert_eq!("10/s".parse::<Rate>().unwrap().interval(), ms(100));
        assert_eq!(
            "0.5/m".parse::<Rate>().unwrap().interval(),
            Duration::from_secs(120)
        );
        assert_eq!("5000/d".parse::<Rate>().unwrap().to_string(), "5000/d");
        for wrong in [
            "10", "10/", "/s", "0/s", "-1/s", "nan/s", "inf/s", "10/w", "10 /s", "1e99/s", "",
        ] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }

    proptest! {
        /// In any stretch of time there are at most as many calls as the rate allows, plus the tolerance's.
        #[test]
        fn the_pace_is_kept(calls in 1.0f64..2000.0, lateness in prop::collection::vec(0u64..60, 2..200)) {
            let rate = Rate { calls, unit: 's' };
            let mut pacer = Pacer::new(rate);
            let (mut now, mut made) = (Duration::ZERO, Vec::new());
            for late in lateness {
                now = now.max(pacer.ready_at()) + ms(late);
                pacer.take(now);
                made.push(now);
            }
            for (i, from) in made.iter().enumerate() {
                for (n, to) in made[i..].iter().enumerate() {
                    let allowed = (*to - *from + Pacer::TOLERANCE).as_secs_f64() * calls + 1.0;
                    prop_assert!(n as f64 <= allowed + 1e-6);
                }
            }
        }
    }

    #[test]
    fn a_steady_late_thread_still_keeps_the_rate() {
        let mut pacer = Pacer::new("100/s".parse().unwrap());
        let mut now = Duration::ZERO;
        for _ in 0..1000 {
            now = now.max(pacer.ready_at() + ms(3));
            pacer.take(now);
        }
        assert!((ms(10_000)..ms(10_200)).contains(&now), "{now:?}");
    }

    #[test]
    fn throttling_closes_the_gate_for_all_until_the_stated_moment() {
        let mut gate = Gate::default();
        let (a, b) = (gate.pass(), gate.pass());
        gate.learn(a, Sign::Throttled(Some(ms(3000))), ms(0), 0.0);
        gate.learn(b, Sign::Throttled(Some(ms(1000))), ms(10), 0.0);
        assert_eq!(
            gate.ready_at(),
            Some(ms(3000)),
            "a shorter wait does not open it earlier"
        );
        assert_eq!(gate.closed(ms(2999)), Some((Closed::Throttled, ms(3000))));
        assert_eq!(gate.closed(ms(3000)), None);
    }

    #[test]
    fn a_service_that_says_at_once_is_not_asked_without_end() {
        let mut gate = Gate::default();
        let mut now = ms(0);
        for _ in 0..8 {
            let pass = gate.pass();
            gate.learn(pass, Sign::Throttled(Some(Duration::ZERO)), now, 1.0);
            assert!(gate.ready_at().unwrap() > now);
            now = gate.ready_at().unwrap();
        }
        assert!(now > Duration::from_secs(3), "{now:?}");
    }

    #[test]
    fn without_a_stated_moment_the_wait_grows_once_a_closing() {
        let mut gate = Gate::default();
        let passes = [gate.pass(), gate.pass(), gate.pass()];
        for pass in passes {
            gate.learn(pass, Sign::Throttled(None), ms(0), 1.0);
        }
        assert_eq!(
            gate.ready_at(),
            Some(Gate::THROTTLE_DELAY),
            "one storm is one closing"
        );
        let pass = gate.pass();
        gate.learn(pass, Sign::Throttled(None), ms(2000), 1.0);
        assert_eq!(gate.ready_at(), Some(ms(2000) + 2 * Gate::THROTTLE_DELAY));
        let pass = gate.pass();
        gate.learn(pass, Sign::Reached, ms(7000), 1.0);
        let pass = gate.pass();
        gate.learn(pass, Sign::Throttled(None), ms(8000), 1.0);
        assert_eq!(
            gate.ready_at(),
            Some(ms(8000) + Gate::THROTTLE_DELAY),
            "a success starts anew"
        );
    }

    #[test]
    fn an_outage_lets_one_probe_through_at_a_time() {
        let mut gate = Gate::default();
        let (a, b) = (gate.pass(), gate.pass());
        gate.learn(a, Sign::Unreachable, ms(0), 1.0);
        gate.learn(b, Sign::Unreachable, ms(5), 1.0);
        assert_eq!(
            gate.ready_at(),
            Some(ms(500)),
            "calls of the same time are one sign"
        );
        let probe = gate.pass();
        assert_eq!(
            gate.ready_at(),
            None,
            "nobody passes while the probe is out"
        );
        gate.learn(probe, Sign::Unreachable, ms(600), 1.0);
        assert_eq!(gate.ready_at(), Some(ms(1600)));
        let probe = gate.pass();
        gate.learn(probe, Sign::Nothing, ms(1700), 1.0);
        assert_eq!(
            gate.ready_at(),
            Some(ms(1600)),
            "a probe never made asks for another"
        );
        let probe = gate.pass();
        gate.learn(probe, Sign::Reached, ms(1800), 1.0);
        assert_eq!(
            (gate.closed(ms(1800)), gate.ready_at()),
            (None, Some(ms(1600)))
        );
        assert!(!gate.pass().probe);
        assert_eq!(gate.ready_at(), Some(ms(1600)), "open to all");
    }

    #[test]
    fn an_old_success_does_not_end_an_outage() {
        let mut gate = Gate::default();
        let (a, b) = (gate.pass(), gate.pass());
        gate.learn(a, Sign::Unreachable, ms(0), 1.0);
        gate.learn(b, Sign::Reached, ms(1), 1.0);
        assert!(gate.closed(ms(1)).is_some());
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_by_the_services_own_clock() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let later = "Sun, 06 Nov 1994 08:50:07 GMT";
        assert_eq!(retry_after(" 7 ", None, now), Some(ms(7000)));
        assert_eq!(retry_after(later, None, now), Some(ms(30_000)));
        assert_eq!(
            retry_after(later, Some("Sun, 06 Nov 1994 08:50:00 GMT"), now),
            Some(ms(7000))
        );
        assert_eq!(
            retry_after("Sun, 06 Nov 1994 08:00:00 GMT", None, now),
            Some(Duration::ZERO)
        );
        for nonsense in ["-1", "abc", "NaN", "1.5", "", "99999999999999999999"] {
            assert_eq!(retry_after(nonsense, None, now), None, "{nonsense}");
        }
    }
}
