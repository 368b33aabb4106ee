//! A chunk thread: gets a claim, makes the call, reports what it came to, until there is no claim more.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use super::writer::{Message, Report};
use crate::caller::{Caller, Cancel};
use crate::job::{Checksum, Class, Failure, Outcome};
use crate::retry::RetryPolicy;
use crate::store::{Claim, Settlement};

/// What a chunk thread is made of. It shares nothing with the others.
pub(super) struct Chunk {
    pub(super) index: usize,
    pub(super) caller: Box<dyn Caller>,
    pub(super) policy: RetryPolicy,
    pub(super) cancel: Cancel,
    pub(super) claims: Receiver<Claim>,
    pub(super) writer: Sender<Message>,
}

impl Chunk {
    /// Works until the writer drops its end.
    pub(super) fn run(mut self) {
        while let Ok(claim) = self.claims.recv() {
            let (report, panicked) = self.call(claim);
            if self.writer.send(Message::Report(Box::new(report))).is_err() || panicked {
                return;
            }
        }
    }

    fn call(&mut self, claim: Claim) -> (Report, bool) {
        let began = Instant::now();
        let call = || self.caller.call(&claim.job, &claim.attempt, &self.cancel);
        // After a panic the caller is not used again: this thread ends.
        let outcome = catch_unwind(AssertUnwindSafe(call));
        let took = began.elapsed();
        let panicked = outcome.is_err();
        let outcome = outcome.unwrap_or_else(|_| {
            Outcome::InDoubt(Failure::new(
                Class::Local,
                "panicked",
                "the caller panicked during the call",
            ))
        });
        (self.report(claim, outcome, took, panicked), panicked)
    }

    fn report(&self, claim: Claim, outcome: Outcome, took: Duration, panicked: bool) -> Report {
        let (outcome, checksum) = summed(outcome);
        let doubt = matches!(outcome, Outcome::InDoubt(_));
        let (next, record) = if panicked {
            self.policy.after_crash(claim.record, fastrand::f64())
        } else if doubt && self.cancel.is_cancelled() {
            self.policy.after_stop(claim.record)
        } else {
            self.policy.after(claim.record, &outcome, fastrand::f64())
        };
        let settlement = Settlement {
            attempt: claim.attempt.id,
            outcome,
            checksum,
            took,
            next,
            record,
        };
        Report {
            thread: self.index,
            claim,
            settlement,
            panicked,
        }
    }
}

/// An outcome with the checksum of its answer. An answer that cannot be read again is lost.
fn summed(outcome: Outcome) -> (Outcome, Option<Checksum>) {
    let checksum = match &outcome {
        Outcome::Succeeded(answer) => answer.body.checksum(),
        _ => return (outcome, None),
    };
    match checksum {
        Ok(checksum) => (outcome, Some(checksum)),
        Err(error) => (Outcome::InDoubt(Failure::unkept(&error)), None),
    }
}
