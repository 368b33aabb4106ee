//! The check before the first write to a database whose last runner died.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use super::error::{Result, StoreError, doing};
use super::statement::value;

/// Receives how long the check has taken so far, and returns whether to continue.
pub type Watch = Arc<dyn Fn(Duration) -> bool + Send + Sync>;

/// Instructions of SQLite's virtual machine between two calls of the watch: some milliseconds.
const STEPS: i32 = 100_000;

/// Returns true if the last runner has not noted its end: it died, or could not write.
pub(super) fn is_unclean(connection: &Connection) -> Result<bool> {
    value(
        connection,
        "SELECT EXISTS (SELECT 1 FROM runner WHERE ended IS NULL)",
        "checking how the last runner ended",
    )
}

/// Checks a database whose last runner has not noted its end. A crash or a power cut may have damaged it, and further
/// writes would make that worse.
pub(super) fn check_after_crash(
    connection: &mut Connection,
    path: &Path,
    watch: &Watch,
) -> Result<()> {
    if !is_unclean(connection)? {
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
            Err(StoreError::Unchecked(path.to_owned()))
        }
        Err(error) => Err(failed(error)),
    }
}
