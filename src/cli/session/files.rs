//! Keeps a run's own files out of its input and output.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use stride::export::Column;
use stride::input::Source;
use stride::job::{Columns, FileName};
use stride::settings::Call;
use stride::store::{Location, Reader, note_artifact};

use crate::cli::args::Outputs;
use crate::cli::output::error::{CliError, quoted};
use crate::cli::output::{exit, lacking};
use crate::cli::progress::events;
use crate::cli::request::results_folder;

/// The part of a file in which names of a list are searched, in bytes.
const HEAD: u64 = 64 << 10;

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

/// Checks that the events file is not one of the run's own files, and that it can be written.
pub(crate) fn check_events(outputs: &Outputs, own: &[PathBuf]) -> Result<(), CliError> {
    let Some(path) = outputs.events.as_deref() else {
        return Ok(());
    };
    let name = FileName::from(path);
    let cli_error = if resolved(path).is_some_and(|path| own.contains(&path)) {
        CliError::usage(format!("{name} belongs to the run's database"))
    } else if let Err(error) = check_events_file(path) {
        CliError::usage(format!("cannot write the events to {name}"))
            .cause(error.to_string())
            .note("nothing was changed")
    } else {
        return Ok(());
    };
    Err(cli_error.hint("use another file with --events"))
}

/// Refuses an output path that is a file of the run's list or probably that list, because writing would destroy it.
pub(crate) fn not_listed(reader: &Reader, path: &Path) -> Result<(), CliError> {
    let name = FileName::from(path);
    if reader.lists(path)? {
        return Err(CliError::usage(format!("{name} is a file of the list"))
            .note("nothing was written")
            .hint("use another file with -o FILE"));
    }
    let Some(listed) = named_in(reader, path)? else {
        return Ok(());
    };
    Err(CliError::usage(format!(
        "{name} may be the list of the run: it names {listed}, and no export of this run has written it"
    ))
    .note("nothing was written")
    .hint(format!(
        "use another file with -o FILE; if it may be replaced, delete it first: rm {}",
        quoted(path)
    )))
}

/// Returns a file of the run that the beginning of a file names, if that file is no export. The run does not know the path
/// of its list.
fn named_in(reader: &Reader, path: &Path) -> Result<Option<FileName>, CliError> {
    let is_written =
        resolved(path).map(|path| Ok::<_, CliError>(reader.artifacts()?.contains(&path)));
    if !path.is_file() || is_written.transpose()? == Some(true) {
        return Ok(None);
    }
    let mut head = Vec::new();
    // An unreadable file cannot be replaced either, or nothing is known of it.
    let opened = File::open(path).map(|file| file.take(HEAD));
    if opened
        .and_then(|mut file| file.read_to_end(&mut head))
        .is_err()
    {
        return Ok(None);
    }
    let lines = head.split(|byte| [b'\n', b'\0'].contains(byte));
    for line in lines.take(2) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (columns, cells) = cells(line);
        let is_own = |column: &String| column.parse::<Column>().is_ok();
        if columns.contains(&"file".to_owned())
            && columns.iter().filter(|name| is_own(name)).count() > 1
        {
            return Ok(None);
        }
        for cell in cells.into_iter().filter(|cell| !cell.is_empty()) {
            let name = FileName::new(cell);
            if reader.has(&name)? {
                return Ok(Some(name));
            }
        }
    }
    Ok(None)
}

/// Returns the names of columns that a line of a list may have, and what may be names of files: the line itself, and its
/// values as those of JSON or CSV.
fn cells(line: &[u8]) -> (Vec<String>, Vec<Vec<u8>>) {
    let object = std::str::from_utf8(line)
        .ok()
        .and_then(|line| Columns::read(line).ok());
    if let Some(object) = object {
        let columns = object.names();
        let values = columns.iter().filter_map(|name| object.text(name));
        let values = values.map(|value| value.as_bytes().to_vec()).collect();
        return (columns, values);
    }
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.has_headers(false).from_reader(line);
    let row = reader
        .byte_records()
        .next()
        .and_then(Result::ok)
        .unwrap_or_default();
    let columns = row
        .iter()
        .map(|cell| String::from_utf8_lossy(cell).into_owned());
    let cells = row.iter().chain([line]).map(<[u8]>::to_vec);
    (columns.collect(), cells.collect())
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
