//! Finds the rescue files of a run, and decides which to trust.

use std::error::Error;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::connection::{self, Mode};
use super::crash_check::is_unclean;
use super::error::{Result, StoreError, doing};
use super::files::{self, with_suffix};
use super::reader::Reader;
use super::saved;
use crate::paths::folder_of;

/// A rescue file that cannot be imported, or a folder that may hold some.
#[derive(Debug)]
pub struct RefusedRescue {
    /// The file or folder.
    pub path: PathBuf,
    /// Why.
    pub reason: io::Error,
}

/// An open rescue file and its path.
pub(super) type RescueFile = (PathBuf, Connection);

impl Reader {
    /// Returns the rescue files in these folders that the next run will import, and those that it will refuse.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn rescues(&self, folders: &[PathBuf]) -> Result<(Vec<PathBuf>, Vec<RefusedRescue>)> {
        let (files, refused) = find(self.connection(), self.path(), folders)?;
        Ok((files.into_iter().map(|(path, _)| path).collect(), refused))
    }
}

/// Finds and opens the rescue files of a run. Files of other runs are skipped.
pub(super) fn find(
    connection: &Connection,
    database: &Path,
    folders: &[PathBuf],
) -> Result<(Vec<RescueFile>, Vec<RefusedRescue>)> {
    let uuid = uuid(connection).map_err(doing("reading the run"))?;
    let users = Users::of(database);
    let (mut found, mut refused) = (Vec::new(), Vec::new());
    for folder in folders {
        if let Err(reason) = fs::read_dir(folder)
            && !matches!(
                reason.kind(),
                ErrorKind::NotFound | ErrorKind::NotADirectory
            )
            && is_unclean(connection)?
        {
            let path = folder.clone();
            refused.push(RefusedRescue { path, reason });
        }
        let mut files = files::rescue_files(folder, database);
        files.retain(|path| path.extension() == Some(files::RESCUE_SUFFIX.as_ref()));
        for path in files {
            match open(&path, &uuid, users) {
                Ok(Some(file)) => found.push((path, file)),
                Err(reason) if reason.kind() != ErrorKind::NotFound => {
                    refused.push(RefusedRescue { path, reason });
                }
                _ => {}
            }
        }
    }
    Ok((found, refused))
}

fn uuid(connection: &Connection) -> rusqlite::Result<[u8; 16]> {
    connection.query_row("SELECT uuid FROM run", [], |row| row.get(0))
}

/// Users whose rescue files are imported: those who can write the database anyway.
#[derive(Debug, Clone, Copy)]
struct Users([u32; 2]);

impl Users {
    fn of(database: &Path) -> Self {
        let own = rustix::process::geteuid().as_raw();
        Self([own, fs::metadata(database).map_or(own, |meta| meta.uid())])
    }

    /// Returns true if only these users can have written a file. Returns false if another user wrote it in a folder
    /// that everyone can write to: it proves nothing.
    fn trust(self, path: &Path) -> io::Result<bool> {
        let denied = |reason| Err(io::Error::new(ErrorKind::PermissionDenied, reason));
        let meta = path.symlink_metadata()?;
        let is_known = self.0.contains(&meta.uid());
        let folder = folder_of(path);
        if !is_known && meta.uid() != 0 && fs::metadata(folder)?.mode() & 0o002 != 0 {
            return Ok(false);
        }
        if meta.is_symlink() {
            return denied("it is a symbolic link, which is not followed");
        }
        if !meta.is_file() {
            return denied("it is not a file");
        }
        if !is_known {
            return denied("it belongs to another user");
        }
        if meta.mode() & 0o022 != 0 {
            return denied("other users may write to it");
        }
        Ok(true)
    }
}

/// Opens a rescue file and checks it. Returns `None` if it is another run's.
fn open(path: &Path, run: &[u8; 16], users: Users) -> io::Result<Option<Connection>> {
    if !users.trust(path)? {
        return Ok(None);
    }
    // SQLite would read these as parts of the file.
    for suffix in ["-journal", "-wal"] {
        match users.trust(&with_suffix(path, suffix)) {
            Ok(false) => return Ok(None),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    // A file of another run may have any version and any damage.
    let named = connection::open_immutable(path).and_then(|file| uuid(&file));
    if named.is_ok_and(|named| named != *run) {
        return Ok(None);
    }
    let check = || -> Result<Option<Connection>> {
        let checking = "checking a rescue file";
        let file = connection::open(path, Mode::Read)?;
        let found: String = file
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(doing(checking))?;
        if found != "ok" {
            return Err(StoreError::Damaged {
                doing: checking,
                source: found.into(),
            });
        }
        file.prepare(&saved::sql()).map_err(doing(checking))?;
        let named = uuid(&file).map_err(doing(checking))?;
        Ok((named == *run).then_some(file))
    };
    check().map_err(|error| {
        let reason = match &error {
            StoreError::Foreign { .. } => "it is not a rescue file".to_owned(),
            StoreError::Older { .. } | StoreError::Newer { .. } => {
                "another version of stride wrote it".to_owned()
            }
            error => format!("it cannot be read: {}", error.source().unwrap_or(error)),
        };
        io::Error::new(ErrorKind::InvalidData, reason)
    })
}
