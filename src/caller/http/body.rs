//! The body of a request: a sequence of bytes and files. Files are streamed in pieces, except in a body of at most `WHOLE`
//! bytes.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::task::JoinHandle;

use super::progress::Progress;
use super::reading::{Reading, is_away};
use super::source::{OpenFile, refusal, shorter};
use crate::job::Outcome;

/// The largest body that is assembled before the call, in bytes. Larger ones are read in pieces during it.
const WHOLE: u64 = 64 << 10;
/// The size of a piece of a larger body, in bytes.
const PIECE: usize = 64 << 10;
/// The bytes of a file that fill a piece in base64: three bytes make four characters.
const PIECE_BEFORE_BASE64: usize = PIECE / 4 * 3;

/// The segments of a body, in order.
#[derive(Debug, Default)]
pub(super) struct Segments(VecDeque<Segment>);

#[derive(Debug, Clone)]
enum Segment {
    Bytes(Vec<u8>),
    File(OpenFile),
    Base64(OpenFile),
}

impl Segment {
    /// Returns the length on the wire, in bytes.
    fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(input) => input.size,
            Self::Base64(input) => input.size.div_ceil(3) * 4,
        }
    }

    /// Reads from offset `at` of the source into `buffer`. Returns the numbers of bytes filled and consumed.
    fn read(&self, reading: Reading, at: u64, buffer: &mut [u8]) -> io::Result<(usize, u64)> {
        let (input, most) = match self {
            Self::Bytes(bytes) => {
                let rest = &bytes[(at as usize).min(bytes.len())..];
                let filled = rest.len().min(buffer.len());
                buffer[..filled].copy_from_slice(&rest[..filled]);
                return Ok((filled, filled as u64));
            }
            Self::File(input) => (input, buffer.len()),
            Self::Base64(input) => (input, PIECE_BEFORE_BASE64.min(buffer.len() / 4 * 3)),
        };
        let most = most.min(usize::try_from(input.size - at).unwrap_or(most));
        if most == 0 {
            return Ok((0, 0));
        }
        if matches!(self, Self::File(_)) {
            return match reading.read_at(&input.file, &mut buffer[..most], at)? {
                0 => Err(shorter()),
                read => Ok((read, read as u64)),
            };
        }
        let mut bytes = vec![0; most];
        let read = reading.read_exact_at(&input.file, &mut bytes, at);
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => shorter(),
            _ => error,
        })?;
        let filled = STANDARD
            .encode_slice(&bytes, buffer)
            .map_err(io::Error::other)?;
        Ok((filled, most as u64))
    }
}

impl Segments {
    /// Returns the last segment's bytes, to append to. Adds an empty segment unless the last one holds bytes.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        if !matches!(self.0.back(), Some(Segment::Bytes(_))) {
            self.0.push_back(Segment::Bytes(Vec::new()));
        }
        match self.0.back_mut() {
            Some(Segment::Bytes(bytes)) => bytes,
            _ => unreachable!("the last segment holds bytes"),
        }
    }

    /// Appends a file.
    pub(super) fn file(&mut self, input: OpenFile) {
        self.0.push_back(Segment::File(input));
    }

    /// Appends a file in base64.
    pub(super) fn base64(&mut self, input: OpenFile) {
        self.0.push_back(Segment::Base64(input));
    }

    /// Returns the length in bytes.
    pub(super) fn length(&self) -> u64 {
        self.0.iter().map(Segment::length).sum()
    }

    /// Reads the first bytes, at most `most`.
    pub(super) fn beginning(&self, most: usize, reading: Reading) -> io::Result<Vec<u8>> {
        let length = usize::try_from(self.length()).unwrap_or(most).min(most);
        // Allocate at most one piece up front, whatever size the file claims. A base64 group needs four bytes.
        let mut out = Vec::with_capacity(length.min(PIECE) + 4);
        for segment in &self.0 {
            let mut at = 0;
            while out.len() < most {
                let filled = out.len();
                let room = (most - filled).clamp(4, PIECE);
                out.resize(filled + room, 0);
                let (more, read) = segment.read(reading, at, &mut out[filled..])?;
                out.truncate(filled + more);
                if more == 0 {
                    break;
                }
                at += read;
            }
        }
        out.truncate(most);
        Ok(out)
    }

    /// Converts the segments into the client's body. Reads a body of at most `WHOLE` bytes now; a larger one is streamed
    /// with the length computed here.
    pub(super) fn into_body(
        self,
        progress: &Progress,
        reading: Reading,
    ) -> Result<reqwest::Body, Outcome> {
        let length = self.length();
        if length <= WHOLE {
            let whole = self.beginning(length as usize, reading);
            return whole.map(Into::into).map_err(|error| refusal(&error));
        }
        progress.upload(|upload| upload.streams = true);
        Ok(reqwest::Body::wrap(self.stream(progress)))
    }

    fn stream(self, progress: &Progress) -> Stream {
        Stream {
            left: self.length(),
            segments: self.0,
            at: 0,
            spare: Spare::default(),
            reading: None,
            progress: progress.clone(),
        }
    }
}

