//! Starts the workers of a run, and takes over the name, the version and the source that they state.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, IsTerminal, stdin};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::stdio::{dup2_stdin, dup2_stdout};

use stride::caller::{Hello, StarterPipes, WorkerPlan, WorkerStart};
use stride::engine::{Stop, Urgency};
use stride::input::Source;
use stride::job::escaped;
use stride::settings::{Call, Way};
use stride::store::{Location, Store};

use crate::cli::args::settings::SettingsArgs;
use crate::cli::output::error::{CliError, made_by_starter};
use crate::cli::output::format::counted;
use crate::cli::output::lacking;
use crate::cli::output::shown::{self, cyan, stderr};
use crate::cli::output::signals::Caught;
use crate::cli::output::terminal::Terminal;
use crate::cli::session::change::Change;

/// The ways out for a worker with another name or version.
const ACCEPT: &str = "use the worker of the run, add --accept-change to the `stride run …` command to continue with this one, or start another run with --db FILE";

/// A worker that is not ready after this time is mentioned.
const SILENCE: Duration = Duration::from_secs(2);

/// Checks that `--workers` fits a call, and refuses the calls of a program that starts stride without `has_starter`.
pub(crate) fn check(flags: &SettingsArgs, call: &Call, has_starter: bool) -> Result<(), CliError> {
    let is_worker = matches!(call, Call::Command(command) if command.way == Way::Worker);
    if flags.workers.is_some() && !is_worker {
        return Err(
            CliError::usage("--workers is the number of processes of --worker COMMAND")
                .hint("use -j N for the number of calls at the same time"),
        );
    }
    if call.is_starters() && !has_starter {
        return Err(made_by_starter(call).hint("start that program again: it continues the run"));
    }
    Ok(())
}

/// Checks that the program which starts stride may go on with a run.
pub(crate) fn check_resumed(call: &Call) -> Result<(), CliError> {
    match call.is_starters() {
        true => check_starter(&[]),
        false => Err(CliError::usage(format!(
            "--worker - does not belong to this run, whose calls are: {}",
            escaped(call.summary().as_bytes())
        ))
        .hint("leave it out")),
    }
}

/// Checks that standard input and output are free for the protocol: no list comes there, and neither is a terminal.
pub(crate) fn check_starter(sources: &[Source]) -> Result<(), CliError> {
    if sources
        .iter()
        .any(|source| matches!(source, Source::Stdin(_)))
    {
        return Err(CliError::usage(
            "--worker - has standard input for itself, so no list can come there",
        )
        .hint("use --files-from with a file, or with /dev/fd/N"));
    }
    if stdin().is_terminal() || shown::is_terminal() {
        return Err(
            CliError::usage("--worker - is for a program that starts stride")
                .note("it reads calls from stride's standard output, and writes answers to its standard input")
                .hint("use --worker COMMAND to let stride start the program"),
        );
    }
    Ok(())
}

/// The signals and the permission for [`begin`].
pub(crate) struct Context<'c> {
    pub(crate) caught: &'c Caught,
    pub(crate) stop: &'c Stop,
    /// A worker may have another name or version than the run's.
    pub(crate) accepts_change: bool,
}

/// Starts the first worker, and takes over its name, version and source. Returns its hello. Returns `None` if it ends
/// without one, because the first call then stops the run, and if a stop is asked for.
///
/// # Errors
///
/// The run has results of a worker with another name or version, and the change is not accepted.
pub(crate) fn begin(
    db: &Location,
    store: &mut Store,
    workers: &WorkerPlan,
    context: &Context<'_>,
    terminal: &Terminal,
) -> Result<Option<Hello>, CliError> {
    let starter = workers.is_starter().then(take_pipes).transpose();
    let starter = starter.map_err(|error| lacking::thread(&error))?;
    let (caught, stop) = (context.caught.clone(), context.stop.clone());
    let start = WorkerStart {
        run: store.id(),
        starter,
        on_stop: Box::new(move |now| {
            let urgency = if now { Urgency::Now } else { Urgency::Drain };
            caught.ask(urgency, &stop);
        }),
    };
    let (began, is_told) = (Instant::now(), Cell::new(false));
    let is_stopped = || {
        if began.elapsed() > SILENCE && !is_told.replace(true) {
            terminal.say("waiting until the worker is ready (--worker-start)");
        }
        workers.said().iter().for_each(|line| terminal.say(line));
        context.stop.is_asked()
    };
    let begun = workers.begin(start, &is_stopped);
    let Some(hello) = begun.map_err(|error| lacking::thread(&error))? else {
        return Ok(None);
    };
    let old = store.call()?;
    let (is_known, old_source) = match &old {
        Call::Command(command) => (command.identity() != (None, None), command.source.clone()),
        _ => (false, None),
    };
    let new = old.with_worker(
        hello.name.clone(),
        hello.version.clone(),
        hello.source.clone(),
    );
    if !is_known && !store.has_results_of_call()? {
        store.amend_call(&new)?;
    } else if let Some(change) =
        Change::check(db, store, new.clone(), context.accepts_change, ACCEPT)?
    {
        change.take(db, store, terminal)?;
        change.requeue(db, store, terminal)?;
    } else if old_source != hello.source {
        store.amend_call(&new)?;
        let done = store.counts().done;
        if old_source.is_some() && done > 0 {
            let name = hello.name.as_deref().unwrap_or("the worker");
            terminal.warn(&format!(
                "the source of {} has changed; {} of the old one will stay",
                escaped(name.as_bytes()),
                counted(done, "result")
            ));
            terminal.insist(&format!(
                "{} if results now mean something else, give the worker another version",
                cyan("hint:")
            ));
        }
    }
    Ok(Some(hello))
}

/// Takes standard input and output for the protocol. From now on, what else is written to standard output goes to stderr.
fn take_pipes() -> io::Result<StarterPipes> {
    let pipes = StarterPipes {
        from: stdin().as_fd().try_clone_to_owned()?,
        to: shown::own_stdout()?,
    };
    dup2_stdin(File::open("/dev/null")?)?;
    dup2_stdout(stderr())?;
    Ok(pipes)
}
