//! Ownership checks, run at the start of every write transaction: the same file and the same owner token.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::error::{Result, StoreError, doing};
use super::files::with_suffix;
use super::statement::execute;
use super::system::random;

/// The claim of one writer on a database.
#[derive(Debug)]
pub(super) struct Owner {
    path: PathBuf,
    /// Device and inode of the open database.
    file: (u64, u64),
    /// Device and inode of the WAL and its index, if there are any.
    beside: Vec<(PathBuf, (u64, u64))>,
    /// The WAL's size at the last check, in bytes.
    log: Cell<u64>,
    token: [u8; 16],
}

/// Longest wait for another program's lock.
const PATIENCE: Duration = Duration::from_secs(30);
/// Interval between reports of such a wait.
const REPORT_EVERY: Duration = Duration::from_secs(5);

impl Owner {
    /// Takes an open database over. The previous owner fails in its next transaction.
    pub(super) fn take(connection: &Connection, path: &Path) -> Result<Self> {
        let token = random();
        let sql = "UPDATE run SET owner = ?1";
        execute(connection, sql, [token], "taking the run over")?;
        let path = path.to_owned();
        // The write has created them, and they exist as long as a connection does.
        let beside = ["-wal", "-shm"].map(|suffix| with_suffix(&path, suffix));
        let beside = beside.into_iter();
        let beside = beside.filter_map(|path| identity(&path).map(|file| (path, file)));
        match identity(&path) {
            Some(file) => Ok(Self {
                path,
                file,
                beside: beside.collect(),
                log: Cell::default(),
                token,
            }),
            None => Err(StoreError::Gone(path)),
        }
    }

    /// Checks that the database and the files beside it are those that were opened. SQLite would keep committing into a
    /// deleted file or a lost WAL. The check takes microseconds.
    fn check(&self) -> Result<()> {
        let ours = std::iter::once((&self.path, self.file));
        let beside = self.beside.iter().map(|(path, file)| (path, *file));
        for (path, file) in ours.chain(beside) {
            if identity(path) != Some(file) {
                return Err(StoreError::Gone(path.clone()));
            }
        }
        Ok(())
    }

    /// Returns true if the WAL has become shorter since the last check. A checkpoint does that, and so does a program that
    /// truncates it.
    fn log_shrank(&self) -> bool {
        let log = self
            .beside
            .first()
            .and_then(|(path, _)| path.metadata().ok());
        let length = log.map_or(0, |meta| meta.len());
        length < self.log.replace(length)
    }

    /// Runs a checkpoint, which fails if a part of the WAL is missing.
    fn prove_log(&self, connection: &Connection) -> Result<()> {
        let checkpoint = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        checkpoint.map_err(|_| StoreError::Cut(with_suffix(&self.path, "-wal")))
    }

    /// Begins a write transaction, which excludes other writers. Dropping it rolls it back.
    pub(super) fn begin<'c>(&self, connection: &'c Connection) -> Result<Transaction<'c>> {
        self.begin_patiently(connection, &mut |_| {})
    }

    /// Works as [`Self::begin`], and reports to `waiting` how long another program has kept the database locked.
    pub(super) fn begin_patiently<'c>(
        &self,
        connection: &'c Connection,
        waiting: &mut dyn FnMut(Duration),
    ) -> Result<Transaction<'c>> {
        let began = Instant::now();
        let mut reported = Duration::ZERO;
        // Each try waits for the connection's busy timeout.
        let transaction = loop {
            let tried = Transaction::new_unchecked(connection, TransactionBehavior::Immediate);
            match tried.map_err(doing("beginning")) {
                Err(StoreError::Locked { .. }) if began.elapsed() < PATIENCE => {}
                Ok(transaction) if self.log_shrank() => {
                    drop(transaction);
                    self.check()?;
                    self.prove_log(connection)?;
                    continue;
                }
                tried => break tried?,
            }
            let waited = began.elapsed();
            if waited >= reported + REPORT_EVERY {
                reported = waited;
                waiting(waited);
            }
        };
        self.check()?;
        let owner: Option<Vec<u8>> = transaction
            .prepare_cached("SELECT owner FROM run")
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
            .map_err(doing("checking the owner"))?;
        if owner.as_deref() == Some(&self.token) {
            Ok(transaction)
        } else {
            Err(StoreError::Usurped)
        }
    }
}

/// Commits. Without a WAL, a reader blocks the commit, which is then repeated.
pub(super) fn commit(transaction: Transaction<'_>, what: &'static str) -> Result<()> {
    let began = Instant::now();
    // rusqlite's own commit would roll the transaction back if it is refused.
    loop {
        match transaction.execute_batch("COMMIT").map_err(doing(what)) {
            Err(StoreError::Locked { .. }) if began.elapsed() < PATIENCE => {}
            done => return done,
        }
    }
}

/// Returns device and inode of the file at this path.
fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}
