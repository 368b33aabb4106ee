//! Limits of tokens in virtual time: services that count the request on arrival and the answer when it is done.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Duration;

use fastrand::Rng;
use stride::governor::{Admission, CompletedCall, Governor, History, LaneHistory, Permit, Signal};
use stride::job::{Bill, Hint, JobId};
use stride::limits::{Cost, PastCharge};

use super::sim::rules;

/// Tokens a minute.
const LIMIT: f64 = 90_000.0;
/// Seconds of a run, and the moment at which it is killed and continued.
const LENGTH: f64 = 300.0;
const KILL: f64 = 140.0;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Limiter {
    /// A token bucket of a minute's tokens, which an answer may overdraw.
    Bucket,
    /// At most a minute's tokens in any minute.
    Moving,
}

struct Service {
    limiter: Limiter,
    level: f64,
    now: f64,
    /// Tokens and their moments.
    counted: VecDeque<(f64, f64)>,
    sum: f64,
    /// Tokens of the accepted calls.
    used: f64,
    calls: u32,
    refused: u32,
}

impl Service {
    fn pass(&mut self, now: f64) {
        self.level = LIMIT.min(self.level + (now - self.now) * LIMIT / 60.0);
        self.now = now;
        while let Some((at, tokens)) = self.counted.front()
            && *at <= now - 60.0
        {
            self.sum -= tokens;
            self.counted.pop_front();
        }
    }

    fn count(&mut self, now: f64, tokens: f64) {
        self.pass(now);
        self.level -= tokens;
        self.sum += tokens;
        self.counted.push_back((now, tokens));
    }

    /// Counts a request of so many tokens. Returns the wait in seconds if it is refused.
    fn arrive(&mut self, now: f64, tokens: f64) -> Option<f64> {
        self.pass(now);
        self.calls += 1;
        let wait = match self.limiter {
            Limiter::Bucket => (tokens - self.level) * 60.0 / LIMIT,
            Limiter::Moving => {
                let mut over = self.sum + tokens - LIMIT;
                let left = self.counted.iter().take_while(|(_, tokens)| {
                    let is_over = over > 0.0;
                    over -= tokens;
                    is_over
                });
                left.last().map_or(0.0, |(at, _)| at + 60.0 - now)
            }
        };
        if wait > 0.0 {
            self.refused += 1;
            return Some(wait.ceil());
        }
        self.count(now, tokens);
        None
    }
}

/// A file: the tokens of its request and of its answer. The client knows the request's.
#[derive(Debug, Clone, Copy)]
struct File {
    id: i64,
    request: f64,
    answer: f64,
}

impl File {
    fn draw(id: i64, rng: &mut Rng) -> Self {
        // The sum of twelve uniform numbers is almost normal.
        let normal: f64 = (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0;
        let request = (200.0 * normal.exp()).ceil();
        Self {
            id,
            request,
            answer: (request * (0.5 + rng.f64())).ceil(),
        }
    }

    fn weight(self) -> u64 {
        2 * self.request as u64
    }
}

enum Event {
    Wake,
    Answer(File, Permit, f64),
    Refused(File, Permit, f64, f64),
}

/// Makes calls for [`LENGTH`] seconds, and counts what the store would keep of their charges.
struct Client {
    governor: Governor,
    usage: BTreeMap<u64, i64>,
    waiting: Vec<(f64, File)>,
    next: Option<File>,
    files: i64,
    in_flight: usize,
}

fn seconds(time: f64) -> Duration {
    Duration::from_secs_f64(time.max(0.0))
}

impl Client {
    fn new(spent: Vec<PastCharge>, now: f64) -> Self {
        let lane = LaneHistory {
            spent,
            ..LaneHistory::default()
        };
        let history = History {
            lanes: vec![lane],
            ..History::default()
        };
        Self {
            governor: Governor::new(rules(&["90000w/m"], 32), &history, seconds(now)),
            usage: BTreeMap::new(),
            waiting: Vec::new(),
            next: None,
            files: 0,
            in_flight: 0,
        }
    }

    fn spend(&mut self, at: f64, weight: i64) {
        *self.usage.entry(at as u64).or_default() += weight;
    }

