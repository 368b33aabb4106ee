//! Claims and settles jobs.

mod offers;

use std::time::Duration;

use rusqlite::{OptionalExtension, Transaction, params};

use super::counts::{add_counts, read_counts};
use super::error::{Result, StoreError, doing};
use super::identity;
use super::lanes;
use super::owner;
use super::pace;
use super::progress;
use super::settle::Settler;
use super::statement::{LazyStatement, all, execute};
use super::system::now;
use super::types::{Claim, HeldOfLane, LaneWork, Settlement};
use super::values::{path_from_sql, position_of, shift, state_from_sql, state_to_sql};
use super::writer::Store;
use crate::event::{Counts, Flow};
use crate::governor::{Checkpoint, LaneCheckpoint};
use crate::job::{
    Attempt, AttemptId, Columns, IdempotencyKey, Job, JobId, JobState, Lane, Money, Outcome, Step,
    StepKind,
};
use crate::limits::Cost;
use crate::retry::Record;

impl Store {
    /// Begins a group of changes that become durable together.
    ///
    /// # Errors
    ///
    /// The database cannot be written, it stays locked, or another runner has taken it over.
    pub fn group(&mut self) -> Result<Group<'_>> {
        self.group_patiently(&mut |_| {})
    }

    /// Works as [`Store::group`], and reports to `waiting` how long another program has kept the database locked.
    ///
    /// # Errors
    ///
    /// As [`Store::group`].
    pub fn group_patiently(&mut self, waiting: &mut dyn FnMut(Duration)) -> Result<Group<'_>> {
        let runner = self.runner.ok_or(StoreError::Usurped)?;
        let connection = &self.connection;
        let transaction = self.owner.begin_patiently(&self.connection, waiting)?;
        // Another process may have forgotten jobs, or brought some back.
        let counts = read_counts(&transaction)?;
        self.is_recounted |= counts != self.counts;
        self.counts = counts;
        Ok(Group {
            settler: Settler::new(connection, &self.base),
            peek: LazyStatement::new(
                connection,
                "SELECT attempts + 1, path, charged, crashes, generation, failed_before, state, lane IS NOT NULL
                 FROM work JOIN job ON job.id = work.job WHERE work.job = ?1 AND (state = 0 OR state = 6)",
            ),
            claim: LazyStatement::new(
                connection,
                "UPDATE work SET state = 1, not_before = NULL, attempts = ?2 WHERE job = ?1",
            ),
            attempt: LazyStatement::new(
                connection,
                "INSERT INTO attempt (job, number, runner, chunk, key, started, step, polls, polled, cost, lane)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            ),
            poll: LazyStatement::new(
                connection,
                "UPDATE attempt SET runner = ?3, chunk = ?4, key = ?5, polls = ?6, polled = ?7, ended = NULL, took = NULL,
                                    outcome = NULL, status = NULL, message = NULL
                 WHERE job = ?1 AND number = ?2",
            ),
            transaction,
            after: counts,
            counts: &mut self.counts,
            runner,
            uuid: self.uuid,
            base: &self.base,
            has_columns: self.has_columns,
            has_drawn: self.has_drawn,
            now: now(),
            spent: vec![NOTHING; self.lanes.len().max(1)],
            work: vec![LaneWork::default(); self.lanes.len()],
            lanes: &self.lanes,
            noted_lanes: &mut self.noted_lanes,
            noting: None,
        })
    }
}

/// Changes that become durable together. Dropping them rolls them back.
#[derive(Debug)]
pub struct Group<'s> {
    settler: Settler<'s>,
    peek: LazyStatement<'s>,
    claim: LazyStatement<'s>,
    attempt: LazyStatement<'s>,
    poll: LazyStatement<'s>,
    transaction: Transaction<'s>,
    counts: &'s mut Counts,
    after: Counts,
    runner: i64,
    uuid: [u8; 16],
    base: &'s std::path::Path,
    has_columns: bool,
    has_drawn: bool,
    now: i64,
    lanes: &'s [Lane],
    /// Usage of the claims in this group, of each lane.
    spent: Vec<Cost>,
    work: Vec<LaneWork>,
    noted_lanes: &'s mut Vec<LaneCheckpoint>,
    /// The lanes' states that this group stores.
    noting: Option<Vec<LaneCheckpoint>>,
}

