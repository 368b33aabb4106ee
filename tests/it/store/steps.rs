//! Jobs of several steps in the store: submit, poll, fetch.

use stride::job::{JobState, StepKind};
use stride::store::{Settlement, StoreError};

use crate::support::{
    Fixture, advanced, attempt, claim, in_doubt, not_ready, settle, settlement, succeeded,
};

/// The attempts of a job: step, number of polls, outcome.
fn attempts(fixture: &Fixture, name: &str) -> Vec<(u16, Option<u32>, Option<String>)> {
    let sql = "SELECT step, polls, outcome FROM attempt WHERE job = ?1 ORDER BY number";
    let sql_connection = fixture.sql();
    let mut statement = sql_connection.prepare(sql).unwrap();
    let rows = statement.query_map([fixture.id(name).0], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

fn row(step: u16, polls: Option<u32>, outcome: &str) -> (u16, Option<u32>, Option<String>) {
    (step, polls, Some(outcome.to_owned()))
}

#[test]
fn a_job_goes_on_from_its_step_with_the_answers_before() {
    let fixture = Fixture::new(&["a"]);
    let mut store = fixture.start();
    let id = fixture.id("a");
    let first = claim(&mut store, id);
    let submitted = settlement(&first, advanced(r#"{"id": 7}"#, StepKind::Poll));
    assert_eq!(settle(&mut store, &submitted).unwrap(), JobState::Waiting);
    let counts = store.counts();
    assert_eq!((counts.waiting, counts.pending, counts.total), (1, 0, 2));
    let mut keys = vec![first.attempt.key];
    for asked in 0..3 {
        let poll = claim(&mut store, id);
        assert_eq!(poll.job.answers.len(), 1);
        assert_eq!(poll.job.answers[0].body, br#"{"id": 7}"#);
        let step = poll.attempt.step;
        assert_eq!((step.index, step.kind), (1, StepKind::Poll));
        assert_eq!((step.asked, step.polls), (asked, asked + 1));
        assert_eq!(poll.attempt.id.number, 2, "one row for all polls");
        keys.push(poll.attempt.key);
        let state = settle(&mut store, &settlement(&poll, not_ready())).unwrap();
        assert_eq!(state, JobState::Waiting);
    }
    keys.dedup();
    assert_eq!(keys.len(), 2, "a key for each step");
    let state = attempt(&mut store, id, advanced(r#"{"url": "x"}"#, StepKind::Read));
    assert_eq!(state, JobState::Waiting);
    let fetch = claim(&mut store, id);
    assert_eq!((fetch.attempt.step.index, fetch.job.answers.len()), (2, 2));
    let state = settle(&mut store, &settlement(&fetch, succeeded("1"))).unwrap();
    assert_eq!(state, JobState::Done);
    assert_eq!(
        attempts(&fixture, "a"),
        [
            row(0, None, "advanced"),
            row(1, Some(4), "advanced"),
            row(2, None, "succeeded")
        ]
    );
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn a_poll_in_doubt_closes_its_row_and_a_late_answer_changes_nothing() {
    let fixture = Fixture::new(&["a"]);
    let mut store = fixture.start();
    let id = fixture.id("a");
    attempt(&mut store, id, advanced("{}", StepKind::Poll));
    let earlier = claim(&mut store, id);
    settle(&mut store, &settlement(&earlier, not_ready())).unwrap();
    let poll = claim(&mut store, id);
    assert_eq!(poll.attempt.id, earlier.attempt.id);
    let before = fixture.contents();
    let late: Settlement = settlement(&earlier, succeeded("\"late\""));
    let refused = settle(&mut store, &late);
    assert!(matches!(refused, Err(StoreError::Stale { .. })));
    assert_eq!(fixture.contents(), before);
    let state = settle(&mut store, &settlement(&poll, in_doubt())).unwrap();
    assert_eq!(state, JobState::Waiting);
    attempt(&mut store, id, not_ready());
    assert_eq!(
        attempts(&fixture, "a")[1..],
        [row(1, Some(2), "in_doubt"), row(1, Some(1), "not_ready")]
    );
    assert_eq!(fixture.problems(), [""; 0]);
}
