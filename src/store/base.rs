//! The folder against which names resolve, as it is stored.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::error::Result;
use super::statement::value;
use crate::paths::folder_of;

/// Returns the folder against which names resolve.
pub(super) fn base(connection: &Connection, database: &Path) -> Result<PathBuf> {
    let base: Vec<u8> = value(connection, "SELECT base FROM run", "reading the run")?;
    let base = Path::new(OsStr::from_bytes(&base));
    let folder = folder_of(database);
    // Drops the `.` of a base that is the database's own folder.
    Ok(folder.join(base).components().collect())
}
