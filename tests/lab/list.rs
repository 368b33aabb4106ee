//! A list of files, the run over it, and the evidence of it afterwards.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::device::monotonic;
use crate::evidence;
use crate::oracle::{Broken, Disk, Evidence, judge};
use crate::service::{Account, Manner, Service};

/// Longer than any command here can take. A command that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The file with a line for each crash and each hang of a worker.
const DEATHS: &str = "deaths";

/// Shared by all experiments.
pub(crate) struct Lab {
    /// The program under test.
    pub(crate) stride: PathBuf,
    /// A folder for everything, on a disk that is not cut off.
    pub(crate) folder: PathBuf,
    pub(crate) service: Service,
}

/// A list in a folder of its own, and the run over it.
pub(crate) struct List {
    pub(crate) folder: PathBuf,
    /// The database, which may lie on another disk than the folder.
    pub(crate) database: PathBuf,
    pub(crate) account: Arc<Account>,
    pub(crate) threads: usize,
    /// Crashes so far.
    crashes: usize,
    /// The time of the last one, on the monotonic clock.
    last_crash: i64,
    /// The spans in which the disk was cut off.
    void: Vec<(i64, i64)>,
    /// Repeats that count against a file.
    pub(crate) retries: usize,
    pub(crate) url: String,
    /// The script of the workers that make the calls. Without one stride makes them.
    pub(crate) worker: Option<&'static str>,
    stride: PathBuf,
    names: BTreeSet<String>,
}

impl Lab {
    /// Makes a new list of this many files, with its database beside it, or in the folder `disk`.
    pub(crate) fn list(
        &self,
        name: &str,
        files: usize,
        threads: usize,
        manner: Manner,
        disk: Option<&Path>,
    ) -> Outcome<List> {
        let folder = self.folder.join(name);
        fs::create_dir_all(folder.join("texts"))?;
        let names: BTreeSet<String> = (0..files).map(|i| format!("{i:05}")).collect();
        for name in &names {
            fs::write(folder.join("texts").join(name), name)?;
        }
        let (url, account) = self.service.list(manner);
        Ok(List {
            database: disk.unwrap_or(&folder).join("q.db"),
            folder,
            account,
            threads,
            crashes: 0,
            last_crash: 0,
            void: Vec::new(),
            retries: 1000,
            url,
            worker: None,
            stride: self.stride.clone(),
            names,
        })
    }
}

impl List {
    /// The arguments of a run over the whole list.
    pub(crate) fn run(&self) -> Vec<String> {
        let mut words = vec!["run".to_owned()];
        words.extend(self.way());
        words.extend(
            [
                "--retry-delay",
                "0s",
                "--retries",
                &self.retries.to_string(),
                // The experiments fill the disk on purpose.
                "--min-free",
                "none",
            ]
            .map(str::to_owned),
        );
        words.extend(match self.worker {
            None => vec!["--url".to_owned(), self.url.clone()],
            Some(script) => {
                let url = self.url.trim_end_matches("{name}");
                let worker = format!("python3 '{script}' {url} {DEATHS}");
                // Enough for every call that does not hang.
                ["--timeout", "2s", "--worker", &worker]
                    .map(str::to_owned)
                    .into()
            }
        });
        words.push("texts".to_owned());
        words
    }

    /// The arguments that resume the run.
    pub(crate) fn resume(&self) -> Vec<String> {
        let mut words = vec!["resume".to_owned()];
        words.extend(self.way());
        words
    }

    fn way(&self) -> Vec<String> {
        let (threads, database) = (
            self.threads.to_string(),
            self.database.display().to_string(),
        );
        let words = [
            "-j",
            &threads,
            "--db",
            &database,
            "--events",
            "events.jsonl",
        ];
        words.map(str::to_owned).into()
    }

    /// Records that a runner has just ended in a way that may leave calls in doubt.
    pub(crate) fn crashed(&mut self) {
        self.crashes += 1;
        self.last_crash = monotonic();
    }

    /// Records a span in which the disk was cut off, while a runner was at work or after its end.
    pub(crate) fn cut_off(&mut self, down: (i64, i64), at_work: bool) {
        self.void.push(down);
        self.last_crash = down.0;
        self.crashes += usize::from(at_work);
    }

    /// Returns a command of stride in the list's folder.
    pub(crate) fn command(&self, words: &[String]) -> Outcome<Command> {
        self.wrapped(&[], words)
    }

