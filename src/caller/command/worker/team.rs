//! What the tasks of the workers share.

use std::cell::RefCell;
use std::ffi::OsString;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::pool::Pool;
use crate::caller::command::programs::Programs;

/// Everything that the tasks of the workers share.
pub(super) struct Team {
    pub(super) pool: RefCell<Pool>,
    pub(super) words: Vec<OsString>,
    pub(super) programs: Programs,
    pub(super) worker_start: Duration,
    pub(super) run: String,
    pub(super) is_starter: bool,
    pub(super) on_stop: Box<dyn Fn(bool) + Send>,
    /// Set when a worker has ended.
    pub(super) removed: Notify,
    /// Set when workers have to be started.
    pub(super) starts: Notify,
}

impl Team {
    /// Deals calls, and has the workers started that they need.
    pub(super) fn turn(&self) {
        let mut pool = self.pool.borrow_mut();
        pool.deal(Instant::now());
        if pool.has_to_start() {
            self.starts.notify_one();
        }
    }

    /// Removes a worker that has ended, and deals again.
    pub(super) fn remove(&self, index: usize) {
        self.pool.borrow_mut().remove(index);
        self.removed.notify_one();
        self.turn();
    }
}
