//! Opens databases. Before it changes anything it checks that a file is ours, and it reads each setting back.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::Access;

use super::column_text;
use super::error::{Result, StoreError, doing, unusable};
use super::files::has_log;
use super::place;
use crate::paths::folder_of;

/// The migrations, in order: append-only.
pub(super) const MIGRATIONS: [&str; 1] = [include_str!("../../migrations/0001_init.sql")];

/// The schema version of the first migration. Builds before the first release made databases of earlier versions.
const FIRST_VERSION: i64 = 10;

/// The schema version that this program writes.
pub(super) const VERSION: i64 = FIRST_VERSION + MIGRATIONS.len() as i64 - 1;

/// Marks a file as ours: "strd".
pub(super) const APPLICATION_ID: i64 = 0x7374_7264;

/// Earlier versions of SQLite can lose commits when they reset a WAL.
const SQLITE_OLDEST: i32 = 3_051_003;

/// Busy timeout of a short write.
const WRITER_PATIENCE: Duration = Duration::from_secs(30);
/// Busy timeout of a runner, which reports that it waits and tries again.
const RUNNER_PATIENCE: Duration = Duration::from_secs(1);
/// Busy timeout of a reader. A recovery of the WAL blocks it; without a WAL, each commit does.
const READER_PATIENCE: Duration = Duration::from_secs(5);

/// The use of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// A runner's, with all settings.
    Write,
    /// A runner's, on a file system on which a WAL is unreliable.
    WriteWithoutLog,
    /// A short write beside a possible runner.
    Note,
    Read,
}

/// Opens a run's database at an absolute path.
pub(super) fn open(path: &Path, mode: Mode) -> Result<Connection> {
    check(path)?;
    if mode != Mode::Read {
        for path in [path, folder_of(path)] {
            may(path, Access::WRITE_OK)?;
        }
    }
    place::check_mounts(path)?;
    // A reader, too, opens for writing if it can, because the last connection to leave checkpoints and removes the WAL.
    // Without SQLITE_OPEN_URI, a name may begin with `file:`.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(unusable(path))?;
    connection
        .busy_timeout(if mode == Mode::Read {
            READER_PATIENCE
        } else {
            WRITER_PATIENCE
        })
        .and_then(|()| harden(&connection))
        .map_err(unusable(path))?;
    if mode == Mode::Read {
        set(&connection, path, "query_only = ON", "1")?;
        return readable(connection, path);
    }
    // The WAL may hold a later version than the file.
    accept(identify(&connection).map_err(unusable(path))?, path)?;
    let folder = folder_of(path);
    let has_log = match mode {
        Mode::WriteWithoutLog => false,
        // A note must not change the journal mode.
        Mode::Note => place::network(folder).is_none(),
        Mode::Write | Mode::Read => true,
    };
    let journal = match has_log {
        true => [("journal_mode = WAL", "wal"), ("synchronous = FULL", "2")],
        // SQLite's manual on `PRAGMA synchronous`: without a WAL, only EXTRA syncs the folder after each commit.
        false => [
            ("journal_mode = DELETE", "delete"),
            ("synchronous = EXTRA", "3"),
        ],
    };
    let settings = [
        ("foreign_keys = ON", "1"),
        // On macOS, the sync that reaches the disk. Elsewhere, a no-op.
        ("fullfsync = ON", "1"),
        ("checkpoint_fullfsync = ON", "1"),
        ("journal_size_limit = 67108864", "67108864"),
    ];
    for (setting, expected) in journal.into_iter().chain(settings) {
        set(&connection, path, setting, expected)?;
    }
    Ok(connection)
}

/// Checks a connection for reading, and replaces it if the database is on a read-only file system. There SQLite opens a
/// database only as immutable, and then it ignores a WAL or a journal.
fn readable(connection: Connection, path: &Path) -> Result<Connection> {
    let error = match identify(&connection) {
        Ok(found) => return accept(found, path).map(|()| connection),
        Err(error) => error,
    };
    let cannot = [ErrorCode::CannotOpen, ErrorCode::ReadOnly].map(Some);
    if has_log(path) || !cannot.contains(&error.sqlite_error_code()) {
        return Err(doing("reading the version")(error));
    }
    let immutable = open_immutable(path);
    immutable
        .and_then(|connection| version(&connection).map(|_| connection))
        .map_err(doing("reading the version"))
}

