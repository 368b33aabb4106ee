//! The list of a run: the sources of its names, and messages about it.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use stride::input::{Item, Layout, Skipped, Source};
use stride::job::FileName;
use stride::store::{Loaded, Loader, Location, Reader, Store};

use crate::cli::args::{ListFormat, Run, typed_with};
use crate::cli::output::error::{CliError, command, quoted};
use crate::cli::output::format::{counted, grouped, names};
use crate::cli::output::shown::{bold, cyan};
use crate::cli::output::terminal::Terminal;
use crate::cli::session::files::current_folder;

/// The longest time for looking at done files.
const LOOKING: Duration = Duration::from_secs(1);

/// Returns the sources of names. Announces a named pipe, because it blocks until a program writes to it.
pub(crate) fn sources(args: &Run, terminal: &Terminal) -> Result<Vec<Source>, CliError> {
    let layout = layout(args)?;
    for list in &args.files_from {
        // A pipe of the shell has a writer.
        let is_shells = list.starts_with("/dev/") || list.starts_with("/proc/");
        if !is_shells && fs::metadata(list).is_ok_and(|meta| meta.file_type().is_fifo()) {
            let list = FileName::from(list.as_path());
            terminal.say(&format!("waiting for a list from the pipe {list}"));
        }
    }
    let lists = args.files_from.iter().map(|list| match list.as_path() {
        list if list == Path::new("-") => Source::Stdin(layout.clone()),
        list => Source::List(list.to_owned(), layout.clone()),
    });
    let paths = args.files.iter().cloned().map(Source::Path);
    let sources: Vec<Source> = paths.chain(lists).collect();
    if sources.is_empty() {
        return Err(CliError::usage("no files were named").hint(
            "name files or folders, or a list with --files-from; `stride resume` resumes a run",
        ));
    }
    Ok(sources)
}

/// Returns the layout of the lists.
fn layout(args: &Run) -> Result<Layout, CliError> {
    let key = args.key_column.clone();
    match args.list_format {
        ListFormat::Lines if key.is_some() => {
            Err(CliError::usage("--key-column needs a table format")
                .hint("add --list-format csv or jsonl, or leave out --key-column"))
        }
        ListFormat::Lines if args.null => Ok(Layout::Nul),
        ListFormat::Lines => Ok(Layout::Lines),
        _ if args.null => Err(CliError::usage("-0 needs a list that is not a table")
            .hint("leave out -0: the format determines where a row ends")),
        ListFormat::Csv => Ok(Layout::Csv { key }),
        ListFormat::Jsonl => Ok(Layout::Jsonl { key }),
    }
}

/// Adds a job to the run.
pub(crate) fn add(loader: &mut Loader<'_>, item: &Item) -> Result<(), CliError> {
    Ok(loader.add_with(&item.name, item.columns.as_deref())?)
}

/// Refuses relative names for a run that was made in another folder.
pub(crate) fn wrong_folder(name: &FileName, base: &Path) -> CliError {
    CliError::usage(format!(
        "`{name}` is relative, and this run was made in another folder"
    ))
    .cause(format!("names resolve against {}", FileName::from(base)))
    .note("nothing was changed")
    .hint(format!(
        "cd {}, or use absolute names; `stride resume` works from anywhere",
        quoted(base)
    ))
}

