use super::*;
use crate::job::{Answer, AttemptId, IdempotencyKey, JobId};

const POLICY: RetryPolicy = RetryPolicy {
    retries: 2,
    delay: Duration::from_secs(1),
    max_delay: Duration::from_secs(3),
    in_doubt: DoubtPolicy::Retry,
    poll_every: Duration::from_secs(4),
    poll_for: Duration::from_secs(600),
};
const HOLD: RetryPolicy = RetryPolicy {
    in_doubt: DoubtPolicy::Hold,
    ..POLICY
};
const AT_ONCE: Next = Next::Again(Duration::ZERO);

fn failure(class: Class, status: Option<u16>) -> Failure {
    Failure {
        status,
        ..Failure::new(class, "test", "test")
    }
}

fn transient(status: u16) -> Outcome {
    Outcome::Failed(failure(Class::Transient, Some(status)))
}

fn rejected(status: u16) -> Outcome {
    Outcome::Failed(failure(Class::Rejected, Some(status)))
}

fn attempt(repeat: bool) -> Attempt {
    Attempt {
        id: AttemptId {
            job: JobId(1),
            number: 1,
        },
        key: IdempotencyKey([0; 16]),
        repeat,
        suspect: false,
        step: Step::FIRST,
        lane: 0,
    }
}

fn record(charged: u32, generation: u32) -> Record {
    Record {
        charged,
        generation,
        ..Record::default()
    }
}

#[test]
fn each_outcome_has_its_next_state_charge_and_generation() {
    let after = |seconds| Next::Again(Duration::from_secs(seconds));
    let throttled = Outcome::Throttled {
        failure: failure(Class::Throttled, Some(429)),
        wait: None,
    };
    let renewed = Outcome::Failed(Failure::new(
        Class::Auth,
        FailureKind::CredentialsRenewed,
        "test",
    ));
    let unreachable = Outcome::Unreachable(failure(Class::Transient, None));
    let in_doubt = Outcome::InDoubt(failure(Class::Transient, None));
    let succeeded = Outcome::Succeeded(Answer::json_text("1"));
    assert_eq!(
        HOLD.after(record(0, 0), &attempt(false), &in_doubt, 1.0),
        (Next::Hold, record(0, 0))
    );
    for (before, outcome, next, then) in [
        ((0, 0), transient(500), after(1), (1, 1)),
        ((1, 1), transient(500), after(2), (2, 2)),
        ((2, 2), transient(500), Next::Fail, (3, 3)),
        (
            (u32::MAX, u32::MAX),
            transient(500),
            Next::Fail,
            (u32::MAX, u32::MAX),
        ),
        // After 409, the operation under the same key is still running.
        ((0, 0), transient(409), after(1), (1, 0)),
        ((2, 0), transient(409), Next::Fail, (3, 0)),
        ((0, 0), rejected(409), Next::Fail, (0, 0)),
        ((0, 0), rejected(422), Next::Fail, (0, 1)),
        ((2, 5), renewed, AT_ONCE, (2, 6)),
        ((2, 5), throttled, AT_ONCE, (2, 5)),
        ((2, 5), unreachable, AT_ONCE, (2, 5)),
        ((2, 5), Outcome::Interrupted, AT_ONCE, (2, 5)),
        ((0, 0), in_doubt, after(1), (1, 0)),
        ((0, 0), succeeded, Next::Done, (0, 1)),
    ] {
        let found = POLICY.after(record(before.0, before.1), &attempt(false), &outcome, 1.0);
        assert_eq!(found, (next, record(then.0, then.1)), "{outcome:?}");
    }
    assert_eq!(
        POLICY.after_stop(record(2, 5), &Step::FIRST),
        (AT_ONCE, record(2, 5))
    );
    assert_eq!(
        HOLD.after_stop(record(2, 5), &Step::FIRST),
        (Next::Hold, record(2, 5))
    );
}

#[test]
fn the_key_of_a_call_in_doubt_stays_until_an_answer_is_about_the_file() {
    let auth = |kind: FailureKind| Outcome::Failed(Failure::new(Class::Auth, kind, "test"));
    for (outcome, generation) in [
        (transient(500), 0),
        (auth(FailureKind::CredentialsRenewed), 0),
        (auth(FailureKind::HttpStatus), 0),
        (rejected(422), 1),
        (Outcome::Succeeded(Answer::json_text("1")), 1),
    ] {
        let (_, after) = POLICY.after(record(1, 0), &attempt(true), &outcome, 1.0);
        assert_eq!(after.generation, generation, "{outcome:?}");
    }
}

