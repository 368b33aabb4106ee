//! A file that a request is built from. It is opened at its first use, and opening never blocks on a FIFO or a device.

use std::cell::OnceCell;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::error::unsendable;
use super::reading::{Reading, is_away};
use crate::job::{Checksum, Class, Failure, FailureKind, FileStamp, Outcome};

/// The largest file that a request may hold in memory, as text or percent-encoded, in bytes.
const LARGEST_IN_MEMORY: u64 = 64 << 20;
/// The size of a read, in bytes.
const PIECE: usize = 64 << 10;

/// A file of one attempt.
#[derive(Debug)]
pub(in crate::caller) struct Source {
    path: PathBuf,
    reading: Reading,
    opened: OnceCell<OpenFile>,
}

/// An open regular file and its size when it was opened.
#[derive(Debug, Clone)]
pub(in crate::caller) struct OpenFile {
    pub(super) file: Arc<File>,
    pub(super) size: u64,
    pub(super) stamp: FileStamp,
}

impl Source {
    pub(in crate::caller) fn new(path: &Path, reading: Reading) -> Self {
        Self {
            path: path.to_owned(),
            reading,
            opened: OnceCell::new(),
        }
    }

    /// Returns how all files of the same request are read.
    pub(super) fn reading(&self) -> Reading {
        self.reading
    }

    /// Opens the file once. An error is the attempt's outcome: nothing was sent.
    pub(in crate::caller) fn open(&self) -> Result<&OpenFile, Outcome> {
        match self.opened.get() {
            Some(input) => Ok(input),
            None => {
                let input = OpenFile::open(&self.path, self.reading)?;
                Ok(self.opened.get_or_init(|| input))
            }
        }
    }

    /// Returns the file's stamp, if it was opened.
    pub(in crate::caller) fn stamp(&self) -> Option<FileStamp> {
        Some(self.opened.get()?.stamp)
    }

    pub(super) fn share(&self) -> Result<OpenFile, Outcome> {
        self.open().cloned()
    }

    pub(super) fn size(&self) -> Result<u64, Outcome> {
        Ok(self.open()?.size)
    }

    /// Reads the whole file into memory.
    pub(super) fn whole(&self) -> Result<Vec<u8>, Outcome> {
        let input = self.open()?;
        if input.size > LARGEST_IN_MEMORY {
            return Err(unsendable(
                FailureKind::TooLarge,
                format!(
                    "the file has {} MiB; text and percent-encoding allow {} MiB; --data-binary @{{path}} streams it",
                    input.size.div_ceil(1 << 20),
                    LARGEST_IN_MEMORY >> 20
                ),
            ));
        }
        let mut bytes = vec![0; input.size as usize];
        self.reading
            .read_exact_at(&input.file, &mut bytes, 0)
            .map_err(|error| refusal(&error))?;
        Ok(bytes)
    }

    /// Computes the checksum of the file as it is now.
    pub(super) fn sha256(&self) -> Result<Checksum, Outcome> {
        let input = self.open()?;
        let (mut hash, mut buffer, mut at) = (Sha256::new(), vec![0; PIECE], 0);
        while at < input.size {
            let most = PIECE.min(usize::try_from(input.size - at).unwrap_or(PIECE));
            let read = self.reading.read_at(&input.file, &mut buffer[..most], at);
            match read.map_err(|error| refusal(&error))? {
                0 => return Err(refusal(&shorter())),
                read => {
                    hash.update(&buffer[..read]);
                    at += read as u64;
                }
            }
        }
        Ok(Checksum(hash.finalize().into()))
    }
}

/// Returns the error of a file that was truncated after it was opened.
pub(super) fn shorter() -> io::Error {
    let message = "the file became shorter while it was being read";
    io::Error::new(ErrorKind::UnexpectedEof, message)
}

impl OpenFile {
    fn open(path: &Path, reading: Reading) -> Result<Self, Outcome> {
        let file = reading.open(path).map_err(|error| refusal(&error))?;
        let look = || file.metadata().map_err(|error| refusal(&error));
        let mut meta = look()?;
        if !meta.is_file() {
            return Err(not_regular(NOT_REGULAR));
        }
        // A file with size 0 and contents is generated (as in /proc), unless it has grown since the first look.
        let first = || reading.read_at(&file, &mut [0], 0);
        if meta.len() == 0 && first().map_err(|error| refusal(&error))? > 0 {
            meta = look()?;
            if meta.len() == 0 {
                return Err(not_regular(
                    "the file reports no size but has contents, as files of /proc do",
                ));
            }
        }
        Ok(Self {
            file: Arc::new(file),
            size: meta.len(),
            stamp: FileStamp::of(&meta),
        })
    }
}

/// Returns the outcome of an attempt whose file cannot be read. [`Outcome::Interrupted`] means that reading would have
/// waited; only [`Reading::AtHand`] gives it.
pub(super) fn refusal(error: &io::Error) -> Outcome {
    if is_away(error) {
        return Outcome::Interrupted;
    }
    // Exhausted descriptors or memory are the machine's fault, so the job is called again later.
    if matches!(
        rustix::io::Errno::from_io_error(error),
        Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE | rustix::io::Errno::NOMEM)
    ) {
        return Outcome::Unreachable(Failure::new(
            Class::Local,
            FailureKind::NoDescriptors,
            format!("no file descriptor or memory is left: {error}"),
        ));
    }
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            unsendable(FailureKind::InputMissing, "the file is missing".to_owned())
        }
        _ if error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {
            not_regular(NOT_REGULAR)
        }
        _ => unsendable(
            FailureKind::InputUnreadable,
            format!("the file cannot be read: {error}"),
        ),
    }
}

const NOT_REGULAR: &str = "not a regular file";

fn not_regular(message: &str) -> Outcome {
    unsendable(FailureKind::NotARegularFile, message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_too_large_or_becomes_shorter_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(200_000).unwrap();
        let source = Source::new(file.path(), Reading::Patient);
        assert_eq!(source.sha256().unwrap(), Checksum::of(&vec![0; 200_000]));
        file.as_file().set_len(10).unwrap();
        assert!(source.whole().is_err() && source.sha256().is_err());
        file.as_file().set_len(LARGEST_IN_MEMORY + 1).unwrap();
        let refused = Source::new(file.path(), Reading::Patient).whole();
        let kind = refused.unwrap_err().failure().unwrap().kind;
        assert_eq!(kind, FailureKind::TooLarge);
    }
}
