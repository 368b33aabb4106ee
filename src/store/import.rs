//! Imports the rescue files of earlier runs.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::counts::{add_counts, read_counts};
use super::error::{Result, StoreError, doing};
use super::find_rescues::{RefusedRescue, find};
use super::forget;
use super::owner;
use super::pace;
use super::recover::CRASHED;
use super::saved::{self, Saved};
use super::system::now;
use super::values::{miscounted, path_from_sql, price_from_sql, shift, state_from_sql};
use super::writer::Store;
use crate::event::Counts;
use crate::job::{AttemptId, FileName, IdempotencyKey, JobState, Price};

/// An imported rescue file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedRescue {
    /// The rescue file.
    pub file: PathBuf,
    /// Number of settlements recorded from it.
    pub recorded: u64,
    /// Jobs that were called again since, or whose saved settlement breaks a rule.
    pub left: Vec<FileName>,
    /// Jobs that are missing from the list, which may have been lost with a part of the WAL. The rescue file stays
    /// until they are loaded again.
    pub unknown: Vec<FileName>,
    /// New path of the file, if it was kept because of `left`.
    pub kept: Option<PathBuf>,
}

impl Store {
    /// Imports the rescue files of this run from the folders of [`Store::rescue_into`], and removes those of which
    /// everything is recorded when a runner begins or the store is closed. Call it before a runner begins, and begin none if files are refused: their jobs would be
    /// called again.
    ///
    /// # Errors
    ///
    /// The database cannot be written; then the files are unchanged.
    pub fn import_rescues(&mut self) -> Result<(Vec<ImportedRescue>, Vec<RefusedRescue>)> {
        let (files, refused) = find(&self.connection, &self.path, &self.rescue_folders)?;
        let mut imported = Vec::new();
        for (path, rescue) in files {
            imported.push(self.import_file(path, rescue)?);
        }
        Ok((imported, refused))
    }

    fn import_file(&mut self, file: PathBuf, rescue: Connection) -> Result<ImportedRescue> {
        let (mut recorded, mut left, mut unknown) = (0, Vec::new(), Vec::new());
        let transaction = self.owner.begin(&self.connection)?;
        let before = read_counts(&transaction)?;
        let mut counts = before;
        let is_read = saved::each(&rescue, &mut |saved| {
            let saved = match saved {
                Ok(saved) => saved,
                Err(name) => {
                    left.push(name.unwrap_or_else(|| FileName::from(file.as_path())));
                    return Ok(());
                }
            };
            match import_listed(&transaction, &mut counts, &saved, (&self.uuid, &self.base))? {
                Import::Recorded => recorded += 1,
                Import::Known => {}
                Import::Left => left.push(saved.record.path),
                Import::Unknown => unknown.push(saved.record.path),
            }
            Ok(())
        })?;
        if !is_read {
            left.push(FileName::from(file.as_path()));
        }
        add_counts(&transaction, &before, &counts)?;
        owner::commit(transaction, "importing a rescue file")?;
        self.counts = counts;
        drop(rescue);
        let done = unknown.is_empty();
        let kept = (done && !left.is_empty()).then(|| file.with_extension("left"));
        match &kept {
            // Ignore failure: after another import, all its settlements are known.
            Some(kept) => drop(fs::rename(&file, kept)),
            None if done => self.imported.push(file.clone()),
            None => {}
        }
        Ok(ImportedRescue {
            file,
            recorded,
            left,
            unknown,
            kept,
        })
    }
}

/// The result of importing one settlement.
#[derive(Debug, PartialEq, Eq)]
enum Import {
    Recorded,
    /// The database already has it, or another result of the job.
    Known,
    Left,
    /// The list lacks the job.
    Unknown,
}

/// The job of a saved settlement in the run's database, and its attempt of the same number.
struct RunJob {
    path: FileName,
    state: JobState,
    attempts: u32,
    generation: u32,
    key: Option<[u8; 16]>,
    outcome: Option<String>,
    kind: Option<String>,
    /// Number of polls of the attempt, and the job's next step.
    polls: u32,
    step: u16,
    price: Option<Price>,
}

/// Imports a settlement. A job that was forgotten stays so, with its new state and result.
fn import_listed(
    transaction: &Transaction<'_>,
    counts: &mut Counts,
    saved: &Saved,
    (run, base): (&[u8; 16], &Path),
) -> Result<Import> {
    let job = saved.attempt.job;
    let is_forgotten = forget::lift(transaction, counts, job)?;
    let imported = import(transaction, counts, saved, (run, base))?;
    if is_forgotten {
        forget::forget_again(transaction, counts, job)?;
    }
    Ok(imported)
}

