//! What happened: facts, each told only after its commit. Pure data.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::governor::{Reason, Why};
use crate::job::{AttemptId, Checksum, Class, FileName, IdempotencyKey, JobState, Position};
use crate::settings::Settings;

/// How many jobs are in which state, and what the attempts came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Jobs in all.
    pub total: u64,
    /// Jobs to be called.
    pub pending: u64,
    /// Jobs claimed by a runner.
    pub running: u64,
    /// Jobs with a result.
    pub done: u64,
    /// Jobs that failed for good.
    pub failed: u64,
    /// Jobs held because their last attempt is in doubt.
    pub held: u64,
    /// Attempts ever.
    pub attempts: u64,
    /// Attempts ever in doubt.
    pub in_doubt: u64,
    /// Those of them that a dead runner left behind.
    pub in_doubt_recovered: u64,
}

impl Counts {
    /// The number of jobs in a state.
    pub fn of(&self, state: JobState) -> u64 {
        match state {
            JobState::Pending => self.pending,
            JobState::Running => self.running,
            JobState::Done => self.done,
            JobState::Failed => self.failed,
            JobState::Held => self.held,
        }
    }

    /// The number of jobs in a state, to be changed.
    pub fn of_mut(&mut self, state: JobState) -> &mut u64 {
        match state {
            JobState::Pending => &mut self.pending,
            JobState::Running => &mut self.running,
            JobState::Done => &mut self.done,
            JobState::Failed => &mut self.failed,
            JobState::Held => &mut self.held,
        }
    }

    /// Moves jobs from one state to another. Returns `None`, and changes nothing, where there are not as many.
    #[must_use]
    pub fn shift(&mut self, from: JobState, to: JobState, jobs: u64) -> Option<()> {
        let mut after = *self;
        *after.of_mut(from) = after.of(from).checked_sub(jobs)?;
        *after.of_mut(to) = after.of(to).checked_add(jobs)?;
        *self = after;
        Some(())
    }
}

/// A stop that was not asked for: the reason, and the words of the service that go with it, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Halt {
    /// The reason.
    #[serde(serialize_with = "word")]
    pub reason: Reason,
    /// The last failure in one line; empty where none belongs to it.
    pub words: String,
}

/// How a runner ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "ending", rename_all = "snake_case")]
pub enum Ending {
    /// Nothing is left to call.
    Finished,
    /// Stopped on request.
    Stopped,
    /// The caller panicked on this file.
    Panicked(#[serde(skip)] FileName),
    /// A guard or a budget stopped it; the rest is pending.
    Halted(Halt),
}

impl Ending {
    /// The stop that was not asked for, if it was one.
    pub fn halt(&self) -> Option<&Halt> {
        match self {
            Self::Halted(halt) => Some(halt),
            _ => None,
        }
    }

    /// The word under which the ending is recorded.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Panicked(_) => "panicked",
            Self::Halted(_) => "halted",
        }
    }
}

/// A fact about a run that is going on.
///
/// Serializes to one JSON object, its kind in the field `event`, as `stride run --events` writes it. The variants that
/// are for people alone (`Gate`, `Flow`, `PutLast`, `Storage`, `Changed`, `Stopping`, `Tick`) do not serialize.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A runner began.
    Started {
        /// Its number in this run.
        runner: i64,
        /// The jobs whose call was in flight when an earlier runner died. Serializes to their number.
        #[serde(serialize_with = "number")]
        recovered: Vec<FileName>,
        /// Where the run stands.
        counts: Counts,
    },
    /// An attempt is about to be sent.
    Claimed {
        /// The job's name.
        #[serde(flatten)]
        path: FileName,
        /// The attempt. Serializes to its number.
        #[serde(serialize_with = "attempt_number")]
        attempt: AttemptId,
        /// Its key.
        key: IdempotencyKey,
        /// The job's place in the list.
        position: Position,
        /// The chunk whose thread makes it.
        chunk: usize,
    },
    /// An attempt's outcome is recorded.
    Settled(Box<Settled>),
    /// The gate closed for all threads, or opened (`None`).
    #[serde(skip)]
    Gate(Option<Shut>),
    /// What keeps the run from going faster.
    #[serde(skip)]
    Flow(Flow),
    /// A job was refused again and again while others were accepted: from now on it is called after them.
    #[serde(skip)]
    PutLast(FileName),
    /// A job that was left pending after a refusal has failed: the service took others.
    GaveUp {
        /// The job's name.
        #[serde(flatten)]
        path: FileName,
        /// The attempt that was refused. Serializes to its number.
        #[serde(serialize_with = "attempt_number")]
        attempt: AttemptId,
        /// The job's state now.
        state: JobState,
    },
    /// Something about the database that people may want to do something about.
    #[serde(skip)]
    Storage(Storage),
    /// Somebody has changed the settings meanwhile; these hold from now on.
    #[serde(skip)]
    Changed(Box<Settings>),
    /// A stop was asked for, or the governor stops the run; so many calls are still in flight.
    #[serde(skip)]
    Stopping {
        /// Calls in flight.
        in_flight: usize,
        /// Why, where nobody asked for it.
        halt: Option<Halt>,
    },
    /// The runner ended.
    Stopped {
        /// How.
        #[serde(flatten)]
        ending: Ending,
        /// Where the run stands.
        counts: Counts,
    },
    /// The listener was too slow, and so many events before this one were dropped: a run does not wait for its listener.
    Missed {
        /// Events that were dropped.
        events: u64,
        /// Where the run stands.
        #[serde(skip)]
        counts: Counts,
    },
    /// Nothing happened for a moment.
    #[serde(skip)]
    Tick,
}

