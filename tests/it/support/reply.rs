//! Answers of a [`FakeApi`](super::FakeApi).

use std::time::Duration;

use super::Gate;

/// An answer with its framing, and the actions before and after it.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(super) status: Option<u16>,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
    pub(super) framing: Framing,
    pub(super) after: Duration,
    pub(super) gate: Option<Gate>,
    pub(super) then: Then,
}

/// The framing of the body.
#[derive(Debug, Clone)]
pub(super) enum Framing {
    /// Whole, in one write, with its length.
    Whole,
    /// With a length that is not the body's.
    Announced(u64),
    /// In chunks of this size; the last, empty one is left out where `ended` is false.
    Chunked { size: usize, ended: bool },
    /// With its length, in pieces of this size with pauses between them.
    Drip { size: usize, pause: Duration },
    /// Until the connection closes, without any length.
    UntilClose,
    /// These bytes and no head.
    Raw,
    /// Nothing at all.
    None,
}

/// The fate of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Keep,
    /// Close it without an announcement.
    Close,
    /// Leave it open and never write to it again.
    Hang,
}

impl Reply {
    fn new(status: Option<u16>, framing: Framing, then: Then) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            framing,
            after: Duration::ZERO,
            gate: None,
            then,
        }
    }

    /// An answer without a body.
    pub(crate) fn status(status: u16) -> Self {
        Self::new(Some(status), Framing::Whole, Then::Keep)
    }

    /// 200 and JSON text, sent as it is.
    pub(crate) fn json(body: impl ToString) -> Self {
        Self::status(200).body("application/json", body.to_string())
    }

    /// 200 and plain text.
    pub(crate) fn text(body: impl ToString) -> Self {
        Self::status(200).body("text/plain; charset=utf-8", body.to_string())
    }

    /// Closes the connection instead of an answer.
    pub(crate) fn close() -> Self {
        Self::new(None, Framing::None, Then::Close)
    }

    /// Never answers.
    pub(crate) fn hang() -> Self {
        Self::new(None, Framing::None, Then::Hang)
    }

    /// 200 with fewer bytes than are announced, then closes.
    pub(crate) fn truncated(body: impl Into<Vec<u8>>, announced: u64) -> Self {
        Self {
            body: body.into(),
            ..Self::new(Some(200), Framing::Announced(announced), Then::Close)
        }
    }

    /// 200 with fewer bytes than are announced, then stalls.
    pub(crate) fn stalled(body: impl Into<Vec<u8>>, announced: u64) -> Self {
        Self {
            then: Then::Hang,
            ..Self::truncated(body, announced)
        }
    }

    /// 200 with a body in pieces, with pauses between them.
    pub(crate) fn drip(body: impl Into<Vec<u8>>, size: usize, pause: Duration) -> Self {
        Self {
            body: body.into(),
            ..Self::new(Some(200), Framing::Drip { size, pause }, Then::Keep)
        }
    }

    /// Exactly these bytes, then closes.
    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            body: bytes.into(),
            ..Self::new(None, Framing::Raw, Then::Close)
        }
    }

    pub(crate) fn with_status(self, status: u16) -> Self {
        Self {
            status: Some(status),
            ..self
        }
    }

    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn body(self, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            ..self.header("content-type", media_type)
        }
    }

    /// In chunks of this size, without a length.
    pub(crate) fn chunked(self, size: usize) -> Self {
        Self {
            framing: Framing::Chunked { size, ended: true },
            ..self
        }
    }

    /// In chunks, of which the last one never comes: the connection closes instead.
    pub(crate) fn chunked_and_cut_off(self, size: usize) -> Self {
        Self {
            framing: Framing::Chunked { size, ended: false },
            then: Then::Close,
            ..self
        }
    }

    /// Without a length; the end of the connection is the end of the body.
    pub(crate) fn until_close(self) -> Self {
        Self {
            framing: Framing::UntilClose,
            then: Then::Close,
            ..self
        }
    }

    /// Closes the connection after the answer, without having said so.
    pub(crate) fn then_close(self) -> Self {
        Self {
            then: Then::Close,
            ..self
        }
    }

    /// Leaves the connection open after raw bytes.
    pub(crate) fn kept_open(self) -> Self {
        Self {
            then: Then::Keep,
            ..self
        }
    }

    /// Answers no earlier than after this time: a slow service.
    pub(crate) fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }

    /// Answers no earlier than the gate is open.
    pub(crate) fn when(self, gate: &Gate) -> Self {
        Self {
            gate: Some(gate.clone()),
            ..self
        }
    }

    /// The bytes up to the body's, or to the first pause, and the pieces that follow with pauses.
    pub(super) fn written(&self, head_only: bool) -> Vec<u8> {
        if matches!(self.framing, Framing::Raw) {
            return self.body.clone();
        }
        let Some(status) = self.status else {
            return Vec::new();
        };
        let mut out = Vec::with_capacity(self.body.len() + 256);
        out.extend_from_slice(format!("HTTP/1.1 {status} {}\r\n", reason(status)).as_bytes());
        for (name, value) in &self.headers {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
        let length = match self.framing {
            _ if status == 204 || status == 304 => None,
            Framing::Announced(length) => Some(length),
            Framing::Whole | Framing::Drip { .. } => Some(self.body.len() as u64),
            _ => None,
        };
        if let Some(length) = length {
            out.extend_from_slice(format!("content-length: {length}\r\n").as_bytes());
        }
        if matches!(self.framing, Framing::Chunked { .. }) {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n");
        }
        out.extend_from_slice(b"\r\n");
        if head_only || status == 204 || status == 304 {
            return out;
        }
        match self.framing {
            Framing::Chunked { size, ended } => {
                for chunk in self.body.chunks(size) {
                    out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    out.extend_from_slice(chunk);
                    out.extend_from_slice(b"\r\n");
                }
                if ended {
                    out.extend_from_slice(b"0\r\n\r\n");
                }
            }
            Framing::Drip { .. } => {}
            _ => out.extend_from_slice(&self.body),
        }
        out
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}
