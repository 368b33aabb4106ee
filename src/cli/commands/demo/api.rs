//! The demo's API, which stands in for the paid services that stride calls. It is slow, limits its callers, and
//! sometimes fails. It speaks just enough HTTP/1.1 for stride and curl.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The pause after a connection could not be accepted, as when the process has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// In bytes.
const LARGEST_HEAD: u64 = 64 << 10;
/// With faults on, a shorter text is rejected.
const FEWEST_WORDS: usize = 5;
/// With faults on, this share of all texts fails at the first attempt.
const FAILING_PERCENT: u64 = 3;

const POSITIVE: &str = "amazing best excellent fantastic fine friendly generous glad good grateful great happy \
    helpful impressed kind love loved lovely nice perfect pleasure superb thank thanks well wonderful";
const NEGATIVE: &str = "afraid angry annoyed awful bad broken complain crashes dead disappointed disgrace fails \
    furious hate lost nightmare problem rude ruined sorry terrible unacceptable useless worst wrong";

/// How the API behaves.
#[derive(Debug, Clone, Default)]
pub(super) struct Options {
    /// The port to listen on, or 0 for any free one.
    pub(super) port: u16,
    /// The bounds of a call's random latency.
    pub(super) latency: Range<Duration>,
    /// The accepted calls per second.
    pub(super) limit: Option<f64>,
    /// Whether to reject short texts, and to fail once for some of the others.
    pub(super) faults: bool,
}

/// The API, listening on this machine only.
#[derive(Debug)]
pub(super) struct Api {
    listener: TcpListener,
    address: SocketAddr,
    options: Options,
    /// A token bucket that holds the calls of one second.
    bucket: Mutex<(f64, Instant)>,
    /// The hashes of texts that have failed once.
    failed: Mutex<HashSet<u64>>,
}

impl Api {
    /// Binds the port. Connections wait until [`Api::serve`] accepts them.
    pub(super) fn bind(options: Options) -> io::Result<Arc<Self>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))?;
        Ok(Arc::new(Self {
            address: listener.local_addr()?,
            listener,
            bucket: Mutex::new((f64::INFINITY, Instant::now())),
            failed: Mutex::default(),
            options,
        }))
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/sentiment", self.address)
    }

    /// Serves each connection on a thread of its own. Never returns.
    pub(super) fn serve(self: &Arc<Self>) -> ! {
        loop {
            let Ok((stream, _)) = self.listener.accept() else {
                pause(ACCEPT_PAUSE);
                continue;
            };
            let api = Arc::clone(self);
            // The client notices a broken or refused connection by itself.
            let _ = thread::Builder::new().spawn(move || api.converse(&stream));
        }
    }

    /// Answers the requests of one connection until the client closes it.
    fn converse(&self, mut stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut input = BufReader::new(stream);
        while let Some(head) = Head::read(&mut input)? {
            let is_admitted = self.admits();
            // A client that is still sending could miss the response.
            let mut body = Vec::new();
            if input.by_ref().take(head.length).read_to_end(&mut body)? as u64 != head.length {
                break;
            }
            let (status, body) = match is_admitted {
                _ if !head.is_post => (
                    "405 Method Not Allowed",
                    error("send a text with POST and Content-Length"),
                ),
                true => {
                    pause(random(&self.options.latency));
                    self.judge(&String::from_utf8_lossy(&body))
                }
                false => (
                    "429 Too Many Requests\r\nRetry-After: 1",
                    error("rate limit exceeded"),
                ),
            };
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
            )?;
            if head.closes {
                break;
            }
        }
        Ok(())
    }

    fn admits(&self) -> bool {
        let Some(rate) = self.options.limit else {
            return true;
        };
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, filled) = &mut *bucket;
        // Below one call per second, the bucket still holds one.
        *tokens = (*tokens + filled.elapsed().as_secs_f64() * rate).min(rate.max(1.0));
        *filled = Instant::now();
        let is_admitted = *tokens >= 1.0;
        *tokens -= f64::from(u8::from(is_admitted));
        is_admitted
    }

    fn judge(&self, text: &str) -> (&'static str, String) {
        if self.options.faults {
            if text.split_whitespace().count() < FEWEST_WORDS {
                let message = "the transcript is too short to be scored";
                return ("422 Unprocessable Entity", error(message));
            }
            if self.fails(text) {
                let message = "internal error, please retry";
                return ("500 Internal Server Error", error(message));
            }
        }
        ("200 OK", score(text).to_string())
    }

    /// Decides by the text, so that each demo goes the same way.
    fn fails(&self, text: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let hash = hasher.finish();
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        hash % 100 < FAILING_PERCENT && failed.insert(hash)
    }
}

