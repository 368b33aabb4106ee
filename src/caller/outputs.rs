//! Results in files of their own, in a folder that the user names. An answer decides nothing about its file but the
//! extension, which comes from a fixed table.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags, openat, statat, unlinkat};
use sha2::{Digest, Sha256};

use crate::job::{Answer, AttemptId, Body, Checksum, FileName, ending};

/// The number of random names to try when the first name exists.
const TRIES: usize = 8;
/// The number of random letters in such a name.
const LETTERS: usize = 8;
/// The size of a copy's buffer, in bytes.
const PIECE: usize = 1 << 16;

/// The folder for results cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("answers cannot go into {}: {reason}", FileName::from(.path.as_path()))]
pub struct WrongFolder {
    /// The folder.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// A folder for results.
#[derive(Debug)]
pub(super) struct Outputs {
    path: PathBuf,
    /// All operations are relative to this, so that a replaced path cannot redirect them.
    folder: File,
    /// The first error of a write.
    error: OnceLock<String>,
    is_reported: AtomicBool,
}

/// Checks that a path is a folder or does not exist.
pub(super) fn check(path: &Path) -> Result<(), WrongFolder> {
    match fs::metadata(path) {
        Ok(meta) if !meta.is_dir() => Err(unusable(path, "it is not a folder")),
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(unusable(path, &error.to_string()))
        }
        // No folder can be created through a dangling link.
        Err(_) if path.is_symlink() => Err(unusable(path, "it is a dangling link")),
        _ => Ok(()),
    }
}

fn unusable(path: &Path, reason: &str) -> WrongFolder {
    WrongFolder {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

impl Outputs {
    /// Opens the folder. Creates it for its owner alone if it is missing.
    pub(super) fn open(path: &Path) -> Result<Self, WrongFolder> {
        check(path)?;
        let open = || {
            DirBuilder::new().recursive(true).mode(0o700).create(path)?;
            OpenOptions::new()
                .read(true)
                .custom_flags(OFlags::DIRECTORY.bits() as i32)
                .open(path)
        };
        let folder = open().map_err(|error: io::Error| unusable(path, &error.to_string()))?;
        Ok(Self {
            path: path.to_owned(),
            folder,
            error: OnceLock::new(),
            is_reported: AtomicBool::new(false),
        })
    }

    /// Moves an answer's body into a file and syncs it, before the answer is recorded. If the process dies between, the
    /// file is left unused, and the next attempt has another name. If no file can be written, the answer stays as it
    /// is, and its body goes into the database.
    pub(super) fn keep(&self, attempt: AttemptId, answer: Answer) -> Answer {
        let ending = ending(answer.media_type.as_deref());
        match self.write(&name(attempt), ending, &answer.body) {
            Ok(body) => Answer { body, ..answer },
            Err(error) => {
                let folder = FileName::from(self.path.as_path());
                self.error
                    .get_or_init(|| format!("cannot write into {folder}: {error}"));
                answer
            }
        }
    }

    /// Returns the first error of a write, once.
    pub(super) fn trouble(&self) -> Option<String> {
        let error = self.error.get()?;
        (!self.is_reported.swap(true, Ordering::SeqCst)).then(|| error.clone())
    }

    fn write(&self, name: &str, ending: &str, body: &Body) -> io::Result<Body> {
        let (mut file, name) = self.create(name, ending)?;
        let written = copy(body, &mut file).and_then(|checksum| {
            file.sync_all()?;
            self.folder.sync_all()?;
            self.is_in_place()?;
            Ok(checksum)
        });
        match written {
            Ok(checksum) => {
                let path = self.path.join(name);
                Ok(Body::kept(file, body.len(), path, checksum))
            }
            Err(error) => {
                self.remove(&file, &name);
                Err(error)
            }
        }
    }

    /// Creates a new file under the first name that is free.
    fn create(&self, name: &str, ending: &str) -> io::Result<(File, String)> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for tried in 0..=TRIES {
            let name = match tried {
                0 => format!("{name}.{ending}"),
                _ => {
                    let letters: String = (0..LETTERS).map(|_| fastrand::lowercase()).collect();
                    format!("{name}-{letters}.{ending}")
                }
            };
            match openat(&self.folder, &name, flags, Mode::RUSR | Mode::WUSR) {
                Ok(file) => return Ok((file.into(), name)),
                Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let reason = "all names tried exist";
        Err(io::Error::new(ErrorKind::AlreadyExists, reason))
    }

    /// Checks that the recorded path still leads to the opened folder.
    fn is_in_place(&self) -> io::Result<()> {
        let (ours, named) = (self.folder.metadata()?, fs::metadata(&self.path)?);
        if (ours.dev(), ours.ino()) == (named.dev(), named.ino()) {
            return Ok(());
        }
        let reason = "the folder was moved or replaced";
        Err(io::Error::new(ErrorKind::NotFound, reason))
    }

    /// Removes an incomplete file, unless its name belongs to another file by now.
    fn remove(&self, file: &File, name: &str) {
        let ours = file.metadata().map(|meta| (meta.dev(), meta.ino()));
        let named = statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW);
        if let (Ok(ours), Ok(named)) = (ours, named)
            && ours == (named.st_dev, named.st_ino)
        {
            // Ignore failure: a leftover file is harmless.
            let _ = unlinkat(&self.folder, name, AtFlags::empty());
        }
    }
}

/// Copies a body and returns its checksum.
fn copy(body: &Body, to: &mut File) -> io::Result<Checksum> {
    let (mut from, mut hash) = (body.reader(), Sha256::new());
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(Checksum(hash.finalize().into())),
            read => {
                hash.update(&piece[..read]);
                to.write_all(&piece[..read])?;
            }
        }
    }
}

/// Returns a file's name without its extension: the job's number and, from the second attempt on, the attempt's.
fn name(AttemptId { job, number }: AttemptId) -> String {
    match number {
        1 => job.0.to_string(),
        _ => format!("{}-{number}", job.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobId;

    #[test]
    fn a_body_that_cannot_be_written_stays_in_memory_and_leaves_no_file() {
        let place = tempfile::tempdir().unwrap();
        let [path, moved] = ["out", "moved"].map(|name| place.path().join(name));
        let outputs = Outputs::open(&path).unwrap();
        let (job, number) = (JobId(7), 1);
        let keep = |answer| outputs.keep(AttemptId { job, number }, answer).body;
        let answer = Answer::json_text("answer");
        // The body ends too early.
        let body = Body::spilled(tempfile::tempfile().unwrap(), 5);
        let short = Answer {
            body,
            ..answer.clone()
        };
        assert_eq!(keep(short).path(), None);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
        // A file would not be where it is recorded.
        fs::rename(&path, &moved).unwrap();
        for _ in 0..2 {
            let kept = keep(answer.clone());
            assert_eq!(
                (kept.path(), kept.in_memory()),
                (None, Some(&b"answer"[..]))
            );
            assert_eq!(fs::read_dir(&moved).unwrap().count(), 0);
            fs::create_dir_all(&path).unwrap();
        }
        assert!(
            outputs
                .trouble()
                .is_some_and(|error| error.starts_with("cannot write into "))
        );
        assert_eq!(outputs.trouble(), None);
    }
}
