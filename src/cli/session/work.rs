//! Makes the calls of a run.

use std::path::Path;
use std::time::Instant;

use rustix::process::Pid;
use stride::caller::Plan;
use stride::engine::{self, RunOutcome, Stop};
use stride::event::Ending;
use stride::failure_class::ClassRule;
use stride::job::{FileName, escaped};
use stride::paths::folder_of;
use stride::settings::{Call, Settings};
use stride::store::{Location, Reader, Store, note_artifact};

use crate::cli::args::settings::SettingsArgs;
use crate::cli::args::{Outputs, Resume};
use crate::cli::config::Config;
use crate::cli::output::error::{CliError, made_by, made_by_starter};
use crate::cli::output::format::counted;
use crate::cli::output::shown::bold;
use crate::cli::output::signals::Caught;
use crate::cli::output::terminal::Terminal;
use crate::cli::output::{exit, halt, lacking, screen};
use crate::cli::progress::Progress;
use crate::cli::progress::events::Events;
use crate::cli::request::consent::{self, Confirmed, Scope};
use crate::cli::request::plan::plan;
use crate::cli::request::{GivenAgain, parse_credentials, results_folder};
use crate::cli::secrets::references::references;
use crate::cli::session::change::Change;
use crate::cli::session::descriptors::raise_descriptors;
use crate::cli::session::files::{check_events, resolved};
use crate::cli::session::finish::{self, Outcome};
use crate::cli::session::loaded::report_renewed;
use crate::cli::session::{sample, storage, summary, worker};

/// The ways out for headers that change the request of a run.
const REPEAT: &str = "leave them out, repeat the whole `stride run …` with them and --accept-change, or start another run with --db FILE";

/// The calls that a command makes.
pub(crate) struct Calls {
    /// `None` if the command makes no calls.
    pub(crate) plan: Option<Plan>,
    pub(crate) settings: Settings,
    /// Ignores a wait that the service asked for.
    pub(crate) ignore_wait: bool,
    /// The files that `--sample` drew, if only those are called.
    pub(crate) drawn: Option<Vec<FileName>>,
    /// The call with another folder for results.
    pub(crate) moved: Option<Call>,
    /// A changed name or version of a worker is accepted.
    pub(crate) accept_change: bool,
}

impl Calls {
    /// Stores another folder for results, if the command line has one. Looks there for results whose files are missing.
    pub(crate) fn keep_folder(
        &self,
        store: &mut Store,
        terminal: &Terminal,
    ) -> Result<(), CliError> {
        let Some(call) = &self.moved else {
            return Ok(());
        };
        store.amend_call(call)?;
        if let Some(folder) = results_folder::of(call, store.base()) {
            let found = store.find_results(&folder)?;
            if found > 0 {
                let found = counted(found, "lost result");
                let name = FileName::from(folder.as_path());
                terminal.say(&format!("results: {found} found in {name}"));
            }
        }
        Ok(())
    }
}

/// Checks that the run can continue with these flags on this machine, and then takes over headers that change its request.
/// `retries` says that files which are not pending will be called.
pub(crate) fn prepare(
    db: &Location,
    store: &mut Store,
    args: &Resume,
    config: &Config,
    classes: &[ClassRule],
    retries: bool,
    terminal: &Terminal,
) -> Result<Calls, CliError> {
    let mut call = store.call()?;
    if let Call::Program { name } = &call {
        return Err(made_by(name).hint("resume the run with that program"));
    }
    if retries && call.is_starters() && args.worker.is_none() {
        // A start calls pending files only.
        return Err(made_by_starter(&call).hint(
            "add --queue-only, and then start that program again; in Python, results.retry(call) does both",
        ));
    }
    worker::check(&args.settings, &call, args.worker.is_some())?;
    if args.worker.is_some() {
        worker::check_resumed(&call)?;
    }
    let moved = move_results(&call, store.base(), args.output_dir.as_deref())?;
    if let Some(moved) = &moved {
        call = moved.clone();
    }
    let lookup = references(store.base());
    let GivenAgain {
        credentials,
        changed,
    } = parse_credentials(&args.into(), &call, &lookup)?;
    // Another folder for results is stored with the other headers.
    let moved = moved.map(|moved| changed.clone().unwrap_or(moved));
    let settings = config.resolve(&args.settings, classes, &store.settings()?, &call)?;
    let settings = settings.announce(terminal);
    let change = changed.as_ref().map_or(Ok(None), |changed| {
        Change::check(db, store, changed.clone(), false, REPEAT)
    })?;
    let mut plan = None;
    // A starting program with another name is refused even if nothing is left to call.
    if retries || change.is_some() || has_work(store) || call.is_starters() {
        let base = store.base();
        let confirmed = Confirmed {
            commands: args.invocation.allow_commands,
            references: args.invocation.allow_references,
            folder: args.output_dir.as_deref(),
        };
        let uses = || consent::uses_of_run(&Reader::open(store.path())?, &call);
        consent::check(db, &call, base, Scope::Run, uses, confirmed)?;
        // A pool that is typed now is the user's own.
        if args.settings.pool.is_none() {
            consent::check_pool(db, &call, base, settings.pool.as_deref(), confirmed)?;
        }
        plan = Some(self::plan(
            changed.as_ref().unwrap_or(&call),
            &settings,
            &credentials,
            args.invocation,
            base,
        )?);
    }
    raise_descriptors(settings.threads)?;
    let mut call_of_pool = call;
    let lists = Reader::open(store.path())?.list_files()?;
    check_events(&args.outputs, &store.own_files(), &lists)?;
    if let (Some(change), Some(call)) = (change, changed) {
        change.take(db, store, terminal)?;
        if !retries {
            change.requeue(db, store, terminal)?;
        }
        consent::remember(&call, store.base());
        call_of_pool = call;
    }
    if plan.is_some() {
        consent::remember_pool(&call_of_pool, store.base(), settings.pool.as_deref());
    }
    Ok(Calls {
        plan,
        settings,
        ignore_wait: args.invocation.ignore_wait,
        drawn: None,
        moved,
        accept_change: false,
    })
}