    /// Returns a command of stride that another program starts.
    pub(crate) fn wrapped(&self, wrapper: &[String], words: &[String]) -> Outcome<Command> {
        let stride = self.stride.display().to_string();
        let mut all = wrapper.iter().chain([&stride]).chain(words);
        let mut command = Command::new(all.next().ok_or("no command")?);
        let log = |name: &str| {
            let mut options = OpenOptions::new();
            options
                .append(true)
                .create(true)
                .open(self.folder.join(name))
        };
        command
            .args(all)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log("stdout.log")?)
            .stderr(log("stderr.log")?)
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            // The state folder of the user must not be used.
            .env("HOME", self.folder.join("home"))
            // Ctrl-C is for the laboratory, which ends its processes.
            .process_group(0);
        Ok(command)
    }

    /// Begins a command.
    pub(crate) fn begin(&self, words: &[String]) -> Outcome<Running> {
        Running::begin(&mut self.command(words)?)
    }

    /// Runs a command to its end.
    pub(crate) fn give(&self, words: &[String]) -> Outcome<ExitStatus> {
        self.begin(words)?.end()
    }

    /// Collects the evidence. The runner must be dead.
    ///
    /// Reads a copy of the database, and so leaves its recovery to stride.
    pub(crate) fn evidence(&self, finished: Option<ExitStatus>) -> Outcome<Evidence> {
        // One copy for reading, and one that stays unchanged.
        let (found, copy) = (self.folder.join("found"), self.folder.join("looked-at"));
        let database = copy.join("q.db");
        let mut evidence = Evidence {
            names: self.names.clone(),
            threads: self.threads,
            crashes: self.crashes,
            last_crash: self.last_crash,
            deaths: fs::read_to_string(self.folder.join(DEATHS))
                .map_or(0, |deaths| deaths.lines().count()),
            events: evidence::events(&self.folder.join("events.jsonl"))?,
            void: self.void.clone(),
            calls: self.account.calls(),
            finished: finished.map(|status| status.code()),
            ..Evidence::default()
        };
        if !self.database.exists() {
            return Ok(evidence);
        }
        for folder in [&found, &copy] {
            let _ = fs::remove_dir_all(folder);
            fs::create_dir(folder)?;
            fs::copy(&self.database, folder.join("q.db"))?;
            let log = self.database.with_extension("db-wal");
            if log.exists() {
                fs::copy(log, folder.join("q.db-wal"))?;
            }
        }
        let words = ["verify", "--db", &database.display().to_string()].map(str::to_owned);
        let verified = Command::new(&self.stride).args(words).output()?;
        if verified.status.code() != Some(0) {
            let words = [verified.stdout, verified.stderr].concat();
            let words = String::from_utf8_lossy(&words).into_owned();
            evidence.unsound = Some(format!("{} {words}", verified.status));
        }
        // An unreadable database is a finding, too.
        let unreadable = |error: Box<dyn std::error::Error>| Disk {
            complaints: vec![error.to_string()],
            ..Disk::default()
        };
        evidence.disk = Some(evidence::disk(&database).unwrap_or_else(unreadable));
        Ok(evidence)
    }

    /// Asks the oracle.
    pub(crate) fn judge(&self, finished: Option<ExitStatus>) -> Outcome<Vec<Broken>> {
        Ok(judge(&self.evidence(finished)?))
    }

    /// Removes everything of a list that is no longer needed.
    pub(crate) fn remove(self) -> Outcome {
        for suffix in ["", "-wal", "-shm", ".lock"] {
            let mut path = self.database.clone().into_os_string();
            path.push(suffix);
            let _ = fs::remove_file(path);
        }
        fs::remove_dir_all(&self.folder)?;
        Ok(())
    }
}

/// A running command. Dropping it ends the command.
pub(crate) struct Running {
    child: Child,
}

impl Running {
    pub(crate) fn begin(command: &mut Command) -> Outcome<Self> {
        let child = command.spawn()?;
        Ok(Self { child })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits this long, or until the command has ended.
    pub(crate) fn during(&mut self, time: Duration) -> Outcome<Option<ExitStatus>> {
        let until = Instant::now() + time;
        loop {
            let status = self.child.try_wait()?;
            let left = until.saturating_duration_since(Instant::now());
            if status.is_some() || left.is_zero() {
                return Ok(status);
            }
            thread::sleep(left.min(Duration::from_millis(2)));
        }
    }

    /// Waits for the end of the command.
    pub(crate) fn end(mut self) -> Outcome<ExitStatus> {
        match self.during(PATIENCE)? {
            Some(status) => Ok(status),
            None => Err("a command does not end".into()),
        }
    }

    /// Sends `kill -9`. Returns whether the command was still running.
    pub(crate) fn kill(mut self) -> Outcome<bool> {
        self.child.kill()?;
        Ok(self.child.wait()?.signal() == Some(9))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The command has its own group, so that its children end too.
        if matches!(self.child.try_wait(), Ok(None)) {
            let group = i32::try_from(self.child.id())
                .ok()
                .and_then(rustix::process::Pid::from_raw);
            if let Some(group) = group {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
            let _ = self.child.wait();
        }
    }
}
