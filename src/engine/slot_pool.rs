//! Slots: each runs the calls of one chunk, one at a time. A blocking slot has a thread, an async slot shares a
//! driver's. A slot ends when its channel is dropped.

use std::io;
use std::sync::mpsc::{self, Sender};
use std::thread;

use super::driver::{Drivers, SlotHandle};
use super::error::RunError;
use super::message::Message;
use super::slot::{STACK, Slot};
use crate::caller::{Cancel, SlotCaller};
use crate::governor::Permit;
use crate::retry::RetryPolicy;
use crate::store::Claim;

/// Creates the caller for one more slot.
pub type MakeCaller<'c> =
    dyn FnMut() -> Result<SlotCaller, Box<dyn std::error::Error + Send + Sync>> + Send + 'c;

pub(super) struct SlotPool<'c> {
    make: &'c mut MakeCaller<'c>,
    writer: Sender<Message>,
    cancel: Cancel,
    policy: RetryPolicy,
    slots: Vec<SlotState>,
    drivers: Drivers,
    in_flight: usize,
}

/// Carries claims to a slot.
enum Channel {
    Thread(Sender<Claim>),
    Driver(SlotHandle),
}

#[derive(Default)]
struct SlotState {
    /// `None` once the slot is retired.
    claims: Option<Channel>,
    flight: Option<Flight>,
    /// Retire after the current call.
    retiring: bool,
}

/// A call in flight: its claim and its permit.
pub(super) struct Flight {
    pub(super) claim: Claim,
    pub(super) permit: Permit,
}

impl SlotState {
    fn is_active(&self) -> bool {
        self.claims.is_some() && !self.retiring
    }
}

impl<'c> SlotPool<'c> {
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
            slots: Vec::new(),
            drivers: Drivers::default(),
            in_flight: 0,
        }
    }

    /// Spawns the lowest free slot and returns its index.
    pub(super) fn spawn(&mut self) -> Result<usize, RunError> {
        let free = |slot: &SlotState| slot.claims.is_none() && slot.flight.is_none();
        let index = self.slots.iter().position(free).unwrap_or(self.slots.len());
        let caller = (self.make)().map_err(|source| RunError::Caller { index, source })?;
        let channel = self.start(index, caller);
        let channel = channel.map_err(|source| RunError::Thread { source })?;
        if index == self.slots.len() {
            self.slots.push(SlotState::default());
        }
        self.slots[index].claims = Some(channel);
        Ok(index)
    }

    fn start(&mut self, index: usize, caller: SlotCaller) -> io::Result<Channel> {
        match caller {
            SlotCaller::Async(caller) => {
                let slot = self.slot(index, caller);
                let handle = self.drivers.add(index, slot, &self.writer);
                handle.map(Channel::Driver)
            }
            SlotCaller::Blocking(caller) => {
                let slot = self.slot(index, caller);
                let (claims, from_writer) = mpsc::channel();
                let writer = self.writer.clone();
                thread::Builder::new()
                    .name(format!("chunk {index}"))
                    .stack_size(STACK)
                    .spawn(move || slot.run(&from_writer, &writer))?;
                Ok(Channel::Thread(claims))
            }
        }
    }

    fn slot<C>(&self, index: usize, caller: C) -> Slot<C> {
        Slot {
            index,
            caller,
            policy: self.policy,
            cancel: self.cancel.clone(),
        }
    }

    /// Counts the active slots.
    pub(super) fn active(&self) -> usize {
        self.slots.iter().filter(|slot| slot.is_active()).count()
    }

    /// Keeps the first `most` slots and retires the others, each after its current call. Returns how many slots became
    /// active again, and how many stopped being active.
    pub(super) fn resize(&mut self, most: usize) -> (usize, usize) {
        let (mut added, mut removed) = (0, 0);
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let was_active = slot.is_active();
            slot.retiring = index >= most && slot.flight.is_some();
            if index >= most && slot.flight.is_none() {
                slot.claims = None;
            }
            added += usize::from(!was_active && slot.is_active());
            removed += usize::from(was_active && !slot.is_active());
        }
        (added, removed)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Hands a claim to a slot, at the latest with the next [`Self::flush`].
    pub(super) fn send(&mut self, index: usize, claim: Claim, permit: Permit) {
        self.in_flight += 1;
        let slot = &mut self.slots[index];
        slot.flight = Some(Flight {
            claim: claim.clone(),
            permit,
        });
        match &slot.claims {
            // A thread ends only after a panic, and its slot then gets no claim.
            Some(Channel::Thread(claims)) => drop(claims.send(claim)),
            Some(Channel::Driver(handle)) => self.drivers.call(handle, claim),
            None => {}
        }
    }

    /// Wakes the drivers that have new claims.
    pub(super) fn flush(&mut self) {
        self.drivers.flush();
    }

    /// Frees a slot whose call has ended.
    pub(super) fn complete(&mut self, index: usize) -> Option<Flight> {
        let slot = &mut self.slots[index];
        let flight = slot.flight.take();
        if std::mem::take(&mut slot.retiring) {
            slot.claims = None;
        }
        self.in_flight -= usize::from(flight.is_some());
        flight
    }

    /// Takes all calls in flight. Their reports will be ignored.
    pub(super) fn abandon(&mut self) -> Vec<Flight> {
        self.in_flight = 0;
        let flights = self.slots.iter_mut().filter_map(|slot| slot.flight.take());
        flights.collect()
    }
}
