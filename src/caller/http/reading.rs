//! Opens and reads files, either blocking or only from the page cache. A thread that drives many calls must never block
//! on a disk.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSliceMut};
use std::num::NonZeroU64;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{Advice, CWD, Mode, OFlags, ResolveFlags, fadvise, openat2};
use rustix::io::{ReadWriteFlags, preadv2};
use thiserror::Error;

/// The length to read ahead after a blocking read, in bytes.
const AHEAD: Option<NonZeroU64> = NonZeroU64::new(1 << 20);

/// A way to read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::caller) enum Reading {
    /// Block, forever if the disk is dead.
    Patient,
    /// Fail with an error for which [`is_away`] is true rather than block. Old kernels and some file systems always fail.
    AtHand,
}

/// A file that cannot be read without blocking.
#[derive(Debug, Error)]
#[error("the file is not in memory")]
struct Away;

fn away<E>(_: E) -> io::Error {
    io::Error::other(Away)
}

/// Returns whether an error only says that reading would have blocked.
pub(super) fn is_away(error: &io::Error) -> bool {
    matches!(error.get_ref(), Some(source) if source.is::<Away>())
}

impl Reading {
    /// Opens a file for reading. For a FIFO this does not wait for a writer.
    pub(super) fn open(self, path: &Path) -> io::Result<File> {
        match self {
            Self::Patient => OpenOptions::new()
                .read(true)
                .custom_flags(OFlags::NONBLOCK.bits() as i32)
                .open(path),
            // The blocking attempt that follows finds any other error.
            Self::AtHand => {
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
                openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED)
                    .map(File::from)
                    .map_err(away)
            }
        }
    }

    /// Reads from an offset. Zero bytes mean the file's end.
    pub(super) fn read_at(self, file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        match self {
            Self::Patient => file.read_at(buffer, at),
            Self::AtHand => {
                let mut buffers = [IoSliceMut::new(buffer)];
                preadv2(file, &mut buffers, at, ReadWriteFlags::NOWAIT).map_err(away)
            }
        }
    }

    /// Asks the system to read ahead in a file that is not in memory. The disk then blocks once in a mebibyte, not for
    /// every piece.
    pub(super) fn advise(file: &File, at: u64) {
        // Without this advice, reading is only slower.
        let _ = fadvise(file, at, AHEAD, Advice::WillNeed);
    }

    /// Fills the buffer from an offset.
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
    fn only_files_in_memory_are_at_hand() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"0123456789").unwrap();
        let mut buffer = [0; 4];
        let file = Reading::Patient.open(&path).unwrap();
        Reading::Patient
            .read_exact_at(&file, &mut buffer, 6)
            .unwrap();
        assert_eq!(&buffer, b"6789");
        // The file was just written and read, so it is at hand if the kernel and the file system support it.
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
        // Generated files cannot be read without blocking.
        let made = File::open("/proc/self/status").unwrap();
        let error = Reading::AtHand.read_at(&made, &mut buffer, 0).unwrap_err();
        assert!(is_away(&error));
    }
}
