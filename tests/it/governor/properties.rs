//! What holds of the governor whatever the service, the rates and the clock do.

use std::time::Duration;

use proptest::prelude::*;
use stride::governor::{
    Admission, CompletedCall, Disposition, Fault, Governor, History, Permit, SharedCause, Signal,
    StopReason,
};
use stride::job::JobId;
use stride::limits::{Cost, Spent};

use super::sim::rules;

/// The most calls in any stretch of time of this length.
fn most_within(at: &[Duration], window: Duration) -> usize {
    let mut from = 0;
    let mut most = 0;
    for (i, to) in at.iter().enumerate() {
        while at[from] + window <= *to {
            from += 1;
        }
        most = most.max(i + 1 - from);
    }
    most
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Never above a window, never before a stated wait is over, and always to the end.
    #[test]
    fn windows_and_waits_are_kept_and_the_list_ends(
        threads in 1usize..64,
        second in 1u32..300,
        minute in 20u32..2000,
        latency in 1u64..400,
        refused in prop::collection::vec(prop::option::weighted(0.1, 0u64..5000), 50..400),
    ) {
        let rates = [format!("{second}/s"), format!("{minute}/m")];
        let rates: Vec<&str> = rates.iter().map(String::as_str).collect();
        let mut governor = Governor::new(rules(&rates, threads), &History::default(), Duration::ZERO);
        let (mut now, mut closed) = (Duration::ZERO, Duration::ZERO);
        let (mut made, mut in_flight) = (Vec::new(), std::collections::VecDeque::new());
        let mut answers = refused.iter();
        loop {
            let ends = in_flight.front().map(|(end, _)| *end);
            match governor.request(Cost::default(), now, 0) {
                Admission::Go(permit) if made.len() < refused.len() => {
                    prop_assert!(now >= closed, "{now:?} is before {closed:?}");
                    made.push(now);
                    in_flight.push_back((now + Duration::from_millis(latency), permit));
                    continue;
                }
                Admission::Go(permit) => governor.cancel(permit),
                Admission::Wait(_, Some(until)) if made.len() < refused.len() && until > now && ends.is_none_or(|end| until < end) => {
                    now = until;
                    continue;
                }
                Admission::Wait(..) => {}
                verdict @ Admission::Halt(_) => prop_assert!(false, "{verdict:?}"),
            }
            let Some((end, permit)) = in_flight.pop_front() else {
                if made.len() == refused.len() {
                    break;
                }
                now += Duration::from_millis(1);
                prop_assert!(now < Duration::from_secs(1_000_000), "it waits for nothing");
                continue;
            };
            now = now.max(end);
            let wait = answers.next().copied().flatten().map(Duration::from_millis);
            let signal = match wait {
                Some(wait) => Signal::Throttled { wait: Some(wait), unavailable: false },
                None => Signal::Accepted,
            };
            learn(&mut governor, permit, made.len(), signal, now);
            // A call in flight may still show that the service takes calls again.
            let closing = governor.closed(now).filter(|_| wait.is_some() && in_flight.is_empty());
            closed = closing.map_or(Duration::ZERO, |(_, until)| until);
        }
        prop_assert_eq!(made.len(), refused.len(), "it waits for nothing");
        prop_assert!(most_within(&made, Duration::from_secs(1)) <= second as usize);
        prop_assert!(most_within(&made, Duration::from_secs(60)) <= minute as usize);
    }

    /// A clock that jumps back lets nothing through twice, and one that jumps forward makes nobody wait longer.
    #[test]
    fn a_jumping_clock_neither_bursts_nor_hangs(
        jumps in prop::collection::vec((0u64..60_000, -4_000_000i64..0), 1..20),
    ) {
        let mut governor = Governor::new(rules(&["5/s", "60/m"], 4), &History::default(), Duration::from_secs(10_000_000));
        let (mut real, mut offset) = (10_000_000_000i64, 0i64);
        let mut made = Vec::new();
        for (after, jump) in jumps {
            let until = real + after as i64;
            while real < until {
                let now = Duration::from_millis((real + offset) as u64);
                match governor.request(Cost::default(), now, real) {
                    Admission::Go(permit) => {
                        made.push(Duration::from_millis(real as u64));
                        learn(&mut governor, permit, made.len(), Signal::Accepted, now);
                    }
                    Admission::Wait(_, Some(until)) => {
                        prop_assert!(until < Duration::from_millis(real as u64 + 70_000), "{until:?}");
                        real += 20;
                    }
                    verdict => prop_assert!(false, "{verdict:?}"),
                }
            }
            offset += jump;
        }
        prop_assert!(most_within(&made, Duration::from_secs(1)) <= 5);
        prop_assert!(most_within(&made, Duration::from_secs(60)) <= 60);
    }

    /// A run that is stopped and started, however often, keeps to its windows.
    #[test]
    fn stopping_and_starting_gains_nothing(lives in prop::collection::vec(1u64..30_000, 1..15)) {
        let (mut now, mut made) = (1_000_000u64, Vec::<u64>::new());
        for life in lives {
            let spent = made.iter().map(|at| Spent {
                // Remembered by the second, as if at its end.
                ago: Duration::from_millis(now.saturating_sub(at / 1000 * 1000 + 999)),
                cost: Cost::default(),
            });
            let past = History { spent: spent.collect(), ..History::default() };
            let mut governor = Governor::new(rules(&["40/m"], 8), &past, Duration::from_millis(now));
            let end = now + life;
            while now < end {
                let at = Duration::from_millis(now);
                if let Admission::Go(permit) = governor.request(Cost::default(), at, 0) {
                    made.push(now);
                    learn(&mut governor, permit, made.len(), Signal::Accepted, at);
                } else {
                    now += 10;
                }
            }
        }
        let made: Vec<Duration> = made.into_iter().map(Duration::from_millis).collect();
        prop_assert!(most_within(&made, Duration::from_secs(60)) <= 40);
    }
}

