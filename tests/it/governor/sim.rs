//! A simulator in virtual time: a client with workers, a network, and models of services that limit their callers. Each
//! seed draws limits, latencies, phases and noise anew, because a governor tuned to fixed ones fails at real services.
//! Times are in seconds.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use fastrand::Rng;
use stride::governor::{
    Admission, CompletedCall, Concurrency, Disposition, Governor, History, Permit, Rules, Signal,
};
use stride::job::{Hint, JobId, Policy};
use stride::limits::{Cost, Rates};

/// A service's limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Limiter {
    /// The generic cell rate algorithm: calls per second, and the seconds' worth of them that may go in a row.
    Gcra { rate: f64, depth: f64 },
    /// A sliding window.
    Moving { calls: usize, window: f64 },
    /// A sliding window that also counts refused calls.
    CountsRefused { calls: usize, window: f64 },
    /// The present window, and the part of the previous one that overlaps the last `window` seconds. Counts refused calls.
    TwoWindows { calls: usize, window: f64 },
    /// Fixed windows.
    Fixed { calls: usize, window: f64 },
    /// Windows that each begin with the first call after the previous one.
    Begun { calls: usize, window: f64 },
    /// Concurrent calls.
    AtOnce(usize),
    /// Refuses this share of the calls at random.
    Sheds(f64),
    /// No limit.
    Open,
}

/// Limits that a service states with its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum States {
    Nothing,
    /// A wait in whole seconds on refusals.
    RetryAfter,
    /// A wait of five seconds on refusals, even if calls fit sooner.
    LongRetryAfter,
    /// On all answers, in whole seconds: the limit with its window, the calls left, and the time until they reset. On
    /// refusals also a wait.
    Policy,
    /// The same without the window.
    Left,
    /// The same in milliseconds, and without a wait on refusals.
    LeftInMs,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Latency {
    Fixed(f64),
    /// One answer in ten takes long.
    Bimodal(f64, f64),
    /// A heavy tail.
    Pareto(f64),
}

impl Latency {
    fn draw(self, rng: &mut Rng) -> f64 {
        match self {
            Self::Fixed(time) => time * (0.95 + 0.1 * rng.f64()),
            Self::Bimodal(short, long) => {
                if rng.f64() < 0.9 {
                    short
                } else {
                    long
                }
            }
            Self::Pareto(least) => (least / (1.0 - rng.f64()).powf(1.0 / 1.5)).min(5.0),
        }
    }

    pub(super) fn mean(self) -> f64 {
        match self {
            Self::Fixed(time) => time,
            Self::Bimodal(short, long) => 0.9 * short + 0.1 * long,
            Self::Pareto(least) => 2.8 * least,
        }
    }
}

/// The answer of a service during an outage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Away {
    Refuses { status: u16, wait: Option<f64> },
    Fails,
    Unreachable,
}

#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) limiter: Limiter,
    pub(super) states: States,
    pub(super) latency: Latency,
    /// The status of refusals.
    pub(super) status: u16,
    pub(super) away: Option<(f64, f64, Away)>,
    /// At this moment the limit is multiplied by this factor.
    pub(super) change: Option<(f64, f64)>,
    /// Other work keeps the client's processor busy at times.
    pub(super) stalls: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Answer {
    Accepted,
    Refused { status: u16, wait: Option<f64> },
    Fails,
    Unreachable,
}

struct Server<'s> {
    service: &'s Service,
    /// Theoretical arrival time of the cell rate algorithm, or the start of a begun window.
    arrival: f64,
    log: VecDeque<f64>,
    phase: f64,
    window: i64,
    count: usize,
    before: usize,
    in_flight: usize,
}

