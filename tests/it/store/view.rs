//! The view `results`: stable, with one row for each job.

use rusqlite::types::Value;
use stride::job::{Answer, Checksum, Class, FileName, Outcome};
use stride::settings::{Call, Expect, Judging, Request};

use crate::support::{BYSTANDER, Fixture, answered, attempt, claim, failed, succeeded};

/// The row of a job in the view.
fn row(fixture: &Fixture, name: &str, columns: &str) -> Vec<Value> {
    let sql = fixture.sql();
    let statement = format!("SELECT {columns} FROM results WHERE CAST(path AS BLOB) = ?1");
    let mut statement = sql.prepare(&statement).unwrap();
    let count = statement.column_count();
    let mut rows = statement.query([name.as_bytes()]).unwrap();
    let row = rows.next().unwrap().unwrap();
    let values = (0..count).map(|index| row.get(index).unwrap()).collect();
    assert!(rows.next().unwrap().is_none(), "one row");
    values
}

fn text(text: &str) -> Value {
    text.to_owned().into()
}

#[test]
fn its_columns_are_these() {
    let fixture = Fixture::numbered(1);
    let sql = fixture.sql();
    let view = sql.prepare("SELECT * FROM results").unwrap();
    assert_eq!(
        view.column_names().collect::<Vec<_>>(),
        [
            "path",
            "position",
            "state",
            "attempts",
            "status",
            "class",
            "kind",
            "error",
            "started",
            "ended",
            "duration",
            "media_type",
            "result",
            "file",
            "sha256",
            "columns"
        ]
    );
}

#[test]
fn each_job_has_a_row_with_its_latest_attempt_and_its_result() {
    let odd = FileName::new(&b"odd\xe9"[..]);
    let fixture = Fixture::new(&[
        "done".into(),
        "failed".into(),
        odd,
        "pending".into(),
        "running".into(),
    ]);
    let mut store = fixture.start();
    let passing = failed(Class::Transient, Some(503), "later");
    attempt(&mut store, fixture.id("done"), passing);
    let body = "{\"a\":1}";
    attempt(&mut store, fixture.id("done"), succeeded(body));
    let refused = failed(Class::Rejected, Some(422), "no");
    attempt(&mut store, fixture.id("failed"), refused);
    claim(&mut store, fixture.id("running"));
    let null = Value::Null;
    let some = "position, state, attempts, status, class, kind, error, duration, media_type, result, file, sha256";
    assert_eq!(
        row(&fixture, "done", some),
        [
            0.into(),
            text("done"),
            2.into(),
            null.clone(),
            null.clone(),
            null.clone(),
            null.clone(),
            0.007.into(),
            text("application/json"),
            text(body),
            null.clone(),
            text(&Checksum::of(body.as_bytes()).to_string())
        ]
    );
    let refused = row(&fixture, "failed", some);
    assert_eq!(
        refused[..8],
        [
            1.into(),
            text("failed"),
            1.into(),
            422.into(),
            text("rejected"),
            text("test"),
            text("no"),
            0.007.into()
        ]
    );
    assert_eq!(refused[8..], [const { Value::Null }; 4]);
    assert_eq!(
        row(
            &fixture,
            "pending",
            "state, attempts, started, duration, sha256"
        ),
        [
            text("pending"),
            0.into(),
            null.clone(),
            null.clone(),
            null.clone()
        ]
    );
    let running = "state, attempts, started IS NOT NULL, ended, duration, result";
    assert_eq!(
        row(&fixture, "running", running),
        [
            text("running"),
            1.into(),
            1.into(),
            null.clone(),
            null.clone(),
            null
        ]
    );
    // The timestamps are those of the view of attempts.
    let same = "SELECT count(*) FROM results JOIN attempts USING (path)
                WHERE number = results.attempts AND results.started = attempts.started AND results.ended IS attempts.ended";
    let same: i64 = fixture.sql().query_row(same, [], |row| row.get(0)).unwrap();
    assert_eq!(same, 4);
    let all = "SELECT count(*), count(DISTINCT path), count(DISTINCT position) FROM results";
    let all = fixture.sql().query_row(all, [], |row| {
        Ok((
            row.get::<_, i64>(0)?,
            row.get::<_, i64>(1)?,
            row.get::<_, i64>(2)?,
        ))
    });
    assert_eq!(all, Ok((6, 6, 6)));
    let kinds = "SELECT group_concat(typeof(path)) FROM results ORDER BY position";
    let kinds: String = fixture
        .sql()
        .query_row(kinds, [], |row| row.get(0))
        .unwrap();
    assert_eq!(kinds.matches("blob").count(), 1);
    assert_eq!(
        row(&fixture, BYSTANDER, "state, file"),
        [text("done"), Value::Null]
    );
}

