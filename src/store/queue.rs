//! Offering, claiming and settling jobs: the writer's own verbs.

use std::time::Duration;

use rusqlite::{OptionalExtension, Transaction, params};

use super::counts::add_counts;
use super::error::{Result, StoreError, doing};
use super::kept::Kept;
use super::owner;
use super::pace;
use super::settle::Settler;
use super::system::now;
use super::types::{Claim, Offer, Settlement};
use super::values::{path_from_sql, position_of, shift};
use super::writer::Store;
use crate::event::{Counts, Flow};
use crate::governor::Memory;
use crate::job::{
    Attempt, AttemptId, Columns, IdempotencyKey, Job, JobId, JobState, Outcome, Position,
};
use crate::limits::Cost;
use crate::retry::{MAY_KILL, Record};

impl Store {
    /// Begins a group of changes that become durable together.
    ///
    /// # Errors
    ///
    /// The database cannot be written, it stays locked, or another runner has taken it over.
    pub fn group(&mut self) -> Result<Group<'_>> {
        self.group_patiently(&mut |_| {})
    }

    /// The same, where `waiting` is told now and then for how long somebody else has had the database locked.
    ///
    /// # Errors
    ///
    /// As [`Store::group`].
    pub fn group_patiently(&mut self, waiting: &mut dyn FnMut(Duration)) -> Result<Group<'_>> {
        let runner = self.runner.ok_or(StoreError::Usurped)?;
        let connection = &self.connection;
        Ok(Group {
            settler: Settler::new(connection),
            peek: Kept::new(
                connection,
                "SELECT attempts + 1, path, charged, crashes, generation, failed_before
                 FROM work JOIN job ON job.id = work.job WHERE work.job = ?1 AND state = 0",
            ),
            claim: Kept::new(
                connection,
                "UPDATE work SET state = 1, not_before = NULL, attempts = attempts + 1 WHERE job = ?1 AND state = 0",
            ),
            attempt: Kept::new(
                connection,
                "INSERT INTO attempt (job, number, runner, chunk, key, started) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            ),
            transaction: self.owner.begin_patiently(&self.connection, waiting)?,
            after: self.counts,
            counts: &mut self.counts,
            runner,
            uuid: self.uuid,
            base: &self.base,
            has_columns: self.has_columns,
            has_drawn: self.has_drawn,
            now: now(),
            spent: Cost {
                calls: 0,
                ..Cost::default()
            },
        })
    }
}

/// Changes that become durable together. Dropped without a commit, they never were.
#[derive(Debug)]
pub struct Group<'s> {
    settler: Settler<'s>,
    peek: Kept<'s>,
    claim: Kept<'s>,
    attempt: Kept<'s>,
    transaction: Transaction<'s>,
    counts: &'s mut Counts,
    after: Counts,
    runner: i64,
    uuid: [u8; 16],
    base: &'s std::path::Path,
    has_columns: bool,
    has_drawn: bool,
    now: i64,
    /// What the claims of this group take of the rates.
    spent: Cost,
}

