//! The events file: a JSON line for each fact, written after its commit.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;

use stride::event::{Counts, Event};
use stride::job::{Class, FileName, JobState};

use super::error::Problem;
use super::exit;
use super::terminal::Terminal;

/// How long a line may stay unwritten while more come.
const FLUSH_EVERY: Duration = Duration::from_millis(100);

/// An events file that is being written.
pub(crate) struct Events {
    to: BufWriter<File>,
    path: PathBuf,
    terminal: Terminal,
    flushed: Instant,
    /// Whether a write has failed. It is said once; the run goes on, for the store has it all.
    failed: bool,
}

/// A line of the file.
#[derive(Serialize)]
struct Line<'e> {
    event: &'static str,
    /// Nanoseconds on the system's monotonic clock (CLOCK_MONOTONIC), which other processes can read too.
    t: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<std::borrow::Cow<'e, str>>,
    /// The name's bytes in base64, where the name is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<String>,
    #[serde(flatten)]
    detail: Detail<'e>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Detail<'e> {
    Started {
        runner: i64,
        recovered: usize,
        counts: &'e Counts,
    },
    Claimed {
        attempt: u32,
        key: String,
        position: u64,
        chunk: usize,
    },
    Settled {
        attempt: u32,
        key: String,
        outcome: &'static str,
        state: JobState,
        #[serde(skip_serializing_if = "Option::is_none")]
        class: Option<Class>,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<&'e str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
        duration: f64,
    },
    GaveUp {
        attempt: u32,
        state: JobState,
    },
    Stopped {
        ending: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        words: Option<&'e str>,
        counts: &'e Counts,
    },
}

impl Events {
    /// Opens the file to append to it, readable by its owner alone.
    pub(crate) fn open(path: &Path, terminal: &Terminal) -> Result<Self, Problem> {
        let opened = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path);
        let file = opened.map_err(|error| {
            let name = FileName::from(path);
            Problem::new(exit::USAGE, format!("cannot write the events to {name}"))
                .cause(error.to_string())
                .hint("give another file to --events")
        })?;
        Ok(Self {
            to: BufWriter::new(file),
            path: path.to_owned(),
            terminal: *terminal,
            flushed: Instant::now(),
            failed: false,
        })
    }

    /// Writes what happened.
    pub(crate) fn on(&mut self, event: &Event) {
        let line = match event {
            Event::Started {
                runner,
                recovered,
                counts,
            } => {
                let detail = Detail::Started {
                    runner: *runner,
                    recovered: recovered.len(),
                    counts,
                };
                Line {
                    event: "started",
                    t: monotonic(),
                    path: None,
                    path_bytes: None,
                    detail,
                }
            }
            Event::Claimed {
                path,
                position,
                attempt,
                key,
                chunk,
            } => {
                let (attempt, key) = (attempt.number, key.to_string());
                let detail = Detail::Claimed {
                    attempt,
                    key,
                    position: position.0,
                    chunk: *chunk,
                };
                Line::about("claimed", path, detail)
            }
            Event::Settled(settled) => {
                let detail = Detail::Settled {
                    attempt: settled.attempt.number,
                    key: settled.key.to_string(),
                    outcome: settled.outcome,
                    state: settled.state,
                    class: settled.class,
                    status: settled.status,
                    message: settled.message.as_deref(),
                    sha256: settled.sha256.map(|sum| sum.to_string()),
                    duration: settled.took.as_secs_f64(),
                };
                Line::about("settled", &settled.path, detail)
            }
            Event::Stopped { ending, counts } => {
                let detail = Detail::Stopped {
                    ending: ending.as_str(),
                    reason: ending.halt().map(|halt| halt.reason.as_str()),
                    words: ending.halt().map(|halt| halt.words.as_str()),
                    counts,
                };
                Line {
                    event: "stopped",
                    t: monotonic(),
                    path: None,
                    path_bytes: None,
                    detail,
                }
            }
            // Whenever the run has a moment, so has the file.
            Event::Tick => return self.check(std::io::Write::flush),
            Event::GaveUp { path, attempt } => Line::about(
                "gave_up",
                path,
                Detail::GaveUp {
                    attempt: attempt.number,
                    state: JobState::Failed,
                },
            ),
            Event::Gate(_)
            | Event::PutLast(_)
            | Event::Flow(_)
            | Event::Storage(_)
            | Event::Changed(_)
            | Event::Stopping { .. } => return,
        };
        // Whoever follows the file should not wait for a buffer to be full.
        let due = self.flushed.elapsed() >= FLUSH_EVERY || matches!(event, Event::Stopped { .. });
        if due {
            self.flushed = Instant::now();
        }
        self.check(|to| {
            serde_json::to_writer(&mut *to, &line)?;
            to.write_all(b"\n")?;
            if due { to.flush() } else { Ok(()) }
        });
    }

    fn check(&mut self, write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>) {
        if let Err(error) = write(&mut self.to)
            && !self.failed
        {
            self.failed = true;
            let path = FileName::from(self.path.as_path());
            self.terminal.say(&format!(
                "warning: cannot write the events to {path}: {error}; the run goes on"
            ));
        }
    }
}

impl<'e> Line<'e> {
    fn about(event: &'static str, path: &'e FileName, detail: Detail<'e>) -> Self {
        let path_bytes = path.odd_bytes();
        Self {
            event,
            t: monotonic(),
            path: Some(path.to_string_lossy()),
            path_bytes,
            detail,
        }
    }
}

fn monotonic() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}
