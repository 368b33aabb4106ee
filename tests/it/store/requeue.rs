//! Makes failed and held jobs pending again.

use std::collections::BTreeMap;

use stride::job::{Class, Failure, FileName, JobState, Outcome};
use stride::retry::{DoubtPolicy, RetryPolicy};
use stride::store::{Filter, Store};

use crate::support::{
    BYSTANDER, Fixture, POLICY, Rows, attempt, claim, failed, failure, in_doubt, settle,
    settlement_under, succeeded, unsendable,
};

const HOLD: RetryPolicy = RetryPolicy {
    in_doubt: DoubtPolicy::Hold,
    ..POLICY
};

/// A run with a job of every kind.
struct Run {
    fixture: Fixture,
    store: Store,
    names: Vec<FileName>,
}

impl Run {
    fn new() -> Self {
        let mut names: Vec<FileName> = [
            "rejected",
            "auth",
            "transient",
            "gone",
            "its-needle's 100%.txt",
            "body",
            "bytes",
            "was rejected",
            "held",
            "held too",
            "done",
            "pending",
        ]
        .map(FileName::from)
        .into();
        names.push(FileName::new(&b"caf\xe9 \xff"[..]));
        let fixture = Fixture::new(&names);
        let mut store = fixture.start();
        let mut settle_as = |name: &str, outcome| attempt(&mut store, fixture.id(name), outcome);
        settle_as(
            "rejected",
            failed(Class::Rejected, Some(422), "no table_here"),
        );
        settle_as("auth", failed(Class::Auth, Some(401), "who are you"));
        for _ in 0..=POLICY.retries {
            settle_as(
                "transient",
                failed(Class::Transient, Some(500), "table overboard"),
            );
        }
        settle_as("gone", unsendable());
        settle_as(
            "its-needle's 100%.txt",
            failed(Class::Rejected, Some(400), "m"),
        );
        let with_body = |body: &[u8]| {
            Outcome::Failed(Failure {
                body: body.to_vec(),
                ..failure(Class::BadResponse, Some(200), "m")
            })
        };
        settle_as("body", with_body(b"the model is overloaded"));
        settle_as("bytes", with_body(b"\xff\0overloaded\xfe"));
        settle_as(
            "was rejected",
            failed(Class::Rejected, Some(422), "no table_here"),
        );
        attempt(
            &mut store,
            fixture.id(names[12].clone()),
            failed(Class::Rejected, Some(413), "m"),
        );
        for (name, message) in [("held", "who knows"), ("held too", "the table fell")] {
            let claim = claim(&mut store, fixture.id(name));
            let outcome = Outcome::InDoubt(failure(Class::Transient, None, message));
            settle(&mut store, &settlement_under(&HOLD, &claim, outcome)).unwrap();
        }
        attempt(
            &mut store,
            fixture.id("done"),
            succeeded("\"no table_here\""),
        );
        // Its latest failure differs from the one before.
        let text = Filter {
            text: Some("was rejected".to_owned()),
            ..Filter::default()
        };
        assert_eq!(store.requeue(&text).unwrap(), 1);
        attempt(
            &mut store,
            fixture.id("was rejected"),
            failed(Class::Quota, Some(402), "pay"),
        );
        Self {
            fixture,
            store,
            names,
        }
    }

    fn rows(&self) -> BTreeMap<FileName, Rows> {
        let rows = |name: &FileName| (name.clone(), self.fixture.rows(name.clone()));
        self.names.iter().map(rows).collect()
    }

    /// Requeues, and checks that just these jobs have become pending.
    fn expect(mut self, filter: &Filter, expected: &[&str]) {
        let (before, counts) = (self.rows(), self.store.counts());
        let moved = self.store.requeue(filter).unwrap();
        assert_eq!(moved, expected.len() as u64, "{filter:?}");
        let changed: Vec<FileName> = self
            .rows()
            .into_iter()
            .filter(|(name, rows)| before[name] != *rows)
            .map(|(name, _)| name)
            .collect();
        let mut expected: Vec<FileName> = expected.iter().map(|&name| name.into()).collect();
        expected.sort();
        assert_eq!(changed, expected, "{filter:?}");
        for name in &changed {
            let before = &before[name];
            let after = self.fixture.rows(name.clone());
            assert_eq!(before[0], after[0], "the list does not change");
            assert_eq!(before[2..], after[2..], "what was tried stays recorded");
            let sql = "SELECT state, charged, crashes, not_before IS NULL FROM work WHERE job = ?1";
            let job = self
                .fixture
                .sql()
                .query_row(sql, [self.fixture.id(name.clone()).0], |row| {
                    Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])
                });
            assert_eq!(job, Ok([0, 0, 0, 1]), "{name}");
        }
        let after = self.store.counts();
        let from = if filter.held {
            JobState::Held
        } else {
            JobState::Failed
        };
        assert_eq!(
            (after.pending, after.of(from)),
            (counts.pending + moved, counts.of(from) - moved)
        );
        assert_eq!(
            (after.done, after.attempts, after.in_doubt),
            (counts.done, counts.attempts, counts.in_doubt)
        );
        assert_eq!(self.fixture.reader().counts().unwrap(), after);
        assert_eq!(self.fixture.problems(), [""; 0]);
        assert_eq!(self.fixture.state(BYSTANDER), JobState::Done);
    }
}

