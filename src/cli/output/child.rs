//! The hidden command `stride child`, which becomes a command that ends with stride.
//!
//! A process that stride starts would outlive a stride that was killed, while the next one calls its file again. Linux
//! sends a signal at a parent's death to a process that has asked for it (prctl(2), PR_SET_PDEATHSIG). Only the process
//! itself can ask, and no safe function does that between `fork` and `exec`.

use std::ffi::OsString;
use std::io::{ErrorKind, Write as _};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use stride::job::FileName;

use crate::cli::output::shown::{Line, stderr};

/// The name of the command.
const NAME: &str = "child";
/// The exit codes of a command that cannot be executed, and of one that was not found (POSIX.1-2024, Shell Command
/// Language, section 2.8.2).
const CANNOT: [u8; 2] = [126, 127];

/// Returns the words before a command that make it end with this process. There are none if this program cannot find
/// its own file.
pub(crate) fn launcher() -> Vec<OsString> {
    // The link works even after the file was replaced.
    let own = "/proc/self/exe";
    if !Path::new(own).exists() {
        return Vec::new();
    }
    let pid = std::process::id().to_string();
    [own, NAME, &pid].map(OsString::from).into()
}

/// Becomes the command of these words, if they are those of [`launcher`] and a command.
pub(crate) fn become_command(words: &[OsString]) -> Option<ExitCode> {
    let [_, name, parent, program, rest @ ..] = words else {
        return None;
    };
    let parent: i32 = parent.to_str()?.parse().ok()?;
    if name != NAME {
        return None;
    }
    // Ignore failure: the command then lives on as it would without this.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    // The parent may have died before that.
    if getppid() != Pid::from_raw(parent) {
        return Some(ExitCode::FAILURE);
    }
    let error = Command::new(program).args(rest).exec();
    let program = FileName::from(Path::new(program));
    let line = format!("cannot run `{program}`: {error}");
    let _ = writeln!(stderr(), "{}", Line::new(&line, false).as_str());
    let is_missing = error.kind() == ErrorKind::NotFound;
    Some(ExitCode::from(CANNOT[usize::from(is_missing)]))
}
