//! Decides whether a service is ready, by its answer to a poll.

use super::{Reply, WrongExpression};
use crate::jq::{EvalError, Expression};
use crate::settings::PollRule;

/// The expressions of `--poll-until` and `--poll-fail`.
#[derive(Debug)]
pub struct PollValidator {
    until: Expression,
    fail: Option<Expression>,
}

/// The readiness of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// This is the answer.
    Ready,
    /// The same request is made again.
    NotReady,
    /// The service has ended the job as failed.
    JobFailed,
    /// An expression cannot be evaluated for the answer, for this reason.
    Unclear(String),
}

impl PollValidator {
    /// Parses the expressions.
    ///
    /// # Errors
    ///
    /// One of them is invalid.
    pub fn new(rule: &PollRule) -> Result<Self, WrongExpression> {
        let read = |flag, text: &str| {
            Expression::new(text).map_err(|source| WrongExpression { flag, source })
        };
        let fail = rule.fail.as_deref();
        Ok(Self {
            until: read("poll-until", &rule.until)?,
            fail: fail.map(|fail| read("poll-fail", fail)).transpose()?,
        })
    }

    /// Returns whether an expression needs the headers of answers.
    pub fn needs_headers(&self) -> bool {
        let fail = self.fail.as_ref();
        self.until.needs_headers() || fail.is_some_and(Expression::needs_headers)
    }

    /// Judges an answer with this body. An empty one, as that of many answers with 202, is null.
    pub fn readiness(&self, reply: &Reply<'_>, body: &[u8]) -> Readiness {
        let reply = Reply {
            has_body: reply.has_body && !body.is_empty(),
            ..*reply
        };
        let input = reply.input(body);
        let unclear = |text: &str, error: EvalError| {
            let message = format!("`{text}` cannot be evaluated for the answer: {error}");
            Readiness::Unclear(message)
        };
        if let Some(fail) = &self.fail {
            match fail.holds(&input) {
                Ok(true) => return Readiness::JobFailed,
                Ok(false) => {}
                Err(error) => return unclear(fail.as_str(), error),
            }
        }
        match self.until.holds(&input) {
            Ok(true) => Readiness::Ready,
            Ok(false) => Readiness::NotReady,
            Err(error) => unclear(self.until.as_str(), error),
        }
    }
}
