//! Ctrl-C, SIGTERM and SIGHUP: the first lets the calls in flight finish, the second aborts them, the third ends the
//! process at once. The same signal again within a moment counts once: `timeout` and programs that pass Ctrl-C on send it to
//! the process and to its group. SIGUSR1 asks for a line about the run's progress.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use signal_hook::consts::{SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::iterator::Signals;

use stride::engine::{Stop, Urgency};

use crate::cli::output::exit;

/// The signals that have arrived.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caught(Arc<State>);

#[derive(Debug, Default)]
struct State {
    first: AtomicI32,
    count: AtomicU32,
    /// The latest signal that counted, and its arrival.
    latest: Mutex<Option<(i32, Instant)>>,
}

impl State {
    /// Returns the number of signals before this one, or `None` if it repeats the latest one within a moment.
    fn count(&self, signal: i32, now: Instant) -> Option<u32> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |(before, then)| before == signal && now - then < MOMENT;
        if latest.is_some_and(is_same) {
            return None;
        }
        *latest = Some((signal, now));
        Some(self.count.fetch_add(1, Ordering::SeqCst))
    }
}

impl Caught {
    /// Installs handlers that turn signals into requests to stop.
    pub(crate) fn install(stop: &Stop) -> io::Result<Self> {
        let caught = Self::default();
        let on_interrupt = (caught.clone(), stop.clone());
        ctrlc::set_handler(move || on_interrupt.0.record(SIGINT, &on_interrupt.1)).map_err(
            |error| match error {
                ctrlc::Error::System(error) => error,
                error => io::Error::other(error),
            },
        )?;
        let mut signals = Signals::new(ending_signals())?;
        let (on_signal, stop) = (caught.clone(), stop.clone());
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                for signal in signals.forever() {
                    on_signal.record(signal, &stop);
                }
            })?;
        Ok(caught)
    }

    /// Handles a request of another program to stop as Ctrl-C is handled.
    pub(crate) fn ask(&self, urgency: Urgency, stop: &Stop) {
        let first = &self.0.first;
        let _ = first.compare_exchange(0, SIGINT, Ordering::SeqCst, Ordering::SeqCst);
        stop.ask(urgency);
        if urgency == Urgency::Now {
            self.end_soon();
        }
    }

    /// Stops the run at once when another process ends, as a second Ctrl-C does.
    pub(crate) fn end_with(&self, process: Pid, stop: &Stop) -> io::Result<()> {
        let running = match pidfd_open(process, PidfdFlags::empty()) {
            Ok(running) => Some(running),
            Err(Errno::SRCH) => None,
            // Linux before 5.3 has no such descriptor.
            Err(_) => return Ok(()),
        };
        let (caught, stop) = (self.clone(), stop.clone());
        let watch = move || {
            // A descriptor of a process becomes readable at its end.
            if let Some(running) = running {
                let mut ends = [PollFd::new(&running, PollFlags::IN)];
                while poll(&mut ends, None) == Err(Errno::INTR) {}
            }
            caught.ask(Urgency::Now, &stop);
        };
        thread::Builder::new()
            .name("end-with".to_owned())
            .spawn(watch)?;
        Ok(())
    }

    /// Returns the signal that asked for the stop.
    pub(crate) fn first(&self) -> Option<i32> {
        Some(self.0.first.load(Ordering::SeqCst)).filter(|signal| *signal != 0)
    }

    /// Says how to ask once more.
    pub(crate) fn again(&self) -> &'static str {
        match self.first() {
            None | Some(SIGINT) => "press Ctrl-C again",
            Some(_) => "send the signal again",
        }
    }

    /// Ends the process within a second, even if its terminal is stuck or its disk is slow. Calls that are not recorded
    /// by then are in doubt, as after a crash.
    fn end_soon(&self) {
        let signal = self.first().unwrap_or(SIGINT);
        // If no thread can be started, the third signal still ends the process.
        let _ = thread::Builder::new().spawn(move || {
            #[expect(
                clippy::disallowed_methods,
                reason = "this is a deadline, not a wait for something"
            )]
            thread::sleep(PATIENCE);
            end(signal);
        });
    }

    fn record(&self, signal: i32, stop: &Stop) {
        let _ = self
            .0
            .first
            .compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst);
        match self.0.count(signal, Instant::now()) {
            None => {}
            Some(0) => stop.ask(Urgency::Drain),
            Some(1) => {
                stop.ask(Urgency::Now);
                self.end_soon();
            }
            Some(_) => end(signal),
        }
    }
}

