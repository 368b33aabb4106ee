//! The whole program against a fake API.

mod again;
mod choosing;
mod columns;
mod config;
mod corrected;
mod cost;
mod crash;
mod curl;
mod cut_off;
mod deleted;
mod demo;
mod doubt;
mod examples;
mod exec;
mod export;
mod failures;
mod finish;
mod first;
mod forget;
mod formats;
mod judging;
mod lacking;
mod list;
mod lists;
mod live;
mod misuse;
mod moved;
mod names;
mod options;
mod outputs;
mod pasted;
mod pool;
mod readme;
mod report;
mod request;
mod rows;
mod secrets;
mod shells;
mod starter;
mod statuses;
mod steps;
mod stop;
mod stored;
mod table;
mod tables;
mod tmux;
mod trial;
mod unattended;
mod variables;
mod whole;
mod wire;
mod worker;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{holds_in_time, within_limit};

/// A file that no test uses. Its job is done before the test begins, and its rows must be the same at the end.
const BYSTANDER: &str = "bystander.txt";

/// A folder in which tests run commands.
pub(crate) struct Place {
    folder: TempDir,
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// A running command.
pub(crate) struct Running {
    child: Child,
    stderr: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn at(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.folder.path().join(name.as_ref())
    }

    /// Writes a file, and the folders above it.
    pub(crate) fn write(&self, name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) {
        let path = self.at(OsStr::from_bytes(name.as_ref()));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Writes files `texts/0000` and on, each with its own name as content.
    pub(crate) fn texts(&self, n: usize) -> Vec<String> {
        let names: Vec<String> = (0..n).map(|i| format!("texts/{i:04}")).collect();
        names.iter().for_each(|name| self.write(name, name));
        names
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        self.command_under(&[], words)
    }

    /// A command that another program starts, such as `nohup`.
    pub(crate) fn command_under(&self, starter: &[&str], words: &[&str]) -> Command {
        // A process inherits ignored signals, which shells set for background jobs.
        let anew: &[&str] = match cfg!(target_os = "linux") {
            true => &["env", "--default-signal"],
            false => &[],
        };
        let mut all = [anew, starter, &[env!("CARGO_BIN_EXE_stride")], words]
            .concat()
            .into_iter();
        let mut command = Command::new(all.next().unwrap());
        command
            .args(all)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        // Messages name the program `stride` if the PATH leads to it.
        command.env_clear().env("PATH", path());
        // The state folder of the user must not be used.
        command.env("HOME", self.at(".home"));
        command
    }

    /// Runs a command to its end.
    pub(crate) fn stride(&self, words: &[&str]) -> Ran {
        self.stride_with(&[], words)
    }

    /// Runs a command with these variables.
    pub(crate) fn stride_with(&self, variables: &[(&str, &str)], words: &[&str]) -> Ran {
        let output = self
            .command(words)
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        Ran {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Begins a command.
    pub(crate) fn begin(&self, words: &[&str]) -> Running {
        self.begin_command(&mut self.command(words))
    }

    pub(crate) fn begin_command(&self, command: &mut Command) -> Running {
        self.begin_command_into(command, ".stderr")
    }

    /// Begins a command whose stderr is this file.
    pub(crate) fn begin_command_into(&self, command: &mut Command, stderr: &str) -> Running {
        let stderr = self.at(stderr);
        let child = command
            .stdout(Stdio::null())
            .stderr(File::create(&stderr).unwrap())
            .spawn()
            .unwrap();
        Running { child, stderr }
    }

    /// Waits until a condition holds, and checks it when files of this folder change.
    #[track_caller]
    pub(crate) fn until(&self, holds: impl Fn() -> bool) {
        let held = holds_in_time(self.folder.path(), holds);
        assert!(held, "the condition never held");
    }

    pub(crate) fn status(&self) -> Value {
        self.stride(&["status", "--json"]).json()
    }

    /// Rows of a statement on the run's database, as text.
    pub(crate) fn sql(&self, statement: &str) -> Vec<Vec<String>> {
        let connection = rusqlite::Connection::open(self.at("stride.db")).unwrap();
        let mut statement = connection.prepare(statement).unwrap();
        let columns = statement.column_count();
        let rows = statement
            .query_map([], |row| (0..columns).map(|i| text(row, i)).collect())
            .unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// Creates the run with one done file. Returns its rows, which tests compare with [`Place::bystander`] at the end.
    pub(crate) fn with_bystander(&self, url: &str) -> Vec<Vec<String>> {
        self.with_bystander_of(&["--url", url])
    }

    /// The same for calls of another kind.
    pub(crate) fn with_bystander_of(&self, call: &[&str]) -> Vec<Vec<String>> {
        self.write(BYSTANDER, "bystander");
        let run = [&["run"], call, &[BYSTANDER]].concat();
        self.stride(&run).expect(0);
        self.bystander()
    }

    pub(crate) fn bystander(&self) -> Vec<Vec<String>> {
        self.sql(
            "SELECT job.*, work.*, attempt.*, result.*, columns.* FROM job JOIN work ON work.job = job.id
             LEFT JOIN attempt ON attempt.job = job.id
             LEFT JOIN result ON result.job = job.id LEFT JOIN columns ON columns.job = job.id
             WHERE path = 'bystander.txt'",
        )
    }
}

/// The PATH of an installed stride.
pub(crate) fn path() -> String {
    let bin = Path::new(env!("CARGO_BIN_EXE_stride")).parent().unwrap();
    format!("{}:/usr/bin:/bin", bin.display())
}

fn text(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(match row.get_ref(column)? {
        rusqlite::types::ValueRef::Null => String::new(),
        rusqlite::types::ValueRef::Integer(number) => number.to_string(),
        rusqlite::types::ValueRef::Real(number) => number.to_string(),
        rusqlite::types::ValueRef::Text(bytes) | rusqlite::types::ValueRef::Blob(bytes) => {
            String::from_utf8_lossy(bytes).into_owned()
        }
    })
}

impl Ran {
    /// Checks the exit code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap()
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(
            self.stderr.contains(text),
            "{text:?} is not in:\n{}",
            self.stderr
        );
        self
    }
}

impl Running {
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The peak of its memory, in KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let peak = status.lines().find_map(|line| {
            let number = line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?;
            number.trim().parse().ok()
        });
        peak.unwrap()
    }

    /// Waits until its stderr has some text.
    #[track_caller]
    pub(crate) fn until_says(&self, text: &str) {
        let says = || fs::read_to_string(&self.stderr).unwrap().contains(text);
        let came = holds_in_time(self.stderr.parent().unwrap(), says);
        assert!(came, "{text:?} never came");
    }

    /// Waits until a signal has stopped the process.
    pub(crate) fn until_stopped(&self) {
        let pid = Some(Pid::from_child(&self.child));
        let (_, status) = waitpid(pid, WaitOptions::UNTRACED).unwrap().unwrap();
        assert!(status.stopped(), "{status:?}");
    }

    pub(crate) fn end(mut self) -> Ran {
        let status: ExitStatus = within_limit(move || self.child.wait().unwrap());
        Ran {
            code: status.code(),
            stdout: Vec::new(),
            stderr: fs::read_to_string(&self.stderr).unwrap(),
        }
    }
}

/// Names in a folder.
pub(crate) fn listed(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
