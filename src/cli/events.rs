//! The events file: a JSON line for each fact, written after its commit.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;

use stride::event::{Counts, Event};
use stride::job::{Class, FileName, JobState};

use super::error::Problem;
use super::exit;
use super::outlet::{Outlet, count};
use super::terminal::{Terminal, counted};

/// How long a line may stay unwritten while more come.
const FLUSH_EVERY: Duration = Duration::from_millis(100);

/// So many bytes may wait for a file that takes none: some 200,000 lines.
const MOST_WAITING: usize = 64 << 20;

/// An events file that is being written, by a thread of its own: the run does not wait for it.
pub(crate) struct Events {
    to: Outlet,
    /// Lines that are not yet handed over.
    lines: Vec<u8>,
    path: PathBuf,
    terminal: Terminal,
    flushed: Instant,
    /// Whether a write has failed. It is said once; the run goes on, for the store has it all.
    failed: bool,
    /// Lines that were dropped since the last one that was not.
    missed: usize,
    /// Lines that were dropped.
    missed_in_all: usize,
}

/// The beginning of each line.
const BEGINNING: &[u8] = b"{\"event\":\"";

/// Returns whether a file begins like an events file.
pub(crate) fn are_in(path: &Path) -> io::Result<bool> {
    let mut beginning = Vec::new();
    let file = File::open(path)?;
    file.take(BEGINNING.len() as u64)
        .read_to_end(&mut beginning)?;
    Ok(beginning == BEGINNING)
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
    Missed {
        events: u64,
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
        // A pipe without a reader would otherwise be waited for.
        let is_pipe = path.metadata().is_ok_and(|meta| meta.file_type().is_fifo());
        let opened = OpenOptions::new()
            .append(true)
            .read(is_pipe)
            .create(true)
            .mode(0o600)
            .open(path);
        let outlet = opened.and_then(|file| Outlet::new(file, MOST_WAITING));
        let to = outlet.map_err(|error| {
            let name = FileName::from(path);
            Problem::new(exit::USAGE, format!("cannot write the events to {name}"))
                .cause(error.to_string())
                .hint("give another file to --events")
        })?;
        Ok(Self {
            to,
            lines: Vec::new(),
            path: path.to_owned(),
            terminal: *terminal,
            flushed: Instant::now(),
            failed: false,
            missed: 0,
            missed_in_all: 0,
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
            Event::Tick => return self.flush(),
            Event::Missed { events, .. } => Line {
                event: "missed",
                t: monotonic(),
                path: None,
                path_bytes: None,
                detail: Detail::Missed { events: *events },
            },
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
        self.add(&line);
        // Whoever follows the file should not wait for a buffer to be full.
        if self.flushed.elapsed() >= FLUSH_EVERY || matches!(event, Event::Stopped { .. }) {
            self.flush();
        }
    }

    fn add(&mut self, line: &Line<'_>) {
        // Writing to memory does not fail, nor does a line have anything that is not JSON.
        let _ = serde_json::to_writer(&mut self.lines, line);
        self.lines.push(b'\n');
    }

    /// Hands the lines over that there are. Where the file takes none, they are dropped, and the next ones say how many.
    fn flush(&mut self) {
        self.flushed = Instant::now();
        if let Some(error) = self.to.take_error()
            && !std::mem::replace(&mut self.failed, true)
        {
            self.warn(&format!(
                "cannot write the events to {{}}: {error}; the run goes on"
            ));
        }
        if self.lines.is_empty() {
            return;
        }
        let mut lines = std::mem::take(&mut self.lines);
        if self.missed > 0 && !self.to.is_full() {
            let missed = Line {
                event: "missed",
                t: monotonic(),
                path: None,
                path_bytes: None,
                detail: Detail::Missed {
                    events: std::mem::take(&mut self.missed) as u64,
                },
            };
            self.add(&missed);
            let missed = std::mem::replace(&mut self.lines, lines);
            lines = [missed, std::mem::take(&mut self.lines)].concat();
        }
        let events = count(&lines);
        if !self.to.push(lines) {
            self.missed += events;
            self.missed_in_all += events;
        }
    }

    /// Waits for the file to have all lines, unless it is stuck or too slow, and says how many it has not.
    pub(crate) fn finish(mut self) {
        self.flush();
        let missed = self.missed_in_all + self.to.drain();
        if missed > 0 {
            let missed = counted(missed as u64, "event");
            self.warn(&format!(
                "{missed} not written to {{}}, which takes them too slowly"
            ));
        }
    }

    /// Says something about the file, whose name is put in the place of `{}`.
    fn warn(&self, words: &str) {
        let words = words.replace("{}", &FileName::from(self.path.as_path()).to_string());
        let label = self.terminal.bold("warning:");
        self.terminal.say(&format!("{label} {words}"));
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