#[test]
fn a_key_that_expires_is_refused_a_few_times_and_no_more() {
    const THREADS: usize = 32;
    let mut governor = Governor::new(rules(&[], THREADS), &History::default(), Duration::ZERO);
    let now = Duration::from_secs(1);
    let mut in_flight = Vec::new();
    let mut refused = 0;
    for call in 0.. {
        match governor.request(Cost::default(), now, 0) {
            Admission::Go(permit) => in_flight.push((call, permit)),
            Admission::Wait(..) => {
                let (call, permit) = in_flight.remove(0);
                let expired = call >= 500;
                refused += usize::from(expired);
                let signal = if expired {
                    Signal::Fault(Fault::Auth)
                } else {
                    Signal::Accepted
                };
                let fate = learn(&mut governor, permit, call, signal, now);
                assert_eq!(
                    fate == Disposition::Quarantine(SharedCause::Service),
                    expired
                );
            }
            Admission::Halt(_) => break,
        }
    }
    assert!(
        refused + in_flight.len() <= THREADS + 9,
        "{refused} and {}",
        in_flight.len()
    );
}

#[test]
fn with_a_wrong_key_calls_are_made_one_after_the_other_and_elsewhere_before_a_stop() {
    let mut governor = Governor::new(rules(&[], 32), &History::default(), Duration::ZERO);
    let now = Duration::from_secs(1);
    let (mut calls, mut looks) = (0, 0);
    while let Admission::Go(permit) = governor.request(Cost::default(), now, 0) {
        calls += 1;
        looks += u32::from(permit.spot().is_some());
        let second = governor.request(Cost::default(), now, 0);
        assert!(matches!(second, Admission::Wait(..)), "{second:?}");
        learn(
            &mut governor,
            permit,
            calls,
            Signal::Fault(Fault::Auth),
            now,
        );
    }
    assert_eq!((calls, looks), (7, 2));
    assert_eq!(governor.halt(), Some(StopReason::Fault(Fault::Auth)));
}

/// Makes a call as soon as one may be made, at most a minute later, and ends it so much later. Returns for how long it
/// was waited.
fn call_alone(
    governor: &mut Governor,
    now: &mut Duration,
    took: Duration,
    signal: Signal,
) -> Duration {
    let began = *now;
    loop {
        let until = match governor.request(Cost::default(), *now, 0) {
            Admission::Go(permit) => {
                let waited = *now - began;
                *now += took;
                learn(governor, permit, began.as_millis() as usize, signal, *now);
                return waited;
            }
            Admission::Wait(_, until) => until,
            Admission::Halt(reason) => panic!("{reason:?}"),
        };
        *now = until
            .unwrap_or_default()
            .max(*now + Duration::from_millis(1));
        assert!(*now < began + Duration::from_secs(60), "it waits for long");
    }
}

