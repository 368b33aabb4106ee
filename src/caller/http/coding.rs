//! Content codings of answers (RFC 9110, section 8.4), taken off the stream of bytes that the client hands on as it is.
//!
//! All members of a coding are decoded, up to the end of the answer. What cannot be decoded, up to that end, makes the
//! answer unusable, whatever packets it comes in. A coding that breaks off is an answer that breaks off.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use async_compression::tokio::bufread::{
    BrotliDecoder, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder,
};
use async_compression::zstd::DParameter;
use bytes::{Buf as _, Bytes, BytesMut};
use http_body::Body as _;
use reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};
use reqwest::{Response, StatusCode, Version};
use thiserror::Error;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt, BufReader};

/// How much is decoded at a time, in bytes.
const PIECE: usize = 64 << 10;
/// How many codings may lie around each other.
const MOST: usize = 4;
/// The largest window of zstd that a decoder has to support, as a power of two (RFC 9659, section 3).
const LARGEST_WINDOW: u32 = 23;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// Why a body has no next bytes.
#[derive(Debug)]
pub(super) enum Broken {
    /// The answer broke off, and so did what it was coded in, if this says so.
    Off(String),
    /// It is not in the coding that it states.
    Undecodable(io::Error),
}

/// Why an answer has no end.
#[derive(Debug, Error)]
enum Cut {
    #[error(transparent)]
    Lost(#[from] reqwest::Error),
    #[error("the stream ended before the answer")]
    Reset,
}

/// The body of an answer, without its codings.
pub(super) enum Reader {
    Plain(Raw),
    /// With the codings that are to be taken off, the outermost first.
    Coded(Raw, Vec<Coding>),
    /// With whether all of the answer has been read.
    Decoding(Pin<Box<dyn AsyncBufRead>>, Rc<Cell<bool>>),
    Ended,
}

impl Reader {
    /// Takes the body of an answer, if it has one. Its headers describe it as it comes from here, afterwards.
    pub(super) fn new(response: Response, has_body: bool, decodes: bool) -> (HeaderMap, Self) {
        let has_body = has_body && response.status() != StatusCode::NOT_MODIFIED;
        let (head, body) = hyper::Response::from(response).into_parts();
        let mut headers = head.headers;
        let raw = Raw {
            body,
            // The client takes an HTTP/2 stream that was reset without an error for one that has ended.
            stated: (has_body && head.version == Version::HTTP_2)
                .then(|| stated_length(&headers))
                .flatten(),
            received: 0,
            piece: Bytes::new(),
            ended: Rc::default(),
        };
        let codings = codings(&headers).filter(|_| has_body && decodes);
        let codings = codings.unwrap_or_default();
        if codings.is_empty() {
            return (headers, Self::Plain(raw));
        }
        headers.remove(CONTENT_ENCODING);
        headers.remove(CONTENT_LENGTH);
        (headers, Self::Coded(raw, codings))
    }

    /// The length of the body in bytes, if it is stated.
    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Self::Plain(raw) => raw.body.size_hint().exact(),
            _ => None,
        }
    }

    /// Returns the next bytes, or `None` at the end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Broken> {
        if let Self::Plain(raw) = self {
            let piece = poll_fn(|context| raw.poll_piece(context)).await;
            return piece.map_err(|cut| Broken::Off(super::error::root_cause(&cut)));
        }
        if let Self::Coded(..) = self {
            let Self::Coded(raw, codings) = std::mem::replace(self, Self::Ended) else {
                return Ok(None);
            };
            let ended = Rc::clone(&raw.ended);
            let started = start(raw, &codings).await;
            *self = started.map_err(|error| broken(error, &ended))?;
        }
        let Self::Decoding(decoder, ended) = self else {
            return Ok(None);
        };
        let mut piece = BytesMut::with_capacity(PIECE);
        let read = decoder.read_buf(&mut piece).await;
        let read = read.map_err(|error| broken(error, ended))?;
        if read == 0 {
            *self = Self::Ended;
            return Ok(None);
        }
        Ok(Some(piece.freeze()))
    }
}

fn broken(error: io::Error, ended: &Cell<bool>) -> Broken {
    match error
        .get_ref()
        .and_then(|error| error.downcast_ref::<Cut>())
    {
        Some(cut) => Broken::Off(super::error::root_cause(cut)),
        // Not every decoder has a kind of error for an end that comes too early.
        None if ended.get() || error.kind() == io::ErrorKind::UnexpectedEof => {
            Broken::Off("its content coding has no end".to_owned())
        }
        None => Broken::Undecodable(error),
    }
}

