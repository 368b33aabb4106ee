//! Files for people, made from a run: whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::job::FileName;

/// Why a file was not written.
#[derive(Debug)]
pub(crate) enum WholeError {
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
/// synced. The new file is readable by its owner alone. A device or a pipe is filled as it is. `database` is the
/// run's, which is never written to.
///
/// # Errors
///
/// It cannot be written, or whatever `fill` returns; then the old file, or its absence, is untouched.
pub(crate) fn write<T, E: From<WholeError>>(
    database: &Path,
    path: &Path,
    fill: impl FnOnce(&mut File) -> Result<T, E>,
) -> Result<T, E> {
    let refused = |reason| WholeError::Target {
        path: path.to_owned(),
        reason,
    };
    let failed = |source| WholeError::Write {
        target: FileName::from(path).to_string(),
        source,
    };
    let name = path.file_name().ok_or_else(|| refused("it has no name"))?;
    if path.is_dir() {
        return Err(refused("it is a folder").into());
    }
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let folder = fs::canonicalize(folder).map_err(failed)?;
    // A link is followed, so that what it points to is replaced and not the link.
    let target = fs::canonicalize(path).unwrap_or_else(|_| folder.join(name));
    if is_of_run(&target, database) {
        return Err(refused("it belongs to the run's database").into());
    }
    if fs::metadata(&target).is_ok_and(|meta| !meta.is_file()) {
        // A device or a pipe takes what is written to it; putting a file in its place would destroy it.
        let mut device = OpenOptions::new()
            .write(true)
            .open(&target)
            .map_err(failed)?;
        return fill(&mut device);
    }
    remove_stale(&target);
    let temporary = Temporary(temporary_name(&target, std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary.0)
        .map_err(failed)?;
    let filled = fill(&mut file)?;
    file.sync_all()
        .and_then(|()| fs::rename(&temporary.0, &target))
        .map_err(failed)?;
    let folder = target.parent().unwrap_or(&folder);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed)?;
    Ok(filled)
}

/// Whether a file is a database or lies beside it under its name.
fn is_of_run(target: &Path, database: &Path) -> bool {
    let (target, database) = (
        target.as_os_str().as_bytes(),
        database.as_os_str().as_bytes(),
    );
    target.strip_prefix(database).is_some_and(|rest| {
        ["", "-wal", "-shm", "-journal", ".lock"]
            .iter()
            .any(|own| rest == own.as_bytes())
    })
}

/// The temporary file of a write to `target`: hidden, beside it, and with the process in its name, so that
/// two writes to one file do not meet in it.
fn temporary_name(target: &Path, process: u32) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(format!(".stride-{process}"));
    target.with_file_name(name)
}

/// Removes the temporary files of writes to `target` whose process was killed, or had this one's number.
fn remove_stale(target: &Path) {
    let Some(entries) = target.parent().and_then(|folder| fs::read_dir(folder).ok()) else {
        return;
    };
    let prefix = temporary_name(target, 0);
    let prefix = prefix.file_name().unwrap_or_default().as_bytes();
    let prefix = &prefix[..prefix.len() - 1];
    for entry in entries.flatten() {
        let name = entry.file_name();
        let process = name
            .as_bytes()
            .strip_prefix(prefix)
            .and_then(|number| std::str::from_utf8(number).ok());
        let Some(process) = process.and_then(|number| number.parse::<i32>().ok()) else {
            continue;
        };
        let gone = rustix::process::Pid::from_raw(process).is_none_or(|pid| {
            rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
        });
        if gone || process.unsigned_abs() == std::process::id() {
            // What cannot be removed is in nobody's way but the eye's.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A file that is removed unless it has been moved into its place.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // After the rename there is nothing of this name.
        let _ = fs::remove_file(&self.0);
    }
}
