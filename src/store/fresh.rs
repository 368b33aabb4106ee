//! Builds a database at a temporary path and renames it when it is complete.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rusqlite::{Connection, OpenFlags};

use super::connection::{APPLICATION_ID, MIGRATIONS, VERSION};
use super::error::{Result, doing, unusable};
use super::files::{fresh_file, refuse_left};
use crate::paths::folder_of;

/// A database under construction beside its final path. A kill leaves only this file, which the next attempt removes.
pub(super) struct Fresh {
    connection: Connection,
    file: PathBuf,
    /// A second descriptor, for syncs. Closing it would drop SQLite's locks, so it is closed last.
    handle: Arc<File>,
    syncing: RefCell<Option<JoinHandle<()>>>,
    installed: bool,
}

impl Fresh {
    /// Creates a database with pages of this size in bytes, a power of two.
    pub(super) fn create(path: &Path, page_size: u32) -> Result<Self> {
        let file = fresh_file(path);
        match fs::remove_file(&file) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(unusable(path)(error)),
        }
        // SQLite gives the files beside a database the same mode.
        let handle = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&file)
            .map_err(unusable(path))?;
        let build = || -> rusqlite::Result<Connection> {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(&file, flags)?;
            // An incomplete file is discarded, so nothing has to be synced or rolled back before it is complete.
            connection.pragma_update(None, "page_size", page_size)?;
            connection.execute_batch(
                "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON; PRAGMA cache_size = -16384;",
            )?;
            connection.set_prepared_statement_cache_capacity(32);
            connection.execute_batch("BEGIN EXCLUSIVE")?;
            for migration in MIGRATIONS {
                connection.execute_batch(migration)?;
            }
            connection.pragma_update(None, "application_id", APPLICATION_ID)?;
            connection.pragma_update(None, "user_version", VERSION)?;
            Ok(connection)
        };
        let connection = build().map_err(unusable(path))?;
        Ok(Self {
            connection,
            file,
            handle: Arc::new(handle),
            syncing: RefCell::default(),
            installed: false,
        })
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Begins to sync the rows written so far. Ignores failure, because [`Self::install`] syncs again.
    pub(super) fn sync_ahead(&self) {
        let handle = Arc::clone(&self.handle);
        let sync = move || drop(handle.sync_data());
        let thread = thread::Builder::new().name("sync".to_owned()).spawn(sync);
        *self.syncing.borrow_mut() = thread.ok();
    }

    /// Commits, syncs and renames the database, in this order.
    pub(super) fn install(mut self, path: &Path, with_log: bool) -> Result<()> {
        self.connection
            .execute_batch(match with_log {
                true => "COMMIT; PRAGMA journal_mode = WAL;",
                false => "COMMIT; PRAGMA journal_mode = DELETE;",
            })
            .map_err(doing("writing the new run"))?;
        let in_memory = Connection::open_in_memory().map_err(doing("closing the new run"))?;
        std::mem::replace(&mut self.connection, in_memory)
            .close()
            .map_err(|(_, error)| error)
            .map_err(doing("closing the new run"))?;
        // The thread's descriptor must not be closed under the next connection to the file.
        if let Some(thread) = self.syncing.take() {
            let _ = thread.join();
        }
        self.handle.sync_all().map_err(unusable(path))?;
        refuse_left(path)?;
        let rename = || -> std::io::Result<()> {
            fs::rename(&self.file, path)?;
            File::open(folder_of(path))?.sync_all()
        };
        rename().map_err(unusable(path))?;
        self.installed = true;
        Ok(())
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !self.installed {
            // Ignore failure: the next attempt removes the file.
            let _ = fs::remove_file(&self.file);
        }
    }
}
