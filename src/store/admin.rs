//! Opens, creates and closes runs, and changes their list and settings.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::base::base;
use super::connection::{self, Mode};
use super::counts::{check_total, read_counts};
use super::crash_check::{self, Watch};
use super::error::{Result, StoreError, doing};
use super::files::{self, with_suffix};
use super::fresh::Fresh;
use super::load::Loader;
use super::loaded::Loaded;
use super::location::Location;
use super::lock::Lock;
use super::owner::{self, Owner};
use super::place;
use super::read;
use super::statement::{execute, value};
use super::system::{now, random};
use super::values::to_json;
use super::writer::Store;
use crate::event::{Counts, Ending};
use crate::governor::StopReason;
use crate::paths::folder_of;
use crate::settings::{Call, Settings};
use crate::text::hex;

/// Bytes of a page. Results arrive in random order, which leaves pages three quarters full. With answers of a kilobyte,
/// pages of the usual 4 KiB would waste another quarter.
const PAGE_SIZE: u32 = 8192;

const SET_SETTINGS: &str = "UPDATE run SET settings = ?1";

/// The parameters of a new run.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// The call, with its rules for results.
    pub call: Call,
    /// The settings.
    pub settings: Settings,
    /// The folder against which names resolve: absolute.
    pub base: PathBuf,
}

impl Store {
    /// Opens the run in the database that `lock` guards, as its writer.
    ///
    /// # Errors
    ///
    /// The database is missing, not a run's, newer, damaged, or cannot be written.
    pub fn open(lock: Lock) -> Result<Self> {
        let unseen: Watch = std::sync::Arc::new(|_| true);
        Self::open_watched(lock, &unseen)
    }

    /// Opens the run as [`Store::open`] does. After the death of a runner, this checks the database first; `watch` sees
    /// the progress of that check and can end it.
    ///
    /// # Errors
    ///
    /// As [`Store::open`], and the check was ended.
    pub fn open_watched(lock: Lock, watch: &Watch) -> Result<Self> {
        let path = lock.database().to_owned();
        let mode = match lock.network() {
            Some(_) => Mode::WriteWithoutLog,
            None => Mode::Write,
        };
        let mut connection = connection::open(&path, mode)?;
        crash_check::check_after_crash(&mut connection, &path, watch)?;
        let counts = read_counts(&connection)?;
        check_total(&connection, &counts)?;
        let owner = Owner::take(&connection, &path)?;
        connection::be_patient(&connection)?;
        Ok(Self {
            data_version: connection::data_version(&connection)?,
            seen_settings: read::json(&connection, "SELECT settings FROM run")?,
            has_columns: read::has_columns(&connection)?,
            has_drawn: false,
            lanes: Vec::new(),
            noted_lanes: Vec::new(),
            rescue_folders: path.parent().map(Path::to_owned).into_iter().collect(),
            imported: Vec::new(),
            base: base(&connection, &path)?,
            uuid: value(&connection, "SELECT uuid FROM run", "reading the run")?,
            connection,
            path,
            owner,
            counts,
            is_recounted: false,
            runner: None,
            lock,
        })
    }

