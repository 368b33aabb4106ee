//! Names of the files beside a database.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::{Result, StoreError};
use crate::paths;

/// What comes between a database's name and the letters in the names of its rescue files.
pub(super) const RESCUE_INFIX: &str = ".rescue-";
/// How they end. Those of which something could not be used end with another word.
pub(super) const RESCUE_SUFFIX: &str = "jsonl";

/// Resolves the database's path, whether or not there is a file.
pub(super) fn resolve(database: &Path) -> Result<PathBuf> {
    paths::resolve(database).map_err(|source| StoreError::Unusable {
        path: database.to_owned(),
        source: source.into(),
    })
}

/// Returns the files that belong to a database and are not input of any run.
pub(super) fn own_files(database: &Path) -> Vec<PathBuf> {
    let mut files = vec![
        database.to_owned(),
        lock_file(database),
        fresh_file(database),
    ];
    files.extend(["-wal", "-shm", "-journal"].map(|suffix| with_suffix(database, suffix)));
    let folder = database.parent().unwrap_or(Path::new("/"));
    files.extend(rescue_files(folder, database));
    files
}

pub(super) fn lock_file(database: &Path) -> PathBuf {
    with_suffix(database, ".lock")
}

/// Where a database is built before it is moved into its place: hidden, and beside it.
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

/// The rescue files of a database of this name that are in a folder, with those that were kept for what could not be
/// used.
pub(super) fn rescue_files(folder: &Path, database: &Path) -> Vec<PathBuf> {
    let mut prefix = database.file_name().unwrap_or_default().to_owned();
    prefix.push(RESCUE_INFIX);
    let is_one = |name: &OsString| {
        let name = name.as_encoded_bytes();
        name.starts_with(prefix.as_encoded_bytes())
    };
    let entries = fs::read_dir(folder).into_iter().flatten();
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
    let mut files: Vec<PathBuf> = names.filter(is_one).map(|name| folder.join(name)).collect();
    files.sort_unstable();
    files
}
