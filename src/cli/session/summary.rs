//! The end of a run in words: what came of it, what failed and why, and the very command to type next.

use std::path::Path;
use std::time::Duration;

use stride::event::Counts;
use stride::job::{FileName, JobState, said};
use stride::settings::show_duration;
use stride::store::{Cause, Reader};

use crate::cli::output::error::{Problem, command};
use crate::cli::output::format::{counted, grouped, short};
use crate::cli::output::terminal::{Terminal, cyan};

/// The most causes that the summary names; `stride failures` lists all.
const CAUSES: usize = 8;

/// Returns how many files are in which state.
pub(crate) fn standing(counts: &Counts) -> String {
    let mut line = format!(
        "{} of {} done",
        grouped(counts.done),
        counted(counts.total, "file")
    );
    for (number, word) in [
        (counts.failed, "failed"),
        (counts.held, "held"),
        (counts.running, "running"),
        (counts.pending, "pending"),
    ] {
        if number > 0 {
            line.push_str(&format!(", {} {word}", grouped(number)));
        }
    }
    line
}

/// The part of a run that one command did.
pub(crate) struct Work<'w> {
    /// Calls of the run before it.
    pub(crate) calls_before: u64,
    pub(crate) took: Duration,
    /// The jobs whose call was cut off.
    pub(crate) cut_off: &'w [FileName],
    /// Prints the causes of failures.
    pub(crate) with_causes: bool,
    /// Prints the commands that come next.
    pub(crate) with_hints: bool,
}

/// Prints how a run went, why files failed, and which commands come next.
pub(crate) fn tell(db: &Path, terminal: &Terminal, work: &Work<'_>) -> Result<(), Problem> {
    let Work {
        calls_before,
        took,
        cut_off,
        with_causes,
        with_hints,
    } = *work;
    let reader = Reader::open(db)?;
    let counts = reader.counts()?;
    // Calls that were not sent do not count.
    let calls = reader.noted()?.used.calls.saturating_sub(calls_before);
    terminal.say(&format!(
        "{}; {} in {}",
        standing(&counts),
        counted(calls, "call"),
        show_duration(took)
    ));
    if !cut_off.is_empty() {
        let files = counted(cut_off.len() as u64, "file");
        terminal.say(&format!(
            "in doubt: {files} whose call was cut off: {}",
            crate::cli::output::format::names(cut_off)
        ));
    }
    let causes = if with_causes && counts.failed + counts.held > 0 {
        reader.causes()?
    } else {
        Vec::new()
    };
    for line in causes.iter().take(CAUSES).flat_map(told) {
        terminal.say(&line);
    }
    if let Some(more) = causes.len().checked_sub(CAUSES).filter(|more| *more > 0) {
        let more = counted(more as u64, "other cause");
        terminal.say(&format!(
            "and {more}: {} lists them all",
            command(db, "failures")
        ));
    }
    if !with_hints {
        return Ok(());
    }
    let hint = |words: &str, what: &str| {
        terminal.say(&format!(
            "{} {}   {what}",
            cyan("hint:"),
            command(db, words)
        ));
    };
    if counts.pending + counts.running > 0 {
        hint("resume", "goes on where this stopped");
    }
    if counts.failed > 0 {
        hint("retry", "calls the failed files again");
    }
    if counts.held > 0 {
        hint("retry --held", "calls the held files again");
    }
    if counts.done == counts.total {
        hint("export -o results.json", "writes the results");
    } else if counts.pending + counts.running == 0 {
        hint(
            "export --all -o results.json",
            "writes the results, and what became of the other files",
        );
    }
    Ok(())
}

/// Returns a cause and its examples, a line each.
pub(crate) fn told(cause: &Cause) -> Vec<String> {
    let word = if cause.key.state == JobState::Held {
        "held"
    } else {
        "failed"
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
        // The first line has the words that all share.
        if own != what {
            line.push_str(": ");
            line.push_str(&short(own.as_bytes()));
        }
        lines.push(line);
    }
    if cause.count > cause.examples.len() as u64 {
        lines.push(format!(
            "    and {} more",
            grouped(cause.count - cause.examples.len() as u64)
        ));
    }
    lines
}