    /// Creates a run with the names that `fill` adds. The database appears complete or not at all: it is built beside its
    /// path and renamed after a sync.
    ///
    /// # Errors
    ///
    /// The database exists already or cannot be written, a deleted one has left its WAL there, or `fill` fails.
    pub fn create<E: From<StoreError>>(
        lock: Lock,
        run: &NewRun,
        fill: impl FnOnce(&mut Loader<'_>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(Self, Loaded), E> {
        let path = lock.database().to_owned();
        if path.symlink_metadata().is_ok() {
            return Err(StoreError::Exists(path).into());
        }
        if let Err(error) = files::refuse_left(&path) {
            lock.discard();
            return Err(error.into());
        }
        let build = || {
            let fresh = Fresh::create(&path, PAGE_SIZE)?;
            insert_run(fresh.connection(), run, &path)?;
            let folder = folder_of(&path);
            let loaded = Loader::fill_new(fresh.connection(), folder, || fresh.sync_ahead(), fill)?;
            fresh.install(&path, lock.network().is_none())?;
            Ok(loaded)
        };
        let loaded = match build() {
            Ok(loaded) => loaded,
            Err(error) => {
                lock.discard();
                return Err(error);
            }
        };
        Ok((Self::open(lock)?, loaded))
    }

    /// Adds the names that `fill` adds, in one transaction. Known names change in their columns only.
    ///
    /// # Errors
    ///
    /// The database cannot be written, or `fill` fails; then nothing was added.
    pub fn load<E: From<StoreError>>(
        &mut self,
        fill: impl FnOnce(&mut Loader<'_>) -> std::result::Result<(), E>,
    ) -> std::result::Result<Loaded, E> {
        let transaction = self.owner.begin(&self.connection)?;
        let mut counts = read_counts(&transaction)?;
        let loaded = Loader::fill(&self.connection, &mut counts, fill)?;
        let has_columns = read::has_columns(&self.connection)?;
        owner::commit(transaction, "committing")?;
        (self.counts, self.has_columns) = (counts, has_columns);
        Ok(loaded)
    }

    /// Returns the database's path, absolute and resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the free bytes on the database's disk, if they are known.
    pub fn free_space(&self) -> Option<u64> {
        place::free_space(&self.path)
    }

    /// Returns the size of the WAL, in bytes.
    pub fn log_size(&self) -> u64 {
        let log = with_suffix(&self.path, "-wal");
        std::fs::metadata(log).map_or(0, |meta| meta.len())
    }

    /// Returns the error of a disk with too little free space.
    pub(crate) fn without_room(&self, free: u64, kept: u64) -> StoreError {
        StoreError::NoRoom {
            path: self.path.clone(),
            free,
            kept,
        }
    }

    /// Returns the files that belong to the database and are neither input nor output of any run.
    pub fn own_files(&self) -> Vec<PathBuf> {
        let mut own = self.lock.own_files();
        let elsewhere = self.rescue_folders.iter();
        own.extend(elsewhere.flat_map(|folder| files::rescue_files(folder, &self.path)));
        own
    }

    /// Returns the folder against which names resolve.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Returns the number of jobs in each state.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Reads the counts again, because another process may have forgotten jobs or brought some back. Returns true if one
    /// has since the last call.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub(crate) fn recount(&mut self) -> Result<bool> {
        let counts = read_counts(&self.connection)?;
        let is_changed = std::mem::take(&mut self.is_recounted) || counts != self.counts;
        self.counts = counts;
        Ok(is_changed)
    }

    /// Returns true if [`Store::recount`] has a change to report.
    pub(crate) fn is_recounted(&self) -> bool {
        self.is_recounted
    }

    /// Returns the run's identity, in hexadecimal form.
    pub fn id(&self) -> String {
        hex(&self.uuid)
    }

    /// Reads the settings, as last given.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn settings(&self) -> Result<Settings> {
        read::json(&self.connection, "SELECT settings FROM run")
    }

    /// Changes the settings.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn set_settings(&mut self, settings: &Settings) -> Result<()> {
        self.change("changing the settings", |connection| {
            connection.execute(SET_SETTINGS, [to_json(settings)])?;
            shorten_waits(connection, &self.seen_settings, settings)
        })?;
        self.seen_settings = settings.clone();
        Ok(())
    }

    /// Applies changes that another process made to the stored settings since the last check to a runner's own settings.
    /// Returns `None` if there are none.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn changed_settings(&mut self, own: &Settings) -> Result<Option<Settings>> {
        let version = connection::data_version(&self.connection)?;
        if std::mem::replace(&mut self.data_version, version) == version {
            return Ok(None);
        }
        // Exports also change the database, to note their files.
        let settings = self.settings()?;
        if settings == self.seen_settings {
            return Ok(None);
        }
        let changed = own.with_changes(&self.seen_settings, &settings);
        self.seen_settings = settings;
        Ok(Some(changed))
    }

    /// Notes how the current runner has ended.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn finish(&mut self, ending: &Ending) -> Result<()> {
        let Some(runner) = self.runner.take() else {
            return Ok(());
        };
        let (now, halt) = (now(), ending.halt());
        let until = halt.and_then(|halt| match halt.reason {
            StopReason::Wait(wait) | StopReason::Submitted(wait) => {
                Some(now.saturating_add(wait.as_millis() as i64))
            }
            _ => None,
        });
        self.change("noting the end", |connection| {
            let changed = connection.execute(
                "UPDATE runner SET ended = ?1, ending = ?2, stopped = ?4, stopped_action = ?5, stopped_until = ?6,
                                   stopped_words = ?7 WHERE id = ?3",
                params![
                    now,
                    ending.as_str(),
                    runner,
                    halt.map(|halt| halt.reason.as_str()),
                    halt.map(|halt| halt.reason.action().as_str()),
                    until,
                    halt.map(|halt| halt.words.as_str()).filter(|words| !words.is_empty()),
                ],
            );
            changed.map(drop)
        })
    }

    /// Checkpoints the WAL and closes the database.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn close(mut self) -> Result<()> {
        self.remove_imported();
        let Self {
            connection, lock, ..
        } = self;
        // If a reader blocks the checkpoint, the next runner repeats it.
        connection
            .busy_timeout(Duration::ZERO)
            .and_then(|()| connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())))
            .map_err(doing("checkpointing the WAL"))?;
        connection
            .close()
            .map_err(|(_, error)| error)
            .map_err(doing("closing the database"))?;
        drop(lock);
        Ok(())
    }
}

