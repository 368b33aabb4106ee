//! `run`, `resume` and `retry`: from a list to jobs, from jobs to calls, and what is said about it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use stride::caller::{Credential, HttpPlan, Means, Network, Worker};
use stride::engine::{self, Outline, Stop};
use stride::event::Ending;
use stride::failure_class::ClassRule;
use stride::input::{self, Skipped, Source};
use stride::job::{FileName, escaped};
use stride::settings::{Call, Request, Settings};
use stride::store::{Lock, NewRun, Reader, Store, change_settings, note_artifact};

use super::args::settings::{LimitArgs, SettingsArgs};
use super::args::{ClassOrRule, ListFormat, Once, Outputs, Resume, ResumeAll, Retry, Run};
use super::config::{self, Config};
use super::descriptors::raise_descriptors;
use super::environment;
use super::error::Problem;
use super::events::Events;
use super::exit;
use super::files::{output_dir, outside, own_files, resolved};
use super::finish::{self, Ended};
use super::given::{self, Confirmed, Scope};
use super::halt;
use super::list::{self, report_loaded, sources, wrong_folder};
use super::permissions;
use super::progress::Progress;
use super::request::{asked, column, given_again, refuse_change, stored, withhold};
use super::sample;
use super::screen;
use super::signals::Caught;
use super::storage;
use super::summary;
use super::terminal::{Terminal, bold, counted};
use super::trial::{self, Prospect};

/// `stride run`: makes the run, or goes on with it.
pub(crate) fn run(
    db: &Path,
    mut args: Run,
    config: &Config,
    terminal: &Terminal,
) -> Result<u8, Problem> {
    let mut asked = asked(&args.asks)?;
    asked.limits.fill(&mut args.settings);
    let sources = sources(&args, terminal)?;
    if args.list_format == ListFormat::Lines
        && db.symlink_metadata().is_err()
        && let Some(column) = column(&asked.request)
    {
        return Err(Problem::usage(format!(
            "the request asks for the column `{column}`, and the list is no table"
        ))
        .hint("give a table with --files-from LIST --list-format csv, or jsonl"));
    }
    let here = std::env::current_dir().map_err(|error| Problem::of(exit::ERROR, &error))?;
    // A run that there is has its own folder and settings. Whether it can be read is found out, and told, later.
    let info = Reader::open(db).and_then(|reader| reader.info());
    if let Ok(info) = &info {
        args.asks
            .answers
            .keep(&info.call, &mut asked.request.judging);
    }
    let call = Call::Http(Box::new(asked.request.clone()));
    let (base, kept) = info.map_or_else(
        |_| (here.clone(), Settings::default()),
        |info| (info.base, info.settings),
    );
    // Whatever is wrong with the request is said before anything is made of the list.
    let settings = config.resolve(&args.settings, &args.class, &kept)?;
    let settings = settings.announce(terminal);
    raise_descriptors(settings.threads)?;
    let plan = plan(
        &asked.request,
        &settings,
        &asked.credentials,
        args.once,
        &base,
    )?;
    let results = output_dir(&asked.request, &sources)?;
    if !asked.without_effect.is_empty() {
        terminal.say(&format!(
            "{} what curl does with answers has no effect here ({}): they are kept, and `stride export` writes them",
            bold("note:"),
            asked.without_effect.join(" ")
        ));
    }
    if args.dry_run {
        let mut own = own_files(db);
        own.extend(results);
        let prospect = Prospect {
            plan: &plan,
            settings: &settings,
            sources: &sources,
            own: &own,
            base: &base,
        };
        return trial::dry_run(&prospect, terminal);
    }
    for credential in &asked.credentials {
        let what = credential.reference().map_or_else(
            || format!("the value of the header `{}`", credential.name),
            |name| format!("the value of `{name}` in the request"),
        );
        terminal.say(&format!(
            "{} {what} is used now and not stored; as a reference, such as {{env:NAME}}, it would be there for `resume`",
            bold("note:")
        ));
    }
    if db.symlink_metadata().is_ok() {
        // What is not ours is refused before a lock file is made beside it.
        Reader::open(db)?;
    }
    let lock = storage::lock(db, args.once.allow_network_fs, terminal)?;
    let mut own = lock.own_files();
    let is_new = lock.database().symlink_metadata().is_err();
    if let Err(problem) = outside(&args.outputs, &own) {
        if is_new {
            lock.discard();
        }
        return Err(problem);
    }
    own.extend(args.outputs.events.as_deref().and_then(resolved));
    own.extend(results);
    let (mut store, settings) = if is_new {
        let base = here;
        let made = NewRun {
            call,
            settings,
            base,
        };
        let store = make(lock, &made, &sources, &own, terminal)?;
        tell_stored(&asked.request, db, terminal);
        (store, made.settings)
    } else {
        own.extend(Reader::open(lock.database())?.artifacts()?);
        let mut store = storage::open_locked(lock, terminal)?;
        let changed = is_changed(&store, &call, args.accept_change)?;
        let elsewhere = (store.base() != here).then(|| store.base().to_owned());
        let mut skipped = Skipped::default();
        let loaded = store.load(|loader| {
            skipped = input::names(&sources, &own, &mut |item| match &elsewhere {
                Some(base) if item.name.as_path().is_relative() => {
                    Err(wrong_folder(&item.name, base))
                }
                _ => list::add(loader, &item),
            })?;
            Ok::<_, Problem>(())
        })?;
        report_loaded(&loaded, &skipped, terminal);
        storage::take_in(&mut store, args.once.ignore_rescue, terminal)?;
        if loaded.left > 0 {
            let references = args.once.allow_references;
            given::check_list(db, &store, &asked.request, references)?;
        }
        if changed {
            store.set_call(&call)?;
            tell_stored(&asked.request, db, terminal);
            let kept = counted(store.counts().done, "result");
            terminal.say(&format!(
                "the request was changed; what there is under the old one stays: {kept}"
            ));
        }
        let settings = keep_settings(&mut store, config, &args.settings, &args.class)?;
        (store, settings)
    };
    given::remember(&asked.request, store.base());
    let drawn = args.sample.map(|most| store.draw(most)).transpose()?;
    let calls = Calls {
        plan: Some(plan),
        settings,
        ignore_wait: args.once.ignore_wait,
        drawn,
    };
    work(db, store, calls, &args.outputs, terminal)
}

