//! A slot takes a claim, makes the call and reports the outcome, until the claim channel closes. It runs in its own
//! thread or at a driver.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use super::message::{Message, Report};
use crate::caller::{AsyncCaller, Caller, Calling, Cancel};
use crate::job::{Checksum, Class, Failure, FailureKind, Outcome, Step};
use crate::retry::{Next, RetryPolicy};
use crate::settings::show_duration;
use crate::store::{Claim, Settlement};

/// Stack of a thread, in bytes: small, because calls are shallow and there may be thousands of threads.
pub(super) const STACK: usize = 1 << 20;

/// Answers up to this size, in bytes, are hashed on the driver thread.
const HASHED_INLINE: u64 = 64 << 10;

/// Runs calls one at a time.
pub(super) struct Slot<C> {
    pub(super) index: usize,
    pub(super) caller: C,
    pub(super) policy: RetryPolicy,
    pub(super) cancel: Cancel,
}

/// A slot with its own thread.
pub(super) type BlockingSlot = Slot<Box<dyn Caller>>;
/// A slot on a driver thread.
pub(super) type AsyncSlot = Slot<Box<dyn AsyncCaller>>;

impl BlockingSlot {
    /// Runs until the writer drops the claim channel.
    pub(super) fn run(mut self, claims: &Receiver<Claim>, writer: &Sender<Message>) {
        while let Ok(claim) = claims.recv() {
            let began = Instant::now();
            let call = || (self.caller).call(&claim.job, &claim.attempt, &self.cancel);
            // Never reuse a caller that panicked: this thread ends.
            let called = catch_unwind(AssertUnwindSafe(call));
            let took = began.elapsed();
            let panicked = called.is_err();
            let (outcome, checksum) = hashed(called.unwrap_or_else(|_| panicked_outcome()));
            let report = self.report(claim, outcome, checksum, took, panicked);
            let sent = writer.send(Message::Reports(vec![report]));
            if sent.is_err() || panicked {
                return;
            }
        }
    }
}

impl AsyncSlot {
    /// Makes one call.
    pub(super) async fn call(&mut self, claim: Claim) -> Report {
        let began = Instant::now();
        let call = (self.caller).call(&claim.job, &claim.attempt, &self.cancel);
        let called = catch_panic(call).await;
        let took = began.elapsed();
        let panicked = called.is_err();
        let outcome = called.unwrap_or_else(|_| panicked_outcome());
        let (outcome, checksum) = if is_hashed_inline(&outcome) {
            hashed(outcome)
        } else {
            let hashed = tokio::task::spawn_blocking(move || hashed(outcome)).await;
            hashed.unwrap_or_else(|_| (panicked_outcome(), None))
        };
        self.report(claim, outcome, checksum, took, panicked)
    }
}

impl<C> Slot<C> {
    fn report(
        &self,
        claim: Claim,
        outcome: Outcome,
        checksum: Option<Checksum>,
        took: Duration,
        panicked: bool,
    ) -> Report {
        let in_doubt = matches!(outcome, Outcome::InDoubt(_));
        let step = &claim.attempt.step;
        let (next, record) = if panicked {
            self.policy.after_panic(claim.record, step, fastrand::f64())
        } else if in_doubt && self.cancel.is_cancelled() {
            self.policy.after_stop(claim.record, step)
        } else {
            (self.policy).after(claim.record, &claim.attempt, &outcome, fastrand::f64())
        };
        let mut outcome = end_polls(&self.policy, step, outcome, next);
        if let Some(failure) = outcome.failure_mut() {
            failure.at(step);
        }
        let settlement = Settlement {
            attempt: claim.attempt.id,
            step: *step,
            outcome,
            checksum,
            took,
            // The writer sets it.
            price: None,
            next,
            record,
        };
        Report {
            slot: self.index,
            claim,
            settlement,
            panicked,
        }
    }
}

/// Polls a call and catches its panic.
async fn catch_panic(mut call: Calling<'_>) -> thread::Result<Outcome> {
    poll_fn(|context| {
        // Neither the call nor its caller is reused after a panic.
        match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(outcome)) => Poll::Ready(Ok(outcome)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await
}

fn panicked_outcome() -> Outcome {
    Outcome::InDoubt(Failure::new(
        Class::Local,
        FailureKind::Panicked,
        "the caller panicked during the call",
    ))
}

/// Makes an answer that says "not ready" a failure if the job is not polled again.
pub(super) fn end_polls(
    policy: &RetryPolicy,
    step: &Step,
    outcome: Outcome,
    next: Next,
) -> Outcome {
    match (outcome, next) {
        (Outcome::NotReady { status, words, .. }, Next::Fail) => {
            Outcome::Failed(timed_out(policy, step, status, &words))
        }
        (outcome, _) => outcome,
    }
}

/// Returns the failure of a job that was not ready for as long as polling may last.
fn timed_out(policy: &RetryPolicy, step: &Step, status: Option<u16>, words: &str) -> Failure {
    let polls = match step.asked.saturating_add(1) {
        1 => "1 poll".to_owned(),
        polls => format!("{polls} polls"),
    };
    let limit = show_duration(policy.poll_for);
    let message = format!("not ready within {limit} (--poll-for) and {polls}: {words}");
    Failure {
        status,
        ..Failure::new(Class::Transient, FailureKind::PollTimedOut, message)
    }
}

fn is_hashed_inline(outcome: &Outcome) -> bool {
    let Outcome::Succeeded(answer) = outcome else {
        return true;
    };
    answer.body.in_memory().is_some() && answer.body.len() <= HASHED_INLINE
}

/// Hashes the answer. An answer that cannot be read back is in doubt.
fn hashed(outcome: Outcome) -> (Outcome, Option<Checksum>) {
    let checksum = match &outcome {
        Outcome::Succeeded(answer) => answer.body.checksum(),
        _ => return (outcome, None),
    };
    match checksum {
        Ok(checksum) => (outcome, Some(checksum)),
        Err(error) => (Outcome::InDoubt(Failure::unkept(&error)), None),
    }
}
