//! The sources of a run's list.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Component, Path, PathBuf};

use stride::input::{Key, Layout, Source};
use stride::job::{FileName, escaped};
use stride::paths::folder_of;
use stride::store::{Location, Reader};

use crate::cli::args::{ListFormat, RequestArgs, Run};
use crate::cli::output::error::{CliError, quoted};
use crate::cli::output::format::names;
use crate::cli::output::terminal::Terminal;
use crate::cli::session::files::current_folder;

/// Characters to show of the end of a command that was cut off. They are a header's name rather than its value.
const SHOWN_END: usize = 20;

/// The value of `--key-column` that names each row by its line.
const LINE: &str = "@line";

/// Returns the sources of names. Announces a named pipe, because it blocks until a program writes to it.
pub(crate) fn sources(args: &Run, terminal: &Terminal) -> Result<Vec<Source>, CliError> {
    let mut sources: Vec<Source> = args.files.iter().cloned().map(Source::Path).collect();
    for list in &args.files_from {
        let layout = layout(args, list)?;
        // A pipe of the shell has a writer.
        let is_shells = list.starts_with("/dev/") || list.starts_with("/proc/");
        if !is_shells && fs::metadata(list).is_ok_and(|meta| meta.file_type().is_fifo()) {
            let list = FileName::from(list.as_path());
            terminal.say(&format!("waiting for a list from the pipe {list}"));
        }
        sources.push(match list == Path::new("-") {
            true => Source::Stdin(layout),
            false => Source::List(list.clone(), layout),
        });
    }
    if sources.is_empty() {
        let hint = match has_input() {
            true => "to read the names from standard input, add --files-from -",
            false => {
                "name files or folders, or a list with --files-from; `stride resume` resumes a run"
            }
        };
        return Err(CliError::usage("no files were named").hint(hint));
    }
    let dash = Path::new("-");
    if args.files.iter().any(|file| file == dash) && !dash.exists() {
        return Err(CliError::usage("cannot find -")
            .note("nothing was changed")
            .hint("to read the names from standard input, use --files-from - in its place"));
    }
    Ok(sources)
}

/// Refuses two flags that read standard input, before one of them takes what is meant for the other.
pub(crate) fn refuse_two_readers(args: &Run) -> Result<(), CliError> {
    let dash = Path::new("-");
    match args.request.curl.as_deref() == Some("-")
        && args.files_from.iter().any(|list| list == dash)
    {
        true => Err(
            CliError::usage("--curl - and --files-from - both read standard input")
                .hint("put the command into a file, and use --curl @FILE"),
        ),
        false => Ok(()),
    }
}

/// Returns whether standard input is a pipe or a file.
fn has_input() -> bool {
    let meta = fs::metadata("/dev/stdin");
    meta.is_ok_and(|meta| meta.is_file() || meta.file_type().is_fifo())
}

/// Returns a note for a table that is named as a file to call, which is probably meant as a list.
pub(crate) fn note_table(args: &Run) -> Option<String> {
    let ([file], []) = (args.files.as_slice(), args.files_from.as_slice()) else {
        return None;
    };
    let is_table = !matches!(format_of(args, file), ListFormat::Lines) && file.is_file();
    is_table.then(|| {
        format!(
            "{} is called as one file; for a call for each of its rows, use --files-from {}",
            FileName::from(file.as_path()),
            quoted(file)
        )
    })
}