/// Which bodies are text, by their media types, in a run that takes anything.
#[test]
fn a_result_is_text_if_its_media_type_is_and_otherwise_a_blob() {
    let kinds: [(Option<&str>, &str); 19] = [
        (Some("application/json"), "text"),
        (Some("Application/JSON; charset=UTF-8"), "text"),
        (Some("application/problem+json"), "text"),
        (Some("text/json;x=y"), "text"),
        (Some("text/plain"), "text"),
        (Some("TEXT/HTML; charset=\"utf-8\""), "text"),
        (Some("text/plain; charset=us-ascii"), "text"),
        (Some("application/xml"), "text"),
        (Some("image/svg+xml; q=1"), "text"),
        (Some("application/x-thing; charset=utf-8"), "text"),
        (Some("text/plain; charset=latin1"), "blob"),
        (Some("text/plain; charset=utf-16"), "blob"),
        (Some("audio/mpeg"), "blob"),
        (Some("application/octet-stream"), "blob"),
        (Some("application/json-not"), "blob"),
        (Some("json"), "blob"),
        (Some("texts/plain"), "blob"),
        (Some(""), "blob"),
        (None, "blob"),
    ];
    let names: Vec<FileName> = (0..kinds.len())
        .map(|index| index.to_string().as_str().into())
        .collect();
    let fixture = Fixture::new(&names);
    let mut store = fixture.start();
    for (name, (media_type, _)) in names.iter().zip(kinds) {
        let answer = Outcome::Succeeded(Answer {
            media_type: media_type.map(str::to_owned),
            ..Answer::json_text("[1]")
        });
        attempt(&mut store, fixture.id(name.clone()), answer);
    }
    let type_of = |name: &FileName| {
        let values = row(
            &fixture,
            name.as_str().unwrap(),
            "typeof(result), CAST(result AS TEXT)",
        );
        assert_eq!(values[1], text("[1]"));
        values[0].clone()
    };
    for (name, (media_type, expected)) in names.iter().zip(kinds) {
        assert_eq!(type_of(name), text(expected), "{media_type:?}");
    }
    // A run that accepts only JSON under any media type, or only text.
    for expect in [Expect::Json, Expect::Text] {
        let judging = Judging {
            expect,
            ..Judging::default()
        };
        let request = Request {
            judging,
            ..Request::default()
        };
        store
            .set_call(&Call::Http(Box::new(request)), &|_| false)
            .unwrap();
        for (name, (media_type, _)) in names.iter().zip(kinds) {
            assert_eq!(type_of(name), text("text"), "{media_type:?}");
        }
    }
}

/// An answer from a time when the run accepted anything does not become text without being text.
#[test]
fn a_body_that_is_not_json_stays_a_blob_in_a_run_of_json() {
    let fixture = Fixture::new(&["a"]);
    let mut store = fixture.start();
    attempt(
        &mut store,
        fixture.id("a"),
        answered("audio/mpeg", &b"ID3\xff"[..]),
    );
    let judging = Judging {
        expect: Expect::Json,
        ..Judging::default()
    };
    let request = Request {
        judging,
        ..Request::default()
    };
    store
        .set_call(&Call::Http(Box::new(request)), &|_| false)
        .unwrap();
    let values = row(&fixture, "a", "result");
    assert_eq!(values, [Value::Blob(b"ID3\xff".to_vec())]);
}
