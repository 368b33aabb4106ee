//! Makes done jobs pending again, and finds results in files that were moved.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, Row, params};

use super::body::Filed;
use super::changed::changed;
use super::counts::{add_counts, read_counts};
use super::error::{Result, doing};
use super::identity;
use super::owner;
use super::progress;
use super::statement::{all, execute};
use super::values::{path_to_sql, shift, state_from_sql};
use super::writer::Store;
use crate::job::{FileName, JobId, JobState};
use crate::paths;

const REDOING: &str = "making done files pending";

/// The done jobs to call again.
#[derive(Debug, Clone, Copy)]
pub enum Redo<'r> {
    /// Those with these names.
    Names(&'r [FileName]),
    /// Those whose result is in a file that is missing or changed.
    Lost,
    /// Those whose own file has changed since the call.
    Changed,
    /// Those whose result is from a request that the run had before.
    Outdated,
}

/// The outcome of [`Store::redo`]. Nothing was changed if there are unknown names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redone {
    /// Number of jobs that are pending again.
    pub changed: u64,
    /// Names that the run does not have.
    pub unknown: Vec<FileName>,
    /// Jobs that are not done, with their states. They were not changed.
    pub others: Vec<(FileName, JobState)>,
}

/// A result in a file.
struct InFile {
    job: i64,
    result: Filed,
}

impl Store {
    /// Makes done jobs pending, with all their retries, from the first step on. Sets their results aside: [`Store::restore`] brings them back.
    ///
    /// # Errors
    ///
    /// The database cannot be written; then nothing was changed.
    pub fn redo(&mut self, chosen: Redo<'_>) -> Result<Redone> {
        let transaction = self.owner.begin(&self.connection)?;
        let before = read_counts(&transaction)?;
        let (mut counts, mut redone) = (before, Redone::default());
        let jobs = match chosen {
            Redo::Names(names) => named(&transaction, names, &mut redone)?,
            Redo::Lost => lost(&transaction, &self.base)?,
            Redo::Changed => changed(&transaction, &self.base)?,
            Redo::Outdated => outdated(&transaction)?,
        };
        if !redone.unknown.is_empty() {
            return Ok(redone);
        }
        for job in jobs {
            redone.changed += u64::from(redo(&transaction, job)?);
        }
        shift(
            &mut counts,
            JobState::Done,
            JobState::Pending,
            redone.changed,
        )?;
        add_counts(&transaction, &before, &counts)?;
        owner::commit(transaction, REDOING)?;
        self.counts = counts;
        Ok(redone)
    }

    /// Finds results whose files are missing or changed in a folder, by their names and checksums, and records their new
    /// paths. Returns their number.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn find_results(&mut self, folder: &Path) -> Result<u64> {
        let transaction = self.owner.begin(&self.connection)?;
        let mut found = 0;
        for InFile { job, result } in in_files(&transaction, &self.base)? {
            let Some(path) = moved(&result, folder) else {
                continue;
            };
            let path = FileName::from(paths::below(&self.base, &path));
            let sql = "UPDATE result SET file = ?2 WHERE job = ?1";
            let values = params![job, path_to_sql(&path)];
            found += execute(&transaction, sql, values, "finding results")? as u64;
        }
        owner::commit(transaction, "finding results")?;
        Ok(found)
    }
}

/// Returns the path in this folder of a result whose own file is missing or changed.
fn moved(result: &Filed, folder: &Path) -> Option<PathBuf> {
    let path = folder.join(result.path.as_path().file_name()?);
    let there = Filed {
        path: FileName::from(&*path),
        ..result.clone()
    };
    (there.open().is_ok() && result.open().is_err()).then_some(path)
}

/// Finds done jobs by their names.
fn named(connection: &Connection, names: &[FileName], redone: &mut Redone) -> Result<Vec<i64>> {
    let sql = "SELECT job, state FROM work WHERE job = ?1";
    let mut jobs = Vec::new();
    for name in names {
        let read = |row: &Row<'_>| Ok((row.get(0)?, state_from_sql(row.get(1)?)?));
        let job = identity::named(connection, name)?;
        let found = all(connection, sql, [job], REDOING, read)?;
        match found.first() {
            None => redone.unknown.push(name.clone()),
            Some((job, JobState::Done)) => jobs.push(*job),
            Some((_, state)) => redone.others.push((name.clone(), *state)),
        }
    }
    Ok(jobs)
}

/// Finds done jobs whose result is in a file that is missing or changed.
fn lost(connection: &Connection, base: &Path) -> Result<Vec<i64>> {
    let results = in_files(connection, base)?.into_iter();
    let lost = results.filter(|each| each.result.open().is_err());
    Ok(lost.map(|each| each.job).collect())
}

/// Finds done jobs whose result, or an answer of an earlier step, is from a request that the run had before.
fn outdated(connection: &Connection) -> Result<Vec<i64>> {
    let sql = "SELECT DISTINCT result.job FROM result JOIN work ON work.job = result.job
                      JOIN attempt ON attempt.job = result.job AND (attempt.number = result.attempt OR attempt.number IN
                                      (SELECT attempt FROM step_answer WHERE step_answer.job = result.job))
                      JOIN runner ON runner.id = attempt.runner
               WHERE state = 2 AND runner.request <> (SELECT request FROM run) ORDER BY result.job";
    all(connection, sql, [], REDOING, |row| row.get(0))
}

/// Reads the results in files, those of forgotten jobs too.
fn in_files(connection: &Connection, base: &Path) -> Result<Vec<InFile>> {
    let sql = "SELECT result.job, file, size, sha256 FROM result JOIN work ON work.job = result.job
               WHERE file IS NOT NULL AND state IN (2, 5)";
    let read = |row: &Row<'_>| {
        let columns = [row.get_ref(1)?, row.get_ref(2)?, row.get_ref(3)?];
        let result = Filed::from_columns(columns, base)?;
        Ok(result.map(|result| (row.get(0), result)))
    };
    let found = all(connection, sql, [], "reading the results", read)?;
    let found = found.into_iter().flatten();
    found
        .map(|(job, result)| Ok(InFile { job: job?, result }))
        .collect::<rusqlite::Result<_>>()
        .map_err(doing("reading the results"))
}

/// Makes a job pending. Returns false if it is not done.
pub(super) fn redo(connection: &Connection, job: i64) -> Result<bool> {
    let pending =
        "UPDATE work SET state = 0, charged = 0, crashes = 0 WHERE job = ?1 AND state = 2";
    let moved = execute(connection, pending, [job], REDOING)?;
    if moved == 1 {
        set_aside(connection, job)?;
        progress::begin_anew(connection, JobId(job))?;
    }
    Ok(moved == 1)
}

/// Sets a job's result aside. The caller changes the job's state.
pub(super) fn set_aside(connection: &Connection, job: i64) -> Result<()> {
    let aside = "INSERT INTO earlier_result (job, attempt, media_type, body, sha256, headers, file, size)
                 SELECT job, attempt, media_type, body, sha256, headers, file, size FROM result WHERE job = ?1";
    let delete = "DELETE FROM result WHERE job = ?1";
    execute(connection, aside, [job], "setting a result aside")?;
    execute(connection, delete, [job], "setting a result aside").map(drop)
}
