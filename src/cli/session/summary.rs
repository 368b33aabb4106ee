//! Describes a run at its end: the counts, the causes of failures, and the commands to type next.

use std::time::Duration;

use stride::event::Counts;
use stride::job::{Class, FileName, JobState, said};
use stride::settings::{Call, show_duration};
use stride::store::{Cause, Location, Lock, Reader};

use crate::cli::output::again::{again, again_for, effect_for};
use crate::cli::output::error::{CliError, command};
use crate::cli::output::format::{cost, counted, grouped, names, short};
use crate::cli::output::shown::{bold, cyan};
use crate::cli::output::terminal::Terminal;
use crate::cli::session::list::typed;

/// The maximum number of causes that the summary names; `stride failures` lists all.
const CAUSES: usize = 8;

/// The status of a service that has taken a file and not finished with it.
const ACCEPTED: u16 = 202;
/// The status of a conflict with what the service has.
const CONFLICT: u16 = 409;

/// Formats the number of files in each state. Files whose process has died are not running.
pub(crate) fn standing(db: &Location, counts: &Counts) -> String {
    let running = match counts.running > 0 && Lock::holder(db).is_none() {
        true => "cut off",
        false => "running",
    };
    let mut line = format!(
        "{} of {} done",
        grouped(counts.done),
        counted(counts.total, "file")
    );
    for (number, word) in [
        (counts.failed, "failed"),
        (counts.held, "held"),
        (counts.running, running),
        (counts.waiting, "waiting"),
        (counts.pending, "pending"),
        (counts.forgotten, "forgotten"),
    ] {
        if number > 0 {
            line.push_str(&format!(", {} {word}", grouped(number)));
        }
    }
    line
}

/// The work of one command.
pub(crate) struct Work<'w> {
    /// The run's calls before the command.
    pub(crate) calls_before: u64,
    pub(crate) took: Duration,
    /// The jobs whose call was cut off.
    pub(crate) cut_off: &'w [FileName],
    /// Prints the causes of failures.
    pub(crate) with_causes: bool,
    /// Prints the commands that come next.
    pub(crate) with_hints: bool,
    /// Flags that the run does not remember, for the next command.
    pub(crate) flags: &'w str,
}

/// Prints the outcome of a run, the causes of failures, and the next commands.
pub(crate) fn print(db: &Location, terminal: &Terminal, work: &Work<'_>) -> Result<(), CliError> {
    let Work {
        calls_before,
        took,
        cut_off,
        with_causes,
        with_hints,
        flags,
    } = *work;
    let reader = Reader::open(db)?;
    let counts = reader.counts()?;
    // This leaves out calls that were not sent.
    let used = reader.noted()?.used;
    let calls = used.calls.saturating_sub(calls_before);
    if counts.total == 0 {
        let (why, hint) = match counts.forgotten {
            0 => (
                "the run has no files",
                "repeat the run command with files, or with folders that have some".to_owned(),
            ),
            _ => (
                "all files of the run are forgotten",
                format!("{}   brings them back", command(db, "forget --undo")),
            ),
        };
        terminal.say(&format!("nothing to do: {why}"));
        terminal.say(&format!("{} {hint}", cyan("hint:")));
        return Ok(());
    }
    let has_failures = counts.failed + counts.held > 0;
    let say = |line: &str| match has_failures {
        true => terminal.insist(line),
        false => terminal.say(line),
    };
    say(&terminal.dated(&format!(
        "{}; {} in {}",
        standing(db, &counts),
        counted(calls, "call"),
        show_duration(took)
    )));
    if let Some(cost) = cost(&used) {
        say(&format!("cost: {cost}"));
    }
    if !cut_off.is_empty() {
        let files = counted(cut_off.len() as u64, "file");
        let their = match cut_off.len() {
            1 => "its call was",
            _ => "their calls were",
        };
        let names = names(cut_off);
        terminal.insist(&format!(
            "{files} in doubt, because {their} cut off: {names}"
        ));
    }
    let causes = match with_causes && has_failures {
        true => reader.causes()?,
        false => Vec::new(),
    };
    for line in causes.iter().take(CAUSES).flat_map(describe) {
        say(&line);
    }
    if let Some(more) = causes.len().checked_sub(CAUSES).filter(|more| *more > 0) {
        let more = counted(more as u64, "other cause");
        let failures = command(db, "failures");
        say(&format!("and {more}: {failures} lists all"));
    }
    if let Some(line) = more_names(db, causes.iter().take(CAUSES)) {
        say(&line);
    }
    if let Some(note) = earlier_results(db, &reader)? {
        say(&format!("{} {note}", bold("note:")));
    }
    if with_hints {
        next_steps(db, terminal, &counts, &causes, flags);
    }
    Ok(())
}