/// What is the matter with the place where results go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// Somebody else has had the database locked for so long; nothing can be recorded meanwhile.
    Busy(Duration),
    /// So many bytes are free, and so many are kept free; no call is made until there are.
    NoRoom {
        /// What is free.
        free: u64,
        /// What has to be.
        kept: u64,
    },
    /// There is room again.
    Room,
    /// The log beside the database has so many bytes, for somebody reads the database all the time.
    LogGrows(u64),
    /// It has failed. Nothing is recorded from now on; what the calls in flight come to is saved in a file.
    Failed {
        /// What happened.
        message: String,
        /// Calls in flight.
        in_flight: usize,
    },
}

/// The reason why a run goes no faster.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flow {
    /// The reason.
    pub why: Why,
    /// The moment that belongs to it, seen from now, in milliseconds; negative where it has passed.
    pub moment: Option<i64>,
    /// How long it takes until the last file can be called, at best.
    pub finish: Option<Duration>,
}

/// The gate, closed for all threads.
#[derive(Debug, Clone, PartialEq)]
pub struct Shut {
    /// Why.
    pub why: Why,
    /// How long from now on.
    pub wait: Duration,
    /// What the last call that met it came to, in one line.
    pub message: String,
}

/// The recorded outcome of an attempt.
#[derive(Debug, Clone, Serialize)]
pub struct Settled {
    /// The job's name.
    #[serde(flatten)]
    pub path: FileName,
    /// The attempt. Serializes to its number.
    #[serde(serialize_with = "attempt_number")]
    pub attempt: AttemptId,
    /// Its key.
    pub key: IdempotencyKey,
    /// The word for the outcome.
    pub outcome: &'static str,
    /// The job's state now.
    pub state: JobState,
    /// The failure's class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// The HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The failure, in one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The result's checksum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Checksum>,
    /// How long the call took. Serializes to seconds, as `duration`.
    #[serde(rename = "duration", serialize_with = "seconds")]
    pub took: Duration,
}

fn word<S: Serializer>(reason: &Reason, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(reason.as_str())
}

fn number<S: Serializer>(names: &[FileName], to: S) -> Result<S::Ok, S::Error> {
    names.len().serialize(to)
}

fn attempt_number<S: Serializer>(attempt: &AttemptId, to: S) -> Result<S::Ok, S::Error> {
    attempt.number.serialize(to)
}

fn seconds<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    time.as_secs_f64().serialize(to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobId;

    /// Users' programs read these lines: neither names nor their order change.
    #[test]
    fn events_serialize_to_one_object_each() {
        let counts = Counts::default();
        let all = r#"{"total":0,"pending":0,"running":0,"done":0,"failed":0,"held":0,"attempts":0,"in_doubt":0,"in_doubt_recovered":0}"#;
        let attempt = AttemptId {
            job: JobId(7),
            number: 2,
        };
        let key = IdempotencyKey([0; 16]);
        let settled = Settled {
            path: "a.txt".into(),
            attempt,
            key,
            outcome: "succeeded",
            state: JobState::Done,
            class: None,
            status: None,
            message: None,
            sha256: None,
            took: Duration::from_millis(1500),
        };
        let failed = Settled {
            outcome: "failed",
            state: JobState::Failed,
            class: Some(Class::Rejected),
            status: Some(404),
            message: Some("404 Not Found".to_owned()),
            ..settled.clone()
        };
        let kept = Settled {
            sha256: Some(Checksum([0xab; 32])),
            ..settled
        };
        let halt = Halt {
            reason: Reason::Rejected,
            words: "400".to_owned(),
        };
        let stopped = |ending| Event::Stopped { ending, counts };
        for (event, expected) in [
            (
                Event::Started {
                    runner: 3,
                    recovered: vec!["a".into(), "b".into()],
                    counts,
                },
                format!(r#"{{"event":"started","runner":3,"recovered":2,"counts":{all}}}"#),
            ),
            (
                Event::Claimed {
                    path: FileName::new(*b"caf\xe9"),
                    attempt,
                    key,
                    position: Position(4),
                    chunk: 1,
                },
                format!(
                    r#"{{"event":"claimed","path":"caf�","path_bytes":"Y2Fm6Q==","attempt":2,"key":"{key}","position":4,"chunk":1}}"#
                ),
            ),
            (
                Event::Settled(Box::new(kept)),
                format!(
                    r#"{{"event":"settled","path":"a.txt","attempt":2,"key":"{key}","outcome":"succeeded","state":"done","sha256":"{}","duration":1.5}}"#,
                    "ab".repeat(32)
                ),
            ),
            (
                Event::Settled(Box::new(failed)),
                format!(
                    r#"{{"event":"settled","path":"a.txt","attempt":2,"key":"{key}","outcome":"failed","state":"failed","class":"rejected","status":404,"message":"404 Not Found","duration":1.5}}"#
                ),
            ),
            (
                Event::GaveUp {
                    path: "a.txt".into(),
                    attempt,
                    state: JobState::Failed,
                },
                r#"{"event":"gave_up","path":"a.txt","attempt":2,"state":"failed"}"#.to_owned(),
            ),
            (
                Event::Missed { events: 9, counts },
                r#"{"event":"missed","events":9}"#.to_owned(),
            ),
            (
                stopped(Ending::Panicked("a.txt".into())),
                format!(r#"{{"event":"stopped","ending":"panicked","counts":{all}}}"#),
            ),
            (
                stopped(Ending::Halted(halt)),
                format!(
                    r#"{{"event":"stopped","ending":"halted","reason":"rejected","words":"400","counts":{all}}}"#
                ),
            ),
        ] {
            assert_eq!(serde_json::to_string(&event).unwrap(), expected);
        }
        assert!(serde_json::to_string(&Event::Tick).is_err());
    }
}
