//! A chunk: gets a claim, makes the call, reports what it came to, until there is no claim more. In a thread of its
//! own, or beside others at a driver.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use super::message::{Message, Report};
use crate::caller::{AsyncCaller, Caller, Calling, Cancel};
use crate::job::{Body, Checksum, Class, Failure, Outcome};
use crate::retry::RetryPolicy;
use crate::store::{Claim, Settlement};

/// Calls are shallow; thousands of threads should not reserve megabytes each.
pub(super) const STACK: usize = 1 << 20;

/// The checksum of an answer up to this size is made where it arrived, in bytes.
const SUMMED_AT_ONCE: u64 = 64 << 10;

/// What a chunk is made of. It shares nothing with the others.
pub(super) struct Chunk<C> {
    pub(super) index: usize,
    pub(super) caller: C,
    pub(super) policy: RetryPolicy,
    pub(super) cancel: Cancel,
}

/// A chunk with a thread to itself.
pub(super) type BlockingChunk = Chunk<Box<dyn Caller>>;
/// A chunk that shares a thread.
pub(super) type AsyncChunk = Chunk<Box<dyn AsyncCaller>>;

impl BlockingChunk {
    /// Works until the writer drops its end.
    pub(super) fn run(mut self, claims: &Receiver<Claim>, writer: &Sender<Message>) {
        while let Ok(claim) = claims.recv() {
            let began = Instant::now();
            let call = || (self.caller).call(&claim.job, &claim.attempt, &self.cancel);
            // After a panic the caller is not used again: this thread ends.
            let called = catch_unwind(AssertUnwindSafe(call));
            let took = began.elapsed();
            let panicked = called.is_err();
            let (outcome, checksum) = summed(called.unwrap_or_else(|_| crashed()));
            let report = self.report(claim, outcome, checksum, took, panicked);
            let told = writer.send(Message::Reports(vec![report]));
            if told.is_err() || panicked {
                return;
            }
        }
    }
}

impl AsyncChunk {
    /// Makes one call.
    pub(super) async fn call(&mut self, claim: Claim) -> Report {
        let began = Instant::now();
        let call = (self.caller).call(&claim.job, &claim.attempt, &self.cancel);
        let called = caught(call).await;
        let took = began.elapsed();
        let panicked = called.is_err();
        let outcome = called.unwrap_or_else(|_| crashed());
        let (outcome, checksum) = if is_summed_at_once(&outcome) {
            summed(outcome)
        } else {
            let summed = tokio::task::spawn_blocking(move || summed(outcome)).await;
            summed.unwrap_or_else(|_| (crashed(), None))
        };
        self.report(claim, outcome, checksum, took, panicked)
    }
}

impl<C> Chunk<C> {
    fn report(
        &self,
        claim: Claim,
        outcome: Outcome,
        checksum: Option<Checksum>,
        took: Duration,
        panicked: bool,
    ) -> Report {
        let doubt = matches!(outcome, Outcome::InDoubt(_));
        let (next, record) = if panicked {
            self.policy.after_panic(claim.record, fastrand::f64())
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

/// What a call came to, or that it panicked.
async fn caught(mut call: Calling<'_>) -> thread::Result<Outcome> {
    poll_fn(|context| {
        // After a panic neither the call nor its caller is used again.
        match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(outcome)) => Poll::Ready(Ok(outcome)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await
}

fn crashed() -> Outcome {
    Outcome::InDoubt(Failure::new(
        Class::Local,
        "panicked",
        "the caller panicked during the call",
    ))
}

fn is_summed_at_once(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Succeeded(answer) => is_at_hand(&answer.body),
        _ => true,
    }
}

fn is_at_hand(body: &Body) -> bool {
    body.in_memory().is_some() && body.len() <= SUMMED_AT_ONCE
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
