//! The one writer of a run's database.

use std::path::PathBuf;

use rusqlite::Connection;

use super::lock::Lock;
use super::owner::Owner;
use crate::event::Counts;
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
    /// Whether any job has columns. Where none has, no claim looks for them.
    pub(super) has_columns: bool,
    /// Whether only jobs that were drawn are offered.
    pub(super) has_drawn: bool,
    pub(super) runner: Option<i64>,
    /// Which state of the database, as far as others change it, was seen last.
    pub(super) data_version: i64,
    /// Where what cannot be recorded may go, the best place first.
    pub(super) rescue_folders: Vec<PathBuf>,
    /// The settings that were stored when they were looked at last.
    pub(super) seen_settings: Settings,
    // Dropped last: the lock outlives the connection.
    pub(super) lock: Lock,
}
