//! Exports larger than a page, with answers too large for any.

use std::fmt::Write;

use stride::export::{ExportError, FileError, Format, Selection, to_stream};
use stride::job::Checksum;
use stride::store::StoreError;

use super::{FORMATS, export};
use crate::support::{BYSTANDER, Fixture};

/// The number of jobs beside the bystander.
const JOBS: usize = 3000;
/// The jobs with large answers: the first, some that follow each other, and the last.
const LARGE: [usize; 4] = [0, 1000, 1001, JOBS - 1];

fn body(job: usize) -> String {
    let length = if LARGE.contains(&job) { 1 << 20 } else { 200 };
    format!(r#"{{"job": {job}, "text": "{}"}}"#, "y".repeat(length))
}

/// A run that is done, with results of some length.
fn long() -> Fixture {
    let fixture = Fixture::numbered(JOBS);
    let sql = fixture.sql();
    sql.execute_batch("BEGIN; UPDATE work SET state = 2, attempts = 1 WHERE state = 0;")
        .unwrap();
    for job in 0..JOBS {
        let id = "SELECT id FROM job WHERE path = ?1";
        let id: i64 = sql
            .prepare_cached(id)
            .unwrap()
            .query_row([job.to_string()], |row| row.get(0))
            .unwrap();
        sql.prepare_cached(
            "INSERT INTO attempt (job, number, runner, chunk, key, started, ended, took, outcome, status)
             VALUES (?1, 1, 1, 0, zeroblob(16), 1, 2, 1, 'succeeded', 200)",
        )
        .unwrap()
        .execute([id])
        .unwrap();
        let body = body(job).into_bytes();
        let checksum = Checksum::of(&body).0;
        sql.prepare_cached("INSERT INTO result (job, attempt, media_type, body, sha256) VALUES (?1, 1, 'application/json', ?2, ?3)")
            .unwrap()
            .execute(rusqlite::params![id, body, checksum])
            .unwrap();
    }
    sql.execute(
        "UPDATE counts SET pending = 0, done = ?1, attempts = ?1",
        [JOBS + 1],
    )
    .unwrap();
    sql.execute_batch("COMMIT").unwrap();
    fixture
}

fn spoil(fixture: &Fixture, job: usize) {
    let spoilt =
        "UPDATE result SET sha256 = zeroblob(32) WHERE job = (SELECT id FROM job WHERE path = ?1)";
    let changed = fixture.sql().execute(spoilt, [job.to_string()]);
    assert_eq!(changed, Ok(1));
}

/// The whole of an export as JSON, but for these jobs.
fn object(without: &[usize]) -> String {
    let mut expected = String::new();
    for job in (0..JOBS).filter(|job| !without.contains(job)) {
        write!(expected, ",\n\"{job}\": {}", body(job)).unwrap();
    }
    let name = serde_json::to_string(BYSTANDER).unwrap();
    write!(expected, ",\n{name}: {{\"by\": \"stander\"}}\n}}\n").unwrap();
    format!("{{{}", &expected[1..])
}

#[test]
fn pages_and_large_answers_come_in_list_order() {
    let fixture = long();
    assert_eq!(fixture.problems(), [""; 0]);
    let reader = fixture.reader();
    assert!(export(&reader, Format::Json, Selection::Whole) == object(&[]));
    let lines = export(&reader, Format::Jsonl, Selection::Whole);
    assert_eq!(lines.lines().count(), JOBS + 1);
    for (job, line) in lines.lines().take(JOBS).enumerate() {
        let expected = format!(
            r#"{{"file":"{job}","state":"done","attempts":1,"status":200,"class":null,"error":null,"started":"1970-01-01T00:00:00.001Z","duration":0.001,"result":{}}}"#,
            body(job)
        );
        assert!(line == expected, "{job}");
    }
    let table = export(&reader, Format::Csv, Selection::Whole);
    let mut rows = csv::Reader::from_reader(table.as_bytes());
    for (job, row) in rows.records().take(JOBS).enumerate() {
        let row = row.unwrap();
        assert!(row[0] == job.to_string() && row[8] == body(job), "{job}");
    }
    for format in FORMATS {
        let all = export(&reader, format, Selection::All);
        assert!(all == export(&reader, format, Selection::Partial));
    }
}

#[test]
fn row_29_damaged_results_are_left_out_at_any_position() {
    let fixture = long();
    let damaged = [0, 1, 1000, JOBS - 1];
    for job in damaged {
        spoil(&fixture, job);
    }
    let reader = fixture.reader();
    let mut out = Vec::new();
    let written = to_stream(&reader, Format::Json, Selection::Partial, &mut out).unwrap();
    assert!(out == object(&damaged).into_bytes());
    assert_eq!(written.jobs, (JOBS + 1 - damaged.len()) as u64);
    let names: Vec<_> = written.damaged.iter().map(ToString::to_string).collect();
    assert_eq!(names, damaged.map(|job| job.to_string()));
    for (job, format) in damaged.into_iter().zip(FORMATS) {
        let whole = to_stream(&reader, format, Selection::Whole, &mut Vec::new());
        let Err(ExportError::Store(StoreError::DamagedResult { path })) = whole else {
            panic!("{whole:?}");
        };
        assert_eq!(path.to_string(), "0", "the first is told, not {job}");
    }
}

#[test]
fn an_export_without_a_reader_ends() {
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            match self.0.checked_sub(bytes.len()) {
                Some(left) => self.0 = left,
                None => return Err(std::io::ErrorKind::StorageFull.into()),
            }
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let fixture = long();
    let reader = fixture.reader();
    for format in FORMATS {
        for room in [0, 300_000, 1_400_000] {
            let failed = to_stream(&reader, format, Selection::Whole, &mut Full(room));
            assert!(
                matches!(failed, Err(ExportError::File(FileError::Write { .. }))),
                "{room}"
            );
        }
    }
}
