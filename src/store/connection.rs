//! Opening a database so that it keeps the promises: checked to be ours before anything is changed, every
//! setting made and read back.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::error::{Result, StoreError, doing};
use super::files::with_suffix;
use super::place;

/// The migrations, in order: append-only.
pub(super) const MIGRATIONS: [&str; 1] = [include_str!("../../migrations/0001_init.sql")];

/// The schema version of the first migration. Builds before the first release made databases of earlier versions.
const FIRST_VERSION: i64 = 10;

/// The schema version that this program writes.
pub(super) const VERSION: i64 = FIRST_VERSION + MIGRATIONS.len() as i64 - 1;

/// Says in the file itself that it is ours: "strd".
pub(super) const APPLICATION_ID: i64 = 0x7374_7264;

/// Before this version, a WAL database could lose commits when its log was reset.
const SQLITE_OLDEST: i32 = 3_051_003;

/// How long a writer waits for somebody else's transaction.
const WRITER_PATIENCE: Duration = Duration::from_secs(30);
/// How long a runner does, before it tells that it waits, and goes on waiting.
const RUNNER_PATIENCE: Duration = Duration::from_secs(1);
/// How long a reader waits: only ever for the moment of a recovery.
const READER_PATIENCE: Duration = Duration::from_secs(5);

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// The runner's: all of the settings.
    Write,
    /// The same, on a file system where a log beside the database cannot be relied upon.
    WriteWithoutLog,
    /// A short note beside a run that may be going on.
    Note,
    /// A look.
    Read,
}

/// Opens the run's database at an absolute path.
pub(super) fn open(path: &Path, mode: Mode) -> Result<Connection> {
    check(path)?;
    place::check_mounts(path)?;
    let unusable = |error: rusqlite::Error| StoreError::Unusable {
        path: path.to_owned(),
        source: error.into(),
    };
    // A look, too, opens for writing where it may: the last connection to leave folds the log in and takes its
    // files away, which one that can only read cannot. Without SQLITE_OPEN_URI, so that a name beginning with
    // `file:` is a name.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(unusable)?;
    connection
        .busy_timeout(if mode == Mode::Read {
            READER_PATIENCE
        } else {
            WRITER_PATIENCE
        })
        .and_then(|()| harden(&connection))
        .map_err(unusable)?;
    if mode == Mode::Read {
        set(&connection, "query_only = ON", &["1"]).map_err(|error| error.at(path))?;
        return readable(connection, path);
    }
    // The log may say more than the file alone.
    let found = what_it_is(&connection).map_err(unusable)?;
    accept(found, path)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let has_log = match mode {
        Mode::WriteWithoutLog => false,
        // A note beside a run changes nothing about how it is kept.
        Mode::Note => place::network(folder).is_none(),
        Mode::Write | Mode::Read => true,
    };
    let kept: [(&str, &[&str]); 2] = match has_log {
        true => [
            ("journal_mode = WAL", &["wal"]),
            ("synchronous = FULL", &["2"]),
        ],
        // SQLite's manual on `PRAGMA synchronous`: without a log, only EXTRA syncs the folder after each commit.
        false => [
            ("journal_mode = DELETE", &["delete"]),
            ("synchronous = EXTRA", &["3"]),
        ],
    };
    let settings: [(&str, &[&str]); 4] = [
        ("foreign_keys = ON", &["1"]),
        // One sync of macOS that reaches the disk; a no-op elsewhere.
        ("fullfsync = ON", &["1"]),
        ("checkpoint_fullfsync = ON", &["1"]),
        ("journal_size_limit = 67108864", &["67108864"]),
    ];
    for (setting, expected) in kept.into_iter().chain(settings) {
        set(&connection, setting, expected).map_err(|error| error.at(path))?;
    }
    Ok(connection)
}