impl Server<'_> {
    fn answer(&mut self, now: f64, rng: &mut Rng) -> (Answer, Option<Hint>) {
        if let Some((from, to, away)) = self.service.away
            && (from..to).contains(&now)
        {
            let answer = match away {
                Away::Refuses { status, wait } => Answer::Refused { status, wait },
                Away::Fails => Answer::Fails,
                Away::Unreachable => Answer::Unreachable,
            };
            return (answer, None);
        }
        let factor = self
            .service
            .change
            .map_or(1.0, |(at, factor)| if now >= at { factor } else { 1.0 });
        let (wait, left, reset, policy) = self.judge(now, factor, rng);
        let whole = |time: f64| time.max(0.001).ceil();
        let states = self.service.states;
        let answer = match wait {
            None => Answer::Accepted,
            Some(wait) => Answer::Refused {
                status: self.service.status,
                wait: match states {
                    States::Nothing | States::LeftInMs => None,
                    States::LongRetryAfter => Some(5.0),
                    _ => Some(whole(wait)),
                },
            },
        };
        let reset = match states {
            States::LeftInMs => reset,
            _ => whole(reset),
        };
        let hint = (!matches!(
            states,
            States::Nothing | States::RetryAfter | States::LongRetryAfter
        ))
        .then(|| Hint {
            policy: policy
                .filter(|_| states == States::Policy)
                .map(|(calls, window)| Policy {
                    calls: calls as u64,
                    window: Duration::from_secs_f64(window),
                }),
            remaining: Some(left as u64),
            reset: Some(Duration::from_secs_f64(reset.max(0.0))),
            ..Hint::default()
        });
        (answer, hint)
    }

    /// Returns the wait if the call is refused, the calls left, the time until they reset, and the limit with its window.
    fn judge(
        &mut self,
        now: f64,
        factor: f64,
        rng: &mut Rng,
    ) -> (Option<f64>, usize, f64, Option<(usize, f64)>) {
        let many = |calls: usize| ((calls as f64 * factor) as usize).max(1);
        match self.service.limiter {
            Limiter::Open => (None, 1, 0.0, None),
            Limiter::Sheds(share) => ((rng.f64() < share).then_some(1.0), 1, 0.0, None),
            Limiter::AtOnce(most) => {
                let full = self.in_flight >= most;
                (
                    full.then_some(1.0),
                    most.saturating_sub(self.in_flight + 1),
                    0.0,
                    None,
                )
            }
            Limiter::Gcra { rate, depth } => {
                let interval = 1.0 / (rate * factor);
                let tolerance = (depth - interval).max(0.0) + 1e-6;
                let arrival = self.arrival.max(now);
                let over = arrival - now - tolerance;
                if over <= 0.0 {
                    self.arrival = arrival + interval;
                }
                let used = self.arrival - now;
                let left = ((depth - used).max(0.0) / interval + 1e-6) as usize;
                let policy = (((depth * rate * factor) as usize).max(1), depth);
                ((over > 0.0).then_some(over), left, used, Some(policy))
            }
            Limiter::Moving { calls, window } => self.moving(now, many(calls), window, false),
            Limiter::CountsRefused { calls, window } => self.moving(now, many(calls), window, true),
            Limiter::Fixed { calls, window } => {
                self.turn(now, window);
                let reset = (1.0 - ((now + self.phase) / window).fract()) * window;
                self.fixed(many(calls), window, reset)
            }
            Limiter::Begun { calls, window } => {
                if now >= self.arrival + window {
                    (self.arrival, self.count) = (now, 0);
                }
                let reset = self.arrival + window - now;
                self.fixed(many(calls), window, reset)
            }
            Limiter::TwoWindows { calls, window } => {
                self.turn(now, window);
                let rest = 1.0 - ((now + self.phase) / window).fract();
                self.count += 1;
                let rate = self.count as f64 + self.before as f64 * rest;
                let full = rate > many(calls) as f64;
                (full.then_some(2.0), 0, 2.0, None)
            }
        }
    }

    /// Counts a call in the present window, which ends after `reset`.
    fn fixed(
        &mut self,
        calls: usize,
        window: f64,
        reset: f64,
    ) -> (Option<f64>, usize, f64, Option<(usize, f64)>) {
        let full = self.count >= calls;
        self.count += usize::from(!full);
        let left = calls - self.count;
        (full.then_some(reset), left, reset, Some((calls, window)))
    }

    fn turn(&mut self, now: f64, window: f64) {
        let number = ((now + self.phase) / window).floor() as i64;
        if number != self.window {
            self.before = if number == self.window + 1 {
                self.count
            } else {
                0
            };
            (self.window, self.count) = (number, 0);
        }
    }

    fn moving(
        &mut self,
        now: f64,
        calls: usize,
        window: f64,
        counts_refused: bool,
    ) -> (Option<f64>, usize, f64, Option<(usize, f64)>) {
        while self.log.front().is_some_and(|at| *at <= now - window) {
            self.log.pop_front();
        }
        let full = self.log.len() >= calls;
        let wait = full.then(|| self.log[self.log.len() - calls] + window - now);
        if !full || counts_refused {
            self.log.push_back(now);
        }
        let reset = self.log.front().map_or(0.0, |first| first + window - now);
        (
            wait,
            calls.saturating_sub(self.log.len()),
            reset,
            Some((calls, window)),
        )
    }
}

