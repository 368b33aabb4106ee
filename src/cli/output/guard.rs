//! The hidden command `stride guard-programs`: ends the programs of a run whose stride was killed.
//!
//! Such programs would go on while the next stride calls their files again. The guard knows their process groups from
//! its standard input, which ends when stride does.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::Read as _;
use std::process::ExitCode;

use rustix::process::{Pid, Signal, kill_process_group};

/// The name of the command.
const NAME: &str = "guard-programs";

/// Returns the words that start a guard. The link leads to this program even after its file was replaced.
pub(crate) fn words() -> Vec<OsString> {
    ["/proc/self/exe", NAME].map(OsString::from).into()
}

/// Works as a guard, if these are its words.
pub(crate) fn work(words: &[OsString]) -> Option<ExitCode> {
    let [_, name] = words else {
        return None;
    };
    if name != NAME {
        return None;
    }
    let (mut alive, mut number) = (HashSet::new(), [0; 4]);
    let mut input = std::io::stdin().lock();
    while input.read_exact(&mut number).is_ok() {
        match i32::from_ne_bytes(number) {
            group @ 1.. => alive.insert(group),
            group => alive.remove(&-group),
        };
    }
    for group in alive.into_iter().filter_map(Pid::from_raw) {
        // Ignore failure: the group has ended.
        let _ = kill_process_group(group, Signal::KILL);
    }
    Some(ExitCode::SUCCESS)
}