impl Group<'_> {
    /// The jobs that are pending from a place in the list on, in list order: at most `limit`. A stored wait is
    /// cut to `longest`, for the clock may have jumped since.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn offer(&self, from: Position, limit: usize, longest: Duration) -> Result<Vec<Offer>> {
        let sql = if self.has_drawn {
            "SELECT drawn.job, not_before, crashes FROM drawn CROSS JOIN work ON work.job = drawn.job
             WHERE state = 0 AND drawn.job >= ?1 ORDER BY drawn.job LIMIT ?2"
        } else {
            "SELECT job, not_before, crashes FROM work
             WHERE state = 0 AND state <> 2 AND job >= ?1 ORDER BY job LIMIT ?2"
        };
        self.transaction
            .prepare_cached(sql)
            .and_then(|mut statement| {
                let rows = statement.query_map(params![from.0, limit], |row| {
                    let job = JobId(row.get(0)?);
                    let not_before: Option<i64> = row.get(1)?;
                    let wait = not_before
                        .map_or(0, |then| then.saturating_sub(self.now))
                        .max(0);
                    Ok(Offer {
                        job,
                        position: position_of(job),
                        wait: Duration::from_millis(wait.unsigned_abs()).min(longest),
                        crashes: row.get(2)?,
                    })
                })?;
                rows.collect()
            })
            .map_err(doing("looking for pending jobs"))
    }

    /// Jobs that are pending from a place in the list on, or the last ones of the list: those first that were never
    /// called, and none that may kill its process. At most some hundreds, for a look elsewhere.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn elsewhere(&self, from: Option<Position>) -> Result<Vec<JobId>> {
        const LOOKED_AT: usize = 1000;
        let sql = match (self.has_drawn, from.is_some()) {
            (true, _) => {
                "SELECT drawn.job, attempts FROM drawn CROSS JOIN work ON work.job = drawn.job
                 WHERE state = 0 AND crashes < ?3 AND drawn.job >= ?1 ORDER BY drawn.job DESC LIMIT ?2"
            }
            (false, true) => {
                "SELECT job, attempts FROM work
                 WHERE state = 0 AND state <> 2 AND crashes < ?3 AND job >= ?1 ORDER BY job LIMIT ?2"
            }
            (false, false) => {
                "SELECT job, attempts FROM work
                 WHERE state = 0 AND state <> 2 AND crashes < ?3 AND job >= ?1 ORDER BY job DESC LIMIT ?2"
            }
        };
        let from = from.map_or(0, |from| from.0);
        let mut found: Vec<(JobId, u32)> = self
            .transaction
            .prepare_cached(sql)
            .and_then(|mut statement| {
                let rows = statement.query_map(params![from, LOOKED_AT, MAY_KILL], |row| {
                    Ok((JobId(row.get(0)?), row.get(1)?))
                })?;
                rows.collect()
            })
            .map_err(doing("looking elsewhere in the list"))?;
        found.sort_by_key(|(_, attempts)| *attempts > 0);
        Ok(found.into_iter().map(|(job, _)| job).collect())
    }

    /// Takes back one charge of a job, and returns true, if the job is pending.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn give_back_charge(&mut self, job: JobId) -> Result<bool> {
        let changed = self
            .transaction
            .prepare_cached(
                "UPDATE work SET charged = charged - 1, not_before = NULL
                 WHERE job = ?1 AND state = 0 AND charged > 0",
            )
            .and_then(|mut statement| statement.execute([job.0]))
            .map_err(doing("taking a charge back"))?;
        Ok(changed == 1)
    }

    /// Takes back what an attempt took of the rates, because nothing was sent.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn give_back_usage(&mut self, attempt: AttemptId, cost: Cost) -> Result<()> {
        pace::give_back(&self.transaction, attempt, &cost)
    }

    /// Where a job's file lies.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn file(&self, job: JobId) -> Result<std::path::PathBuf> {
        self.transaction
            .prepare_cached("SELECT path FROM job WHERE id = ?1")
            .and_then(|mut statement| {
                statement.query_row([job.0], |row| {
                    Ok(self.base.join(path_from_sql(row, 0)?.as_path()))
                })
            })
            .map_err(doing("looking for a job's file"))
    }

    /// States that an attempt of this job is about to be sent, which takes so much of the rates, if the job is
    /// pending.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn claim(&mut self, job: JobId, chunk: usize, cost: Cost) -> Result<Option<Claim>> {
        // A RETURNING clause would do both at once, by way of a table of its own that is made and dropped each time.
        let (base, run) = (self.base, &self.uuid);
        let pending = self.peek.get().and_then(|statement| {
            let claim = statement.query_row([job.0], |row| {
                let path = path_from_sql(row, 1)?;
                let record = Record {
                    charged: row.get(2)?,
                    crashes: row.get(3)?,
                    generation: row.get(4)?,
                    failed_before: row.get(5)?,
                };
                Ok(Claim {
                    attempt: Attempt {
                        id: AttemptId {
                            job,
                            number: row.get(0)?,
                        },
                        key: IdempotencyKey::derive(run, job, record.generation),
                        repeat: false,
                    },
                    record,
                    job: Job {
                        id: job,
                        position: position_of(job),
                        file: base.join(path.as_path()),
                        path,
                        columns: Columns::default(),
                    },
                })
            });
            claim.optional()
        });
        let pending = pending.map_err(doing("looking at a job"))?;
        let Some(mut claim) = pending else {
            return Ok(None);
        };
        let claimed = self.claim.get();
        claimed
            .and_then(|statement| statement.execute([job.0]))
            .map_err(doing("claiming a job"))?;
        claim.attempt.repeat = self.is_repeat(&claim.attempt)?;
        if self.has_columns {
            claim.job.columns = self.columns(job)?;
        }
        let AttemptId { number, .. } = claim.attempt.id;
        let recorded = self.attempt.get().and_then(|statement| {
            let key = claim.attempt.key.0;
            statement.execute(params![job.0, number, self.runner, chunk, key, self.now])
        });
        recorded.map_err(doing("recording an attempt"))?;
        shift(&mut self.after, JobState::Pending, JobState::Running, 1)?;
        self.after.attempts += 1;
        self.spent.calls += cost.calls;
        self.spent.bytes = self.spent.bytes.saturating_add(cost.bytes);
        self.spent.weight = self.spent.weight.saturating_add(cost.weight);
        Ok(Some(claim))
    }

    /// What a job's row says of it, where its list was a table.
    fn columns(&self, job: JobId) -> Result<Columns> {
        let fields = self
            .transaction
            .prepare_cached("SELECT fields FROM columns WHERE job = ?1")
            .and_then(|mut statement| {
                let fields = statement.query_row([job.0], |row| row.get::<_, String>(0));
                fields.optional()
            })
            .map_err(doing("looking for a job's columns"))?;
        let Some(fields) = fields else {
            return Ok(Columns::default());
        };
        Columns::read(&fields).map_err(|error| StoreError::Failed {
            doing: "reading a job's columns",
            source: error.into(),
        })
    }

    /// Whether the service may know the key already: from an attempt in doubt, or from one that it said is still
    /// going on.
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

    /// Records what an attempt came to, its result and the job's next state. Only the job's running attempt
    /// can be settled, and only once.
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

    /// Gives a job up that was left pending after an attempt that was refused, if it is still so.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn give_up(&mut self, attempt: AttemptId) -> Result<bool> {
        let moved = self
            .transaction
            .prepare_cached(
                "UPDATE work SET state = 3, not_before = NULL WHERE job = ?1 AND attempts = ?2 AND state = 0",
            )
            .and_then(|mut statement| statement.execute(params![attempt.job.0, attempt.number]))
            .map_err(doing("giving a job up"))?;
        if moved == 1 {
            shift(&mut self.after, JobState::Pending, JobState::Failed, 1)?;
        }
        Ok(moved == 1)
    }

    /// How many jobs are in which state when the group is durable.
    pub fn counts(&self) -> Counts {
        self.after
    }

    /// Remembers for the next runner, and for others to see, how the run fares.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn remember(&self, memory: &Memory, flow: &Flow) -> Result<()> {
        pace::remember(&self.transaction, memory, flow, self.now)
    }

    /// Makes the group durable: synced when this returns.
    ///
    /// # Errors
    ///
    /// The database cannot be written; then nothing of the group is.
    pub fn commit(self) -> Result<Counts> {
        add_counts(&self.transaction, self.counts, &self.after)?;
        if self.spent.calls > 0 {
            pace::spend(&self.transaction, &self.spent, self.now)?;
        }
        owner::commit(self.transaction, "committing")?;
        *self.counts = self.after;
        Ok(self.after)
    }
}
