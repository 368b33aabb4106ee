//! Drivers: a thread for each processor, each of which has many calls under way. A chunk's caller that can wait without
//! a thread has a seat at one of them, and stays there.
//!
//! A call that is answered costs no change of threads so: one look at the sockets finds what has come for many. With a
//! thread and a runtime for each chunk, more than half of a call's processor time went into falling asleep and
//! waking up.

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

use super::chunk::{AsyncChunk, STACK};
use super::message::{Message, Report};
use crate::store::Claim;

/// The drivers that there are.
#[derive(Default)]
pub(super) struct Drivers(Vec<Driver>);

struct Driver {
    orders: UnboundedSender<Order>,
    /// Calls that it has not been told of yet: it is woken once for all of a group.
    untold: Vec<(usize, Claim)>,
}

/// A chunk's place at its driver. The chunk ends when this is dropped; a call of its that is under way goes on to
/// its end.
pub(super) struct Seat {
    driver: usize,
    index: usize,
    orders: UnboundedSender<Order>,
}

enum Order {
    Seat(usize, AsyncChunk),
    Call(Vec<(usize, Claim)>),
    Leave(usize),
}

impl Drivers {
    /// Gives a chunk a seat.
    pub(super) fn seat(
        &mut self,
        index: usize,
        chunk: AsyncChunk,
        writer: &Sender<Message>,
    ) -> io::Result<Seat> {
        let most = thread::available_parallelism().map_or(1, usize::from);
        let driver = index % most;
        while self.0.len() <= driver {
            let orders = start(self.0.len(), writer.clone())?;
            self.0.push(Driver {
                orders,
                untold: Vec::new(),
            });
        }
        let orders = self.0[driver].orders.clone();
        // It ends only after all its seats are gone.
        let _ = orders.send(Order::Seat(index, chunk));
        Ok(Seat {
            driver,
            index,
            orders,
        })
    }

    /// Has the chunk of this seat make a call, at the latest with the next [`Self::flush`].
    pub(super) fn call(&mut self, seat: &Seat, claim: Claim) {
        self.0[seat.driver].untold.push((seat.index, claim));
    }

    /// Hands over the calls that are to be made.
    pub(super) fn flush(&mut self) {
        for Driver { orders, untold } in &mut self.0 {
            if !untold.is_empty() {
                let _ = orders.send(Order::Call(std::mem::take(untold)));
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let _ = self.orders.send(Order::Leave(self.index));
    }
}

fn start(number: usize, writer: Sender<Message>) -> io::Result<UnboundedSender<Order>> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .thread_name(format!("aside {number}"))
        .thread_stack_size(STACK)
        .build()?;
    let (orders, inbox) = unbounded_channel();
    thread::Builder::new()
        .name(format!("driver {number}"))
        .spawn(move || drive(runtime, inbox, writer))?;
    Ok(orders)
}

/// What a driver and the calls under way at it share.
#[derive(Default)]
struct Desk {
    /// The chunks that are not calling.
    seats: RefCell<HashMap<usize, AsyncChunk>>,
    /// What calls came to and the writer has not been told of yet.
    reports: RefCell<Vec<Report>>,
    has_reports: Notify,
}

/// Works until nobody can give an order any more. Calls that are under way then are dropped: nobody waits for them.
fn drive(runtime: Runtime, mut orders: UnboundedReceiver<Order>, writer: Sender<Message>) {
    let desk = Rc::new(Desk::default());
    LocalSet::new().block_on(&runtime, async {
        spawn_local(report(Rc::clone(&desk), writer));
        while let Some(order) = orders.recv().await {
            match order {
                Order::Seat(index, chunk) => {
                    desk.seats.borrow_mut().insert(index, chunk);
                }
                Order::Leave(index) => {
                    desk.seats.borrow_mut().remove(&index);
                }
                Order::Call(calls) => {
                    for (index, claim) in calls {
                        // One that panicked has left its seat, and is not asked again.
                        let chunk = desk.seats.borrow_mut().remove(&index);
                        if let Some(chunk) = chunk {
                            spawn_local(call(Rc::clone(&desk), index, chunk, claim));
                        }
                    }
                }
            }
        }
    });
    // A thread that reads from a dead disk, or looks a name up, cannot be stopped.
    runtime.shutdown_background();
}

async fn call(desk: Rc<Desk>, index: usize, mut chunk: AsyncChunk, claim: Claim) {
    let report = chunk.call(claim).await;
    if !report.panicked {
        // Before it is reported, for the next call may come at once.
        desk.seats.borrow_mut().insert(index, chunk);
    }
    desk.reports.borrow_mut().push(report);
    desk.has_reports.notify_one();
}

/// Tells the writer what calls came to: all of those together that ended in one turn of the runtime, so that it is not
/// woken for each.
async fn report(desk: Rc<Desk>, writer: Sender<Message>) {
    loop {
        desk.has_reports.notified().await;
        yield_now().await;
        let reports = desk.reports.take();
        // A writer that is gone waits for no report.
        if !reports.is_empty() && writer.send(Message::Reports(reports)).is_err() {
            return;
        }
    }
}
