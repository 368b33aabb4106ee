//! Exports: whole, in order, byte for byte.

mod chosen;
mod files;
mod folder;
mod formats;
mod lane;
mod tables;

use stride::export::{Format, Selection, to_stream};
use stride::job::{Class, Failure, FileName, Outcome};
use stride::retry::{DoubtPolicy, RetryPolicy};
use stride::store::Reader;

use crate::support::{
    Fixture, POLICY, answered, attempt, claim, failure, in_doubt, settle, settlement_under,
    succeeded,
};

/// Text formats.
const FORMATS: [Format; 3] = [Format::Json, Format::Jsonl, Format::Csv];
/// Formats for files.
const FILES: [Format; 4] = [Format::Json, Format::Jsonl, Format::Csv, Format::Parquet];

/// JSON that only a byte-for-byte copy keeps: duplicate keys, their order, a number that no float holds, one
/// that a float changes, a lone surrogate, spaces.
const VERBATIM: &str = r#"{"z": 1, "a":1,"a":2, "n":1e400, "f": 0.10, "i":12345678901234567890123, "s":"\ud800\u0041"}"#;

fn export(reader: &Reader, format: Format, selection: Selection) -> String {
    let mut out = Vec::new();
    to_stream(reader, format, selection, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// A run with all jobs done, in another order than the list's.
fn done() -> Fixture {
    let fixture = Fixture::new(&["b", "a", "c"]);
    let mut store = fixture.start();
    attempt(
        &mut store,
        fixture.id("c"),
        answered("text/plain", "three\n\"3\""),
    );
    attempt(
        &mut store,
        fixture.id("a"),
        answered(
            "application/json; charset=utf-8",
            format!("\n {VERBATIM}\r\n"),
        ),
    );
    attempt(
        &mut store,
        fixture.id("b"),
        answered("application/octet-stream", &b"\xff\0"[..]),
    );
    fixture
}

/// A run with jobs of every kind.
fn mixed() -> Fixture {
    let names = [
        &b"done"[..],
        b"fail\xe9d",
        b"=1+1",
        b"held",
        b"pending",
        b"running",
    ]
    .map(FileName::new);
    let fixture = Fixture::new(&names);
    let mut store = fixture.start();
    attempt(&mut store, fixture.id("done"), succeeded("null"));
    let message = "-2+3 \"quoted\",\nand more";
    let rejected = Outcome::Failed(Failure {
        body: b"why \xff".to_vec(),
        ..failure(Class::Rejected, Some(422), message)
    });
    attempt(&mut store, fixture.id(names[1].clone()), rejected);
    attempt(
        &mut store,
        fixture.id("=1+1"),
        answered("text/html", "=cmd|' /C calc'!A0"),
    );
    let hold = RetryPolicy {
        in_doubt: DoubtPolicy::Hold,
        ..POLICY
    };
    let held = claim(&mut store, fixture.id("held"));
    settle(&mut store, &settlement_under(&hold, &held, in_doubt())).unwrap();
    claim(&mut store, fixture.id("running"));
    fixture
}
