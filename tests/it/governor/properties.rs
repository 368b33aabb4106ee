//! Properties of the governor that hold for any service, rates and clock.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;
use stride::governor::{
    Admission, CompletedCall, Concurrency, Disposition, Fault, Governor, History, LaneHistory,
    Permit, Rules, SharedCause, Signal, StopReason,
};
use stride::job::JobId;
use stride::limits::{Budgets, Cost, PastCharge};

use super::sim::rules;

const AT_LIMIT: Signal = Signal::Throttled {
    wait: None,
    unavailable: false,
};

fn wait(wait: Duration) -> Signal {
    Signal::Throttled {
        wait: Some(wait),
        unavailable: false,
    }
}

/// A governor without history, at time zero.
fn governor(rates: &[&str], threads: usize) -> Governor {
    Governor::new(rules(rates, threads), &History::default(), Duration::ZERO)
}

fn request(governor: &mut Governor, now: Duration) -> Admission {
    governor.request(Cost::default(), now, 0)
}

fn permit(governor: &mut Governor, now: Duration) -> Option<Permit> {
    match request(governor, now) {
        Admission::Go(permit) => Some(permit),
        Admission::Wait(..) | Admission::Halt(_) => None,
    }
}

/// Completes a call for a file.
fn complete(
    governor: &mut Governor,
    permit: Permit,
    file: usize,
    signal: Signal,
    now: Duration,
) -> Disposition {
    let call = CompletedCall {
        step: 0,
        file: JobId(file as i64),
        failed_before: false,
        signal,
        hint: None,
        goes_on: false,
        took: Duration::ZERO,
    };
    governor.complete(permit, call, now).disposition
}

