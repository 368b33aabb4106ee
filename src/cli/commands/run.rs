//! `stride run`, `resume`, `retry` and `set`: from a list to jobs, and from jobs to calls.

use crate::cli::args::settings::LimitArgs;
use crate::cli::args::{ClassOrRule, ListFormat, ResumeAll, Retry, Run};
use crate::cli::commands::trial::{self, Prospect};
use crate::cli::config::{self, Config};
use crate::cli::output::error::Problem;
use crate::cli::output::exit;
use crate::cli::output::format::counted;
use crate::cli::output::terminal::{Terminal, bold};
use crate::cli::request::consent::{self};
use crate::cli::request::plan::plan;
use crate::cli::request::{changed_request, column, parse, stored};
use crate::cli::session::descriptors::raise_descriptors;
use crate::cli::session::files::{output_dir, outside, own_files, resolved};
use crate::cli::session::list::{self, report_loaded, sources, wrong_folder};
use crate::cli::session::storage;
use crate::cli::session::work::{Calls, keep_settings, prepare, something_left, work};
use std::path::{Path, PathBuf};
use stride::input::{self, Skipped, Source};
use stride::job::FileName;
use stride::settings::{Call, Request, Settings};
use stride::store::{Lock, NewRun, Reader, Store, change_settings};

/// `stride run`: makes the run, or goes on with it.
pub(crate) fn run(
    db: &Path,
    mut args: Run,
    config: &Config,
    terminal: &Terminal,
) -> Result<u8, Problem> {
    let parsed = parse(&args.asks)?;
    parsed.limits.fill(&mut args.settings);
    let sources = sources(&args, terminal)?;
    if args.list_format == ListFormat::Lines
        && db.symlink_metadata().is_err()
        && let Some(column) = column(&parsed.request)
    {
        return Err(Problem::usage(format!(
            "the request asks for the column `{column}`, and the list is no table"
        ))
        .hint("give a table with --files-from LIST --list-format csv, or jsonl"));
    }
    let here = std::env::current_dir().map_err(|error| Problem::of(exit::ERROR, &error))?;
    // A run that there is has its own folder and settings. Whether it can be read is found out, and told, later.
    let info = Reader::open(db).and_then(|reader| reader.info());
    let call = Call::Http(Box::new(parsed.request.clone()));
    let (base, kept) = info.map_or_else(
        |_| (here.clone(), Settings::default()),
        |info| (info.base, info.settings),
    );
    // Whatever is wrong with the request is said before anything is made of the list.
    let settings = config.resolve(&args.settings, &args.class, &kept)?;
    let settings = settings.announce(terminal);
    raise_descriptors(settings.threads)?;
    let plan = plan(
        &parsed.request,
        &settings,
        &parsed.credentials,
        args.once,
        &base,
    )?;
    let results = output_dir(&parsed.request, &sources)?;
    if !parsed.without_effect.is_empty() {
        terminal.say(&format!(
            "{} what curl does with answers has no effect here ({}): they are kept, and `stride export` writes them",
            bold("note:"),
            parsed.without_effect.join(" ")
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
    for credential in &parsed.credentials {
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
        tell_stored(&parsed.request, db, terminal);
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
        storage::import_rescues(&mut store, args.once.ignore_rescue, terminal)?;
        if loaded.left > 0 {
            let references = args.once.allow_references;
            consent::check_list(db, &store, &parsed.request, references)?;
        }
        if changed {
            store.set_call(&call)?;
            tell_stored(&parsed.request, db, terminal);
            let kept = counted(store.counts().done, "result");
            terminal.say(&format!(
                "the request was changed; results of the old one are kept: {kept}"
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
        "saved; the running process picks it up within a second"
    } else {
        "saved for the next resume"
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

/// Returns true if the request differs from the run's own. A difference has to be accepted.
fn is_changed(store: &Store, call: &Call, accept_change: bool) -> Result<bool, Problem> {
    let differences = store.call()?.differences(call);
    if !differences.is_empty() && !accept_change {
        return Err(changed_request(&differences, store.counts().done));
    }
    Ok(!differences.is_empty())
}
