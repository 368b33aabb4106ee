//! The stored state of the governor.

use std::time::Duration;

use stride::event::Flow;
use stride::governor::{Checkpoint, LaneCheckpoint, LearnedLimits, LimitedBy};
use stride::limits::{Cost, Money, Usage, UsageDelta};
use stride::settings::Settings;
use stride::store::{StoreError, change_settings};

use crate::support::{Fixture, attempt, succeeded};

#[test]
fn the_next_runner_gets_the_stored_state() {
    let fixture = Fixture::numbered(2);
    let mut store = fixture.open();
    store.start(1, &crate::support::POLICY).unwrap();
    let lane = LaneCheckpoint {
        closed_for: Some(Duration::from_secs(90)),
        found: LearnedLimits {
            rate: Some(48.5),
            at_once: Some(4),
            width: Some(12),
        },
        proven: true,
        stopped: None,
    };
    let memory = Checkpoint {
        lanes: vec![lane],
        used: UsageDelta {
            calls: 6,
            cost: 1_500_000,
            unknown: 3,
            worked: Duration::from_secs(60),
        },
        dearest: Some(Money(700_000)),
        refused: Some((fixture.id("1"), 4)),
    };
    let flow = Flow {
        why: LimitedBy::Rate("100/m".parse().unwrap()),
        moment: Some(-5000),
        finish: Some(Duration::from_secs(600)),
    };
    let mut group = store.group().unwrap();
    let big = Cost {
        calls: 1,
        bytes: 3000,
        weight: 750,
    };
    group.claim(fixture.id("0"), 0, big, None).unwrap().unwrap();
    group.remember(&memory, &flow).unwrap();
    group.commit().unwrap();
    let past = store.past().unwrap();
    let used = Usage {
        calls: 6,
        cost: Money(1_500_000),
        unknown: 3,
        worked: Duration::from_secs(60),
    };
    let before = &past.lanes[0];
    assert_eq!((before.found, past.used), (lane.found, used));
    assert_eq!(past.dearest, memory.dearest);
    assert!(before.proven && !past.stopped_by_guard);
    let left = before.closed_for.unwrap();
    assert!(
        left > Duration::from_secs(30) && left <= Duration::from_secs(90),
        "{left:?}"
    );
    // The bystander's call and this one, perhaps in the same second.
    let bytes: u64 = before.spent.iter().map(|spent| spent.cost.bytes).sum();
    let calls: u64 = before.spent.iter().map(|spent| spent.cost.calls).sum();
    assert_eq!((calls, bytes), (2, 3000));
    let noted = fixture.reader().noted().unwrap();
    assert_eq!(noted.limited_by, Some(flow.why));
    assert_eq!(noted.refused, Some(("1".into(), 4)));
    assert!(noted.limited_at < noted.closed_until && noted.closed_until < noted.finish);
    store.ignore_wait().unwrap();
    assert_eq!(store.past().unwrap().lanes[0].closed_for, None);
}

#[test]
fn a_refused_job_is_given_up_only_while_it_is_pending_after_that_attempt() {
    let fixture = Fixture::numbered(2);
    let mut store = fixture.open();
    store.start(1, &crate::support::POLICY).unwrap();
    let id = fixture.id("0");
    attempt(&mut store, id, crate::support::throttled(None));
    let first = stride::job::AttemptId { job: id, number: 1 };
    let mut group = store.group().unwrap();
    assert!(
        !group
            .give_up(stride::job::AttemptId { job: id, number: 2 })
            .unwrap()
    );
    assert!(group.give_up(first).unwrap());
    assert!(!group.give_up(first).unwrap());
    group.commit().unwrap();
    assert_eq!(store.counts().failed, 1);
    attempt(&mut store, fixture.id("1"), succeeded("1"));
    store.close().unwrap();
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn settings_can_be_changed_beside_a_runner_which_finds_out_once() {
    let fixture = Fixture::numbered(1);
    let (mut store, own) = (fixture.open(), Settings::default());
    assert_eq!(store.changed_settings(&own).unwrap(), None);
    let changed = change_settings(&fixture.database, |settings| {
        Ok::<_, StoreError>(Settings {
            retries: 9,
            ..settings
        })
    });
    assert_eq!(changed.unwrap().retries, 9);
    assert_eq!(
        store
            .changed_settings(&own)
            .unwrap()
            .map(|settings| settings.retries),
        Some(9)
    );
    assert_eq!(store.changed_settings(&own).unwrap(), None);
    // Other notes beside a runner do not change its settings.
    stride::store::note_artifact(&fixture.database, &fixture.at("export.json"));
    assert_eq!(store.changed_settings(&own).unwrap(), None);
}
