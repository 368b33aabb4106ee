//! `stride retry --restore`, which makes no calls.

use stride::job::FileName;
use stride::store::{Location, Reader, Store};

use crate::cli::args::Retry;
use crate::cli::output::again::again_for;
use crate::cli::output::error::CliError;
use crate::cli::output::exit;
use crate::cli::output::format::counted;
use crate::cli::output::shown::{bold, cyan};
use crate::cli::output::terminal::Terminal;
use crate::cli::session::list::listed_names;
use crate::cli::session::not_listed::not_listed;
use crate::cli::session::storage;
use crate::cli::session::summary::{next_steps, standing};

/// Brings back results that were set aside, for files without a new one.
pub(crate) fn restore(
    db: &Location,
    args: &Retry,
    mut store: Store,
    terminal: &Terminal,
) -> Result<u8, CliError> {
    let names: Vec<FileName> = listed_names(db, &args.names)?;
    storage::recover(&mut store, terminal)?;
    let restored = store.restore(&names)?;
    if !restored.unknown.is_empty() {
        return Err(not_listed(db, &restored.unknown, false));
    }
    let counts = store.counts();
    store.close()?;
    let note = |text: String| terminal.say(&format!("{} {text}", bold("note:")));
    for (name, state) in &restored.others {
        let state = state.as_str();
        note(format!(
            "{name} is {state}, and has no earlier result to bring back"
        ));
    }
    if restored.lost > 0 {
        let files = counted(restored.lost, "file");
        note(format!(
            "the earlier results of {files} cannot be brought back: their files in --output-dir are missing or changed"
        ));
    }
    let files = counted(restored.changed, "file");
    terminal.say(&format!("{files} done again, with the earlier results"));
    if restored.outdated > 0 {
        let results = counted(restored.outdated, "result");
        note(format!(
            "from a request that the run had before: {results} of these"
        ));
        let outdated = again_for(db, "retry --outdated");
        terminal.say(&format!(
            "{} {outdated}   calls their files with the present one",
            cyan("hint:")
        ));
    }
    terminal.say(&standing(db, &counts));
    let causes = match counts.failed {
        0 => Vec::new(),
        _ => Reader::open(db)?.causes()?,
    };
    next_steps(db, terminal, &counts, &causes, "");
    Ok(exit::DONE)
}
