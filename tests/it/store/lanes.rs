//! The lanes of a pool in the store.

use std::time::Duration;

use stride::event::Flow;
use stride::governor::{Checkpoint, LaneCheckpoint, LearnedLimits, LimitedBy};
use stride::job::{AttemptId, Class, JobState, LaneIdentity, Outcome, Position};
use stride::limits::{Cost, UsageDelta};
use stride::store::{Group, Store};

use crate::support::{Fixture, failed, settlement, succeeded};

fn identity(name: &str) -> LaneIdentity {
    let mut hash = [0; 16];
    hash[..name.len()].copy_from_slice(name.as_bytes());
    LaneIdentity {
        name: Some(name.to_owned()),
        hash,
    }
}

/// Begins a session with these rows. Returns the number of files that are held.
fn begin(store: &mut Store, names: &[&str]) -> u64 {
    let rows: Vec<LaneIdentity> = names.iter().map(|name| identity(name)).collect();
    store.use_lanes(&rows).unwrap();
    store.start(1, &crate::support::POLICY).unwrap().held
}

/// Makes a call in a lane.
fn call(store: &mut Store, fixture: &Fixture, file: &str, lane: usize, outcome: Outcome) {
    let mut group = store.group().unwrap();
    let claim = group.claim_in(lane, fixture.id(file), 0, Cost::default(), None);
    let claim = claim.unwrap().unwrap();
    assert_eq!(usize::from(claim.attempt.lane), lane);
    group.commit().unwrap();
    let mut group = store.group().unwrap();
    group.settle(&settlement(&claim, outcome)).unwrap();
    group.commit().unwrap();
}

/// Returns the lane to which a file is bound, and checks that only this lane, or the list, offers it.
fn bound(group: &Group<'_>, fixture: &Fixture, file: &str) -> Option<usize> {
    let job = fixture.id(file);
    let bound = group.bound(job).unwrap();
    for lane in 0..2 {
        let due = group.due(lane, 100, Duration::MAX).unwrap();
        let jobs: Vec<_> = due.jobs.iter().map(|(job, _)| *job).collect();
        let is_due = jobs.contains(&job) || due.next.is_some();
        assert!(is_due || bound != Some(lane), "{file}");
        assert!(!jobs.contains(&job) || bound == Some(lane), "{file}");
    }
    let offers = group.offer(Position(0), 100, Duration::MAX).unwrap();
    let is_offered = offers.iter().any(|offer| offer.job == job);
    assert_eq!(is_offered, bound.is_none(), "{file}");
    bound
}

fn doubt() -> Outcome {
    match failed(Class::Transient, None, "the connection was lost") {
        Outcome::Failed(failure) => Outcome::InDoubt(failure),
        other => other,
    }
}

#[test]
fn a_repeat_whose_key_the_service_may_know_is_bound_to_the_lane_of_the_first_send() {
    let fixture = Fixture::new(&["doubt", "busy", "throttled", "transient", "new"]);
    let mut store = fixture.open();
    begin(&mut store, &["a", "b", "c"]);
    let status = |status| failed(Class::Transient, Some(status), "m");
    let throttled = || match failed(Class::Throttled, Some(429), "m") {
        Outcome::Failed(failure) => Outcome::Throttled {
            failure,
            wait: None,
        },
        other => other,
    };
    call(&mut store, &fixture, "doubt", 1, doubt());
    call(&mut store, &fixture, "busy", 2, status(409));
    call(&mut store, &fixture, "throttled", 1, throttled());
    call(&mut store, &fixture, "transient", 1, status(500));
    let group = store.group().unwrap();
    let bound_to = |file| bound(&group, &fixture, file);
    assert_eq!(bound_to("doubt"), Some(1));
    assert_eq!(bound_to("busy"), Some(2));
    for free in ["throttled", "transient", "new"] {
        assert_eq!(bound_to(free), None, "{free}");
    }
    // No spot check takes one.
    let elsewhere = group.elsewhere(None).unwrap();
    assert!(!elsewhere.contains(&fixture.id("doubt")));
    drop(group);
    // Neither a throttle nor a failure of the service ends the key.
    for outcome in [throttled(), status(500)] {
        call(&mut store, &fixture, "doubt", 1, outcome);
        assert_eq!(bound(&store.group().unwrap(), &fixture, "doubt"), Some(1));
    }
}

