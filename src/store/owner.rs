//! Whose database it is, asked at the beginning of every write: is this still the file of that name, and has
//! nobody else put their token in it?

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::error::{Result, StoreError, doing};
use super::files::with_suffix;
use super::system::random;

/// The claim of one writer on a database.
#[derive(Debug)]
pub(super) struct Owner {
    path: PathBuf,
    /// Device and inode of the open database.
    file: (u64, u64),
    /// Those of the files beside it, where it has any: its log, and the log's index.
    beside: Vec<(PathBuf, (u64, u64))>,
    /// How long the log was when it was looked at last, in bytes.
    log: Cell<u64>,
    token: [u8; 16],
}

/// How long somebody else may keep the database locked.
const PATIENCE: Duration = Duration::from_secs(30);
/// From when on, and how often, it is told that one waits.
const TELL_EVERY: Duration = Duration::from_secs(5);

impl Owner {
    /// Takes an open database over. Whoever had it before finds out in their next transaction.
    pub(super) fn take(connection: &Connection, path: &Path) -> Result<Self> {
        let token = random();
        connection
            .execute("UPDATE run SET owner = ?1", [token])
            .map_err(doing("taking the run over"))?;
        let path = path.to_owned();
        // They are there as long as any connection is, and this was a write.
        let beside = ["-wal", "-shm"].map(|suffix| with_suffix(&path, suffix));
        let beside = beside.into_iter();
        let beside = beside.filter_map(|path| identity(&path).map(|file| (path, file)));
        let beside = beside.collect();
        match identity(&path) {
            Some(file) => Ok(Self {
                path,
                file,
                beside,
                log: Cell::default(),
                token,
            }),
            None => Err(StoreError::Gone { path }),
        }
    }

    /// Checks that the database and the files beside it are those that were opened.
    ///
    /// SQLite itself does not notice that one was deleted or moved, and would go on committing into a file without a
    /// name, or into a log that nobody will find; a look at the names costs a few microseconds.
    fn check(&self) -> Result<()> {
        let ours = std::iter::once((&self.path, self.file));
        let beside = self.beside.iter().map(|(path, file)| (path, *file));
        for (path, file) in ours.chain(beside) {
            if identity(path) != Some(file) {
                return Err(StoreError::Gone { path: path.clone() });
            }
        }
        Ok(())
    }

    /// Returns whether the log has become shorter since the last look. A checkpoint may do that; so may somebody who cuts
    /// off what is not in the database yet.
    fn log_shrank(&self) -> bool {
        let log = self
            .beside
            .first()
            .and_then(|(path, _)| path.metadata().ok());
        let length = log.map_or(0, |meta| meta.len());
        length < self.log.replace(length)
    }

    /// Folds the log in, which fails where a part of it is missing.
    fn prove_log(&self, connection: &Connection) -> Result<()> {
        let folded = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        folded.map_err(|_| StoreError::Cut {
            path: with_suffix(&self.path, "-wal"),
        })
    }

    /// Begins a write transaction, after which nobody else can write until it ends. It is rolled back where it
    /// is dropped uncommitted.
    pub(super) fn begin<'c>(&self, connection: &'c Connection) -> Result<Transaction<'c>> {
        self.begin_patiently(connection, &mut |_| {})
    }

    /// The same, where `waiting` is told now and then for how long somebody else has had the database locked.
    pub(super) fn begin_patiently<'c>(
        &self,
        connection: &'c Connection,
        waiting: &mut dyn FnMut(Duration),
    ) -> Result<Transaction<'c>> {
        let began = Instant::now();
        let mut told = Duration::ZERO;
        // Each try waits as long as the connection's own patience.
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
            if waited >= told + TELL_EVERY {
                told = waited;
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

/// Commits, and waits for readers where there is no log: there a read that is under way keeps a commit from beginning.
pub(super) fn commit(transaction: Transaction<'_>, what: &'static str) -> Result<()> {
    let began = Instant::now();
    // A commit that was refused can be repeated; SQLite's driver would roll the transaction back.
    loop {
        match transaction.execute_batch("COMMIT").map_err(doing(what)) {
            Err(StoreError::Locked { .. }) if began.elapsed() < PATIENCE => {}
            done => return done,
        }
    }
}

/// Which file has this name.
fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}
