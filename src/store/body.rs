//! Bodies on their way into the database: one that is in a file is not brought into memory for it.

use std::io;

use rusqlite::Connection;
use rusqlite::types::{ToSql, ToSqlOutput};

use super::StoreError;
use super::connection::doing;
use super::error::Result;
use crate::job::Body;

/// What of a body is inserted with its row: all of it, or zeros in its place, where it is in a file.
pub(super) struct Inserted<'b>(pub(super) &'b Body);

impl ToSql for Inserted<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0.in_memory() {
            Some(bytes) => ToSqlOutput::from(bytes),
            None => ToSqlOutput::ZeroBlob(self.0.len()),
        })
    }
}

/// A table with bodies.
#[derive(Debug, Clone, Copy)]
pub(super) enum Table {
    Result,
    Refused,
}

/// Puts the body of a job's row, which was [`Inserted`] in the same transaction, in the place of the zeros.
pub(super) fn fill(connection: &Connection, table: Table, job: i64, body: &Body) -> Result<()> {
    if body.in_memory().is_some() {
        return Ok(());
    }
    let table = match table {
        Table::Result => "result",
        Table::Refused => "refused",
    };
    let mut blob = connection
        .blob_open("main", table, "body", job, false)
        .map_err(doing("storing a large answer"))?;
    io::copy(&mut body.reader(), &mut blob).map_err(|error| StoreError::Failed {
        doing: "storing a large answer",
        source: error.into(),
    })?;
    // What is written last is written here at the latest.
    blob.close().map_err(doing("storing a large answer"))
}