#[test]
fn the_tenth_death_of_a_job_that_is_alone_holds_it() {
    let mut record = Record::default();
    assert_eq!(
        POLICY.after_death(record, &Step::FIRST, false),
        (AT_ONCE, record)
    );
    for deaths in 1..10 {
        let (next, after) = POLICY.after_death(record, &Step::FIRST, true);
        assert_eq!((next, after.charged, after.crashes), (AT_ONCE, 0, deaths));
        record = after;
    }
    assert_eq!(POLICY.after_death(record, &Step::FIRST, false).0, AT_ONCE);
    assert_eq!(POLICY.after_death(record, &Step::FIRST, true).0, Next::Hold);
    assert_eq!(
        HOLD.after_death(Record::default(), &Step::FIRST, false).0,
        Next::Hold
    );
}

#[test]
fn panics_are_charged_from_the_second_on() {
    let mut record = Record::default();
    for (next, charged) in [(AT_ONCE, 0), (AT_ONCE, 1), (AT_ONCE, 2), (Next::Fail, 3)] {
        let found = POLICY.after_panic(record, &Step::FIRST, 0.0);
        assert_eq!((found.0, found.1.charged), (next, charged));
        record = found.1;
    }
    assert_eq!(
        HOLD.after_panic(Record::default(), &Step::FIRST, 0.0).0,
        Next::Hold
    );
}

#[test]
fn ends_of_a_worker_are_charged_from_the_second_on_and_never_held_for() {
    let crashed = Outcome::InDoubt(Failure::new(Class::Transient, FailureKind::Crashed, "test"));
    let mut record = Record::default();
    for (next, charged) in [(AT_ONCE, 0), (AT_ONCE, 1), (AT_ONCE, 2), (Next::Fail, 3)] {
        let found = POLICY.after(record, &attempt(false), &crashed, 0.0);
        assert_eq!(
            (found.0, found.1.charged, found.1.crashes),
            (next, charged, 1)
        );
        record = found.1;
    }
    assert_eq!(
        HOLD.after(Record::default(), &attempt(false), &crashed, 0.0)
            .0,
        Next::Hold
    );
}

#[test]
fn backoff_stays_within_its_bound() {
    let (one, sixty) = (Duration::from_secs(1), Duration::from_secs(60));
    for (earlier, chance, seconds) in [(3, 1.0, 8), (6, 1.0, 60), (u32::MAX, 1.0, 60), (6, 0.0, 0)]
    {
        let wait = backoff(one, sixty, earlier, chance);
        assert_eq!(wait, Duration::from_secs(seconds), "{earlier} {chance}");
    }
    assert_eq!(backoff(one, sixty, 0, 0.5), one / 2);
}

#[test]
fn polls_wait_longer_each_time_and_end_at_the_deadline() {
    let ready = |wait| Outcome::NotReady {
        status: None,
        wait,
        words: String::new(),
        hint: None,
    };
    let seconds = Duration::from_secs;
    let poll = |asked, since, wait: Option<u64>| {
        let step = Step {
            index: 1,
            kind: StepKind::Poll,
            asked,
            since: seconds(since),
            polls: 1,
        };
        let attempt = Attempt {
            step,
            ..attempt(false)
        };
        let outcome = ready(wait.map(seconds));
        POLICY.after(record(2, 5), &attempt, &outcome, 1.0)
    };
    for (asked, since, wait, next) in [
        (0, 0, None, Next::Poll(seconds(4))),
        (1, 4, None, Next::Poll(seconds(6))),
        (2, 10, None, Next::Poll(seconds(9))),
        (9, 100, None, Next::Poll(seconds(40))),
        (0, 0, Some(1), Next::Poll(seconds(1))),
        (0, 0, Some(0), Next::Poll(seconds(4))),
        (0, 590, None, Next::Poll(seconds(4))),
        (9, 590, None, Next::Poll(seconds(10))),
        (0, 590, Some(9999), Next::Poll(seconds(10))),
        (9, 600, None, Next::Fail),
    ] {
        // The key stays, and the charges are forgotten.
        assert_eq!(
            poll(asked, since, wait),
            (next, record(0, 5)),
            "{asked} {since}"
        );
    }
    let odd = Outcome::Failed(failure(Class::BadResponse, Some(200)));
    let at = |kind| Attempt {
        step: Step {
            index: 1,
            kind,
            ..Step::FIRST
        },
        ..attempt(false)
    };
    let after = |kind| POLICY.after(record(0, 0), &at(kind), &odd, 1.0).0;
    assert_eq!(after(StepKind::Poll), Next::Again(seconds(1)));
    assert_eq!(after(StepKind::Read), Next::Fail);
    let doubt = Outcome::InDoubt(failure(Class::Transient, None));
    let after = |kind| HOLD.after(record(0, 0), &at(kind), &doubt, 1.0).0;
    assert_eq!(after(StepKind::Write), Next::Hold);
    assert_eq!(after(StepKind::Read), Next::Again(seconds(1)));
}