/// Returns the codings of an answer, the outermost first, or `None` where one is unknown: then it is taken as it is.
fn codings(headers: &HeaderMap) -> Option<Vec<Coding>> {
    let mut codings = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        for name in value.to_str().ok()?.split(',') {
            codings.push(match name.trim().to_ascii_lowercase().as_str() {
                "" | "identity" => continue,
                "gzip" | "x-gzip" => Coding::Gzip,
                "deflate" => Coding::Deflate,
                "br" => Coding::Brotli,
                "zstd" => Coding::Zstd,
                _ => return None,
            });
        }
    }
    codings.reverse();
    (codings.len() <= MOST).then_some(codings)
}

fn stated_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Begins to decode. A body of no bytes has no coding.
async fn start(raw: Raw, codings: &[Coding]) -> io::Result<Reader> {
    let ended = Rc::clone(&raw.ended);
    let mut reader: Pin<Box<dyn AsyncBufRead>> = Box::pin(raw);
    if reader.fill_buf().await?.is_empty() {
        return Ok(Reader::Ended);
    }
    for coding in codings {
        reader = decoder(*coding, reader).await?;
    }
    Ok(Reader::Decoding(reader, ended))
}

async fn decoder(
    coding: Coding,
    mut inner: Pin<Box<dyn AsyncBufRead>>,
) -> io::Result<Pin<Box<dyn AsyncBufRead>>> {
    /// With all of its members.
    macro_rules! whole {
        ($decoder:expr) => {{
            let mut decoder = $decoder;
            decoder.multiple_members(true);
            Box::pin(BufReader::with_capacity(PIECE, decoder))
        }};
    }
    Ok(match coding {
        Coding::Gzip => whole!(GzipDecoder::new(inner)),
        Coding::Brotli => whole!(BrotliDecoder::new(inner)),
        Coding::Zstd => {
            let window = [DParameter::window_log_max(LARGEST_WINDOW)];
            whole!(ZstdDecoder::with_params(inner, &window))
        }
        Coding::Deflate => {
            let mut head = [0; 2];
            let mut filled = 0;
            while filled < head.len() {
                match inner.read(&mut head[filled..]).await? {
                    0 => break,
                    read => filled += read,
                }
            }
            let head_again = io::Cursor::new(head[..filled].to_vec());
            let inner = AsyncReadExt::chain(head_again, inner);
            if is_zlib(head) {
                whole!(ZlibDecoder::new(inner))
            } else {
                whole!(DeflateDecoder::new(inner))
            }
        }
    })
}

/// Whether these are the first bytes of the zlib format (RFC 1950, section 2.2). Some services send the bare one (RFC 1951)
/// as `deflate`, in which no stream begins so.
fn is_zlib(head: [u8; 2]) -> bool {
    head[0] & 0x0f == 8 && u16::from_be_bytes(head).is_multiple_of(31)
}

/// The bytes of an answer as they come.
pub(super) struct Raw {
    body: reqwest::Body,
    /// The length that the head states, where the client does not hold it against what has come.
    stated: Option<u64>,
    received: u64,
    piece: Bytes,
    ended: Rc<Cell<bool>>,
}

impl Raw {
    /// Returns the next bytes, or `None` at the end.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Cut>> {
        loop {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        self.received += piece.len() as u64;
                        return Poll::Ready(Ok(Some(piece)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Err(error.into())),
                None if self.stated.is_some_and(|stated| self.received < stated) => {
                    return Poll::Ready(Err(Cut::Reset));
                }
                None => {
                    self.ended.set(true);
                    return Poll::Ready(Ok(None));
                }
            }
        }
    }
}

impl AsyncRead for Raw {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = {
            let piece = ready!(self.as_mut().poll_fill_buf(context))?;
            let read = piece.len().min(buffer.remaining());
            buffer.put_slice(&piece[..read]);
            read
        };
        self.consume(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for Raw {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        // A body that has ended is not asked again.
        while this.piece.is_empty() && !this.ended.get() {
            match ready!(this.poll_piece(context)) {
                Ok(piece) => this.piece = piece.unwrap_or_default(),
                Err(cut) => return Poll::Ready(Err(io::Error::other(cut))),
            }
        }
        Poll::Ready(Ok(&this.piece))
    }

    fn consume(mut self: Pin<&mut Self>, read: usize) {
        self.piece.advance(read);
    }
}
