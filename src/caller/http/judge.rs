//! What a complete answer comes to, and what is kept of it.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::aside::aside;
use super::keys::Filled;
use super::plan::Plan;
use super::signs;
use super::spill::{Growing, Memory};
use crate::job::{Answer, Body, Class, Failure, FailureKind, Outcome, Refused};
use crate::validate::Reply;

/// Answers up to this size are judged at once, in bytes: it takes less than to have somebody else do it.
const AT_ONCE: usize = 64 << 10;

/// What answers are judged with.
#[derive(Debug, Clone)]
pub(super) struct Verdict {
    pub(super) plan: Arc<Plan>,
    pub(super) filled: Arc<Filled>,
    /// What answers may take of the memory.
    pub(super) memory: Arc<Memory>,
    /// Whether an answer to this method has a body.
    pub(super) has_body: bool,
}

/// A complete answer, to be judged.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) answer: Answer,
    /// Its headers as they came, where the run's expressions ask for them.
    pub(super) headers: Option<String>,
    /// How long it asks to wait.
    pub(super) wait: Option<Duration>,
    /// The service's time.
    pub(super) clock: SystemTime,
}

impl Verdict {
    /// What a complete answer comes to, in a thread of its own where that may take its time: an expression may, and
    /// so may what is large.
    pub(super) async fn of(&self, whole: Whole) -> Outcome {
        let is_small = |bytes: &[u8]| bytes.len() <= AT_ONCE;
        let plan = &self.plan;
        let waits = plan.retry_after.is_some()
            && !whole
                .answer
                .status
                .is_some_and(|status| plan.validator.takes(status));
        let quick = plan.validator.is_quick()
            && !waits
            && whole.answer.body.in_memory().is_some_and(is_small);
        let judged = if quick {
            self.judged(whole)
        } else {
            let verdict = self.clone();
            aside(move || verdict.judged(whole)).await
        };
        judged.unwrap_or_else(|error| Outcome::InDoubt(Failure::unkept(&error)))
    }

    fn judged(&self, whole: Whole) -> io::Result<Outcome> {
        let Whole {
            answer,
            headers,
            wait,
            clock,
        } = whole;
        let reply = Reply {
            status: answer.status,
            media_type: answer.media_type.as_deref(),
            headers: headers.as_deref(),
            body: &answer.body,
            has_body: self.has_body,
        };
        let Err(refusal) = self.plan.validator.validate(&reply)? else {
            return Ok(Outcome::Succeeded(answer));
        };
        let beginning = self.beginning(&answer.body)?;
        let class = refusal.class(&self.plan.rules, answer.status, &beginning);
        let ruled = || self.ruled_wait(&reply, clock);
        let wait = match class {
            Class::Throttled => ruled().or(wait),
            _ => None,
        };
        let failure = Failure {
            status: answer.status,
            body: self.keep(&beginning),
            answer: Some(Box::new(Refused {
                media_type: answer
                    .media_type
                    .map(|text| self.filled.secrets.mask_text(&text)),
                headers: answer.headers,
                body: self.masked(answer.body)?,
            })),
            hint: answer.hint,
            ..self.failure(class, refusal.kind, &refusal.message)
        };
        Ok(match class {
            Class::Throttled => Outcome::Throttled { failure, wait },
            _ => Outcome::Failed(failure),
        })
    }

    /// Returns the wait that the user's expression reads from an answer.
    pub(super) fn ruled_wait(&self, reply: &Reply<'_>, clock: SystemTime) -> Option<Duration> {
        let seconds = self.plan.retry_after.as_ref()?.seconds(reply)?;
        Some(signs::moment_or_seconds(seconds, clock))
    }

    /// As much of a body as may be needed to keep its beginning.
    pub(super) fn beginning(&self, body: &Body) -> io::Result<Vec<u8>> {
        body.beginning(Failure::BODY_KEPT + self.filled.secrets.reach())
    }

    /// A body without secrets.
    fn masked(&self, body: Body) -> io::Result<Body> {
        if self.filled.secrets.is_empty() {
            return Ok(body);
        }
        let mut masked = Growing::new(&self.memory, 0);
        self.filled
            .secrets
            .mask_all(&mut body.reader(), &mut |piece| masked.add(piece))?;
        Ok(masked.finish())
    }

    /// What is kept of a body: its beginning, without secrets.
    pub(super) fn keep(&self, body: &[u8]) -> Vec<u8> {
        let mut kept = self.filled.secrets.mask_beginning(body, Failure::BODY_KEPT);
        kept.truncate(Failure::BODY_KEPT);
        kept
    }

    pub(super) fn failure(&self, class: Class, kind: FailureKind, message: &str) -> Failure {
        Failure::new(class, kind, self.filled.secrets.mask_text(message))
    }
}
