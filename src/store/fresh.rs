//! A database that is made beside its place, and moved there when it is whole.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rusqlite::{Connection, OpenFlags};

use super::connection::{APPLICATION_ID, MIGRATIONS, VERSION};
use super::error::{Result, StoreError, doing};
use super::files::fresh_file;

/// A database under construction, beside the place where it will be. Until it is installed there is no run:
/// whatever ends the process, nothing but this file is left, and the next attempt removes it.
pub(super) struct Fresh {
    connection: Connection,
    file: PathBuf,
    /// The file once more, to sync it. Closing it would cost SQLite its locks, so it is closed last.
    handle: Arc<File>,
    syncing: RefCell<Option<JoinHandle<()>>>,
    installed: bool,
}

impl Fresh {
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = fresh_file(path);
        let unusable = |error: std::io::Error| StoreError::Unusable {
            path: path.to_owned(),
            source: error.into(),
        };
        match fs::remove_file(&file) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(unusable(error)),
        }
        // SQLite gives the files beside a database the database's own mode.
        let handle = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&file)
            .map_err(unusable)?;
        let build = || -> rusqlite::Result<Connection> {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(&file, flags)?;
            // Nobody sees this file before it is whole, so nothing has to be synced or undone on the way.
            //
            // Results come in the order in which their calls end, which leaves a page three quarters full; of answers of a
            // kilobyte, pages of the usual 4 KiB would lose another quarter to what does not fit.
            connection.execute_batch(
                "PRAGMA page_size = 8192; PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON; PRAGMA cache_size = -16384;",
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
        let connection = build().map_err(|error| StoreError::Unusable {
            path: path.to_owned(),
            source: error.into(),
        })?;
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

    /// Lets the disk begin with what is written so far. Whether it can do that is found out at the end.
    pub(super) fn sync_ahead(&self) {
        let handle = Arc::clone(&self.handle);
        let sync = move || drop(handle.sync_data());
        // Where there is no thread to be had, all is synced at the end.
        let thread = thread::Builder::new().name("sync".to_owned()).spawn(sync);
        *self.syncing.borrow_mut() = thread.ok();
    }

    /// Commits, syncs and moves the database into its place, in this order.
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
        // Its descriptor would be closed under the next connection to the file.
        if let Some(thread) = self.syncing.take() {
            let _ = thread.join();
        }
        let move_in = || -> std::io::Result<()> {
            self.handle.sync_all()?;
            fs::rename(&self.file, path)?;
            File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
        };
        move_in().map_err(|error| StoreError::Unusable {
            path: path.to_owned(),
            source: error.into(),
        })?;
        self.installed = true;
        Ok(())
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !self.installed {
            // It would be removed by the next attempt; this spares the user the sight of it.
            let _ = fs::remove_file(&self.file);
        }
    }
}
