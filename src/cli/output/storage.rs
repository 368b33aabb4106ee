//! Errors of a run's storage and of its threads, for people.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use stride::engine::RunError;
use stride::job::FileName;
use stride::paths::{below, folder_of};
use stride::store::{StoreError, rescue_files};

use crate::cli::output::environment::state_folder;
use crate::cli::output::error::{CliError, command, quoted};
use crate::cli::output::{exit, lacking};

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Missing(path) => {
                let cli_error = saved_of(path).into_iter().fold(Self::of(exit::UNUSABLE, &error), Self::note);
                cli_error
                    .hint("use --db FILE with the run's database, or start a run with `stride run --url URL FILES`")
            }
            StoreError::Left(files) => Self::of(exit::UNUSABLE, &error)
                .note(format!(
                    "nothing was made; if the database was moved, move to the same place: {}",
                    listed(files)
                ))
                .hint(format!("if the database was deleted: {}", removal(files))),
            StoreError::Foreign { .. } => {
                Self::of(exit::UNUSABLE, &error).note("nothing was changed").hint("use another file with --db FILE")
            }
            StoreError::Newer { .. } => {
                Self::of(exit::UNUSABLE, &error).note("nothing was changed").hint("update stride")
            }
            StoreError::Older { .. } => Self::of(exit::UNUSABLE, &error)
                .note("nothing was changed")
                .hint("export its results with the build that made it, and start a new run with another --db FILE"),
            StoreError::Busy { path, .. } => {
                let folder = std::env::current_dir().unwrap_or_default();
                let status = command(&path.strip_prefix(folder).unwrap_or(path).into(), "status");
                Self::of(exit::BUSY, &error).note("nothing was changed").hint(format!(
                    "`{status}` shows the progress; with --wait-lock 1h, run, resume and retry wait for the end of the other process; for another run use another --db FILE"
                ))
            }
            StoreError::Usurped => Self::of(exit::BUSY, &error)
                .note("the recorded results are safe")
                .hint("let the other process continue the run, or repeat the command after its end"),
            StoreError::Gone { .. } => Self::of(exit::UNUSABLE, &error)
                .hint("move the database and the files beside it back, then repeat the command"),
            StoreError::Cut { .. } => Self::of(exit::UNUSABLE, &error)
                .hint("stop the program that writes to the files beside the database, then repeat the command, which repeats the lost calls"),
            StoreError::Full { .. } | StoreError::NoRoom { .. } => Self::of(exit::STORAGE, &error)
                .note("the recorded results are safe")
                .hint("free disk space, then repeat the command"),
            StoreError::Locked { .. } => Self::of(exit::UNUSABLE, &error)
                .note("nothing was changed")
                .hint("end the program that holds the lock, perhaps a shell with an open transaction; then repeat the command"),
            StoreError::Damaged { .. } => Self::from_damage(&error, Vec::new()),
            StoreError::Network { .. } => Self::of(exit::UNUSABLE, &error)
                .cause("locks and syncs are unreliable there, and the database can be lost")
                .hint("use a disk of this machine with --db FILE, or add --allow-network-fs"),
            StoreError::ManyNames { path, .. } => Self::of(exit::UNUSABLE, &error)
                .cause("each name would have a WAL of its own, and results would be lost")
                .hint(format!(
                    "remove the other names; this command finds them: find {} -xdev -samefile {}",
                    quoted(folder_of(path)),
                    quoted(path)
                )),
            StoreError::Mounted { .. } => Self::of(exit::UNUSABLE, &error)
                .cause("processes outside would use another database, WAL or lock, and results would be lost")
                .hint("mount the database's folder, and use --db with the path in it"),
            StoreError::Unchecked { .. } => Self::of(exit::ERROR, &error).note("nothing was changed"),
            StoreError::Exists { .. } => Self::of(exit::UNUSABLE, &error)
                .note("nothing was changed")
                .hint("repeat the command to continue the existing run"),
            StoreError::Conflict { .. } => Self::of(exit::USAGE, &error).note("nothing was changed"),
            StoreError::Stale { .. } => Self::of(exit::INTERNAL, &error).note("the recorded results are safe"),
            StoreError::DamagedResult { .. } => {
                Self::of(exit::UNUSABLE, &error).hint("use `stride verify` to find all damage")
            }
            StoreError::File { .. } => Self::of(exit::ERROR, &error)
                .hint("restore the file; `stride verify` lists all that are missing or changed"),
            StoreError::Lock { path, .. } if path.is_symlink() => {
                Self::of(exit::UNUSABLE, &error).note("nothing was changed")
            }
            StoreError::Lock { path, source } if source.kind() == ErrorKind::PermissionDenied => {
                lacking::permission(Self::of(exit::UNUSABLE, &error).note("nothing was changed"), path)
            }
            StoreError::Lock { .. } => {
                Self::of(exit::UNUSABLE, &error).hint("use a database in a writable folder with --db FILE")
            }
            StoreError::Unusable { path, source } if is_forbidden(source.as_ref()) => {
                lacking::permission(Self::of(exit::UNUSABLE, &error), path)
            }
            StoreError::Unusable { path, source } if leads_nowhere(source.as_ref()) => {
                let folder = folder_of(path);
                Self::of(exit::UNUSABLE, &error).hint(match folder.try_exists() {
                    Ok(false) => format!("make its folder: mkdir -p {}", quoted(folder)),
                    _ => "use --db FILE with another path".to_owned(),
                })
            }
            StoreError::Unusable { .. } | StoreError::Failed { .. } => Self::of(exit::UNUSABLE, &error)
                .hint("check that its disk is mounted, writable and not full; `stride verify` looks for damage"),
        }
    }
}