/// Refuses a URL, or the rest of a pasted command, in the place of a file.
pub(crate) fn refuse_urls(files: &[PathBuf], request: &RequestArgs) -> Result<(), CliError> {
    if let Some(command) = &request.curl
        && is_cut_off(command, files)
    {
        let end: String = command.chars().rev().take(SHOWN_END).collect();
        let end: String = end.chars().rev().collect();
        return Err(CliError::usage(format!(
            "the shell has cut the command of --curl off at `{}`",
            escaped(end.as_bytes())
        ))
        .note("quotes within the command end the quotes around it")
        .hint("use --curl @FILE with the command in a file, or --curl - and paste it: no shell sees its quotes"));
    }
    let is_url = |file: &&PathBuf| {
        let text = file.to_string_lossy();
        (text.starts_with("http://") || text.starts_with("https://")) && !file.exists()
    };
    let Some(url) = files.iter().find(is_url) else {
        return Ok(());
    };
    let hint = match request.url.is_some() || request.curl.is_some() {
        true => "leave it out, or name a file on this machine".to_owned(),
        false => format!("use --url {}", quoted(url)),
    };
    let url = FileName::from(url.as_path());
    Err(CliError::usage(format!("{url} is a URL, not a file")).hint(hint))
}

/// Returns whether a pasted command goes on in words that were taken for files, because a shell has read its quotes.
fn is_cut_off(command: &str, files: &[PathBuf]) -> bool {
    let ends_early = command.ends_with([':', '=', ' ']) || command.trim() == "curl";
    let goes_on = |file: &PathBuf| {
        let text = file.to_string_lossy();
        !file.exists()
            && (ends_early || [" -", " http", "{}"].iter().any(|part| text.contains(part)))
    };
    !command.starts_with('@') && files.iter().any(goes_on)
}

/// Returns the layout of a list.
fn layout(args: &Run, list: &Path) -> Result<Layout, CliError> {
    let format = args.list_format.unwrap_or_else(|| format_of(args, list));
    let key = match args.key_column.as_deref() {
        None => Key::Usual,
        Some(LINE) => Key::Line,
        Some(columns) => Key::Columns(columns.to_owned()),
    };
    match format {
        ListFormat::Lines if key != Key::Usual => {
            Err(CliError::usage("--key-column needs a table format")
                .hint("use --list-format csv or jsonl, or leave out --key-column"))
        }
        ListFormat::Lines if args.null => Ok(Layout::Nul),
        ListFormat::Lines => Ok(Layout::Lines),
        _ if args.null => Err(CliError::usage("-0 needs a list that is not a table")
            .hint("leave out -0: the format determines where a row ends")),
        ListFormat::Csv => Ok(Layout::Csv { key }),
        ListFormat::Jsonl => Ok(Layout::Jsonl { key }),
    }
}

/// Returns the format that the ending of a list's name states.
fn format_of(args: &Run, list: &Path) -> ListFormat {
    let ending = list.extension().map(OsStr::to_ascii_lowercase);
    match ending.as_deref().and_then(|ending| ending.to_str()) {
        // `-0` asks for names.
        _ if args.null => ListFormat::Lines,
        Some("csv") => ListFormat::Csv,
        Some("jsonl" | "ndjson") => ListFormat::Jsonl,
        _ => ListFormat::Lines,
    }
}

/// Returns whether a source is a table.
pub(crate) fn is_table(source: &Source) -> bool {
    match source {
        Source::Path(_) => false,
        Source::List(_, layout) | Source::Stdin(layout) => {
            matches!(layout, Layout::Csv { .. } | Layout::Jsonl { .. })
        }
    }
}

/// Returns the files from which lists are read, also where a shell has made one the standard input.
pub(crate) fn list_files(sources: &[Source]) -> Vec<PathBuf> {
    let files = sources.iter().filter_map(|source| match source {
        Source::Path(_) => None,
        Source::List(path, _) => Some(path.as_path()),
        Source::Stdin(_) => Some(Path::new("/dev/stdin")),
    });
    let files = files.filter_map(|file| file.canonicalize().ok());
    files.filter(|file| file.is_file()).collect()
}

/// Describes a source in messages.
pub(crate) fn label(source: &Source) -> String {
    match source {
        Source::Path(path) => FileName::from(path.as_path()).to_string(),
        Source::List(path, _) => format!("the list {}", FileName::from(path.as_path())),
        Source::Stdin(_) => "the list on standard input".to_owned(),
    }
}