#[test]
fn slow_calls_are_not_held_up_after_a_wait() {
    for took in [1, 20, 300].map(Duration::from_secs) {
        let mut governor = Governor::new(rules(&[], 1), &History::default(), Duration::ZERO);
        let mut now = Duration::ZERO;
        for _ in 0..12 {
            call_alone(&mut governor, &mut now, took, Signal::Accepted);
        }
        let refused = Signal::Throttled {
            wait: Some(Duration::from_secs(1)),
            unavailable: false,
        };
        call_alone(&mut governor, &mut now, Duration::ZERO, refused);
        let waits: Vec<Duration> = (0..6)
            .map(|_| call_alone(&mut governor, &mut now, took, Signal::Accepted))
            .collect();
        // The wait that was asked for, and then a second or two in all.
        let all: Duration = waits.iter().sum();
        assert!(all < Duration::from_secs(4), "{took:?}: {waits:?}");
    }
}

#[test]
fn a_runner_that_begins_with_a_wait_of_the_last_one_is_not_slow_after_it() {
    let past = History {
        closed_for: Some(Duration::from_secs(3)),
        ..History::default()
    };
    let mut governor = Governor::new(rules(&[], 1), &past, Duration::ZERO);
    let mut now = Duration::ZERO;
    let took = Duration::from_millis(10);
    let first = call_alone(&mut governor, &mut now, took, Signal::Accepted);
    assert_eq!(first, Duration::from_secs(3));
    for _ in 0..10 {
        call_alone(&mut governor, &mut now, took, Signal::Accepted);
    }
    assert!(now < Duration::from_secs(4), "{now:?}");
}

/// Ends a call for a file of this number.
fn learn(
    governor: &mut Governor,
    permit: Permit,
    file: usize,
    signal: Signal,
    now: Duration,
) -> Disposition {
    let call = CompletedCall {
        file: JobId(file as i64),
        failed_before: false,
        signal,
        hint: None,
        took: Duration::ZERO,
    };
    governor.complete(permit, call, now).disposition
}

#[test]
fn row_41_a_machine_that_sleeps_does_not_work() {
    let budgets = stride::limits::Budgets {
        duration: Some(Duration::from_secs(100)),
        ..Default::default()
    };
    let rules = stride::governor::Rules {
        budgets,
        ..rules(&["1/d"], 1)
    };
    let mut governor = Governor::new(rules, &History::default(), Duration::ZERO);
    let mut now = Duration::ZERO;
    for _ in 0..100 {
        now += Duration::from_millis(400);
        assert!(!stops(&mut governor, now));
    }
    now += Duration::from_secs(8 * 3600);
    assert!(!stops(&mut governor, now), "it slept");
    for _ in 0..100 {
        now += Duration::from_millis(400);
        stops(&mut governor, now);
    }
    assert!(stops(&mut governor, now), "it worked");
}

fn stops(governor: &mut Governor, now: Duration) -> bool {
    match governor.request(Cost::default(), now, 0) {
        Admission::Halt(_) => true,
        Admission::Wait(..) => false,
        Admission::Go(permit) => {
            governor.cancel(permit);
            false
        }
    }
}

#[test]
fn a_file_that_is_refused_while_others_are_accepted_fails_in_the_end_though_it_is_the_last() {
    const REFUSED: usize = 100;
    let mut governor = Governor::new(rules(&[], 1), &History::default(), Duration::ZERO);
    let mut now = Duration::ZERO;
    let (mut due, mut refusals) = (now, 0);
    let mut others = 0..2;
    let rejected = loop {
        // The others go while the refused one waits for itself.
        let other = (now < due).then(|| others.next()).flatten();
        governor.set_remaining(1 + others.len() as u64);
        let verdict = governor.request(Cost::default(), now, 0);
        match (verdict, other) {
            (Admission::Go(permit), Some(other)) => {
                learn(&mut governor, permit, other, Signal::Accepted, now);
            }
            (Admission::Go(permit), None) if now < due => {
                governor.cancel(permit);
                now = due;
            }
            (Admission::Go(permit), None) => {
                refusals += 1;
                let signal = Signal::Throttled {
                    wait: None,
                    unavailable: false,
                };
                match learn(&mut governor, permit, REFUSED, signal, now) {
                    Disposition::Requeue(moment) | Disposition::RequeueLast(moment, _) => {
                        due = moment
                    }
                    fate => break fate,
                }
            }
            (Admission::Wait(_, until), other) => {
                // A file that was not called stays in the list.
                others.start -= usize::from(other.is_some());
                now = until.expect("nothing is in flight");
            }
            (Admission::Halt(reason), _) => panic!("{reason:?}"),
        }
    };
    assert_eq!(rejected, Disposition::Reject);
    let minutes = now.as_secs() / 60;
    assert!((10..12).contains(&minutes), "after {now:?}");
    assert!((10..60).contains(&refusals), "{refusals}");
    assert_eq!(governor.checkpoint(now).refused.unwrap().1, refusals);
}

