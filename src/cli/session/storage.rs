//! Opens a run's database for writing, and reports its condition.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use stride::engine::RunError;
use stride::job::{FileName, escaped};
use stride::settings::show_duration;
use stride::store::{
    ImportedRescue, Location, Lock, Reader, RefusedRescue, Rescued, Store, StoreError, Watch,
};

use crate::cli::args::InvocationArgs;
use crate::cli::output::error::{CliError, command, quoted};
use crate::cli::output::exit;
use crate::cli::output::format::{counted, names};
use crate::cli::output::storage::rescue_folders;
use crate::cli::output::terminal::Terminal;
use crate::cli::session::files::resolved;

/// The time between two messages about a long check.
const SAY_EVERY: Duration = Duration::from_secs(2);

/// The time between two tries to take a lock that another process holds.
const TRY_EVERY: Duration = Duration::from_millis(200);

/// Takes the lock on a database. Waits at most `patience` while another process holds it.
pub(crate) fn lock(
    db: &Location,
    allow_network: bool,
    patience: Option<Duration>,
    terminal: &Terminal,
) -> Result<Lock, CliError> {
    let lock = wait_for(patience, terminal, || match allow_network {
        true => Lock::acquire_anywhere(db),
        false => Lock::acquire(db),
    })?;
    if let Some(filesystem) = lock.network() {
        terminal.warn(&format!(
            "the database is on {}, where its lock may not stop other machines: use it from this machine only",
            escaped(filesystem.as_bytes())
        ));
    }
    if db.file().is_symlink() {
        let name = FileName::from(lock.database());
        terminal.say(&format!("database: {name}"));
    }
    Ok(lock)
}

/// With `--wait-lock`, waits for the end of another process before the settings of its run are read. Returns the lock if
/// there is a run then.
pub(crate) fn wait_in_line(
    db: &Location,
    allow_network: bool,
    patience: Option<Duration>,
    terminal: &Terminal,
) -> Result<Option<Lock>, CliError> {
    if patience.is_none() {
        return Ok(None);
    }
    if db.file().symlink_metadata().is_ok() {
        Reader::open(db)?;
    }
    let lock = lock(db, allow_network, patience, terminal)?;
    if lock.database().symlink_metadata().is_ok() {
        return Ok(Some(lock));
    }
    // The command may still fail, and must leave nothing behind then.
    lock.discard();
    Ok(None)
}

/// Tries to take a lock until no other process holds it, or `patience` is over.
fn wait_for(
    patience: Option<Duration>,
    terminal: &Terminal,
    acquire: impl Fn() -> Result<Lock, StoreError>,
) -> Result<Lock, StoreError> {
    let (began, patience) = (Instant::now(), patience.unwrap_or_default());
    let mut has_said = false;
    loop {
        match acquire() {
            Err(error @ StoreError::Busy { .. }) if began.elapsed() < patience => {
                if !std::mem::replace(&mut has_said, true) {
                    let longest = show_duration(patience);
                    let words = format!("waiting for at most {longest}: {error}");
                    terminal.say(&terminal.dated(&words));
                }
            }
            result => return result,
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "a lock that can be waited for has no time-out"
        )]
        thread::sleep(TRY_EVERY);
    }
}

/// The permissions of a file's group and of all others.
const OTHERS: u32 = 0o077;

/// Warns if other users can read or write the database, which contains the answers.
pub(crate) fn warn_of_permissions(db: &Path, terminal: &Terminal) {
    let Ok(meta) = fs::metadata(db) else { return };
    if meta.permissions().mode() & OTHERS != 0 {
        terminal.warn(&format!(
            "other users can read the database and its answers: chmod 600 {}",
            quoted(db)
        ));
    }
}

/// Opens an existing run, and imports its rescue files.
pub(crate) fn open(
    db: &Location,
    invocation: InvocationArgs,
    patience: Option<Duration>,
    terminal: &Terminal,
) -> Result<Store, CliError> {
    // Refuse the file of another program before creating a lock file beside it.
    Reader::open(db)?;
    let lock = lock(db, invocation.allow_network_fs, patience, terminal)?;
    let mut store = open_locked(lock, terminal)?;
    import_rescues(&mut store, invocation.ignore_rescue, terminal)?;
    Ok(store)
}

/// Opens an existing run whose lock is held.
pub(crate) fn open_locked(lock: Lock, terminal: &Terminal) -> Result<Store, CliError> {
    let mut store = Store::open_watched(lock, &watch(*terminal))?;
    set_rescue_folders(&mut store);
    Ok(store)
}

/// Settles the calls that were in flight when the last process died, as the next run would.
pub(crate) fn recover(store: &mut Store, terminal: &Terminal) -> Result<(), CliError> {
    let policy = store.settings()?.retry_policy();
    let recovered = store.recover(&policy)?;
    if !recovered.in_doubt.is_empty() {
        let calls = counted(recovered.in_doubt.len() as u64, "call");
        let names = names(&recovered.in_doubt);
        terminal.insist(&format!(
            "recovered: {calls} in flight when the last run died: {names}"
        ));
    }
    Ok(())
}

/// Names the files whose calls this run repeats because the last one did not learn their outcome.
pub(crate) fn report_left_in_doubt(store: &Store, terminal: &Terminal) -> Result<(), CliError> {
    let files = store.left_in_doubt()?;
    if !files.is_empty() {
        terminal.insist(&format!(
            "{} in doubt, because the last run got no answer; called again: {}",
            counted(files.len() as u64, "file"),
            names(&files)
        ));
    }
    Ok(())
}