/// Refuses names on the command line that are neither there nor in the run, before anything is made. Names in lists are
/// not looked up: their files may come later.
pub(crate) fn refuse_missing(sources: &[Source], run: Option<&Reader>) -> Result<(), CliError> {
    let mut missing: Vec<(FileName, io::Error)> = Vec::new();
    for source in sources {
        if let Source::Path(path) = source
            && let Err(error) = fs::metadata(path)
        {
            let name = FileName::from(path.as_path());
            let job = run.map(|run| run.job_named(&name)).transpose()?.flatten();
            if job.is_none() {
                missing.push((name, error));
            }
        }
    }
    let Some((first, error)) = missing.first() else {
        return Ok(());
    };
    let hint = meant(first.as_path(), run.is_some());
    let error = error.to_string();
    let all: Vec<FileName> = missing.into_iter().map(|(name, _)| name).collect();
    let message = match all.as_slice() {
        [name] => format!("cannot find {name}"),
        all => format!("cannot find {} files: {}", all.len(), names(all)),
    };
    Err(CliError::usage(message)
        .cause(error)
        .note("nothing was changed")
        .hint(hint))
}

/// Returns the hint for a name that leads nowhere.
fn meant(path: &Path, has_run: bool) -> String {
    if path.to_string_lossy().contains(['*', '?', '[']) {
        return "correct the pattern: the shell has found no file for it".to_owned();
    }
    if path.is_symlink() {
        return "correct the link, which leads nowhere".to_owned();
    }
    if let Some(similar) = similar(path) {
        return format!("use {}", quoted(&similar));
    }
    match has_run {
        true => "correct the name; `stride resume` continues with the files of the run".to_owned(),
        false => "correct the name, or leave it out".to_owned(),
    }
}

/// Returns the entry of the same folder whose name is nearest, if one is near.
fn similar(path: &Path) -> Option<PathBuf> {
    let wanted = path.file_name()?.to_str()?;
    let entries = fs::read_dir(folder_of(path)).ok()?.flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let distance = |name: &str| strsim::damerau_levenshtein(wanted, name);
    let near = names.filter(|name| distance(name) <= 1.max(wanted.len() / 4));
    let nearest = near.min_by_key(|name| (distance(name), name.clone()))?;
    Some(path.with_file_name(nearest))
}

/// Returns the names as the list has them. A name that the list lacks is taken as a path, from the current folder.
pub(crate) fn listed_names(db: &Location, typed: &[PathBuf]) -> Result<Vec<FileName>, CliError> {
    let reader = Reader::open(db)?;
    let base = reader.info()?.base;
    let here = current_folder().unwrap_or_else(|_| base.clone());
    let name = |typed: &PathBuf| -> Result<FileName, CliError> {
        let name = FileName::from(typed.as_path());
        let whole = plain(&here.join(typed));
        let below = whole.strip_prefix(&base).ok().map(Path::to_owned);
        for path in [Some(plain(typed)), below, Some(whole)]
            .into_iter()
            .flatten()
        {
            let other = FileName::from(path.as_path());
            if !reader.has(&name)? && reader.has(&other)? {
                return Ok(other);
            }
        }
        Ok(name)
    };
    typed.iter().map(name).collect()
}

/// Returns a job's name as a command in the current folder can name it, for a shell. Returns `None` if it is not UTF-8.
pub(crate) fn typed(base: &Path, name: &FileName) -> Option<String> {
    let path = Path::new(name.as_str()?);
    let is_here = current_folder().is_ok_and(|here| here == base);
    Some(match is_here || path.is_absolute() {
        true if path.to_string_lossy().starts_with('-') => quoted(&Path::new(".").join(path)),
        true => quoted(path),
        false => quoted(&base.join(path)),
    })
}

/// Returns a path without `.` and doubled slashes.
pub(crate) fn plain(path: &Path) -> PathBuf {
    let parts = path.components();
    parts.filter(|part| *part != Component::CurDir).collect()
}
