//! A file that a request is made of: opened at its first use, without ever blocking on what is not a file.

use std::cell::OnceCell;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::error::unsendable;
use super::reading::{Reading, is_away};
use crate::job::{Checksum, Class, Failure, FailureKind, Outcome};

/// The largest file that is put into a request as text or percent-encoded, in bytes: it is in memory then.
const LARGEST_IN_MEMORY: u64 = 64 << 20;
/// How much is read at a time.
const PIECE: usize = 64 << 10;

/// A file of one attempt.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    reading: Reading,
    opened: OnceCell<Input>,
}

/// An open regular file, and the size that it had.
#[derive(Debug, Clone)]
pub(super) struct Input {
    pub(super) file: Arc<File>,
    pub(super) size: u64,
}

impl Source {
    /// The file at this path.
    pub(super) fn of(path: &Path, reading: Reading) -> Self {
        Self {
            path: path.to_owned(),
            reading,
            opened: OnceCell::new(),
        }
    }

    /// How it is read, and so is every other file of the same request.
    pub(super) fn reading(&self) -> Reading {
        self.reading
    }

    /// The open file. An error is the attempt's outcome: nothing was sent.
    pub(super) fn open(&self) -> Result<&Input, Outcome> {
        match self.opened.get() {
            Some(input) => Ok(input),
            None => {
                let input = Input::open(&self.path, self.reading)?;
                Ok(self.opened.get_or_init(|| input))
            }
        }
    }

    pub(super) fn share(&self) -> Result<Input, Outcome> {
        self.open().cloned()
    }

    pub(super) fn size(&self) -> Result<u64, Outcome> {
        Ok(self.open()?.size)
    }

    /// The whole file.
    pub(super) fn whole(&self) -> Result<Vec<u8>, Outcome> {
        let input = self.open()?;
        if input.size > LARGEST_IN_MEMORY {
            return Err(unsendable(
                FailureKind::TooLarge,
                format!(
                    "the file is larger than the {} MiB that can be sent in this form",
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

    /// The checksum of the file as it is now.
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

/// The error of a file that has fewer bytes than it had when it was opened.
pub(super) fn shorter() -> io::Error {
    let message = "the file became shorter while it was being sent";
    io::Error::new(ErrorKind::UnexpectedEof, message)
}

impl Input {
    fn open(path: &Path, reading: Reading) -> Result<Self, Outcome> {
        let file = reading.open(path).map_err(|error| refusal(&error))?;
        let look = || file.metadata().map_err(|error| refusal(&error));
        let mut meta = look()?;
        if !meta.is_file() {
            return Err(not_a_file());
        }
        // Files of /proc say that they are empty and are not: they are made while they are read.
        let first = || reading.read_at(&file, &mut [0], 0);
        if meta.len() == 0 && first().map_err(|error| refusal(&error))? > 0 {
            meta = look()?;
            if meta.len() == 0 {
                return Err(not_a_file());
            }
        }
        Ok(Self {
            file: Arc::new(file),
            size: meta.len(),
        })
    }
}

/// What a file that cannot be read makes of its attempt. [`Outcome::Interrupted`] says that nothing was found out, for
/// that would have taken waiting ([`Reading::AtHand`]); whoever waits never gets that.
pub(super) fn refusal(error: &io::Error) -> Outcome {
    if is_away(error) {
        return Outcome::Interrupted;
    }
    // The file is not to blame for a machine that has no descriptor left: the job waits with all others.
    if matches!(
        rustix::io::Errno::from_io_error(error),
        Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE | rustix::io::Errno::NOMEM)
    ) {
        return Outcome::Unreachable(Failure::new(
            Class::Local,
            FailureKind::NoDescriptors,
            format!("cannot open a file: {error}"),
        ));
    }
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            unsendable(FailureKind::InputMissing, "the file is missing".to_owned())
        }
        _ if error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => not_a_file(),
        _ => unsendable(
            FailureKind::InputUnreadable,
            format!("the file cannot be read: {error}"),
        ),
    }
}

fn not_a_file() -> Outcome {
    unsendable(
        FailureKind::NotARegularFile,
        "not a regular file".to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(path: &Path) -> &'static str {
        match Input::open(path, Reading::Patient) {
            Ok(_) => "opened",
            Err(outcome) => outcome.failure().unwrap().kind.as_str(),
        }
    }

    #[test]
    fn rows_53_to_55_only_regular_files_are_opened_and_nothing_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name| folder.path().join(name);
        std::fs::write(at("file"), "x").unwrap();
        std::fs::write(at("empty"), "").unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        std::os::unix::fs::symlink("loop", at("loop")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", at("device")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("fifo"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        for (name, expected) in [
            ("file", "opened"),
            ("link", "opened"),
            ("empty", "opened"),
            ("none", "input_missing"),
            ("file/below", "input_missing"),
            ("loop", "input_unreadable"),
            ("", "not_a_regular_file"),
            ("fifo", "not_a_regular_file"),
            ("device", "not_a_regular_file"),
            ("socket", "not_a_regular_file"),
        ] {
            assert_eq!(kind(&at(name)), expected, "{name}");
        }
    }

    #[test]
    fn a_file_has_its_size_its_bytes_and_its_checksum() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let bytes = b"0123456789".repeat(20_000);
        std::fs::write(file.path(), &bytes).unwrap();
        let source = Source::of(file.path(), Reading::Patient);
        assert_eq!(source.size().unwrap(), 200_000);
        assert_eq!(source.whole().unwrap(), bytes);
        assert_eq!(source.sha256().unwrap(), Checksum::of(&bytes));
        file.as_file().set_len(LARGEST_IN_MEMORY + 1).unwrap();
        let refused = Source::of(file.path(), Reading::Patient)
            .whole()
            .unwrap_err();
        assert_eq!(refused.failure().unwrap().kind, FailureKind::TooLarge);
        // Open still, and shorter meanwhile.
        file.as_file().set_len(10).unwrap();
        assert!(source.whole().is_err() && source.sha256().is_err());
    }
}
