//! Writes files for people atomically: through a temporary file that replaces the target once it is complete and
//! synced.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::job::FileName;
use crate::paths;

/// The reason why a file was not written.
#[derive(Debug)]
pub(crate) enum AtomicFileError {
    /// It cannot be written.
    Write {
        /// Its name, for people.
        target: String,
        /// Why.
        source: io::Error,
    },
    /// It is a file of the run itself, or not a file.
    Target {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
}

/// Writes a file: a temporary one in the same folder is filled, and takes the file's place when it is whole and
/// synced. The new file is readable by its owner alone. A device or a pipe is filled as it is. `database` is the run's,
/// which is never written to.
///
/// # Errors
///
/// It cannot be written, or whatever `fill` returns; then the old file, or its absence, is untouched.
pub(crate) fn write<T, E: From<AtomicFileError>>(
    database: &Path,
    path: &Path,
    fill: impl FnOnce(&mut File) -> Result<T, E>,
) -> Result<T, E> {
    let place = Place::of(database, path)?;
    let failed = |source| place.failed(source);
    if path.is_dir() {
        return Err(place.refused("it is a folder").into());
    }
    if fs::metadata(&place.target).is_ok_and(|meta| !meta.is_file()) {
        // A device or a pipe takes what is written to it; putting a file in its place would destroy it.
        let mut device = OpenOptions::new()
            .write(true)
            .open(&place.target)
            .map_err(failed)?;
        return fill(&mut device);
    }
    remove_stale(&place.target);
    let mut temporary = Temporary::beside(&place.target, |path| {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
    })
    .map_err(failed)?;
    let filled = fill(&mut temporary.file)?;
    temporary
        .file
        .sync_all()
        .and_then(|()| fs::rename(&temporary.path, &place.target))
        .map_err(failed)?;
    place.sync().map_err(failed)?;
    Ok(filled)
}

/// Where something goes that is made from a run.
pub(crate) struct Place<'p> {
    named: &'p Path,
    /// Absolute, with links resolved: what a link points to is replaced, and not the link.
    pub(crate) target: PathBuf,
}

impl<'p> Place<'p> {
    /// The place of this name, which is none of the files of the run in `database`.
    pub(crate) fn of(database: &Path, named: &'p Path) -> Result<Self, AtomicFileError> {
        let mut place = Self {
            named,
            target: PathBuf::new(),
        };
        if named.file_name().is_none() {
            return Err(place.refused("it has no name"));
        }
        place.target = paths::resolve(named).map_err(|error| place.failed(error))?;
        match is_of_run(&place.target, database) {
            true => Err(place.refused("it belongs to the run's database")),
            false => Ok(place),
        }
    }

    pub(crate) fn refused(&self, reason: &'static str) -> AtomicFileError {
        AtomicFileError::Target {
            path: self.named.to_owned(),
            reason,
        }
    }

    pub(crate) fn failed(&self, source: io::Error) -> AtomicFileError {
        AtomicFileError::Write {
            target: FileName::from(self.named).to_string(),
            source,
        }
    }

    /// Syncs the folder that it lies in, so that it stays there.
    pub(crate) fn sync(&self) -> io::Result<()> {
        File::open(self.target.parent().unwrap_or(Path::new("/")))?.sync_all()
    }
}

/// Whether a file is a database, lies beside it under its name, or has answers of its run that could not be recorded,
/// wherever it lies.
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

/// The beginning of the names of temporary files and folders of writes to `target`: hidden, and beside it.
fn prefix(target: &Path) -> OsString {
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(".stride-");
    name
}

/// How many digits a temporary name ends with.
const DIGITS: usize = 16;

/// Removes the temporary files and folders of writes to `target` whose lock is free: their processes were killed.
pub(crate) fn remove_stale(target: &Path) {
    let Some(entries) = target.parent().and_then(|folder| fs::read_dir(folder).ok()) else {
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

/// A file or a folder that is removed unless it has been moved into its place.
///
/// Its name is random, and its writer holds a lock on it. Process numbers would not do: two containers that share a folder
/// may have the same.
pub(crate) struct Temporary {
    pub(crate) path: PathBuf,
    /// The file, or the open folder. Holds the lock.
    pub(crate) file: File,
}

impl Temporary {
    /// Makes one beside `target`, by `make`, which opens what it makes.
    pub(crate) fn beside(
        target: &Path,
        make: impl Fn(&Path) -> io::Result<File>,
    ) -> io::Result<Self> {
        loop {
            let mut name = prefix(target);
            name.push(format!("{:0DIGITS$x}", fastrand::u64(..)));
            let path = target.with_file_name(name);
            let file = make(&path)?;
            let temporary = Self { path, file };
            // On a file system without locks, `remove_stale` gets none either, and so removes nothing.
            let _ = temporary.file.lock();
            // Before that, another process may have taken it for stale.
            if temporary.path.symlink_metadata().is_ok() {
                return Ok(temporary);
            }
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After the rename there is nothing of this name.
        remove(&self.path);
    }
}

/// Removes a file or a folder of ours. Ignores failure: a leftover file is harmless.
pub(crate) fn remove(path: &Path) {
    let _ = match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        _ => fs::remove_file(path),
    };
}
