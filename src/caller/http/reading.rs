//! How files are opened and read: as long as it takes, or only as far as the system has them in memory, so that a
//! thread which drives many calls never waits for a disk.

use std::error::Error;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSliceMut};
use std::num::NonZeroU64;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{Advice, CWD, Mode, OFlags, ResolveFlags, fadvise, openat2};
use rustix::io::{ReadWriteFlags, preadv2};

/// How much is brought into memory when a file is waited for, in bytes.
const AHEAD: Option<NonZeroU64> = NonZeroU64::new(1 << 20);

/// Whether reading may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// It may, for ever where the disk is dead.
    Patient,
    /// Never. What is not in memory is an error that [`is_away`] knows. So is all that cannot be read in this way:
    /// on old kernels, and on file systems that do not know of it.
    AtHand,
}

/// A file that cannot be read without waiting.
#[derive(Debug)]
struct Away;

impl fmt::Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the file is not in memory")
    }
}

impl Error for Away {}

fn away<E>(_: E) -> io::Error {
    io::Error::other(Away)
}

/// Whether an error only says that one would have had to wait.
pub(super) fn is_away(error: &io::Error) -> bool {
    matches!(error.get_ref(), Some(source) if source.is::<Away>())
}

impl Reading {
    /// Opens a file for reading. A FIFO is opened without waiting for somebody who writes into it.
    pub(super) fn open(self, path: &Path) -> io::Result<File> {
        match self {
            Self::Patient => OpenOptions::new()
                .read(true)
                .custom_flags(OFlags::NONBLOCK.bits() as i32)
                .open(path),
            // Whatever is wrong with it is found out by whoever may wait.
            Self::AtHand => {
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
                openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED)
                    .map(File::from)
                    .map_err(away)
            }
        }
    }

    /// Reads from a place in a file on. Nothing read is the file's end.
    pub(super) fn read_at(self, file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        match self {
            Self::Patient => file.read_at(buffer, at),
            Self::AtHand => {
                let mut buffers = [IoSliceMut::new(buffer)];
                preadv2(file, &mut buffers, at, ReadWriteFlags::NOWAIT).map_err(away)
            }
        }
    }

    /// Has the system bring what follows in a file into memory, where waiting has shown that it is not there: so that
    /// one waits once a mebibyte, and not for every piece. It is only advice.
    pub(super) fn advise(file: &File, at: u64) {
        let _ = fadvise(file, at, AHEAD, Advice::WillNeed);
    }

    /// Fills the buffer from a place in a file on.
    pub(super) fn read_exact_at(self, file: &File, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read_at(file, &mut buffer[filled..], at + filled as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_memory_is_at_hand_and_what_cannot_be_known_is_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"0123456789").unwrap();
        let mut buffer = [0; 4];
        let file = Reading::Patient.open(&path).unwrap();
        Reading::Patient
            .read_exact_at(&file, &mut buffer, 6)
            .unwrap();
        assert_eq!(&buffer, b"6789");
        // Just written and just read, so both are in memory where the kernel and the file system can say so.
        match Reading::AtHand.open(&path) {
            Ok(file) => match Reading::AtHand.read_exact_at(&file, &mut buffer, 2) {
                Ok(()) => assert_eq!(&buffer, b"2345"),
                Err(error) => assert!(is_away(&error), "{error}"),
            },
            Err(error) => assert!(is_away(&error), "{error}"),
        }
        let missing = folder.path().join("missing");
        assert!(is_away(&Reading::AtHand.open(&missing).unwrap_err()));
        let error = Reading::Patient.open(&missing).unwrap_err();
        assert!(!is_away(&error) && error.kind() == io::ErrorKind::NotFound);
        for reading in [Reading::Patient, Reading::AtHand] {
            let file = File::open(&path).unwrap();
            let error = reading.read_exact_at(&file, &mut buffer, 8).unwrap_err();
            assert!(is_away(&error) || error.kind() == io::ErrorKind::UnexpectedEof);
        }
        // What is made while it is read cannot be read without waiting.
        let made = File::open("/proc/self/status").unwrap();
        let error = Reading::AtHand.read_at(&made, &mut buffer, 0).unwrap_err();
        assert!(is_away(&error));
    }
}
