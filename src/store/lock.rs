//! Ownership: a lock of the operating system on `<db>.lock`, which ends with its process, however that ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::error::{Result, StoreError};
use super::files::{self, lock_file, resolve};
use super::holder::Holder;
use super::place;
use super::system::{host, now};
use super::values::to_json;

/// The lock on a database, held as long as this lives.
#[derive(Debug)]
pub struct Lock {
    database: PathBuf,
    /// The network file system that the database lies on, where it does.
    network: Option<String>,
    _file: File,
}

impl Lock {
    /// Takes the lock on a database, which need not exist yet. Two names of one database have one lock.
    ///
    /// # Errors
    ///
    /// Another process has it ([`StoreError::Busy`]), the lock file cannot be written, the database lies on a network
    /// file system ([`StoreError::Network`]), or has several names.
    pub fn acquire(database: &Path) -> Result<Self> {
        let lock = Self::acquire_anywhere(database)?;
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

    /// The same, where the database may lie on a network file system. It has no log beside it there, and nobody may
    /// work on it from another machine: whether locks hold there is not known.
    ///
    /// # Errors
    ///
    /// As [`Lock::acquire`], but for the file system.
    pub fn acquire_anywhere(database: &Path) -> Result<Self> {
        let database = resolve(database)?;
        place::check_mounts(&database)?;
        // Each name would have a log of its own, and whoever opened the other would see half of everything.
        if let Ok(meta) = fs::symlink_metadata(&database)
            && meta.is_file()
            && meta.nlink() > 1
        {
            return Err(StoreError::ManyNames {
                path: database,
                names: meta.nlink(),
            });
        }
        let network = place::network(database.parent().unwrap_or(Path::new("/")));
        let path = lock_file(&database);
        let failed = |source| StoreError::Lock {
            path: path.clone(),
            source,
        };
        let mut file = loop {
            // A link could lead to any file, which would be locked and written to.
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
                    let reason = "it is there already and is not a lock of stride's";
                    return Err(failed(std::io::Error::new(
                        std::io::ErrorKind::AlreadyExists,
                        reason,
                    )));
                }
                // The file may have been discarded between the two steps; a lock on it would guard nothing.
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

    /// The process that holds the lock on a database, as it wrote it down, if it is alive. For people only: the
    /// number may belong to another process by now.
    pub fn holder(database: &Path) -> Option<Holder> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
            .open(lock_file(&resolve(database).ok()?))
            .ok()?;
        let holder = holder_in(&file)?;
        let pid = rustix::process::Pid::from_raw(i32::try_from(holder.pid).ok()?)?;
        let lives = rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH);
        (lives && holder.host == host()).then_some(holder)
    }

    /// Gives the lock up and takes the lock file away: for a run that has come to nothing.
    pub fn discard(self) {
        // Whoever opens the file from now on and locks it finds out that it has no name any more.
        let _ = fs::remove_file(lock_file(&self.database));
    }

    /// The network file system that the database lies on, where it does.
    pub fn network(&self) -> Option<&str> {
        self.network.as_deref()
    }

    /// The database it guards: absolute and resolved.
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// The files that belong to the database and are not input of any run.
    pub fn own_files(&self) -> Vec<PathBuf> {
        files::own_files(&self.database)
    }
}

/// Whether a lock file is one of ours: empty, or with a holder in it, perhaps cut short by a crash.
fn is_ours(file: &mut File) -> std::io::Result<bool> {
    let mut beginning = Vec::new();
    file.take(HOLDER.len() as u64).read_to_end(&mut beginning)?;
    Ok(HOLDER.starts_with(&beginning))
}

/// Reads who holds a lock, if that is what the file has in it.
fn holder_in(file: &File) -> Option<Holder> {
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// The most that a holder's text has, in bytes.
const LONGEST: u64 = 4096;

/// Names the link where a file was not opened because it is one.
fn not_a_link(path: &Path, error: std::io::Error) -> std::io::Error {
    match path.is_symlink() {
        true => std::io::Error::other("it is a symbolic link, which is not followed: remove it"),
        false => error,
    }
}

/// How a holder's text begins.
const HOLDER: &[u8] = b"{\"pid\":";

/// Whether an open file is the one of this name.
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

    #[expect(
        clippy::disallowed_methods,
        reason = "a look that knows nothing of stride"
    )]
    fn journal(database: &Path) -> String {
        rusqlite::Connection::open(database)
            .unwrap()
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .unwrap()
    }

    /// Locks a database as if it lay on a network.
    fn far(database: &Path) -> Lock {
        let mut lock = Lock::acquire_anywhere(database).unwrap();
        lock.network = Some("NFS".to_owned());
        lock
    }

    /// Makes a run of one job there.
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
        // It finds out at once that it has to wait.
        store.connection.busy_timeout(Duration::ZERO).unwrap();
        #[expect(
            clippy::disallowed_methods,
            reason = "a reader that knows nothing of stride"
        )]
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
            // The commit is under way once no other reader gets in.
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
        // It may be moved from one place to the other.
        let store = Store::open(Lock::acquire(&database).unwrap()).unwrap();
        store.close().unwrap();
        assert_eq!(journal(&database), "wal");
        Store::open(far(&database)).unwrap().close().unwrap();
        assert_eq!(journal(&database), "delete");
    }
}
