//! A process of a command, with all of its descendants as one process group.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::groups::Groups;
use crate::job::{Class, Failure, FailureKind, Outcome, escaped};

/// The time between SIGTERM and SIGKILL.
pub(super) const TERM_PATIENCE: Duration = Duration::from_secs(5);

/// How processes of a run are started.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    pub(super) base: PathBuf,
    /// Environment variables that the processes do not get.
    pub(super) hidden: Vec<String>,
    pub(super) groups: Arc<Groups>,
}

/// A process. Its group is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    group: Pid,
    groups: Arc<Groups>,
}

/// The ends of a process's pipes.
#[derive(Debug)]
pub(super) struct Pipes {
    /// `None` if its standard input is empty.
    pub(super) stdin: Option<ChildStdin>,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
}

impl Launch {
    /// Starts a process in a group of its own, so that a terminal's Ctrl-C does not reach it.
    ///
    /// # Errors
    ///
    /// The process cannot be created.
    pub(super) fn start(
        &self,
        words: &[OsString],
        variables: &[(String, OsString)],
        stdin: Stdio,
    ) -> io::Result<(Process, Pipes)> {
        let (program, arguments) = words.split_first().ok_or(io::ErrorKind::NotFound)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(&self.base)
            .process_group(0)
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for name in &self.hidden {
            command.env_remove(name);
        }
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let mut child = command.spawn()?;
        let pid = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        let group = pid.ok_or(io::ErrorKind::NotFound)?;
        self.groups.add(group);
        let stdin = child.stdin.take();
        let pipes = child.stdout.take().zip(child.stderr.take());
        let process = Process {
            child,
            group,
            groups: Arc::clone(&self.groups),
        };
        let (stdout, stderr) = pipes.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok((
            process,
            Pipes {
                stdin,
                stdout,
                stderr,
            },
        ))
    }
}

/// Asks the processes of a group to end.
pub(super) fn terminate(group: Pid) {
    // Ignore failure: no process of the group is left.
    let _ = kill_process_group(group, Signal::TERM);
}

impl Process {
    /// Returns its group.
    pub(super) fn group(&self) -> Pid {
        self.group
    }

    /// Waits for the exit of the process itself.
    pub(super) async fn exit(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Sends SIGTERM to the group, and SIGKILL if the process is still there after `patience`.
    pub(super) async fn end(mut self, patience: Duration) {
        terminate(self.group);
        let _ = timeout(patience, self.child.wait()).await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.groups.end(self.group);
    }
}

/// Returns the outcome of a call whose process cannot be created.
pub(super) fn not_started(program: &OsString, error: &io::Error) -> Outcome {
    let program = escaped(program.as_encoded_bytes());
    // The standard library refuses it before it asks the system.
    if error.kind() == io::ErrorKind::InvalidInput && error.raw_os_error().is_none() {
        let message = format!(
            "cannot run `{program}`: an argument or a variable has a NUL character, which no program can get"
        );
        let failure = Failure::new(Class::Input, FailureKind::BadArgument, message);
        return Outcome::Unsendable(failure);
    }
    let message = format!("cannot run `{program}`: {error}");
    let failure = |class, kind| Failure::new(class, kind, message);
    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN) => {
            Outcome::Unreachable(failure(Class::Local, FailureKind::NoDescriptors))
        }
        // The words of this call are too long.
        Some(Errno::TOOBIG) => Outcome::Unsendable(failure(Class::Input, FailureKind::TooLarge)),
        _ => Outcome::Unreachable(failure(Class::Local, FailureKind::NotStarted)),
    }
}
