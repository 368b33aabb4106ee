//! Judges received answers and decides what to store of them.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::accepted;
use super::keys::Filled;
use super::plan::Plan;
use super::remarks::Kind;
use super::signs;
use crate::caller::aside::aside;
use crate::caller::spill::{Growing, MemoryBudget};
use crate::job::{Answer, Body, Class, Columns, Failure, FailureKind, Outcome, Refused};
use crate::validate::Reply;

/// Answers up to this size are judged on the calling thread, in bytes: moving them to another one costs more.
const AT_ONCE: usize = 64 << 10;

/// Judges the answers of one call.
#[derive(Debug, Clone)]
pub(super) struct Judge {
    pub(super) plan: Arc<Plan>,
    pub(super) filled: Arc<Filled>,
    /// The index of the request.
    pub(super) step: usize,
    /// The memory budget of answers.
    pub(super) memory: Arc<MemoryBudget>,
    /// The job's row, if the list is a table.
    pub(super) columns: Columns,
    /// An answer to this method has a body.
    pub(super) has_body: bool,
}

/// A complete answer, not yet judged.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) answer: Answer,
    /// Its unmasked headers, if the run's expressions need them.
    pub(super) headers: Option<String>,
    /// The wait that it asks for.
    pub(super) wait: Option<Duration>,
    /// The wait in a header such as `Retry-After`.
    pub(super) stated: Option<Duration>,
    /// The service's time.
    pub(super) clock: SystemTime,
    /// The content coding that its body still has.
    pub(super) coding: Option<String>,
}

impl Judge {
    /// Judges an answer, on another thread if it is large or needs an expression.
    pub(super) async fn judge(&self, received: Received) -> Outcome {
        let Answer { status, body, .. } = &received.answer;
        let validator = &self.plan.validator;
        let may_wait = self.plan.retry_after.is_some()
            && !status.is_some_and(|status| validator.takes(status));
        let is_small = body.in_memory().is_some_and(|bytes| bytes.len() <= AT_ONCE);
        let is_quick = validator.is_quick() && self.step_plan().poll.is_none();
        let judged = if is_quick && !may_wait && is_small {
            self.judged(received)
        } else {
            let judge = self.clone();
            aside(move || judge.judged(received)).await
        };
        judged.unwrap_or_else(|error| Outcome::InDoubt(Failure::unkept(&error)))
    }

    fn judged(&self, received: Received) -> io::Result<Outcome> {
        let Received {
            answer,
            headers,
            wait,
            clock,
            coding,
            ..
        } = match self.judge_step(received)? {
            Ok(received) => received,
            Err(outcome) => return Ok(outcome),
        };
        let reply = Reply {
            status: answer.status,
            media_type: answer.media_type.as_deref(),
            headers: headers.as_deref(),
            columns: &self.columns,
            body: &answer.body,
            has_body: self.has_body,
        };
        let validated = self.plan.validator.validate(&reply)?;
        let bill = self.plan.validator.bill(&reply);
        let accepted = accepted::describe(&answer);
        if let Some(accepted) = &accepted {
            let remark = || accepted.remark(validated.is_ok());
            self.plan.remarks.add(Kind::Accepted, remark);
        }
        let Err(mut invalid) = validated else {
            return Ok(Outcome::Succeeded(answer).stating(bill));
        };
        if let Some(accepted) = accepted.filter(|_| invalid.kind == FailureKind::NotJson) {
            invalid.message = accepted.message();
        }
        let beginning = self.beginning(&answer.body)?;
        let class =
            (self.plan.validator).class(&invalid, &self.plan.rules, answer.status, &beginning);
        let wait = match class {
            Class::Throttled => self.ruled_wait(&reply, clock).or(wait),
            _ => None,
        };
        let message = match coding {
            Some(coding) if matches!(invalid.kind, FailureKind::NotJson | FailureKind::NotText) => {
                format!(
                    "the answer is encoded with {coding}: stride decodes gzip, deflate, br and zstd if the request has --compressed"
                )
            }
            _ => invalid.message,
        };
        let mask = |text: String| self.filled.secrets.mask_text(&text);
        let failure = Failure {
            status: answer.status,
            body: self.keep(&beginning),
            answer: Some(Box::new(Refused {
                media_type: answer.media_type.map(mask),
                headers: answer.headers,
                body: self.masked(answer.body)?,
            })),
            hint: answer.hint,
            ..self.failure(class, invalid.kind, &message)
        };
        let outcome = match class {
            Class::Throttled => Outcome::Throttled { failure, wait },
            _ => Outcome::Failed(failure),
        };
        Ok(outcome.stating(bill))
    }

    /// Evaluates `--retry-after` for an answer.
    pub(super) fn ruled_wait(&self, reply: &Reply<'_>, clock: SystemTime) -> Option<Duration> {
        let seconds = self.plan.retry_after.as_ref()?.seconds(reply)?;
        Some(signs::unix_time_or_seconds(seconds, clock))
    }

    /// Returns enough of a body to mask its beginning.
    pub(super) fn beginning(&self, body: &Body) -> io::Result<Vec<u8>> {
        body.beginning(Failure::BODY_KEPT + self.filled.secrets.reach())
    }

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

    /// Returns the beginning of a body as a failure stores it, with secrets masked.
    pub(super) fn keep(&self, body: &[u8]) -> Vec<u8> {
        let mut kept = self.filled.secrets.mask_beginning(body, Failure::BODY_KEPT);
        kept.truncate(Failure::BODY_KEPT);
        kept
    }

    /// Returns a failure whose message has secrets masked.
    pub(super) fn failure(&self, class: Class, kind: FailureKind, message: &str) -> Failure {
        Failure::new(class, kind, self.filled.secrets.mask_text(message))
    }
}
