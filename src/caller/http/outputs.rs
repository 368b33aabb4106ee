//! Answers that go into files of their own, in a folder that the user has named. What an answer says decides nothing
//! about its file but the ending, and that only out of a table of ours.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, Mode, OFlags, openat, statat, unlinkat};
use sha2::{Digest, Sha256};

use super::error::PlanError;
use crate::job::{Answer, AttemptId, Body, Checksum, FileName, ending};

/// How often another name is tried where there is something of the first one.
const TRIES: usize = 8;
/// How many letters such a name has more.
const LETTERS: usize = 8;
/// How much is copied at once, in bytes.
const PIECE: usize = 1 << 16;

/// A folder for answers.
#[derive(Debug)]
pub(super) struct Outputs {
    path: PathBuf,
    /// What everything is done relative to, so that nothing put in the way leads elsewhere.
    folder: File,
    trouble: Mutex<Trouble>,
}

/// Whether an answer could not be written.
#[derive(Debug)]
enum Trouble {
    None,
    Untold(String),
    Told,
}

/// Checks that a folder can be there: that it is one, or nothing yet.
pub(super) fn check(path: &Path) -> Result<(), PlanError> {
    match fs::metadata(path) {
        Ok(meta) if !meta.is_dir() => Err(unusable(path, "it is not a folder")),
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(unusable(path, &error.to_string()))
        }
        // A link that leads to nothing is nothing that a folder could be made of.
        Err(_) if path.is_symlink() => Err(unusable(path, "it is a link that leads to nothing")),
        _ => Ok(()),
    }
}

fn unusable(path: &Path, reason: &str) -> PlanError {
    PlanError::Outputs {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

impl Outputs {
    /// Opens a folder, which is made where it is missing, for its owner alone.
    pub(super) fn open(path: &Path) -> Result<Self, PlanError> {
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
            trouble: Mutex::new(Trouble::None),
        })
    }

    /// Puts an answer's body into a file of its own: synced when this returns, before anything says that the answer
    /// is there. If the process dies before the answer is committed, the file is left behind, and belongs to nobody;
    /// the next attempt has another name. Where no file can be written, the answer stays as it is, for the database.
    pub(super) fn keep(&self, attempt: AttemptId, answer: Answer) -> Answer {
        let ending = ending(answer.media_type.as_deref());
        match self.write(&name(attempt), ending, &answer.body) {
            Ok(body) => Answer { body, ..answer },
            Err(error) => {
                self.note(&error);
                answer
            }
        }
    }

    /// Why answers could not be written, once.
    pub(super) fn trouble(&self) -> Option<String> {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*trouble, Trouble::Untold(_)) {
            return None;
        }
        match std::mem::replace(&mut *trouble, Trouble::Told) {
            Trouble::Untold(words) => Some(words),
            Trouble::None | Trouble::Told => None,
        }
    }

    fn note(&self, error: &io::Error) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*trouble, Trouble::None) {
            let folder = FileName::from(self.path.as_path());
            *trouble = Trouble::Untold(format!("cannot write into {folder}: {error}"));
        }
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

    /// Makes a file that was not there, of the first name that is free.
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
        let reason = "every name that was tried is taken";
        Err(io::Error::new(ErrorKind::AlreadyExists, reason))
    }

    /// The folder that was opened still has the name under which its files are recorded.
    fn is_in_place(&self) -> io::Result<()> {
        let (ours, named) = (self.folder.metadata()?, fs::metadata(&self.path)?);
        if (ours.dev(), ours.ino()) == (named.dev(), named.ino()) {
            return Ok(());
        }
        let reason = "the folder was moved or replaced";
        Err(io::Error::new(ErrorKind::NotFound, reason))
    }

    /// Removes a file that is not whole, if it is still the one of this name.
    fn remove(&self, file: &File, name: &str) {
        let ours = file.metadata().map(|meta| (meta.dev(), meta.ino()));
        let named = statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW);
        if let (Ok(ours), Ok(named)) = (ours, named)
            && ours == (named.st_dev, named.st_ino)
        {
            // What cannot be removed is in nobody's way but the eye's.
            let _ = unlinkat(&self.folder, name, AtFlags::empty());
        }
    }
}

