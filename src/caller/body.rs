//! A file as the body of a request: opened without ever blocking on what is not a file, streamed in constant
//! memory.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use rustix::fs::OFlags;

use super::progress::Progress;
use crate::job::{Class, Failure, Outcome};

/// Files up to this size are read whole before the call: they fit a socket's buffer.
const WHOLE: u64 = 64 << 10;
/// How much of a larger file is in memory at a time.
const PIECE: usize = 64 << 10;

/// An open regular file.
#[derive(Debug)]
pub(super) struct Input {
    file: File,
    size: u64,
}

/// Opens a file for one attempt. An error is the attempt's outcome: nothing was sent.
pub(super) fn open(path: &Path) -> Result<Input, Outcome> {
    // Without O_NONBLOCK, opening a FIFO would wait for somebody to write into it.
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits() as i32)
        .open(path);
    let file = opened.map_err(|error| refusal(&error))?;
    let meta = file.metadata().map_err(|error| refusal(&error))?;
    if !meta.is_file() {
        return Err(not_a_file());
    }
    Ok(Input {
        file,
        size: meta.len(),
    })
}

fn refusal(error: &io::Error) -> Outcome {
    // The file is not to blame for a machine that has no descriptor left: the job waits with all others.
    if matches!(
        rustix::io::Errno::from_io_error(error),
        Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE | rustix::io::Errno::NOMEM)
    ) {
        return Outcome::Unreachable(Failure::new(
            Class::Local,
            "no_descriptors",
            format!("cannot open a file: {error}"),
        ));
    }
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            unsendable("input_missing", "the file is missing".to_owned())
        }
        _ if error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => not_a_file(),
        _ => unsendable(
            "input_unreadable",
            format!("the file cannot be read: {error}"),
        ),
    }
}

fn not_a_file() -> Outcome {
    unsendable("not_a_regular_file", "not a regular file".to_owned())
}

pub(super) fn unsendable(kind: &'static str, message: String) -> Outcome {
    Outcome::Unsendable(Failure::new(Class::Input, kind, message))
}

impl Input {
    /// The body to send: its length is fixed now.
    pub(super) fn into_body(mut self, progress: &Progress) -> Result<reqwest::Body, Outcome> {
        if self.size <= WHOLE {
            let mut bytes = Vec::with_capacity(self.size as usize + 1);
            let read = self.file.by_ref().take(self.size).read_to_end(&mut bytes);
            return read.map(|_| bytes.into()).map_err(|error| refusal(&error));
        }
        Ok(reqwest::Body::wrap(FileBody {
            file: self.file,
            left: self.size,
            spare: Spare::default(),
            progress: progress.clone(),
        }))
    }
}

/// Streams a file. It reads in the thread that makes the call, which waits for nothing else.
struct FileBody {
    file: File,
    left: u64,
    spare: Spare,
    progress: Progress,
}

/// Buffers that have been sent, to be filled again: giving each back to the system and asking it for the next
/// costs more than reading and sending them.
#[derive(Clone, Default)]
struct Spare(Arc<Mutex<Vec<Vec<u8>>>>);

impl Spare {
    fn buffers(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<u8> {
        self.buffers().pop().unwrap_or_else(|| vec![0; PIECE])
    }
}

/// A filled buffer on its way. When it is sent, it is spare again.
struct Piece {
    buffer: Vec<u8>,
    filled: usize,
    spare: Spare,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.spare.buffers().push(std::mem::take(&mut self.buffer));
    }
}

impl FileBody {
    fn read(&mut self) -> io::Result<Bytes> {
        let most = PIECE.min(usize::try_from(self.left).unwrap_or(PIECE));
        let mut buffer = self.spare.take();
        let filled = self.file.read(&mut buffer[..most])?;
        if filled == 0 {
            let message = "the file became shorter while it was being sent";
            return Err(io::Error::new(ErrorKind::UnexpectedEof, message));
        }
        self.left -= filled as u64;
        Ok(Bytes::from_owner(Piece {
            buffer,
            filled,
            spare: self.spare.clone(),
        }))
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let piece = self.read();
        let done = self.left == 0;
        let now = Instant::now();
        self.progress.upload(|upload| {
            upload.moved = (!done).then_some(now);
            upload.error = piece.as_ref().err().map(ToString::to_string);
        });
        Poll::Ready(Some(piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(path: &Path) -> &'static str {
        match open(path) {
            Ok(_) => "opened",
            Err(outcome) => outcome.failure().unwrap().kind,
        }
    }

    #[test]
    fn only_regular_files_are_opened_and_nothing_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name| folder.path().join(name);
        std::fs::write(at("file"), "x").unwrap();
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
}
