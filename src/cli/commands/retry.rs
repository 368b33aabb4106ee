//! `stride retry`.

use stride::job::{FileName, JobState};
use stride::store::{Filter, Location, Reader, Redo, Store};

use crate::cli::args::Retry;
use crate::cli::args::failures::ClassOrRule;
use crate::cli::commands::failures::check_causes;
use crate::cli::commands::restore::restore;
use crate::cli::commands::run::report_set_aside;
use crate::cli::config::Config;
use crate::cli::output::again::again;
use crate::cli::output::error::{CliError, command, quoted};
use crate::cli::output::exit;
use crate::cli::output::format::{counted, grouped};
use crate::cli::output::shown::bold;
use crate::cli::output::terminal::Terminal;
use crate::cli::session::list::listed_names;
use crate::cli::session::not_listed::not_listed;
use crate::cli::session::storage;
use crate::cli::session::work::{Calls, keep_settings, prepare, work};

/// `stride retry`: makes failed, held or done jobs pending, and resumes the run unless `--queue-only` is set. With
/// `--restore`, brings results back instead.
pub(crate) fn retry(
    db: &Location,
    args: &Retry,
    config: &Config,
    terminal: &Terminal,
) -> Result<u8, CliError> {
    let resume = &args.resume;
    let mut store = storage::open(db, resume.invocation, resume.outputs.wait_lock, terminal)?;
    if args.done.restore {
        return restore(db, args, store, terminal);
    }
    let (mut classes, mut rules) = (Vec::new(), Vec::new());
    for each in &args.class {
        match each {
            ClassOrRule::Class(class) => classes.push(*class),
            ClassOrRule::Rule(rule) => rules.push(rule.clone()),
        }
    }
    let names = Some("names").filter(|_| !args.names.is_empty());
    if let Some(other) = args.done.flag().or(names)
        && !classes.is_empty()
    {
        let message = format!("--class cannot be combined with {other}");
        return Err(CliError::usage(message).hint("leave out one of them"));
    }
    // Report what is wrong before anything is changed.
    let filter = args.filter.with_classes(classes);
    let named = listed_names(db, &args.names)?;
    let done = listed_names(db, &args.done.done)?;
    check_names(db, &filter, named.iter().chain(&done))?;
    let calls = match args.queue_only {
        true => None,
        false => Some(prepare(
            db, &mut store, resume, config, &rules, true, terminal,
        )?),
    };
    // Results that are found in another folder are not lost.
    if let Some(calls) = &calls {
        calls.keep_folder(&mut store, terminal)?;
    }
    let chosen = match &args.done {
        done if done.lost => Some(Redo::Lost),
        done if done.changed => Some(Redo::Changed),
        done if done.outdated => Some(Redo::Outdated),
        _ => Some(Redo::Names(&done)).filter(|_| !done.is_empty()),
    };
    if let Some(chosen) = chosen {
        redo(db, &mut store, chosen, terminal)?;
    } else {
        let waiting = store.counts().waiting;
        let (word, moved) = if !named.is_empty() {
            let moved = requeue_named(db, &mut store, &named, args.anew, terminal)?;
            ("named", moved)
        } else {
            let word = if filter.held { "held" } else { "failed" };
            let moved = match args.anew {
                true => store.requeue_anew(&filter)?,
                false => store.requeue(&filter)?,
            };
            (word, moved)
        };
        let moved = counted(moved, &format!("{word} file"));
        let goes_on = match store.counts().waiting.saturating_sub(waiting) {
            0 => String::new(),
            files => format!("; {} at the step where it failed", grouped(files)),
        };
        terminal.say(&format!("{moved} pending again{goes_on}"));
    }
    let mut settings = keep_settings(&mut store, config, &resume.settings, &rules)?;
    let Some(calls) = calls else {
        store.close()?;
        return Ok(exit::DONE);
    };
    settings.submit_only = resume.submit_only;
    let calls = Calls { settings, ..calls };
    work(db, store, calls, &resume.outputs, terminal)
}

/// Checks that the run has these causes and names.
fn check_names<'n>(
    db: &Location,
    filter: &Filter,
    names: impl Iterator<Item = &'n FileName>,
) -> Result<(), CliError> {
    let reader = Reader::open(db)?;
    check_causes(db, &reader, filter)?;
    let mut unknown = Vec::new();
    for name in names {
        if !reader.has(name)? {
            unknown.push(name.clone());
        }
    }
    match unknown.is_empty() {
        true => Ok(()),
        false => Err(not_listed(db, &unknown, false)),
    }
}

/// Makes failed and held files with these names pending, and returns their number.
///
/// # Errors
///
/// No file was made pending, and one of them is done or forgotten.
fn requeue_named(
    db: &Location,
    store: &mut Store,
    names: &[FileName],
    anew: bool,
    terminal: &Terminal,
) -> Result<u64, CliError> {
    let requeued = match anew {
        true => store.requeue_named_anew(names)?,
        false => store.requeue_named(names)?,
    };
    let open = |state| {
        matches!(
            state,
            JobState::Pending | JobState::Waiting | JobState::Running
        )
    };
    let settled = requeued.others.iter().find(|(_, state)| !open(*state));
    if let (Some((name, state)), 0) = (settled, requeued.changed) {
        let path = quoted(name.as_path());
        let call = Reader::open(db)?.info()?.call;
        let hint = match state {
            JobState::Done => format!(
                "to call it again and set its result aside: {}",
                again(db, &call, &format!("retry --done {path}"))
            ),
            _ => format!(
                "to bring it back: {}",
                command(db, &format!("forget --undo {path}"))
            ),
        };
        let message = format!("{name} has not failed: it is {}", state.as_str());
        return Err(CliError::usage(message).hint(hint));
    }
    for (name, state) in &requeued.others {
        let note = bold("note:");
        let state = standing_alone(*state);
        terminal.say(&format!("{note} {name} has not failed: it is {state}"));
    }
    Ok(requeued.changed)
}

/// Returns the word for a file's state while no other process works on the run: a running one was cut off by a crash.
fn standing_alone(state: JobState) -> &'static str {
    match state {
        JobState::Running => "cut off, and called again anyway",
        state => state.as_str(),
    }
}

/// Makes done files pending.
fn redo(
    db: &Location,
    store: &mut Store,
    chosen: Redo<'_>,
    terminal: &Terminal,
) -> Result<(), CliError> {
    let redone = store.redo(chosen)?;
    for (name, state) in &redone.others {
        let note = bold("note:");
        let state = standing_alone(*state);
        terminal.say(&format!("{note} {name} is {state}, not done"));
    }
    match chosen {
        // A missing or changed result cannot be brought back.
        Redo::Lost => {
            let files = counted(redone.changed, "done file");
            terminal.say(&format!("{files} pending again"));
        }
        _ => report_set_aside(db, redone.changed, "done file", terminal),
    }
    Ok(())
}
