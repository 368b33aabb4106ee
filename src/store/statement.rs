//! Short forms of frequent statements.

use std::fmt;

use rusqlite::types::FromSql;
use rusqlite::{CachedStatement, Connection, Params, Row};

use super::error::{Result, doing};

/// Reads the value of a statement that returns one.
pub(super) fn value<T: FromSql>(
    connection: &Connection,
    sql: &str,
    what: &'static str,
) -> Result<T> {
    connection
        .query_row(sql, [], |row| row.get(0))
        .map_err(doing(what))
}

/// Reads all rows of a statement.
pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    what: &'static str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_map(params, read)?.collect())
        .map_err(doing(what))
}

/// Executes a statement and returns the number of changed rows.
pub(super) fn execute(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    what: &'static str,
) -> Result<usize> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(params))
        .map_err(doing(what))
}

/// A statement that is taken from the connection's cache at its first use. A lookup for each job of a transaction would
/// cost as much as executing a small statement.
pub(super) struct LazyStatement<'c> {
    connection: &'c Connection,
    sql: &'static str,
    statement: Option<CachedStatement<'c>>,
}

impl<'c> LazyStatement<'c> {
    pub(super) fn new(connection: &'c Connection, sql: &'static str) -> Self {
        Self {
            connection,
            sql,
            statement: None,
        }
    }

    /// Executes the statement and returns the number of changed rows.
    pub(super) fn execute(&mut self, params: impl Params, what: &'static str) -> Result<usize> {
        self.get()
            .and_then(|statement| statement.execute(params))
            .map_err(doing(what))
    }

    pub(super) fn get(&mut self) -> rusqlite::Result<&mut CachedStatement<'c>> {
        match &mut self.statement {
            Some(statement) => Ok(statement),
            none => Ok(none.insert(self.connection.prepare_cached(self.sql)?)),
        }
    }
}

impl fmt::Debug for LazyStatement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sql)
    }
}
