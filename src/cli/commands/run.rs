//! `stride run` and `resume`.

use stride::export::check_list_columns;
use stride::input::{Options, Survey};
use stride::job::Class;
use stride::settings::{Call, Settings};
use stride::store::{Location, Lock, NewRun, Reader, Redo, Store};

use crate::cli::args::{ResumeArgs, Run};
use crate::cli::commands::dry_run::{PlannedRun, dry_run};
use crate::cli::config::Config;
use crate::cli::output::error::{CliError, command};
use crate::cli::output::exit;
use crate::cli::output::format::counted;
use crate::cli::output::shown::{bold, cyan};
use crate::cli::output::terminal::Terminal;
use crate::cli::request::consent;
use crate::cli::request::plan::plan;
use crate::cli::request::results_folder;
use crate::cli::request::{RowUse, parse, stored};
use crate::cli::session::change::{Change, report_stored};
use crate::cli::session::descriptors::raise_descriptors;
use crate::cli::session::files::{check_events, current_folder, output_dir, own_files, resolved};
use crate::cli::session::intake::Intake;
use crate::cli::session::list::{
    is_table, list_files, note_table, refuse_missing, refuse_two_readers, refuse_urls, sources,
};
use crate::cli::session::loaded::{report_changed, report_loaded};
use crate::cli::session::not_listed::nothing_listed;
use crate::cli::session::work::{Calls, keep_settings, prepare, work};
use crate::cli::session::{storage, worker};

/// The hint for a `run` command whose request differs from the stored one.
const ACCEPT: &str = "use the old request, add --accept-change to continue with the new one, or start another run with --db FILE";

