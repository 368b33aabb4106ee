//! The operating system's lock on `<db>.lock`, which ends with its process.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::error::{Result, StoreError};
use super::files::{self, lock_file, resolve};
use super::holder::Holder;
use super::location::Location;
use super::place;
use super::system::{host, now};
use super::values::to_json;
use crate::paths::folder_of;

/// The lock on a database, held as long as this lives.
#[derive(Debug)]
pub struct Lock {
    database: PathBuf,
    /// The network file system of the database, if it is on one.
    network: Option<String>,
    _file: File,
}

impl Lock {
    /// Takes the lock on a database, which need not exist. All paths to a database share one lock.
    ///
    /// # Errors
    ///
    /// Another process holds it ([`StoreError::Busy`]), or the lock file cannot be written. Or the database is on a
    /// network file system ([`StoreError::Network`]) or has several hard links.
    pub fn acquire(location: impl Into<Location>) -> Result<Self> {
        let lock = Self::acquire_anywhere(location)?;
        match lock.network.clone() {
            None => Ok(lock),
            Some(filesystem) => {
                let path = lock.database.clone();
                if path.symlink_metadata().is_err() {
                    lock.discard();
                }
                Err(StoreError::Network { path, filesystem })
            }
        }
    }

    /// Works as [`Lock::acquire`] and accepts a network file system, on which the database has no WAL. The lock might fail
    /// to exclude other machines there.
    ///
    /// # Errors
    ///
    /// As [`Lock::acquire`], but for the file system.
    pub fn acquire_anywhere(location: impl Into<Location>) -> Result<Self> {
        let database = resolve(&location.into())?;
        place::check_mounts(&database)?;
        // Each hard link would have a WAL of its own.
        if let Ok(meta) = fs::symlink_metadata(&database)
            && meta.is_file()
            && meta.nlink() > 1
        {
            return Err(StoreError::ManyNames {
                path: database,
                names: meta.nlink(),
            });
        }
        let network = place::network(folder_of(&database));
        let path = lock_file(&database);
        let failed = |source| StoreError::Lock {
            path: path.clone(),
            source,
        };
        let mut file = loop {
            // A link could make stride overwrite any file.
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
                .open(&path)
                .map_err(|error| failed(not_a_link(&path, error)))?;
            if !file.metadata().map_err(failed)?.is_file() {
                return Err(failed(std::io::Error::other("it is not a file")));
            }
            match file.try_lock() {
                Ok(()) if !is_ours(&mut file).map_err(failed)? => {
                    let reason = "it exists already and is not a lock file of stride";
                    return Err(failed(std::io::Error::new(
                        std::io::ErrorKind::AlreadyExists,
                        reason,
                    )));
                }
                // If the file was removed before the lock was taken, the lock guards nothing.
                Ok(()) if is_at(&file, &path) => break file,
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let holder = holder_in(&file);
                    return Err(StoreError::Busy {
                        path: database,
                        holder,
                    });
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        };
        let holder = Holder {
            pid: std::process::id(),
            host: host(),
            since: now(),
        };
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(to_json(&holder).as_bytes()))
            .map_err(failed)?;
        Ok(Self {
            database,
            network,
            _file: file,
        })
    }

    /// Returns the other process that holds the lock on a database, if it is alive. For people only: another process may
    /// have its number by now.
    pub fn holder(location: impl Into<Location>) -> Option<Holder> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
            .open(lock_file(&resolve(&location.into()).ok()?))
            .ok()?;
        let holder = holder_in(&file)?;
        let pid = rustix::process::Pid::from_raw(i32::try_from(holder.pid).ok()?)?;
        let lives = rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH);
        // The file still names this process after a release.
        let is_other = holder.pid != std::process::id();
        (lives && is_other && holder.host == host()).then_some(holder)
    }

    /// Releases the lock and removes the lock file, for a run that was not created.
    pub fn discard(self) {
        // A process that has opened the file finds that it has no name.
        let _ = fs::remove_file(lock_file(&self.database));
    }

    /// Returns the network file system of the database, if it is on one.
    pub fn network(&self) -> Option<&str> {
        self.network.as_deref()
    }

    /// Returns the database's path, absolute and resolved.
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// Returns the files that belong to the database and are not input of any run.
    pub fn own_files(&self) -> Vec<PathBuf> {
        files::own_files(&self.database)
    }
}

