//! `stride run`, `resume`, `retry` and `set`.

use std::path::PathBuf;

use stride::input::{self, Skipped, Source};
use stride::job::FileName;
use stride::settings::{Call, Request, Settings};
use stride::store::{Location, Lock, NewRun, Reader, Redo, Store, change_settings};

use crate::cli::args::failures::ClassOrRule;
use crate::cli::args::settings::LimitArgs;
use crate::cli::args::{ListFormat, ResumeArgs, Retry, Run};
use crate::cli::commands::failures::check_causes;
use crate::cli::commands::try_one::{PlannedRun, dry_run};
use crate::cli::config::{self, Config};
use crate::cli::output::error::CliError;
use crate::cli::output::exit;
use crate::cli::output::format::counted;
use crate::cli::output::shown::bold;
use crate::cli::output::terminal::Terminal;
use crate::cli::request::consent;
use crate::cli::request::plan::plan;
use crate::cli::request::results_folder;
use crate::cli::request::{changed_request, column, parse, stored};
use crate::cli::session::descriptors::raise_descriptors;
use crate::cli::session::files::{check_events, current_folder, output_dir, own_files, resolved};
use crate::cli::session::list::{
    self, listed_names, not_listed, report_loaded, sources, wrong_folder,
};
use crate::cli::session::storage;
use crate::cli::session::work::{Calls, has_work, keep_settings, prepare, work};

