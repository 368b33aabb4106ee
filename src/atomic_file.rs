//! Writes files for people atomically: through a temporary file that replaces the target once it is complete and
//! synced.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use thiserror::Error;

use crate::job::FileName;
use crate::paths;

/// An error of writing a file.
#[derive(Debug, Error)]
pub enum FileError {
    /// The file cannot be written.
    #[error("cannot write {target}")]
    Write {
        /// The file, as messages name it.
        target: String,
        /// The cause.
        source: io::Error,
    },
    /// The target must not be replaced, such as a database.
    #[error("cannot write to {}: {reason}", FileName::from(.path.as_path()))]
    Target {
        /// The path as the user named it.
        path: PathBuf,
        /// The reason.
        reason: &'static str,
    },
}

/// Writes a file: `fill` fills a temporary file in the same folder, which replaces the target once it is synced. The new
/// file has the permissions of the old one, or those that the process gives to new files. `fill` writes directly to a
/// device or a pipe. No database is replaced, and no file of the run in `database`.
///
/// # Errors
///
/// The file cannot be written, or `fill` fails. A target file is then unchanged, unless only the final sync failed.
pub(crate) fn write<T, E: From<FileError>>(
    database: &Path,
    path: &Path,
    fill: impl FnOnce(&mut File) -> Result<T, E>,
) -> Result<T, E> {
    let target = Target::new(database, path)?;
    let failed = |source| target.failed(source);
    if path.is_dir() {
        return Err(target.refused("it is a folder").into());
    }
    if fs::metadata(&target.path).is_ok_and(|meta| !meta.is_file()) {
        // Renaming a file over a device or a pipe would destroy it.
        let mut device = OpenOptions::new()
            .write(true)
            .open(&target.path)
            .map_err(failed)?;
        return fill(&mut device);
    }
    let replaced = target.permissions();
    // Until it has the permissions of the old file, only its owner can read it.
    let mode = replaced.as_ref().map_or(0o666, |_| 0o600);
    let mut temporary = Temporary::beside(&target.path, |path| {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)
    })
    .map_err(failed)?;
    let filled = fill(&mut temporary.file)?;
    replaced
        .map_or(Ok(()), |mode| temporary.file.set_permissions(mode))
        .and_then(|()| temporary.file.sync_all())
        .and_then(|()| fs::rename(&temporary.path, &target.path))
        .map_err(failed)?;
    target.sync().map_err(failed)?;
    Ok(filled)
}

/// The target of a write.
pub(crate) struct Target<'p> {
    /// The path as the user named it.
    named: &'p Path,
    /// The absolute path with links resolved, so that a link stays and its target is replaced.
    pub(crate) path: PathBuf,
}

impl<'p> Target<'p> {
    /// Resolves a path, and checks that it is neither a file of the run in `database` nor another database.
    pub(crate) fn new(database: &Path, named: &'p Path) -> Result<Self, FileError> {
        let mut target = Self {
            named,
            path: PathBuf::new(),
        };
        if named.file_name().is_none() {
            return Err(target.refused("it has no name"));
        }
        target.path = paths::resolve(named).map_err(|error| target.failed(error))?;
        if is_of_run(&target.path, database) {
            return Err(target.refused("it belongs to the run's database"));
        }
        if paths::is_database(&target.path) {
            return Err(target.refused("it is a database"));
        }
        Ok(target)
    }

    /// Returns the permissions of the file or folder to be replaced, if there is one.
    pub(crate) fn permissions(&self) -> Option<Permissions> {
        let meta = fs::metadata(&self.path).ok()?;
        Some(Permissions::from_mode(meta.permissions().mode() & 0o777))
    }

    pub(crate) fn refused(&self, reason: &'static str) -> FileError {
        FileError::Target {
            path: self.named.to_owned(),
            reason,
        }
    }

    pub(crate) fn failed(&self, source: io::Error) -> FileError {
        FileError::Write {
            target: FileName::from(self.named).to_string(),
            source,
        }
    }

    /// Syncs the target's folder, which makes the rename durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        File::open(paths::folder_of(&self.path))?.sync_all()
    }
}

/// Returns whether a file is the database, one of SQLite's or stride's files beside it, or a rescue file of the run in
/// any folder.
fn is_of_run(target: &Path, database: &Path) -> bool {
    let name = |path: &Path| path.file_name().map(|name| name.as_bytes().to_owned());
    let (Some(own), Some(database_name)) = (name(target), name(database)) else {
        return false;
    };
    let rest = own.strip_prefix(&*database_name);
    if rest.is_some_and(|rest| rest.starts_with(b".rescue-")) {
        return true;
    }
    let is_beside = target.parent() == database.parent();
    let is_fresh = own == [b".", &*database_name, b".new"].concat();
    let ends = ["", "-wal", "-shm", "-journal", ".lock"];
    let is_own = |rest: &[u8]| ends.iter().any(|end| rest == end.as_bytes());
    is_beside && (is_fresh || rest.is_some_and(is_own))
}

/// Returns the prefix of the hidden temporary files and folders for `target`.
fn prefix(target: &Path) -> OsString {
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(".stride-");
    name
}

/// The number of hexadecimal digits at the end of a temporary name.
const DIGITS: usize = 16;

/// Removes the temporary files and folders for `target` that are not locked, because their processes were killed.
fn remove_stale(target: &Path) {
    let Ok(entries) = fs::read_dir(paths::folder_of(target)) else {
        return;
    };
    let prefix = prefix(target);
    let is_ours = |name: &OsStr| {
        let digits = name.as_bytes().strip_prefix(prefix.as_bytes());
        digits.is_some_and(|digits| {
            digits.len() == DIGITS && digits.iter().all(u8::is_ascii_hexdigit)
        })
    };
    for entry in entries
        .flatten()
        .filter(|entry| is_ours(&entry.file_name()))
    {
        let path = entry.path();
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path);
        if opened.is_ok_and(|file| file.try_lock().is_ok()) {
            remove(&path);
        }
    }
}

/// A temporary file or folder, which is removed on drop unless it was renamed.
///
/// It has a random name, and its process holds a lock on it. A process id in the name is not enough: two containers
/// that share a folder may have the same.
pub(crate) struct Temporary {
    pub(crate) path: PathBuf,
    /// The file, or the open folder. Holds the lock.
    pub(crate) file: File,
}

impl Temporary {
    /// Creates a temporary file or folder beside `target` with `make`, which also opens it. Removes stale ones.
    pub(crate) fn beside(
        target: &Path,
        make: impl Fn(&Path) -> io::Result<File>,
    ) -> io::Result<Self> {
        remove_stale(target);
        loop {
            let mut name = prefix(target);
            name.push(format!("{:0DIGITS$x}", fastrand::u64(..)));
            let path = target.with_file_name(name);
            let file = make(&path)?;
            let temporary = Self { path, file };
            // On a file system without locks, `remove_stale` gets none either and removes nothing.
            let _ = temporary.file.lock();
            // Another process may have removed it as stale before it was locked.
            if temporary.path.symlink_metadata().is_ok() {
                return Ok(temporary);
            }
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After the rename, nothing has this name.
        remove(&self.path);
    }
}

/// Removes a temporary file or folder. Ignores failure, because a leftover is harmless.
pub(crate) fn remove(path: &Path) {
    let _ = match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        _ => fs::remove_file(path),
    };
}
