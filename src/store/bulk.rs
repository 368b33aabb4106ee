//! Fills a new run: first all rows, then each index in one pass.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Statement, params};

use super::bits::Bits;
use super::error::{Result, StoreError, doing};
use super::loaded::NewJob;
use super::values::{path_from_sql, path_to_sql};

/// Memory for SQLite's sorter and for its cache, in KiB. With it, ten million usual names are sorted in at most sixteen
/// runs, which SQLite merges in one pass.
const SORTING: i64 = 40 << 10;

/// Inserts the rows of a run that is not installed yet.
#[derive(Debug)]
pub(super) struct Bulk<'c> {
    pub(super) connection: &'c Connection,
    folder: &'c Path,
    insert: Statement<'c>,
    describe: Statement<'c>,
    /// The statements that create the dropped indexes.
    indexes: Vec<String>,
    rows: i64,
    has_columns: bool,
}

impl<'c> Bulk<'c> {
    /// Begins in the transaction that creates the run. Temporary files go into `folder`.
    pub(super) fn begin(connection: &'c Connection, folder: &'c Path) -> rusqlite::Result<Self> {
        // The index on names comes first, because it finds duplicates.
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
            insert: connection.prepare("INSERT INTO job (id, path, plain) VALUES (?1, ?2, ?3)")?,
            describe: connection
                .prepare("INSERT INTO columns (job, fields, input) VALUES (?1, ?2, ?3)")?,
            indexes,
            rows: 0,
            has_columns: false,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Adds a job, even a duplicate.
    pub(super) fn add(&mut self, job: &NewJob<'_>) -> Result<()> {
        let id = self.rows;
        let values = params![id, path_to_sql(job.name), job.key.map(path_to_sql)];
        self.insert
            .execute(values)
            .map_err(doing("adding a name"))?;
        self.rows += 1;
        if let Some(columns) = job.columns {
            self.has_columns = true;
            self.describe
                .execute(params![id, columns, job.file.map(path_to_sql)])
                .map_err(doing("adding a file's columns"))?;
        }
        Ok(())
    }

    /// Removes duplicates and creates the indexes. Returns the numbers of rows and of duplicates. `sync` begins to sync
    /// the rows.
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
        // Sync the rows while the processor sorts.
        sync();
        let (mut duplicates, mut is_queued) = (0, false);
        for index in &indexes {
            match connection.execute_batch(index) {
                // Only a list with duplicates is searched for them.
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                    let found = find_duplicates(connection, has_columns)?;
                    duplicates = remove(connection, &found, rows, has_columns)
                        .map_err(doing("removing duplicates"))?;
                    connection.execute_batch(index)
                }
                made => made,
            }
            .map_err(doing("sorting the list"))?;
            if !is_queued {
                connection
                    .execute("INSERT INTO work (job) SELECT id FROM job ORDER BY id", [])
                    .map_err(doing("queueing the list"))?;
                is_queued = true;
            }
        }
        drop(sorting);
        Ok((rows.unsigned_abs() - duplicates, duplicates))
    }
}

/// Returns the rows whose name an earlier row has.
///
/// # Errors
///
/// The columns of such a row differ from those of the earlier one.
fn find_duplicates(connection: &Connection, has_columns: bool) -> Result<Bits> {
    let (mut found, mut columns) = (Bits::default(), EqualColumns::new(connection)?);
    let what = "finding duplicates";
    let sql = "SELECT coalesce(plain, path), id FROM job ORDER BY 1, 2";
    let mut statement = connection.prepare(sql).map_err(doing(what))?;
    let mut rows = statement.query([]).map_err(doing(what))?;
    // Equal bytes have the same type: a name is text if and only if it is UTF-8.
    let (mut last, mut first) = (Vec::new(), 0);
    while let Some(row) = rows.next().map_err(doing(what))? {
        let id = row.get(1).map_err(doing(what))?;
        let Ok(ValueRef::Text(name) | ValueRef::Blob(name)) = row.get_ref(0) else {
            continue;
        };
        if name == last {
            if has_columns {
                columns.check(first, id)?;
            }
            found.insert(id);
        } else {
            last.clear();
            last.extend_from_slice(name);
            first = id;
        }
    }
    Ok(found)
}