fn text(text: &str) -> Filter {
    Filter {
        text: Some(text.to_owned()),
        ..Filter::default()
    }
}

fn held(filter: Filter) -> Filter {
    Filter {
        held: true,
        ..filter
    }
}

#[test]
fn without_a_filter_every_failed_job_is_pending_again() {
    let all = [
        "rejected",
        "auth",
        "transient",
        "gone",
        "its-needle's 100%.txt",
        "body",
        "bytes",
        "was rejected",
    ];
    let mut run = Run::new();
    let odd = run.names.pop().unwrap();
    let id = run.fixture.id(odd);
    run.store
        .requeue(&Filter {
            statuses: vec![413],
            ..Filter::default()
        })
        .unwrap();
    assert_eq!(attempt(&mut run.store, id, succeeded("1")), JobState::Done);
    run.expect(&Filter::default(), &all);
}

#[test]
fn a_class_chooses_by_the_latest_attempt() {
    let classes = |classes: &[Class]| Filter {
        classes: classes.to_vec(),
        ..Filter::default()
    };
    Run::new().expect(&classes(&[Class::Quota]), &["was rejected"]);
    Run::new().expect(&classes(&[Class::Auth, Class::Input]), &["auth", "gone"]);
    Run::new().expect(&classes(&[Class::Local]), &[]);
    Run::new().expect(&held(classes(&[Class::Transient])), &["held", "held too"]);
}

#[test]
fn a_status_chooses_whole_numbers() {
    let statuses = |statuses: &[u16]| Filter {
        statuses: statuses.to_vec(),
        ..Filter::default()
    };
    Run::new().expect(&statuses(&[422]), &["rejected"]);
    Run::new().expect(
        &statuses(&[400, 500]),
        &["its-needle's 100%.txt", "transient"],
    );
    Run::new().expect(&statuses(&[4, 40, 42, 22, 2000]), &[]);
    Run::new().expect(&held(statuses(&[500])), &[]);
}

#[test]
fn a_text_is_matched_literally_in_name_message_and_body() {
    Run::new().expect(&text("needle's 100%."), &["its-needle's 100%.txt"]);
    Run::new().expect(&text("table"), &["rejected", "transient"]);
    Run::new().expect(&text("table_here"), &["rejected"]);
    Run::new().expect(&text("table%here"), &[]);
    Run::new().expect(&text("TABLE"), &[]);
    Run::new().expect(&text("overloaded"), &["body", "bytes"]);
    Run::new().expect(&text("\u{fffd}"), &[]);
    Run::new().expect(&held(text("table")), &["held too"]);
}

#[test]
fn a_text_is_found_in_a_name_that_is_not_text() {
    let mut run = Run::new();
    assert_eq!(run.store.requeue(&text("caf")).unwrap(), 1);
    let id = run.fixture.id(run.names[12].clone());
    assert_eq!(claim(&mut run.store, id).attempt.id.number, 2);
}

#[test]
fn all_conditions_have_to_hold() {
    let filter = Filter {
        classes: vec![Class::Rejected, Class::Transient],
        statuses: vec![422, 500, 401],
        ..text("table")
    };
    Run::new().expect(&filter, &["rejected", "transient"]);
    let filter = Filter {
        statuses: vec![401],
        ..filter
    };
    Run::new().expect(&filter, &[]);
}

#[test]
fn held_jobs_are_selected_instead_of_failed_ones() {
    Run::new().expect(&held(Filter::default()), &["held", "held too"]);
}

#[test]
fn requeued_jobs_keep_their_key_after_doubt_and_get_a_new_one_after_an_answer() {
    let fixture = Fixture::new(&["answered", "held", "conflict"]);
    let mut store = fixture.start();
    let mut key_then = |name: &str, outcome| {
        let claim = claim(&mut store, fixture.id(name));
        settle(&mut store, &settlement_under(&HOLD, &claim, outcome)).unwrap();
        claim.attempt.key
    };
    let answered = key_then("answered", failed(Class::Rejected, Some(422), "m"));
    let held = key_then("held", in_doubt());
    let conflict = key_then("conflict", failed(Class::Rejected, Some(409), "m"));
    store.requeue(&Filter::default()).unwrap();
    store.requeue(&self::held(Filter::default())).unwrap();
    assert_ne!(
        claim(&mut store, fixture.id("answered")).attempt.key,
        answered
    );
    assert_eq!(claim(&mut store, fixture.id("held")).attempt.key, held);
    assert_eq!(
        claim(&mut store, fixture.id("conflict")).attempt.key,
        conflict
    );
}
