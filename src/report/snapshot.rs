//! Reads a run for the report.

use std::path::PathBuf;

use crate::event::Counts;
use crate::job::FileName;
use crate::limits::Usage;
use crate::store::{
    AttemptSummary, Cause, LaneStatus, Reader, Record, RunInfo, Runner, StoreError,
};

use super::sums::Sums;
use super::timeline::Timeline;

/// The content of a report: the run at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) database: PathBuf,
    /// The moment of reading, in milliseconds since 1970.
    pub(super) now: i64,
    pub(super) info: RunInfo,
    pub(super) counts: Counts,
    /// What the run has used of its budgets.
    pub(super) used: Usage,
    pub(super) sessions: Vec<Session>,
    pub(super) timeline: Timeline,
    pub(super) sums: Sums,
    /// The slowest calls, with their files' names.
    pub(super) slowest: Vec<(AttemptSummary, FileName)>,
    pub(super) causes: Vec<Cause>,
    pub(super) lanes: Vec<LaneStatus>,
    /// The first files that failed or are held.
    pub(super) failed: Vec<Record>,
}

/// The work of one process on the run, such as a `run`, a `resume` or a `retry`.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) runner: Runner,
    /// The beginning and the end, in milliseconds since 1970. A session that died ends with its last attempt.
    pub(super) begin: i64,
    pub(super) end: i64,
    pub(super) state: SessionState,
}

/// The state of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SessionState {
    AtWork,
    /// No file was left to call.
    Finished,
    /// A signal or a program stopped it.
    Stopped,
    /// A guard or a limit stopped it.
    Halted,
    /// Its caller panicked, or a later version has recorded another word.
    Failed,
    /// Its process ended without recording an end.
    Died,
}

impl SessionState {
    fn new(runner: &Runner, is_at_work: bool) -> Self {
        match runner.ended.as_ref().map(|(_, word)| word.as_str()) {
            None if is_at_work => Self::AtWork,
            None | Some("died") => Self::Died,
            Some("finished") => Self::Finished,
            Some("stopped") => Self::Stopped,
            Some("halted") => Self::Halted,
            Some(_) => Self::Failed,
        }
    }

    /// Returns the word for people.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::AtWork => "at work",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Halted => "stopped early",
            Self::Failed => "failed",
            Self::Died => "died",
        }
    }

    /// Returns the class of the color.
    pub(super) fn color(self) -> &'static str {
        match self {
            Self::AtWork => "now",
            Self::Finished => "ok",
            Self::Stopped => "off",
            Self::Halted => "slow",
            Self::Failed | Self::Died => "bad",
        }
    }
}

/// The maximum number of listed failed or held files.
const FAILED: usize = 100;
/// The end of the year 9999. Later moments, as in a damaged database, count as this one.
const LATEST: i64 = 253_402_300_799_999;

/// Ends the reading of failures.
enum Stop {
    Store(StoreError),
    Enough,
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Snapshot {
    pub(super) fn read(reader: &Reader, now: i64, is_working: bool) -> Result<Self, StoreError> {
        let (counts, info) = (reader.counts()?, reader.info()?);
        let is_working = is_working && info.started.is_some() && info.ended.is_none();
        let sessions = sessions(reader, now, is_working)?;
        let times = sessions.iter().map(|session| (session.begin, session.end));
        let timeline = Timeline::new(times, counts.attempts);
        let mut sums = Sums::new(timeline.steps);
        reader.attempts(&mut |mut attempt| {
            attempt.started = attempt.started.clamp(0, LATEST);
            attempt.took = attempt.took.clamp(0, LATEST);
            sums.add(&attempt, timeline.step(attempt.ended()));
        })?;
        sums.finish();
        let slowest = std::mem::take(&mut sums.slowest);
        let jobs: Vec<_> = slowest.iter().map(|slow| slow.job).collect();
        let slowest = slowest.into_iter().zip(reader.names(&jobs)?).collect();
        Ok(Self {
            database: reader.path().to_owned(),
            now,
            info,
            counts,
            used: reader.noted()?.used,
            sessions,
            timeline,
            sums,
            slowest,
            causes: reader.causes()?,
            lanes: reader.lanes()?,
            failed: failed(reader)?,
        })
    }
}

fn sessions(reader: &Reader, now: i64, is_working: bool) -> Result<Vec<Session>, StoreError> {
    let seen = reader.last_seen()?;
    let runners = reader.runners()?;
    let latest = runners.len().saturating_sub(1);
    let sessions = runners.into_iter().enumerate().map(|(i, runner)| {
        let state = SessionState::new(&runner, is_working && i == latest);
        let begin = runner.started.clamp(0, LATEST);
        let end = match (state, &runner.ended) {
            (SessionState::AtWork, _) => now,
            // The recorded end of a session that died is the moment when the next one noticed.
            (SessionState::Died, _) | (_, None) => seen.get(&runner.id).copied().unwrap_or(begin),
            (_, Some((ended, _))) => *ended,
        };
        Session {
            begin,
            end: end.clamp(begin, LATEST),
            state,
            runner,
        }
    });
    Ok(sessions.collect())
}

/// Returns the first files that failed, and then those that are held.
fn failed(reader: &Reader) -> Result<Vec<Record>, StoreError> {
    let mut found = Vec::new();
    let read = reader.failures(None, &mut |record| {
        found.push(record);
        if found.len() < FAILED {
            Ok(())
        } else {
            Err(Stop::Enough)
        }
    });
    match read {
        Ok(()) | Err(Stop::Enough) => Ok(found),
        Err(Stop::Store(error)) => Err(error),
    }
}
