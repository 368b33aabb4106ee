//! A look at a run: one snapshot, whoever writes meanwhile.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, Row};

use super::connection::{self, Mode};
use super::error::{Result, StoreError, doing};
use super::files::resolve;

/// A look at a run, in one snapshot.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    path: PathBuf,
}

impl Reader {
    /// Opens a run to look at it; everything read is of this one moment.
    ///
    /// # Errors
    ///
    /// The database is missing, not a run's, newer or damaged.
    pub fn open(database: &Path) -> Result<Self> {
        let path = resolve(database)?;
        let connection = connection::open(&path, Mode::Read)?;
        // The snapshot begins with the first read inside a transaction.
        connection
            .execute_batch("BEGIN")
            .and_then(|()| connection.query_row("SELECT 1 FROM run", [], |_| Ok(())))
            .map_err(doing("looking at the run"))?;
        Ok(Self { connection, path })
    }

    /// Where the database lies: absolute and resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn rows<E: From<StoreError>>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        each: &mut dyn FnMut(&Row<'_>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let mut statement = self
            .connection
            .prepare(sql)
            .map_err(doing("reading jobs"))?;
        let mut rows = statement.query(params).map_err(doing("reading jobs"))?;
        while let Some(row) = rows.next().map_err(doing("reading jobs"))? {
            each(row)?;
        }
        Ok(())
    }
}
