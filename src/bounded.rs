//! Reads files that a user names, and what commands print: at most so much, and not for ever.
//!
//! A name may be that of a device without end, or of a pipe that nobody writes to. Neither takes all the memory, and
//! neither waits without a word.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

/// How long is waited for what does not come from a disk.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Before it is said that one waits.
    pub word: Duration,
    /// In all.
    pub end: Duration,
}

impl Patience {
    /// Enough for a person to type a passphrase.
    pub const USUAL: Self = Self {
        word: Duration::from_secs(3),
        end: Duration::from_secs(120),
    };
    /// Where nothing can be said.
    pub const SHORT: Self = Self {
        word: Duration::from_secs(10),
        end: Duration::from_secs(10),
    };
}

/// A wait, from its beginning.
pub struct Wait<'w> {
    since: Instant,
    patience: Patience,
    /// Says that one waits. Called at most once.
    say: Option<&'w dyn Fn()>,
}

impl<'w> Wait<'w> {
    /// Begins to wait.
    pub fn begin(patience: Patience, say: &'w dyn Fn()) -> Self {
        Self {
            since: Instant::now(),
            patience,
            say: Some(say),
        }
    }

    /// Waits until there is something to read, or an end or an error to see. A pipe that nobody has opened has none of
    /// them.
    ///
    /// # Errors
    ///
    /// The time is over.
    pub fn until_ready(&mut self, from: &impl AsFd) -> io::Result<()> {
        let mut most = Duration::ZERO;
        while !is_ready(from, most)? {
            most = self.left()?;
        }
        Ok(())
    }

    /// Returns how long to wait until the word or the end is due. Says the word where it is.
    fn left(&mut self) -> io::Result<Duration> {
        let elapsed = self.since.elapsed();
        let Patience { word, end } = self.patience;
        if elapsed >= end {
            let message = format!("there was no end of it within {} s", end.as_secs());
            return Err(io::Error::new(ErrorKind::TimedOut, message));
        }
        match self.say {
            Some(_) if elapsed < word => Ok(word.min(end) - elapsed),
            Some(say) => {
                self.say = None;
                say();
                Ok(end - elapsed)
            }
            None => Ok(end - elapsed),
        }
    }
}

/// Reads a file of at most `most` bytes. Only a pipe or a terminal is waited for.
///
/// # Errors
///
/// It cannot be read, is larger, or does not end in time.
pub fn read(path: &Path, most: u64, wait: &mut Wait<'_>) -> io::Result<Vec<u8>> {
    // Otherwise opening a pipe blocks until another program opens its other end.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32)
        .open(path)?;
    read_from(file, most, wait)
}

/// Reads at most `most` bytes from where they may be long in coming.
///
/// # Errors
///
/// They cannot be read, there are more, or there is no end of them in time.
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

fn size(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= 1 << 20 => format!("{} MiB", bytes >> 20),
        bytes => format!("{} KiB", bytes >> 10),
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
        word: Duration::from_millis(1),
        end: Duration::from_millis(20),
    };

    #[test]
    fn row_120_what_is_read_is_bounded() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "sesame").unwrap();
        let read = |path: &Path, most| {
            let nobody_waits = || panic!("it is there");
            read(path, most, &mut Wait::begin(Patience::USUAL, &nobody_waits))
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
    fn row_120_a_pipe_that_nobody_writes_to_is_told_of_and_left() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        mkfifoat(CWD, &pipe, Mode::RWXU).unwrap();
        let open = || {
            let mut options = OpenOptions::new();
            let flags = OFlags::NONBLOCK.bits() as i32;
            options.read(true).custom_flags(flags).open(&pipe).unwrap()
        };
        let words = Cell::new(0);
        let say = || words.set(words.get() + 1);
        let error = read_from(open(), 10, &mut Wait::begin(SHORT, &say)).unwrap_err();
        assert_eq!((error.kind(), words.get()), (ErrorKind::TimedOut, 1));
        // Somebody comes when it has been said, and takes their time.
        thread::scope(|scope| {
            let (tell, told) = std::sync::mpsc::channel();
            let pipe = &pipe;
            let write = move || {
                let () = told.recv().unwrap();
                let mut pipe = OpenOptions::new().write(true).open(pipe).unwrap();
                pipe.write_all(b"ses").unwrap();
                pipe.write_all(b"ame").unwrap();
            };
            let writer = scope.spawn(write);
            let patience = Patience {
                word: SHORT.word,
                ..Patience::USUAL
            };
            let say = || tell.send(()).unwrap();
            let read = read_from(open(), 10, &mut Wait::begin(patience, &say));
            assert_eq!(read.unwrap(), b"sesame");
            writer.join().unwrap();
        });
    }
}