/// A client's next step.
pub(super) enum Next {
    Call,
    /// Wait until this moment, or until a call has completed.
    Wait(Option<f64>),
}

/// Calls a service and learns from its answers.
pub(super) trait Client {
    type Call;
    fn next(&mut self, now: f64) -> Next;
    fn call(&mut self) -> Self::Call;
    /// Records an answer. Returns how long the worker sleeps.
    fn answered(&mut self, now: f64, call: Self::Call, sent: f64, seen: Seen) -> f64;
    fn failed(&self) -> usize;
}

/// An answer as a client sees it.
pub(super) struct Seen {
    answer: Answer,
    hint: Option<Hint>,
}

/// A script with threads. After a refusal each sleeps for the stated wait, or a second, and calls again.
#[derive(Default)]
pub(super) struct Script;

impl Client for Script {
    type Call = ();

    fn next(&mut self, _: f64) -> Next {
        Next::Call
    }

    fn call(&mut self) {}

    fn answered(&mut self, _: f64, (): (), _: f64, seen: Seen) -> f64 {
        match seen.answer {
            Answer::Accepted => 0.0,
            Answer::Refused { wait, .. } => wait.unwrap_or(1.0),
            Answer::Fails | Answer::Unreachable => 1.0,
        }
    }

    fn failed(&self) -> usize {
        0
    }
}

/// The governor, and the files of an endless list.
pub(super) struct Stride {
    governor: Governor,
    permit: Option<Permit>,
    now: f64,
    /// Latest file.
    next: i64,
    /// Files to call again, by due time.
    again: BinaryHeap<Event<i64>>,
    charged: HashMap<i64, u32>,
    failed: usize,
}

impl Stride {
    pub(super) fn new(rates: &[&str], width: usize) -> Self {
        Self {
            governor: Governor::new(rules(rates, width), &History::default(), Duration::ZERO),
            permit: None,
            now: 0.0,
            next: 0,
            again: BinaryHeap::new(),
            charged: HashMap::new(),
            failed: 0,
        }
    }
}

pub(super) fn rules(rates: &[&str], width: usize) -> Rules {
    Rules {
        rates: Rates::parse(rates.iter().copied()).unwrap(),
        burst: 1,
        concurrency: Concurrency::Fixed(width),
        max_wait: Duration::from_secs(900),
        max_outage: Duration::from_secs(600),
        max_failures: None,
        stops_bad_requests: true,
        budgets: stride::limits::Budgets::default(),
        until: None,
        canary: true,
    }
}

fn seconds(time: f64) -> Duration {
    Duration::from_secs_f64(time.max(0.0))
}

impl Client for Stride {
    type Call = (i64, Permit);