/// Counts the files whose result was set aside and not replaced, and says how to get it back.
pub(crate) fn earlier_results(db: &Location, reader: &Reader) -> Result<Option<String>, CliError> {
    let files = reader.restorable()?;
    let words = format!(
        "no new result yet for {}; {} brings back what was set aside",
        counted(files, "file"),
        command(db, "retry --restore")
    );
    Ok(Some(words).filter(|_| files > 0))
}

/// Prints the commands that come next for a run with these counts and causes of failures. `flags` are those that the run does
/// not remember.
pub(crate) fn next_steps(
    db: &Location,
    terminal: &Terminal,
    counts: &Counts,
    causes: &[Cause],
    flags: &str,
) {
    let hint = |words: &str, what: &str| {
        let command = again_for(db, words);
        terminal.say(&format!("{} {command}   {what}", cyan("hint:")));
    };
    let with_flags = |words: &str, what: &str| hint(&format!("{words}{flags}"), what);
    if counts.open() + counts.running > 0 {
        with_flags("resume", "continues where this stopped");
    }
    let statuses: Vec<Option<u16>> = causes.iter().map(|cause| cause.key.status).collect();
    if statuses.contains(&Some(ACCEPTED)) {
        let recheck = command(db, "recheck --expect any --apply");
        terminal.say(&format!(
            "{} {recheck}   takes the answers with status 202 as results, without calls",
            cyan("hint:")
        ));
    }
    if statuses.contains(&Some(CONFLICT)) {
        terminal.say(&format!(
            "{} for a 409 that says that the work is done already: --expect-status 2xx,409 takes it as a result, --class status=409:rejected calls once",
            cyan("hint:")
        ));
    }
    let look = causes.iter().find_map(|cause| look(db, cause));
    if let Some(look) = &look {
        terminal.say(&format!("{} {look}   shows its whole call", cyan("hint:")));
    }
    let is_refused = |cause: &Cause| cause.key.class == Some(Class::Rejected);
    if look.is_some() && causes.iter().all(is_refused) {
        with_flags("retry", &effect_for(db, "the refused files"));
        hint(
            "forget --where class=rejected",
            "takes the refused files off the run",
        );
    } else if counts.failed > 0 {
        with_flags("retry", &effect_for(db, "the failed files"));
    }
    // Another call does not find a missing file either.
    if causes
        .iter()
        .any(|cause| cause.key.class == Some(Class::Input))
    {
        hint(
            "forget --where class=input",
            "takes the missing and unusable files off the run",
        );
    }
    if counts.held > 0 {
        with_flags("retry --held", &effect_for(db, "the held files"));
    }
    if counts.done == counts.total {
        hint("export -o results.json", "writes the results");
    } else if counts.open() + counts.running == 0 {
        hint(
            "export --all -o results.json",
            "writes the results and the failures",
        );
    }
}

/// Returns the command that shows the call of a file that the service rejected, or whose answer was no result. Other causes
/// have no answer, or pass by themselves.
pub(crate) fn look(db: &Location, cause: &Cause) -> Option<String> {
    if !matches!(cause.key.class, Some(Class::Rejected | Class::BadResponse)) {
        return None;
    }
    let info = Reader::open(db).and_then(|reader| reader.info()).ok()?;
    if matches!(info.call, Call::Program { .. }) || info.call.is_starters() {
        return None;
    }
    let mut examples = cause.examples.iter();
    let name = examples.find_map(|example| typed(&info.base, &example.path))?;
    Some(again(db, &info.call, &format!("try {name}")))
}

/// Returns the line that says how to list the names that [`describe`] leaves out.
pub(crate) fn more_names<'c>(
    db: &Location,
    causes: impl IntoIterator<Item = &'c Cause>,
) -> Option<String> {
    let is_cut = |cause: &Cause| cause.count > cause.examples.len() as u64;
    let json = command(db, "failures --json");
    let mut causes = causes.into_iter();
    causes
        .any(is_cut)
        .then(|| format!("{json} lists every file"))
}

/// Formats a cause and its examples, a line each.
pub(crate) fn describe(cause: &Cause) -> Vec<String> {
    let word = match cause.key.state {
        JobState::Held => "held",
        _ => "failed",
    };
    let class = cause.key.class.map_or("", |class| class.as_str());
    let what = cause.words();
    let mut lines = vec![format!(
        "{word}: {} × {} ({class})",
        grouped(cause.count),
        short(what.as_bytes())
    )];
    for example in &cause.examples {
        let mut line = format!("    {}", example.path);
        let said = said(&example.body);
        let own = match said.is_empty() {
            true => example.message.clone(),
            false => format!("{}: {said}", example.message),
        };
        // The first line has the shared words.
        if own != what {
            line.push_str(": ");
            line.push_str(&short(own.as_bytes()));
        }
        lines.push(line);
    }
    if cause.count > cause.examples.len() as u64 {
        let more = grouped(cause.count - cause.examples.len() as u64);
        lines.push(format!("    and {more} more"));
    }
    lines
}