#[test]
fn lanes_are_known_by_their_identity_and_a_job_of_one_that_is_gone_is_held() {
    let fixture = Fixture::new(&["of a", "of b"]);
    let mut store = fixture.open();
    begin(&mut store, &["a", "b"]);
    call(&mut store, &fixture, "of a", 0, doubt());
    call(&mut store, &fixture, "of b", 1, doubt());
    // Rows are removed, added and reordered.
    assert_eq!(begin(&mut store, &["c", "b"]), 1);
    let numbers: Vec<u32> = store.lanes().iter().map(|lane| lane.number).collect();
    assert_eq!(numbers, [3, 2]);
    let mut group = store.group().unwrap();
    assert_eq!(group.counts().of(JobState::Held), 1);
    assert_eq!(bound(&group, &fixture, "of b"), Some(1));
    let held = group.hold_lane(1, "lane 2 (b) has ended").unwrap();
    assert_eq!(held[0].path, "of b".into());
    assert_eq!(group.hold_lane(1, "twice").unwrap(), []);
    assert_eq!(group.counts().of(JobState::Held), 2);
    group.commit().unwrap();
    let rows = fixture.sql();
    let row: (String, Option<u32>, u32) = rows
        .query_row(
            "SELECT message, work.lane, generation FROM attempt JOIN work USING (job)
             JOIN job ON job.id = work.job WHERE path = 'of a'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .unwrap();
    let message = "the connection was lost; the pool has no row for lane 1 (a), which sent it";
    assert_eq!(row, (message.to_owned(), None, 1));
}

#[test]
fn each_lane_keeps_its_usage_its_limits_and_its_work() {
    let fixture = Fixture::new(&["1", "2", "3"]);
    let mut store = fixture.open();
    begin(&mut store, &["a", "b"]);
    call(&mut store, &fixture, "1", 0, succeeded("1"));
    call(&mut store, &fixture, "2", 1, succeeded("2"));
    call(&mut store, &fixture, "3", 1, doubt());
    let state = |rate: f64| LaneCheckpoint {
        closed_for: (rate > 5.0).then_some(Duration::from_secs(90)),
        found: LearnedLimits {
            rate: Some(rate),
            at_once: Some(4),
            width: None,
        },
        proven: true,
        stopped: None,
    };
    let memory = Checkpoint {
        lanes: vec![state(1.5), state(15.0)],
        used: UsageDelta::default(),
        dearest: None,
        refused: None,
    };
    let flow = Flow {
        why: LimitedBy::NoWork,
        moment: None,
        finish: None,
    };
    let mut group = store.group().unwrap();
    group.remember(&memory, &flow).unwrap();
    group.count_result(1);
    group.stop_lane(0, "credentials", "HTTP 401").unwrap();
    group.commit().unwrap();
    let seen = fixture.reader().lanes().unwrap();
    assert_eq!((seen[0].calls, seen[1].calls, seen[1].results), (1, 2, 1));
    let unsent = AttemptId {
        job: fixture.id("3"),
        number: 1,
    };
    let mut group = store.group().unwrap();
    group.give_back_usage(unsent, Cost::default()).unwrap();
    group.commit().unwrap();
    assert_eq!(fixture.reader().lanes().unwrap()[1].calls, 1);
    let stopped = ("credentials".to_owned(), "HTTP 401".to_owned());
    assert_eq!(seen[0].stopped, Some(stopped));
    begin(&mut store, &["b", "a"]);
    let past = store.past().unwrap().lanes;
    let calls = |lane: usize| -> u64 { past[lane].spent.iter().map(|past| past.cost.calls).sum() };
    assert_eq!((calls(0), calls(1)), (1, 1));
    assert_eq!(
        (past[0].found, past[1].found),
        (state(15.0).found, state(1.5).found)
    );
    assert!(past[0].proven && past[0].closed_for.is_some() && past[1].closed_for.is_none());
    assert_eq!(fixture.reader().lanes().unwrap()[0].stopped, None);
}