/// `stride run`: starts the run, or resumes it.
pub(crate) fn run(
    db: &Location,
    mut args: Run,
    config: &Config,
    terminal: &Terminal,
) -> Result<u8, CliError> {
    refuse_urls(&args.files, &args.request)?;
    refuse_two_readers(&args)?;
    let mut parsed = parse(&args.request)?;
    parsed.limits.fill(&mut args.settings);
    let sources = sources(&args, terminal)?;
    worker::check(&args.settings, &parsed.call, true)?;
    if parsed.call.is_starters() && !args.dry_run {
        worker::check_starter(&sources)?;
    }
    let mut row_use = RowUse::new(&parsed.call);
    let is_missing = db.file().symlink_metadata().is_err();
    let here = current_folder()?;
    let (network, patience) = (args.invocation.allow_network_fs, args.outputs.wait_lock);
    let early = match args.dry_run {
        true => None,
        false => storage::wait_in_line(db, network, patience, terminal)?,
    };
    // An existing run has its own folder and settings. Refuse the file of another program before creating a lock file
    // beside it.
    let run = match db.file().symlink_metadata() {
        Ok(_) => Some(Reader::open(db).and_then(|run| Ok((run.info()?, run)))?),
        Err(_) => None,
    };
    let (base, kept) = match &run {
        Some((info, _)) => (info.base.clone(), info.settings.clone()),
        None => (here.clone(), Settings::default()),
    };
    if let Some(folder) = parsed.call.output_dir() {
        let folder = results_folder::stored(folder.as_ref(), &base)?;
        parsed.call = parsed.call.with_output_dir(Some(folder));
    }
    // Check the whole request before the list is loaded.
    let settings = config.resolve(&args.settings, &args.class, &kept, &parsed.call)?;
    let settings = settings.announce(terminal);
    row_use.add_settings(&settings);
    if is_missing
        && !sources.iter().any(is_table)
        && let Some(used) = row_use.describe().or_else(|| row_use.describe_judged())
    {
        return Err(
            CliError::usage(format!("{used}, but the list is not a table"))
                .hint("use a table with --files-from LIST --list-format csv, or jsonl"),
        );
    }
    raise_descriptors(settings.threads)?;
    let plan = plan(
        &parsed.call,
        &settings,
        &parsed.credentials,
        args.invocation,
        &base,
    )?;
    let results = output_dir(&parsed.call, &base, &sources)?;
    let reads_file = plan.reads_file();
    if reads_file && base == here && (run.is_some() || is_missing) {
        refuse_missing(&sources, run.as_ref().map(|(_, reader)| reader))?;
    }
    if let Some((_, reader)) = &run
        && !sources.iter().any(is_table)
    {
        check_list_columns(reader, &row_use.judged())?;
    }
    let options = Options {
        follow: args.follow,
        ..Options::default()
    };
    let mut intake = Intake::new(&sources, options, row_use, reads_file, base.clone());
    if args.list_format.is_none() {
        intake.refuse_tables();
    }
    let table = note_table(&args).filter(|_| is_missing);
    for note in parsed.notes.iter().chain(&table) {
        terminal.say(&format!("{} {note}", bold("note:")));
    }
    if args.dry_run {
        intake.skip(own_files(db).into_iter().chain(results));
        let planned = PlannedRun {
            call: &parsed.call,
            plan: &plan,
            settings: &settings,
            base: &base,
            forgets: run
                .as_ref()
                .map(|(_, run)| run)
                .filter(|_| args.forget_unlisted),
        };
        return dry_run(&planned, &mut intake, terminal);
    }
    drop(run);
    let mut left_unread = 0;
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
    let lock = match early {
        Some(lock) => lock,
        None => storage::lock(db, network, patience, terminal)?,
    };
    let own = lock.own_files();
    let is_new = lock.database().symlink_metadata().is_err();
    let mut lists = list_files(&sources);
    if !is_new {
        lists.extend(Reader::open(lock.database())?.list_files()?);
    }
    if let Err(cli_error) = check_events(&args.outputs, &own, &lists) {
        if is_new {
            lock.discard();
        }
        return Err(cli_error);
    }
    let events = args.outputs.events.as_deref().and_then(resolved);
    intake.skip(own.into_iter().chain(events).chain(results));
    let call = parsed.call.clone();
    let (mut store, mut settings) = if is_new {
        let new = NewRun {
            call,
            settings,
            base: here,
        };
        let store = create(db, lock, &new, &mut intake, terminal)?;
        report_stored(&parsed.call, db, terminal);
        (store, new.settings)
    } else {
        intake.skip(Reader::open(lock.database())?.artifacts()?);
        let mut store = storage::open_locked(lock, terminal)?;
        // Saved results belong to the rows and the request of their calls.
        storage::import_rescues(&mut store, args.invocation.ignore_rescue, terminal)?;
        // The worker states its name, version and source later.
        let call = match store.call()? {
            Call::Command(old) => call.with_worker(old.name, old.version, old.source),
            _ => call,
        };
        let change = Change::check(db, &store, call, args.accept_change, ACCEPT)?;
        if store.base() != here {
            intake.refuse_relative();
        }
        let mut survey = Survey::default();
        let loaded = store.load(|loader| {
            if args.retry_changed {
                loader.call_again();
            }
            survey = intake.load(loader)?;
            if args.forget_unlisted {
                if loader.is_empty() {
                    return Err(nothing_listed().into());
                }
                loader.forget_unlisted()?;
            }
            Ok(())
        });
        let loaded = loaded.map_err(|error| intake.cli_error(error))?;
        report_loaded(db, &loaded, &survey, &intake, terminal);
        left_unread = loaded.left_unread.len() as u64;
        if args.retry_changed {
            let changed = loaded.again + store.redo(Redo::Changed)?.changed;
            report_set_aside(db, changed, "changed file", terminal);
        }
        report_changed(db, &store, terminal)?;
        if loaded.added > 0 {
            // Results may be saved for names that the run lacked until now.
            storage::import_rescues(&mut store, args.invocation.ignore_rescue, terminal)?;
        }
        if loaded.left > 0 {
            let references = args.invocation.allow_references;
            consent::check_list(db, &store, &parsed.call, references)?;
        }
        if let Some(change) = change {
            change.take(db, &mut store, terminal)?;
            change.requeue(db, &mut store, terminal)?;
            if stored(&parsed.call) != stored(change.replaced()) {
                report_stored(&parsed.call, db, terminal);
            }
        }
        let settings = keep_settings(&mut store, config, &args.settings, &args.class)?;
        (store, settings)
    };
    settings.submit_only = args.submit_only;
    consent::remember(&parsed.call, store.base());
    consent::remember_pool(&parsed.call, store.base(), settings.pool.as_deref());
    let drawn = args.sample.map(|most| store.draw(most)).transpose()?;
    let calls = Calls {
        plan: Some(plan),
        settings,
        ignore_wait: args.invocation.ignore_wait,
        drawn,
        moved: None,
        accept_change: args.accept_change,
    };
    let worked = work(db, store, calls, &args.outputs, terminal);
    explained(db, worked, &intake, left_unread, terminal)
}