const NOTHING: Cost = Cost {
    calls: 0,
    bytes: 0,
    weight: 0,
};

impl Group<'_> {
    /// Takes back one charge of a job, and returns true, if the job is pending or waiting and has one.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn give_back_charge(&mut self, job: JobId) -> Result<bool> {
        let sql =
            "UPDATE work SET charged = charged - 1, not_before = CASE state WHEN 6 THEN ?2 END
                   WHERE job = ?1 AND (state = 0 OR state = 6) AND charged > 0";
        let values = [job.0, self.now];
        let changed = execute(&self.transaction, sql, values, "taking a charge back")?;
        Ok(changed == 1)
    }

    /// Takes back an attempt's usage, because nothing was sent.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn give_back_usage(&mut self, attempt: AttemptId, cost: Cost) -> Result<()> {
        if !self.lanes.is_empty() {
            let sql = "UPDATE lane SET calls = max(0, calls - 1)
                       WHERE number = (SELECT lane FROM attempt WHERE job = ?1 AND number = ?2)";
            let AttemptId { job, number } = attempt;
            execute(
                &self.transaction,
                sql,
                params![job.0, number],
                "taking a call back",
            )?;
        }
        pace::give_back(&self.transaction, attempt, &cost)
    }

    /// Returns a job's row, if the list is a table.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn columns(&self, job: JobId) -> Result<Columns> {
        Ok(identity::row(&self.transaction, job)?.0)
    }

    /// Replaces the weight that an attempt was charged with in a lane by the one that its answer states.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn settle_weight(
        &mut self,
        attempt: AttemptId,
        lane: usize,
        (charged, actual): (u64, u64),
    ) -> Result<()> {
        if let Some(spent) = self.spent.get_mut(lane) {
            let more = actual.saturating_sub(charged);
            spent.weight = spent.weight.saturating_add(more);
        }
        let less = Cost {
            calls: 0,
            bytes: 0,
            weight: charged.saturating_sub(actual),
        };
        match less.weight {
            0 => Ok(()),
            _ => pace::give_back(&self.transaction, attempt, &less),
        }
    }

    /// Returns the path of a job's file.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn file(&self, job: JobId) -> Result<std::path::PathBuf> {
        self.transaction
            .prepare_cached(
                "SELECT coalesce(input, path) FROM job LEFT JOIN columns ON columns.job = job.id WHERE id = ?1",
            )
            .and_then(|mut statement| {
                statement.query_row([job.0], |row| {
                    Ok(self.base.join(path_from_sql(row, 0)?.as_path()))
                })
            })
            .map_err(doing("looking up a file's path"))
    }

    /// Claims a job if it is pending or waiting: records an attempt that is about to be sent, its usage, and its price if that is
    /// known before the answer. Consecutive polls of a step share one attempt. They and other reads have no price.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn claim(
        &mut self,
        job: JobId,
        chunk: usize,
        cost: Cost,
        price: Option<Money>,
    ) -> Result<Option<Claim>> {
        self.claim_in(0, job, chunk, cost, price)
    }

    /// As [`Group::claim`], for a lane of this session.
    ///
    /// # Errors
    ///
    /// As [`Group::claim`].
    pub fn claim_in(
        &mut self,
        lane: usize,
        job: JobId,
        chunk: usize,
        cost: Cost,
        price: Option<Money>,
    ) -> Result<Option<Claim>> {
        // An UPDATE with RETURNING is slower: SQLite creates and drops a table for it.
        let (base, run) = (self.base, &self.uuid);
        let open = self.peek.get().and_then(|statement| {
            let claim = statement.query_row([job.0], |row| {
                let path = path_from_sql(row, 1)?;
                let record = Record {
                    charged: row.get(2)?,
                    crashes: row.get(3)?,
                    generation: row.get(4)?,
                    failed_before: row.get(5)?,
                };
                let claim = Claim {
                    attempt: Attempt {
                        id: AttemptId {
                            job,
                            number: row.get(0)?,
                        },
                        key: IdempotencyKey::derive(run, job, record.generation),
                        repeat: false,
                        suspect: record.crashes > 0,
                        step: Step::FIRST,
                        lane: lane as u16,
                    },
                    record,
                    job: Job {
                        id: job,
                        position: position_of(job),
                        file: base.join(path.as_path()),
                        path,
                        columns: Columns::default(),
                        answers: Vec::new(),
                    },
                    is_bound: row.get(7)?,
                };
                Ok((claim, state_from_sql(row.get(6)?)?))
            });
            claim.optional()
        });
        let open = open.map_err(doing("looking up a file"))?;
        let Some((mut claim, state)) = open else {
            return Ok(None);
        };
        let mut continues = false;
        if state == JobState::Waiting {
            let number = claim.attempt.id.number - 1;
            let next = progress::next_step(&self.transaction, AttemptId { job, number }, self.now)?;
            claim.attempt.step = next.step;
            claim.job.answers = progress::answers(&self.transaction, job)?;
            continues = next.continues;
            if continues {
                claim.attempt.id.number = number;
            }
        }
        let (AttemptId { number, .. }, step) = (claim.attempt.id, claim.attempt.step);
        self.claim
            .execute([job.0, number.into()], "claiming a file")?;
        claim.attempt.repeat = self.is_repeat(&claim.attempt)?;
        if self.has_columns {
            let (columns, file) = identity::row(&self.transaction, job)?;
            claim.job.columns = columns;
            if let Some(file) = file {
                claim.job.file = base.join(file.as_path());
            }
        }
        let of_pool = self.lanes.get(lane).map(|lane| lane.number);
        let (key, polls) = (
            claim.attempt.key.0,
            Some(step.polls).filter(|polls| *polls > 0),
        );
        let polled = polls.map(|_| self.now);
        if continues {
            let values = params![job.0, number, self.runner, chunk, key, polls, polled];
            self.poll.execute(values, "recording a poll")?;
        } else {
            let (runner, now) = (self.runner, self.now);
            let price = price.filter(|_| step.kind == StepKind::Write);
            let price = price.map(|price| price.0);
            let values = params![
                job.0, number, runner, chunk, key, now, step.index, polls, polled, price, of_pool
            ];
            self.attempt.execute(values, "recording an attempt")?;
            self.after.attempts += 1;
        }
        shift(&mut self.after, state, JobState::Running, 1)?;
        if let Some(spent) = self.spent.get_mut(lane) {
            spent.calls += cost.calls;
            spent.bytes = spent.bytes.saturating_add(cost.bytes);
            spent.weight = spent.weight.saturating_add(cost.weight);
        }
        if let Some(work) = self.work.get_mut(lane) {
            work.calls += 1;
        }
        Ok(Some(claim))
    }

    /// Returns true if the service may know the key from an earlier attempt: one in doubt, or one that it called
    /// unfinished.
    fn is_repeat(&self, attempt: &Attempt) -> Result<bool> {
        if attempt.id.number == 1 {
            return Ok(false);
        }
        self.transaction
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM attempt WHERE job = ?1 AND number < ?2 AND key = ?3
                                AND (outcome = 'in_doubt' OR status = 409))",
            )
            .and_then(|mut statement| {
                let AttemptId { job, number } = attempt.id;
                statement.query_row(params![job.0, number, attempt.key.0], |row| row.get(0))
            })
            .map_err(doing("looking at the attempts before"))
    }

    /// Records an attempt's outcome, its result and the job's next state. Only a running attempt can be settled.
    ///
    /// # Errors
    ///
    /// The attempt is not the running one ([`StoreError::Stale`]), or the database cannot be written.
    pub fn settle(&mut self, settlement: &Settlement) -> Result<JobState> {
        let state = self.settler.settle(&settlement.into(), self.now)?;
        shift(&mut self.after, JobState::Running, state, 1)?;
        self.after.in_doubt += u64::from(matches!(settlement.outcome, Outcome::InDoubt(_)));
        Ok(state)
    }

    /// Fails a job that a failed attempt left pending or waiting, and returns true, if the job was not called since.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn give_up(&mut self, attempt: AttemptId) -> Result<bool> {
        let sql = "UPDATE work SET state = 3, not_before = NULL WHERE job = ?1 AND attempts = ?2 AND state = ?3";
        for from in [JobState::Pending, JobState::Waiting] {
            let values = params![attempt.job.0, attempt.number, state_to_sql(from)];
            if execute(&self.transaction, sql, values, "giving a file up")? == 1 {
                shift(&mut self.after, from, JobState::Failed, 1)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Holds the open jobs that are bound to a lane, because no further call goes there. `retry --held` begins them anew, in
    /// any lane. `reason` becomes part of their last attempts' messages.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn hold_lane(&mut self, lane: usize, reason: &str) -> Result<Vec<HeldOfLane>> {
        match self.lanes.get(lane) {
            Some(lane) => lanes::hold(
                &self.transaction,
                &mut self.after,
                Some(lane.number),
                reason,
            ),
            None => Ok(Vec::new()),
        }
    }

    /// Returns the lane to which an open job is bound.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn bound(&self, job: JobId) -> Result<Option<usize>> {
        let sql = "SELECT lane FROM work WHERE job = ?1 AND lane IS NOT NULL";
        let found: Vec<u32> = all(&self.transaction, sql, [job.0], "reading a lane", |row| {
            row.get(0)
        })?;
        let of = |number: &u32| self.lanes.iter().position(|lane| lane.number == *number);
        Ok(found.first().and_then(of))
    }

    /// Counts a result of a lane.
    pub fn count_result(&mut self, lane: usize) {
        if let Some(work) = self.work.get_mut(lane) {
            work.results += 1;
        }
    }

    /// Records why no further call of this session goes to a lane.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn stop_lane(&self, lane: usize, reason: &str, words: &str) -> Result<()> {
        let lane = self.lanes.get(lane);
        lane.map_or(Ok(()), |lane| {
            lanes::stop(&self.transaction, lane, reason, words)
        })
    }

    /// Returns the number of jobs in each state, this group included.
    pub fn counts(&self) -> Counts {
        self.after
    }

    /// Stores the limiter's state and the flow for the next runner and for other processes.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn remember(&mut self, memory: &Checkpoint, flow: &Flow) -> Result<()> {
        if !self.lanes.is_empty() {
            let (states, noted) = (&memory.lanes, &self.noted_lanes);
            lanes::remember(&self.transaction, self.lanes, states, noted, self.now)?;
            self.noting = Some(states.clone());
        }
        pace::remember(&self.transaction, memory, flow, self.now)
    }

    /// Makes the group durable: synced when this returns.
    ///
    /// # Errors
    ///
    /// The database cannot be written; then nothing of the group is.
    pub fn commit(self) -> Result<Counts> {
        add_counts(&self.transaction, self.counts, &self.after)?;
        for (index, spent) in self.spent.iter().enumerate() {
            if spent.calls > 0 || spent.weight > 0 {
                let lane = self.lanes.get(index);
                let lane = lane.map_or(pace::NO_POOL, |lane| lane.number);
                pace::spend(&self.transaction, lane, spent, self.now)?;
            }
        }
        lanes::add_work(&self.transaction, self.lanes, &self.work)?;
        owner::commit(self.transaction, "committing")?;
        if let Some(noting) = self.noting {
            *self.noted_lanes = noting;
        }
        *self.counts = self.after;
        Ok(self.after)
    }
}
