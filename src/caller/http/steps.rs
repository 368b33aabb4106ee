//! Judges the answers of a job's requests before the last, and of those that are repeated until the service is ready.

use std::io;

use serde_json::Value;

use super::classify;
use super::judge::{Judge, Received};
use super::message::Message;
use super::plan::StepPlan;
use super::redirect::FOLLOWED;
use crate::job::{Answer, Class, Failure, FailureKind, Outcome, said, shortened};
use crate::validate::{Readiness, Reply};

/// The maximum length of a service's words for a job's state, in characters.
const LONGEST_WORDS: usize = 60;

/// The usual names of a job's state.
const STATES: [&str; 6] = ["status", "state", "phase", "job_status", "stage", "Status"];

impl Judge {
    /// Returns the request that was answered.
    pub(super) fn message(&self) -> &Message {
        &self.filled.messages[self.step]
    }

    pub(super) fn step_plan(&self) -> &StepPlan {
        &self.plan.steps[self.step]
    }

    /// Returns whether the answer is that of the job's last request.
    pub(super) fn is_last(&self) -> bool {
        self.step + 1 == self.plan.steps.len()
    }

    /// Returns whether an answer of this status is read whole and judged.
    pub(super) fn takes(&self, status: u16, has_location: bool) -> bool {
        let is_named = self.is_last() && self.plan.validator.names(status);
        self.leads_on(status) && has_location
            || classify::is_good(&self.plan.rules, status, is_named)
    }

    /// Returns whether a redirect is an answer like any other, because a later request takes its address: that of a poll,
    /// which the expressions judge, and 303, which has the result elsewhere (RFC 9110, section 15.4.4).
    fn leads_on(&self, status: u16) -> bool {
        let step = self.step_plan();
        let is_one = match step.poll {
            Some(_) => FOLLOWED.contains(&status),
            None => status == 303,
        };
        is_one && step.headers.contains("location")
    }

    /// Returns the outcome of an answer that does not end the job, or the answer of the last request, to be judged by the
    /// rules for results.
    pub(super) fn judge_step(&self, received: Received) -> io::Result<Result<Received, Outcome>> {
        if self.is_last() && self.step_plan().poll.is_none() {
            return Ok(Ok(received));
        }
        let bill = self.plan.validator.bill(&self.reply(&received));
        if let Some(poll) = &self.step_plan().poll {
            let answer = &received.answer;
            let body = answer.body.bytes()?;
            let failure = |class, kind, message: &str| -> io::Result<Outcome> {
                Ok(Outcome::Failed(Failure {
                    status: answer.status,
                    body: self.keep(&self.beginning(&answer.body)?),
                    hint: answer.hint.clone(),
                    ..self.failure(class, kind, message)
                }))
            };
            let redirect = answer.status.filter(|status| FOLLOWED.contains(status));
            let readiness = poll.readiness(&self.reply(&received), &body);
            let outcome = match (readiness, redirect) {
                (Readiness::Ready, _) => None,
                (Readiness::NotReady | Readiness::Unclear(_), Some(status)) => {
                    let message = format!(
                        "HTTP {status}: this redirect is not followed, and --poll-until is not true of it"
                    );
                    Some(failure(Class::Rejected, FailureKind::Redirect, &message)?)
                }
                (Readiness::NotReady, None) => Some(Outcome::NotReady {
                    status: answer.status,
                    wait: received.stated,
                    words: self.filled.secrets.mask_text(&state(answer, &body)),
                    hint: answer.hint.clone(),
                }),
                (Readiness::JobFailed, _) => {
                    let words = said(&self.beginning(&answer.body)?);
                    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
                    let message = format!("the service says that the job failed: {words}");
                    Some(failure(Class::Rejected, FailureKind::JobFailed, &message)?)
                }
                (Readiness::Unclear(message), None) => Some(failure(
                    Class::BadResponse,
                    FailureKind::NotSuccessful,
                    &message,
                )?),
            };
            if let Some(outcome) = outcome {
                return Ok(Err(outcome.stating(bill)));
            }
        }
        let Some(next) = self.plan.steps.get(self.step + 1) else {
            return Ok(Ok(received));
        };
        let advanced = Outcome::Advanced {
            answer: Box::new(received.answer),
            next: next.kind,
            wait: received.stated,
        };
        Ok(Err(advanced.stating(bill)))
    }

    /// Returns an answer as the rules see it.
    pub(super) fn reply<'r>(&'r self, received: &'r Received) -> Reply<'r> {
        let answer = &received.answer;
        Reply {
            status: answer.status,
            media_type: answer.media_type.as_deref(),
            headers: received.headers.as_deref(),
            columns: &self.columns,
            body: &answer.body,
            has_body: self.has_body,
        }
    }
}

/// Returns the service's word for the state of a job, or else the status of its answer.
fn state(answer: &Answer, body: &[u8]) -> String {
    let body: Option<Value> = serde_json::from_slice(body).ok();
    let word = body.as_ref().and_then(|body| {
        let mut words = STATES.iter().filter_map(|name| body.get(name)?.as_str());
        words.next()
    });
    match (word, answer.status) {
        (Some(word), _) => shortened(word.as_bytes(), LONGEST_WORDS),
        (None, Some(status)) => format!("HTTP {status}"),
        (None, None) => String::new(),
    }
}
