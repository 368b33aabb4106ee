//! Takes jobs off a run, and brings them back. Nothing of them is deleted.
//!
//! Forgotten jobs keep their place in the list, because ids are positions, their attempts and their results. So the same
//! list does not add them again, and they come back in the state that they had.

use rusqlite::{Connection, Row, Transaction, TransactionBehavior, params_from_iter};

use super::chosen::{Conditions, selects_forgotten};
use super::connection::{self, Mode};
use super::counts::{add_counts, read_counts};
use super::error::{Result, doing};
use super::files;
use super::identity;
use super::location::Location;
use super::owner;
use super::page::ATTEMPT;
use super::statement::{all, execute};
use super::values::{path_from_sql, shift, state_from_sql};
use super::writer::Store;
use crate::event::Counts;
use crate::filter::Term;
use crate::job::{FileName, JobId, JobState};

const FORGETTING: &str = "forgetting files";

/// The jobs to forget or to bring back.
#[derive(Debug, Clone, Copy)]
pub enum Chosen<'c> {
    /// Those with these names.
    Names(&'c [FileName]),
    /// Those that meet all terms. When they are brought back, their states are those that they had.
    Terms(&'c [Term]),
}

/// The outcome of forgetting jobs or of bringing them back. Nothing was changed if some are unknown or running.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Number of jobs that were forgotten or brought back.
    pub changed: u64,
    /// The first of them, at most [`Forgotten::EXAMPLES`].
    pub examples: Vec<FileName>,
    /// Names that the run does not have.
    pub unknown: Vec<FileName>,
    /// Jobs whose call is in flight, or was when the last runner died.
    pub running: Vec<FileName>,
    /// The state of the run.
    pub counts: Counts,
}

impl Forgotten {
    /// Most examples.
    pub const EXAMPLES: usize = 3;

    /// Returns true if nothing was changed because a job is unknown or running.
    pub fn is_refused(&self) -> bool {
        !self.unknown.is_empty() || !self.running.is_empty()
    }
}

/// The direction of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Forget,
    BringBack,
}

/// Takes jobs off a run. A runner of another process picks that up within a second.
///
/// # Errors
///
/// The database cannot be read or written; then nothing was changed.
pub fn forget(location: impl Into<Location>, chosen: Chosen<'_>) -> Result<Forgotten> {
    beside(&location.into(), chosen, Change::Forget)
}

/// Brings forgotten jobs back, in the state that they had. A runner of another process picks that up within a second.
///
/// # Errors
///
/// The database cannot be read or written; then nothing was changed.
pub fn bring_back(location: impl Into<Location>, chosen: Chosen<'_>) -> Result<Forgotten> {
    beside(&location.into(), chosen, Change::BringBack)
}

/// Makes a change beside a possible runner.
fn beside(location: &Location, chosen: Chosen<'_>, change: Change) -> Result<Forgotten> {
    let path = files::resolve(location)?;
    let connection = connection::open(&path, Mode::Note)?;
    let transaction = Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)
        .map_err(doing("beginning"))?;
    make(transaction, chosen, change)
}

impl Store {
    /// Works as [`forget`], for the run of this store.
    ///
    /// # Errors
    ///
    /// As [`forget`].
    pub fn forget(&mut self, chosen: Chosen<'_>) -> Result<Forgotten> {
        self.change_jobs(chosen, Change::Forget)
    }

    /// Works as [`bring_back`], for the run of this store.
    ///
    /// # Errors
    ///
    /// As [`bring_back`].
    pub fn bring_back(&mut self, chosen: Chosen<'_>) -> Result<Forgotten> {
        self.change_jobs(chosen, Change::BringBack)
    }

    fn change_jobs(&mut self, chosen: Chosen<'_>, change: Change) -> Result<Forgotten> {
        let transaction = self.owner.begin(&self.connection)?;
        let made = make(transaction, chosen, change)?;
        self.counts = made.counts;
        Ok(made)
    }
}

/// Makes a change and commits it, unless a job is unknown or running.
fn make(transaction: Transaction<'_>, chosen: Chosen<'_>, change: Change) -> Result<Forgotten> {
    let before = read_counts(&transaction)?;
    let mut made = Forgotten {
        counts: before,
        unknown: choose(&transaction, chosen, change)?,
        ..Forgotten::default()
    };
    if change == Change::Forget {
        made.running = names(&transaction, RUNNING)?;
    }
    if made.is_refused() {
        return Ok(made);
    }
    made.changed = apply(&transaction, &mut made.counts, change)?;
    made.examples = names(&transaction, EXAMPLES)?;
    add_counts(&transaction, &before, &made.counts)?;
    owner::commit(transaction, FORGETTING)?;
    Ok(made)
}

/// Forgets the jobs in `chosen`, or brings them back. Removes jobs that need no change from `chosen`.
fn apply(connection: &Connection, counts: &mut Counts, change: Change) -> Result<u64> {
    let [leave, first, second] = match change {
        Change::Forget => FORGET,
        Change::BringBack => BRING_BACK,
    };
    execute(connection, leave, [], FORGETTING)?;
    let mut changed = 0;
    for (state, jobs) in states(connection)? {
        let (from, to) = match change {
            Change::Forget => (state, JobState::Forgotten),
            Change::BringBack => (JobState::Forgotten, state),
        };
        shift(counts, from, to, jobs)?;
        changed += jobs;
    }
    for sql in [first, second] {
        execute(connection, sql, [], FORGETTING)?;
    }
    Ok(changed)
}

/// Brings a job back within the caller's transaction, and returns true if it was forgotten.
pub(super) fn lift(connection: &Connection, counts: &mut Counts, job: JobId) -> Result<bool> {
    choose_one(connection, job)?;
    Ok(apply(connection, counts, Change::BringBack)? == 1)
}