/// `stride resume`: goes on with what is stored.
pub(crate) fn resume(
    db: &Path,
    args: &ResumeAll,
    config: &Config,
    terminal: &Terminal,
) -> Result<u8, Problem> {
    let mut store = storage::open(db, args.resume.once, terminal)?;
    let left = something_left(&store);
    let mut calls = prepare(
        db,
        &store,
        &args.resume,
        config,
        &args.class,
        left,
        terminal,
    )?;
    calls.settings = keep_settings(&mut store, config, &args.resume.settings, &args.class)?;
    work(db, store, calls, &args.resume.outputs, terminal)
}

/// `stride set`: changes how fast a run goes, also while it goes on.
pub(crate) fn set(db: &Path, limits: &LimitArgs, terminal: &Terminal) -> Result<u8, Problem> {
    let before = Reader::open(db)?.info()?.settings;
    raise_descriptors(config::change_limits(limits, &before)?.threads)?;
    let settings = change_settings(db, |settings| config::change_limits(limits, &settings))?;
    let words = if settings == before {
        "nothing was changed"
    } else if Lock::holder(db).is_some() {
        "changed; the run takes it over within a second"
    } else {
        "changed, for when the run goes on"
    };
    terminal.say(words);
    Ok(exit::DONE)
}

/// `stride retry`: makes failed or held jobs pending, and goes on.
pub(crate) fn retry(
    db: &Path,
    args: &Retry,
    config: &Config,
    terminal: &Terminal,
) -> Result<u8, Problem> {
    let mut store = storage::open(db, args.resume.once, terminal)?;
    let (mut classes, mut rules) = (Vec::new(), Vec::new());
    for each in &args.class {
        match each {
            ClassOrRule::Class(class) => classes.push(*class),
            ClassOrRule::Rule(rule) => rules.push(rule.clone()),
        }
    }
    // What would keep the run from going on is said before anything is changed.
    let calls = match args.queue_only {
        true => None,
        false => Some(prepare(
            db,
            &store,
            &args.resume,
            config,
            &rules,
            true,
            terminal,
        )?),
    };
    let filter = args.filter.with_classes(classes);
    let moved = store.requeue(&filter)?;
    let word = if filter.held { "held" } else { "failed" };
    terminal.say(&format!(
        "{} pending again",
        counted(moved, &format!("{word} file"))
    ));
    let settings = keep_settings(&mut store, config, &args.resume.settings, &rules)?;
    let Some(calls) = calls else {
        store.close()?;
        return Ok(exit::DONE);
    };
    let calls = Calls { settings, ..calls };
    work(db, store, calls, &args.resume.outputs, terminal)
}