/// Adds the reason why files of a list were not found, or where to correct their names. `left_unread` names of the run are
/// wrong and not in the list any more.
fn explained(
    db: &Location,
    worked: Result<u8, CliError>,
    intake: &Intake<'_>,
    left_unread: u64,
    terminal: &Terminal,
) -> Result<u8, CliError> {
    match worked {
        Ok(exit::DONE) => Ok(exit::DONE),
        Ok(code) => {
            if let Some(hint) = intake.explain_missing() {
                terminal.say(&format!("{} {hint}", cyan("hint:")));
            } else if let Some(note) = intake.searched() {
                terminal.say(&format!("{} {note}", bold("note:")));
            } else if let Some(list) = intake.first_list()
                && unreadable(db)? > left_unread
            {
                terminal.say(&format!(
                    "{} if names are wrong, correct them in {list}, and repeat the command",
                    cyan("hint:")
                ));
            }
            Ok(code)
        }
        Err(cli_error) if cli_error.code == exit::HALTED => {
            Err(match (intake.explain_missing(), intake.searched()) {
                (Some(hint), _) => cli_error.only_hint(hint),
                (None, Some(note)) => cli_error.note(note),
                (None, None) => cli_error,
            })
        }
        Err(cli_error) => Err(cli_error),
    }
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
    let mut calls = prepare(db, &mut store, resume, config, class, false, terminal)?;
    calls.keep_folder(&mut store, terminal)?;
    calls.settings = keep_settings(&mut store, config, &resume.settings, class)?;
    calls.settings.submit_only = resume.submit_only;
    let code = work(db, store, calls, &resume.outputs, terminal)?;
    if code == exit::INCOMPLETE && unreadable(db)? > 0 {
        terminal.say(&format!(
            "{} if you have corrected the list, repeat the run command; {} does not read it again",
            cyan("hint:"),
            command(db, "resume")
        ));
    }
    Ok(code)
}

/// Counts the files of a run that failed because they are missing or unusable.
fn unreadable(db: &Location) -> Result<u64, CliError> {
    let causes = Reader::open(db)?.causes()?;
    let unreadable = causes
        .iter()
        .filter(|cause| cause.key.class == Some(Class::Input));
    Ok(unreadable.map(|cause| cause.count).sum())
}

/// Reports that files of this kind are called again, and how to get their results back.
pub(super) fn report_set_aside(db: &Location, files: u64, kind: &str, terminal: &Terminal) {
    let files_again = counted(files, kind);
    if files == 0 {
        return terminal.say(&format!("{files_again} pending again"));
    }
    terminal.say(&format!(
        "{files_again} pending again; results are set aside until there are new ones"
    ));
    let restore = command(db, "retry --restore");
    terminal.say(&format!(
        "{} {restore}   brings back those that got no new one",
        cyan("hint:")
    ));
}

fn create(
    db: &Location,
    lock: Lock,
    run: &NewRun,
    intake: &mut Intake<'_>,
    terminal: &Terminal,
) -> Result<Store, CliError> {
    let mut survey = Survey::default();
    let created = Store::create(lock, run, |loader| {
        survey = intake.load(loader)?;
        Ok(())
    });
    let (mut store, loaded) = created.map_err(|error| intake.cli_error(error))?;
    storage::set_rescue_folders(&mut store);
    report_loaded(db, &loaded, &survey, intake, terminal);
    Ok(store)
}
