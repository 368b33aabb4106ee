//! Reads the remains of a crash: the events file and the database.

use std::fs;
use std::io;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, Row};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::Outcome;
use crate::oracle::{Attempt, Disk, Event, Job, Stored, What};

#[derive(Deserialize)]
struct Line {
    event: String,
    t: i64,
    path: Option<String>,
    attempt: Option<i64>,
    key: Option<String>,
    outcome: Option<String>,
    sha256: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    file: String,
    nonce: String,
}

/// Reads the complete events. A crash may have truncated a line.
pub(crate) fn events(path: &Path) -> Outcome<Vec<Event>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let text = String::from_utf8_lossy(&text);
    // The next runner appends to the last one's file, so a complete line may follow a truncated one.
    let lines = text.lines().filter_map(|line| {
        let start = line.rfind(r#"{"event":"#)?;
        serde_json::from_str::<Line>(&line[start..]).ok()
    });
    let event = |line: Line| {
        let what = match line.event.as_str() {
            "claimed" => What::Claimed,
            "settled" => What::Settled {
                outcome: line.outcome?,
                sha256: line.sha256,
            },
            _ => return None,
        };
        Some(Event {
            t: line.t,
            name: name(&line.path?),
            number: line.attempt?,
            key: line.key?,
            what,
        })
    };
    Ok(lines.filter_map(event).collect())
}

/// Reads a database that no process uses.
pub(crate) fn disk(path: &Path) -> Outcome<Disk> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let mut disk = Disk {
        complaints: rows(&connection, "PRAGMA integrity_check", |row| row.get(0))?,
        ..Disk::default()
    };
    disk.complaints.retain(|line: &String| line != "ok");
    if !disk.complaints.is_empty() {
        // Other queries on a damaged database would mislead.
        return Ok(disk);
    }
    let strays = rows(&connection, "PRAGMA foreign_key_check", |row| {
        row.get::<_, String>(0)
    })?;
    disk.complaints.extend(
        strays
            .into_iter()
            .map(|table| format!("a row of {table} refers to nothing")),
    );
    disk.jobs = rows(
        &connection,
        "SELECT path, state = 2 FROM work JOIN job ON job.id = work.job",
        |row| {
            Ok(Job {
                name: name(&row.get::<_, String>(0)?),
                done: row.get(1)?,
            })
        },
    )?;
    let attempts = "SELECT path, number, runner, idempotency_key, outcome FROM attempts ORDER BY position, number";
    disk.attempts = rows(&connection, attempts, |row| {
        Ok(Attempt {
            name: name(&row.get::<_, String>(0)?),
            number: row.get(1)?,
            runner: row.get(2)?,
            key: row.get(3)?,
            outcome: row.get(4)?,
        })
    })?;
    let results =
        "SELECT path, result.attempt, body FROM result LEFT JOIN job ON job.id = result.job";
    disk.results = rows(&connection, results, |row| {
        let body: Vec<u8> = row.get(2)?;
        let answer = serde_json::from_slice::<Answer>(&body).ok();
        Ok(Stored {
            name: name(&row.get::<_, String>(0)?),
            attempt: row.get(1)?,
            sha256: Sha256::digest(&body)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            says: answer.map(|answer| (answer.file, answer.nonce)),
        })
    })?;
    Ok(disk)
}

fn rows<T>(
    connection: &Connection,
    sql: &str,
    each: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Outcome<Vec<T>> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], each)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Returns the last part of a path, by which the service knows a file.
fn name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}