/// Forgets a job within the caller's transaction.
pub(super) fn forget_again(connection: &Connection, counts: &mut Counts, job: JobId) -> Result<()> {
    choose_one(connection, job)?;
    apply(connection, counts, Change::Forget).map(drop)
}

/// Forgets the jobs that `is_chosen` accepts within the caller's transaction, except those in flight. Returns their number
/// and the first few names.
pub(super) fn forget_where(
    connection: &Connection,
    counts: &mut Counts,
    is_chosen: impl Fn(i64) -> bool,
) -> Result<(u64, Vec<FileName>)> {
    choose_none(connection)?;
    let sql = "SELECT job FROM work WHERE state <> 1 AND state <> 5 ORDER BY job";
    let choose = || -> rusqlite::Result<()> {
        let mut insert = connection.prepare("INSERT INTO chosen VALUES (?1)")?;
        let mut jobs = connection.prepare(sql)?;
        let mut rows = jobs.query([])?;
        while let Some(row) = rows.next()? {
            let job = row.get(0)?;
            if is_chosen(job) {
                insert.execute([job])?;
            }
        }
        Ok(())
    };
    choose().map_err(doing(FORGETTING))?;
    let changed = apply(connection, counts, Change::Forget)?;
    Ok((changed, names(connection, EXAMPLES)?))
}

const RUNNING: &str =
    "SELECT path FROM chosen JOIN work ON work.job = chosen.job JOIN job ON job.id = work.job
                       WHERE work.state = 1 ORDER BY work.job";
const EXAMPLES: &str =
    "SELECT path FROM chosen JOIN job ON job.id = chosen.job ORDER BY job.id LIMIT 3";
const _: () = assert!(Forgotten::EXAMPLES == 3);

/// Statements that leave out the jobs that are forgotten already, and forget the others.
const FORGET: [&str; 3] = [
    "DELETE FROM chosen WHERE job IN (SELECT job FROM forgotten)",
    "INSERT INTO forgotten (job, state, not_before)
     SELECT job, state, not_before FROM work WHERE job IN (SELECT job FROM chosen)",
    "UPDATE work SET state = 5, not_before = NULL WHERE job IN (SELECT job FROM chosen)",
];

/// Statements that leave out the jobs that are not forgotten, and bring the others back.
const BRING_BACK: [&str; 3] = [
    "DELETE FROM chosen WHERE job NOT IN (SELECT job FROM forgotten)",
    "UPDATE work SET (state, not_before) = (SELECT state, not_before FROM forgotten WHERE forgotten.job = work.job)
     WHERE job IN (SELECT job FROM chosen)",
    "DELETE FROM forgotten WHERE job IN (SELECT job FROM chosen)",
];

/// Creates the temporary table of chosen jobs, empty.
pub(super) fn choose_none(connection: &Connection) -> Result<()> {
    let sql =
        "CREATE TEMP TABLE IF NOT EXISTS chosen (job INTEGER PRIMARY KEY); DELETE FROM chosen";
    connection.execute_batch(sql).map_err(doing(FORGETTING))
}

fn choose_one(connection: &Connection, job: JobId) -> Result<()> {
    choose_none(connection)?;
    let sql = "INSERT INTO chosen VALUES (?1)";
    execute(connection, sql, [job.0], FORGETTING).map(drop)
}

/// Fills the table of chosen jobs, and returns the names that the run does not have.
fn choose(connection: &Connection, chosen: Chosen<'_>, change: Change) -> Result<Vec<FileName>> {
    choose_none(connection)?;
    let mut unknown = Vec::new();
    match chosen {
        Chosen::Names(names) => {
            for name in names {
                let sql = "INSERT OR REPLACE INTO chosen VALUES (?1)";
                match identity::named(connection, name)? {
                    Some(job) => execute(connection, sql, [job], FORGETTING).map(drop)?,
                    None => unknown.push(name.clone()),
                }
            }
        }
        Chosen::Terms(terms) => {
            // All that can be brought back is forgotten.
            let is_given = |term: &&Term| change == Change::BringBack && selects_forgotten(term);
            let terms: Vec<Term> = terms
                .iter()
                .filter(|term| !is_given(term))
                .cloned()
                .collect();
            let (state, table) = match change {
                Change::Forget => ("work.state", "work"),
                Change::BringBack => (
                    "forgotten.state",
                    "forgotten JOIN work ON work.job = forgotten.job",
                ),
            };
            let conditions = Conditions::with_state(&terms, state);
            let sql = format!(
                "INSERT INTO chosen SELECT work.job FROM {table} JOIN job ON job.id = work.job {ATTEMPT} WHERE {}",
                conditions.sql
            );
            execute(
                connection,
                &sql,
                params_from_iter(conditions.values),
                FORGETTING,
            )?;
        }
    }
    Ok(unknown)
}

/// Counts the chosen jobs by the state in which they are, or were before they were forgotten.
fn states(connection: &Connection) -> Result<Vec<(JobState, u64)>> {
    let sql = "SELECT coalesce(forgotten.state, work.state), count(*) FROM chosen JOIN work ON work.job = chosen.job
               LEFT JOIN forgotten ON forgotten.job = work.job GROUP BY 1";
    let read = |row: &Row<'_>| Ok((state_from_sql(row.get(0)?)?, row.get(1)?));
    all(connection, sql, [], FORGETTING, read)
}

fn names(connection: &Connection, sql: &str) -> Result<Vec<FileName>> {
    all(connection, sql, [], FORGETTING, |row| path_from_sql(row, 0))
}
