//! Suspends the reuse of HTTP/1.1 connections after a sign of surplus answers.
//!
//! HTTP/1.1 matches answers to requests by their order alone. If a service sends one answer too many, the next request
//! gets it, and every later answer on that connection goes to the wrong file. The HTTP client closes a connection with
//! unsolicited bytes, but does not report it. A call then needs a new connection although the last answer was complete and
//! recent. That is the sign, unless that answer announced the end of its connection (RFC 9112, section 9.3).
//!
//! A restarting service looks the same, so the reaction is mild: for a while, each connection is used once.
//!
//! The client finds such bytes only in the pause between two calls. Under load that pause is too short, so a caller
//! inserts longer ones at intervals.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{CONNECTION, HeaderMap, HeaderValue};
use reqwest::{Request, Response, Version};

/// The first suspension. Each later one is [`FACTOR`] times as long.
const FIRST: Duration = Duration::from_secs(60);
const FACTOR: u32 = 10;

/// Idle connections that close sooner than this are suspicious. The shortest default of usual servers is two seconds.
const OPEN: Duration = Duration::from_secs(1);

/// Every caller pauses for [`SHORTEST`] after each of its first answers.
const FIRST_ANSWERS: u32 = 3;
/// Later pauses are as long as the latest call took, within these bounds: on a connection that is one answer ahead, the
/// surplus answer arrives that late.
const SHORTEST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_millis(100);
/// The shortest time between two pauses, in multiples of a pause's length.
const RARITY: u32 = 100;

/// The suspension of reuse, shared by all callers of a run.
#[derive(Debug)]
pub(super) struct Suspension(Mutex<Span>);

#[derive(Debug)]
struct Span {
    /// The end of the latest suspension.
    until: Option<Instant>,
    /// The length of the next one.
    next: Duration,
}

impl Default for Suspension {
    fn default() -> Self {
        Self(Mutex::new(Span {
            until: None,
            next: FIRST,
        }))
    }
}

impl Suspension {
    fn is_on(&self) -> bool {
        self.span().is_on()
    }

    /// Suspends reuse, unless it is suspended.
    fn begin(&self) {
        let mut span = self.span();
        if !span.is_on() {
            span.until = Instant::now().checked_add(span.next);
            span.next = span.next.saturating_mul(FACTOR);
        }
    }

    fn span(&self) -> MutexGuard<'_, Span> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Span {
    fn is_on(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }
}

/// Watches the connection of one caller.
#[derive(Debug)]
pub(super) struct Reuse {
    suspension: Arc<Suspension>,
    latest: RefCell<Latest>,
}

#[derive(Debug, Default)]
struct Latest {
    /// The service's host and port.
    host: String,
    port: Option<u16>,
    /// The request has `Connection: close`.
    once: bool,
    /// The connection should stay open after this answer.
    stays: bool,
    /// The time at which the answer was complete, if its connection should still be open.
    open: Option<Instant>,
    began: Option<Instant>,
    /// The duration of the call.
    took: Duration,
    /// The number of pauses so far.
    pauses: u32,
    /// The latest pause.
    paused: Option<Instant>,
}

impl Reuse {
    pub(super) fn new(suspension: Arc<Suspension>) -> Self {
        Self {
            suspension,
            latest: RefCell::default(),
        }
    }

    /// Pauses before a call, if a pause is due.
    pub(super) async fn pause(&self) {
        let left = self.due_pause();
        if !left.is_zero() {
            tokio::time::sleep(left).await;
        }
    }

    fn due_pause(&self) -> Duration {
        let mut latest = self.latest.borrow_mut();
        let now = Instant::now();
        let Some(open) = latest.open else {
            return Duration::ZERO;
        };
        let is_first = latest.pauses < FIRST_ANSWERS;
        let length = match is_first {
            true => SHORTEST,
            false => latest.took.clamp(SHORTEST, LONGEST),
        };
        let is_late = |paused: Instant| now.duration_since(paused) > length * RARITY;
        if !is_first && !latest.paused.is_none_or(is_late) {
            return Duration::ZERO;
        }
        latest.pauses = latest.pauses.saturating_add(1);
        latest.paused = Some(now);
        length.saturating_sub(now.duration_since(open))
    }

    /// Adds `Connection: close` to a request while reuse is suspended.
    pub(super) fn prepare(&self, request: &mut Request) {
        if self.suspension.is_on() {
            let close = HeaderValue::from_static("close");
            request.headers_mut().insert(CONNECTION, close);
        }
        let mut latest = self.latest.borrow_mut();
        latest.once = closes(request.headers());
        latest.began = Some(Instant::now());
    }

    /// Records the head of an answer, and whether its connection was new.
    pub(super) fn answered(&self, response: &Response, is_new: bool) {
        let mut latest = self.latest.borrow_mut();
        let host = response.url().host_str().unwrap_or_default();
        let port = response.url().port_or_known_default();
        let was_open = latest.open.take();
        let is_open = was_open.is_some_and(|since| since.elapsed() < OPEN);
        let is_same = latest.host == host && latest.port == port;
        if is_new && is_open && is_same {
            self.suspension.begin();
        }
        if !is_same {
            host.clone_into(&mut latest.host);
            latest.port = port;
        }
        let goes_on = response.version() == Version::HTTP_11 && !closes(response.headers());
        latest.stays = goes_on && !latest.once;
    }

    /// Records the end of a call. The client itself closes the connection of an incomplete answer.
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
