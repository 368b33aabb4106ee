//! The demo's API, which stands in for the paid services that stride calls. It is slow, limits its callers, and
//! sometimes fails. It speaks just enough HTTP/1.1 for stride and curl: one request a connection.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// In bytes.
const LARGEST_HEAD: u64 = 64 << 10;
/// With faults on, a shorter text is rejected.
const FEWEST_WORDS: usize = 5;
/// With faults on, this share of all texts fails at the first attempt.
const FAILING_PERCENT: u64 = 3;

const POSITIVE: &str = "amazing excellent fantastic glad good great happy impressed kind love lovely nice perfect \
    superb thank thanks wonderful";
const NEGATIVE: &str = "afraid angry awful bad broken complain crashes disgrace fails furious hate lost nightmare \
    sorry terrible unacceptable useless worst wrong";

/// The behaviour of the API.
#[derive(Debug, Clone, Default)]
pub(super) struct Options {
    /// The port to listen on, or 0 for any free one.
    pub(super) port: u16,
    /// The bounds of a call's random latency.
    pub(super) latency: Range<Duration>,
    /// The time from one accepted call to the next. A second's calls may come at once.
    pub(super) interval: Duration,
    /// Rejects short texts, and fails once for some of the others.
    pub(super) faults: bool,
}

/// The API, listening on this machine only.
#[derive(Debug)]
pub(super) struct Api {
    listener: TcpListener,
    pub(super) address: SocketAddr,
    options: Options,
    /// The time of the next call if calls come at the limit.
    due: Mutex<Instant>,
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
            options,
            due: Mutex::new(Instant::now()),
            failed: Mutex::default(),
        }))
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/sentiment", self.address)
    }

    /// Serves each connection on a thread of its own. Never returns.
    pub(super) fn serve(self: &Arc<Self>) -> ! {
        loop {
            let Ok((stream, _)) = self.listener.accept() else {
                // The process may have no descriptors left for now.
                pause(Duration::from_millis(20));
                continue;
            };
            let api = Arc::clone(self);
            // The client notices a broken or refused connection by itself.
            let _ = thread::Builder::new().spawn(move || api.respond(&stream));
        }
    }

    /// Reads the request of a connection, and writes the response.
    fn respond(&self, mut stream: &TcpStream) -> io::Result<()> {
        let mut input = BufReader::new(stream);
        let (mut is_post, mut length) = (false, 0);
        for line in input.by_ref().take(LARGEST_HEAD).lines() {
            let line = line?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            is_post |= line.starts_with("post ");
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        // A client that is still sending could miss the response.
        let mut body = Vec::new();
        input.take(length).read_to_end(&mut body)?;
        let (status, answer) = match is_post {
            true => self.judge(&String::from_utf8_lossy(&body)),
            false => ("405 Method Not Allowed", error("POST a text")),
        };
        let answer = answer.to_string();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
            answer.len()
        )
    }

    fn judge(&self, text: &str) -> (&'static str, Value) {
        if !self.admits() {
            let status = "429 Too Many Requests\r\nRetry-After: 1";
            return (status, error("rate limit exceeded"));
        }
        pause(random(&self.options.latency));
        if self.options.faults && text.split_whitespace().count() < FEWEST_WORDS {
            let message = "the transcript is too short to be scored";
            return ("422 Unprocessable Entity", error(message));
        }
        if self.options.faults && self.fails(text) {
            let message = "internal error, please retry";
            return ("500 Internal Server Error", error(message));
        }
        ("200 OK", score(text))
    }

    fn admits(&self) -> bool {
        let interval = self.options.interval;
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let burst = Duration::from_secs(1).saturating_sub(interval);
        let earliest = now.checked_sub(burst).unwrap_or(now);
        let start = earliest.max(*due);
        let is_admitted = start <= now;
        if is_admitted {
            *due = start + interval;
        }
        is_admitted
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

/// Scores a text by its kind and angry words, with the normalization of VADER.
fn score(text: &str) -> Value {
    let words = text.to_lowercase();
    let words = words.split(|char: char| !char.is_alphanumeric());
    let count = |list: &str| {
        let is_listed = |word: &&str| list.split(' ').any(|listed| listed == *word);
        words.clone().filter(is_listed).count() as f64
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

fn error(message: &str) -> Value {
    json!({ "error": message })
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

    fn start(options: Options) -> Arc<Api> {
        let api = Api::bind(options).unwrap();
        let served = Arc::clone(&api);
        thread::spawn(move || served.serve());
        api
    }

    fn post(api: &Arc<Api>, text: &str) -> String {
        let mut stream = TcpStream::connect(api.address).unwrap();
        let length = text.len();
        let request = format!("POST / HTTP/1.1\r\ncontent-length: {length}\r\n\r\n{text}");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn texts_are_scored_up_to_the_limit() {
        const SCORE: &str = r#"{"label":"positive","score":0.4588,"words":6}"#;
        let api = start(Options {
            interval: Duration::from_secs(1_000_000),
            ..Options::default()
        });
        let scored = post(&api, "The staff were kind, thank you.");
        assert!(scored.starts_with("HTTP/1.1 200 OK\r\n"), "{scored}");
        assert!(scored.ends_with(SCORE), "{scored}");
        let throttled = post(&api, "The staff were kind, thank you.");
        let head = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\n";
        assert!(throttled.starts_with(head), "{throttled}");
    }

    #[test]
    fn with_faults_short_texts_are_rejected_and_some_others_fail_once() {
        let api = start(Options {
            faults: true,
            ..Options::default()
        });
        assert!(post(&api, "Hello?").starts_with("HTTP/1.1 422 "));
        let texts = (0..300).map(|number| format!("This is recording number {number}."));
        let fails = |text: &String| post(&api, text).starts_with("HTTP/1.1 500 ");
        let failed: Vec<String> = texts.filter(fails).collect();
        assert!((1..30).contains(&failed.len()), "{failed:?}");
        assert!(!failed.iter().any(fails));
    }
}
