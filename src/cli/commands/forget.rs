//! `stride forget`, which also works while another process runs.

use std::path::PathBuf;

use stride::export::check_list_columns;
use stride::filter::Term;
use stride::job::FileName;
use stride::store::{
    Chosen, Forgotten, Location, Lock, Reader, bring_back, database_files, forget as take_off,
};

use crate::cli::args::InvocationArgs;
use crate::cli::args::forget::Forget;
use crate::cli::output::error::CliError;
use crate::cli::output::exit;
use crate::cli::output::format::{counted, names};
use crate::cli::output::shown::cyan;
use crate::cli::output::storage::removal;
use crate::cli::output::terminal::Terminal;
use crate::cli::session::list::listed_names;
use crate::cli::session::loaded::{some, undo};
use crate::cli::session::not_listed::not_listed;
use crate::cli::session::storage;
use crate::cli::session::summary::{next_steps, standing};

pub(crate) fn forget(db: &Location, args: &Forget, terminal: &Terminal) -> Result<u8, CliError> {
    refuse_database(db, &args.names)?;
    let chosen_names = listed_names(db, &args.names)?;
    let columns = args.terms.iter().filter_map(Term::column);
    let columns: Vec<String> = columns.map(str::to_owned).collect();
    check_list_columns(&Reader::open(db)?, &columns)?;
    let chosen = match chosen_names.is_empty() {
        true => Chosen::Terms(&args.terms),
        false => Chosen::Names(&chosen_names),
    };
    let change = |chosen| match args.undo {
        true => bring_back(db, chosen),
        false => take_off(db, chosen),
    };
    let mut made = change(chosen)?;
    if !made.running.is_empty() && Lock::holder(db).is_none() {
        settle_crashed(db, terminal)?;
        // Terms such as state=running select them no more.
        let crashed = change(Chosen::Names(&made.running))?;
        made = change(chosen)?;
        made.changed += crashed.changed;
        made.examples = [crashed.examples, made.examples].concat();
        made.examples.truncate(Forgotten::EXAMPLES);
    }
    if made.is_refused() {
        return Err(refused(db, &made));
    }
    report(db, args, &made, terminal)?;
    Ok(exit::DONE)
}

/// Refuses the database of a run in place of a file's name, and says how that run is deleted.
fn refuse_database(db: &Location, names: &[PathBuf]) -> Result<(), CliError> {
    for path in names {
        let name = FileName::from(path.as_path());
        let is_listed = Reader::open(db).and_then(|run| run.has(&name));
        if is_listed.unwrap_or(false) || !path.is_file() || Reader::open(path.as_path()).is_err() {
            continue;
        }
        return Err(CliError::usage(format!(
            "{name} is the database of a run, not one of its files"
        ))
        .note("nothing was changed")
        .hint(format!(
            "to delete the database and the answers in it: {}",
            removal(&database_files(path.as_path()))
        )));
    }
    Ok(())
}

/// Settles the calls that were in flight when the last process died.
fn settle_crashed(db: &Location, terminal: &Terminal) -> Result<(), CliError> {
    // An unusable rescue file does not matter here, because this makes no calls.
    let invocation = InvocationArgs {
        ignore_rescue: true,
        ..InvocationArgs::default()
    };
    let mut store = storage::open(db, invocation, None, terminal)?;
    storage::recover(&mut store, terminal)?;
    Ok(store.close()?)
}

fn refused(db: &Location, made: &Forgotten) -> CliError {
    if !made.unknown.is_empty() {
        return not_listed(db, &made.unknown, true);
    }
    CliError::new(
        exit::BUSY,
        format!(
            "calls in flight cannot be forgotten: {}",
            names(&made.running)
        ),
    )
    .note("nothing was changed")
    .hint("repeat the command when they have ended")
}

fn report(
    db: &Location,
    args: &Forget,
    made: &Forgotten,
    terminal: &Terminal,
) -> Result<(), CliError> {
    let verb = if args.undo { "brought back" } else { "forgot" };
    let mut line = format!("{verb} {}", counted(made.changed, "file"));
    if made.changed > 0 {
        line.push_str(": ");
        line.push_str(&some(&made.examples, made.changed));
    }
    terminal.say(&line);
    terminal.say(&standing(db, &made.counts));
    let hint = |command: &str, what: &str| {
        terminal.say(&format!("{} {command}   {what}", cyan("hint:")));
    };
    if !args.undo && made.changed > 0 {
        let undo = undo(db, &made.examples, made.changed);
        hint(&undo, "brings back what was forgotten");
    }
    if made.counts.total == 0 {
        hint(
            &removal(&database_files(db)),
            "deletes the database and the answers in it, if the run is of no use",
        );
        return Ok(());
    }
    let causes = match made.counts.failed {
        0 => Vec::new(),
        _ => Reader::open(db)?.causes()?,
    };
    if Lock::holder(db).is_none() {
        next_steps(db, terminal, &made.counts, &causes, "");
    }
    Ok(())
}