    fn complete(&mut self, file: File, permit: Permit, times: (f64, f64), wait: Option<f64>) {
        let (sent, now) = times;
        let actual = (file.request + file.answer) as u64;
        let hint = Hint {
            bill: Bill {
                cost: None,
                weight: Some(actual),
            },
            ..Hint::default()
        };
        let signal = match wait {
            None => Signal::Accepted,
            wait => Signal::Throttled {
                wait: wait.map(seconds),
                unavailable: false,
            },
        };
        if wait.is_none() {
            let more = actual as i64 - file.weight() as i64;
            self.spend(if more > 0 { now } else { sent }, more);
        }
        let call = CompletedCall {
            step: 0,
            file: JobId(file.id),
            failed_before: false,
            signal,
            hint: wait.is_none().then_some(&hint),
            goes_on: false,
            took: seconds(now - sent),
        };
        self.governor.complete(permit, call, seconds(now));
        self.in_flight -= 1;
        if let Some(wait) = wait {
            self.waiting.push((now + wait, file));
        }
    }
}

fn run(limiter: Limiter, seed: u64) -> (f64, f64) {
    let mut rng = Rng::with_seed(seed);
    let mut service = Service {
        limiter,
        level: LIMIT,
        now: 0.0,
        counted: VecDeque::new(),
        sum: 0.0,
        used: 0.0,
        calls: 0,
        refused: 0,
    };
    let mut client = Client::new(Vec::new(), 0.0);
    let mut events: BTreeMap<(u64, u64), Event> = BTreeMap::new();
    let mut number = 0;
    let mut push = |events: &mut BTreeMap<_, _>, at: f64, event| {
        number += 1;
        events.insert(((at * 1e6) as u64, number), event);
    };
    push(&mut events, 0.0, Event::Wake);
    // What the service still answers after its client has died.
    let mut orphans: BinaryHeap<Reverse<(u64, u64)>> = BinaryHeap::new();
    let mut killed = false;
    while let Some(((at, _), event)) = events.pop_first() {
        let now = at as f64 / 1e6;
        if now > LENGTH {
            break;
        }
        while orphans.peek().is_some_and(|Reverse((due, _))| *due <= at) {
            let Some(Reverse((due, tokens))) = orphans.pop() else {
                break;
            };
            service.count(due as f64 / 1e6, tokens as f64);
        }
        if now >= KILL && !killed {
            killed = true;
            for ((due, _), event) in std::mem::take(&mut events) {
                if let Event::Answer(file, ..) = event {
                    orphans.push(Reverse((due, file.answer as u64)));
                }
            }
            let spent = client.usage.iter().map(|(second, weight)| PastCharge {
                ago: seconds(now - (*second as f64 + 1.0)),
                cost: Cost {
                    calls: 0,
                    bytes: 0,
                    weight: weight.max(&0).unsigned_abs(),
                },
            });
            let (files, usage) = (client.files, client.usage.clone());
            client = Client::new(spent.collect(), now);
            (client.files, client.usage) = (files, usage);
        } else {
            match event {
                Event::Wake => {}
                Event::Answer(file, permit, sent) => {
                    service.count(now, file.answer);
                    client.complete(file, permit, (sent, now), None);
                }
                Event::Refused(file, permit, sent, wait) => {
                    client.complete(file, permit, (sent, now), Some(wait));
                }
            }
        }
        while client.in_flight < 32 {
            let due = client.waiting.iter().position(|(due, _)| *due <= now);
            let file = client.next.take().unwrap_or_else(|| match due {
                Some(due) => client.waiting.remove(due).1,
                None => {
                    client.files += 1;
                    File::draw(client.files, &mut rng)
                }
            });
            let cost = Cost {
                calls: 1,
                bytes: 0,
                weight: file.weight(),
            };
            match client.governor.request(cost, seconds(now), 0) {
                Admission::Go(permit) => {
                    client.in_flight += 1;
                    client.spend(now, file.weight() as i64);
                    match service.arrive(now, file.request) {
                        None => {
                            service.used += file.request + file.answer;
                            // A hundred tokens a second.
                            let took = 0.3 + file.answer / 100.0;
                            push(&mut events, now + took, Event::Answer(file, permit, now));
                        }
                        Some(wait) => {
                            push(
                                &mut events,
                                now + 0.01,
                                Event::Refused(file, permit, now, wait),
                            );
                        }
                    }
                }
                Admission::Wait(_, until) => {
                    client.next = Some(file);
                    let wake = until.map_or(now + 1.0, |until| until.as_secs_f64());
                    push(&mut events, wake.max(now + 1e-5), Event::Wake);
                    break;
                }
                Admission::Halt(reason) => panic!("{reason:?}"),
            }
        }
    }
    let used = service.used / (LIMIT / 60.0 * LENGTH);
    (
        100.0 * used,
        100.0 * f64::from(service.refused) / f64::from(service.calls),
    )
}

#[test]
fn a_limit_of_tokens_is_used_and_seldom_exceeded() {
    for limiter in [Limiter::Bucket, Limiter::Moving] {
        let runs: Vec<(f64, f64)> = (0..20).map(|seed| run(limiter, seed)).collect();
        let used = runs.iter().map(|(used, _)| *used).fold(f64::MAX, f64::min);
        let refused = runs.iter().map(|(_, refused)| refused).sum::<f64>() / runs.len() as f64;
        assert!(used >= 90.0 && refused <= 1.0, "{limiter:?}: {runs:?}");
    }
}
