//! Reports a list after it was loaded.

use std::time::Duration;

use stride::input::{Entries, Survey};
use stride::job::{FileName, shortened};
use stride::store::{Loaded, Location, Store};

use crate::cli::args::typed_with;
use crate::cli::output::error::{CliError, command, is_default, quoted};
use crate::cli::output::format::{counted, grouped, names};
use crate::cli::output::shown::{bold, cyan};
use crate::cli::output::terminal::Terminal;
use crate::cli::session::intake::Intake;

/// The longest time for looking at done files.
const LOOKING: Duration = Duration::from_secs(1);

/// Reports the loaded names.
pub(crate) fn report_loaded(
    db: &Location,
    loaded: &Loaded,
    survey: &Survey,
    intake: &Intake<'_>,
    terminal: &Terminal,
) {
    terminal.say(&summary(loaded, survey));
    let note = |text: String| terminal.say(&format!("{} {text}", bold("note:")));
    intake.empty_sources().for_each(note);
    if !survey.own.is_empty() {
        note(format!(
            "skipped stride's own files: {}",
            names(&survey.own)
        ));
    }
    for list in &survey.crlf {
        note(format!(
            "the lines of {list} end with CR LF, as on Windows; the CR is not part of the names"
        ));
    }
    if survey.links.count > 0 {
        let links = entries(&survey.links, false);
        note(format!("links to folders were not followed: {links}"));
        terminal.say(&format!(
            "{} add --follow to walk through them",
            cyan("hint:")
        ));
    }
    if survey.other.count > 0 {
        note(format!("not files: {}", entries(&survey.other, true)));
    }
    for (column, without) in intake.lacking(survey) {
        let column = shortened(column.as_bytes(), 60);
        let rows = counted(without, "row");
        note(format!(
            "{rows} without the column `{column}`, which the calls need, will fail"
        ));
    }
    intake.slips(survey).into_iter().for_each(note);
    report_renewed(loaded.renewed, "the list has other columns", terminal);
    if loaded.outdated > 0 {
        let files = counted(loaded.outdated, "file");
        terminal.warn(&format!(
            "{files} kept the columns of the call, which differ from the list's: {}",
            some(&loaded.outdated_examples, loaded.outdated)
        ));
        let again = typed_with("--retry-changed");
        terminal.insist(&format!(
            "{} {again}   calls them again with the list's columns",
            cyan("hint:")
        ));
    }
    report_others(db, loaded, intake, terminal);
}

/// Reports files in doubt whose next call has a new idempotency key.
pub(crate) fn report_renewed(renewed: u64, reason: &str, terminal: &Terminal) {
    if renewed > 0 {
        let files = counted(renewed, "file");
        let get = if renewed == 1 { "gets" } else { "get" };
        terminal.say(&format!(
            "{} {files} in doubt {get} a new idempotency key, because {reason}",
            bold("note:")
        ));
    }
}

/// Reports the names that only the run or only the list has, and those that were forgotten.
fn report_others(db: &Location, loaded: &Loaded, intake: &Intake<'_>, terminal: &Terminal) {
    let hint = |command: &str, what: &str| {
        terminal.say(&format!("{} {command}   {what}", cyan("hint:")));
    };
    let Loaded {
        left,
        left_examples,
        left_unread,
        unlisted,
        unlisted_examples,
        forgotten,
        forgotten_examples,
        ..
    } = loaded;
    if is_another_list(db, loaded) {
        terminal.say(&format!(
            "{} {} already has {}; {} of this list were added to them",
            bold("note:"),
            FileName::from(db.file()),
            counted(loaded.known + left, "file"),
            grouped(loaded.added)
        ));
        hint(&typed_with("--db other.db"), "makes a run of its own");
    } else if *left > 0 {
        terminal.say(&format!(
            "{} {} of this run missing from the list and kept: {}",
            bold("note:"),
            counted(*left, "file"),
            some(left_examples, *left)
        ));
        if !left_unread.is_empty() {
            let forget = match left_unread.len() < Loaded::MOST_UNREAD {
                true => forget(db, "forget", left_unread),
                false => typed_with("--forget-unlisted"),
            };
            hint(&forget, "takes wrong names off the run");
        }
        // An earlier command has called the list itself.
        let mut lists = left_examples.iter().filter(|name| intake.is_list(name));
        if let Some(list) = lists.next() {
            let forget = forget(db, "forget", std::slice::from_ref(list));
            hint(&forget, "takes the list itself off the run");
        }
    }
    if *unlisted > 0 {
        terminal.say(&format!(
            "forgot {} missing from the list: {}",
            counted(*unlisted, "file"),
            some(unlisted_examples, *unlisted)
        ));
        let undo = undo(db, unlisted_examples, *unlisted);
        hint(&undo, "brings back what was forgotten");
    }
    if *forgotten > 0 {
        terminal.say(&format!(
            "{} {} of this list forgotten and not called: {}",
            bold("note:"),
            counted(*forgotten, "file"),
            some(forgotten_examples, *forgotten)
        ));
        let undo = undo(db, forgotten_examples, *forgotten);
        hint(&undo, "brings back what was forgotten");
    }
}

/// Returns true if a list is probably that of another run, whose database was not named. For each common file, both the
/// list and the run have ten or more files of their own. A list that has grown or shrunk has much in common.
fn is_another_list(db: &Location, loaded: &Loaded) -> bool {
    let common = loaded.known + loaded.forgotten;
    let only_in_one = loaded.added.min(loaded.left);
    is_default(db) && only_in_one >= 10 * (common + 1)
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
        terminal.warn(&format!(
            "{least}{} changed on disk since the call, by time or size: {}",
            counted(changed.files, "done file"),
            some(&changed.examples, changed.files)
        ));
        // The program of the workers is perhaps one that starts stride: it knows no other command.
        let retry = match store.call()?.has_workers() {
            true => typed_with("--retry-changed"),
            false => command(db, "retry --changed"),
        };
        terminal.insist(&format!("{} {retry}   calls them again", cyan("hint:")));
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

/// Formats the counts of a loaded list.
fn summary(loaded: &Loaded, survey: &Survey) -> String {
    let Loaded {
        added,
        known,
        duplicates,
        ..
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
        (survey.hidden, "hidden"),
        (survey.blank, "blank line"),
        (survey.links.count, "link to a folder"),
        (survey.other.count, "not a file"),
    ] {
        if number > 0 {
            line.push_str(&format!("; {number} skipped ({reason})"));
        }
    }
    line
}

/// Lists entries of folders, with their kinds or without.
fn entries(entries: &Entries, with_kinds: bool) -> String {
    let examples = entries.examples.iter();
    let mut shown: Vec<String> = examples
        .map(|(name, kind)| match with_kinds {
            true => format!("{name} ({kind})"),
            false => name.to_string(),
        })
        .collect();
    let more = entries.count - shown.len() as u64;
    if more > 0 {
        shown.push(format!("and {} more", grouped(more)));
    }
    shown.join(", ")
}