/// How the calls of a run are made.
struct Calls {
    /// None where there are none to make.
    plan: Option<HttpPlan>,
    settings: Settings,
    /// Whether a wait that the service has asked for is not kept.
    ignore_wait: bool,
    /// The files that were drawn, where only those are called.
    drawn: Option<Vec<FileName>>,
}

/// Checks that a run can go on with what is given and what is at hand. Nothing is changed.
fn prepare(
    db: &Path,
    store: &Store,
    args: &Resume,
    config: &Config,
    classes: &[ClassRule],
    to_be_made: bool,
    terminal: &Terminal,
) -> Result<Calls, Problem> {
    let call = store.call()?;
    let lookup = environment::references(store.base());
    let credentials = given_again(&args.into(), &call, &lookup)?;
    let settings = config.resolve(&args.settings, classes, &store.settings()?)?;
    let settings = settings.announce(terminal);
    if let Call::Http(request) = &call {
        given::check_folder(request, args.output_dir.as_deref())?;
    }
    let plan = match call {
        Call::Http(request) if to_be_made => {
            let base = store.base();
            let confirmed = Confirmed {
                commands: args.once.allow_commands,
                references: args.once.allow_references,
                folder: args.output_dir.as_deref(),
            };
            let uses = || given::uses_of_run(&Reader::open(store.path())?, &request);
            given::check(db, &request, base, Scope::Run, uses, confirmed)?;
            Some(plan(&request, &settings, &credentials, args.once, base)?)
        }
        Call::Http(_) => None,
        Call::Program { name } => {
            return Err(Problem::usage(format!(
                "this run's calls are made by a program of its own: {}",
                stride::job::escaped(name.as_bytes())
            ))
            .hint("let that program go on with it"));
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

/// Says once what of a request is in the database for all who can read that.
fn tell_stored(request: &Request, db: &Path, terminal: &Terminal) {
    if let Some(parts) = stored(request) {
        terminal.say(&format!(
            "{} stored in {}, as typed: {parts}; a reference such as {{env:NAME}} keeps a value out of it",
            bold("note:"),
            FileName::from(db)
        ));
    }
}

fn something_left(store: &Store) -> bool {
    store.counts().pending + store.counts().running > 0
}

/// A request, ready to be made.
pub(super) fn plan(
    request: &Request,
    settings: &Settings,
    credentials: &[Credential],
    once: Once,
    base: &Path,
) -> Result<HttpPlan, Problem> {
    let network = Network {
        no_proxy: once.no_proxy,
        allow_plain_http: once.allow_plain_http,
    };
    let means = Means {
        credentials,
        network,
        lookup: environment::references(base),
        base,
    };
    Ok(HttpPlan::new(request, settings, means)?)
}

fn make(
    lock: Lock,
    run: &NewRun,
    sources: &[Source],
    own: &[PathBuf],
    terminal: &Terminal,
) -> Result<Store, Problem> {
    let mut skipped = Skipped::default();
    let (mut store, loaded) = Store::create(lock, run, |loader| {
        skipped = input::names(sources, own, &mut |item| list::add(loader, &item))?;
        Ok::<_, Problem>(())
    })?;
    storage::place_rescue(&mut store);
    report_loaded(&loaded, &skipped, terminal);
    Ok(store)
}

/// Whether the request is another than the run's own, and may be.
fn is_changed(store: &Store, call: &Call, accept_change: bool) -> Result<bool, Problem> {
    let mut kept = store.call()?;
    let differences = kept.differences(call);
    // An earlier version has stored what is not stored any more.
    if let Call::Http(request) = &mut kept {
        withhold(request);
    }
    if !differences.is_empty() && !accept_change && kept != *call {
        return Err(refuse_change(&differences, store.counts().done));
    }
    Ok(!differences.is_empty())
}

/// Resolves the settings, and stores them.
fn keep_settings(
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
fn work(
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
    let caught = Caught::install(&stop)?;
    let mut progress = Progress::new(terminal);
    let outline = match calls.plan {
        Some(plan) if something_left(&store) => {
            let folder = store.path().parent().unwrap_or(Path::new("/"));
            let plan = plan.spilling_into(folder.to_owned()).keeping_outputs()?;
            if let Some(folder) = plan.output_dir().and_then(resolved) {
                note_artifact(store.path(), &folder);
                // It is told each time: the database that says so may be from somebody else.
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
            let mut make = || Ok(Worker::Async(Box::new(plan.async_caller()?)));
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