/// Ends a call as [`learn`] does, with an outage's failure.
fn fails(governor: &mut Governor, permit: Permit, file: usize, now: Duration) -> Disposition {
    learn(governor, permit, file, Signal::Failed, now)
}

#[test]
fn a_long_wait_that_is_stated_late_is_kept() {
    let mut governor = Governor::new(rules(&[], 4), &History::default(), Duration::ZERO);
    let ask = |governor: &mut Governor, now| match governor.request(Cost::default(), now, 0) {
        Admission::Go(permit) => Ok(permit),
        verdict => Err(verdict),
    };
    let at = Duration::from_millis;
    let first = ask(&mut governor, at(0)).unwrap();
    learn(&mut governor, first, 0, Signal::Accepted, at(1));
    let slow = ask(&mut governor, at(10)).unwrap();
    let refused = ask(&mut governor, at(10)).unwrap();
    let signal = |wait| Signal::Throttled {
        wait,
        unavailable: false,
    };
    learn(&mut governor, refused, 1, signal(None), at(20));
    let probe = ask(&mut governor, at(1_000)).unwrap();
    learn(&mut governor, probe, 2, Signal::Accepted, at(1_001));
    // The gate is open again when the slow call's refusal comes.
    let wait = Duration::from_secs(20);
    learn(&mut governor, slow, 3, signal(Some(wait)), at(3_000));
    for now in (3_001..23_000).step_by(500) {
        assert!(ask(&mut governor, at(now)).is_err(), "at {now} ms");
    }
    assert_eq!(
        governor.checkpoint(at(4_000)).closed_for,
        Some(at(23_000) - governor.now())
    );
    assert!(ask(&mut governor, at(23_000)).is_ok());
}

#[test]
fn a_wait_that_is_stated_while_the_gate_is_closed_is_remembered() {
    let mut governor = Governor::new(rules(&[], 4), &History::default(), Duration::ZERO);
    let at = Duration::from_millis;
    let mut permits = Vec::new();
    let first = governor.request(Cost::default(), at(0), 0);
    let Admission::Go(first) = first else {
        panic!("{first:?}")
    };
    learn(&mut governor, first, 0, Signal::Accepted, at(1));
    while let Admission::Go(permit) = governor.request(Cost::default(), at(10), 0) {
        permits.push(permit);
    }
    let last = permits.pop().unwrap();
    for (file, permit) in permits.into_iter().enumerate() {
        fails(&mut governor, permit, 10 + file, at(20));
    }
    let signal = Signal::Throttled {
        wait: Some(at(40_000)),
        unavailable: false,
    };
    learn(&mut governor, last, 1, signal, at(30));
    let left = governor.checkpoint(at(30)).closed_for;
    assert_eq!(left, Some(at(40_000)));
}

#[test]
fn as_many_calls_as_raise_throughput_are_made_although_no_worker_asks_in_vain() {
    let rules = stride::governor::Rules {
        concurrency: stride::governor::Concurrency::Auto(64),
        ..rules(&[], 64)
    };
    let mut governor = Governor::new(rules, &History::default(), Duration::ZERO);
    let mut in_flight = std::collections::VecDeque::new();
    let mut file = 0;
    // Every call takes 100 ms, however many are made.
    for tick in 0..3_000 {
        let now = Duration::from_millis(10 * tick);
        while in_flight.front().is_some_and(|(end, _)| *end <= now) {
            let (_, permit) = in_flight.pop_front().unwrap();
            file += 1;
            let call = CompletedCall {
                file: JobId(file),
                failed_before: false,
                signal: Signal::Accepted,
                hint: None,
                took: Duration::from_millis(100),
            };
            governor.complete(permit, call, now);
        }
        // Like the engine, which asks only for a free worker.
        while in_flight.len() < governor.concurrency()
            && let Admission::Go(permit) = governor.request(Cost::default(), now, 0)
        {
            in_flight.push_back((now + Duration::from_millis(100), permit));
        }
        governor.all_busy(in_flight.len(), now);
    }
    assert_eq!(governor.concurrency(), 64);
}
