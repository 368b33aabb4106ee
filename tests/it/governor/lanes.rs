//! Several accounts of one run, in virtual time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use stride::governor::{
    Admission, CompletedCall, Concurrency, Fault, Governor, History, LaneHistory, Permit, Rules,
    Signal, StopReason,
};
use stride::job::JobId;
use stride::limits::{Budgets, Cost, Rates};

/// An account: its limit in calls a second, or none if its key is revoked.
struct Account {
    rate: Option<f64>,
    /// The moment from which on a call is accepted.
    next: f64,
    away: Option<(f64, f64)>,
}

impl Account {
    fn answer(&mut self, now: f64) -> Signal {
        if self
            .away
            .is_some_and(|(from, to)| (from..to).contains(&now))
        {
            return Signal::Unreachable;
        }
        let Some(rate) = self.rate else {
            return Signal::Fault(Fault::Auth);
        };
        // A second's worth of calls may go in a row.
        if self.next > now + 1.0 {
            return Signal::Throttled {
                wait: None,
                unavailable: false,
            };
        }
        self.next = self.next.max(now) + 1.0 / rate;
        Signal::Accepted
    }
}

struct Finished {
    governor: Governor,
    /// The accepted and the refused calls of each account.
    calls: Vec<(u32, u32)>,
}

/// Calls for this many seconds, each call for 0.2 s. Says for each account how many calls it accepted and refused.
fn run(rates: &[&str], threads: usize, mut accounts: Vec<Account>, seconds: f64) -> Finished {
    let rules = Rules {
        rates: Rates::parse(rates.iter().copied()).unwrap(),
        burst: 1,
        concurrency: Concurrency::Fixed(threads),
        max_wait: Duration::from_secs(900),
        max_outage: Duration::from_secs(30),
        max_failures: None,
        stops_bad_requests: true,
        budgets: Budgets::default(),
        until: None,
        canary: true,
    };
    let history = History {
        lanes: accounts.iter().map(|_| LaneHistory::default()).collect(),
        ..History::default()
    };
    let mut governor = Governor::new(rules, &history, Duration::ZERO);
    let mut calls = vec![(0, 0); accounts.len()];
    let mut in_flight: BinaryHeap<(Reverse<u64>, usize)> = BinaryHeap::new();
    let mut sent: Vec<Option<(Permit, Signal)>> = Vec::new();
    let mut now = 0.0;
    while now < seconds {
        let at = Duration::from_secs_f64(now);
        let until = match governor.request(Cost::default(), at, 0) {
            Admission::Go(permit) => {
                let signal = accounts[permit.lane()].answer(now);
                let counted = &mut calls[permit.lane()];
                match signal {
                    Signal::Accepted => counted.0 += 1,
                    _ => counted.1 += 1,
                }
                let end = at + Duration::from_millis(200);
                in_flight.push((Reverse(end.as_nanos() as u64), sent.len()));
                sent.push(Some((permit, signal)));
                continue;
            }
            Admission::Wait(_, until) => until,
            Admission::Halt(_) => break,
        };
        let end = in_flight
            .peek()
            .map(|(Reverse(end), _)| Duration::from_nanos(*end));
        let next = until.into_iter().chain(end).min().expect("the run goes on");
        now = next.as_secs_f64().max(now + 1e-6);
        while let Some((Reverse(end), index)) = in_flight.peek().copied()
            && Duration::from_nanos(end).as_secs_f64() <= now
        {
            in_flight.pop();
            let (permit, signal) = sent[index].take().unwrap();
            let call = CompletedCall {
                step: 0,
                file: JobId(index as i64),
                failed_before: false,
                signal,
                hint: None,
                goes_on: false,
                took: Duration::from_millis(200),
            };
            governor.complete(permit, call, Duration::from_secs_f64(now));
        }
    }
    Finished { governor, calls }
}

fn account(rate: f64) -> Account {
    Account {
        rate: Some(rate),
        next: 0.0,
        away: None,
    }
}

fn revoked() -> Account {
    Account {
        rate: None,
        next: 0.0,
        away: None,
    }
}

#[test]
fn three_keys_of_which_one_is_revoked_and_one_is_slow_are_used_in_full() {
    for threads in [8, 32] {
        let accounts = vec![account(20.0), revoked(), account(2.0)];
        let Finished { governor, calls } = run(&["auto"], threads, accounts, 300.0);
        let accepted: u32 = calls.iter().map(|(accepted, _)| accepted).sum();
        assert!(
            accepted >= (0.9 * 22.0 * 300.0) as u32,
            "{threads} threads: {calls:?}"
        );
        assert!(calls[1].1 <= 30, "{calls:?}");
        let stopped = [0, 1, 2].map(|lane| governor.stopped(lane));
        assert_eq!(stopped, [None, Some(StopReason::Fault(Fault::Auth)), None]);
        assert_eq!(governor.halt(), None);
        let refused = calls[0].1 + calls[2].1;
        assert!(refused * 20 <= accepted, "{calls:?}");
    }
}

#[test]
fn a_rate_holds_for_each_lane_and_threads_for_all() {
    let accounts = (0..3).map(|_| account(1000.0)).collect();
    let Finished { calls, .. } = run(&["10/s"], 32, accounts, 60.0);
    for (accepted, refused) in &calls {
        assert!((570..=610).contains(accepted) && *refused == 0, "{calls:?}");
    }
    let accounts = (0..3).map(|_| account(1000.0)).collect();
    let Finished { calls, .. } = run(&["none"], 6, accounts, 20.0);
    let accepted: u32 = calls.iter().map(|(accepted, _)| accepted).sum();
    // Six calls of 0.2 s at a time.
    assert!((500..=606).contains(&accepted), "{calls:?}");
    assert!(
        calls.iter().all(|(accepted, _)| *accepted > 150),
        "{calls:?}"
    );
}

#[test]
fn a_lane_that_is_away_is_probed_while_the_others_work() {
    let mut accounts: Vec<Account> = (0..2).map(|_| account(20.0)).collect();
    accounts[1].away = Some((20.0, 80.0));
    let Finished { governor, calls } = run(&["20/s"], 16, accounts, 160.0);
    assert_eq!((governor.halt(), governor.stopped(1)), (None, None));
    assert!(calls[0].0 > 2900, "{calls:?}");
    // It works before the outage and after it.
    assert!(calls[1].0 > 1400 && calls[1].1 < 60, "{calls:?}");
}

#[test]
fn the_run_stops_with_its_last_lane() {
    let accounts = vec![revoked(), revoked()];
    let Finished {
        mut governor,
        calls,
    } = run(&["auto"], 8, accounts, 300.0);
    let reason = StopReason::Fault(Fault::Auth);
    assert_eq!(governor.halt(), Some(reason));
    assert_eq!(governor.newly_stopped(), [(0, reason), (1, reason)]);
    assert_eq!(governor.newly_stopped(), []);
    assert!(
        calls
            .iter()
            .all(|(accepted, refused)| *accepted == 0 && *refused < 30),
        "{calls:?}"
    );
}
