//! Decoding of content codings of answers (RFC 9110, section 8.4), from the client's stream of undecoded bytes.
//!
//! All members of a coding are decoded, up to the end of the answer. Undecodable bytes anywhere before that end make the
//! answer unusable, however it is split into packets. A truncated coding counts as a truncated answer.

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

/// The size of a decoded piece, in bytes.
const PIECE: usize = 64 << 10;
/// The maximum number of nested codings.
const MOST: usize = 4;
/// The largest window of zstd that a decoder must support, as a power of two (RFC 9659, section 3).
const LARGEST_WINDOW: u32 = 23;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// The reason why reading a body fails.
#[derive(Debug)]
pub(super) enum Broken {
    /// The answer, or its content coding, is truncated. Holds the cause.
    Off(String),
    /// The body is not valid in its stated coding.
    Undecodable(io::Error),
}

/// The reason why an answer is truncated.
#[derive(Debug, Error)]
enum Cut {
    #[error(transparent)]
    Lost(#[from] reqwest::Error),
    #[error("the stream ended before the answer")]
    Reset,
}

/// Reads the decoded body of an answer.
pub(super) enum Reader {
    Plain(Raw),
    /// The codings, the outermost first, before the first read.
    Coded(Raw, Vec<Coding>),
    /// The decoder, and a flag that is set at the end of the undecoded body.
    Decoding(Pin<Box<dyn AsyncBufRead>>, Rc<Cell<bool>>),
    Ended,
}

impl Reader {
    /// Takes the body of an answer, if there is one. The returned headers describe the decoded body.
    pub(super) fn new(response: Response, has_body: bool, decodes: bool) -> (HeaderMap, Self) {
        let has_body = has_body && response.status() != StatusCode::NOT_MODIFIED;
        let (head, body) = hyper::Response::from(response).into_parts();
        let mut headers = head.headers;
        let raw = Raw {
            body,
            // The client treats an HTTP/2 stream that was reset without an error as complete.
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

    /// Returns the stated length of a body without codings, in bytes.
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
        // Some decoders report an early end as another kind of error.
        None if ended.get() || error.kind() == io::ErrorKind::UnexpectedEof => {
            Broken::Off("its content coding is truncated".to_owned())
        }
        None => Broken::Undecodable(error),
    }
}

/// Returns the codings of an answer, the outermost first. Returns `None`, so that nothing is decoded, if one is unknown or
/// there are more than [`MOST`].
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

/// Starts the decoders. An empty body has no coding.
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
    /// Decodes all members.
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

/// Returns whether these bytes begin the zlib format (RFC 1950, section 2.2). Some services send raw deflate (RFC 1951),
/// which never begins like this.
fn is_zlib(head: [u8; 2]) -> bool {
    head[0] & 0x0f == 8 && u16::from_be_bytes(head).is_multiple_of(31)
}

/// The undecoded bytes of an answer.
pub(super) struct Raw {
    body: reqwest::Body,
    /// The stated length, if the client does not check it.
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
        // A body must not be polled after its end.
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
