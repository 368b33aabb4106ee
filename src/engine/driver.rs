//! Drivers: one thread for each processor, which polls the calls of many slots. A slot stays at its driver.
//!
//! One poll of the sockets serves many calls. With a thread and a runtime for each slot, falling asleep and waking up
//! took more than half of a call's processor time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::mpsc::Sender;
use std::thread;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{LocalSet, spawn_local, yield_now};

use super::message::{Message, Report};
use super::slot::{AsyncSlot, STACK};
use crate::store::Claim;

/// All drivers, by number.
#[derive(Default)]
pub(super) struct Drivers(Vec<Driver>);

struct Driver {
    commands: UnboundedSender<Command>,
    /// Claims to send in one batch, which wakes the driver once.
    buffered: Vec<(usize, Claim)>,
}

/// Handle to a slot on a driver thread. Dropping it retires the slot after its current call.
pub(super) struct SlotHandle {
    driver: usize,
    index: usize,
    commands: UnboundedSender<Command>,
}

enum Command {
    Add(usize, AsyncSlot),
    Call(Vec<(usize, Claim)>),
    Remove(usize),
}

impl Drivers {
    /// Adds a slot to its driver.
    pub(super) fn add(
        &mut self,
        index: usize,
        slot: AsyncSlot,
        writer: &Sender<Message>,
    ) -> io::Result<SlotHandle> {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let driver = index % processors;
        while self.0.len() <= driver {
            let commands = start(self.0.len(), writer.clone())?;
            self.0.push(Driver {
                commands,
                buffered: Vec::new(),
            });
        }
        let commands = self.0[driver].commands.clone();
        // Sending cannot fail, because the driver outlives its handles.
        let _ = commands.send(Command::Add(index, slot));
        Ok(SlotHandle {
            driver,
            index,
            commands,
        })
    }

    /// Hands a claim to a slot, at the latest with the next [`Self::flush`].
    pub(super) fn call(&mut self, handle: &SlotHandle, claim: Claim) {
        self.0[handle.driver].buffered.push((handle.index, claim));
    }

    /// Sends the buffered claims, with one wake-up for each driver.
    pub(super) fn flush(&mut self) {
        for Driver { commands, buffered } in &mut self.0 {
            if !buffered.is_empty() {
                let _ = commands.send(Command::Call(std::mem::take(buffered)));
            }
        }
    }
}

impl Drop for SlotHandle {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Remove(self.index));
    }
}

fn start(number: usize, writer: Sender<Message>) -> io::Result<UnboundedSender<Command>> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .thread_name(format!("blocking {number}"))
        .thread_stack_size(STACK)
        .build()?;
    let (commands, inbox) = unbounded_channel();
    thread::Builder::new()
        .name(format!("driver {number}"))
        .spawn(move || drive(runtime, inbox, writer))?;
    Ok(commands)
}

/// State shared by a driver and its calls.
#[derive(Default)]
struct DriverState {
    /// Slots without a call, by index.
    idle: RefCell<HashMap<usize, AsyncSlot>>,
    /// Reports to send to the writer.
    reports: RefCell<Vec<Report>>,
    has_reports: Notify,
}

/// Runs until all command senders are dropped. Calls still under way are dropped with the runtime.
fn drive(runtime: Runtime, mut commands: UnboundedReceiver<Command>, writer: Sender<Message>) {
    let state = Rc::new(DriverState::default());
    LocalSet::new().block_on(&runtime, async {
        spawn_local(report(Rc::clone(&state), writer));
        while let Some(command) = commands.recv().await {
            match command {
                Command::Add(index, slot) => {
                    state.idle.borrow_mut().insert(index, slot);
                }
                Command::Remove(index) => {
                    state.idle.borrow_mut().remove(&index);
                }
                Command::Call(calls) => {
                    for (index, claim) in calls {
                        // A slot that panicked was not put back.
                        let slot = state.idle.borrow_mut().remove(&index);
                        if let Some(slot) = slot {
                            spawn_local(call(Rc::clone(&state), index, slot, claim));
                        }
                    }
                }
            }
        }
    });
    // Do not wait: a thread that reads from a dead disk, or resolves a name, cannot be stopped.
    runtime.shutdown_background();
}

async fn call(state: Rc<DriverState>, index: usize, mut slot: AsyncSlot, claim: Claim) {
    let report = slot.call(claim).await;
    if !report.panicked {
        // Put the slot back before the report, as its next claim may follow at once.
        state.idle.borrow_mut().insert(index, slot);
    }
    state.reports.borrow_mut().push(report);
    state.has_reports.notify_one();
}

/// Sends the reports of each turn of the runtime in one batch, which wakes the writer once.
async fn report(state: Rc<DriverState>, writer: Sender<Message>) {
    loop {
        state.has_reports.notified().await;
        yield_now().await;
        let reports = state.reports.take();
        // A failed send means that the writer has ended.
        if !reports.is_empty() && writer.send(Message::Reports(reports)).is_err() {
            return;
        }
    }
}
