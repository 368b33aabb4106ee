//! Rejected answers, and the state of jobs whose answers are judged again.

use stride::job::{Answer, Class, Failure, FailureKind, JobState, Outcome, Refused};
use stride::settings::Call;
use stride::store::{Filter, Store, StoreError, StoredResponse};

use crate::support::{Fixture, Rows, attempt, failed, failure, succeeded};

/// An answer with a successful status that was rejected.
fn refused(body: &[u8]) -> Outcome {
    Outcome::Failed(Failure {
        kind: FailureKind::NotJson,
        body: body[..body.len().min(3)].to_vec(),
        answer: Some(Box::new(Refused {
            media_type: Some("text/html".to_owned()),
            headers: Some(r#"{"x-a":"1"}"#.to_owned()),
            body: body.into(),
        })),
        ..failure(Class::BadResponse, Some(200), "not JSON")
    })
}

fn of_job(fixture: &Fixture, table: &str, name: &str) -> i64 {
    let id = fixture.id(name).0;
    let sql = match table {
        "rejected_response" => "SELECT count(*) FROM rejected_response WHERE job = ?1",
        _ => "SELECT count(*) FROM result WHERE job = ?1",
    };
    fixture
        .sql()
        .query_row(sql, [id], |row| row.get(0))
        .unwrap()
}

/// Judges again: an answer without `x` is a result.
fn rejudge(store: &mut Store) -> Vec<String> {
    let mut seen = Vec::new();
    let call = store.call().unwrap();
    store
        .revalidate(&call, &mut |answer: &StoredResponse| {
            seen.push(answer.path.to_string());
            Ok::<_, StoreError>(
                answer
                    .body
                    .in_memory()
                    .unwrap()
                    .contains(&b'x')
                    .then(|| Failure {
                        body: answer.body.in_memory().unwrap().to_vec(),
                        ..failure(Class::Rejected, answer.status, "has an x")
                    }),
            )
        })
        .unwrap();
    seen
}

#[test]
fn a_rejected_answer_is_kept_whole_until_there_is_a_result() {
    let fixture = Fixture::numbered(2);
    let mut store = fixture.start();
    let id = fixture.id("0");
    assert_eq!(attempt(&mut store, id, refused(b"first")), JobState::Failed);
    let kept = |fixture: &Fixture| -> (i64, Vec<u8>, String, Vec<u8>) {
        fixture
            .sql()
            .query_row(
                "SELECT rejected.attempt, rejected.body, rejected.headers, attempt.body FROM rejected_response AS rejected
                 JOIN attempt ON attempt.job = rejected.job AND attempt.number = rejected.attempt",
                [],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
            )
            .unwrap()
    };
    let headers = r#"{"x-a":"1"}"#.to_owned();
    assert_eq!(
        kept(&fixture),
        (1, b"first".to_vec(), headers.clone(), b"fir".to_vec())
    );
    assert_eq!(fixture.problems(), [""; 0]);
    store.requeue(&Filter::default()).unwrap();
    attempt(&mut store, id, refused(b"second"));
    assert_eq!(
        kept(&fixture),
        (2, b"second".to_vec(), headers, b"sec".to_vec())
    );
    // An error is not a rejected answer, and leaves the latest one in place.
    store.requeue(&Filter::default()).unwrap();
    attempt(&mut store, id, failed(Class::Rejected, Some(422), "no"));
    assert_eq!(of_job(&fixture, "rejected_response", "0"), 1);
    assert_eq!(fixture.problems(), [""; 0]);
    store.requeue(&Filter::default()).unwrap();
    attempt(&mut store, id, succeeded("1"));
    assert_eq!(of_job(&fixture, "rejected_response", "0"), 0);
    store.close().unwrap();
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn jobs_follow_their_latest_answers_and_no_others_are_touched() {
    let fixture = Fixture::new(&[
        "stays", "gets x", "was x", "stays x", "later", "pending", "error", "again",
    ]);
    let mut store = fixture.start();
    let mut settle = |name: &str, outcome| attempt(&mut store, fixture.id(name), outcome);
    settle("stays", succeeded("1"));
    settle(
        "gets x",
        Outcome::Succeeded(Answer {
            status: Some(201),
            headers: Some(r#"{"x-b":"2"}"#.to_owned()),
            ..Answer::json_text("\"x\"")
        }),
    );
    settle("was x", refused(b"<html>"));
    settle("stays x", refused(b"<x>"));
    settle("error", failed(Class::Rejected, Some(422), "no"));
    for name in ["later", "again"] {
        settle(name, refused(b"<html>"));
    }
    store
        .requeue(&Filter {
            text: Some("later".to_owned()),
            ..Filter::default()
        })
        .unwrap();
    // Its latest attempt is not that of the answer.
    attempt(
        &mut store,
        fixture.id("later"),
        failed(Class::Rejected, Some(500), "no"),
    );
    store
        .requeue(&Filter {
            text: Some("again".to_owned()),
            ..Filter::default()
        })
        .unwrap();
    let untouched = ["stays", "stays x", "later", "pending", "error"];
    let before: Vec<Rows> = untouched.map(|name| fixture.rows(name)).into();
    let counts = store.counts();

    let seen = rejudge(&mut store);
    // The last one is the bystander.
    assert_eq!(seen[..4], ["stays", "gets x", "was x", "stays x"]);
    // A pending job with an acceptable answer is done.
    assert_eq!(seen[4], "again");
    assert_eq!(seen.len(), 6);
    assert_eq!(fixture.record("again").state, JobState::Done);
    assert_eq!(before, untouched.map(|name| fixture.rows(name)));
    assert_eq!(
        (store.counts().done, store.counts().failed),
        (counts.done + 1, counts.failed)
    );
    assert_eq!(store.counts().pending, counts.pending - 1);
    let record = fixture.record("was x");
    assert_eq!(
        (record.state, record.outcome.as_deref()),
        (JobState::Done, Some("succeeded"))
    );
    assert_eq!(
        (record.class, record.kind, record.message, record.error_body),
        (None, None, None, None)
    );
    let result = record.result.unwrap();
    assert_eq!(
        (result.media_type.as_deref(), result.headers.as_deref()),
        (Some("text/html"), Some(r#"{"x-a":"1"}"#))
    );
    assert_eq!(result.body, b"<html>");
    assert_eq!(of_job(&fixture, "rejected_response", "was x"), 0);
    let record = fixture.record("gets x");
    assert_eq!(
        (record.state, record.outcome.as_deref()),
        (JobState::Failed, Some("failed"))
    );
    assert_eq!(
        (record.class, record.kind.as_deref(), record.status),
        (Some(Class::Rejected), Some("test"), Some(201))
    );
    assert_eq!(
        (record.message.as_deref(), record.error_body.as_deref()),
        (Some("has an x"), Some(&b"\"x\""[..]))
    );
    assert_eq!(
        (
            of_job(&fixture, "result", "gets x"),
            of_job(&fixture, "rejected_response", "gets x")
        ),
        (0, 1)
    );
    assert_eq!(fixture.problems(), [""; 0]);

    // And back, with all its rows.
    let call = store.call().unwrap();
    store
        .revalidate(&call, &mut |_| Ok::<_, StoreError>(None))
        .unwrap();
    let result = fixture.record("gets x").result.unwrap();
    assert_eq!(
        (result.body, result.headers.as_deref()),
        (b"\"x\"".into(), Some(r#"{"x-b":"2"}"#))
    );
    assert_eq!(store.counts().done, counts.done + 3);
    store.close().unwrap();
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn a_failed_recheck_changes_nothing() {
    let fixture = Fixture::numbered(3);
    let mut store = fixture.start();
    for name in ["0", "1", "2"] {
        attempt(&mut store, fixture.id(name), succeeded(name));
    }
    let (before, counts) = (fixture.contents(), store.counts());
    let mut judged = 0;
    let call = Call::Program {
        name: "another".to_owned(),
    };
    let failed = store.revalidate(&call, &mut |_| {
        judged += 1;
        match judged {
            3 => Err(StoreError::Usurped),
            _ => Ok(Some(failure(Class::Rejected, None, "no"))),
        }
    });
    assert!(matches!(failed, Err(StoreError::Usurped)));
    assert_eq!((fixture.contents(), store.counts()), (before, counts));
}

#[test]
fn verify_finds_answers_that_do_not_belong_to_a_failure() {
    let fixture = Fixture::numbered(2);
    let mut store = fixture.start();
    attempt(&mut store, fixture.id("0"), succeeded("0"));
    attempt(
        &mut store,
        fixture.id("1"),
        failed(Class::Rejected, None, "no"),
    );
    store.close().unwrap();
    let insert = |name: &str| {
        let sql = "INSERT INTO rejected_response (job, attempt, body) VALUES (?1, 1, x'31')";
        fixture.sql().execute(sql, [fixture.id(name).0]).unwrap();
    };
    insert("1");
    assert_eq!(fixture.problems(), [""; 0]);
    insert("0");
    let problems = fixture.problems();
    assert!(
        problems[0].contains("0 is done and has an answer that was no result"),
        "{problems:?}"
    );
    assert!(
        problems[1].contains("of an attempt that did not fail"),
        "{problems:?}"
    );
}
