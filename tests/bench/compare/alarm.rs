//! Sleep as exact as the system allows. The runtime's timer rounds up to milliseconds, so 50 ms become nearly 52, and a
//! service that is slower than stated would hide the speed of its callers.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use super::measure::clock;

/// One timer of the system, for all sleepers.
pub(crate) struct Alarm {
    timer: AsyncFd<OwnedFd>,
    /// The sleepers by their time; the number distinguishes those with the same time.
    sleepers: RefCell<BTreeMap<(Duration, u64), oneshot::Sender<()>>>,
    count: Cell<u64>,
}

fn exact(moment: Duration) -> Itimerspec {
    Itimerspec {
        it_interval: Timespec::default(),
        it_value: Timespec {
            tv_sec: i64::try_from(moment.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(moment.subsec_nanos()),
        },
    }
}

impl Alarm {
    /// Creates one at the current runtime.
    #[allow(
        deprecated,
        reason = "what is unsound is a thing that says of itself another descriptor each time, and this one is its own"
    )]
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Self {
            timer: AsyncFd::new(timer)?,
            sleepers: RefCell::default(),
            count: Cell::new(0),
        })
    }

    /// Sets the system's timer to the first time.
    fn set(&self) -> io::Result<()> {
        if let Some((&(moment, _), _)) = self.sleepers.borrow().first_key_value() {
            let flags = TimerfdTimerFlags::ABSTIME;
            timerfd_settime(&self.timer, flags, &exact(moment))?;
        }
        Ok(())
    }

    pub(crate) async fn sleep(&self, time: Duration) -> io::Result<()> {
        let (wake, woken) = oneshot::channel();
        let key = (clock() + time, self.count.get());
        self.count.set(key.1 + 1);
        self.sleepers.borrow_mut().insert(key, wake);
        let is_first = self
            .sleepers
            .borrow()
            .first_key_value()
            .map(|(first, _)| *first)
            == Some(key);
        if is_first {
            self.set()?;
        }
        woken.await.map_err(io::Error::other)
    }

    /// Wakes the sleepers whose time has come, forever.
    pub(crate) async fn ring(&self) -> io::Result<()> {
        loop {
            let mut ready = self.timer.readable().await?;
            let mut count = [0; 8];
            match rustix::io::read(&self.timer, &mut count) {
                Ok(_) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    ready.clear_ready();
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            ready.clear_ready();
            let now = clock();
            let later = self.sleepers.borrow_mut().split_off(&(now, u64::MAX));
            let due = self.sleepers.replace(later);
            for wake in due.into_values() {
                // A sleeper whose caller is gone has left.
                let _ = wake.send(());
            }
            self.set()?;
        }
    }
}