/// Checks a connection for reading, and replaces it if the database is on a read-only file system. There SQLite opens a
/// database only if it is told that nobody writes to it, and then it ignores a WAL or a journal.
fn readable(connection: Connection, path: &Path) -> Result<Connection> {
    let error = match what_it_is(&connection) {
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

/// From now on a runner tells that it waits for somebody else's transaction.
pub(super) fn be_patient(connection: &Connection) -> Result<()> {
    connection
        .busy_timeout(RUNNER_PATIENCE)
        .map_err(doing("opening the database"))
}

/// The version of a database's schema.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// A number that changes when another connection has changed the database.
pub(super) fn data_version(connection: &Connection) -> Result<i64> {
    connection
        .pragma_query_value(None, "data_version", |row| row.get(0))
        .map_err(doing("looking whether something has changed"))
}

/// Looks whether the file is a run's database of a version known here, changing nothing.
fn check(path: &Path) -> Result<()> {
    if rusqlite::version_number() < SQLITE_OLDEST {
        let source = format!(
            "SQLite {} can lose commits; at least 3.51.3 is needed",
            rusqlite::version()
        );
        return Err(StoreError::Unusable {
            path: path.to_owned(),
            source: source.into(),
        });
    }
    match fs::metadata(path) {
        Ok(meta) if meta.is_file() => {}
        Ok(_) => {
            return Err(StoreError::Foreign {
                path: path.to_owned(),
            });
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(StoreError::Missing {
                path: path.to_owned(),
            });
        }
        Err(error) => {
            return Err(StoreError::Unusable {
                path: path.to_owned(),
                source: error.into(),
            });
        }
    }
    let look = || open_immutable(path).and_then(|connection| what_it_is(&connection));
    let is_cut =
        |error: &rusqlite::Error| error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt);
    let found = match look() {
        // Somebody was folding the log in, and has done so by now.
        Err(error) if is_cut(&error) && !has_log(path) => look(),
        found => found,
    };
    match found {
        Ok(found) => accept(found, path),
        // What of the log was folded in when the disk was full or the power went is not whole without the rest.
        Err(error) if is_cut(&error) && has_log(path) => Ok(()),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Err(StoreError::Foreign {
                path: path.to_owned(),
            })
        }
        Err(error) => Err(StoreError::Unusable {
            path: path.to_owned(),
            source: error.into(),
        }),
    }
}

/// What a file says of itself: whose it is, and its version.
fn what_it_is(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get(0));
    Ok((number("application_id")?, number("user_version")?))
}

fn accept(found: (i64, i64), path: &Path) -> Result<()> {
    match found {
        (APPLICATION_ID, FIRST_VERSION..=VERSION) => Ok(()),
        (APPLICATION_ID, found @ ..FIRST_VERSION) => Err(StoreError::Older {
            path: path.to_owned(),
            found,
        }),
        (APPLICATION_ID, found) => Err(StoreError::Newer {
            path: path.to_owned(),
            found,
            known: VERSION,
        }),
        _ => Err(StoreError::Foreign {
            path: path.to_owned(),
        }),
    }
}

/// Returns true if a WAL or a rollback journal beside the database is not empty.
fn has_log(path: &Path) -> bool {
    let is_in_use =
        |suffix| fs::metadata(with_suffix(path, suffix)).is_ok_and(|meta| meta.len() > 0);
    ["-wal", "-journal"].into_iter().any(is_in_use)
}

/// Takes from a database file whatever could make it act: it may come from anybody.
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
    Ok(())
}

/// A setting that SQLite did not take. An unknown or misspelt one is ignored without a word, so each is read
/// back.
struct Refused {
    setting: &'static str,
    source: Option<rusqlite::Error>,
}

impl Refused {
    fn at(self, path: &Path) -> StoreError {
        let source = match self.source {
            Some(error) => error.into(),
            None => format!("SQLite does not take the setting {}", self.setting).into(),
        };
        StoreError::Unusable {
            path: path.to_owned(),
            source,
        }
    }
}

fn set(
    connection: &Connection,
    setting: &'static str,
    expected: &[&str],
) -> std::result::Result<(), Refused> {
    let name = setting.split(' ').next().unwrap_or(setting);
    let read_back = || -> rusqlite::Result<String> {
        connection.execute_batch(&format!("PRAGMA {setting}"))?;
        let value: rusqlite::types::Value =
            connection.pragma_query_value(None, name, |row| row.get(0))?;
        Ok(match value {
            rusqlite::types::Value::Text(text) => text,
            rusqlite::types::Value::Integer(number) => number.to_string(),
            other => format!("{other:?}"),
        })
    };
    match read_back() {
        Ok(value) if expected.contains(&value.as_str()) => Ok(()),
        Ok(_) => Err(Refused {
            setting,
            source: None,
        }),
        Err(error) => Err(Refused {
            setting,
            source: Some(error),
        }),
    }
}