/// Makes a write beyond the limit on file sizes (RLIMIT_FSIZE) fail with an error. By default, SIGXFSZ ends the process.
pub(crate) fn survive_size_limit() {
    // Any handler replaces the default action. If none can be installed, the default stays.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
}

/// Makes the system keep the exits of programs until they are read. It discards them if the program that started stride
/// ignores SIGCHLD.
pub(crate) fn keep_exits() {
    let _ = signal_hook::flag::register(SIGCHLD, Arc::default());
}

/// Set by SIGUSR1.
static REQUESTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
/// Set by SIGCONT.
static CONTINUED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Handles SIGUSR1, which asks for a progress line. By default, it ends the process.
pub(crate) fn watch_requests() {
    let _ = signal_hook::flag::register(SIGUSR1, Arc::clone(&REQUESTED));
}

/// Returns whether SIGUSR1 has arrived since the last call.
pub(crate) fn is_line_requested() -> bool {
    REQUESTED.load(Ordering::Relaxed) && REQUESTED.swap(false, Ordering::Relaxed)
}

/// Handles SIGCONT, which arrives when the process continues after Ctrl-Z.
pub(crate) fn watch_pauses() {
    let _ = signal_hook::flag::register(SIGCONT, Arc::clone(&CONTINUED));
}

/// Returns whether the process was stopped and continued since the last call.
pub(crate) fn continued() -> bool {
    CONTINUED.load(Ordering::Relaxed) && CONTINUED.swap(false, Ordering::Relaxed)
}

/// Returns a channel of the signals that end a process, for a command that only reads.
pub(crate) fn channel() -> io::Result<Receiver<i32>> {
    let mut signals = Signals::new([vec![SIGINT], ending_signals()].concat())?;
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                // The command may have ended.
                let _ = sender.send(signal);
            }
        })?;
    Ok(receiver)
}

/// The time within which a repeated signal counts once. No user presses Ctrl-C again so soon.
const MOMENT: Duration = Duration::from_millis(200);

/// The longest time that the process may take to end after the second signal.
const PATIENCE: Duration = Duration::from_millis(900);

/// Ends the process at once.
fn end(signal: i32) -> ! {
    #[expect(
        clippy::disallowed_methods,
        reason = "after another signal, the user wants no wait"
    )]
    std::process::exit(i32::from(exit::signalled(signal)))
}

/// Returns the signals beside Ctrl-C that end a run. SIGHUP is one unless it was ignored at the start, as with `nohup`.
fn ending_signals() -> Vec<i32> {
    if hangup_is_ignored() {
        vec![SIGTERM]
    } else {
        vec![SIGTERM, SIGHUP]
    }
}

/// Returns whether SIGHUP was ignored when this process began, according to `/proc`.
fn hangup_is_ignored() -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else {
        return false;
    };
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 << (SIGHUP - 1) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_signal_within_a_moment_counts_once() {
        let (state, start) = (State::default(), Instant::now());
        let counts = [
            (SIGTERM, 0, Some(0)),
            (SIGTERM, 1, None),
            (SIGTERM, 199, None),
            (SIGINT, 199, Some(1)),
            (SIGINT, 399, Some(2)),
        ];
        for (signal, after, count) in counts {
            let now = start + Duration::from_millis(after);
            assert_eq!(state.count(signal, now), count, "after {after} ms");
        }
    }
}
