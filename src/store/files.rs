//! Names of the files beside a database.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::{Result, StoreError, unusable};
use super::location::Location;
use crate::paths;

/// Separates the database's name from random letters in a rescue file's name.
pub(super) const RESCUE_INFIX: &str = ".rescue-";
/// Extension of rescue files that were not imported.
pub(super) const RESCUE_SUFFIX: &str = "db";

/// Resolves the database's path, whether or not there is a file.
pub(super) fn resolve(location: &Location) -> Result<PathBuf> {
    let file = location.file();
    paths::resolve(file).map_err(unusable(file))
}

/// Returns the files that belong to a database and are not input of any run.
pub(super) fn own_files(database: &Path) -> Vec<PathBuf> {
    let mut files = vec![
        database.to_owned(),
        lock_file(database),
        fresh_file(database),
    ];
    files.extend(["-wal", "-shm", "-journal"].map(|suffix| with_suffix(database, suffix)));
    let folder = paths::folder_of(database);
    files.extend(rescue_files(folder, database));
    files
}

/// Returns the existing files of a database: itself, its WAL, its shared memory, its rollback journal and its lock. Rescue
/// files and the folder for results are not among them.
pub fn database_files(location: impl Into<Location>) -> Vec<PathBuf> {
    let Ok(database) = resolve(&location.into()) else {
        return Vec::new();
    };
    let beside = ["", "-wal", "-shm", "-journal", ".lock"];
    let mut files: Vec<PathBuf> = beside.map(|end| with_suffix(&database, end)).into();
    files.retain(|file| file.symlink_metadata().is_ok());
    files
}

/// Returns true if a WAL or a rollback journal beside the database is not empty.
pub(super) fn has_log(database: &Path) -> bool {
    let is_in_use = |end| fs::metadata(with_suffix(database, end)).is_ok_and(|meta| meta.len() > 0);
    ["-wal", "-journal"].into_iter().any(is_in_use)
}

/// Refuses a path for a new database beside which an earlier one has left its log. SQLite would write the old pages into
/// the new database.
pub(super) fn refuse_left(database: &Path) -> Result<()> {
    if !has_log(database) {
        return Ok(());
    }
    let mut left: Vec<PathBuf> = ["-wal", "-journal", "-shm"]
        .map(|end| with_suffix(database, end))
        .into();
    left.retain(|file| file.symlink_metadata().is_ok());
    match left.is_empty() {
        true => Ok(()),
        false => Err(StoreError::Left(left)),
    }
}

pub(super) fn lock_file(database: &Path) -> PathBuf {
    with_suffix(database, ".lock")
}

/// Returns the hidden path beside a database at which it is built.
pub(super) fn fresh_file(database: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(database.file_name().unwrap_or_default());
    name.push(".new");
    database.with_file_name(name)
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Returns all rescue files of databases of this name in a folder, unfinished and partly imported ones too.
pub fn rescue_files(folder: &Path, database: &Path) -> Vec<PathBuf> {
    let mut prefix = database.file_name().unwrap_or_default().to_owned();
    prefix.push(RESCUE_INFIX);
    let is_one = |name: &OsString| {
        let name = name.as_encoded_bytes();
        let name = name.strip_prefix(b".").unwrap_or(name);
        name.starts_with(prefix.as_encoded_bytes())
    };
    let entries = fs::read_dir(folder).into_iter().flatten();
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
    let mut files: Vec<PathBuf> = names.filter(is_one).map(|name| folder.join(name)).collect();
    files.sort_unstable();
    files
}
