//! Whose database it is, asked at the beginning of every write: is this still the file of that name, and has
//! nobody else put their token in it?

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::connection::doing;
use super::error::Result;
use super::{StoreError, random};

/// The claim of one writer on a database.
#[derive(Debug)]
pub(super) struct Owner {
    path: PathBuf,
    /// Device and inode of the open database.
    file: (u64, u64),
    token: [u8; 16],
}

impl Owner {
    /// Takes an open database over. Whoever had it before finds out in their next transaction.
    pub(super) fn take(connection: &Connection, path: &Path) -> Result<Self> {
        let token = random();
        connection
            .execute("UPDATE run SET owner = ?1", [token])
            .map_err(doing("taking the run over"))?;
        let path = path.to_owned();
        match identity(&path) {
            Some(file) => Ok(Self { path, file, token }),
            None => Err(StoreError::Gone { path }),
        }
    }

    /// Begins a write transaction, after which nobody else can write until it ends. It is rolled back where it
    /// is dropped uncommitted.
    ///
    /// SQLite itself does not notice that its file was deleted or moved, and would go on committing into a file
    /// without a name; a look at the name costs a microsecond.
    pub(super) fn begin<'c>(&self, connection: &'c Connection) -> Result<Transaction<'c>> {
        if identity(&self.path) != Some(self.file) {
            return Err(StoreError::Gone {
                path: self.path.clone(),
            });
        }
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
            .map_err(doing("beginning"))?;
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

/// Which file has this name.
fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}
