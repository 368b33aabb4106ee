//! The list of a run: the sources of its names, and messages about it.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use stride::input::{Item, Layout, Skipped, Source};
use stride::job::FileName;
use stride::store::{Loaded, Loader};

use crate::cli::args::{ListFormat, Run};
use crate::cli::output::error::{CliError, quoted};
use crate::cli::output::format::{counted, grouped, names};
use crate::cli::output::shown::bold;
use crate::cli::output::terminal::Terminal;

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
pub(crate) fn report_loaded(loaded: &Loaded, skipped: &Skipped, terminal: &Terminal) {
    let Loaded {
        added,
        known,
        duplicates,
        left,
        left_examples,
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
            names(left_examples)
        ));
    }
}