/// Returns the command that removes files.
pub(crate) fn removal(files: &[PathBuf]) -> String {
    format!("rm {}", listed(files))
}

/// Lists files as arguments of a command.
fn listed(files: &[PathBuf]) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let names = files.iter().map(|file| quoted(below(&here, file)));
    names.collect::<Vec<_>>().join(" ")
}

/// Returns the folders to try, in order, for results that cannot be recorded: the state folder, which may be on another
/// disk, the database's, and the temporary one.
pub(crate) fn rescue_folders(database: &Path) -> Vec<PathBuf> {
    let state = state_folder().map(|folder| folder.join("rescue"));
    let beside = database.parent().map(Path::to_owned);
    let folders = [state, beside, Some(std::env::temp_dir())];
    folders.into_iter().flatten().collect()
}

/// Returns a note about results that a run has saved outside its database, which is missing.
fn saved_of(database: &Path) -> Option<String> {
    let folders = rescue_folders(database).into_iter();
    let mut files = folders.flat_map(|folder| rescue_files(&folder, database));
    let file = files.find(|file| file.extension() == Some("db".as_ref()))?;
    let file = FileName::from(file.as_path());
    Some(format!(
        "a run with a database of this name has saved results in {file}; `run` and `resume` record them when the database is back"
    ))
}

/// Returns whether a permission is lacking.
fn is_forbidden(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

/// Returns whether an error says that the path cannot exist: a missing folder, a symlink loop, or an invalid name.
fn leads_nowhere(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| {
        error.kind() == ErrorKind::InvalidFilename
            || matches!(
                Errno::from_io_error(error),
                Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
            )
    })
}

impl CliError {
    /// Creates the error of a damaged database.
    pub(crate) fn from_damage(error: &StoreError, notes: Vec<String>) -> Self {
        let cli_error = Self::of(exit::UNUSABLE, error).note("stride no longer writes to it");
        let cli_error = notes.into_iter().fold(cli_error, Self::note);
        cli_error.hint(
            "copy the database and the files beside it to another folder; there SQLite's shell can save the readable part: sqlite3 COPY .recover | sqlite3 NEW",
        )
    }
}

impl From<RunError> for CliError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Store { source, .. } => source.into(),
            RunError::NoThreads => Self::of(exit::INTERNAL, &error),
            RunError::Caller { .. } => Self::of(exit::ERROR, &error)
                .hint("use fewer threads (-j), or raise the limits of the system"),
            RunError::Thread { source } => lacking::thread(&source),
        }
    }
}
