//! What the demo's API answers: the sentiment of a text, unless the caller has to be slowed down, or the text
//! is one of those that fail.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::bucket::Bucket;
use super::sentiment::{MOST_BYTES, Scorer};

/// How much of a text is kept in memory. What is scored follows the white space that a text begins with.
const MOST_KEPT: usize = 256 << 10;
const _: () = assert!(MOST_BYTES <= MOST_KEPT);

/// A text of fewer words is refused, where faults are wanted.
const FEWEST_WORDS: usize = 5;

/// How many texts in a hundred fail at their first attempt, where faults are wanted.
const FAILING_PERCENT: u64 = 3;

/// The text in the description of the API.
const EXAMPLE: &str = "Thank you, that was quick and very helpful!";

/// How the API behaves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// The port to listen on; 0 is any free one.
    pub(crate) port: u16,
    /// How long a call takes: chosen at random for each. Empty, it is always the start of the range.
    pub(crate) latency: Range<Duration>,
    /// How many calls are let through in a second.
    pub(crate) limit: Option<f64>,
    /// Whether to refuse texts that are too short, and to fail once for some of the others.
    pub(crate) faults: bool,
}

/// A response, whole.
pub(crate) type Answer = Response<Full<Bytes>>;

/// Answers requests. All connections share it.
#[derive(Debug)]
pub(crate) struct Service {
    address: SocketAddr,
    options: Options,
    scorer: Scorer,
    bucket: Mutex<Option<Bucket>>,
    /// The hashes of the texts that have had their failure.
    failed_once: Mutex<HashSet<u64>>,
}

impl Service {
    /// A service that describes itself as being at `address`.
    pub(crate) fn new(address: SocketAddr, options: Options) -> Self {
        Self {
            address,
            scorer: Scorer::new(),
            bucket: Mutex::new(options.limit.map(|rate| Bucket::new(rate, Instant::now()))),
            failed_once: Mutex::default(),
            options,
        }
    }

    /// Answers one request. An error is one of reading it, after which nobody can be answered.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Result<Answer, hyper::Error> {
        let method = request.method().clone();
        let admitted = method != Method::POST || self.admits(Instant::now());
        // Read to its end whatever the answer will be: an answer that overtakes the request may be lost when
        // the connection is reset.
        let text = Text::read(request.into_body()).await?;
        Ok(match method {
            Method::POST if !admitted => with(
                error(StatusCode::TOO_MANY_REQUESTS, "rate limit exceeded"),
                RETRY_AFTER,
                "1",
            ),
            Method::POST => {
                let latency = any_of(&self.options.latency);
                // The timer would round even no time up to a millisecond.
                if !latency.is_zero() {
                    tokio::time::sleep(latency).await;
                }
                self.judge(&text)
            }
            Method::GET | Method::HEAD => {
                respond(StatusCode::OK, "text/plain; charset=utf-8", self.describe())
            }
            _ => with(
                error(StatusCode::METHOD_NOT_ALLOWED, "send the text with POST"),
                ALLOW,
                "GET, HEAD, POST",
            ),
        })
    }

    fn admits(&self, now: Instant) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.as_mut().is_none_or(|bucket| bucket.take(now))
    }

    fn judge(&self, text: &Text) -> Answer {
        let sentiment = self.scorer.score(&String::from_utf8_lossy(&text.kept));
        if self.options.faults {
            if sentiment.words < FEWEST_WORDS {
                return error(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "the transcript is too short to be scored",
                );
            }
            if fails_at_first(text.hash) && self.remember(text.hash) {
                return error(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal error, please retry",
                );
            }
        }
        respond_json(StatusCode::OK, &json!(sentiment))
    }

    /// Whether the text with this hash has not failed before.
    fn remember(&self, hash: u64) -> bool {
        let mut failed_once = self
            .failed_once
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        failed_once.insert(hash)
    }

    fn describe(&self) -> String {
        let address = self.address;
        let answer = json!(self.scorer.score(EXAMPLE));
        format!(
            "This is the practice API of `stride demo`. It tells the sentiment of a text:\n\n    \
             curl --data-binary '{EXAMPLE}' http://{address}/sentiment\n\n\
             answers\n\n    {answer}\n\n\
             The score goes from -1 to 1. To score a file, write its name after an @: --data-binary @FILE\n"
        )
    }
}

/// The text of a request, of any size.
struct Text {
    /// Its beginning.
    kept: Vec<u8>,
    /// Of all of it.
    hash: u64,
}

impl Text {
    async fn read(mut body: Incoming) -> Result<Self, hyper::Error> {
        let mut kept = Vec::new();
        let mut hasher = Sha256::new();
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data() {
                let room = MOST_KEPT - kept.len();
                kept.extend_from_slice(&data[..data.len().min(room)]);
                hasher.update(&data);
            }
        }
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(hasher.finalize());
        Ok(Self {
            kept,
            hash: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        })
    }
}

/// Decided by the text, so that a demonstration goes the same way each time.
fn fails_at_first(hash: u64) -> bool {
    hash % 100 < FAILING_PERCENT
}

/// A duration of the range at random.
fn any_of(range: &Range<Duration>) -> Duration {
    let span = range.end.saturating_sub(range.start);
    range.start.saturating_add(span.mul_f64(fastrand::f64()))
}

fn respond(status: StatusCode, kind: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    with(answer, CONTENT_TYPE, kind)
}

fn respond_json(status: StatusCode, body: &Value) -> Answer {
    respond(status, "application/json", body.to_string())
}

fn error(status: StatusCode, message: &str) -> Answer {
    respond_json(status, &json!({ "error": message }))
}

fn with(mut answer: Answer, name: HeaderName, value: &'static str) -> Answer {
    let value = HeaderValue::from_static(value);
    answer.headers_mut().insert(name, value);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_is_of_the_range() {
        let ms = Duration::from_millis;
        assert_eq!(any_of(&Range::default()), Duration::ZERO);
        assert_eq!(any_of(&(ms(7)..ms(7))), ms(7));
        for _ in 0..100 {
            assert!((ms(5)..=ms(9)).contains(&any_of(&(ms(5)..ms(9)))));
        }
    }
}
