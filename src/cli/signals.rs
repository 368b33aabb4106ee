//! Ctrl-C and its relatives: the first asks the calls in flight to end, the second drops them, the third ends
//! the process on the spot. And SIGUSR1, which asks where a run stands.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::iterator::Signals;

use stride::engine::{Stop, Urgency};

use super::error::Problem;
use super::exit;

/// What signals have come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caught(Arc<State>);

#[derive(Debug, Default)]
struct State {
    first: AtomicI32,
    count: AtomicU32,
}

impl Caught {
    /// Turns signals into requests to stop, from now on.
    pub(crate) fn install(stop: &Stop) -> Result<Self, Problem> {
        let caught = Self::default();
        let failed = |error: &dyn std::error::Error| Problem::of(exit::ERROR, error);
        let on_interrupt = (caught.clone(), stop.clone());
        ctrlc::set_handler(move || on_interrupt.0.take(SIGINT, &on_interrupt.1))
            .map_err(|error| failed(&error))?;
        let mut signals = Signals::new(endings()).map_err(|error| failed(&error))?;
        let (on_signal, stop) = (caught.clone(), stop.clone());
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                for signal in signals.forever() {
                    on_signal.take(signal, &stop);
                }
            })
            .map_err(|error| failed(&error))?;
        Ok(caught)
    }

    /// The signal that asked for the stop.
    pub(crate) fn first(&self) -> Option<i32> {
        Some(self.0.first.load(Ordering::SeqCst)).filter(|signal| *signal != 0)
    }

    /// Sees to it that the process ends within a second, though its terminal takes no word more or its disk is
    /// slow. Whatever is not recorded by then is found in doubt, as after a crash.
    fn end_soon(&self) {
        let signal = self.first().unwrap_or(SIGINT);
        // Without that thread, there is still the third signal.
        let _ = thread::Builder::new().spawn(move || {
            #[expect(
                clippy::disallowed_methods,
                reason = "nothing is waited for; this is the time after which nothing is"
            )]
            thread::sleep(PATIENCE);
            end(signal);
        });
    }

    fn take(&self, signal: i32, stop: &Stop) {
        let _ = self
            .0
            .first
            .compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst);
        match self.0.count.fetch_add(1, Ordering::SeqCst) {
            0 => stop.ask(Urgency::Drain),
            1 => {
                stop.ask(Urgency::Now);
                self.end_soon();
            }
            _ => end(signal),
        }
    }
}

/// Lets a write beyond the limit on the size of files (RLIMIT_FSIZE) fail as any other write does: the signal that
/// comes with it would end the process.
pub(crate) fn outlive_size_limit() {
    // A handler that does next to nothing is what makes the difference. Without one, the signal does what it does.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
}

/// Whether somebody has asked, and has not been answered.
static ASKED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
/// Whether the process was stopped and goes on again.
static CONTINUED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// From now on SIGUSR1 is a question where the run stands. Without this it would end the process, at the latest while
/// it is not yet calling.
pub(crate) fn hear_questions() {
    // Without a handler, the signal does what it does.
    let _ = signal_hook::flag::register(SIGUSR1, Arc::clone(&ASKED));
}

/// Whether somebody has asked where the run stands, since this was looked at last.
pub(crate) fn asked() -> bool {
    ASKED.load(Ordering::Relaxed) && ASKED.swap(false, Ordering::Relaxed)
}

/// From now on it is noticed when the process was stopped (Ctrl-Z), and goes on.
pub(crate) fn notice_pauses() {
    // Without a handler, it goes on all the same.
    let _ = signal_hook::flag::register(SIGCONT, Arc::clone(&CONTINUED));
}

/// Whether the process was stopped and goes on again, since this was looked at last.
pub(crate) fn continued() -> bool {
    CONTINUED.load(Ordering::Relaxed) && CONTINUED.swap(false, Ordering::Relaxed)
}

/// From now on the signals that end a process are handed over, for somebody who only looks.
pub(crate) fn handed_over() -> Result<Receiver<i32>, Problem> {
    let failed = |error: std::io::Error| Problem::of(exit::ERROR, &error);
    let mut signals = Signals::new([vec![SIGINT], endings()].concat()).map_err(failed)?;
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                // Nobody waits for a second one.
                let _ = sender.send(signal);
            }
        })
        .map_err(failed)?;
    Ok(receiver)
}

/// How long an end after the second signal may take before it is made.
const PATIENCE: Duration = Duration::from_millis(900);

/// Ends the process where it stands.
fn end(signal: i32) -> ! {
    #[expect(
        clippy::disallowed_methods,
        reason = "whoever asks again wants nothing to be waited for"
    )]
    std::process::exit(i32::from(exit::signalled(signal)))
}

/// The signals beside Ctrl-C that ask for an end. Whoever started this with SIGHUP ignored, as `nohup` does, wants it to
/// live on.
fn endings() -> Vec<i32> {
    if hangup_is_ignored() {
        vec![SIGTERM]
    } else {
        vec![SIGTERM, SIGHUP]
    }
}

/// Whether SIGHUP was ignored when this process began. Where that cannot be known, it was not.
fn hangup_is_ignored() -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else {
        return false;
    };
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 << (SIGHUP - 1) != 0)
}