fn import(
    transaction: &Transaction<'_>,
    counts: &mut Counts,
    saved: &Saved,
    (run, base): (&[u8; 16], &Path),
) -> Result<Import> {
    let AttemptId { job, number } = saved.attempt;
    let found = transaction
        .prepare_cached(
            "SELECT job.path, work.state, work.attempts, work.generation, attempt.key, attempt.outcome, attempt.kind,
                    coalesce(attempt.polls, 0), coalesce(progress.step, 0), attempt.cost, attempt.cost_unknown
             FROM job JOIN work ON work.job = job.id
                      LEFT JOIN attempt ON attempt.job = job.id AND attempt.number = ?2
                      LEFT JOIN progress ON progress.job = job.id
             WHERE job.id = ?1",
        )
        .and_then(|mut statement| {
            let row = statement.query_row(params![job.0, number], |row| {
                Ok(RunJob {
                    path: path_from_sql(row, 0)?,
                    state: state_from_sql(row.get(1)?)?,
                    attempts: row.get(2)?,
                    generation: row.get(3)?,
                    key: row.get(4)?,
                    outcome: row.get(5)?,
                    kind: row.get(6)?,
                    polls: row.get(7)?,
                    step: row.get(8)?,
                    price: price_from_sql(row, 9)?,
                })
            });
            row.optional()
        });
    let Some(found) = found.map_err(doing("looking for an attempt"))? else {
        return Ok(Import::Unknown);
    };
    let is_same = found.key == Some(saved.key);
    let outcome = saved.record.outcome.as_deref();
    let is_in_doubt = found.outcome.as_deref() == Some("in_doubt");
    if is_same
        && (found.outcome.is_some() && found.outcome.as_deref() == outcome
            || is_in_doubt && found.state == JobState::Done)
    {
        return Ok(Import::Known);
    }
    // A later runner may have found the call cut off, without repeating it. Or the claim of a further poll was lost.
    let is_later_poll =
        found.outcome.as_deref() == Some("not_ready") && saved.step.polls > found.polls;
    let is_open = is_same
        && found.attempts == number
        && (found.outcome.is_none() && found.polls == saved.step.polls
            || is_in_doubt
            || is_later_poll);
    // The claim may be lost with a part of the WAL. Name, number and key prove that it was the job's next one.
    let is_next = found.key.is_none()
        && matches!(found.state, JobState::Pending | JobState::Waiting)
        && found.step == saved.step.index
        && found.attempts.checked_add(1) == Some(number)
        && found.path == saved.record.path
        && IdempotencyKey::derive(run, job, found.generation).0 == saved.key;
    if !saved.is_whole() || !is_open && !is_next {
        return Ok(Import::Left);
    }
    let save = |sql| {
        transaction
            .execute_batch(sql)
            .map_err(doing("importing a rescue file"))
    };
    save("SAVEPOINT saved")?;
    let mut after = *counts;
    let reopened = reopen(transaction, &mut after, saved, &found);
    match reopened.and_then(|()| saved.settle(transaction, base)) {
        Ok(state) => {
            shift(&mut after, JobState::Running, state, 1)?;
            // The price of a later poll adds to its attempt's.
            let before = found.price.filter(|_| saved.step.polls <= 1);
            pace::replace_price(transaction, before, saved.price)?;
            after.in_doubt += u64::from(outcome == Some("in_doubt"));
            *counts = after;
            save("RELEASE saved")?;
            Ok(Import::Recorded)
        }
        Err(error) if breaks_a_rule(&error) => {
            save("ROLLBACK TO saved; RELEASE saved")?;
            Ok(Import::Left)
        }
        Err(error) => Err(error),
    }
}

/// Returns true if the settlement is at fault, and not the disk.
fn breaks_a_rule(error: &StoreError) -> bool {
    match error {
        StoreError::Stale { .. } | StoreError::File { .. } => true,
        StoreError::Failed { source, .. } => source
            .downcast_ref::<rusqlite::Error>()
            .and_then(rusqlite::Error::sqlite_error_code)
            .is_some_and(|code| code == rusqlite::ErrorCode::ConstraintViolation),
        _ => false,
    }
}

/// Restores a claim that was lost or found cut off, so that it can be settled.
fn reopen(
    transaction: &Transaction<'_>,
    counts: &mut Counts,
    saved: &Saved,
    found: &RunJob,
) -> Result<()> {
    let AttemptId { job, number } = saved.attempt;
    let started = saved.record.started.map(|time| time.clamp(0, saved.ended));
    let restore = || {
        transaction.execute(
            "INSERT INTO runner (pid, host, threads, started, ended, ending, request)
             SELECT 0, '', 0, ?1, ?1, 'died', request FROM run WHERE NOT EXISTS (SELECT 1 FROM runner)",
            [now()],
        )?;
        transaction.execute(
            "UPDATE work SET state = 1, not_before = NULL, attempts = ?2 WHERE job = ?1",
            params![job.0, number],
        )?;
        // The thread of a lost claim is unknown.
        transaction.execute(
            "INSERT INTO attempt (job, number, runner, chunk, key, started, step, polls)
             VALUES (?1, ?2, (SELECT max(id) FROM runner), 0, ?3, ?4, ?5, nullif(?6, 0))
             ON CONFLICT DO UPDATE SET ended = NULL, outcome = NULL, class = NULL, kind = NULL, message = NULL,
                                       polls = excluded.polls",
            params![job.0, number, saved.key, started, saved.step.index, saved.step.polls],
        )
    };
    restore().map_err(doing("importing a rescue file"))?;
    shift(counts, found.state, JobState::Running, 1)?;
    counts.attempts += u64::from(found.key.is_none());
    let less = |counted: u64, is_less| {
        counted
            .checked_sub(u64::from(is_less))
            .ok_or_else(miscounted)
    };
    let in_doubt = found.outcome.as_deref() == Some("in_doubt");
    counts.in_doubt = less(counts.in_doubt, in_doubt)?;
    let crashed = found.kind.as_deref() == Some(CRASHED);
    counts.in_doubt_recovered = less(counts.in_doubt_recovered, crashed)?;
    Ok(())
}