/// Returns the most calls in any period of this length.
fn most_within(at: &[Duration], window: Duration) -> usize {
    let (mut from, mut most) = (0, 0);
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

    /// Calls keep to the windows and to stated waits, and the list ends.
    #[test]
    fn windows_and_waits_are_kept_and_the_list_ends(
        threads in 1usize..64,
        second in 1u32..300,
        minute in 20u32..2000,
        latency in 1u64..400,
        refused in prop::collection::vec(prop::option::weighted(0.1, 0u64..5000), 50..400),
    ) {
        let mut governor = governor(&[&format!("{second}/s"), &format!("{minute}/m")], threads);
        let (mut now, mut closed) = (Duration::ZERO, Duration::ZERO);
        let (mut made, mut in_flight) = (Vec::new(), VecDeque::new());
        let mut answers = refused.iter();
        loop {
            let ends = in_flight.front().map(|(end, _)| *end);
            match request(&mut governor, now) {
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
                admission @ Admission::Halt(_) => prop_assert!(false, "{admission:?}"),
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
            let asked = answers.next().copied().flatten().map(Duration::from_millis);
            let signal = asked.map_or(Signal::Accepted, wait);
            complete(&mut governor, permit, made.len(), signal, now);
            // A call in flight may still open the gate.
            let closing = governor.closed(now).filter(|_| asked.is_some() && in_flight.is_empty());
            closed = closing.map_or(Duration::ZERO, |(_, until)| until);
        }
        prop_assert_eq!(made.len(), refused.len(), "it waits for nothing");
        prop_assert!(most_within(&made, Duration::from_secs(1)) <= second as usize);
        prop_assert!(most_within(&made, Duration::from_secs(60)) <= minute as usize);
    }

    /// A clock that jumps back admits no call twice, and one that jumps forward prolongs no wait.
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
                        complete(&mut governor, permit, made.len(), Signal::Accepted, now);
                    }
                    Admission::Wait(_, Some(until)) => {
                        prop_assert!(until < Duration::from_millis(real as u64 + 70_000), "{until:?}");
                        real += 20;
                    }
                    admission => prop_assert!(false, "{admission:?}"),
                }
            }
            offset += jump;
        }
        prop_assert!(most_within(&made, Duration::from_secs(1)) <= 5);
        prop_assert!(most_within(&made, Duration::from_secs(60)) <= 60);
    }

    /// A run keeps to its windows however often it is stopped and resumed.
    #[test]
    fn stopping_and_resuming_gains_nothing(lives in prop::collection::vec(1u64..30_000, 1..15)) {
        let (mut now, mut made) = (1_000_000u64, Vec::<u64>::new());
        for life in lives {
            let spent = made.iter().map(|at| PastCharge {
                // Stored by the second, as if at its end.
                ago: Duration::from_millis(now.saturating_sub(at / 1000 * 1000 + 999)),
                cost: Cost::default(),
            });
            let lane = LaneHistory { spent: spent.collect(), ..LaneHistory::default() };
            let history = History { lanes: vec![lane], ..History::default() };
            let mut governor = Governor::new(rules(&["40/m"], 8), &history, Duration::from_millis(now));
            let end = now + life;
            while now < end {
                let at = Duration::from_millis(now);
                if let Some(permit) = permit(&mut governor, at) {
                    made.push(now);
                    complete(&mut governor, permit, made.len(), Signal::Accepted, at);
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
fn an_expired_key_is_refused_a_few_times_and_no_more() {
    const THREADS: usize = 32;
    let mut governor = governor(&[], THREADS);
    let now = Duration::from_secs(1);
    let mut in_flight = VecDeque::new();
    let mut refused = 0;
    for call in 0.. {
        match request(&mut governor, now) {
            Admission::Go(permit) => in_flight.push_back((call, permit)),
            Admission::Wait(..) => {
                let (call, permit) = in_flight.pop_front().unwrap();
                let expired = call >= 500;
                refused += usize::from(expired);
                let signal = match expired {
                    true => Signal::Fault(Fault::Auth),
                    false => Signal::Accepted,
                };
                let disposition = complete(&mut governor, permit, call, signal, now);
                let quarantined = Disposition::Quarantine(SharedCause::Service);
                assert_eq!(disposition == quarantined, expired);
            }
            Admission::Halt(_) => break,
        }
    }
    let all = refused + in_flight.len();
    assert!(all <= THREADS + 9, "{refused} of {all}");
}

#[test]
fn with_a_wrong_key_calls_go_one_by_one_and_two_spot_checks_precede_the_stop() {
    let mut governor = governor(&[], 32);
    let now = Duration::from_secs(1);
    let (mut calls, mut spot_checks) = (0, 0);
    while let Some(first) = permit(&mut governor, now) {
        calls += 1;
        spot_checks += u32::from(first.spot().is_some());
        let second = request(&mut governor, now);
        assert!(matches!(second, Admission::Wait(..)), "{second:?}");
        let signal = Signal::Fault(Fault::Auth);
        complete(&mut governor, first, calls, signal, now);
    }
    assert_eq!((calls, spot_checks), (7, 2));
    assert_eq!(governor.halt(), Some(StopReason::Fault(Fault::Auth)));
}

/// Makes a call as soon as the governor admits it, and completes it after `took`. Returns the wait, at most a minute.
fn call_alone(
    governor: &mut Governor,
    now: &mut Duration,
    took: Duration,
    signal: Signal,
) -> Duration {
    let began = *now;
    loop {
        let until = match request(governor, *now) {
            Admission::Go(permit) => {
                let waited = *now - began;
                *now += took;
                complete(governor, permit, began.as_millis() as usize, signal, *now);
                return waited;
            }
            Admission::Wait(_, until) => until,
            Admission::Halt(reason) => panic!("{reason:?}"),
        };
        let next = *now + Duration::from_millis(1);
        *now = until.unwrap_or_default().max(next);
        assert!(*now < began + Duration::from_secs(60), "a long wait");
    }
}

#[test]
fn slow_calls_are_not_delayed_after_a_wait() {
    for took in [1, 20, 300].map(Duration::from_secs) {
        let mut governor = governor(&[], 1);
        let mut now = Duration::ZERO;
        for _ in 0..12 {
            call_alone(&mut governor, &mut now, took, Signal::Accepted);
        }
        let refused = wait(Duration::from_secs(1));
        call_alone(&mut governor, &mut now, Duration::ZERO, refused);
        let waits: Vec<Duration> = (0..6)
            .map(|_| call_alone(&mut governor, &mut now, took, Signal::Accepted))
            .collect();
        // The stated wait, and a second or two in all.
        let all: Duration = waits.iter().sum();
        assert!(all < Duration::from_secs(4), "{took:?}: {waits:?}");
    }
}

#[test]
fn a_session_that_begins_with_a_stored_wait_is_not_slow_after_it() {
    let lane = LaneHistory {
        closed_for: Some(Duration::from_secs(3)),
        ..LaneHistory::default()
    };
    let history = History {
        lanes: vec![lane],
        ..History::default()
    };
    let mut governor = Governor::new(rules(&[], 1), &history, Duration::ZERO);
    let mut now = Duration::ZERO;
    let took = Duration::from_millis(10);
    let first = call_alone(&mut governor, &mut now, took, Signal::Accepted);
    assert_eq!(first, Duration::from_secs(3));
    for _ in 0..10 {
        call_alone(&mut governor, &mut now, took, Signal::Accepted);
    }
    assert!(now < Duration::from_secs(4), "{now:?}");
}

#[test]
fn row_41_a_machine_that_sleeps_does_not_work() {
    let rules = Rules {
        budgets: Budgets {
            duration: Some(Duration::from_secs(100)),
            ..Budgets::default()
        },
        ..rules(&["1/d"], 1)
    };
    let mut governor = Governor::new(rules, &History::default(), Duration::ZERO);
    let mut now = Duration::ZERO;
    let mut stops_after = |passed| {
        now += passed;
        match request(&mut governor, now) {
            Admission::Halt(_) => true,
            Admission::Wait(..) => false,
            Admission::Go(permit) => {
                governor.cancel(permit);
                false
            }
        }
    };
    let turn = Duration::from_millis(400);
    for _ in 0..100 {
        assert!(!stops_after(turn));
    }
    assert!(!stops_after(Duration::from_secs(8 * 3600)), "it slept");
    for _ in 0..100 {
        stops_after(turn);
    }
    assert!(stops_after(Duration::ZERO), "it worked");
}

#[test]
fn a_file_throttled_while_others_are_accepted_fails_in_the_end_even_as_the_last() {
    const THROTTLED: usize = 100;
    let mut governor = governor(&[], 1);
    let mut now = Duration::ZERO;
    let (mut due, mut throttles) = (now, 0);
    let mut others = 0..2;
    let rejected = loop {
        // The others go while the throttled file waits.
        let other = (now < due).then(|| others.next()).flatten();
        governor.set_remaining(1 + others.len() as u64);
        match (request(&mut governor, now), other) {
            (Admission::Go(permit), Some(other)) => {
                complete(&mut governor, permit, other, Signal::Accepted, now);
            }
            (Admission::Go(permit), None) if now < due => {
                governor.cancel(permit);
                now = due;
            }
            (Admission::Go(permit), None) => {
                throttles += 1;
                match complete(&mut governor, permit, THROTTLED, AT_LIMIT, now) {
                    Disposition::Requeue(moment) | Disposition::RequeueLast(moment, _) => {
                        due = moment;
                    }
                    disposition => break disposition,
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
    assert!((10..60).contains(&throttles), "{throttles}");
    assert_eq!(governor.checkpoint(now).refused.unwrap().1, throttles);
}

#[test]
fn a_long_wait_that_is_stated_late_is_kept() {
    let mut governor = governor(&[], 4);
    let at = Duration::from_millis;
    let first = permit(&mut governor, at(0)).unwrap();
    complete(&mut governor, first, 0, Signal::Accepted, at(1));
    let slow = permit(&mut governor, at(10)).unwrap();
    let refused = permit(&mut governor, at(10)).unwrap();
    complete(&mut governor, refused, 1, AT_LIMIT, at(20));
    let probe = permit(&mut governor, at(1_000)).unwrap();
    complete(&mut governor, probe, 2, Signal::Accepted, at(1_001));
    // The gate is open again when the slow call's refusal comes.
    complete(&mut governor, slow, 3, wait(at(20_000)), at(3_000));
    for now in (3_001..23_000).step_by(500) {
        let early = permit(&mut governor, at(now));
        assert!(early.is_none(), "at {now} ms");
    }
    let stored = governor.checkpoint(at(22_900)).lanes[0].closed_for;
    assert_eq!(stored, Some(at(100)));
    assert!(permit(&mut governor, at(23_000)).is_some());
}

#[test]
fn a_wait_that_is_stated_while_the_gate_is_closed_is_stored() {
    let mut governor = governor(&[], 4);
    let at = Duration::from_millis;
    let first = permit(&mut governor, at(0)).unwrap();
    complete(&mut governor, first, 0, Signal::Accepted, at(1));
    let mut permits: Vec<Permit> = std::iter::from_fn(|| permit(&mut governor, at(10))).collect();
    let last = permits.pop().unwrap();
    for (file, permit) in permits.into_iter().enumerate() {
        complete(&mut governor, permit, 10 + file, Signal::Failed, at(20));
    }
    complete(&mut governor, last, 1, wait(at(40_000)), at(30));
    let stored = governor.checkpoint(at(30)).lanes[0].closed_for;
    assert_eq!(stored, Some(at(40_000)));
}

#[test]
fn concurrency_rises_while_it_raises_throughput() {
    let ms = Duration::from_millis;
    // The service runs this many calls at once, each in 100 ms; others queue.
    for (parallel, least, most) in [(64, 64, 64), (16, 14, 22)] {
        let rules = Rules {
            concurrency: Concurrency::Auto(64),
            ..rules(&[], 64)
        };
        let mut governor = Governor::new(rules, &History::default(), Duration::ZERO);
        let mut in_flight: VecDeque<(Duration, Duration, Permit)> = VecDeque::new();
        let (mut file, mut sum) = (0, 0);
        for tick in 0..20_000 {
            let now = ms(10 * tick);
            while in_flight.front().is_some_and(|(end, ..)| *end <= now) {
                let (end, began, permit) = in_flight.pop_front().unwrap();
                file += 1;
                let call = CompletedCall {
                    step: 0,
                    file: JobId(file),
                    failed_before: false,
                    signal: Signal::Accepted,
                    hint: None,
                    goes_on: false,
                    took: end - began,
                };
                governor.complete(permit, call, now);
            }
            // Like the engine, which requests only for a free slot.
            while in_flight.len() < governor.concurrency()
                && let Some(permit) = permit(&mut governor, now)
            {
                let queued = in_flight.iter().rev().nth(parallel - 1);
                let begins = queued.map_or(now, |(end, ..)| now.max(*end));
                in_flight.push_back((begins + ms(100), now, permit));
            }
            governor.all_busy(in_flight.len(), now);
            sum += if tick < 10_000 {
                0
            } else {
                governor.concurrency()
            };
        }
        let mean = sum / 10_000;
        assert!((least..=most).contains(&mean), "{parallel}: {mean}");
    }
}
