//! Filling a new run: all rows first, and the indexes over them in one pass each when they are there.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Statement, params};

use super::bits::Bits;
use super::error::{Result, doing};
use super::values::path_to_sql;
use crate::job::FileName;

/// What the sorter of SQLite and its cache may each have, in KiB. Ten million names of usual length are then sorted
/// in runs that are merged at once; SQLite merges at most sixteen.
const SORTING: i64 = 40 << 10;

/// The rows of a run that nobody has seen yet.
#[derive(Debug)]
pub(super) struct Bulk<'c> {
    connection: &'c Connection,
    folder: &'c Path,
    insert: Statement<'c>,
    describe: Statement<'c>,
    /// The statements that make the indexes again.
    indexes: Vec<String>,
    rows: i64,
    has_columns: bool,
}

impl<'c> Bulk<'c> {
    /// Begins with a run without jobs, in the transaction that makes it. What does not fit into memory goes into
    /// `folder` for as long as it is needed.
    pub(super) fn begin(connection: &'c Connection, folder: &'c Path) -> rusqlite::Result<Self> {
        // The index of the names is the first to be made: it finds the duplicates.
        let indexes = connection
            .prepare(
                "SELECT sql FROM sqlite_schema WHERE name IN ('job_path', 'work_open')
                 ORDER BY name <> 'job_path'",
            )?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        connection.execute_batch("DROP INDEX job_path; DROP INDEX work_open;")?;
        Ok(Self {
            connection,
            folder,
            insert: connection.prepare("INSERT INTO job (id, path) VALUES (?1, ?2)")?,
            describe: connection.prepare("INSERT INTO columns (job, fields) VALUES (?1, ?2)")?,
            indexes,
            rows: 0,
            has_columns: false,
        })
    }

    /// Adds a name, whether or not it is there.
    pub(super) fn add(&mut self, name: &FileName, columns: Option<&str>) -> Result<()> {
        let job = self.rows;
        self.insert
            .execute(params![job, path_to_sql(name)])
            .map_err(doing("adding a name"))?;
        self.rows += 1;
        if let Some(columns) = columns {
            self.has_columns = true;
            self.describe
                .execute(params![job, columns])
                .map_err(doing("adding a job's columns"))?;
        }
        Ok(())
    }

    /// Takes out what is there more than once, and makes the indexes. Says how many rows there are, and how many
    /// were taken out. `sync` begins to sync what is written.
    pub(super) fn finish(self, sync: impl FnOnce()) -> Result<(u64, u64)> {
        let Self {
            connection,
            folder,
            insert,
            describe,
            indexes,
            rows,
            has_columns,
        } = self;
        drop((insert, describe));
        let sorting = Sorting::into(connection, folder).map_err(doing("sorting the list"))?;
        // The disk takes the rows while the processor sorts: in the end they have to be synced.
        sync();
        let (mut duplicates, mut is_queued) = (0, false);
        for index in &indexes {
            match connection.execute_batch(index) {
                // A list without duplicates is sorted once; only one that has some is gone through for them.
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                    let twice = twice(connection).map_err(doing("looking for duplicates"))?;
                    duplicates = take_out(connection, &twice, rows, has_columns)
                        .map_err(doing("taking duplicates out"))?;
                    connection.execute_batch(index)
                }
                made => made,
            }
            .map_err(doing("sorting the list"))?;
            if !is_queued {
                connection
                    .execute("INSERT INTO work (job) SELECT id FROM job", [])
                    .map_err(doing("queueing the list"))?;
                is_queued = true;
            }
        }
        drop(sorting);
        Ok((rows.unsigned_abs() - duplicates, duplicates))
    }
}

/// The rows whose names are those of earlier ones.
fn twice(connection: &Connection) -> rusqlite::Result<Bits> {
    let mut found = Bits::default();
    let mut statement = connection.prepare("SELECT path, id FROM job ORDER BY path, id")?;
    let mut rows = statement.query([])?;
    // A name is text or a blob by its bytes, so those alone tell names apart.
    let mut last = Vec::new();
    while let Some(row) = rows.next()? {
        let (ValueRef::Text(name) | ValueRef::Blob(name)) = row.get_ref(0)? else {
            continue;
        };
        if name == last {
            found.insert(row.get(1)?);
        } else {
            last.clear();
            last.extend_from_slice(name);
        }
    }
    Ok(found)
}

/// Deletes these rows, and closes the gaps between the ids of the others.
fn take_out(
    connection: &Connection,
    twice: &Bits,
    rows: i64,
    has_columns: bool,
) -> rusqlite::Result<u64> {
    let mut columns = connection.prepare("DELETE FROM columns WHERE job = ?1")?;
    let mut delete = connection.prepare("DELETE FROM job WHERE id = ?1")?;
    // A job and its columns move one after the other.
    connection.execute_batch("PRAGMA defer_foreign_keys = ON")?;
    let mut place = connection.prepare("UPDATE job SET id = ?2 WHERE id = ?1")?;
    let mut follow = connection.prepare("UPDATE columns SET job = ?2 WHERE job = ?1")?;
    let mut gone = 0;
    for job in 0..rows {
        if twice.contains(job) {
            if has_columns {
                columns.execute([job])?;
            }
            gone += delete.execute([job])?;
        } else if gone > 0 {
            let id = job - gone as i64;
            place.execute([job, id])?;
            if has_columns {
                follow.execute([job, id])?;
            }
        }
    }
    Ok(gone as u64)
}

/// As long as it lives, what SQLite sorts may have much memory, and goes on in a folder of ours: the temporary folder
/// of the system may be small or in memory. SQLite's temporary files have mode 0600, and no names, or lose them as soon as
/// they are made: a kill leaves nothing of them.
struct Sorting<'c> {
    connection: &'c Connection,
    before: String,
    /// SQLite has one such folder for the whole process, and no other way to choose one for a connection. Other
    /// connections of the process use it meanwhile; a list is only sorted while a run is made or grows.
    _alone: MutexGuard<'static, ()>,
}

static SORTS: Mutex<()> = Mutex::new(());

impl<'c> Sorting<'c> {
    fn into(connection: &'c Connection, folder: &Path) -> rusqlite::Result<Self> {
        let alone = SORTS.lock().unwrap_or_else(PoisonError::into_inner);
        let before = connection
            .pragma_query_value(None, "temp_store_directory", |row| row.get(0))
            .optional()?
            .unwrap_or_default();
        // Statements are text, and this one is the only way to say it.
        match folder.to_str() {
            Some(folder) => connection.pragma_update(None, "temp_store_directory", folder)?,
            None => connection.pragma_update(None, "temp_store", "MEMORY")?,
        }
        // What of the rows is in memory and written makes room.
        connection.execute_batch("PRAGMA shrink_memory")?;
        connection.pragma_update(None, "cache_size", -SORTING)?;
        Ok(Self {
            connection,
            before,
            _alone: alone,
        })
    }
}

impl Drop for Sorting<'_> {
    fn drop(&mut self) {
        // It was a folder before, or none was said.
        let _ = self
            .connection
            .pragma_update(None, "temp_store_directory", &self.before);
    }
}
