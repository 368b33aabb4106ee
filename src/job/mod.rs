//! Jobs, attempts and their outcomes. Plain data without I/O, except that a body may lie in a file.
//!
//! ```text
//!             claim                    settle: succeeded
//!   pending ────────► running ───────────────────────────► done
//!      ▲                 │
//!      │                 ├── permanent, or no retries left ──────► failed
//!      │                 ├── in doubt, with --in-doubt hold,
//!      │                 │   or after many crashes ──────────────► held
//!      │                 │
//!      └─────────────────┘  transient, throttled, no connection, in doubt, interrupted
//!
//!   failed ──► pending   by `retry`          held ──► pending   by `retry --held`
//!   done ──► pending     by `retry --done`
//!   all but running ──► forgotten, and back to the same state, by `forget`
//! ```
//!
//! A job of several steps is `waiting` between them, in the place of `pending`: its first request has been answered.

mod bill;
mod body;
mod cause;
mod checksum;
mod columns;
mod ending;
mod hint;
mod kind;
mod lane;
mod media;
mod name;
mod outcome;
mod stamp;
mod step;

use std::fmt::{self, Write as _};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use strum::{EnumString, IntoStaticStr, VariantArray};

pub use bill::{Bill, Money, Price};
pub use body::{Body, BodyReader};
pub use cause::{CauseKey, folded, said};
pub use checksum::Checksum;
pub use columns::Columns;
pub(crate) use columns::{Members, text_of};
pub use ending::ending;
pub use hint::{Hint, Policy};
pub use kind::FailureKind;
pub use lane::{Lane, LaneIdentity};
#[cfg(feature = "jq")]
pub(crate) use media::replace_lone_surrogates;
pub(crate) use media::without_lone_surrogates;
pub use media::{check_json, check_text, is_json, json_text, nesting};
pub(crate) use name::json_string_of_unicode;
pub use name::{FileName, escaped, json_string, shortened};
pub use outcome::{Outcome, Reply};
pub use stamp::FileStamp;
pub use step::{Step, StepAnswer, StepKind};

use crate::text::hex;

/// The id of a job in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub i64);

/// A job's position in the list, counted from 0. It determines the job's chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Position(pub u64);

impl Position {
    /// Returns this position's chunk among `threads` chunks, as in `files[i::threads]`.
    pub fn chunk(self, threads: usize) -> usize {
        (self.0 % threads as u64) as usize
    }
}

/// The identity of one call of one job. It also fences off late settlements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AttemptId {
    /// The job.
    pub job: JobId,
    /// The attempt's number among the job's attempts, counted from 1. It never decreases.
    pub number: u32,
}

/// The value of an attempt's `Idempotency-Key` header: a UUID (version 8, RFC 9562). It is derived from the run, the
/// job and the job's generation. A repeat after an unknown outcome, a throttle or a 409 therefore carries the same key in
/// any process, and so does one after a failure of the service while an earlier call under the key is in doubt. A repeat
/// after another answer carries a new one, and so does one that sends something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(pub [u8; 16]);

impl IdempotencyKey {
    /// Derives the key of a job's attempts of one generation.
    pub fn derive(run: &[u8; 16], job: JobId, generation: u32) -> Self {
        let mut hash = Sha256::new();
        hash.update(run);
        hash.update(job.0.to_be_bytes());
        hash.update(generation.to_be_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.finalize()[..16]);
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hex = hex(&self.0);
        for at in [20, 16, 12, 8] {
            hex.insert(at, '-');
        }
        f.write_str(&hex)
    }
}

impl Serialize for IdempotencyKey {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.to_string().serialize(to)
    }
}

/// A job's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum JobState {
    /// Waits to be called, now or at a later time.
    Pending,
    /// Claimed by a session.
    Running,
    /// Has its result.
    Done,
    /// Is called again only by `retry`.
    Failed,
    /// Is in doubt and waits for a person, with `--in-doubt hold` or after many crashes.
    Held,
    /// Taken off the run: neither called nor exported, and not in the total.
    Forgotten,
    /// Its first request was answered; a later one is still to be made, now or at a later time.
    Waiting,
}