/// `stride run`: starts the run, or resumes it.
pub(crate) fn run(
    db: &Location,
    mut args: Run,
    config: &Config,
    terminal: &Terminal,
) -> Result<u8, CliError> {
    let mut parsed = parse(&args.request)?;
    parsed.limits.fill(&mut args.settings);
    let sources = sources(&args, terminal)?;
    if args.list_format == ListFormat::Lines
        && db.file().symlink_metadata().is_err()
        && let Some(column) = column(&parsed.request)
    {
        return Err(CliError::usage(format!(
            "the request uses the column `{column}`, but the list is not a table"
        ))
        .hint("use a table with --files-from LIST --list-format csv, or jsonl"));
    }
    let here = current_folder()?;
    let (network, patience) = (args.invocation.allow_network_fs, args.outputs.wait_lock);
    let early = match args.dry_run {
        true => None,
        false => storage::wait_in_line(db, network, patience, terminal)?,
    };
    // An existing run has its own folder and settings. The store reports later why it cannot be read.
    let (base, kept) = Reader::open(db)
        .and_then(|reader| reader.info())
        .map_or_else(
            |_| (here.clone(), Settings::default()),
            |info| (info.base, info.settings),
        );
    if let Some(folder) = &mut parsed.request.output_dir {
        *folder = results_folder::stored(folder.as_ref(), &base)?;
    }
    // Check the whole request before the list is loaded.
    let settings = config.resolve(&args.settings, &args.class, &kept)?;
    let settings = settings.announce(terminal);
    raise_descriptors(settings.threads)?;
    let plan = plan(
        &parsed.request,
        &settings,
        &parsed.credentials,
        args.invocation,
        &base,
    )?;
    let results = output_dir(&parsed.request, &base, &sources)?;
    for note in &parsed.notes {
        terminal.say(&format!("{} {note}", bold("note:")));
    }
    if args.dry_run {
        let mut own = own_files(db);
        own.extend(results);
        let planned = PlannedRun {
            plan: &plan,
            settings: &settings,
            sources: &sources,
            own: &own,
            base: &base,
        };
        return dry_run(&planned, terminal);
    }
    for credential in &parsed.credentials {
        let value = credential.reference().map_or_else(
            || format!("the value of the header `{}`", credential.name),
            |name| format!("the value of `{name}` in the request"),
        );
        terminal.say(&format!(
            "{} {value} is not stored; a reference such as {{env:NAME}} makes it available to `resume`",
            bold("note:")
        ));
    }
    if db.file().symlink_metadata().is_ok() {
        // Refuse the file of another program before creating a lock file beside it.
        Reader::open(db)?;
    }
    let lock = match early {
        Some(lock) => lock,
        None => storage::lock(db, network, patience, terminal)?,
    };
    let mut own = lock.own_files();
    let is_new = lock.database().symlink_metadata().is_err();
    if let Err(cli_error) = check_events(&args.outputs, &own) {
        if is_new {
            lock.discard();
        }
        return Err(cli_error);
    }
    own.extend(args.outputs.events.as_deref().and_then(resolved));
    own.extend(results);
    let call = Call::Http(Box::new(parsed.request.clone()));
    let (mut store, settings) = if is_new {
        let new = NewRun {
            call,
            settings,
            base: here,
        };
        let store = create(db, lock, &new, &sources, &own, terminal)?;
        report_stored(&parsed.request, db, terminal);
        (store, new.settings)
    } else {
        own.extend(Reader::open(lock.database())?.artifacts()?);
        let mut store = storage::open_locked(lock, terminal)?;
        let is_changed = is_changed(&store, &call, args.accept_change)?;
        let elsewhere = (store.base() != here).then(|| store.base().to_owned());
        let mut skipped = Skipped::default();
        let loaded = store.load(|loader| {
            skipped = input::names(&sources, &own, &mut |item| match &elsewhere {
                Some(base) if item.name.as_path().is_relative() => {
                    Err(wrong_folder(&item.name, base))
                }
                _ => list::add(loader, &item),
            })?;
            if args.forget_unlisted {
                loader.forget_unlisted()?;
            }
            Ok::<_, CliError>(())
        })?;
        report_loaded(db, &loaded, &skipped, terminal);
        list::report_changed(db, &store, terminal)?;
        storage::import_rescues(&mut store, args.invocation.ignore_rescue, terminal)?;
        if loaded.left > 0 {
            let references = args.invocation.allow_references;
            consent::check_list(db, &store, &parsed.request, references)?;
        }
        if is_changed {
            store.set_call(&call)?;
            report_stored(&parsed.request, db, terminal);
            let kept = counted(store.counts().done, "result");
            terminal.say(&format!(
                "the request was changed; {kept} of the old one will stay"
            ));
        }
        let settings = keep_settings(&mut store, config, &args.settings, &args.class)?;
        (store, settings)
    };
    consent::remember(&parsed.request, store.base());
    let drawn = args.sample.map(|most| store.draw(most)).transpose()?;
    let calls = Calls {
        plan: Some(plan),
        settings,
        ignore_wait: args.invocation.ignore_wait,
        drawn,
        moved: None,
    };
    work(db, store, calls, &args.outputs, terminal)
}

/// `stride resume`: continues with the stored request and settings.
pub(crate) fn resume(
    db: &Location,
    args: &ResumeArgs,
    config: &Config,
    terminal: &Terminal,
) -> Result<u8, CliError> {
    let ResumeArgs { class, resume } = args;
    let mut store = storage::open(db, resume.invocation, resume.outputs.wait_lock, terminal)?;
    let makes_calls = has_work(&store);
    let mut calls = prepare(db, &store, resume, config, class, makes_calls, terminal)?;
    calls.keep_folder(&mut store, terminal)?;
    calls.settings = keep_settings(&mut store, config, &resume.settings, class)?;
    work(db, store, calls, &resume.outputs, terminal)
}

/// `stride set`: changes pace and limits, also of a running run.
pub(crate) fn set(db: &Location, limits: &LimitArgs, terminal: &Terminal) -> Result<u8, CliError> {
    let before = Reader::open(db)?.info()?.settings;
    raise_descriptors(config::change_limits(limits, &before)?.threads)?;
    let settings = change_settings(db, |settings| config::change_limits(limits, &settings))?;
    let words = if settings == before {
        "nothing was changed"
    } else if Lock::holder(db).is_some() {
        "saved; the running process picks it up within a second"
    } else {
        "saved for the next resume"
    };
    terminal.say(words);
    Ok(exit::DONE)
}