/// Returns the call with another folder for results, if one is given.
fn move_results(call: &Call, base: &Path, given: Option<&Path>) -> Result<Option<Call>, CliError> {
    let replaced = results_folder::replaced(call, base, given)?;
    // The user names the folder on this machine.
    if let Some(replaced) = &replaced
        && consent::is_known(call, base, Scope::Run)
    {
        consent::remember(replaced, base);
    }
    Ok(replaced)
}

/// Returns true if a file is left to call.
pub(crate) fn has_work(store: &Store) -> bool {
    let counts = store.counts();
    counts.pending + counts.waiting + counts.running > 0
}

/// Returns whether the program that started stride makes the calls. It expects to be greeted even if there are none.
fn has_starter(plan: &Plan) -> bool {
    matches!(plan, Plan::Worker(workers) if workers.is_starter())
}

/// Resolves the settings, and stores them.
pub(crate) fn keep_settings(
    store: &mut Store,
    config: &Config,
    flags: &SettingsArgs,
    classes: &[ClassRule],
) -> Result<Settings, CliError> {
    let kept = store.settings()?;
    let settings = config
        .resolve(flags, classes, &kept, &store.call()?)?
        .settings;
    if settings != kept {
        store.set_settings(&settings)?;
    }
    Ok(settings)
}

/// Makes the calls, prints the summary, and runs the command of `--on-finish`.
pub(crate) fn work(
    db: &Location,
    store: Store,
    calls: Calls,
    outputs: &Outputs,
    terminal: &Terminal,
) -> Result<u8, CliError> {
    let (began, calls_before) = (Instant::now(), store.past()?.used.calls);
    let result = make_calls(db, store, calls, calls_before, outputs, terminal);
    // The command may write to the terminal too.
    screen::drain();
    let outcome = Outcome {
        result: &result,
        took: began.elapsed(),
        calls_before,
    };
    finish::run_command(outputs.on_finish.as_deref(), db, &outcome, terminal);
    result
}