    fn next(&mut self, now: f64) -> Next {
        self.now = seconds(now).as_secs_f64();
        match self.governor.request(Cost::default(), seconds(now), 0) {
            Admission::Go(permit) => {
                self.permit = Some(permit);
                Next::Call
            }
            Admission::Wait(_, until) => Next::Wait(until.map(|until| until.as_secs_f64())),
            Admission::Halt(reason) => panic!("the governor stops: {reason:?}"),
        }
    }

    fn call(&mut self) -> Self::Call {
        let permit = self.permit.take().unwrap();
        let due = (self.again.peek()).is_some_and(|event| event.at <= self.now);
        let file = if due && permit.spot().is_none() {
            self.again.pop().unwrap().what
        } else {
            self.next += 1;
            self.next
        };
        (file, permit)
    }

    fn answered(&mut self, now: f64, (file, permit): Self::Call, sent: f64, seen: Seen) -> f64 {
        let signal = match seen.answer {
            Answer::Accepted => Signal::Accepted,
            Answer::Refused { status, wait } => Signal::Throttled {
                wait: wait.map(seconds),
                unavailable: status == 503,
            },
            Answer::Fails => Signal::Failed,
            Answer::Unreachable => Signal::Unreachable,
        };
        let ended = CompletedCall {
            step: 0,
            file: JobId(file),
            failed_before: false,
            signal,
            hint: seen.hint.as_ref(),
            goes_on: false,
            took: seconds(now - sent),
        };
        let assessment = self.governor.complete(permit, ended, seconds(now));
        if signal == Signal::Accepted {
            self.charged.remove(&file);
            return 0.0;
        }
        if assessment.outage {
            self.charged.clear();
        }
        let charged = self.charged.entry(file).or_default();
        let due = match assessment.disposition {
            Disposition::Requeue(at) | Disposition::RequeueLast(at, _) => at.as_secs_f64(),
            Disposition::Charge(at, _) => {
                *charged += 1;
                at.as_secs_f64()
            }
            _ if signal == Signal::Unreachable => now,
            _ => {
                *charged += 1;
                now + 0.5 * f64::from(1 << *charged)
            }
        };
        if *charged > 4 {
            self.failed += 1;
        } else {
            self.again.push(Event {
                at: due,
                number: 0,
                what: file,
            });
        }
        0.0
    }

    fn failed(&self) -> usize {
        self.failed
    }
}

#[derive(Debug)]
struct Event<T> {
    at: f64,
    number: u64,
    what: T,
}

impl<T> PartialEq for Event<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Event<T> {}

impl<T> PartialOrd for Event<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Event<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        other
            .at
            .total_cmp(&self.at)
            .then(other.number.cmp(&self.number))
    }
}

enum What<C> {
    Arrives(C, f64),
    Leaves(C, f64, Option<Hint>),
    Answered(C, f64, Seen),
    Wakes,
    Free,
}

/// Calls that arrived at the service, by quarters of a second.
pub(super) struct Counts {
    accepted: Vec<u32>,
    refused: Vec<u32>,
    pub(super) while_away: u32,
    pub(super) failed: usize,
}

impl Counts {
    const BIN: f64 = 0.25;

    fn sum(counts: &[u32], from: f64, to: f64) -> f64 {
        let bin = |at: f64| ((at / Self::BIN) as usize).min(counts.len());
        counts[bin(from)..bin(to)]
            .iter()
            .map(|count| f64::from(*count))
            .sum()
    }

    pub(super) fn accepted(&self, from: f64, to: f64) -> f64 {
        Self::sum(&self.accepted, from, to)
    }

    pub(super) fn refused_share(&self, from: f64, to: f64) -> f64 {
        let refused = Self::sum(&self.refused, from, to);
        refused / (refused + self.accepted(from, to)).max(1.0)
    }
}

