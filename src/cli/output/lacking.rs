//! Explains what this process lacks: a permission, a thread, its current folder.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use stride::job::FileName;
use stride::paths::folder_of;

use crate::cli::output::error::{CliError, quoted};
use crate::cli::output::exit;

/// Adds a note and a hint about a file that this user may not read or write: its owner and mode, those of its folder if it
/// is missing, or the folder that this user may not enter.
pub(crate) fn permission(error: CliError, path: &Path) -> CliError {
    let (found, path) = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let folder = folder_of(path);
            (fs::metadata(folder), folder)
        }
        found => (found, path),
    };
    let Ok(meta) = found else {
        let mut folders = path.ancestors().skip(1);
        let Some(closed) = folders.find(|folder| folder.metadata().is_ok()) else {
            return error;
        };
        return error
            .note(format!(
                "this user may not enter the folder {}",
                FileName::from(closed)
            ))
            .hint(format!(
                "ask the owner of the folder, or let all users enter: sudo chmod a+x {}",
                quoted(closed)
            ));
    };
    let (what, own) = (FileName::from(path), rustix::process::geteuid().as_raw());
    let note = format!(
        "{what} belongs to user {} and has mode {:04o}; this is user {own}",
        meta.uid(),
        meta.mode() & 0o7777
    );
    error.note(note).hint(match meta.is_dir() {
        true => "use --db FILE in a folder in which this user may write".to_owned(),
        false if meta.uid() == own => format!("allow it: chmod u+rw {}", quoted(path)),
        false => format!(
            "use stride as that user, or take the file over: sudo chown {own} {}",
            quoted(path)
        ),
    })
}

/// Creates the error of a thread that cannot be started.
pub(crate) fn thread(error: &io::Error) -> CliError {
    CliError::new(exit::ERROR, "cannot start a thread")
        .cause(error.to_string())
        .note("nothing was called")
        .hint("end other processes of this user, or raise its limit; `ulimit -u` shows it")
}

/// Creates the error of a current folder that was removed.
pub(crate) fn current_folder(code: u8, error: &io::Error) -> CliError {
    CliError::new(code, "the current folder does not exist any more")
        .cause(error.to_string())
        .hint("cd to a folder that exists, then repeat the command")
}
