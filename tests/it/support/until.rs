//! Waits for a state that is visible only in files.

use std::path::Path;
use std::time::{Duration, Instant};

use super::LIMIT;

/// The longest time between two checks: the end of a process, for one, changes no file.
const LOOK: Duration = Duration::from_millis(50);

/// Blocks until the condition holds, and checks it after each change of a file in the folder. Returns false if it takes
/// longer than [`LIMIT`].
pub(crate) fn holds_in_time(folder: &Path, holds: impl Fn() -> bool) -> bool {
    let (began, changes) = (Instant::now(), Changes::of(folder));
    while !holds() {
        if began.elapsed() > LIMIT {
            return false;
        }
        changes.wait();
    }
    true
}

#[cfg(target_os = "linux")]
struct Changes(rustix::fd::OwnedFd);

#[cfg(target_os = "linux")]
impl Changes {
    fn of(folder: &Path) -> Self {
        use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};

        let changes = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).unwrap();
        let kinds = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVE;
        add_watch(&changes, folder, kinds).unwrap();
        Self(changes)
    }

    fn wait(&self) {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};

        let look = Timespec::try_from(LOOK).unwrap();
        let _ = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&look));
        let mut events = [0; 4096];
        while rustix::io::read(&self.0, &mut events).is_ok() {}
    }
}

#[cfg(not(target_os = "linux"))]
struct Changes;

#[cfg(not(target_os = "linux"))]
impl Changes {
    fn of(_: &Path) -> Self {
        Self
    }

    fn wait(&self) {
        std::thread::park_timeout(LOOK);
    }
}
