//! `stride status --watch`: shows the progress of a run in another process, read from its database.

use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use stride::event::Counts;
use stride::governor::LimitedBy;
use stride::job::FileName;
use stride::store::{Location, Lock, Reader, StoreError, wall_clock};

use crate::cli::args::Status;
use crate::cli::commands::status::status;
use crate::cli::output::error::{CliError, printed};
use crate::cli::output::shown::{self, is_terminal};
use crate::cli::output::signals;
use crate::cli::output::terminal::Terminal;
use crate::cli::output::time::clock;
use crate::cli::output::why::{self, Limit};
use crate::cli::output::{exit, lacking};
use crate::cli::progress::{LINE_EVERY, NAMED, Throughput, View};

/// The time between two reads of the database.
const READ_EVERY: Duration = Duration::from_secs(1);

/// Shows the progress of a run until no process works on it, and then its status.
pub(crate) fn watch(db: &Location, terminal: &Terminal) -> Result<u8, CliError> {
    let signals = signals::channel().map_err(|error| lacking::thread(&error))?;
    // A file or pipe on stdout gets plain lines instead of the view.
    let shows = terminal.animate && is_terminal();
    let clear = ClearOnDrop(terminal);
    let mut watched: Option<Watched> = None;
    loop {
        let now = wall_clock();
        match (read(db, now), &mut watched) {
            (Ok(None), _) => break,
            (Ok(Some(snapshot)), Some(watched)) => watched.update(snapshot, now),
            (Ok(Some(snapshot)), None) => watched = Some(Watched::new(snapshot, now)),
            // The database is locked for a moment: keep the previous data.
            (Err(StoreError::Locked { .. }), Some(_)) => {}
            (Err(error), _) => return Err(error.into()),
        }
        if let Some(watched) = &mut watched {
            if shows {
                terminal.show(|columns| watched.view.lines(columns, now));
            } else if let Some(line) = watched.line(now) {
                let result = shown::lines([line]);
                if result.is_err() {
                    return printed(result);
                }
            }
        }
        match signals.recv_timeout(READ_EVERY) {
            Ok(signal) => return Ok(exit::signalled(signal)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    drop(clear);
    status(db, &Status::default())
}

/// Removes the view when the watch ends, also by an error.
struct ClearOnDrop<'t>(&'t Terminal);

impl Drop for ClearOnDrop<'_> {
    fn drop(&mut self) {
        self.0.clear();
    }
}

/// The state of the run at one moment.
struct Snapshot {
    counts: Counts,
    gate: Option<(LimitedBy, i64)>,
    limit: Option<Limit>,
    finish: Option<i64>,
    slowest: Vec<(FileName, i64)>,
    about: Vec<String>,
}

/// Reads the state of the run, or `None` if no process works on it.
fn read(db: &Location, now: i64) -> Result<Option<Snapshot>, StoreError> {
    let reader = Reader::open(db)?;
    let info = reader.info()?;
    let holder = Lock::holder(db).filter(|_| info.ended.is_none());
    let (Some(holder), Some(started)) = (holder, info.started) else {
        return Ok(None);
    };
    let counts = reader.counts()?;
    let noted = reader.noted()?;
    let limit = why::recorded(&noted);
    let mut about = vec![format!("process {} since {}", holder.pid, clock(started))];
    if let Some(finish) = noted.finish.filter(|finish| *finish > now) {
        about.push(format!("earliest end {}", clock(finish)));
    }
    Ok(Some(Snapshot {
        counts,
        gate: limit
            .filter(|(why, _)| why::is_wait(why))
            // The database does not have the next probe of an outage.
            .map(|(why, moment)| (why, moment.unwrap_or(now))),
        limit,
        finish: noted.finish,
        slowest: match counts.open() {
            0 => reader.in_flight(NAMED)?,
            _ => Vec::new(),
        },
        about,
    }))
}

/// The watched run.
struct Watched {
    view: View,
    /// The time of the last plain line, and true if the gate was closed then.
    last_line: Option<(i64, bool)>,
}

impl Watched {
    fn new(snapshot: Snapshot, now: i64) -> Self {
        let mut watched = Self {
            view: View {
                counts: snapshot.counts,
                throughput: Throughput::new(now),
                ..View::default()
            },
            last_line: None,
        };
        watched.update(snapshot, now);
        watched
    }

    /// Adds the calls and files that completed since the last snapshot.
    fn update(&mut self, snapshot: Snapshot, now: i64) {
        let calls = |counts: &Counts| counts.attempts - counts.running.min(counts.attempts);
        let files = |counts: &Counts| counts.done + counts.failed + counts.held;
        let view = &mut self.view;
        let since = |number: fn(&Counts) -> u64| {
            number(&snapshot.counts).saturating_sub(number(&view.counts))
        };
        let (calls, files) = (since(calls), since(files));
        view.throughput.add(calls, files, now);
        view.set_gate(snapshot.gate, now);
        (view.counts, view.finish, view.limit) = (snapshot.counts, snapshot.finish, snapshot.limit);
        (view.slowest, view.about) = (snapshot.slowest, snapshot.about);
    }

    /// Returns a plain line if it is time for one, or if the gate has opened or closed.
    fn line(&mut self, now: i64) -> Option<String> {
        let closed = self.view.gate.is_some();
        let is_recent =
            |(at, was): (i64, bool)| was == closed && (0..LINE_EVERY).contains(&(now - at));
        if self.last_line.is_some_and(is_recent) {
            return None;
        }
        self.last_line = Some((now, closed));
        Some(self.view.line(now))
    }
}
