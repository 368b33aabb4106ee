//! A simulator: the governor, threads and a service with a limit, in virtual time and without a socket.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use stride::governor::{Cost, Governor, News, Pass, Past, Rates, Rules, Sign, Verdict, Width};
use stride::job::{Hint, Policy};

/// How a service limits its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A token bucket one second deep, with `Retry-After` in whole seconds.
    Bucket,
    /// The same, and every answer states the limit.
    Stated,
    /// The same bucket, and every answer says what is left of it and until when, but not the limit.
    Left,
    /// Windows of a second that begin together.
    Fixed,
}

/// A service whose limit may change with time.
pub(super) struct Service {
    kind: Kind,
    /// From when on it allows how many calls a second.
    limits: Vec<(Duration, f64)>,
    tokens: f64,
    filled: Duration,
    window: u64,
    taken: f64,
}

impl Service {
    pub(super) fn new(kind: Kind, limits: &[(u64, f64)]) -> Self {
        let limits: Vec<_> = limits
            .iter()
            .map(|(second, limit)| (Duration::from_secs(*second), *limit))
            .collect();
        Self {
            kind,
            tokens: limits[0].1,
            limits,
            filled: Duration::ZERO,
            window: 0,
            taken: 0.0,
        }
    }

    pub(super) fn limit(&self, now: Duration) -> f64 {
        let past = self.limits.iter().rev().find(|(from, _)| *from <= now);
        past.map_or(self.limits[0].1, |(_, limit)| *limit)
    }

    /// Judges a call that arrives: accepted, or for how long to wait; and what is said about the limit.
    fn judge(&mut self, now: Duration) -> (Option<Duration>, Option<Hint>) {
        let limit = self.limit(now);
        if self.kind == Kind::Fixed {
            let window = now.as_secs();
            if window != self.window {
                (self.window, self.taken) = (window, 0.0);
            }
            if self.taken + 1.0 > limit {
                return (Some(Duration::from_secs(1)), None);
            }
            self.taken += 1.0;
            return (None, None);
        }
        let gained = (now.saturating_sub(self.filled)).as_secs_f64() * limit;
        self.tokens = (self.tokens + gained).min(limit.max(1.0));
        self.filled = now;
        let accepted = self.tokens >= 1.0;
        if accepted {
            self.tokens -= 1.0;
        }
        let policy = Policy {
            calls: limit as u64,
            window: Duration::from_secs(1),
        };
        let hint = (self.kind != Kind::Bucket).then(|| Hint {
            policy: (self.kind == Kind::Stated).then_some(policy),
            remaining: Some(self.tokens as u64),
            reset: Some(Duration::from_secs(1)),
        });
        let wait = ((1.0 - self.tokens) / limit).ceil().max(1.0);
        ((!accepted).then(|| Duration::from_secs_f64(wait)), hint)
    }
}

/// A call in flight.
struct Flight {
    pass: Pass,
    began: Duration,
    sign: Sign,
    hint: Option<Hint>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrive(usize),
    End(usize),
    Wake,
}

/// What a service saw of a run.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// When each call that was accepted, and each that was refused, arrived.
    pub(super) accepted: Vec<Duration>,
    pub(super) refused: Vec<Duration>,
    /// When each call was let through.
    pub(super) admitted: Vec<Duration>,
    /// How many were let through although somebody had been told to wait.
    pub(super) early: usize,
    /// Whether the run came to its end instead of waiting for nothing.
    pub(super) ended: bool,
}

impl Seen {
    pub(super) fn accepted_within(&self, from: f64, to: f64) -> usize {
        let within = |at: &&Duration| (from..to).contains(&at.as_secs_f64());
        self.accepted.iter().filter(within).count()
    }
}

/// Rules that allow everything.
pub(super) fn rules(rates: &[&str], threads: usize) -> Rules {
    Rules {
        rates: Rates::read(rates.iter().copied()).unwrap(),
        burst: 1,
        width: Width::Fixed(threads),
        max_wait: Duration::from_secs(900),
        max_outage: Duration::from_secs(600),
        max_failures: None,
        limits: Default::default(),
        until: None,
        canary: true,
    }
}

/// Runs so long, or so many calls, with this latency.
pub(super) fn run(
    rules: Rules,
    past: &Past,
    service: &mut Service,
    latency: Duration,
    length: Duration,
    calls: usize,
) -> Seen {
    // Time begins long before the run.
    let start = Duration::from_secs(100_000);
    let threads = match rules.width {
        Width::Fixed(threads) | Width::Auto(threads) => threads,
    };
    let mut governor = Governor::new(rules, past, start);
    let mut chance = fastrand::Rng::with_seed(7);
    let mut events: BinaryHeap<Reverse<(Duration, Event)>> = BinaryHeap::new();
    let mut idle: VecDeque<usize> = (0..threads).collect();
    let mut flights: Vec<Option<Flight>> = (0..threads).map(|_| None).collect();
    let mut closed_until = Duration::ZERO;
    let mut seen = Seen::default();
    let (mut left, mut now, mut wakes) = (calls, start, None);
    loop {
        while left > 0 && !idle.is_empty() {
            match governor.ask(Cost::default(), now, 0) {
                Verdict::Go => {}
                Verdict::Wait(until, _) => {
                    let until = until.map(|until| until.max(now));
                    if until.is_some() && until != wakes {
                        events.extend(until.map(|until| Reverse((until, Event::Wake))));
                        wakes = until;
                    }
                    break;
                }
                Verdict::Stop => return seen,
            }
            let Some(thread) = idle.pop_front() else {
                break;
            };
            left -= 1;
            let pass = governor.admit(Cost::default(), now);
            seen.admitted.push(now - start);
            seen.early += usize::from(now < closed_until);
            flights[thread] = Some(Flight {
                pass,
                began: now,
                sign: Sign::Nothing,
                hint: None,
            });
            // A commit, and half of the way.
            let commit = Duration::from_micros(300 + chance.u64(0..1500));
            events.push(Reverse((now + commit + latency / 2, Event::Arrive(thread))));
        }
        if left == 0 && idle.len() == threads {
            seen.ended = true;
            return seen;
        }
        let Some(Reverse((at, event))) = events.pop() else {
            return seen;
        };
        now = now.max(at);
        if now > start + length {
            seen.ended = true;
            return seen;
        }
        match event {
            Event::Wake if wakes == Some(at) => wakes = None,
            // A later word has changed when to look again.
            Event::Wake => continue,
            Event::Arrive(thread) => {
                let (wait, hint) = service.judge(now - start);
                let flight = flights[thread].as_mut().unwrap();
                flight.hint = hint;
                flight.sign = match wait {
                    Some(wait) => Sign::Throttled(Some(wait)),
                    None => Sign::Succeeded,
                };
                let log = if wait.is_some() {
                    left += 1;
                    &mut seen.refused
                } else {
                    &mut seen.accepted
                };
                log.push(now - start);
                let jitter = latency.mul_f64(chance.f64());
                events.push(Reverse((
                    now + latency / 2 + jitter / 4,
                    Event::End(thread),
                )));
            }
            Event::End(thread) => {
                let flight = flights[thread].take().unwrap();
                if let Sign::Throttled(Some(wait)) = flight.sign {
                    closed_until = closed_until.max(now + wait);
                }
                let news = News {
                    sign: flight.sign,
                    hint: flight.hint.as_ref(),
                    took: now - flight.began,
                    message: "429",
                };
                governor.learn(flight.pass, news, now, chance.f64());
                idle.push_back(thread);
            }
        }
    }
}