/// Runs a client against a service for `length` seconds.
pub(super) fn run<C: Client>(
    service: &Service,
    client: &mut C,
    workers: usize,
    length: f64,
    rng: &mut Rng,
) -> Counts {
    let phase = match service.limiter {
        Limiter::Fixed { window, .. } | Limiter::TwoWindows { window, .. } => window * rng.f64(),
        _ => 0.0,
    };
    let mut server = Server {
        service,
        arrival: -1e9,
        log: VecDeque::new(),
        phase,
        window: i64::MIN / 2,
        count: 0,
        before: 0,
        in_flight: 0,
    };
    let bins = (length / Counts::BIN) as usize + 2;
    let mut counts = Counts {
        accepted: vec![0; bins],
        refused: vec![0; bins],
        while_away: 0,
        failed: 0,
    };
    let mut stalls = VecDeque::new();
    let mut at = 5.0;
    while service.stalls && at < length {
        at += 3.0 - 12.0 * (1.0 - rng.f64()).ln();
        let lasts = 0.3 + 2.7 * rng.f64() * rng.f64();
        stalls.push_back((at, at + lasts));
        at += lasts;
    }
    let mut queue = BinaryHeap::new();
    let mut number = 0;
    let mut push = |queue: &mut BinaryHeap<_>, at: f64, what| {
        number += 1;
        queue.push(Event { at, number, what });
    };
    let jitter = |rng: &mut Rng, mean: f64| -mean * (1.0 - rng.f64()).ln();
    let (mut free, mut wake) = (workers, 0.0);
    push(&mut queue, 0.0, What::Wakes);
    while let Some(Event { at: now, what, .. }) = queue.pop() {
        if now > length {
            break;
        }
        while stalls.front().is_some_and(|(_, end)| *end <= now) {
            stalls.pop_front();
        }
        let at_server = matches!(what, What::Arrives(..) | What::Leaves(..));
        if let Some((_, end)) = stalls
            .front()
            .filter(|(begin, _)| now > *begin && !at_server)
        {
            push(&mut queue, *end, what);
            continue;
        }
        match what {
            What::Arrives(call, sent) => {
                let (answer, hint) = server.answer(now, rng);
                let is_away = service
                    .away
                    .is_some_and(|(from, to, _)| (from..to).contains(&now));
                counts.while_away += u32::from(is_away);
                let bin = (now / Counts::BIN) as usize;
                if answer == Answer::Accepted {
                    counts.accepted[bin] += 1;
                    server.in_flight += 1;
                    let latency = service.latency.draw(rng);
                    push(&mut queue, now + latency, What::Leaves(call, sent, hint));
                } else {
                    counts.refused[bin] += 1;
                    let back = 0.0005 + jitter(rng, 0.0003);
                    push(
                        &mut queue,
                        now + back,
                        What::Answered(call, sent, Seen { answer, hint }),
                    );
                }
                continue;
            }
            What::Leaves(call, sent, hint) => {
                server.in_flight -= 1;
                let back = 0.0001 + jitter(rng, 0.0001);
                let seen = Seen {
                    answer: Answer::Accepted,
                    hint,
                };
                push(&mut queue, now + back, What::Answered(call, sent, seen));
                continue;
            }
            What::Answered(call, sent, seen) => {
                let sleeps = client.answered(now, call, sent, seen);
                if sleeps > 0.0 {
                    push(&mut queue, now + sleeps, What::Free);
                } else {
                    free += 1;
                }
            }
            What::Free => free += 1,
            What::Wakes if now >= wake => wake = f64::INFINITY,
            // An earlier wake-up has replaced this one.
            What::Wakes => continue,
        }
        while free > 0 {
            match client.next(now) {
                Next::Call => {
                    free -= 1;
                    let there = 0.0001 + jitter(rng, 0.0001);
                    let call = client.call();
                    push(&mut queue, now + there, What::Arrives(call, now));
                }
                Next::Wait(until) => {
                    if let Some(until) = until.filter(|until| *until < wake - 1e-9) {
                        wake = until.max(now) + jitter(rng, 0.0002);
                        push(&mut queue, wake, What::Wakes);
                    }
                    break;
                }
            }
        }
    }
    counts.failed = client.failed();
    counts
}
