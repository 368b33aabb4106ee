//! Injects faults into system calls with strace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use crate::Outcome;
use crate::list::{List, Running};

/// A fault, and the system call that it hits. strace counts the calls of each thread separately.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point<'p> {
    pub(crate) call: &'p str,
    /// In strace's notation: `error=EIO`, `signal=KILL`.
    pub(crate) fault: &'p str,
    pub(crate) n: usize,
    /// Hits all later calls, too.
    pub(crate) for_good: bool,
}

impl std::fmt::Display for Point<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { call, fault, n, .. } = self;
        let more = if self.for_good { "+" } else { "" };
        write!(f, "{call} {n}{more} {fault}")
    }
}

/// The consequences of a fault.
pub(crate) struct Tampered {
    pub(crate) status: ExitStatus,
    /// The affected calls in strace's notation, with the names of the files.
    pub(crate) calls: Vec<String>,
}

impl Point<'_> {
    /// Runs a command of stride with the fault.
    pub(crate) fn give(&self, list: &List, words: &[String]) -> Outcome<Tampered> {
        let log = list.folder.join("strace.log");
        let Self { call, fault, n, .. } = self;
        let more = if self.for_good { "+" } else { "" };
        // The question mark allows systems without a call of this name.
        let wrapper = [
            "strace",
            "-f",
            "-qq",
            "-y",
            "-s0",
            "-o",
            &log.display().to_string(),
            "-e",
            &format!("trace=?{call}"),
            "-e",
            &format!("inject=?{call}:{fault}:when={n}{more}"),
        ]
        .map(str::to_owned);
        let status = Running::begin(&mut list.wrapped(&wrapper, words)?)?.end()?;
        let calls = tampered(&log)?;
        Ok(Tampered { status, calls })
    }
}

fn tampered(log: &Path) -> Outcome<Vec<String>> {
    let text = fs::read(log)?;
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().filter(|line| line.contains("(INJECTED)"));
    Ok(lines.map(str::to_owned).collect())
}

impl Tampered {
    /// Returns true if the fault hit the database or a file beside it.
    pub(crate) fn met(&self, list: &List) -> bool {
        let database = list.database.display().to_string();
        let fresh: PathBuf = list.database.with_file_name(".q.db.new");
        let fresh = fresh.display().to_string();
        let ours = |line: &String| line.contains(&database) || line.contains(&fresh);
        self.calls.iter().any(ours)
    }
}
