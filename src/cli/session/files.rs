//! Keeps a run's own files out of its input and output.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use stride::input::Source;
use stride::job::FileName;
use stride::settings::Call;
use stride::store::{Location, Reader, note_artifact};

use crate::cli::args::Outputs;
use crate::cli::output::error::CliError;
use crate::cli::output::{exit, lacking};
use crate::cli::progress::events;
use crate::cli::request::results_folder;

/// Returns the files of a run whose database is closed.
pub(crate) fn own_files(db: &Location) -> Vec<PathBuf> {
    let mut own: Vec<PathBuf> = resolved(db.file()).into_iter().collect();
    for end in ["-wal", "-shm", ".lock"] {
        let mut name = db.file().as_os_str().to_owned();
        name.push(end);
        own.extend(resolved(Path::new(&name)));
    }
    // An unreadable database names no more files.
    let artifacts = Reader::open(db).and_then(|reader| reader.artifacts());
    own.extend(artifacts.unwrap_or_default());
    own
}

/// Returns the current folder.
pub(crate) fn current_folder() -> Result<PathBuf, CliError> {
    std::env::current_dir().map_err(|error| lacking::current_folder(exit::ERROR, &error))
}

/// Returns the folder for results, with links resolved. Refuses a folder that is input: the next walk would list the
/// results.
pub(crate) fn output_dir(
    call: &Call,
    base: &Path,
    sources: &[Source],
) -> Result<Option<PathBuf>, CliError> {
    let Some(folder) = results_folder::of(call, base) else {
        return Ok(None);
    };
    let folder = resolved(&folder).unwrap_or(folder);
    for source in sources {
        if let Source::Path(path) = source
            && path.canonicalize().is_ok_and(|path| path == folder)
        {
            let name = FileName::from(path.as_path());
            let message = format!("{name} cannot be both the input and the folder for results");
            return Err(CliError::usage(message).hint("use another folder for --output-dir"));
        }
    }
    Ok(Some(folder))
}

/// Checks that the events file is neither one of the database's files nor one of the lists, and that it can be written.
pub(crate) fn check_events(
    outputs: &Outputs,
    own: &[PathBuf],
    lists: &[PathBuf],
) -> Result<(), CliError> {
    let Some(path) = outputs.events.as_deref() else {
        return Ok(());
    };
    let name = FileName::from(path);
    let cli_error = if is_one_of(path, own) {
        CliError::usage(format!("{name} belongs to the run's database"))
    } else if is_one_of(path, lists) {
        CliError::usage(format!("{name} is the list of the run"))
    } else if let Err(error) = check_events_file(path) {
        CliError::usage(format!("cannot write the events to {name}"))
            .cause(error.to_string())
            .note("nothing was changed")
    } else {
        return Ok(());
    };
    Err(cli_error.hint("use another file with --events"))
}

/// Refuses an output path that is a file of the run or its list, because writing would destroy it.
pub(crate) fn not_listed(reader: &Reader, path: &Path) -> Result<(), CliError> {
    let what = if reader.lists(path)? {
        "a file of the list"
    } else if is_one_of(path, &reader.list_files()?) {
        "the list of the run"
    } else {
        return Ok(());
    };
    let name = FileName::from(path);
    Err(CliError::usage(format!("{name} is {what}"))
        .note("nothing was written")
        .hint("use another file with -o FILE"))
}

fn is_one_of(path: &Path, files: &[PathBuf]) -> bool {
    resolved(path).is_some_and(|path| files.contains(&path))
}

/// Returns the file that `-o` names, or `None` for stdout, which is also `-`.
pub(crate) fn named_output(output: Option<&Path>) -> Option<&Path> {
    output.filter(|path| *path != Path::new("-"))
}

/// Records the file that a command wrote, so that a later walk skips it. Close the reader first: the last connection
/// moves the WAL into the database.
pub(crate) fn remember_output(database: &Path, output: Option<&Path>) {
    let path = match output {
        Some(path) => path.canonicalize(),
        // A shell may have redirected stdout into a file.
        None => fs::read_link("/proc/self/fd/1"),
    };
    if let Ok(path) = path
        && (output.is_some() || path.is_file())
    {
        note_artifact(database, &path);
    }
}

/// Checks that events can be appended to a file, or that it can be created. Refuses a file with other content, which may be
/// one of the list. A missing file stays missing, because the command may still fail.
fn check_events_file(path: &Path) -> io::Result<()> {
    match path.metadata() {
        Ok(meta) if meta.is_dir() => Err(ErrorKind::IsADirectory.into()),
        Ok(meta) => {
            rustix::fs::access(path, Access::WRITE_OK)?;
            // For `/dev/stdout` the shell has chosen the file.
            let is_named = meta.is_file() && !path.starts_with("/dev");
            if is_named && meta.len() > 0 && !events::are_in(path)? {
                let reason = "it has other content";
                return Err(io::Error::new(ErrorKind::AlreadyExists, reason));
            }
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            File::create_new(path)?;
            fs::remove_file(path)
        }
        Err(error) => Err(error),
    }
}

/// Resolves the links in a file's path; the file may be missing.
pub(crate) fn resolved(path: &Path) -> Option<PathBuf> {
    stride::paths::resolve(path).ok()
}
