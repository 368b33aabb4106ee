//! A database of one plain table, for other programs: nothing of a run is in it. It is made here because this is where
//! SQLite is; what its columns mean is its maker's.

use std::borrow::Cow;
use std::io::{self, ErrorKind};
use std::path::Path;

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, params_from_iter};

/// What stands in a column of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'c> {
    /// Nothing.
    Null,
    /// A whole number.
    Integer(i64),
    /// Another number.
    Real(f64),
    /// Text.
    Text(Cow<'c, str>),
    /// Bytes.
    Bytes(Cow<'c, [u8]>),
}

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// A table under construction, in a file that nobody else knows: until it is finished it is nothing, for there is no
/// journal from which half of it could be undone.
#[derive(Debug)]
pub struct TableFile {
    connection: Connection,
    insert: String,
}

impl TableFile {
    /// Makes the table in a file that is there and empty. `columns` are names with their types, as SQL has them.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn create(file: &Path, name: &str, columns: &[String]) -> io::Result<Self> {
        let create = || -> rusqlite::Result<Connection> {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(file, flags)?;
            connection.execute_batch(
                "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE",
            )?;
            let columns = columns.join(", ");
            connection.execute_batch(&format!("CREATE TABLE {name} ({columns}) STRICT"))?;
            Ok(connection)
        };
        let marks = vec!["?"; columns.len()].join(", ");
        Ok(Self {
            connection: create().map_err(failed)?,
            insert: ["INSERT INTO ", name, " VALUES (", &marks, ")"].concat(),
        })
    }

    /// Adds a row, a cell for each column.
    ///
    /// # Errors
    ///
    /// The file cannot be written, or a cell is not of its column's type.
    pub fn insert<'c>(&mut self, cells: impl Iterator<Item = Cell<'c>>) -> io::Result<()> {
        let insert = || {
            let mut statement = self.connection.prepare_cached(&self.insert)?;
            statement.execute(params_from_iter(cells))
        };
        insert().map(drop).map_err(failed)
    }

    /// Writes what is not written yet, and closes the file. It is not synced.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn finish(self) -> io::Result<()> {
        self.connection.execute_batch("COMMIT").map_err(failed)?;
        self.connection.close().map_err(|(_, error)| failed(error))
    }
}

fn failed(error: rusqlite::Error) -> io::Error {
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => ErrorKind::StorageFull,
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, error)
}
