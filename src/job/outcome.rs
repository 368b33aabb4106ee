//! Outcomes of attempts.

use std::time::Duration;

use super::{Answer, Bill, Failure, Hint, StepKind};

/// The outcome of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A complete and successful answer; of the last step, if there are several.
    Succeeded(Answer),
    /// A complete answer of a step that is not the last.
    Advanced {
        /// The answer, for the steps after it.
        answer: Box<Answer>,
        /// The kind of the next step.
        next: StepKind,
        /// The wait before the next step that the service asks for, if it states one.
        wait: Option<Duration>,
    },
    /// The definite answer to a poll: not ready.
    NotReady {
        /// The HTTP status, if there is one.
        status: Option<u16>,
        /// The wait that the service asks for, if it states one.
        wait: Option<Duration>,
        /// The job's state in the service's words, in short.
        words: String,
        /// The limits that the service stated, if any.
        hint: Option<Box<Hint>>,
    },
    /// A definite failure: the service rejected the call, its answer is unusable, or the file became shorter while it
    /// was sent.
    Failed(Failure),
    /// The service asks every caller to wait.
    Throttled {
        /// The service's answer.
        failure: Failure,
        /// The wait that the service asks for, if it states one.
        wait: Option<Duration>,
    },
    /// Certainly not processed: no connection was made, the service refused the request over HTTP/2, or no file
    /// descriptor was left. The job is not the cause.
    Unreachable(Failure),
    /// Certainly not sent, because no request could be built. The job is the cause; its file may be missing.
    Unsendable(Failure),
    /// Possibly sent, without an answer.
    InDoubt(Failure),
    /// Certainly not sent, because a stop came first.
    Interrupted,
}

impl Outcome {
    /// Returns the word under which the outcome is stored.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Succeeded(_) => "succeeded",
            Self::Advanced { .. } => "advanced",
            Self::NotReady { .. } => "not_ready",
            Self::Failed(_) => "failed",
            Self::Throttled { .. } => "throttled",
            Self::Unreachable(_) | Self::Unsendable(_) => "not_sent",
            Self::InDoubt(_) => "in_doubt",
            Self::Interrupted => "interrupted",
        }
    }

    /// Returns what the service stated about its limits and about the call.
    pub fn hint(&self) -> Option<&Hint> {
        match self {
            Self::Succeeded(answer) => answer.hint.as_deref(),
            Self::Advanced { answer, .. } => answer.hint.as_deref(),
            Self::NotReady { hint, .. } => hint.as_deref(),
            outcome => outcome
                .failure()
                .and_then(|failure| failure.hint.as_deref()),
        }
    }

    /// Adds the cost and the weight that the answer states.
    #[must_use]
    pub fn stating(mut self, bill: Bill) -> Self {
        let hint = match &mut self {
            Self::Succeeded(answer) => &mut answer.hint,
            Self::Advanced { answer, .. } => &mut answer.hint,
            Self::NotReady { hint, .. } => hint,
            Self::Failed(failure)
            | Self::Throttled { failure, .. }
            | Self::Unreachable(failure)
            | Self::Unsendable(failure)
            | Self::InDoubt(failure) => &mut failure.hint,
            Self::Interrupted => return self,
        };
        if bill != Bill::default() {
            hint.get_or_insert_default().bill = bill;
        }
        self
    }

    /// Returns the failure, if the outcome is one.
    pub fn failure_mut(&mut self) -> Option<&mut Failure> {
        match self {
            Self::Failed(failure)
            | Self::Throttled { failure, .. }
            | Self::Unreachable(failure)
            | Self::Unsendable(failure)
            | Self::InDoubt(failure) => Some(failure),
            _ => None,
        }
    }

    /// Returns the failure, if the outcome is one.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure)
            | Self::Throttled { failure, .. }
            | Self::Unreachable(failure)
            | Self::Unsendable(failure)
            | Self::InDoubt(failure) => Some(failure),
            Self::Succeeded(_)
            | Self::Advanced { .. }
            | Self::NotReady { .. }
            | Self::Interrupted => None,
        }
    }

    /// Returns the complete answer, if the outcome is one that is kept whole.
    pub fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Succeeded(answer) => Some(answer),
            Self::Advanced { answer, .. } => Some(answer),
            _ => None,
        }
    }
}

/// What a program's call of a step returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The job's result: this was its last step.
    Done(Answer),
    /// The answer of a step that is not the last, and the kind of the next one. That has the answer in
    /// [`Job::answers`](super::Job::answers).
    Next(Answer, StepKind),
    /// The service is not ready yet. The step is called again after `wait`, or after a wait that grows.
    NotReady {
        /// The job's state in the service's words, in short.
        words: String,
        /// The wait that the service asks for, if it states one.
        wait: Option<Duration>,
    },
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self::Done(answer)
    }
}
