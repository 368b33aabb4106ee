//! Judging stored answers again, without any call: by other rules than those under which they came.

use std::io;

use thiserror::Error;

use crate::failure_class::ClassRule;
use crate::job::{Failure, FileName};
use crate::settings::{Call, Request};
use crate::store::{Answered, Reader, Store, StoreError};
use crate::validate::{Reply, Validator, WrongExpression};

/// What judging again comes to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Report {
    /// How many answers were judged.
    pub judged: u64,
    /// Results that are none.
    pub failed: Changed,
    /// Answers that had been refused, and are results.
    pub done: Changed,
}

/// Jobs that change their state.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Changed {
    /// How many.
    pub count: u64,
    /// At most [`Changed::EXAMPLES`] of them, the first in list order, each with the reason for which it fails, or
    /// had failed.
    pub examples: Vec<(FileName, String)>,
}

impl Changed {
    /// How many examples are kept.
    pub const EXAMPLES: usize = 3;

    fn note(&mut self, path: &FileName, reason: &str) {
        self.count += 1;
        if self.examples.len() < Self::EXAMPLES {
            self.examples.push((path.clone(), reason.to_owned()));
        }
    }
}

/// Why answers cannot be judged again.
#[derive(Debug, Error)]
pub enum RecheckError {
    /// An expression is none.
    #[error(transparent)]
    Expression(#[from] WrongExpression),
    /// An expression looks at headers, and an answer was stored without.
    #[error("the headers of the answer for {path} were not kept")]
    NoHeaders {
        /// The job's name.
        path: FileName,
    },
    /// The file that an answer is in cannot be read.
    #[error("the answer for {path} cannot be read")]
    Unreadable {
        /// The job's name.
        path: FileName,
        /// Why.
        source: io::Error,
    },
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Judges the stored answers as `request` says, and changes nothing.
///
/// # Errors
///
/// The database cannot be read, or the answers cannot be judged in this way.
pub fn look(
    reader: &Reader,
    request: &Request,
    rules: &[ClassRule],
) -> Result<Report, RecheckError> {
    let mut bench = Bench::new(request, rules)?;
    reader.answers(&mut |answer| bench.judge(answer).map(drop))?;
    Ok(bench.report)
}

/// Judges the stored answers as `request` says, which becomes the run's request: jobs become done, or fail. All or
/// nothing.
///
/// # Errors
///
/// The database cannot be written, or the answers cannot be judged in this way; then nothing was changed.
pub fn apply(
    store: &mut Store,
    request: &Request,
    rules: &[ClassRule],
) -> Result<Report, RecheckError> {
    let mut bench = Bench::new(request, rules)?;
    let call = Call::Http(Box::new(request.clone()));
    store.rejudge(&call, &mut |answer| bench.judge(answer))?;
    Ok(bench.report)
}

/// Where answers are judged, one after the other.
struct Bench<'r> {
    validator: Validator,
    rules: &'r [ClassRule],
    has_body: bool,
    report: Report,
}

impl<'r> Bench<'r> {
    fn new(request: &Request, rules: &'r [ClassRule]) -> Result<Self, WrongExpression> {
        Ok(Self {
            validator: Validator::new(&request.judging)?,
            rules,
            has_body: request.has_answer_body(),
            report: Report::default(),
        })
    }

    /// Why an answer is no result, where it is none.
    fn judge(&mut self, answer: &Answered) -> Result<Option<Failure>, RecheckError> {
        if self.validator.needs_headers() && answer.headers.is_none() {
            let path = answer.path.clone();
            return Err(RecheckError::NoHeaders { path });
        }
        self.report.judged += 1;
        let judged = self.validator.validate(&Reply {
            status: answer.status,
            media_type: answer.media_type.as_deref(),
            headers: answer.headers.as_deref(),
            body: &answer.body,
            has_body: self.has_body,
        });
        let unreadable = |source| RecheckError::Unreadable {
            path: answer.path.clone(),
            source,
        };
        let Err(refusal) = judged.map_err(unreadable)? else {
            if !answer.is_result {
                let reason = answer.message.as_deref().unwrap_or_default();
                self.report.done.note(&answer.path, reason);
            }
            return Ok(None);
        };
        if answer.is_result {
            self.report.failed.note(&answer.path, &refusal.message);
        }
        let beginning = answer.body.beginning(Failure::BODY_KEPT);
        let beginning = beginning.map_err(unreadable)?;
        let class = refusal.class(self.rules, answer.status, &beginning);
        Ok(Some(Failure {
            status: answer.status,
            body: beginning,
            ..Failure::new(class, refusal.kind, refusal.message)
        }))
    }
}
