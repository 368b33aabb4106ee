//! The one writer of a run's database.

use std::fs;
use std::path::PathBuf;

use rusqlite::Connection;

use super::error::{Result, doing};
use super::lock::Lock;
use super::owner::{self, Owner};
use crate::event::Counts;
use crate::governor::LaneCheckpoint;
use crate::job::Lane;
use crate::settings::Settings;

/// The one writer of a run's database.
#[derive(Debug)]
pub struct Store {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    pub(super) base: PathBuf,
    pub(super) uuid: [u8; 16],
    pub(super) owner: Owner,
    pub(super) counts: Counts,
    /// Another process has changed the counts since [`Store::recount`].
    pub(super) is_recounted: bool,
    /// Some jobs have columns. If none has, claims skip the lookup.
    pub(super) has_columns: bool,
    /// Only drawn jobs are offered.
    pub(super) has_drawn: bool,
    pub(super) runner: Option<i64>,
    /// The lanes of this session; none without a pool.
    pub(super) lanes: Vec<Lane>,
    /// The lanes' states that were stored last.
    pub(super) noted_lanes: Vec<LaneCheckpoint>,
    /// SQLite's `data_version` at the last check for changed settings.
    pub(super) data_version: i64,
    /// Folders for rescue files, the best first.
    pub(super) rescue_folders: Vec<PathBuf>,
    /// Rescue files of which everything is recorded. They are removed when a runner begins or the store is closed: a command
    /// that is refused leaves them, because the database may be a copy without its WAL.
    pub(super) imported: Vec<PathBuf>,
    /// The stored settings at the last check.
    pub(super) seen_settings: Settings,
    // Dropped last: the lock outlives the connection.
    pub(super) lock: Lock,
}

impl Store {
    /// Removes the imported rescue files. Ignores failure: after another import, all their settlements are known.
    pub(super) fn remove_imported(&mut self) {
        for file in self.imported.drain(..) {
            let _ = fs::remove_file(file);
        }
    }

    /// Runs `change` in a transaction of its own.
    pub(super) fn change(
        &self,
        what: &'static str,
        change: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> Result<()> {
        let transaction = self.owner.begin(&self.connection)?;
        change(&transaction).map_err(doing(what))?;
        owner::commit(transaction, what)
    }
}