/// The parts of a request's head that the API uses.
#[derive(Debug, Default)]
struct Head {
    is_post: bool,
    length: u64,
    closes: bool,
}

impl Head {
    /// Reads a head. Returns `None` where the client has closed the connection.
    fn read(input: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut head = Self::default();
        for line in input.by_ref().take(LARGEST_HEAD).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(line.trim_ascii()).to_ascii_lowercase();
            match line.split_once(':') {
                Some(("content-length", length)) => {
                    head.length = length.trim().parse().map_err(io::Error::other)?;
                }
                // The end of such a body is not looked for.
                Some(("transfer-encoding", _)) => (head.is_post, head.closes) = (false, true),
                Some(("connection", value)) => head.closes |= value.trim() == "close",
                _ if line.is_empty() => return Ok(Some(head)),
                _ => head.is_post |= line.starts_with("post "),
            }
        }
        Ok(None)
    }
}

/// Scores a text by the share of kind and angry words, with the normalization of VADER.
fn score(text: &str) -> Value {
    let words = text.to_lowercase();
    let words = words.split(|char: char| !char.is_alphanumeric());
    let count = |list: &str| {
        let of_list = |word: &&str| list.split(' ').any(|listed| listed == *word);
        words.clone().filter(of_list).count() as f64
    };
    let sum = count(POSITIVE) - count(NEGATIVE);
    let label = match sum {
        1.0.. => "positive",
        0.0 => "neutral",
        _ => "negative",
    };
    let score = (sum / sum.mul_add(sum, 15.0).sqrt() * 1e4).round() / 1e4;
    json!({ "label": label, "score": score, "words": text.split_whitespace().count() })
}

fn error(message: &str) -> String {
    json!({ "error": message }).to_string()
}

#[expect(clippy::disallowed_methods, reason = "the demo is slow on purpose")]
fn pause(duration: Duration) {
    thread::sleep(duration);
}

fn random(range: &Range<Duration>) -> Duration {
    range.start + (range.end - range.start).mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "The staff were kind, thank you.";
    const SCORE: &str = r#"{"label":"positive","score":0.4588,"words":6}"#;

    fn start(options: Options) -> Arc<Api> {
        let api = Api::bind(options).unwrap();
        let served = Arc::clone(&api);
        thread::spawn(move || served.serve());
        api
    }

    /// Sends bytes, and reads until the API closes the connection.
    fn send(api: &Api, request: &str) -> String {
        let mut stream = TcpStream::connect(api.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn post(api: &Api, text: &str) -> String {
        let head = "POST /sentiment HTTP/1.1\r\nConnection: close\r\nContent-Length:";
        send(api, &format!("{head} {}\r\n\r\n{text}", text.len()))
    }

    #[track_caller]
    fn assert_answer(answer: &str, status: u16, end: &str) {
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert!(answer.ends_with(end), "{answer}");
    }

    #[test]
    fn texts_are_scored() {
        let api = start(Options::default());
        assert_answer(&post(&api, TEXT), 200, SCORE);
        let nothing = r#"{"label":"neutral","score":0.0,"words":0}"#;
        assert_answer(&post(&api, ""), 200, nothing);
        let get = send(&api, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
        assert_answer(&get, 405, "}");
    }

    #[test]
    fn a_connection_is_kept() {
        let api = start(Options::default());
        let kept = "POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\ngood";
        let closed = "GET / HTTP/1.1\r\nConnection: close\r\n\r\n";
        let answers = send(&api, &format!("{kept}{kept}{closed}"));
        assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
    }

    #[test]
    fn calls_over_the_limit_are_throttled() {
        // So slow that the bucket is not refilled during the test.
        let limit = Some(1e-6);
        let api = start(Options {
            limit,
            ..Options::default()
        });
        assert_answer(&post(&api, TEXT), 200, SCORE);
        let answer = post(&api, TEXT);
        assert_answer(&answer, 429, r#"{"error":"rate limit exceeded"}"#);
        assert!(answer.contains("\r\nRetry-After: 1\r\n"), "{answer}");
    }

    #[test]
    fn with_faults_short_texts_are_rejected_and_some_others_fail_once() {
        let faults = true;
        let api = start(Options {
            faults,
            ..Options::default()
        });
        assert_answer(&post(&api, "Hello?"), 422, "}");
        let texts = (0..300).map(|number| format!("This is recording number {number}."));
        let failed: Vec<String> = texts
            .filter(|text| post(&api, text).starts_with("HTTP/1.1 500 "))
            .collect();
        assert!((1..30).contains(&failed.len()), "{failed:?}");
        for text in failed {
            assert_answer(&post(&api, &text), 200, "}");
        }
    }
}
