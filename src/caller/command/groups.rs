//! The process groups of a run's programs, and a guard that kills them if this process is killed.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process_group};

/// The process groups that are alive.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// The words that start the guard.
    guard: Vec<OsString>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    alive: HashSet<Pid>,
    /// The guard's standard input. `None` before the first program.
    guard: Option<Guard>,
}

/// A process that kills the groups it was told of when its standard input ends.
#[derive(Debug)]
struct Guard(Option<ChildStdin>);

impl Groups {
    /// Returns an empty set, whose guard these words start. Without words, no guard is started.
    pub(super) fn new(guard: Vec<OsString>) -> Self {
        Self {
            guard,
            state: Mutex::default(),
        }
    }

    pub(super) fn add(&self, group: Pid) {
        let mut state = self.state();
        state.alive.insert(group);
        let guard = (state.guard).get_or_insert_with(|| Guard(start(&self.guard).ok()));
        guard.tell(group.as_raw_nonzero().get());
    }

    /// Kills a group and forgets it.
    pub(super) fn end(&self, group: Pid) {
        // Ignore failure: no process of the group is left.
        let _ = kill_process_group(group, Signal::KILL);
        let mut state = self.state();
        state.alive.remove(&group);
        if let Some(guard) = &mut state.guard {
            guard.tell(-group.as_raw_nonzero().get());
        }
    }

    /// Kills all groups.
    pub(super) fn kill(&self) {
        for group in &self.state().alive {
            let _ = kill_process_group(*group, Signal::KILL);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guard {
    /// Tells of a group, or with a negative number of its end. A guard that does not take it is given up.
    fn tell(&mut self, number: i32) {
        let pipe = self.0.as_mut();
        let told = pipe.map(|pipe| pipe.write_all(&number.to_ne_bytes()));
        if !matches!(told, Some(Ok(()))) {
            self.0 = None;
        }
    }
}

fn start(words: &[OsString]) -> io::Result<ChildStdin> {
    let (program, arguments) = words.split_first().ok_or(io::ErrorKind::NotFound)?;
    let mut guard = Command::new(program)
        .args(arguments)
        // Ctrl-C in the terminal must not reach it.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let pipe = guard.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    // A guard that is stopped must not stop a call.
    fcntl_setfl(&pipe, OFlags::NONBLOCK)?;
    // Only reaps it.
    let _ = thread::Builder::new()
        .name("guard".to_owned())
        .spawn(move || guard.wait());
    Ok(pipe)
}
