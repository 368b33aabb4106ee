//! Writes bodies into the database, streaming those in temporary files, and checks bodies that stay in files.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::{FromSql, ToSql, ToSqlOutput, ValueRef};

use super::error::{Result, StoreError, doing, failed};
use super::values::path_of;
use crate::job::{Body, Checksum, FileName};

/// A body as a value of an inserted row: its bytes, or zeros for [`fill`] to replace if it is in a file.
pub(super) struct Inserted<'b>(pub(super) &'b Body);

impl ToSql for Inserted<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0.in_memory() {
            Some(bytes) => ToSqlOutput::from(bytes),
            None => ToSqlOutput::ZeroBlob(self.0.len()),
        })
    }
}

/// A table with a column `body`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Table {
    Result,
    Refused,
    StepAnswer,
}

/// Replaces the zeros of a row that was [`Inserted`] in the same transaction.
pub(super) fn fill(connection: &Connection, table: Table, row: i64, body: &Body) -> Result<()> {
    if body.in_memory().is_some() {
        return Ok(());
    }
    let table = match table {
        Table::Result => "result",
        Table::Refused => "rejected_response",
        Table::StepAnswer => "step_answer",
    };
    let mut blob = connection
        .blob_open("main", table, "body", row, false)
        .map_err(doing("storing a large answer"))?;
    io::copy(&mut body.reader(), &mut blob).map_err(failed("storing a large answer"))?;
    // Closing writes the last page.
    blob.close().map_err(doing("storing a large answer"))
}

/// A result's body in a file of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filed {
    /// The file.
    pub path: FileName,
    /// Its size, in bytes.
    pub size: u64,
    /// The checksum of its bytes.
    pub sha256: Checksum,
}

impl Filed {
    /// Opens the file and checks its size and checksum.
    ///
    /// # Errors
    ///
    /// The file is missing, changed or unreadable.
    pub fn open(&self) -> io::Result<Body> {
        let wrong = |reason: String| Err(io::Error::new(ErrorKind::InvalidData, reason));
        // Opening a pipe must not block.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
            .open(self.path.as_path())?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return wrong("it is not a file".to_owned());
        }
        if meta.len() != self.size {
            let (size, len) = (self.size, meta.len());
            return wrong(format!("it has {len} bytes, and {size} were recorded"));
        }
        let path = self.path.as_path().to_owned();
        let body = Body::kept(file, self.size, path, self.sha256);
        if Checksum::of_all(&mut body.reader())? != self.sha256 {
            return wrong("its bytes are not those that were recorded".to_owned());
        }
        Ok(body)
    }

    /// Works as [`Filed::open`]; the error names the job.
    pub(super) fn open_for(&self, job: &FileName) -> Result<Body> {
        self.open().map_err(|source| StoreError::File {
            path: job.clone(),
            file: self.path.clone(),
            source,
        })
    }

    /// Reads these columns of a row: file, size and checksum. A relative path is below `base`. Returns `None` if the body is
    /// in the database.
    pub(super) fn from_columns(
        [path, size, sha256]: [ValueRef<'_>; 3],
        base: &Path,
    ) -> rusqlite::Result<Option<Self>> {
        if path == ValueRef::Null {
            return Ok(None);
        }
        Ok(Some(Self {
            path: FileName::from(&*base.join(path_of(path, 0)?.as_path())),
            size: u64::column_result(size)?,
            sha256: Checksum(<[u8; 32]>::column_result(sha256)?),
        }))
    }
}