/// Compares the columns of rows with one name.
struct EqualColumns<'c> {
    connection: &'c Connection,
    /// Returns the columns of the second row and whether those of the first are the same, or nothing if it has none.
    compare: Statement<'c>,
    /// Gives the columns of the second row to the first.
    pass: Statement<'c>,
}

impl<'c> EqualColumns<'c> {
    fn new(connection: &'c Connection) -> Result<Self> {
        let prepare = |sql| connection.prepare(sql).map_err(doing("comparing columns"));
        Ok(Self {
            connection,
            compare: prepare(
                "SELECT CASE WHEN first.job IS NOT NULL
                        THEN first.fields = second.fields AND first.input IS second.input END
                 FROM columns second LEFT JOIN columns first ON first.job = ?1 WHERE second.job = ?2",
            )?,
            pass: prepare("UPDATE columns SET job = ?1 WHERE job = ?2")?,
        })
    }

    /// Checks a row against the first of its name. A first one without columns gets those of the other.
    fn check(&mut self, first: i64, second: i64) -> Result<()> {
        let same: Option<Option<bool>> = self
            .compare
            .query_row([first, second], |row| row.get(0))
            .optional()
            .map_err(doing("comparing columns"))?;
        match same {
            None | Some(Some(true)) => Ok(()),
            Some(None) => {
                let passed = self.pass.execute([first, second]);
                passed.map(drop).map_err(doing("comparing columns"))
            }
            Some(Some(false)) => Err(self.conflict(first, second)),
        }
    }

    fn conflict(&self, first: i64, second: i64) -> StoreError {
        let sql = "SELECT path FROM job WHERE id = ?1";
        let path = self
            .connection
            .query_row(sql, [second], |row| path_from_sql(row, 0));
        match path {
            Ok(path) => StoreError::Conflict {
                path,
                rows: (first.unsigned_abs(), second.unsigned_abs()),
            },
            Err(error) => doing("comparing columns")(error),
        }
    }
}

/// Deletes these rows and closes the gaps in the ids of the others.
fn remove(
    connection: &Connection,
    duplicates: &Bits,
    rows: i64,
    has_columns: bool,
) -> rusqlite::Result<u64> {
    let mut columns = connection.prepare("DELETE FROM columns WHERE job = ?1")?;
    let mut delete = connection.prepare("DELETE FROM job WHERE id = ?1")?;
    // Between the updates of a job and of its columns, the foreign key is broken.
    connection.execute_batch("PRAGMA defer_foreign_keys = ON")?;
    let mut place = connection.prepare("UPDATE job SET id = ?2 WHERE id = ?1")?;
    let mut follow = connection.prepare("UPDATE columns SET job = ?2 WHERE job = ?1")?;
    let mut gone = 0;
    for job in 0..rows {
        if duplicates.contains(job) {
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

/// Gives SQLite's sorter more memory and this folder while it lives, because the system's temporary folder may be small or
/// in memory. SQLite unlinks its temporary files at once, so a kill leaves none.
struct Sorting<'c> {
    connection: &'c Connection,
    before: String,
    /// The folder is a setting of the whole process.
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
        // The pragma takes text only.
        match folder.to_str() {
            Some(folder) => connection.pragma_update(None, "temp_store_directory", folder)?,
            None => connection.pragma_update(None, "temp_store", "MEMORY")?,
        }
        // Free cached rows.
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
        // Ignore failure: the earlier value was valid.
        let _ = self
            .connection
            .pragma_update(None, "temp_store_directory", &self.before);
    }
}
