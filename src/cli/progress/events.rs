//! Writes the events file: a JSON line for each event that programs can use, after its commit.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use stride::event::{Counts, Event};
use stride::export::timestamp;
use stride::job::FileName;
use stride::store::wall_clock;

use crate::cli::output::background::{BackgroundWriter, count};
use crate::cli::output::error::CliError;
use crate::cli::output::format::counted;
use crate::cli::output::terminal::Terminal;
use crate::cli::output::{exit, lacking};

/// The interval after which the next event flushes the lines. Without one, the next `Tick` flushes.
const FLUSH_EVERY: Duration = Duration::from_millis(100);

/// While at least this many bytes wait for a slow reader, lines are dropped. They are about 200,000 lines.
const MOST_WAITING: usize = 64 << 20;

/// An open events file. A background thread writes it, so that the run never waits for a reader.
pub(crate) struct Events {
    to: BackgroundWriter,
    /// Lines that are not queued yet.
    lines: Vec<u8>,
    name: FileName,
    terminal: Terminal,
    flushed: Instant,
    /// Set by the first failed write. It is reported once, and the run continues, because the store has everything.
    failed: bool,
    /// Lines lost since the last `Missed` event was queued.
    missed: usize,
    /// Lines lost in total.
    missed_in_total: usize,
}

/// The beginning of every line.
const BEGINNING: &[u8] = b"{\"event\":\"";

/// Returns whether a file begins like an events file.
pub(crate) fn are_in(path: &Path) -> io::Result<bool> {
    let mut beginning = Vec::new();
    let file = File::open(path)?;
    file.take(BEGINNING.len() as u64)
        .read_to_end(&mut beginning)?;
    Ok(beginning == BEGINNING)
}

impl Events {
    /// Opens the file to append to it. A new one is readable by its owner alone.
    pub(crate) fn open(path: &Path, terminal: &Terminal) -> Result<Self, CliError> {
        // Without read access, opening a pipe would wait for its reader.
        let is_pipe = path.metadata().is_ok_and(|meta| meta.file_type().is_fifo());
        let opened = OpenOptions::new()
            .append(true)
            .read(is_pipe)
            .create(true)
            .mode(0o600)
            .open(path);
        let name = FileName::from(path);
        let file = opened.map_err(|error| {
            CliError::new(exit::USAGE, format!("cannot write the events to {name}"))
                .cause(error.to_string())
                .hint("use another file with --events")
        })?;
        let to = BackgroundWriter::new(file, MOST_WAITING);
        let to = to.map_err(|error| lacking::thread(&error))?;
        Ok(Self {
            to,
            lines: Vec::new(),
            name,
            terminal: *terminal,
            flushed: Instant::now(),
            failed: false,
            missed: 0,
            missed_in_total: 0,
        })
    }

    /// Writes an event, unless it is for people alone.
    pub(crate) fn on(&mut self, event: &Event) {
        if matches!(event, Event::Tick) {
            return self.flush();
        }
        let Some(line) = line(event) else { return };
        self.lines.extend(line);
        // A program that follows the file should not wait for a buffer to fill.
        if self.flushed.elapsed() >= FLUSH_EVERY || matches!(event, Event::Stopped { .. }) {
            self.flush();
        }
    }

    /// Queues the lines for the background thread. If the queue is full, drops them, and a later line counts them.
    fn flush(&mut self) {
        self.flushed = Instant::now();
        self.take_failure();
        if self.lines.is_empty() {
            return;
        }
        let mut lines = std::mem::take(&mut self.lines);
        if self.missed > 0 && !self.to.is_full() {
            let missed = Event::Missed {
                events: std::mem::take(&mut self.missed) as u64,
                counts: Counts::default(),
            };
            lines.splice(..0, line(&missed).into_iter().flatten());
        }
        let events = count(&lines);
        if !self.to.push(lines) {
            self.count_lost(events);
        }
    }

    /// Counts the lines of failed writes, and reports the first error.
    fn take_failure(&mut self) {
        let Some((error, lost)) = self.to.take_failure() else {
            return;
        };
        self.count_lost(lost);
        if !std::mem::replace(&mut self.failed, true) {
            self.terminal.warn(&format!(
                "cannot write the events to {}: {error}; the run itself is not affected",
                self.name
            ));
        }
    }

    fn count_lost(&mut self, events: usize) {
        self.missed += events;
        self.missed_in_total += events;
    }

    /// Waits until all lines are written, unless the reader is stuck or too slow. Reports the number of lines that were lost
    /// or not written in time.
    pub(crate) fn finish(mut self) {
        self.flush();
        let unwritten = self.to.drain();
        self.take_failure();
        let missed = self.missed_in_total + unwritten;
        if missed > 0 {
            let missed = counted(missed as u64, "event");
            let why = match self.failed {
                true => "",
                false => ": it, or its reader, is too slow",
            };
            self.terminal
                .warn(&format!("{missed} not written to {}{why}", self.name));
        }
    }
}

/// Returns an event's line, or `None` for an event that does not serialize because it is for people alone. `t` is the time in
/// nanoseconds of CLOCK_MONOTONIC, which other processes can read too and which never goes back. `time` is the date.
fn line(event: &Event) -> Option<Vec<u8>> {
    let mut line = serde_json::to_vec(event).ok()?;
    let kind = line.get(BEGINNING.len()..)?.iter();
    let after = BEGINNING.len() + kind.take_while(|byte| **byte != b'"').count() + 1;
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let now = now.tv_sec * 1_000_000_000 + now.tv_nsec;
    let date = timestamp(wall_clock());
    line.splice(
        after..after,
        format!(",\"t\":{now},\"time\":\"{date}\"").into_bytes(),
    );
    line.push(b'\n');
    Some(line)
}
