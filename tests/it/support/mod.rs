//! Tools of the tests: a fake API, gates and counters to wait at, runs on real files.
#![allow(
    dead_code,
    reason = "a tool box; not every tool is in use at every moment"
)]

pub(crate) mod api;
mod raw;
mod reply;
mod run;
mod tools;
mod until;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

pub(crate) use api::{FakeApi, Logged, Request};
pub(crate) use raw::RawServer;
pub(crate) use reply::Reply;
pub(crate) use run::*;
pub(crate) use tools::{Typist, has_tool, terminal};
pub(crate) use until::holds_in_time;

/// The longest wait for an event, far longer than it can take.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A number that only grows, for waiting until it has grown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counter(Arc<(Mutex<usize>, Condvar)>);

impl Counter {
    /// Counts one more, and says how many there were before.
    pub(crate) fn add(&self) -> usize {
        let (count, changed) = &*self.0;
        let mut count = lock(count);
        *count += 1;
        changed.notify_all();
        *count - 1
    }

    pub(crate) fn get(&self) -> usize {
        *lock(&self.0.0)
    }

    /// Blocks until at least `n` were counted.
    ///
    /// # Panics
    ///
    /// It takes longer than [`LIMIT`].
    pub(crate) fn wait_for(&self, n: usize) {
        let (count, changed) = &*self.0;
        let waited = changed.wait_timeout_while(lock(count), LIMIT, |count| *count < n);
        let (count, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "{} of {n} came", *count);
    }
}

/// A gate that is closed until it is opened for good.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn open(&self) {
        let (open, changed) = &*self.0;
        *lock(open) = true;
        changed.notify_all();
    }

    /// Blocks until it is open.
    ///
    /// # Panics
    ///
    /// It takes longer than [`LIMIT`].
    pub(crate) fn wait(&self) {
        self.wait_unless(&|| false);
    }

    /// Blocks until it is open, or `given_up` holds after a [`Gate::wake`].
    pub(crate) fn wait_unless(&self, given_up: &dyn Fn() -> bool) {
        let (open, changed) = &*self.0;
        let closed = |open: &mut bool| !*open && !given_up();
        let (_open, timeout) = changed
            .wait_timeout_while(lock(open), LIMIT, closed)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "the gate stayed closed");
    }

    /// Makes the waiting threads check again whether to give up.
    pub(crate) fn wake(&self) {
        let (open, changed) = &*self.0;
        // The lock ensures that no thread is between its check and its wait.
        let _open = lock(open);
        changed.notify_all();
    }
}

/// Checks cases six at a time, because most of them wait.
pub(crate) fn at_once<T>(
    cases: impl IntoIterator<Item = T, IntoIter: Send>,
    check: impl Fn(T) + Sync,
) {
    let cases = Mutex::new(cases.into_iter());
    let next = || lock(&cases).next();
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while let Some(case) = next() {
                    check(case);
                }
            });
        }
    });
}

/// Runs `work` in another thread, and fails if it takes longer than [`LIMIT`].
pub(crate) fn within_limit<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = mpsc::channel();
    let worker = thread::spawn(move || {
        let _ = tell.send(work());
    });
    match told.recv_timeout(LIMIT) {
        Ok(value) => value,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end"),
        Err(mpsc::RecvTimeoutError::Disconnected) => match worker.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => panic!("it ended without a value"),
        },
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