/// Reports the loaded names.
pub(crate) fn report_loaded(
    db: &Location,
    loaded: &Loaded,
    skipped: &Skipped,
    terminal: &Terminal,
) {
    let hint = |command: &str, what: &str| {
        terminal.say(&format!("{} {command}   {what}", cyan("hint:")));
    };
    let Loaded {
        added,
        known,
        duplicates,
        left,
        left_examples,
        left_failed,
        unlisted,
        unlisted_examples,
        forgotten,
        forgotten_examples,
    } = loaded;
    let mut line = format!("list: {}", counted(added + known, "file"));
    if *known > 0 {
        let new = match added {
            0 => "none".to_owned(),
            added => grouped(*added),
        };
        line.push_str(&format!(", {new} of them new"));
    }
    if *duplicates > 0 {
        let duplicates = counted(*duplicates, "duplicate");
        line.push_str(&format!("; {duplicates} collapsed"));
    }
    for (number, reason) in [
        (skipped.hidden, "hidden"),
        (skipped.blank, "blank line"),
        (skipped.other, "not a file"),
    ] {
        if number > 0 {
            line.push_str(&format!("; {number} skipped ({reason})"));
        }
    }
    terminal.say(&line);
    if !skipped.own.is_empty() {
        terminal.say(&format!(
            "{} skipped stride's own files: {}",
            bold("note:"),
            names(&skipped.own)
        ));
    }
    if *left > 0 {
        terminal.say(&format!(
            "{} {} of this run missing from the list and kept: {}",
            bold("note:"),
            counted(*left, "file"),
            some(left_examples, *left)
        ));
        if !left_failed.is_empty() {
            let forget = match left_failed.len() < Loaded::MOST_FAILED {
                true => forget(db, "forget", left_failed),
                false => typed_with("--forget-unlisted"),
            };
            hint(&forget, "takes wrong names off the run");
        }
    }
    if *unlisted > 0 {
        terminal.say(&format!(
            "forgot {} missing from the list: {}",
            counted(*unlisted, "file"),
            some(unlisted_examples, *unlisted)
        ));
        let undo = undo(db, unlisted_examples, *unlisted);
        hint(&undo, "brings them back");
    }
    if *forgotten > 0 {
        terminal.say(&format!(
            "{} {} of this list forgotten and not called: {}",
            bold("note:"),
            counted(*forgotten, "file"),
            some(forgotten_examples, *forgotten)
        ));
        let undo = undo(db, forgotten_examples, *forgotten);
        hint(&undo, "brings them back");
    }
}

/// Reports done files that have changed since their calls.
pub(crate) fn report_changed(
    db: &Location,
    store: &Store,
    terminal: &Terminal,
) -> Result<(), CliError> {
    let changed = store.changed_files(LOOKING)?;
    if changed.files > 0 {
        let least = if changed.is_whole { "" } else { "at least " };
        terminal.say(&format!(
            "{} {least}{} changed since the call: {}",
            bold("note:"),
            counted(changed.files, "done file"),
            some(&changed.examples, changed.files)
        ));
        let retry = command(db, "retry --changed");
        terminal.say(&format!("{} {retry}   calls them again", cyan("hint:")));
    }
    Ok(())
}

/// Returns the command that brings back files of which these are the first; all forgotten files if there are more.
pub(crate) fn undo(db: &Location, first: &[FileName], number: u64) -> String {
    match first.len() as u64 == number {
        true => forget(db, "forget --undo", first),
        false => command(db, "forget --undo"),
    }
}

/// Returns a command for these files.
fn forget(db: &Location, words: &str, files: &[FileName]) -> String {
    let files = files.iter().map(|name| match name.as_bytes() {
        // Not a flag.
        [b'-', ..] => format!("./{}", quoted(name.as_path())),
        _ => quoted(name.as_path()),
    });
    let files = files.collect::<Vec<_>>().join(" ");
    command(db, &format!("{words} {files}"))
}

/// Formats the first names of several.
pub(crate) fn some(first: &[FileName], number: u64) -> String {
    let more = number.saturating_sub(first.len() as u64);
    match more {
        0 => names(first),
        more => format!("{} and {} more", names(first), grouped(more)),
    }
}

/// Returns the names as the list has them. A name that the list lacks is taken as a path, from here.
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

/// Returns a path without `.` and doubled slashes.
fn plain(path: &Path) -> PathBuf {
    let parts = path.components();
    parts.filter(|part| *part != Component::CurDir).collect()
}

/// Refuses names that the run does not have.
pub(crate) fn not_listed(db: &Location, unknown: &[FileName]) -> CliError {
    let number = counted(unknown.len() as u64, "name");
    // A wrong folder is likelier than a wrong name.
    let last = unknown.first().and_then(|name| name.as_path().file_name());
    let last = FileName::from(last.map_or(Path::new(""), Path::new));
    let like = quoted(Path::new(&format!("name~*{last}*")));
    let export = format!("export --all --format csv --columns file,state --where {like}");
    CliError::usage(format!(
        "the run does not have {number}: {}",
        names(unknown)
    ))
    .note("nothing was changed")
    .hint(format!(
        "use the names of the list; {} shows those like it",
        command(db, &export)
    ))
}