/// Opens a file without locks and without a WAL, so that SQLite creates and changes nothing.
pub(super) fn open_immutable(path: &Path) -> rusqlite::Result<Connection> {
    let name = percent_encode(path.as_os_str().as_bytes(), NON_ALPHANUMERIC);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(format!("file:{name}?immutable=1"), flags)?;
    harden(&connection)?;
    Ok(connection)
}

/// Shortens the busy timeout, so that a runner can report that it waits.
pub(super) fn be_patient(connection: &Connection) -> Result<()> {
    connection
        .busy_timeout(RUNNER_PATIENCE)
        .map_err(doing("opening the database"))
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Returns a number that changes when another connection changes the database.
pub(super) fn data_version(connection: &Connection) -> Result<i64> {
    connection
        .pragma_query_value(None, "data_version", |row| row.get(0))
        .map_err(doing("checking for changes"))
}

/// Checks that the file is a run's database of a known version. Changes nothing.
fn check(path: &Path) -> Result<()> {
    let unusable = unusable::<super::error::Source>(path);
    if rusqlite::version_number() < SQLITE_OLDEST {
        let source = format!(
            "SQLite {} can lose commits; at least 3.51.3 is needed",
            rusqlite::version()
        );
        return Err(unusable(source.into()));
    }
    match fs::metadata(path) {
        Ok(meta) if meta.is_file() => {}
        Ok(_) => return Err(StoreError::Foreign(path.to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(StoreError::Missing(path.to_owned()));
        }
        Err(error) => return Err(unusable(error.into())),
    }
    may(path, Access::READ_OK)?;
    let look = || open_immutable(path).and_then(|connection| identify(&connection));
    let is_cut =
        |error: &rusqlite::Error| error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt);
    let found = match look() {
        // A checkpoint was under way, and has ended.
        Err(error) if is_cut(&error) && !has_log(path) => look(),
        found => found,
    };
    match found {
        Ok(found) => accept(found, path),
        // A checkpoint or commit that was cut off leaves the file incomplete without its log.
        Err(error) if is_cut(&error) && has_log(path) => Ok(()),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Err(StoreError::Foreign(path.to_owned()))
        }
        Err(error) => Err(unusable(error.into())),
    }
}

/// Checks a permission. SQLite's own error does not say that one is lacking.
fn may(path: &Path, access: Access) -> Result<()> {
    rustix::fs::access(path, access).map_err(|error| unusable(path)(io::Error::from(error)))
}

/// Reads the application id and the schema version.
fn identify(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    let id = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    Ok((id, version(connection)?))
}

fn accept(found: (i64, i64), path: &Path) -> Result<()> {
    let path = path.to_owned();
    match found {
        (APPLICATION_ID, FIRST_VERSION..=VERSION) => Ok(()),
        (APPLICATION_ID, found @ ..FIRST_VERSION) => Err(StoreError::Older { path, found }),
        (APPLICATION_ID, found) => Err(StoreError::Newer {
            path,
            found,
            known: VERSION,
        }),
        _ => Err(StoreError::Foreign(path)),
    }
}

/// Disables everything through which a database file, which may come from anyone, could act.
fn harden(connection: &Connection) -> rusqlite::Result<()> {
    for (setting, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
    ] {
        connection.set_db_config(setting, on)?;
    }
    connection.execute_batch(
        "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;",
    )?;
    connection.set_prepared_statement_cache_capacity(32);
    column_text::define(connection)
}

/// Changes a setting and reads it back, because SQLite silently ignores an unknown one.
fn set(connection: &Connection, path: &Path, setting: &str, expected: &str) -> Result<()> {
    let name = setting.split(' ').next().unwrap_or(setting);
    let read_back = || -> rusqlite::Result<Value> {
        connection.execute_batch(&format!("PRAGMA {setting}"))?;
        connection.pragma_query_value(None, name, |row| row.get(0))
    };
    let is_set = match read_back().map_err(unusable(path))? {
        Value::Text(text) => text == expected,
        Value::Integer(number) => number.to_string() == expected,
        _ => false,
    };
    match is_set {
        true => Ok(()),
        false => Err(unusable(path)(format!(
            "SQLite does not accept the setting {setting}"
        ))),
    }
}
