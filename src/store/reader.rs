//! Reads a run in one snapshot, while others may write.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, Row};

use super::base::base;
use super::connection::{self, Mode};
use super::error::{Result, StoreError, doing};
use super::files::resolve;
use super::location::Location;

/// Reads a run in one snapshot, while others may write.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    path: PathBuf,
    base: Arc<Path>,
}

impl Reader {
    /// Opens a run and begins the snapshot.
    ///
    /// # Errors
    ///
    /// The database is missing, not a run's, newer or damaged.
    pub fn open(location: impl Into<Location>) -> Result<Self> {
        let path = resolve(&location.into())?;
        let connection = connection::open(&path, Mode::Read)?;
        // The first read in a transaction begins the snapshot.
        connection
            .execute_batch("BEGIN")
            .and_then(|()| connection.query_row("SELECT 1 FROM run", [], |_| Ok(())))
            .map_err(doing("reading the run"))?;
        let base = base(&connection, &path)?.into();
        Ok(Self {
            connection,
            path,
            base,
        })
    }

    /// Returns the database's path, absolute and resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the folder against which names resolve.
    pub(super) fn base(&self) -> &Arc<Path> {
        &self.base
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Passes on the rows of a statement without parameters.
    pub(super) fn each_row(
        &self,
        sql: &str,
        what: &'static str,
        mut each: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
    ) -> Result<()> {
        let mut read = || -> rusqlite::Result<()> {
            let mut statement = self.connection.prepare(sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                each(row)?;
            }
            Ok(())
        };
        read().map_err(doing(what))
    }

    /// Passes on the rows of a statement until `each` fails.
    pub(super) fn rows<E: From<StoreError>>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        each: &mut dyn FnMut(&Row<'_>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let mut statement = self
            .connection
            .prepare(sql)
            .map_err(doing("reading the list of files"))?;
        let mut rows = statement
            .query(params)
            .map_err(doing("reading the list of files"))?;
        while let Some(row) = rows.next().map_err(doing("reading the list of files"))? {
            each(row)?;
        }
        Ok(())
    }
}
