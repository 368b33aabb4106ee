//! Databases of many jobs: loaded by stride, and changed by SQL where calls would take hours.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};
use sha2::{Digest as _, Sha256};

use super::bench::Bench;
use super::folder::list;
use super::measure::Usage;

/// The folder of the names.
pub(crate) const FILES: &str = "files";
/// The number of done jobs in a run.
pub(crate) const MANY: usize = 10_000_000;

/// The exit code of a run that has used up its allowed calls.
pub(crate) const LIMITED: i32 = 4;

/// Loads a list, and calls nothing.
pub(crate) fn load(bench: &Bench, database: &Path, list: &Path) -> io::Result<Usage> {
    bench
        .run(database, list, 64)
        .with(["--max-calls", "0"])
        .run_to(&[LIMITED])
}

/// Returns a database of this many pending jobs. It is made once, and each user works on a copy.
pub(crate) fn loaded(bench: &Bench, jobs: usize) -> io::Result<PathBuf> {
    let database = bench.place().join(format!("loaded-{jobs}.db"));
    if !database.exists() {
        eprintln!("loading {jobs} names");
        let list = list(bench.place(), FILES, jobs, true)?;
        load(bench, &database, &list)?;
    }
    Ok(database)
}

/// A copy that may be changed.
pub(crate) fn copy(bench: &Bench, database: &Path, name: &str) -> io::Result<PathBuf> {
    let fresh = bench.fresh(name);
    fs::copy(database, &fresh)?;
    // Otherwise its first commits would wait for all of it.
    File::open(&fresh)?.sync_all()?;
    Ok(fresh)
}

/// Marks the first `jobs` jobs as called, with this answer.
pub(crate) fn settle(database: &Path, jobs: usize, answer: &[u8]) -> io::Result<()> {
    eprintln!("settling {jobs} jobs");
    settled(database, jobs, answer).map_err(io::Error::other)
}

fn settled(database: &Path, jobs: usize, answer: &[u8]) -> rusqlite::Result<()> {
    let mut database = Connection::open(database)?;
    // A crash discards the database anyway.
    database.pragma_update(None, "journal_mode", "off")?;
    database.pragma_update(None, "synchronous", "off")?;
    database.pragma_update(None, "cache_size", -(256 << 10))?;
    let jobs = i64::try_from(jobs).unwrap_or(i64::MAX);
    let sum = Sha256::digest(answer);
    let change = database.transaction()?;
    change.execute(
        "UPDATE work SET state = 2, attempts = 1, generation = 1 WHERE job < ?1",
        [jobs],
    )?;
    change.execute(
        "INSERT INTO attempt (job, number, runner, chunk, key, started, ended, took, outcome, status)
         SELECT id, 1, (SELECT max(id) FROM runner), id % 64, randomblob(16),
                1750000000000 + id, 1750000000050 + id, 50, 'succeeded', 200
         FROM job WHERE id < ?1 ORDER BY id",
        [jobs],
    )?;
    change.execute(
        "INSERT INTO result (job, attempt, media_type, body, sha256)
         SELECT id, 1, 'application/json', ?2, ?3 FROM job WHERE id < ?1 ORDER BY id",
        params![jobs, answer, sum.as_slice()],
    )?;
    change.execute(
        "UPDATE counts SET pending = pending - ?1, done = done + ?1, attempts = attempts + ?1",
        [jobs],
    )?;
    change.execute("UPDATE limiter_state SET calls = calls + ?1", [jobs])?;
    change.commit()?;
    database.pragma_update(None, "journal_mode", "wal")
}