/// Streams a body. Reads cached parts of files at once, and other parts on a thread that may wait.
struct Stream {
    segments: VecDeque<Segment>,
    /// The offset in the first segment's source.
    at: u64,
    /// The bytes left to send.
    left: u64,
    spare: Spare,
    /// The pending read of the next piece.
    reading: Option<JoinHandle<io::Result<Piece>>>,
    progress: Progress,
}

/// Sent buffers, kept for reuse: freeing and allocating them costs more than reading and sending.
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

/// A buffer with `filled` bytes to send, made of `read` bytes of a source. Dropping it makes the buffer spare again.
struct Piece {
    buffer: Vec<u8>,
    filled: usize,
    read: u64,
    spare: Spare,
}

impl Piece {
    fn fill(&mut self, segment: &Segment, reading: Reading, at: u64) -> io::Result<()> {
        (self.filled, self.read) = segment.read(reading, at, &mut self.buffer)?;
        Ok(())
    }
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

impl Stream {
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        loop {
            let piece = ready!(self.poll_piece(context))?;
            if piece.filled > 0 {
                self.at += piece.read;
                self.left -= piece.filled as u64;
                return Poll::Ready(Ok(Bytes::from_owner(piece)));
            }
            self.segments.pop_front();
            self.at = 0;
        }
    }

    /// Reads the next piece of the first segment. The piece is empty at the segment's end.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Piece>> {
        if let Some(reading) = &mut self.reading {
            let read = ready!(Pin::new(reading).poll(context));
            self.reading = None;
            return Poll::Ready(read.unwrap_or_else(|error| Err(io::Error::other(error))));
        }
        let Some(segment) = self.segments.front() else {
            // Unreachable while `left` is the sum of the segments.
            return Poll::Ready(Err(shorter()));
        };
        let at = self.at;
        let mut piece = Piece {
            buffer: self.spare.take(),
            filled: 0,
            read: 0,
            spare: self.spare.clone(),
        };
        match piece.fill(segment, Reading::AtHand, at) {
            Err(error) if is_away(&error) => {}
            filled => return Poll::Ready(filled.map(|()| piece)),
        }
        let segment = segment.clone();
        self.reading = Some(tokio::task::spawn_blocking(move || {
            if let Segment::File(input) | Segment::Base64(input) = &segment {
                Reading::advise(&input.file, at);
            }
            piece.fill(&segment, Reading::Patient, at)?;
            Ok(piece)
        }));
        self.poll_piece(context)
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let piece = ready!(self.poll_read(context));
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
    use http_body_util::BodyExt as _;

    use super::super::source::Source;
    use super::*;
    use crate::job::FileStamp;

    #[tokio::test]
    async fn segments_of_any_size_are_sent_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for size in [0, 1, 2, 3, PIECE_BEFORE_BASE64, PIECE, 3 * PIECE + 1] {
            let bytes: Vec<u8> = (0..size).map(|i| (i * i / 7) as u8).collect();
            let path = folder.path().join("file");
            std::fs::write(&path, &bytes).unwrap();
            let source = Source::new(&path, Reading::Patient);
            let mut segments = Segments::default();
            segments.bytes().extend_from_slice(b"<");
            segments.file(source.share().unwrap());
            segments.bytes().extend_from_slice(b"|");
            segments.base64(source.share().unwrap());
            segments.bytes().extend_from_slice(b">");
            let encoded = STANDARD.encode(&bytes);
            let expected = [b"<", &bytes[..], b"|", encoded.as_bytes(), b">"].concat();
            assert_eq!(segments.length(), expected.len() as u64);
            for most in [0, 1, 7, expected.len(), usize::MAX] {
                assert_eq!(
                    segments.beginning(most, Reading::Patient).unwrap(),
                    expected[..expected.len().min(most)]
                );
            }
            let stream = segments.stream(&Progress::default());
            let sent = stream.collect().await.unwrap().to_bytes();
            assert!(sent == expected, "{size}");
        }
    }

    /// The kernel generates files of /proc while they are read, so they are never cached.
    #[tokio::test]
    async fn a_file_that_is_not_cached_is_read_on_another_thread() {
        let file = std::fs::File::open("/proc/self/environ").unwrap();
        let expected = std::fs::read("/proc/self/environ").unwrap();
        let input = OpenFile {
            file: Arc::new(file),
            size: expected.len() as u64,
            stamp: FileStamp::of(&std::fs::metadata("/proc/self/environ").unwrap()),
        };
        let mut segments = Segments::default();
        segments.file(input);
        let error = segments.beginning(usize::MAX, Reading::AtHand).unwrap_err();
        assert!(is_away(&error));
        let stream = segments.stream(&Progress::default());
        assert!(stream.collect().await.unwrap().to_bytes() == expected);
    }
}
