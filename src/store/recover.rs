//! Begins a runner: settles the calls that dead runners left in flight as in doubt.

use std::time::Duration;

use rusqlite::params;
use rusqlite::types::ValueRef;

use super::counts::{add_counts, read_counts};
use super::error::{Result, doing};
use super::lanes;
use super::owner;
use super::pace::{forget_usage, noted, replace_price};
use super::progress::read_step;
use super::settle::Settler;
use super::statement::{all, execute};
use super::system::host;
use super::system::now;
use super::types::Settlement;
use super::values::{path_from_sql, price_from_sql, shift};
use super::writer::Store;
use crate::job::{
    AttemptId, Class, Failure, FileName, JobId, JobState, Outcome, Price, Step, StepKind,
};
use crate::limits::Pricing;
use crate::retry::{Record, RetryPolicy};

/// The failure kind of a call during which the process died.
pub(super) const CRASHED: &str = "crashed";

/// Calls that dead runners left in flight.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Their jobs, in list order.
    pub in_doubt: Vec<FileName>,
    /// The number of jobs that are held, because the pool has no row any more for the account that knows them.
    pub held: u64,
}

impl Store {
    /// Begins a runner. The lock proves that no other runner is alive, so those without an end have died. Settles their
    /// attempts in flight as in doubt; `policy` decides about the jobs. Notes a call that was the only one in flight.
    ///
    /// # Errors
    ///
    /// The database cannot be written; then no runner has begun.
    pub fn start(&mut self, threads: usize, policy: &RetryPolicy) -> Result<Recovered> {
        self.begin_runner(Some(threads), policy)
    }

    /// Settles the attempts that dead runners left in flight, as [`Store::start`] does, without beginning a runner.
    ///
    /// # Errors
    ///
    /// As [`Store::start`].
    pub fn recover(&mut self, policy: &RetryPolicy) -> Result<Recovered> {
        self.begin_runner(None, policy)
    }

    fn begin_runner(&mut self, threads: Option<usize>, policy: &RetryPolicy) -> Result<Recovered> {
        let now = now();
        let pricing = self.settings()?.rules().budgets.pricing;
        let dearest = noted(&self.connection)?.dearest.unwrap_or_default();
        let transaction = self.owner.begin(&self.connection)?;
        let before = read_counts(&transaction)?;
        let mut counts = before;
        let mut recovered = Recovered::default();
        transaction
            .execute(
                "UPDATE runner SET ended = ?1, ending = 'died' WHERE ended IS NULL",
                [now],
            )
            .map_err(doing("beginning a runner"))?;
        let mut settler = Settler::new(&transaction, &self.base);
        let running = left_running(&transaction, now)?;
        let alone = running.len() == 1;
        for ((attempt, step, record, claimed), path) in running {
            let price = match (claimed, pricing, step.kind) {
                (None, Pricing::Answer, StepKind::Write) => Some(Price {
                    amount: dearest,
                    is_known: false,
                }),
                (claimed, _, StepKind::Write) => claimed,
                // Reads are free unless their answer states a cost.
                (_, _, StepKind::Read | StepKind::Poll) => None,
            };
            if claimed.is_none() {
                replace_price(&transaction, None, price)?;
            }
            let (next, record) = policy.after_death(record, &step, alone);
            let message = "the process ended during the call";
            let mut failure = Failure::new(Class::Transient, CRASHED, message);
            failure.at(&step);
            let settlement = Settlement {
                attempt,
                step,
                outcome: Outcome::InDoubt(failure),
                checksum: None,
                took: Duration::ZERO,
                price,
                next,
                record,
            };
            let state = settler.settle(&(&settlement).into(), now)?;
            shift(&mut counts, JobState::Running, state, 1)?;
            counts.in_doubt += 1;
            counts.in_doubt_recovered += 1;
            recovered.in_doubt.push(path);
        }
        drop(settler);
        let mut runner = None;
        if let Some(threads) = threads {
            recovered.held = lanes::hold_gone(&transaction, &mut counts, &self.lanes)?;
            let sql = "INSERT INTO runner (pid, host, threads, started, request)
                       VALUES (?1, ?2, ?3, ?4, (SELECT request FROM run))";
            let values = params![std::process::id(), host(), threads, now];
            execute(&transaction, sql, values, "beginning a runner")?;
            runner = Some(transaction.last_insert_rowid());
            forget_usage(&transaction, now)?;
        }
        add_counts(&transaction, &before, &counts)?;
        owner::commit(transaction, "beginning a runner")?;
        self.counts = counts;
        self.runner = runner;
        if runner.is_some() {
            self.remove_imported();
        }
        Ok(recovered)
    }

    /// Returns the number of the current runner.
    pub fn runner(&self) -> Option<i64> {
        self.runner
    }
}

/// An attempt in flight: its identity, its step, its job's record, and its price as claimed.
type Claimed = (AttemptId, Step, Record, Option<Price>);

/// Returns the attempts in flight whose runners have ended.
fn left_running(connection: &rusqlite::Connection, now: i64) -> Result<Vec<(Claimed, FileName)>> {
    let sql = "SELECT work.job, attempts, charged, crashes, generation, path, failed_before,
                      progress.step, progress.kind, since, asked, polls, cost, cost_unknown
               FROM work JOIN job ON job.id = work.job
                         JOIN attempt ON attempt.job = work.job AND attempt.number = work.attempts
                         LEFT JOIN progress ON progress.job = work.job
                         JOIN runner ON runner.id = attempt.runner
               WHERE state = 1 AND state <> 2 AND runner.ended IS NOT NULL ORDER BY work.job";
    all(connection, sql, [], "reading the calls in flight", |row| {
        let attempt = AttemptId {
            job: JobId(row.get(0)?),
            number: row.get(1)?,
        };
        let record = Record {
            charged: row.get(2)?,
            crashes: row.get(3)?,
            generation: row.get(4)?,
            failed_before: row.get(6)?,
        };
        let step = match row.get_ref(7)? {
            ValueRef::Null => Step::FIRST,
            _ => Step {
                polls: row.get::<_, Option<u32>>(11)?.unwrap_or_default(),
                ..read_step(row, 7, now)?
            },
        };
        Ok((
            (attempt, step, record, price_from_sql(row, 12)?),
            path_from_sql(row, 5)?,
        ))
    })
}
