//! The run's request, and those that it had before.

use rusqlite::params;

use super::error::{Result, failed};
use super::owner;
use super::read;
use super::renew::renew;
use super::statement::{all, execute, value};
use super::values::to_json;
use super::writer::Store;
use crate::settings::Call;

/// The outcome of [`Store::set_call`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replaced {
    /// Number of calls in doubt that get a new idempotency key, because they will send something else.
    pub renewed: u64,
    /// The answers to the replaced request are none to the new one.
    pub is_other: bool,
}

impl Store {
    /// Reads the run's call.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn call(&self) -> Result<Call> {
        read::json(&self.connection, "SELECT call FROM run")
    }

    /// Returns true if a result was received under the run's present request.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn has_results_of_call(&self) -> Result<bool> {
        let sql = "SELECT proven OR EXISTS (SELECT 1 FROM result JOIN attempt USING (job) JOIN runner ON runner.id = attempt.runner
                          WHERE attempt.number = result.attempt AND runner.request = (SELECT request FROM run))
                   FROM limiter_state";
        value(&self.connection, sql, "looking for results of the request")
    }

    /// Returns the number of waiting jobs for each next request, by its index from 0.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn waiting_by_step(&self) -> Result<Vec<(usize, u64)>> {
        let sql = "SELECT step, count(*) FROM progress JOIN work USING (job) WHERE state = 6 GROUP BY step";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, u16>(0)?.into(), row.get(1)?));
        all(&self.connection, sql, [], "counting waiting files", read)
    }

    /// Stores another folder for results or expression for exports, which changes nothing of what is sent.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn amend_call(&mut self, call: &Call) -> Result<()> {
        self.change("changing what is done with results", |connection| {
            let changed = connection.execute("UPDATE run SET call = ?1", [to_json(call)]);
            changed.map(drop)
        })
    }

    /// Changes the run's call. Keeps every result. A request that the run had before is known again, with its results:
    /// `serves` tells whether the answers to an earlier call are such as the new one needs.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn set_call(&mut self, call: &Call, serves: &dyn Fn(&Call) -> bool) -> Result<Replaced> {
        const CHANGING: &str = "changing the request";
        let old = self.call()?;
        let transaction = self.owner.begin(&self.connection)?;
        let sql = "INSERT OR REPLACE INTO earlier_request (id, call) SELECT request, call FROM run";
        execute(&transaction, sql, [], CHANGING)?;
        let sql = "SELECT id, call FROM earlier_request ORDER BY id";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
        let mut request = 1;
        for (id, earlier) in all(&transaction, sql, [], CHANGING, read)? {
            let earlier = serde_json::from_str(&earlier).map_err(failed(CHANGING))?;
            if serves(&earlier) {
                request = id;
                break;
            }
            request = id + 1;
        }
        let sql = "UPDATE run SET call = ?1, request = ?2";
        execute(&transaction, sql, params![to_json(call), request], CHANGING)?;
        // Successes under the old rules say nothing about the new ones.
        for sql in [
            "UPDATE limiter_state SET proven = 0",
            "UPDATE lane SET proven = 0",
        ] {
            execute(&transaction, sql, [], CHANGING)?;
        }
        let renewed = match old.sent() == call.sent() {
            true => 0,
            false => renew(&transaction, None)?,
        };
        owner::commit(transaction, CHANGING)?;
        Ok(Replaced {
            renewed,
            is_other: !serves(&old),
        })
    }
}
