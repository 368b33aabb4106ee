//! Makes the calls of a run: checks that it can go on, works, and says how it went.

use crate::cli::args::settings::SettingsArgs;
use crate::cli::args::{Outputs, Resume};
use crate::cli::config::Config;
use crate::cli::output::error::Problem;
use crate::cli::output::exit;
use crate::cli::output::halt;
use crate::cli::output::screen;
use crate::cli::output::signals::Caught;
use crate::cli::output::terminal::Terminal;
use crate::cli::progress::Progress;
use crate::cli::progress::events::Events;
use crate::cli::request::consent::{self, Confirmed, Scope};
use crate::cli::request::parse_credentials;
use crate::cli::request::plan::plan;
use crate::cli::secrets::references::references;
use crate::cli::session::descriptors::raise_descriptors;
use crate::cli::session::files::{outside, resolved};
use crate::cli::session::finish::{self, Ended};
use crate::cli::session::permissions;
use crate::cli::session::sample;
use crate::cli::session::storage;
use crate::cli::session::summary;
use std::path::Path;
use std::time::Instant;
use stride::caller::{HttpPlan, SlotCaller};
use stride::engine::{self, Outline, Stop};
use stride::event::Ending;
use stride::failure_class::ClassRule;
use stride::job::{FileName, escaped};
use stride::paths::folder_of;
use stride::settings::{Call, Settings};
use stride::store::{Reader, Store, note_artifact};

/// How the calls of a run are made.
pub(crate) struct Calls {
    /// None where there are none to make.
    pub(crate) plan: Option<HttpPlan>,
    pub(crate) settings: Settings,
    /// Whether a wait that the service has asked for is not kept.
    pub(crate) ignore_wait: bool,
    /// The files that were drawn, where only those are called.
    pub(crate) drawn: Option<Vec<FileName>>,
}

/// Checks that a run can go on with what is given and what is at hand. Nothing is changed.
pub(crate) fn prepare(
    db: &Path,
    store: &Store,
    args: &Resume,
    config: &Config,
    classes: &[ClassRule],
    to_be_made: bool,
    terminal: &Terminal,
) -> Result<Calls, Problem> {
    let call = store.call()?;
    let lookup = references(store.base());
    let credentials = parse_credentials(&args.into(), &call, &lookup)?;
    let settings = config.resolve(&args.settings, classes, &store.settings()?)?;
    let settings = settings.announce(terminal);
    if let Call::Http(request) = &call {
        consent::check_folder(request, args.output_dir.as_deref())?;
    }
    let plan = match call {
        Call::Http(request) if to_be_made => {
            let base = store.base();
            let confirmed = Confirmed {
                commands: args.once.allow_commands,
                references: args.once.allow_references,
                folder: args.output_dir.as_deref(),
            };
            let uses = || consent::uses_of_run(&Reader::open(store.path())?, &request);
            consent::check(db, &request, base, Scope::Run, uses, confirmed)?;
            Some(plan(&request, &settings, &credentials, args.once, base)?)
        }
        Call::Http(_) => None,
        Call::Program { name } => {
            return Err(Problem::usage(format!(
                "this run's calls are made by a program of its own: {}",
                stride::job::escaped(name.as_bytes())
            ))
            .hint("resume the run with that program"));
        }
    };
    raise_descriptors(settings.threads)?;
    outside(&args.outputs, &store.own_files())?;
    Ok(Calls {
        plan,
        settings,
        ignore_wait: args.once.ignore_wait,
        drawn: None,
    })
}

pub(crate) fn something_left(store: &Store) -> bool {
    store.counts().pending + store.counts().running > 0
}

/// Resolves the settings, and stores them.
pub(crate) fn keep_settings(
    store: &mut Store,
    config: &Config,
    flags: &SettingsArgs,
    classes: &[ClassRule],
) -> Result<Settings, Problem> {
    let kept = store.settings()?;
    let settings = config.resolve(flags, classes, &kept)?.settings;
    if settings != kept {
        store.set_settings(&settings)?;
    }
    Ok(settings)
}

