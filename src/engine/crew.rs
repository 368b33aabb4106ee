//! The chunk threads: making them, and letting them go. A thread ends when the sender of its claims is dropped.

use std::sync::mpsc::{self, Sender};
use std::thread;

use super::chunk::Chunk;
use super::writer::Message;
use super::{MakeCaller, RunError};
use crate::caller::Cancel;
use crate::governor::Pass;
use crate::retry::RetryPolicy;
use crate::store::Claim;

/// Calls are shallow; thousands of threads should not reserve megabytes each.
const STACK: usize = 1 << 20;

pub(super) struct Crew<'c> {
    make: &'c mut MakeCaller<'c>,
    writer: Sender<Message>,
    cancel: Cancel,
    policy: RetryPolicy,
    threads: Vec<Thread>,
    in_flight: usize,
}

#[derive(Default)]
struct Thread {
    /// None where the thread was let go.
    claims: Option<Sender<Claim>>,
    flight: Option<Flight>,
    /// It is let go when its call has ended.
    leaves: bool,
}

/// A call in flight: its claim, and what it took through the governor.
pub(super) struct Flight {
    pub(super) claim: Claim,
    pub(super) pass: Pass,
}

impl Thread {
    fn stays(&self) -> bool {
        self.claims.is_some() && !self.leaves
    }
}

impl<'c> Crew<'c> {
    pub(super) fn new(
        make: &'c mut MakeCaller<'c>,
        writer: Sender<Message>,
        cancel: Cancel,
        policy: RetryPolicy,
    ) -> Self {
        Self {
            make,
            writer,
            cancel,
            policy,
            threads: Vec::new(),
            in_flight: 0,
        }
    }

    /// Makes one more thread: the first index that has none. Returns which.
    pub(super) fn hire(&mut self) -> Result<usize, RunError> {
        let free = |thread: &Thread| thread.claims.is_none() && thread.flight.is_none();
        let index = self
            .threads
            .iter()
            .position(free)
            .unwrap_or(self.threads.len());
        let caller = (self.make)().map_err(|source| RunError::Caller { index, source })?;
        let (claims, from_writer) = mpsc::channel();
        let chunk = Chunk {
            index,
            caller,
            policy: self.policy,
            cancel: self.cancel.clone(),
            claims: from_writer,
            writer: self.writer.clone(),
        };
        thread::Builder::new()
            .name(format!("chunk {index}"))
            .stack_size(STACK)
            .spawn(move || chunk.run())
            .map_err(|source| RunError::Thread { index, source })?;
        if index == self.threads.len() {
            self.threads.push(Thread::default());
        }
        self.threads[index].claims = Some(claims);
        Ok(index)
    }

    /// How many threads there are that stay.
    pub(super) fn working(&self) -> usize {
        self.threads.iter().filter(|thread| thread.stays()).count()
    }

    /// Keeps the threads before this index, and lets the others go, each when its call has ended. Returns how
    /// many more and how many fewer there are than before.
    pub(super) fn keep(&mut self, most: usize) -> (usize, usize) {
        let (mut more, mut fewer) = (0, 0);
        for (index, thread) in self.threads.iter_mut().enumerate() {
            let stayed = thread.stays();
            thread.leaves = index >= most && thread.flight.is_some();
            if index >= most && thread.flight.is_none() {
                thread.claims = None;
            }
            more += usize::from(!stayed && thread.stays());
            fewer += usize::from(stayed && !thread.stays());
        }
        (more, fewer)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Lets a thread call.
    pub(super) fn send(&mut self, index: usize, claim: Claim, pass: Pass) {
        self.in_flight += 1;
        let thread = &mut self.threads[index];
        thread.flight = Some(Flight {
            claim: claim.clone(),
            pass,
        });
        if let Some(claims) = &thread.claims {
            // A thread ends only after a panic, and one that panicked does not ask.
            let _ = claims.send(claim);
        }
    }

    /// A thread's call has ended.
    pub(super) fn land(&mut self, index: usize) -> Option<Flight> {
        let thread = &mut self.threads[index];
        let flight = thread.flight.take();
        if std::mem::take(&mut thread.leaves) {
            thread.claims = None;
        }
        self.in_flight -= usize::from(flight.is_some());
        flight
    }

    /// Every call that is still in flight: nobody waits for it any longer.
    pub(super) fn write_off(&mut self) -> Vec<Claim> {
        self.in_flight = 0;
        let flights = self
            .threads
            .iter_mut()
            .filter_map(|thread| thread.flight.take());
        flights.map(|flight| flight.claim).collect()
    }
}