/// Copies a body, and says what its checksum is.
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

/// A file's name without its ending: the job's number, and from the second attempt on the attempt's too.
fn name(AttemptId { job, number }: AttemptId) -> String {
    match number {
        1 => job.0.to_string(),
        _ => format!("{}-{number}", job.0),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::job::JobId;

    fn attempt(number: u32) -> AttemptId {
        let job = JobId(7);
        AttemptId { job, number }
    }

    fn answer(media_type: &str) -> Answer {
        Answer {
            media_type: Some(media_type.to_owned()),
            ..Answer::json_text("answer")
        }
    }

    #[test]
    fn a_file_is_the_owners_and_never_in_the_place_of_another() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("deep/out");
        let outputs = Outputs::open(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        let elsewhere = place.path().join("elsewhere");
        fs::write(path.join("7-2.json"), "there").unwrap();
        symlink(&elsewhere, path.join("7-3.json")).unwrap();
        for (number, expected) in [
            (1, Some("7.json")),
            (2, None),
            (3, None),
            (4, Some("7-4.json")),
        ] {
            let kept = outputs
                .keep(attempt(number), answer("application/json"))
                .body;
            let file = kept.path().unwrap();
            let name = file.file_name().unwrap().to_str().unwrap();
            assert_eq!(file.parent(), Some(&*path));
            match expected {
                Some(expected) => assert_eq!(name, expected),
                None => assert!(name.starts_with(&format!("7-{number}-")), "{name}"),
            }
            assert_eq!(
                (mode(file), fs::read(file).unwrap()),
                (0o600, b"answer".to_vec())
            );
            assert!(!file.is_symlink());
            assert_eq!(kept.checksum().unwrap(), Checksum::of(b"answer"));
        }
        assert_eq!(fs::read(path.join("7-2.json")).unwrap(), b"there");
        assert!(!elsewhere.exists());
        assert_eq!(outputs.trouble(), None);
    }

    #[test]
    fn what_cannot_be_written_stays_as_it_is_and_is_told_once() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("out");
        let outputs = Outputs::open(&path).unwrap();
        // Moved away: its files would not be where they are recorded.
        let moved = place.path().join("moved");
        fs::rename(&path, &moved).unwrap();
        for _ in 0..2 {
            let kept = outputs.keep(attempt(1), answer("text/plain")).body;
            assert_eq!(
                (kept.path(), kept.in_memory()),
                (None, Some(&b"answer"[..]))
            );
            assert_eq!(fs::read_dir(&moved).unwrap().count(), 0);
        }
        fs::create_dir(&path).unwrap();
        assert_eq!(
            outputs.keep(attempt(1), answer("text/plain")).body.path(),
            None
        );
        fs::remove_dir(&moved).unwrap();
        assert_eq!(
            outputs.keep(attempt(1), answer("text/plain")).body.path(),
            None
        );
        let told = outputs.trouble().unwrap();
        assert!(told.starts_with("cannot write into "), "{told}");
        assert_eq!(outputs.trouble(), None);
        // A body that ends too early.
        let outputs = Outputs::open(&path).unwrap();
        let broken = Answer {
            body: Body::spilled(tempfile::tempfile().unwrap(), 5),
            ..answer("text/plain")
        };
        assert_eq!(outputs.keep(attempt(1), broken).body.path(), None);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    }

    #[test]
    fn what_is_no_folder_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        fs::write(&file, "").unwrap();
        symlink("nowhere", place.path().join("dangling")).unwrap();
        for name in ["file", "file/below", "dangling"] {
            let path = place.path().join(name);
            assert!(check(&path).is_err(), "{name}");
            assert!(Outputs::open(&path).is_err(), "{name}");
        }
        assert!(check(&place.path().join("not/yet")).is_ok());
        symlink(place.path(), place.path().join("link")).unwrap();
        assert!(Outputs::open(&place.path().join("link")).is_ok());
    }
}