/// Makes the calls, says how it went, and runs the command of `--on-finish`.
pub(crate) fn work(
    db: &Path,
    store: Store,
    calls: Calls,
    outputs: &Outputs,
    terminal: &Terminal,
) -> Result<u8, Problem> {
    let (began, calls_before) = (Instant::now(), store.past()?.used.calls);
    let result = called(db, store, calls, calls_before, outputs, terminal);
    // What comes now may be written by others.
    screen::drain();
    let ended = Ended {
        result: &result,
        took: began.elapsed(),
        calls_before,
    };
    finish::run_command(outputs.on_finish.as_deref(), db, &ended, terminal);
    result
}

/// Makes the calls, and says how it went.
fn called(
    db: &Path,
    mut store: Store,
    calls: Calls,
    calls_before: u64,
    outputs: &Outputs,
    terminal: &Terminal,
) -> Result<u8, Problem> {
    let began = Instant::now();
    permissions::warn(store.path(), terminal);
    let mut events = outputs
        .events
        .as_deref()
        .map(|path| Events::open(path, terminal))
        .transpose()?;
    if let Some(path) = outputs.events.as_deref().and_then(resolved) {
        note_artifact(store.path(), &path);
    }
    let stop = Stop::new();
    let caught = Caught::install(&stop).map_err(|error| Problem::of(exit::ERROR, &error))?;
    let mut progress = Progress::new(terminal);
    let outline = match calls.plan {
        Some(plan) if something_left(&store) => {
            let folder = folder_of(store.path());
            let plan = plan.spilling_into(folder.to_owned()).keeping_outputs()?;
            if let Some(folder) = plan.output_dir().and_then(resolved) {
                note_artifact(store.path(), &folder);
                // A stranger's database may have chosen the folder, so each run names it.
                let name = FileName::from(folder.as_path());
                terminal.say(&format!("results: each goes into a file in {name}"));
            }
            if let Some(proxy) = plan.proxy() {
                terminal.say(&format!(
                    "proxy: calls go through {}",
                    escaped(proxy.as_bytes())
                ));
            }
            if calls.ignore_wait {
                store.ignore_wait()?;
            }
            let mut make = || Ok(SlotCaller::Async(Box::new(plan.async_caller()?)));
            let worked = engine::run(
                &mut store,
                &mut make,
                &calls.settings,
                &stop,
                &mut |event| {
                    if let Some(events) = &mut events {
                        events.on(event);
                    }
                    progress.on(event);
                    if let Some(trouble) = plan.output_trouble() {
                        progress.say(&format!(
                            "{trouble}; such results go into the database instead, and nothing is lost"
                        ));
                    }
                },
            );
            if worked.is_err()
                && let Some(events) = events.take()
            {
                events.finish();
            }
            worked.map_err(|error| storage::problem(db, error))?
        }
        _ => Outline {
            ending: Ending::Finished,
            counts: store.counts(),
            in_doubt: Vec::new(),
        },
    };
    store.close()?;
    if let Some(events) = events {
        events.finish();
    }
    // Somebody who has stopped it wants to be out soon, and can ask for the causes.
    let causes = caught.first().is_none();
    if let (Some(drawn), Ending::Finished, None) = (&calls.drawn, &outline.ending, caught.first()) {
        return sample::report(db, drawn, terminal);
    }
    let halted = matches!(outline.ending, Ending::Halted(_)) && causes;
    summary::tell(
        db,
        terminal,
        &summary::Work {
            calls_before,
            took: began.elapsed(),
            cut_off: &outline.in_doubt,
            with_causes: causes,
            with_hints: !halted,
        },
    )?;
    match (&outline.ending, caught.first()) {
        (Ending::Panicked(path), _) => Err(halt::panicked(db, path)),
        (_, Some(signal)) => Ok(exit::signalled(signal)),
        (Ending::Halted(halt), None) => Err(halt::problem(db, halt, &outline.counts)),
        (Ending::Stopped, None) => Ok(exit::ERROR),
        (Ending::Finished, None) if outline.counts.done == outline.counts.total => Ok(exit::DONE),
        (Ending::Finished, None) => Ok(exit::INCOMPLETE),
    }
}