impl JobState {
    /// Every state, in the order of their codes in the database.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// Returns the word for this state.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The class of a failure, which determines what happens next.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Class {
    /// May pass by itself: 408, 409, 425, 5xx, a lost connection, a timeout.
    Transient,
    /// The service asks the caller to wait: 429, 503 with a wait, or 403 that states a limit.
    Throttled,
    /// The account's quota is exhausted: 402, or 400, 403 or 429 whose body says so.
    Quota,
    /// The service does not accept the credentials: 401, 403, 407.
    Auth,
    /// The service does not accept this file: other 4xx, and redirects.
    Rejected,
    /// A 2xx whose answer is unusable: too large, of another format, or unsuccessful by `--success`.
    BadResponse,
    /// The file is missing, unreadable, not a regular file, or does not fit into the request.
    Input,
    /// An operation on this machine failed.
    Local,
}

impl Class {
    /// Every class.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// Returns the word for this class.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns the class that this word names.
    pub fn from_word(word: &str) -> Option<Self> {
        word.parse().ok()
    }
}

/// A job as a caller sees it.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its id in the store.
    pub id: JobId,
    /// Its position in the list.
    pub position: Position,
    /// Its name in the list.
    pub path: FileName,
    /// The file's path: the name, resolved against the folder in which the run was created.
    pub file: PathBuf,
    /// Its row, if the list is a table.
    pub columns: Columns,
    /// The answers of the steps before this one, in order.
    pub answers: Vec<StepAnswer>,
}

/// An attempt as a caller sees it.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// Its identity.
    pub id: AttemptId,
    /// The key by which the service recognizes a repeat of the same operation.
    pub key: IdempotencyKey,
    /// The service may know the key from an earlier attempt: one in doubt, or one that it answered with 409.
    pub repeat: bool,
    /// A process ended during an earlier attempt, perhaps because of this file.
    pub suspect: bool,
    /// The step to make.
    pub step: Step,
    /// The index of the pool's row that makes the call; 0 without a pool.
    pub lane: u16,
}

/// A complete, successful answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status; `None` if the call is not HTTP.
    pub status: Option<u16>,
    /// The `Content-Type` as received.
    pub media_type: Option<String>,
    /// The headers, as a JSON object from lower-case name to value, if an expression of the run uses them.
    pub headers: Option<String>,
    /// The body after content decoding.
    pub body: Body,
    /// The limits, the cost and the weight that the service stated, if any.
    pub hint: Option<Box<Hint>>,
    /// The job's file as the call found it, if the call read it.
    pub source: Option<FileStamp>,
}

/// A complete answer with a successful status that the run's rules rejected. It is stored whole, so that `recheck` can
/// judge it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The `Content-Type` as received.
    pub media_type: Option<String>,
    /// The headers, as in [`Answer::headers`].
    pub headers: Option<String>,
    /// The body, with secrets masked.
    pub body: Body,
}

impl Answer {
    /// Creates an answer from a value, as JSON.
    ///
    /// # Errors
    ///
    /// JSON cannot represent the value, such as a map whose keys are not text.
    pub fn json(value: &impl Serialize) -> Result<Self, Failure> {
        let text = serde_json::to_string(value).map_err(|error| {
            let message = format!("the result is not representable in JSON: {error}");
            Failure::new(Class::BadResponse, FailureKind::NotJson, message)
        })?;
        Ok(Self::json_text(text))
    }

    /// Creates an answer from JSON text.
    pub fn json_text(text: impl Into<String>) -> Self {
        Self {
            status: None,
            media_type: Some("application/json".to_owned()),
            headers: None,
            body: text.into().into(),
            hint: None,
            source: None,
        }
    }