/// Returns true if a lock file is ours: empty, or with a holder, which a crash may have cut short.
fn is_ours(file: &mut File) -> std::io::Result<bool> {
    let mut beginning = Vec::new();
    file.take(HOLDER.len() as u64).read_to_end(&mut beginning)?;
    Ok(HOLDER.starts_with(&beginning))
}

/// Reads the holder from a lock file.
fn holder_in(file: &File) -> Option<Holder> {
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// Longest text of a holder, in bytes.
const LONGEST: u64 = 4096;

/// Replaces the system's error for a link that was not followed.
fn not_a_link(path: &Path, error: std::io::Error) -> std::io::Error {
    match path.is_symlink() {
        true => std::io::Error::other("it is a symbolic link, which is not followed: remove it"),
        false => error,
    }
}

/// The beginning of a holder's text.
const HOLDER: &[u8] = b"{\"pid\":";

/// Returns true if an open file is the one at this path.
fn is_at(file: &File, path: &Path) -> bool {
    let id = |meta: fs::Metadata| (meta.dev(), meta.ino());
    file.metadata()
        .map(id)
        .is_ok_and(|open| fs::metadata(path).map(id).is_ok_and(|named| open == named))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::files::with_suffix;
    use super::super::{NewRun, Reader, Store};
    use super::*;
    use crate::settings::{Call, Settings};

    #[expect(clippy::disallowed_methods, reason = "another program's connection")]
    fn journal(database: &Path) -> String {
        rusqlite::Connection::open(database)
            .unwrap()
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .unwrap()
    }

    /// Locks a database as if it were on a network file system.
    fn far(database: &Path) -> Lock {
        let mut lock = Lock::acquire_anywhere(database).unwrap();
        lock.network = Some("NFS".to_owned());
        lock
    }

    /// Creates a run of one job there.
    fn create_far(database: &Path) -> Store {
        let run = NewRun {
            call: Call::Program {
                name: "test".to_owned(),
            },
            settings: Settings::default(),
            base: database.parent().unwrap().to_owned(),
        };
        let fill = |loader: &mut super::super::Loader<'_>| loader.add(&"a".into());
        Store::create(far(database), &run, fill).unwrap().0
    }

    #[test]
    fn row_141_without_a_log_a_commit_waits_for_a_reader() {
        let place = tempfile::tempdir().unwrap();
        let database = place.path().canonicalize().unwrap().join("stride.db");
        let mut store = create_far(&database);
        // The commit fails at once, and is repeated.
        store.connection.busy_timeout(Duration::ZERO).unwrap();
        #[expect(clippy::disallowed_methods, reason = "another program's connection")]
        let open = || {
            let connection = rusqlite::Connection::open(&database).unwrap();
            connection.busy_timeout(Duration::ZERO).unwrap();
            connection
        };
        let look = |connection: &rusqlite::Connection| {
            connection.query_row("SELECT pending FROM counts", [], |row| row.get::<_, i64>(0))
        };
        let reader = open();
        reader.execute_batch("BEGIN").unwrap();
        assert_eq!(look(&reader).unwrap(), 1);
        std::thread::scope(|scope| {
            let load = |loader: &mut super::super::Loader<'_>| loader.add(&"b".into());
            let writer = scope.spawn(move || store.load(load).map(drop));
            // A pending commit blocks new readers.
            let other = open();
            while look(&other).is_ok() && !writer.is_finished() {
                std::thread::yield_now();
            }
            reader.execute_batch("COMMIT").unwrap();
            writer.join().unwrap().unwrap();
        });
        assert_eq!(look(&open()).unwrap(), 2);
    }

    #[test]
    fn row_31_on_a_network_there_is_no_log_beside_the_database() {
        let place = tempfile::tempdir().unwrap();
        let database = place.path().canonicalize().unwrap().join("stride.db");
        let mut store = create_far(&database);
        assert_eq!(store.counts().pending, 1);
        store.load(|loader| loader.add(&"b".into())).unwrap();
        assert_eq!(Reader::open(&database).unwrap().counts().unwrap().total, 2);
        assert!(!with_suffix(&database, "-wal").exists());
        store.close().unwrap();
        assert_eq!(journal(&database), "delete");
        // The database may move to a local file system and back.
        let store = Store::open(Lock::acquire(&database).unwrap()).unwrap();
        store.close().unwrap();
        assert_eq!(journal(&database), "wal");
        Store::open(far(&database)).unwrap().close().unwrap();
        assert_eq!(journal(&database), "delete");
    }
}
