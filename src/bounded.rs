//! Reads user-named files and the output of commands, with a limit on bytes and on waiting.
//!
//! The file may be an endless device, which must not fill the memory, or a pipe without a writer, which must not block
//! forever.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::text::size;

/// The time limits of a [`Wait`].
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The time until the user is told about the wait.
    pub notice: Duration,
    /// The time until the wait ends in an error.
    pub end: Duration,
}

impl Patience {
    /// Enough time to type a passphrase.
    pub const USUAL: Self = Self {
        notice: Duration::from_secs(3),
        end: Duration::from_secs(120),
    };
    /// For readers that cannot notify the user.
    pub const SHORT: Self = Self {
        notice: Duration::from_secs(10),
        end: Duration::from_secs(10),
    };
}

/// A wait for a pipe, a terminal or a command.
pub struct Wait<'w> {
    since: Instant,
    patience: Patience,
    /// Notifies the user. Called at most once.
    notify: Option<&'w dyn Fn()>,
}

impl<'w> Wait<'w> {
    /// Starts a wait.
    pub fn begin(patience: Patience, notify: &'w dyn Fn()) -> Self {
        Self {
            since: Instant::now(),
            patience,
            notify: Some(notify),
        }
    }

    /// Waits until `from` has bytes, an end or an error. A pipe without a writer has none of them.
    ///
    /// # Errors
    ///
    /// The wait has lasted too long, or polling fails.
    pub fn until_ready(&mut self, from: &impl AsFd) -> io::Result<()> {
        let mut most = Duration::ZERO;
        while !is_ready(from, most)? {
            most = self.left()?;
        }
        Ok(())
    }

    /// Returns the time until the notice or the end of the wait, and notifies the user when the notice is due.
    fn left(&mut self) -> io::Result<Duration> {
        let elapsed = self.since.elapsed();
        let Patience { notice, end } = self.patience;
        if elapsed >= end {
            let message = format!("it did not end within {} s", end.as_secs());
            return Err(io::Error::new(ErrorKind::TimedOut, message));
        }
        match self.notify {
            Some(_) if elapsed < notice => Ok(notice.min(end) - elapsed),
            Some(notify) => {
                self.notify = None;
                notify();
                Ok(end - elapsed)
            }
            None => Ok(end - elapsed),
        }
    }
}

/// Reads a file of at most `most` bytes. It waits only for a pipe or a terminal.
///
/// # Errors
///
/// The file cannot be read, is larger, or does not end in time.
pub fn read(path: &Path, most: u64, wait: &mut Wait<'_>) -> io::Result<Vec<u8>> {
    // Without NONBLOCK, opening a pipe blocks until another program opens its other end.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32)
        .open(path)?;
    read_from(file, most, wait)
}

/// Reads at most `most` bytes from a file, a pipe or a terminal.
///
/// # Errors
///
/// Reading fails, there are more bytes, or they do not end in time.
pub fn read_from(
    mut from: impl Read + AsFd,
    most: u64,
    wait: &mut Wait<'_>,
) -> io::Result<Vec<u8>> {
    let (mut bytes, mut piece) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        wait.until_ready(&from)?;
        match from.read(&mut piece) {
            Ok(0) => return Ok(bytes),
            Ok(read) => bytes.extend_from_slice(&piece[..read]),
            Err(error)
                if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
            Err(error) => return Err(error),
        }
        if bytes.len() as u64 > most {
            let message = format!("it is larger than {}", size(most));
            return Err(io::Error::new(ErrorKind::FileTooLarge, message));
        }
    }
}

fn is_ready(from: &impl AsFd, most: Duration) -> io::Result<bool> {
    let most = Timespec::try_from(most).map_err(io::Error::other)?;
    match poll(&mut [PollFd::new(from, PollFlags::IN)], Some(&most)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;
    use std::io::Write as _;
    use std::thread;

    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::*;

    const SHORT: Patience = Patience {
        notice: Duration::from_millis(1),
        end: Duration::from_millis(20),
    };

    #[test]
    fn row_120_the_length_of_a_file_is_bounded() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "sesame").unwrap();
        let read = |path: &Path, most| {
            let notify = || panic!("files need no wait");
            read(path, most, &mut Wait::begin(Patience::USUAL, &notify))
        };
        assert_eq!(read(file.path(), 6).unwrap(), b"sesame");
        for (path, most) in [(file.path(), 5), (Path::new("/dev/zero"), 1 << 20)] {
            let error = read(path, most).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::FileTooLarge);
        }
        assert_eq!(read(Path::new("/dev/null"), 0).unwrap(), b"");
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path(), 10).is_err());
        assert!(read(&folder.path().join("none"), 10).is_err());
    }

    #[test]
    fn row_120_a_pipe_without_a_writer_is_notified_and_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        mkfifoat(CWD, &pipe, Mode::RWXU).unwrap();
        let open = || {
            let mut options = OpenOptions::new();
            let flags = OFlags::NONBLOCK.bits() as i32;
            options.read(true).custom_flags(flags).open(&pipe).unwrap()
        };
        let notices = Cell::new(0);
        let notify = || notices.set(notices.get() + 1);
        let error = read_from(open(), 10, &mut Wait::begin(SHORT, &notify)).unwrap_err();
        assert_eq!((error.kind(), notices.get()), (ErrorKind::TimedOut, 1));
        // A writer that starts after the notice is waited for.
        thread::scope(|scope| {
            let (notice, noticed) = std::sync::mpsc::channel();
            let pipe = &pipe;
            let write = move || {
                let () = noticed.recv().unwrap();
                let mut pipe = OpenOptions::new().write(true).open(pipe).unwrap();
                pipe.write_all(b"ses").unwrap();
                pipe.write_all(b"ame").unwrap();
            };
            let writer = scope.spawn(write);
            let patience = Patience {
                notice: SHORT.notice,
                ..Patience::USUAL
            };
            let notify = || notice.send(()).unwrap();
            let read = read_from(open(), 10, &mut Wait::begin(patience, &notify));
            assert_eq!(read.unwrap(), b"sesame");
            writer.join().unwrap();
        });
    }
}
