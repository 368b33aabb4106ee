//! Finds jobs by their names, and reads their rows.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _};

use super::base::base;
use super::error::{Result, doing, failed};
use super::reader::Reader;
use super::values::{optional_path, path_from_sql, path_to_sql};
use crate::job::{Columns, FileName, JobId};
use crate::paths::below;

/// Returns the job of a name: its identity, or its path as the list spelled it. With `reads_file`, any name with the same
/// cleaned spelling finds it, because the next calls read the file.
pub(super) fn find(
    connection: &Connection,
    name: &FileName,
    cleaned: Option<&FileName>,
    reads_file: bool,
) -> rusqlite::Result<Option<i64>> {
    let look = |name: &FileName| {
        let sql = "SELECT id, path FROM job WHERE coalesce(plain, path) = ?1";
        let mut statement = connection.prepare_cached(sql)?;
        let row = statement.query_row([path_to_sql(name)], |row| {
            Ok((row.get::<_, i64>(0)?, path_from_sql(row, 1)?))
        });
        row.optional()
    };
    if let Some((job, _)) = look(name)? {
        return Ok(Some(job));
    }
    let Some(cleaned) = cleaned else {
        return Ok(None);
    };
    let found = look(cleaned)?;
    Ok(found.and_then(|(job, path)| (reads_file || path == *name).then_some(job)))
}

/// Returns the job of a name that a person typed, also with `./` or `//` in it, or absolute.
pub(super) fn named(connection: &Connection, name: &FileName) -> Result<Option<i64>> {
    let find = |cleaned: Option<&FileName>| {
        find(connection, name, cleaned, true).map_err(doing("finding a name"))
    };
    let cleaned = name.cleaned();
    let found = find(cleaned.as_ref())?;
    let path = cleaned.as_ref().unwrap_or(name).as_path();
    if found.is_some() || path.is_relative() {
        return Ok(found);
    }
    let base = base(connection, Path::new(connection.path().unwrap_or_default()))?;
    find(Some(&below(&base, path).into()))
}

/// Reads the columns that a table gave a job, and the name of its file, if that is not the job's name.
pub(super) fn row(connection: &Connection, job: JobId) -> Result<(Columns, Option<FileName>)> {
    let sql = "SELECT fields, input FROM columns WHERE job = ?1";
    let row = connection.prepare_cached(sql).and_then(|mut statement| {
        let row = statement.query_row([job.0], |row| {
            Ok((row.get::<_, String>(0)?, optional_path(row, 1)?))
        });
        row.optional()
    });
    let Some((fields, file)) = row.map_err(doing("looking up a file's columns"))? else {
        return Ok(Default::default());
    };
    let columns = Columns::read(&fields).map_err(failed("reading a file's columns"))?;
    Ok((columns, file))
}

impl Reader {
    /// Returns a job's columns, and the name of its file, if that is not the job's name.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn row(&self, job: JobId) -> Result<(Columns, Option<FileName>)> {
        row(self.connection(), job)
    }

    /// Returns the job of this name, or of another spelling of it.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn job_named(&self, name: &FileName) -> Result<Option<JobId>> {
        Ok(named(self.connection(), name)?.map(JobId))
    }
}
