//! Whether connections are used again.
//!
//! Over HTTP/1.1 nothing but their order says which request an answer belongs to. A service that sends one answer too many
//! makes the next request's answer another file's. The client gives a connection up that has brought bytes unasked, but
//! does not say so. What can be seen is that the next call needs a new connection, though the last answer came whole, was
//! not the connection's last by its own words (RFC 9112, section 9.3), and came a moment ago. A service that restarts
//! looks the same, so it costs little: for a while, no connection is used twice.
//!
//! What comes unasked is most often found in the pause between two calls. Where a call follows at once, there is none, and
//! a connection that is one answer ahead stays so. Therefore a caller listens now and then before it sends a request.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{CONNECTION, HeaderMap, HeaderValue};
use reqwest::{Request, Response, Version};

/// For how long connections are used once, the first time. Each later time it is [`LONGER`] times as long.
const FIRST: Duration = Duration::from_secs(60);
const LONGER: u32 = 10;

/// How long a connection should stay open after an answer. The shortest default of usual servers is two seconds.
const OPEN: Duration = Duration::from_secs(1);

/// How many answers of a caller are listened after in any case, each for [`SHORTEST`].
const FIRST_ANSWERS: u32 = 3;
/// A caller listens for as long as its latest call took, within these bounds: that is how late the answer to a request
/// comes whose place was taken.
const SHORTEST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_millis(100);
/// Of how much time one part is for listening.
const RARITY: u32 = 100;

/// Whether the run's connections are used once at the moment.
#[derive(Debug)]
pub(super) struct Caution {
    began: Instant,
    /// Until when, in milliseconds after the beginning.
    until: AtomicU64,
    /// For how long the next time.
    next: Mutex<Duration>,
}

impl Default for Caution {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            until: AtomicU64::new(0),
            next: Mutex::new(FIRST),
        }
    }
}

impl Caution {
    fn is_on(&self) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        until > 0 && self.now() < until
    }

    /// Begins a while of caution, unless one is under way.
    fn begin(&self) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_on() {
            let until = self.now().saturating_add(millis(*next));
            self.until.store(until, Ordering::Relaxed);
            *next = next.saturating_mul(LONGER);
        }
    }

    fn now(&self) -> u64 {
        millis(self.began.elapsed())
    }
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// What one caller knows of the connection that its latest answer came over.
#[derive(Debug)]
pub(super) struct Reuse {
    caution: Arc<Caution>,
    latest: RefCell<Latest>,
}

#[derive(Debug, Default)]
struct Latest {
    /// The service's host and port.
    host: String,
    port: Option<u16>,
    /// Whether the request asks for the connection's end.
    once: bool,
    /// Whether the connection should be open after the answer that is coming.
    stays: bool,
    /// Since when it should be open.
    open: Option<Instant>,
    began: Option<Instant>,
    /// How long the call took.
    took: Duration,
    /// How many answers were listened after.
    listened: u32,
    /// When that was last.
    heard: Option<Instant>,
}

impl Reuse {
    pub(super) fn new(caution: Arc<Caution>) -> Self {
        Self {
            caution,
            latest: RefCell::default(),
        }
    }

    /// Waits, now and then, for what the service sends unasked.
    pub(super) async fn listen(&self) {
        let left = self.left_to_listen();
        if !left.is_zero() {
            tokio::time::sleep(left).await;
        }
    }

    fn left_to_listen(&self) -> Duration {
        let mut latest = self.latest.borrow_mut();
        let now = Instant::now();
        let Some(open) = latest.open else {
            return Duration::ZERO;
        };
        let is_first = latest.listened < FIRST_ANSWERS;
        let length = match is_first {
            true => SHORTEST,
            false => latest.took.clamp(SHORTEST, LONGEST),
        };
        let is_late = |heard: Instant| now.duration_since(heard) > length * RARITY;
        if !is_first && !latest.heard.is_none_or(is_late) {
            return Duration::ZERO;
        }
        latest.listened = latest.listened.saturating_add(1);
        latest.heard = Some(now);
        length.saturating_sub(now.duration_since(open))
    }

    /// Asks for a connection that ends with the answer, if none is used twice at the moment.
    pub(super) fn prepare(&self, request: &mut Request) {
        if self.caution.is_on() {
            let close = HeaderValue::from_static("close");
            request.headers_mut().insert(CONNECTION, close);
        }
        let mut latest = self.latest.borrow_mut();
        latest.once = closes(request.headers());
        latest.began = Some(Instant::now());
    }

    /// Takes note of the head of an answer, and whether it came over a new connection.
    pub(super) fn answered(&self, response: &Response, is_new: bool) {
        let mut latest = self.latest.borrow_mut();
        let host = response.url().host_str().unwrap_or_default();
        let port = response.url().port_or_known_default();
        let was_open = latest.open.take();
        let is_open = was_open.is_some_and(|since| since.elapsed() < OPEN);
        let is_same = latest.host == host && latest.port == port;
        if is_new && is_open && is_same {
            self.caution.begin();
        }
        if !is_same {
            host.clone_into(&mut latest.host);
            latest.port = port;
        }
        let goes_on = response.version() == Version::HTTP_11 && !closes(response.headers());
        latest.stays = goes_on && !latest.once;
    }

    /// Takes note that a call is over, and whether its answer came to its end. The client itself gives the connection of
    /// any other answer up.
    pub(super) fn ended(&self, is_whole: bool) {
        let mut latest = self.latest.borrow_mut();
        let stays = std::mem::take(&mut latest.stays);
        let now = Instant::now();
        latest.took = latest
            .began
            .map_or(Duration::ZERO, |began| now.duration_since(began));
        latest.open = (is_whole && stays).then_some(now);
    }
}

fn closes(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CONNECTION).into_iter();
    let mut words = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    words.any(|word| word.trim_ascii().eq_ignore_ascii_case(b"close"))
}
