//! The nouns: jobs, attempts, what they come to. Plain data without input or output; only a body may lie in a file.
//!
//! ```text
//!             claim                    settle: succeeded
//!   pending ────────► running ───────────────────────────► done
//!      ▲                 │
//!      │                 ├── failed for good, or no retry left ──► failed
//!      │                 ├── in doubt, and the run holds doubt ──► held
//!      │                 │
//!      └─────────────────┘  transient, throttled, not sent, in doubt, interrupted
//!
//!   failed ──► pending   by `retry`          held ──► pending   by `retry --held`
//! ```

mod body;
mod cause;
mod checksum;
mod columns;
mod ending;
mod hint;
mod kind;
mod media;
mod name;

use std::fmt::{self, Write as _};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

pub use body::{Body, BodyReader};
pub use cause::{CauseKey, folded, said};
pub use checksum::Checksum;
pub use columns::Columns;
pub use ending::ending;
pub use hint::{Hint, Policy};
pub use kind::FailureKind;
pub use media::{check_json, check_text, is_json, json_text, nesting};
pub use name::{FileName, escaped, shortened};

/// A job in the store. It says nothing about the job's place in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub i64);

/// A job's place in the list, counted from 0. It decides the job's chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Position(pub u64);

impl Position {
    /// The chunk of this position among `threads` chunks, as in `files[i::threads]`.
    pub fn chunk(self, threads: usize) -> usize {
        (self.0 % threads as u64) as usize
    }
}

/// One call of one job. The pair is the attempt's identity, and the token that fences off late settlements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AttemptId {
    /// The job.
    pub job: JobId,
    /// Counts the job's attempts from 1, and only grows.
    pub number: u32,
}

/// The value of an attempt's `Idempotency-Key` header: a UUID (version 8, RFC 9562), derived from the run,
/// the job and how many definite answers the job has had. So a repeat after an unknown outcome carries the
/// same key, in whatever process, and a repeat after a definite answer a new one.
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
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_char('-')?;
            }
            checksum::write_hex(*byte, f)?;
        }
        Ok(())
    }
}

impl Serialize for IdempotencyKey {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.to_string().serialize(to)
    }
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// To be called, now or after a stated moment.
    Pending,
    /// Claimed by a runner.
    Running,
    /// Has its result.
    Done,
    /// Will not be called again unless asked.
    Failed,
    /// In doubt, and the run was told to hold what is in doubt.
    Held,
}

impl JobState {
    /// Every state, in the order of their codes.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Running,
        Self::Done,
        Self::Failed,
        Self::Held,
    ];

    /// The word for this state.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Held => "held",
        }
    }
}

/// Why an attempt did not succeed, as far as it decides what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// May pass by itself: 408, 409, 425, 5xx, a lost connection, a time-out.
    Transient,
    /// The service asks for patience: 429, 503 that says for how long, or 403 that says that it is a limit.
    Throttled,
    /// The account's allowance is used up: 402, or 400, 403 or 429 that says so in its body.
    Quota,
    /// The credentials are not accepted: 401, 403, 407.
    Auth,
    /// The service does not take this file: other 4xx, and redirects.
    Rejected,
    /// A 2xx that is no result: too large, not what was expected, or not successful by its own words.
    BadResponse,
    /// The file is missing, unreadable, not a regular file, or cannot be put into the request.
    Input,
    /// Something on this machine failed.
    Local,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 8] = [
        Self::Transient,
        Self::Throttled,
        Self::Quota,
        Self::Auth,
        Self::Rejected,
        Self::BadResponse,
        Self::Input,
        Self::Local,
    ];

    /// The word for this class.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Throttled => "throttled",
            Self::Quota => "quota",
            Self::Auth => "auth",
            Self::Rejected => "rejected",
            Self::BadResponse => "bad_response",
            Self::Input => "input",
            Self::Local => "local",
        }
    }

    /// The class of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == word)
    }
}

/// A job as a caller sees it.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its id in the store.
    pub id: JobId,
    /// Its place in the list.
    pub position: Position,
    /// Its name, as the list gave it.
    pub path: FileName,
    /// Where the file lies: the name, resolved against the folder in which the run was made.
    pub file: PathBuf,
    /// What the list says of it beside its name.
    pub columns: Columns,
}

/// An attempt as a caller sees it.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// Which attempt it is.
    pub id: AttemptId,
    /// The key that tells the service that two attempts are one operation.
    pub key: IdempotencyKey,
    /// Whether the service may know the key from an attempt before: one in doubt, or one that was answered with
    /// 409, for it was still going on.
    pub repeat: bool,
}

