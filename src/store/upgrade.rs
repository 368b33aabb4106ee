//! What comes before a database is written that was left somehow: a check where its last runner did not end well, and a
//! copy and the newer schema where an earlier version made it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::backup::Backup;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::StoreError;
use super::connection::{MIGRATIONS, VERSION, doing, version};
use super::error::Result;
use super::lock::with_suffix;

/// Sees how long the check of a database has been going on, and says whether it is to go on.
pub type Watch = Arc<dyn Fn(Duration) -> bool + Send + Sync>;

/// How many steps of SQLite's machine are between two looks at the watch: some milliseconds.
const STEPS: i32 = 100_000;
/// How many pages are copied at once, and how long others may have the database between two such steps.
const PAGES: i32 = 4096;
const A_MOMENT: Duration = Duration::from_millis(1);

/// Checks a database whose last runner has not noted its end: a crash or a power cut may have damaged it, and whoever
/// went on writing would make that worse.
pub(super) fn check_after_crash(
    connection: &mut Connection,
    path: &Path,
    watch: &Watch,
) -> Result<()> {
    let unclean: bool = connection
        .query_row(
            "SELECT EXISTS (SELECT 1 FROM runner WHERE ended IS NULL)",
            [],
            |row| row.get(0),
        )
        .map_err(doing("looking how the last runner ended"))?;
    if !unclean {
        return Ok(());
    }
    let began = Instant::now();
    let handler = Arc::clone(watch);
    let failed = doing("checking it after the last runner had died");
    connection
        .progress_handler(STEPS, Some(move || !handler(began.elapsed())))
        .map_err(&failed)?;
    let found = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    connection
        .progress_handler(0, None::<fn() -> bool>)
        .map_err(&failed)?;
    match found {
        Ok(line) if line == "ok" => Ok(()),
        Ok(line) => Err(StoreError::Damaged {
            doing: "checking it after the last runner had died",
            source: line.into(),
        }),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            Err(StoreError::Unchecked {
                path: path.to_owned(),
            })
        }
        Err(error) => Err(failed(error)),
    }
}

/// Where a copy of a database lies that had the schema of this version.
pub(super) fn copy_of(database: &Path, version: i64) -> PathBuf {
    with_suffix(database, &format!(".v{version}.bak"))
}

/// Brings a database that an earlier version made up to date, in one transaction, so that it is old or new; and before
/// that makes a copy of it. Returns the copy, if there was anything to do.
pub(super) fn upgrade(connection: &Connection, path: &Path) -> Result<Option<PathBuf>> {
    let upgrading = doing("bringing the database up to date");
    let found = version(connection).map_err(&upgrading)?;
    if found == VERSION {
        return Ok(None);
    }
    let copy = copy_of(path, found);
    back_up(connection, &copy).map_err(|source| StoreError::Copy {
        path: copy.clone(),
        source,
    })?;
    let migrate = || -> rusqlite::Result<()> {
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        let applied = usize::try_from(version(connection)?).unwrap_or(0);
        for migration in MIGRATIONS.iter().skip(applied) {
            transaction.execute_batch(migration)?;
        }
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()
    };
    migrate().map_err(upgrading)?;
    Ok(Some(copy))
}

/// Copies a database that is open, whole and synced, or not at all.
fn back_up(
    connection: &Connection,
    to: &Path,
) -> std::result::Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let beside = with_suffix(to, ".new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut copy = Connection::open_with_flags(&beside, flags)?;
    copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")?;
    // Somebody else may write a note just now, which is soon over.
    Backup::new(connection, &mut copy)?.run_to_completion(PAGES, A_MOMENT, None)?;
    copy.close().map_err(|(_, error)| error)?;
    // SQLite has let go of the copy, so opening it here costs it no lock.
    File::open(&beside)?.sync_all()?;
    fs::rename(&beside, to)?;
    File::open(to.parent().unwrap_or(Path::new("/")))?.sync_all()?;
    Ok(())
}
