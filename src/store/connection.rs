//! Opening a database so that it keeps the promises: checked to be ours before anything is changed, every
//! setting made and read back.

use std::fs::{self, File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::StoreError;
use super::error::Result;
use super::lock::fresh_file;

/// The migrations, in order: append-only. The schema's version is the number of those applied.
const MIGRATIONS: [&str; 3] = [
    include_str!("../../migrations/0001_init.sql"),
    include_str!("../../migrations/0002_governor.sql"),
    include_str!("../../migrations/0003_requests.sql"),
];

/// The schema version that this program writes.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

/// Says in the file itself that it is ours: "strd".
const APPLICATION_ID: i64 = 0x7374_7264;

/// Before this version, a WAL database could lose commits when its log was reset.
const SQLITE_OLDEST: i32 = 3_051_003;

/// How long a writer waits for somebody else's transaction.
const WRITER_PATIENCE: Duration = Duration::from_secs(30);
/// How long a reader waits: only ever for the moment of a recovery.
const READER_PATIENCE: Duration = Duration::from_secs(5);

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// The runner's: all of the settings, and the newest schema.
    Write,
    /// A short note beside a run that may be going on.
    Note,
    /// A look.
    Read,
}

/// Wraps an error of the driver with what was being done.
pub(super) fn doing(what: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    move |error| StoreError::Failed {
        doing: what,
        source: error.into(),
    }
}

/// Opens the run's database at an absolute path.
pub(super) fn open(path: &Path, mode: Mode) -> Result<Connection> {
    check(path)?;
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
    } else {
        let settings: [(&str, &[&str]); 6] = [
            ("journal_mode = WAL", &["wal"]),
            ("synchronous = FULL", &["2"]),
            ("foreign_keys = ON", &["1"]),
            // One sync of macOS that reaches the disk; a no-op elsewhere.
            ("fullfsync = ON", &["1"]),
            ("checkpoint_fullfsync = ON", &["1"]),
            ("journal_size_limit = 67108864", &["67108864"]),
        ];
        for (setting, expected) in settings {
            set(&connection, setting, expected).map_err(|error| error.at(path))?;
        }
    }
    if mode == Mode::Write {
        upgrade(&connection).map_err(doing("bringing the database up to date"))?;
    }
    Ok(connection)
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

/// Brings a database that an earlier version made up to date: in one transaction, so that it is old or new.
fn upgrade(connection: &Connection) -> rusqlite::Result<()> {
    if version(connection)? == VERSION {
        return Ok(());
    }
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let applied = usize::try_from(version(connection)?).unwrap_or(0);
    for migration in MIGRATIONS.iter().skip(applied) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
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
    let look = || -> rusqlite::Result<(i64, i64)> {
        // As an immutable file: neither locks nor a log beside it, so that nothing is made or changed there.
        let name = percent_encode(path.as_os_str().as_bytes(), NON_ALPHANUMERIC);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(format!("file:{name}?immutable=1"), flags)?;
        // A crash while the log was being folded in can leave a file that is shorter than its first page says. All
        // the rest is in the log, which is not read here, so without this a sound database would count as damaged.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, true)?;
        let number = |name| connection.pragma_query_value(None, name, |row| row.get(0));
        Ok((number("application_id")?, number("user_version")?))
    };
    match look() {
        Ok((APPLICATION_ID, 1..=VERSION)) => Ok(()),
        Ok((APPLICATION_ID, found)) => Err(StoreError::Newer {
            path: path.to_owned(),
            found,
            known: VERSION,
        }),
        Ok(_) => Err(StoreError::Foreign {
            path: path.to_owned(),
        }),
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

/// A database under construction, beside the place where it will be. Until it is installed there is no run:
/// whatever ends the process, nothing but this file is left, and the next attempt removes it.
pub(super) struct Fresh {
    connection: Connection,
    file: PathBuf,
    installed: bool,
}

impl Fresh {
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = fresh_file(path);
        let unusable = |error: std::io::Error| StoreError::Unusable {
            path: path.to_owned(),
            source: error.into(),
        };
        match fs::remove_file(&file) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(unusable(error)),
        }
        // SQLite gives the files beside a database the database's own mode.
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&file)
            .map_err(unusable)?;
        let build = || -> rusqlite::Result<Connection> {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(&file, flags)?;
            // Nobody sees this file before it is whole, so nothing has to be synced or undone on the way.
            connection.execute_batch(
                "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON; PRAGMA cache_size = -16384;",
            )?;
            connection.set_prepared_statement_cache_capacity(32);
            connection.execute_batch("BEGIN EXCLUSIVE")?;
            for migration in MIGRATIONS {
                connection.execute_batch(migration)?;
            }
            connection.pragma_update(None, "application_id", APPLICATION_ID)?;
            connection.pragma_update(None, "user_version", VERSION)?;
            Ok(connection)
        };
        let connection = build().map_err(|error| StoreError::Unusable {
            path: path.to_owned(),
            source: error.into(),
        })?;
        Ok(Self {
            connection,
            file,
            installed: false,
        })
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Commits, syncs and moves the database into its place, in this order.
    pub(super) fn install(mut self, path: &Path) -> Result<()> {
        self.connection
            .execute_batch("COMMIT; PRAGMA journal_mode = WAL;")
            .map_err(doing("writing the new run"))?;
        let in_memory = Connection::open_in_memory().map_err(doing("closing the new run"))?;
        std::mem::replace(&mut self.connection, in_memory)
            .close()
            .map_err(|(_, error)| error)
            .map_err(doing("closing the new run"))?;
        let move_in = || -> std::io::Result<()> {
            // SQLite has let go of the file, so opening it here cannot cost it a lock.
            File::open(&self.file)?.sync_all()?;
            fs::rename(&self.file, path)?;
            File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
        };
        move_in().map_err(|error| StoreError::Unusable {
            path: path.to_owned(),
            source: error.into(),
        })?;
        self.installed = true;
        Ok(())
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !self.installed {
            // It would be removed by the next attempt; this spares the user the sight of it.
            let _ = fs::remove_file(&self.file);
        }
    }
}
