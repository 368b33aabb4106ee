//! Opens a run's database for writing, and reports what that finds.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stride::engine::RunError;
use stride::job::{FileName, escaped};
use stride::settings::show_duration;
use stride::store::{
    ImportedRescue, Lock, Reader, RefusedRescue, Rescued, Store, StoreError, Watch,
};

use crate::cli::args::Once;
use crate::cli::output::environment::state_folder;
use crate::cli::output::error::{Problem, command};
use crate::cli::output::exit;
use crate::cli::output::format::counted;
use crate::cli::output::format::names;
use crate::cli::output::terminal::{Terminal, bold};

/// A check that takes longer gets a message each time so much has passed.
const SAY_EVERY: Duration = Duration::from_secs(2);

/// Takes the lock on a database.
pub(crate) fn lock(db: &Path, allow_network: bool, terminal: &Terminal) -> Result<Lock, Problem> {
    let lock = match allow_network {
        true => Lock::acquire_anywhere(db)?,
        false => Lock::acquire(db)?,
    };
    if let Some(filesystem) = lock.network() {
        terminal.say(&format!(
            "{} the database lies on {}: whether two machines can be kept apart there is not known, so let no other work on it",
            bold("warning:"),
            escaped(filesystem.as_bytes())
        ));
    }
    if db.is_symlink() {
        let name = FileName::from(lock.database());
        terminal.say(&format!("database: {name}"));
    }
    Ok(lock)
}

/// Opens an existing run.
pub(crate) fn open(db: &Path, once: Once, terminal: &Terminal) -> Result<Store, Problem> {
    // Refuse a file that is no database before making a lock file beside it.
    Reader::open(db)?;
    let lock = lock(db, once.allow_network_fs, terminal)?;
    let mut store = open_locked(lock, terminal)?;
    import_rescues(&mut store, once.ignore_rescue, terminal)?;
    Ok(store)
}

/// Opens an existing run whose lock is held.
pub(crate) fn open_locked(lock: Lock, terminal: &Terminal) -> Result<Store, Problem> {
    let mut store = Store::open_watched(lock, &watch(*terminal))?;
    place_rescue(&mut store);
    Ok(store)
}

/// Records the results that earlier runs could only save. Call it after the list is loaded and before any call starts.
pub(crate) fn import_rescues(
    store: &mut Store,
    ignore_rescue: bool,
    terminal: &Terminal,
) -> Result<(), Problem> {
    let (imported, refused) = store.import_rescues()?;
    for each in &imported {
        report_imported(each, terminal);
    }
    if !refused.is_empty() && !ignore_rescue {
        return Err(not_imported(&refused));
    }
    for each in &refused {
        terminal.say(&format!(
            "{} saved results are not recorded: {}",
            bold("warning:"),
            why(each)
        ));
    }
    Ok(())
}

/// Formats where saved results are and why they cannot be used.
pub(crate) fn why(RefusedRescue { path, reason }: &RefusedRescue) -> String {
    format!("{}: {reason}", FileName::from(path.as_path()))
}

/// Refuses to call files again whose results are saved.
fn not_imported(refused: &[RefusedRescue]) -> Problem {
    let error = "results that an earlier run saved cannot be recorded";
    let problem = refused
        .iter()
        .fold(Problem::new(exit::UNUSABLE, error), |problem, each| {
            problem.cause(why(each))
        });
    problem
        .note("nothing was called; without them their files would be called again")
        .hint("make each a file or folder of your own that only you can write to (chown, chmod), then give the same command again")
        .hint("to call those files again instead, add --ignore-rescue")
}

/// Sets the folders for results that cannot be recorded.
pub(crate) fn place_rescue(store: &mut Store) {
    store.rescue_into(rescue_folders(store.path()));
}

/// Returns the folders for results that cannot be recorded; the first is likely to be on another disk.
pub(crate) fn rescue_folders(database: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = state_folder()
        .map(|folder| folder.join("rescue"))
        .into_iter()
        .collect();
    folders.extend(database.parent().map(Path::to_owned));
    folders.push(std::env::temp_dir());
    folders
}

fn watch(terminal: Terminal) -> Watch {
    let said = AtomicU64::new(0);
    Arc::new(move |passed| {
        let number = passed.as_secs() / SAY_EVERY.as_secs();
        if said.swap(number, Ordering::Relaxed) < number {
            terminal.say(&format!(
                "checking the database because its last runner died: {} so far",
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
    let warning = bold("warning:");
    if !left.is_empty() {
        terminal.say(&format!(
            "{warning} {} could not be used, because the files were called again since or the rescue file is damaged: {}; kept in {kept}",
            counted(left.len() as u64, "saved result"),
            names(left),
        ));
    }
    if !unknown.is_empty() {
        terminal.say(&format!(
            "{warning} {} in {kept} not recorded, because these files are missing from the list: {}; give `stride run` with the whole list again",
            counted(unknown.len() as u64, "saved answer"),
            names(unknown),
        ));
    }
}

/// Reports a run that an error of the storage has ended.
pub(crate) fn problem(db: &Path, error: RunError) -> Problem {
    let RunError::Store {
        source,
        rescued,
        in_flight,
    } = &error
    else {
        return error.into();
    };
    let resume = command(db, "resume");
    let (code, hint) = match source {
        StoreError::Usurped => (
            exit::BUSY,
            format!(
                "let the other runner go on; when it has ended, {resume} records what was saved here"
            ),
        ),
        StoreError::Gone { .. } => (
            exit::UNUSABLE,
            format!("put the database back in its place, with the files beside it; then {resume}"),
        ),
        StoreError::Cut { .. } => (
            exit::UNUSABLE,
            format!(
                "find the program that writes to the files beside the database; then {resume} calls again what was lost"
            ),
        ),
        StoreError::Locked { .. } => (
            exit::UNUSABLE,
            format!("end what keeps the database locked; then {resume}"),
        ),
        StoreError::Damaged { .. } => return Problem::from_damage(source, rescue_notes(rescued)),
        StoreError::Full { .. } => (
            exit::STORAGE,
            format!("make room on the disk; then {resume}"),
        ),
        StoreError::NoRoom { .. } => (
            exit::STORAGE,
            format!("make room on the disk, or keep less free with --min-free; then {resume}"),
        ),
        _ => (exit::STORAGE, format!("mend the storage; then {resume}")),
    };
    let mut problem = Problem::of(code, source);
    if !matches!(source, StoreError::Cut { .. }) {
        problem = problem.note("the recorded results are safe");
    }
    for note in rescue_notes(rescued) {
        problem = problem.note(note);
    }
    if *in_flight > 0 {
        let calls = counted(*in_flight as u64, "call");
        problem = problem.note(format!("{calls} in flight will be found in doubt"));
    }
    problem.hint(hint)
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
            "{} saved in {}; the next run will record them",
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