/// Imports the rescue files of earlier runs. Call it after the list is loaded and before any call starts.
pub(crate) fn import_rescues(
    store: &mut Store,
    ignore_rescue: bool,
    terminal: &Terminal,
) -> Result<(), CliError> {
    let (imported, refused) = store.import_rescues()?;
    for each in &imported {
        report_imported(each, terminal);
    }
    if !refused.is_empty() && !ignore_rescue {
        return Err(not_imported(&refused));
    }
    for each in &refused {
        terminal.warn(&format!(
            "saved results are not recorded: {}",
            describe_refused(each)
        ));
    }
    Ok(())
}

/// Formats the place of saved results and the reason why they cannot be used.
pub(crate) fn describe_refused(RefusedRescue { path, reason }: &RefusedRescue) -> String {
    format!("{}: {reason}", FileName::from(path.as_path()))
}

/// Refuses to repeat calls whose results are saved.
fn not_imported(refused: &[RefusedRescue]) -> CliError {
    let error = "results that an earlier run saved cannot be recorded";
    let cli_error = refused
        .iter()
        .fold(CliError::new(exit::UNUSABLE, error), |cli_error, each| {
            cli_error.cause(describe_refused(each))
        });
    cli_error
        .note("nothing was called; without them, their files would be called again")
        .hint("if the owner or the mode of such a file is wrong, use chown or chmod on it, then repeat the command")
        .hint("to call those files again instead, add --ignore-rescue")
}

/// Sets the folders for results that cannot be recorded.
pub(crate) fn set_rescue_folders(store: &mut Store) {
    store.rescue_into(rescue_folders(store.path()));
}

fn watch(terminal: Terminal) -> Watch {
    let said = AtomicU64::new(0);
    Arc::new(move |passed| {
        let number = passed.as_secs() / SAY_EVERY.as_secs();
        if said.swap(number, Ordering::Relaxed) < number {
            terminal.say(&format!(
                "checking the database, because the last process died: {} so far",
                show_duration(Duration::from_secs(passed.as_secs()))
            ));
        }
        true
    })
}

fn report_imported(imported: &ImportedRescue, terminal: &Terminal) {
    let ImportedRescue {
        file,
        recorded,
        left,
        unknown,
        kept,
    } = imported;
    let file = FileName::from(file.as_path());
    if *recorded > 0 || unknown.is_empty() {
        terminal.say(&format!(
            "recorded {} that an earlier run saved in {file}",
            counted(*recorded, "result"),
        ));
    }
    let kept = kept.as_deref().map_or(file, FileName::from);
    if !left.is_empty() {
        terminal.warn(&format!(
            "{} could not be used, because the files were called again since or the rescue file is damaged: {}; kept in {kept}",
            counted(left.len() as u64, "saved result"),
            names(left),
        ));
    }
    if !unknown.is_empty() {
        terminal.warn(&format!(
            "{} in {kept} not recorded, because these files are missing from the list: {}; repeat `stride run` with the whole list",
            counted(unknown.len() as u64, "saved answer"),
            names(unknown),
        ));
    }
}

/// Returns the error that has ended a run; after a storage error, with notes about its results.
pub(crate) fn cli_error(db: &Location, error: RunError) -> CliError {
    let RunError::Store {
        source,
        rescued,
        in_flight,
    } = &error
    else {
        return error.into();
    };
    let (code, remedy) = match source {
        StoreError::Usurped => (exit::BUSY, "wait until the other process has ended"),
        StoreError::Gone { .. } => (
            exit::UNUSABLE,
            "move the database and the files beside it back to their place",
        ),
        StoreError::Cut { .. } => (
            exit::UNUSABLE,
            "stop the program that writes to the files beside the database",
        ),
        StoreError::Locked { .. } => (exit::UNUSABLE, "end the program that locks the database"),
        StoreError::Damaged { .. } => return CliError::from_damage(source, rescue_notes(rescued)),
        StoreError::Full { .. } => (exit::STORAGE, "free disk space"),
        StoreError::NoRoom { .. } => (exit::STORAGE, "free disk space, or lower --min-free"),
        _ => (
            exit::STORAGE,
            "check that the database's disk is mounted and writable",
        ),
    };
    let mut cli_error = CliError::of(code, source);
    cli_error = match source {
        StoreError::Cut { .. } => cli_error,
        StoreError::Gone(path) if resolved(db.file()).as_ref() == Some(path) => cli_error.note(
            "the recorded results are in the database where it was moved, and the latest ones in the file ending in -wal at its old place: keep both together; if the database was deleted, they are lost",
        ),
        _ => cli_error.note("the recorded results are safe"),
    };
    cli_error = rescue_notes(rescued)
        .into_iter()
        .fold(cli_error, CliError::note);
    if *in_flight > 0 {
        let calls = counted(*in_flight as u64, "call");
        cli_error = cli_error.note(format!(
            "the next session marks {calls} in flight as in doubt"
        ));
    }
    cli_error.hint(format!("{remedy}; then {}", command(db, "resume")))
}

fn rescue_notes(rescued: &Rescued) -> Vec<String> {
    let mut notes = Vec::new();
    if rescued.saved > 0 {
        let files: Vec<String> = rescued
            .files
            .iter()
            .map(|file| FileName::from(file.as_path()).to_string())
            .collect();
        notes.push(format!(
            "{} saved in {}; the run records them when it continues",
            counted(rescued.saved, "result"),
            files.join(" and ")
        ));
    }
    if !rescued.lost.is_empty() {
        notes.push(format!(
            "{} lost, because no folder could save them: {}",
            counted(rescued.lost.len() as u64, "result"),
            names(&rescued.lost)
        ));
    }
    notes
}
