//! A measured program. A process between it and the benchmark starts it as its only child, so the system's figures for
//! "the children" cover this program and its own children only.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// The number of shown lines of a failed program's messages.
const SHOWN: usize = 6;

/// The clock that all processes of this machine share.
pub(crate) fn clock() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default())
}

pub(crate) fn pause(time: Duration) {
    thread::sleep(time);
}

/// Allows this process and its children the maximum number of descriptors: the widest run needs some 16,000.
pub(crate) fn raise_descriptors() {
    const WANTED: u64 = 65_536;
    let limit = |number| Rlimit {
        current: Some(number),
        maximum: Some(number),
    };
    // Only some users may raise the limit itself; for the others, refused connections show in the figures.
    if setrlimit(Resource::Nofile, limit(WANTED)).is_err()
        && let Some(most) = getrlimit(Resource::Nofile).maximum
    {
        let _ = setrlimit(Resource::Nofile, limit(most));
    }
}

/// A program with its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) file: PathBuf,
    pub(crate) words: Vec<OsString>,
    /// The working folder, which also gets the program's messages.
    pub(crate) folder: PathBuf,
}

impl Program {
    pub(crate) fn new(file: impl Into<PathBuf>, folder: &Path) -> Self {
        Self {
            file: file.into(),
            words: Vec::new(),
            folder: folder.to_owned(),
        }
    }

    /// Adds arguments.
    pub(crate) fn with<W: Into<OsString>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.words.extend(words.into_iter().map(Into::into));
        self
    }

    fn messages(&self) -> PathBuf {
        self.folder.join("messages")
    }

    /// Returns its last messages in one line.
    fn said(&self) -> String {
        let text = std::fs::read(self.messages()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).replace('|', "/");
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        lines[lines.len().saturating_sub(SHOWN)..].join("; ")
    }

    /// Runs it to its end, which must be a success.
    pub(crate) fn run(&self) -> io::Result<Usage> {
        self.run_to(&[0])
    }

    /// Runs it to its end, which must be one of these exit codes.
    pub(crate) fn run_to(&self, ends: &[i32]) -> io::Result<Usage> {
        self.start()?.wait(ends)
    }

    pub(crate) fn start(&self) -> io::Result<Running> {
        let mut helper = Command::new(std::env::current_exe()?)
            .arg("measure")
            .arg(&self.file)
            .args(&self.words)
            .current_dir(&self.folder)
            // No proxy lies between the two.
            .env("NO_PROXY", "127.0.0.1")
            .env("no_proxy", "127.0.0.1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(self.messages())?)
            .spawn()?;
        let (lifeline, told) = (helper.stdin.take(), helper.stdout.take());
        let mut told = BufReader::new(told.ok_or(io::ErrorKind::BrokenPipe)?);
        let mut line = String::new();
        told.read_line(&mut line)?;
        let begun = line.trim().parse().ok().and_then(Pid::from_raw);
        let Some(pid) = begun else {
            let _ = helper.wait();
            return Err(io::Error::other(self.said()));
        };
        Ok(Running {
            program: self.clone(),
            begun: clock(),
            pid,
            helper,
            lifeline,
            told,
        })
    }
}

/// The resources that a program used.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Usage {
    pub(crate) wall: Duration,
    /// Processor time, user and system, including its children.
    pub(crate) cpu: Duration,
    /// The resident memory of the largest of them at its peak, in bytes.
    pub(crate) peak: u64,
    /// The exit code, or 128 plus a signal.
    code: i32,
}

/// A running program. Dropping it kills the program.
pub(crate) struct Running {
    program: Program,
    /// The time just after its start, by [`clock`].
    pub(crate) begun: Duration,
    pid: Pid,
    helper: Child,
    /// The helper kills its child when this is closed.
    lifeline: Option<ChildStdin>,
    told: BufReader<ChildStdout>,
}

impl Running {
    /// Interrupts it like Ctrl-C.
    pub(crate) fn interrupt(&self) {
        // `wait` reports one that has ended.
        let _ = kill_process(self.pid, Signal::INT);
    }

    /// Returns whether it is still running.
    pub(crate) fn goes_on(&mut self) -> io::Result<bool> {
        Ok(self.helper.try_wait()?.is_none())
    }

    /// Returns its last messages.
    pub(crate) fn said(&self) -> String {
        self.program.said()
    }

    /// Waits for its end, which must be one of these exit codes.
    pub(crate) fn wait(mut self, ends: &[i32]) -> io::Result<Usage> {
        let mut line = String::new();
        self.told.read_line(&mut line)?;
        self.helper.wait()?;
        let usage: Usage = serde_json::from_str(&line)?;
        if ends.contains(&usage.code) {
            return Ok(usage);
        }
        let (code, said) = (usage.code, self.program.said());
        Err(io::Error::other(format!("ended with {code}: {said}")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.lifeline = None;
        let _ = self.helper.wait();
    }
}

/// The process in between: starts the program, reports its process number, and in the end its usage.
pub(crate) fn measure(words: &[OsString]) -> io::Result<()> {
    use std::os::unix::process::ExitStatusExt as _;
    let (file, words) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    raise_descriptors();
    // Ctrl-C at a terminal is for the program, whose end must still be measured.
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::default())?;
    }
    let begun = Instant::now();
    let mut child = Command::new(file)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| io::Error::other(format!("{}: {error}", file.display())))?;
    let pid = Pid::from_child(&child);
    println!("{}", pid.as_raw_nonzero());
    io::stdout().flush()?;
    thread::spawn(move || {
        // The end of stdin means that the benchmark is gone; once the child has ended, so is this process.
        let _ = io::stdin().read_to_end(&mut Vec::new());
        let _ = kill_process(pid, Signal::KILL);
    });
    let status = child.wait()?;
    let wall = begun.elapsed();
    let used = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let time = |time: nix::sys::time::TimeVal| {
        let micros = time.tv_sec() * 1_000_000 + time.tv_usec();
        Duration::from_micros(u64::try_from(micros).unwrap_or_default())
    };
    let usage = Usage {
        wall,
        cpu: time(used.user_time()) + time(used.system_time()),
        peak: u64::try_from(used.max_rss()).unwrap_or_default() << 10,
        code: status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or_default()),
    };
    println!("{}", serde_json::to_string(&usage)?);
    io::stdout().flush()
}
