//! The chunk threads: making them, and letting them go. Some have a thread of the system to themselves, some share a
//! driver's; a chunk ends when its way to get claims is dropped.

use std::io;
use std::sync::mpsc::{self, Sender};
use std::thread;

use super::chunk::{Chunk, STACK};
use super::driver::{Drivers, Seat};
use super::error::RunError;
use super::message::Message;
use crate::caller::{Cancel, Worker};
use crate::governor::Permit;
use crate::retry::RetryPolicy;
use crate::store::Claim;

/// Makes who calls for one more chunk.
pub type MakeCaller<'c> =
    dyn FnMut() -> Result<Worker, Box<dyn std::error::Error + Send + Sync>> + Send + 'c;

pub(super) struct Crew<'c> {
    make: &'c mut MakeCaller<'c>,
    writer: Sender<Message>,
    cancel: Cancel,
    policy: RetryPolicy,
    threads: Vec<Thread>,
    drivers: Drivers,
    in_flight: usize,
}

/// The way to a chunk.
enum Post {
    Thread(Sender<Claim>),
    Seat(Seat),
}

#[derive(Default)]
struct Thread {
    /// None where the thread was let go.
    claims: Option<Post>,
    flight: Option<Flight>,
    /// It is let go when its call has ended.
    leaves: bool,
}

/// A call in flight: its claim and its permit.
pub(super) struct Flight {
    pub(super) claim: Claim,
    pub(super) permit: Permit,
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
            drivers: Drivers::default(),
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
        let worker = (self.make)().map_err(|source| RunError::Caller { index, source })?;
        let post = self.post(index, worker);
        let post = post.map_err(|source| RunError::Thread { index, source })?;
        if index == self.threads.len() {
            self.threads.push(Thread::default());
        }
        self.threads[index].claims = Some(post);
        Ok(index)
    }

    fn post(&mut self, index: usize, worker: Worker) -> io::Result<Post> {
        match worker {
            Worker::Async(caller) => {
                let chunk = self.chunk(index, caller);
                let seat = self.drivers.seat(index, chunk, &self.writer);
                seat.map(Post::Seat)
            }
            Worker::Blocking(caller) => {
                let chunk = self.chunk(index, caller);
                let (claims, from_writer) = mpsc::channel();
                let writer = self.writer.clone();
                thread::Builder::new()
                    .name(format!("chunk {index}"))
                    .stack_size(STACK)
                    .spawn(move || chunk.run(&from_writer, &writer))?;
                Ok(Post::Thread(claims))
            }
        }
    }

    fn chunk<C>(&self, index: usize, caller: C) -> Chunk<C> {
        Chunk {
            index,
            caller,
            policy: self.policy,
            cancel: self.cancel.clone(),
        }
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

    /// Lets a thread call, at the latest with the next [`Self::flush`].
    pub(super) fn send(&mut self, index: usize, claim: Claim, permit: Permit) {
        self.in_flight += 1;
        let thread = &mut self.threads[index];
        thread.flight = Some(Flight {
            claim: claim.clone(),
            permit,
        });
        match &thread.claims {
            // A thread ends only after a panic, and one that panicked does not ask.
            Some(Post::Thread(claims)) => drop(claims.send(claim)),
            Some(Post::Seat(seat)) => self.drivers.call(seat, claim),
            None => {}
        }
    }

    /// Hands over what was sent.
    pub(super) fn flush(&mut self) {
        self.drivers.flush();
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
