//! Judges stored answers again by new rules, without calls.

use std::io;

use thiserror::Error;

use crate::failure_class::ClassRule;
use crate::job::{Failure, FileName};
use crate::settings::{Call, Judging};
use crate::store::{Reader, Store, StoreError, StoredResponse};
use crate::validate::{Reply, Validator, WrongExpression};

/// The outcome of a recheck.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Rechecked {
    /// The number of judged answers.
    pub judged: u64,
    /// Results that become failures.
    pub failed: Changes,
    /// Failures that become results.
    pub done: Changes,
}

/// Jobs that change their state.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The number of jobs.
    pub count: u64,
    /// The first [`Changes::EXAMPLES`] in list order, each with the reason of its failure, now or before.
    pub examples: Vec<(FileName, String)>,
}

impl Changes {
    /// The maximum number of examples.
    pub const EXAMPLES: usize = 3;

    fn note(&mut self, path: &FileName, reason: &str) {
        self.count += 1;
        if self.examples.len() < Self::EXAMPLES {
            self.examples.push((path.clone(), reason.to_owned()));
        }
    }
}

/// An error that prevents a recheck.
#[derive(Debug, Error)]
pub enum RecheckError {
    /// An expression is invalid.
    #[error(transparent)]
    Expression(#[from] WrongExpression),
    /// An expression needs headers, and an answer was stored without them.
    #[error("the headers of the answer for {path} were not kept")]
    NoHeaders {
        /// The job's name.
        path: FileName,
    },
    /// An answer's file cannot be read.
    #[error("the answer for {path} cannot be read")]
    Unreadable {
        /// The job's name.
        path: FileName,
        /// The error.
        source: io::Error,
    },
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Judges the stored answers by the rules of `call`, and changes nothing.
///
/// # Errors
///
/// The database cannot be read, or the answers cannot be judged by these rules.
pub fn preview(
    reader: &Reader,
    call: &Call,
    rules: &[ClassRule],
) -> Result<Rechecked, RecheckError> {
    let mut recheck = Rechecker::new(call, rules)?;
    reader.responses(&mut |answer| recheck.judge(answer).map(drop))?;
    Ok(recheck.outcome)
}

/// Judges the stored answers by the rules of `call` and stores it as the run's call, in one transaction. Jobs
/// become done, or fail.
///
/// # Errors
///
/// The database cannot be written, or the answers cannot be judged by these rules. Nothing has changed.
pub fn apply(
    store: &mut Store,
    call: &Call,
    rules: &[ClassRule],
) -> Result<Rechecked, RecheckError> {
    let mut recheck = Rechecker::new(call, rules)?;
    store.revalidate(call, &mut |answer| recheck.judge(answer))?;
    Ok(recheck.outcome)
}

/// Judges answers, one after the other.
struct Rechecker<'r> {
    validator: Validator,
    rules: &'r [ClassRule],
    has_body: bool,
    outcome: Rechecked,
}

impl<'r> Rechecker<'r> {
    fn new(call: &Call, rules: &'r [ClassRule]) -> Result<Self, WrongExpression> {
        let usual = Judging::default();
        Ok(Self {
            validator: Validator::new(call.judging().unwrap_or(&usual))?,
            rules,
            has_body: call.has_answer_body(),
            outcome: Rechecked::default(),
        })
    }

    /// Returns the failure of an answer that is not a result.
    fn judge(&mut self, answer: &StoredResponse) -> Result<Option<Failure>, RecheckError> {
        if self.validator.needs_headers() && answer.headers.is_none() {
            let path = answer.path.clone();
            return Err(RecheckError::NoHeaders { path });
        }
        self.outcome.judged += 1;
        let judged = self.validator.validate(&Reply {
            status: answer.status,
            media_type: answer.media_type.as_deref(),
            headers: answer.headers.as_deref(),
            columns: &answer.columns,
            body: &answer.body,
            has_body: self.has_body,
        });
        let unreadable = |source| RecheckError::Unreadable {
            path: answer.path.clone(),
            source,
        };
        let Err(invalid) = judged.map_err(unreadable)? else {
            if !answer.is_result {
                let reason = answer.message.as_deref().unwrap_or_default();
                self.outcome.done.note(&answer.path, reason);
            }
            return Ok(None);
        };
        if answer.is_result {
            self.outcome.failed.note(&answer.path, &invalid.message);
        }
        let beginning = answer.body.beginning(Failure::BODY_KEPT);
        let beginning = beginning.map_err(unreadable)?;
        let class = (self.validator).class(&invalid, self.rules, answer.status, &beginning);
        Ok(Some(Failure {
            status: answer.status,
            body: beginning,
            ..Failure::new(class, invalid.kind, invalid.message)
        }))
    }
}