    /// States what the call cost, in the user's unit of money. `--max-cost` and the sums of the run count it.
    #[must_use]
    pub fn with_cost(mut self, cost: Money) -> Self {
        self.hint.get_or_insert_default().bill.cost = Some(cost);
        self
    }

    /// States the weight that the call had. It replaces the one by which a rate in weights charged the call.
    #[must_use]
    pub fn with_weight(mut self, weight: u64) -> Self {
        self.hint.get_or_insert_default().bill.weight = Some(weight);
        self
    }

    /// Creates an answer from plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            media_type: Some("text/plain; charset=utf-8".to_owned()),
            ..Self::json_text(text)
        }
    }
}

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The class, which determines what happens next.
    pub class: Class,
    /// The kind within the class, such as `input_missing`.
    pub kind: FailureKind,
    /// The HTTP status, if an answer came.
    pub status: Option<u16>,
    /// The message, on one line.
    pub message: String,
    /// The beginning of the answer's body, at most [`Failure::BODY_KEPT`] bytes.
    pub body: Vec<u8>,
    /// The whole answer, if `recheck` can judge it again.
    pub answer: Option<Box<Refused>>,
    /// The limits, the cost and the weight that the service stated, if any.
    pub hint: Option<Box<Hint>>,
}

impl Failure {
    /// The length of the stored beginning of an error's body, in bytes.
    pub const BODY_KEPT: usize = 4096;

    /// Creates a failure for an answer that could not be stored on this machine. Its attempt is in doubt, because the
    /// service has processed the call.
    pub fn unkept(error: &io::Error) -> Self {
        let message = format!("the answer came but could not be stored on this machine: {error}");
        Self::new(Class::Local, FailureKind::Unkept, message)
    }

    /// Creates a failure that may pass by itself: the job is retried as often as the settings allow.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(Class::Transient, "error", message)
    }

    /// Creates a failure that a retry would repeat: the job fails at once.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::new(Class::Rejected, "error", message)
    }

    /// Creates a failure after which every call waits: for `wait`, or for a time that doubles. It does not use up the
    /// job's retries.
    pub fn throttled(message: impl Into<String>, wait: Option<Duration>) -> Self {
        let hint = Hint {
            reset: wait,
            ..Hint::default()
        };
        Self {
            hint: Some(Box::new(hint)),
            ..Self::new(Class::Throttled, "throttled", message)
        }
    }

    /// Names the step in the message, if it is not the first.
    pub fn at(&mut self, step: &Step) {
        if step.index > 0 {
            self.message = format!("step {}: {}", u32::from(step.index) + 1, self.message);
        }
    }

    /// Creates a failure without an answer.
    pub fn new(class: Class, kind: impl Into<FailureKind>, message: impl Into<String>) -> Self {
        Self {
            class,
            kind: kind.into(),
            status: None,
            message: message.into(),
            body: Vec::new(),
            answer: None,
            hint: None,
        }
    }
}

/// Creates a transient failure from any error and its causes, so that a closure may use `?`.
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let _ = write!(message, ": {cause}");
            source = cause.source();
        }
        Self::transient(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_stable_within_a_generation_and_new_in_the_next() {
        let run = [7; 16];
        let key = IdempotencyKey::derive(&run, JobId(1), 0);
        assert_eq!(key, IdempotencyKey::derive(&run, JobId(1), 0));
        assert_ne!(key, IdempotencyKey::derive(&run, JobId(1), 1));
        assert_ne!(key, IdempotencyKey::derive(&run, JobId(2), 0));
        assert_ne!(key, IdempotencyKey::derive(&[8; 16], JobId(1), 0));
        let text = key.to_string();
        assert_eq!((text.len(), &text[14..15]), (36, "8"));
    }

    #[test]
    fn chunks_are_strides() {
        let chunk_of_1: Vec<u64> = (0..9).filter(|&p| Position(p).chunk(3) == 1).collect();
        assert_eq!(chunk_of_1, [1, 4, 7]);
    }
}
