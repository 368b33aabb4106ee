//! What holds of the governor whatever the service, the rates and the clock do.

use std::time::Duration;

use proptest::prelude::*;
use stride::governor::{Cost, Governor, News, Past, Refusal, Sign, Spent, Verdict};

use super::sim::{Kind, Service, rules, run};

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

    /// Never above a window, never past a closed gate, and always to the end.
    #[test]
    fn windows_and_gate_are_kept_and_the_list_ends(
        kind in prop::sample::select(vec![Kind::Bucket, Kind::Stated, Kind::Left, Kind::Fixed]),
        limit in 1u32..200,
        later in 1u32..200,
        threads in prop::sample::select(vec![1usize, 2, 7, 32, 200, 1000]),
        second in 1u32..300,
        minute in 20u32..2000,
        auto in any::<bool>(),
        latency in 1u64..400,
        calls in 1usize..1500,
    ) {
        let limits = [(0, f64::from(limit)), (7, f64::from(later))];
        let rates = [format!("{second}/s"), format!("{minute}/m"), "auto".to_owned()];
        let rates: Vec<&str> = rates.iter().map(String::as_str).take(if auto { 3 } else { 2 }).collect();
        let seen = run(
            rules(&rates, threads),
            &Past::default(),
            &mut Service::new(kind, &limits),
            Duration::from_millis(latency),
            Duration::from_secs(1_000_000),
            calls,
        );
        prop_assert!(seen.ended, "it waits for nothing");
        prop_assert_eq!(seen.accepted.len(), calls);
        prop_assert_eq!(seen.early, 0);
        prop_assert!(most_within(&seen.admitted, Duration::from_secs(1)) <= second as usize);
        prop_assert!(most_within(&seen.admitted, Duration::from_secs(60)) <= minute as usize);
    }

    /// A clock that jumps back lets nothing through twice, and one that jumps forward makes nobody wait longer.
    #[test]
    fn a_jumping_clock_neither_bursts_nor_hangs(
        jumps in prop::collection::vec((0u64..60_000, -4_000_000i64..0), 1..20),
    ) {
        let mut governor = Governor::new(rules(&["5/s", "60/m"], 4), &Past::default(), Duration::from_secs(10_000_000));
        let (mut real, mut offset) = (10_000_000_000i64, 0i64);
        let mut made = Vec::new();
        for (after, jump) in jumps {
            let until = real + after as i64;
            while real < until {
                let now = Duration::from_millis((real + offset) as u64);
                match governor.ask(Cost::default(), now, real) {
                    Verdict::Go => {
                        let pass = governor.admit(Cost::default(), now);
                        made.push(Duration::from_millis(real as u64));
                        let news = News { sign: Sign::Succeeded, hint: None, took: Duration::ZERO, message: "" };
                        governor.learn(pass, news, now, 0.5);
                    }
                    Verdict::Wait(Some(until), _) => {
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
            let past = Past { spent: spent.collect(), ..Past::default() };
            let mut governor = Governor::new(rules(&["40/m"], 8), &past, Duration::from_millis(now));
            let end = now + life;
            while now < end {
                let at = Duration::from_millis(now);
                if governor.ask(Cost::default(), at, 0) == Verdict::Go {
                    let pass = governor.admit(Cost::default(), at);
                    made.push(now);
                    let news = News { sign: Sign::Succeeded, hint: None, took: Duration::ZERO, message: "" };
                    governor.learn(pass, news, at, 0.5);
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
    let mut governor = Governor::new(rules(&[], THREADS), &Past::default(), Duration::ZERO);
    let now = Duration::from_secs(1);
    let mut in_flight = Vec::new();
    let mut refused = 0;
    for call in 0.. {
        match governor.ask(Cost::default(), now, 0) {
            Verdict::Go => in_flight.push((call, governor.admit(Cost::default(), now))),
            Verdict::Wait(..) => {
                let (call, pass) = in_flight.remove(0);
                let expired = call >= 500;
                refused += usize::from(expired);
                let sign = if expired {
                    Sign::Refused(Refusal::Auth)
                } else {
                    Sign::Succeeded
                };
                let news = News {
                    sign,
                    hint: None,
                    took: now,
                    message: "HTTP 401",
                };
                let lesson = governor.learn(pass, news, now, 0.5);
                assert_eq!(lesson.hold_back.is_some(), expired);
            }
            Verdict::Stop => break,
        }
    }
    assert!(
        refused + in_flight.len() <= THREADS + 5,
        "{refused} and {}",
        in_flight.len()
    );
}

#[test]
fn with_a_wrong_key_five_calls_are_made_one_after_the_other() {
    let mut governor = Governor::new(rules(&[], 32), &Past::default(), Duration::ZERO);
    let now = Duration::from_secs(1);
    let mut calls = 0;
    while governor.ask(Cost::default(), now, 0) == Verdict::Go {
        let pass = governor.admit(Cost::default(), now);
        calls += 1;
        assert!(matches!(
            governor.ask(Cost::default(), now, 0),
            Verdict::Wait(None, _)
        ));
        let news = News {
            sign: Sign::Refused(Refusal::Auth),
            hint: None,
            took: now,
            message: "HTTP 401",
        };
        governor.learn(pass, news, now, 0.5);
    }
    assert_eq!(calls, 5);
}

#[test]
fn row_41_a_machine_that_sleeps_does_not_work() {
    let limits = stride::governor::Limits {
        duration: Some(Duration::from_secs(100)),
        ..Default::default()
    };
    let rules = stride::governor::Rules {
        limits,
        ..rules(&["1/d"], 1)
    };
    let mut governor = Governor::new(rules, &Past::default(), Duration::ZERO);
    let mut now = Duration::ZERO;
    for _ in 0..100 {
        now += Duration::from_millis(400);
        assert_ne!(governor.ask(Cost::default(), now, 0), Verdict::Stop);
    }
    now += Duration::from_secs(8 * 3600);
    assert_ne!(
        governor.ask(Cost::default(), now, 0),
        Verdict::Stop,
        "it slept"
    );
    for _ in 0..100 {
        now += Duration::from_millis(400);
        governor.ask(Cost::default(), now, 0);
    }
    assert_eq!(
        governor.ask(Cost::default(), now, 0),
        Verdict::Stop,
        "it worked"
    );
}