/// Notes a file that stride wrote for a run, so that a later walk skips it. Ignores failure, because the file itself is
/// written.
pub fn note_artifact(location: impl Into<Location>, file: &Path) {
    let _ = files::resolve(&location.into()).and_then(|path| {
        let sql = "INSERT OR IGNORE INTO artifact (path) VALUES (?1)";
        let connection = connection::open(&path, Mode::Note)?;
        execute(
            &connection,
            sql,
            [file.as_os_str().as_bytes()],
            "noting a file",
        )
    });
}

/// Changes the settings of a run and returns the new ones. A working runner picks them up within a second.
///
/// # Errors
///
/// The database cannot be read or written, or `change` fails; then nothing was changed.
pub fn change_settings<E: From<StoreError>>(
    location: impl Into<Location>,
    change: impl FnOnce(Settings) -> std::result::Result<Settings, E>,
) -> std::result::Result<Settings, E> {
    let path = files::resolve(&location.into())?;
    let connection = connection::open(&path, Mode::Note)?;
    let transaction = Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)
        .map_err(doing("beginning"))?;
    let before: Settings = read::json(&connection, "SELECT settings FROM run")?;
    let settings = change(before.clone())?;
    let json = [to_json(&settings)];
    execute(&transaction, SET_SETTINGS, json, "changing the settings")?;
    shorten_waits(&transaction, &before, &settings).map_err(doing("changing the settings"))?;
    owner::commit(transaction, "changing the settings")?;
    Ok(settings)
}

/// Shortens the waits between polls that a shorter `poll_every` does not allow.
fn shorten_waits(
    connection: &Connection,
    before: &Settings,
    after: &Settings,
) -> rusqlite::Result<()> {
    if after.poll_every >= before.poll_every {
        return Ok(());
    }
    let most = after.poll_every.saturating_mul(10).as_millis() as i64;
    let sql = "UPDATE work SET not_before = min(not_before, ?1)
               WHERE state = 6 AND job IN (SELECT job FROM progress WHERE kind = 'poll')";
    let moment = now().saturating_add(most);
    connection.execute(sql, [moment]).map(drop)
}

fn insert_run(connection: &Connection, run: &NewRun, path: &Path) -> Result<()> {
    connection
        .execute(
            "INSERT INTO run (id, uuid, created, base, call, settings) VALUES (1, ?1, ?2, ?3, ?4, ?5)",
            params![random(), now(), below(&run.base, path).as_os_str().as_bytes(), to_json(&run.call), to_json(&run.settings)],
        )
        .and_then(|_| connection.execute("INSERT INTO counts (id) VALUES (1)", []))
        .and_then(|_| connection.execute("INSERT INTO limiter_state (id) VALUES (1)", []))
        .map_err(doing("making the run"))?;
    Ok(())
}

/// Makes `base` relative to the database's folder if it is that folder or below it, so that both can be moved together.
fn below(base: &Path, database: &Path) -> PathBuf {
    match database
        .parent()
        .and_then(|folder| base.strip_prefix(folder).ok())
    {
        Some(rest) => Path::new(".").join(rest),
        None => base.to_owned(),
    }
}