/// `stride retry`: makes failed or held jobs pending, and resumes the run.
pub(crate) fn retry(
    db: &Location,
    args: &Retry,
    config: &Config,
    terminal: &Terminal,
) -> Result<u8, CliError> {
    let resume = &args.resume;
    let mut store = storage::open(db, resume.invocation, resume.outputs.wait_lock, terminal)?;
    let (mut classes, mut rules) = (Vec::new(), Vec::new());
    for each in &args.class {
        match each {
            ClassOrRule::Class(class) => classes.push(*class),
            ClassOrRule::Rule(rule) => rules.push(rule.clone()),
        }
    }
    // Report an obstacle to the calls before anything is changed.
    let calls = match args.queue_only {
        true => None,
        false => Some(prepare(db, &store, resume, config, &rules, true, terminal)?),
    };
    let filter = args.filter.with_classes(classes);
    check_causes(db, &Reader::open(db)?, &filter)?;
    let done = listed_names(db, &args.done.done)?;
    let (word, moved) = if args.done.lost {
        ("done", redo(db, &mut store, Redo::Lost, terminal)?)
    } else if args.done.changed {
        ("done", redo(db, &mut store, Redo::Changed, terminal)?)
    } else if !done.is_empty() {
        ("done", redo(db, &mut store, Redo::Names(&done), terminal)?)
    } else if filter.held {
        ("held", store.requeue(&filter)?)
    } else {
        ("failed", store.requeue(&filter)?)
    };
    let moved = counted(moved, &format!("{word} file"));
    terminal.say(&format!("{moved} pending again"));
    let settings = keep_settings(&mut store, config, &resume.settings, &rules)?;
    let Some(calls) = calls else {
        store.close()?;
        return Ok(exit::DONE);
    };
    calls.keep_folder(&mut store, terminal)?;
    let calls = Calls { settings, ..calls };
    work(db, store, calls, &resume.outputs, terminal)
}

/// Makes done files pending and returns their number.
fn redo(
    db: &Location,
    store: &mut Store,
    chosen: Redo<'_>,
    terminal: &Terminal,
) -> Result<u64, CliError> {
    let redone = store.redo(chosen)?;
    if !redone.unknown.is_empty() {
        return Err(not_listed(db, &redone.unknown));
    }
    for (name, state) in &redone.others {
        let note = bold("note:");
        terminal.say(&format!("{note} {name} is {}, not done", state.as_str()));
    }
    Ok(redone.changed)
}

/// Names the parts of a request that every reader of the database can see.
fn report_stored(request: &Request, db: &Location, terminal: &Terminal) {
    if let Some(parts) = stored(request) {
        terminal.say(&format!(
            "{} stored in {}, as typed: {parts}; a reference such as {{env:NAME}} keeps a value out of it",
            bold("note:"),
            FileName::from(db.file())
        ));
    }
}

fn create(
    db: &Location,
    lock: Lock,
    run: &NewRun,
    sources: &[Source],
    own: &[PathBuf],
    terminal: &Terminal,
) -> Result<Store, CliError> {
    let mut skipped = Skipped::default();
    let (mut store, loaded) = Store::create(lock, run, |loader| {
        skipped = input::names(sources, own, &mut |item| list::add(loader, &item))?;
        Ok::<_, CliError>(())
    })?;
    storage::set_rescue_folders(&mut store);
    report_loaded(db, &loaded, &skipped, terminal);
    Ok(store)
}

/// Returns true if the request differs from the run's own. Refuses a difference that is not accepted.
fn is_changed(store: &Store, call: &Call, accept_change: bool) -> Result<bool, CliError> {
    let differences = store.call()?.differences(call);
    if !differences.is_empty() && !accept_change {
        return Err(changed_request(&differences, store.counts().done));
    }
    Ok(!differences.is_empty())
}