/// A complete, successful answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status; `None` where the caller is not HTTP.
    pub status: Option<u16>,
    /// The `Content-Type` as received.
    pub media_type: Option<String>,
    /// The headers, as a JSON object from lower-case name to value, where an expression of the run looks at them.
    pub headers: Option<String>,
    /// The body as received, after content decoding.
    pub body: Body,
    /// What the service said about its limits, if anything.
    pub hint: Option<Box<Hint>>,
}

/// A complete answer with a status of success that was judged to be no result: kept whole, so that it can be judged
/// again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The `Content-Type` as received.
    pub media_type: Option<String>,
    /// The headers, as [`Answer::headers`].
    pub headers: Option<String>,
    /// The body, without secrets.
    pub body: Body,
}

impl Answer {
    /// Makes an answer of a value, as JSON.
    ///
    /// # Errors
    ///
    /// The value is not representable in JSON, such as a map whose keys are no text.
    pub fn json(value: &impl Serialize) -> Result<Self, Failure> {
        let text = serde_json::to_string(value).map_err(|error| {
            let message = format!("the result is not representable in JSON: {error}");
            Failure::new(Class::BadResponse, FailureKind::NotJson, message)
        })?;
        Ok(Self::json_text(text))
    }

    /// Makes an answer of a text that is JSON already.
    pub fn json_text(text: impl Into<String>) -> Self {
        Self {
            status: None,
            media_type: Some("application/json".to_owned()),
            headers: None,
            body: text.into().into(),
            hint: None,
        }
    }

    /// Makes an answer of plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            media_type: Some("text/plain; charset=utf-8".to_owned()),
            ..Self::json_text(text)
        }
    }
}

/// What went wrong with an attempt, for people and for the next decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What follows from it.
    pub class: Class,
    /// A finer word below the class, such as `input_missing`.
    pub kind: FailureKind,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// One line for people.
    pub message: String,
    /// The beginning of the answer's body, at most [`Failure::BODY_KEPT`] bytes.
    pub body: Vec<u8>,
    /// The whole answer, where it could be judged again.
    pub answer: Option<Box<Refused>>,
    /// What the service said about its limits, if anything.
    pub hint: Option<Box<Hint>>,
}

impl Failure {
    /// How much of an error's body is kept, in bytes.
    pub const BODY_KEPT: usize = 4096;

    /// An answer has come, and this machine could not keep it. The service may know of it, so it is in doubt.
    pub fn unkept(error: &io::Error) -> Self {
        let message = format!("the answer came and could not be kept on this machine: {error}");
        Self::new(Class::Local, FailureKind::Unkept, message)
    }

    /// Makes a failure that may pass by itself: the file is called again, as often as the settings say.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(Class::Transient, "error", message)
    }

    /// Makes a failure that would come again: the file fails at once.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::new(Class::Rejected, "error", message)
    }

    /// Makes a refusal for which every call waits: as long as the service asks, or for a moment that grows. It is not
    /// counted against the file.
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

    /// A failure without an answer.
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

/// Makes a transient failure of any error, with its causes, so that a closure may use `?`.
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

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A complete and successful answer.
    Succeeded(Answer),
    /// A definite failure: the service answered, or the answer is unusable.
    Failed(Failure),
    /// The service asks every caller to wait, for so long if it says so.
    Throttled {
        /// What the service answered.
        failure: Failure,
        /// How long the service asks to wait.
        wait: Option<Duration>,
    },
    /// Provably not sent, because no connection was made. The job is not to blame.
    Unreachable(Failure),
    /// Provably not sent, because the file cannot be put into a request. The job is to blame.
    Unsendable(Failure),
    /// Perhaps sent, and there is no answer.
    InDoubt(Failure),
    /// Provably not sent, because a stop came first.
    Interrupted,
}

impl Outcome {
    /// The word under which the outcome is recorded.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Succeeded(_) => "succeeded",
            Self::Failed(_) => "failed",
            Self::Throttled { .. } => "throttled",
            Self::Unreachable(_) | Self::Unsendable(_) => "not_sent",
            Self::InDoubt(_) => "in_doubt",
            Self::Interrupted => "interrupted",
        }
    }

    /// What the service said about its limits.
    pub fn hint(&self) -> Option<&Hint> {
        match self {
            Self::Succeeded(answer) => answer.hint.as_deref(),
            outcome => outcome
                .failure()
                .and_then(|failure| failure.hint.as_deref()),
        }
    }

    /// The failure, where the outcome is one.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure)
            | Self::Throttled { failure, .. }
            | Self::Unreachable(failure)
            | Self::Unsendable(failure)
            | Self::InDoubt(failure) => Some(failure),
            Self::Succeeded(_) | Self::Interrupted => None,
        }
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
