//! The `stride` that is measured: a process of its own, in a folder of its own.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How often it is looked whether something has happened.
const LOOK: Duration = Duration::from_millis(20);
/// How long a stride that was asked to stop may take: its grace, and some more.
const STOPPING: Duration = Duration::from_secs(45);
/// Files in a folder.
const FOLDER: usize = 1000;

/// Waits a little; an error when the user wants no more of it.
pub(crate) fn pause(stopped: &AtomicBool) -> io::Result<()> {
    if stopped.load(Ordering::Relaxed) {
        return Err(io::Error::new(io::ErrorKind::Interrupted, "stopped"));
    }
    thread::sleep(LOOK);
    Ok(())
}

/// A folder with as many names of small files as are wanted, a list of them, and a run's database.
pub(crate) struct Folder(TempDir);

impl Folder {
    /// Makes it. A thousand files under as many names of their one folder as it takes: a million names cost a
    /// list, not a million files.
    pub(crate) fn with(names: usize) -> io::Result<Self> {
        let folder = Self(
            tempfile::Builder::new()
                .prefix("stride-limits-")
                .tempdir()?,
        );
        let files = folder.path().join("files");
        fs::create_dir(&files)?;
        for number in 0..names.min(FOLDER) {
            fs::write(files.join(format!("{number:03}")), "a small file\n")?;
        }
        for number in 0..names.div_ceil(FOLDER) {
            symlink("files", folder.path().join(format!("{number:04}")))?;
        }
        let mut list = BufWriter::new(File::create(folder.path().join("list"))?);
        for number in 0..names {
            writeln!(list, "{:04}/{:03}", number / FOLDER, number % FOLDER)?;
        }
        list.flush()?;
        Ok(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Where stride's messages go.
    pub(crate) fn messages(&self) -> PathBuf {
        self.path().join("messages")
    }

    /// The last lines of stride's messages.
    pub(crate) fn last_messages(&self) -> String {
        let text = fs::read_to_string(self.messages()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(12)..];
        last.join("\n")
    }
}

/// How a stride is started.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    /// The program.
    pub(crate) program: PathBuf,
    /// Options of `stride run`, besides the database, the URL and the list.
    pub(crate) options: Vec<OsString>,
}

/// A running stride. Dropped, it is killed.
pub(crate) struct Stride(Child);

impl Stride {
    /// Makes the run in this folder, or goes on with it.
    pub(crate) fn start(how: &Invocation, url: &str, folder: &Folder) -> io::Result<Self> {
        let messages = File::options()
            .create(true)
            .append(true)
            .open(folder.messages())?;
        let mut command = Command::new(&how.program);
        command
            .args(["run", "--db", "stride.db", "--files-from", "list"])
            .args(["--url", url])
            .args(&how.options)
            .current_dir(folder.path())
            // No proxy stands between the two.
            .env("NO_PROXY", "127.0.0.1")
            .env("no_proxy", "127.0.0.1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(messages);
        let child = command.spawn().map_err(|error| {
            io::Error::other(format!("cannot start {}: {error}", how.program.display()))
        })?;
        Ok(Self(child))
    }

    /// How it has ended, if it has.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }

    /// Stops it as Ctrl-C does, and waits for its end.
    pub(crate) fn stop(mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.ended()? {
            return Ok(status);
        }
        kill_process(Pid::from_child(&self.0), Signal::INT)?;
        let asked = Instant::now();
        while asked.elapsed() < STOPPING {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            thread::sleep(LOOK);
        }
        Err(io::Error::other("stride did not stop when it was asked to"))
    }
}

impl Drop for Stride {
    fn drop(&mut self) {
        // One that has ended and been waited for cannot be killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