/// Makes the calls, and prints the summary.
fn make_calls(
    db: &Location,
    mut store: Store,
    calls: Calls,
    calls_before: u64,
    outputs: &Outputs,
    terminal: &Terminal,
) -> Result<u8, CliError> {
    let began = Instant::now();
    storage::warn_of_permissions(store.path(), terminal);
    let mut events = outputs
        .events
        .as_deref()
        .map(|path| Events::open(path, terminal))
        .transpose()?;
    if let Some(path) = outputs.events.as_deref().and_then(resolved) {
        note_artifact(store.path(), &path);
    }
    let stop = Stop::new();
    let caught = Caught::install(&stop).map_err(|error| lacking::thread(&error))?;
    if let Some(process) = outputs.end_with.and_then(Pid::from_raw) {
        let watched = caught.end_with(process, &stop);
        watched.map_err(|error| lacking::thread(&error))?;
    }
    let mut settings = calls.settings;
    let mut progress = Progress::new(terminal, &settings, caught.clone());
    let run_outcome = match calls.plan {
        Some(plan) if has_work(&store) || has_starter(&plan) => {
            let folder = folder_of(store.path());
            let plan = plan.spilling_into(folder.to_owned()).keeping_outputs()?;
            if let Some(folder) = plan.output_dir().and_then(resolved) {
                note_artifact(store.path(), &folder);
                // A database from another user may have chosen the folder, so each run names it.
                let name = FileName::from(folder.as_path());
                terminal.say(&format!("results: each is written to a file in {name}"));
            }
            if let Some(proxy) = plan.proxy() {
                terminal.say(&format!(
                    "proxy: calls go through {}",
                    escaped(proxy.as_bytes())
                ));
            }
            use_pool(&mut store, &plan, terminal)?;
            if calls.ignore_wait {
                store.ignore_wait()?;
            }
            let mut reports_to = None;
            if let Plan::Worker(workers) = &plan {
                let context = worker::Context {
                    caught: &caught,
                    stop: &stop,
                    accepts_change: calls.accept_change,
                };
                let begun = worker::begin(db, &mut store, workers, &context, terminal);
                let hello = begun.inspect_err(|_| plan.end())?;
                if workers.threads() < settings.threads.most() {
                    settings.threads = workers.threads().into();
                }
                reports_to = hello.filter(|hello| hello.status).map(|_| workers);
            }
            if plan.reads_file() || matches!(plan, Plan::Worker(_)) {
                let renewed = store.renew_changed()?;
                report_renewed(renewed, "the content was changed since", terminal);
            }
            storage::report_left_in_doubt(&store, terminal)?;
            let mut make = || plan.slot_caller();
            let worked = engine::run(&mut store, &mut make, &settings, &stop, &mut |event| {
                if let Some(events) = &mut events {
                    events.on(event);
                }
                progress.on(event);
                if let Some(workers) = reports_to
                    && let Some(line) = progress.status()
                {
                    workers.report(line);
                }
                if let Some(trouble) = plan.output_trouble() {
                    progress.say(&format!(
                        "{trouble}; such results are stored in the database instead"
                    ));
                }
                tell(&plan, &progress);
            });
            if let Some(workers) = reports_to {
                workers.report(progress.last_status());
            }
            plan.end();
            tell(&plan, &progress);
            if worked.is_err()
                && let Some(events) = events.take()
            {
                events.finish();
            }
            worked.map_err(|error| storage::cli_error(db, error))?
        }
        _ => RunOutcome {
            ending: Ending::Finished,
            counts: store.counts(),
            in_doubt: Vec::new(),
            used: store.past()?.used,
        },
    };
    store.close()?;
    if let Some(events) = events {
        events.finish();
    }
    let signal = caught.first();
    if let (Some(drawn), Ending::Finished, None) = (&calls.drawn, &run_outcome.ending, signal)
        && run_outcome.counts.total > 0
    {
        return sample::report(db, drawn, terminal);
    }
    let is_halted = matches!(run_outcome.ending, Ending::Halted(_)) && signal.is_none();
    summary::print(
        db,
        terminal,
        &summary::Work {
            calls_before,
            took: began.elapsed(),
            cut_off: &run_outcome.in_doubt,
            // After a signal, the summary stays short.
            with_causes: signal.is_none(),
            with_hints: !is_halted,
            flags: &outputs.typed,
        },
    )?;
    match (&run_outcome.ending, signal) {
        (Ending::Panicked(path), _) => Err(halt::panicked(db, path)),
        (_, Some(signal)) => Ok(exit::signalled(signal)),
        (Ending::Halted(halt), None) => {
            let (call, counts) = (Reader::open(db)?.info()?.call, &run_outcome.counts);
            Err(halt::cli_error(db, &call, halt, counts, &outputs.typed))
        }
        (Ending::Stopped, None) => Ok(exit::ERROR),
        (Ending::Finished, None) if run_outcome.counts.done == run_outcome.counts.total => {
            Ok(exit::DONE)
        }
        (Ending::Finished, None) => Ok(exit::INCOMPLETE),
    }
}

/// Takes the rows of the pool as lanes. Reports a column that no call uses.
fn use_pool(store: &mut Store, plan: &Plan, terminal: &Terminal) -> Result<(), CliError> {
    let lanes = plan.lanes().identities(store.uuid());
    store.use_lanes(&lanes)?;
    if !lanes.is_empty() {
        terminal.say(&format!("pool: {}", counted(lanes.len() as u64, "lane")));
    }
    for column in plan.unused_columns() {
        let column = escaped(column.as_bytes());
        terminal.say(&format!(
            "{} the request does not use the pool's column `{column}`",
            bold("note:")
        ));
    }
    Ok(())
}

/// Prints the new lines of programs, remarks about answers, and warnings.
fn tell(plan: &Plan, progress: &Progress) {
    for line in plan.said() {
        progress.say(&line);
    }
    for remark in plan.remarks() {
        progress.insist(&format!("{} {}", bold("note:"), escaped(remark.as_bytes())));
    }
    for warning in plan.warnings() {
        progress.insist(&format!("{} {warning}", bold("warning:")));
    }
}
