//! Events of a run, each emitted only after its commit. Pure data.

mod counts;

use std::time::Duration;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

pub use counts::Counts;

use crate::governor::{LimitedBy, StopReason};
use crate::job::{
    AttemptId, Checksum, Class, FileName, IdempotencyKey, JobState, Lane, Position, Price, Step,
};
use crate::settings::Settings;

/// A stop by a guard, a limit or the service: the reason and the service's own words, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Halt {
    /// The reason.
    #[serde(serialize_with = "word")]
    pub reason: StopReason,
    /// The failure behind the stop in one line, or empty.
    pub words: String,
}

/// The end of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "ending", rename_all = "snake_case")]
pub enum Ending {
    /// No job is left to call.
    Finished,
    /// The user stopped it.
    Stopped,
    /// The caller panicked on this job.
    Panicked(#[serde(skip)] FileName),
    /// A guard or a limit stopped it. The other jobs are pending.
    Halted(Halt),
}

impl Ending {
    /// Returns the stop by a guard, a limit or the service, if it was one.
    pub fn halt(&self) -> Option<&Halt> {
        match self {
            Self::Halted(halt) => Some(halt),
            _ => None,
        }
    }

    /// Returns the word for the ending in the database.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Panicked(_) => "panicked",
            Self::Halted(_) => "halted",
        }
    }
}

/// An event of a run in progress.
///
/// It serializes to one JSON object with its kind in the field `event`, as `stride run --events` writes it. The variants
/// for people alone (`Gate`, `Flow`, `PutLast`, `Storage`, `Changed`, `Recounted`, `Stopping`, `Tick`) do not serialize.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A session began.
    Started {
        /// The number of the session in this run.
        runner: i64,
        /// The jobs whose call was in flight when an earlier process died. Serializes to their number.
        #[serde(serialize_with = "number")]
        recovered: Vec<FileName>,
        /// The number of jobs that are held since, because the pool has no row any more for the account that knows them.
        #[serde(skip_serializing_if = "is_zero")]
        held: u64,
        /// The state of the run.
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
        /// Its step. Serializes to `step` and `polls`, from the second step on.
        #[serde(flatten)]
        step: Step,
        /// Its idempotency key.
        key: IdempotencyKey,
        /// The job's position in the list.
        position: Position,
        /// The chunk whose thread makes the call.
        chunk: usize,
        /// The lane, if the run has a pool. Serializes to its number and name, as `lane` and `lane_name`.
        #[serde(flatten)]
        lane: Option<Lane>,
    },
    /// An attempt's outcome is recorded.
    Settled(Box<Settled>),
    /// No call may start, or calls may start again (`None`).
    #[serde(skip)]
    Gate(Option<Shut>),
    /// The limit of the run's speed, at intervals.
    #[serde(skip)]
    Flow(Flow),
    /// A job was refused repeatedly while others were accepted. It is called after them.
    #[serde(skip)]
    PutLast(FileName),
    /// A job that was kept pending after a failure has failed after all, because the service is not at fault.
    GaveUp {
        /// The job's name.
        #[serde(flatten)]
        path: FileName,
        /// The failed attempt. Serializes to its number.
        #[serde(serialize_with = "attempt_number")]
        attempt: AttemptId,
        /// The job's state now.
        state: JobState,
        /// The state in which it was kept.
        #[serde(skip)]
        from: JobState,
    },
    /// No further call of this session goes to a lane. Others go on.
    LaneStopped {
        /// The lane.
        #[serde(flatten)]
        lane: Lane,
        /// The reason.
        #[serde(flatten)]
        halt: Halt,
        /// The number of lanes that go on.
        left: usize,
    },
    /// A condition of the database or its disk.
    #[serde(skip)]
    Storage(Storage),
    /// Another process has changed the settings. These apply now.
    #[serde(skip)]
    Changed(Box<Settings>),
    /// Another process has forgotten files of the run, or brought some back.
    #[serde(skip)]
    Recounted {
        /// The state of the run.
        counts: Counts,
    },
    /// The user or the governor stops the run. Calls in flight are awaited.
    #[serde(skip)]
    Stopping {
        /// Calls in flight.
        in_flight: usize,
        /// The governor's stop, or `None` if the user stops the run.
        halt: Option<Halt>,
    },
    /// The session ended.
    Stopped {
        /// The kind of end.
        #[serde(flatten)]
        ending: Ending,
        /// The state of the run.
        counts: Counts,
    },
    /// Events before this one were lost: a run neither waits for a slow listener nor repeats a failed write.
    Missed {
        /// The number of lost events.
        events: u64,
        /// The state of the run.
        #[serde(skip)]
        counts: Counts,
    },
    /// No other event for a short time.
    #[serde(skip)]
    Tick,
}

/// A condition of the database or its disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// Another program has held the lock for this long. The run cannot record anything in the meantime.
    Busy(Duration),
    /// The disk has too little free space. No call starts until it has enough.
    NoRoom {
        /// Free bytes.
        free: u64,
        /// The bytes to keep free.
        kept: u64,
    },
    /// The disk has enough free space again.
    Room,
    /// The WAL has grown to this many bytes, because another program reads without a pause.
    LogGrows(u64),
    /// The storage has failed. The run records nothing more, and saves the results of calls in flight in a file.
    Failed {
        /// The error.
        message: String,
        /// Calls in flight.
        in_flight: usize,
    },
}

/// The limit of a run's speed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flow {
    /// The reason.
    pub why: LimitedBy,
    /// The moment of the reason, in milliseconds from now; negative if it has passed.
    pub moment: Option<i64>,
    /// The shortest time until the last file can be called.
    pub finish: Option<Duration>,
}

/// A time in which no call may start.
#[derive(Debug, Clone, PartialEq)]
pub struct Shut {
    /// The reason.
    pub why: LimitedBy,
    /// The wait from now on.
    pub wait: Duration,
    /// The outcome of the call that caused it, in one line.
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
    /// Its step, as in [`Event::Claimed`].
    #[serde(flatten)]
    pub step: Step,
    /// Its idempotency key.
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
    /// The price of the call, unless it is free. Serializes to its amount as text, and `cost_unknown` if it is an estimate.
    #[serde(flatten, serialize_with = "price")]
    pub price: Option<Price>,
    /// The duration of the call. Serializes to seconds, as `duration`.
    #[serde(rename = "duration", serialize_with = "seconds")]
    pub took: Duration,
    /// The lane, if the run has a pool, as in [`Event::Claimed`].
    #[serde(flatten)]
    pub lane: Option<Lane>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes fields by reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::ref_option, reason = "serde passes fields by reference")]
fn price<S: Serializer>(price: &Option<Price>, to: S) -> Result<S::Ok, S::Error> {
    let mut fields = to.serialize_map(None)?;
    if let Some(price) = price {
        fields.serialize_entry("cost", &price.amount.to_string())?;
        if !price.is_known {
            fields.serialize_entry("cost_unknown", &true)?;
        }
    }
    fields.end()
}

fn word<S: Serializer>(reason: &StopReason, to: S) -> Result<S::Ok, S::Error> {
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

    /// Programs of users read these lines, so names and their order must not change.
    #[test]
    fn events_serialize_to_one_object_each() {
        let counts = Counts::default();
        let all = r#"{"total":0,"pending":0,"waiting":0,"running":0,"done":0,"failed":0,"held":0,"attempts":0,"in_doubt":0,"in_doubt_recovered":0,"forgotten":0}"#;
        let attempt = AttemptId {
            job: JobId(7),
            number: 2,
        };
        let key = IdempotencyKey([0; 16]);
        let settled = Settled {
            path: "a.txt".into(),
            attempt,
            step: Step::FIRST,
            key,
            outcome: "succeeded",
            state: JobState::Done,
            class: None,
            status: None,
            message: None,
            sha256: None,
            price: None,
            took: Duration::from_millis(1500),
            lane: None,
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
            price: Some(Price {
                amount: "0.25".parse().unwrap(),
                is_known: false,
            }),
            ..settled
        };
        let halt = Halt {
            reason: StopReason::Rejected,
            words: "400".to_owned(),
        };
        let stopped = |ending| Event::Stopped { ending, counts };
        for (event, expected) in [
            (
                Event::Started {
                    runner: 3,
                    recovered: vec!["a".into(), "b".into()],
                    held: 0,
                    counts,
                },
                format!(r#"{{"event":"started","runner":3,"recovered":2,"counts":{all}}}"#),
            ),
            (
                Event::Claimed {
                    path: FileName::new(*b"caf\xe9"),
                    attempt,
                    step: Step::FIRST,
                    key,
                    position: Position(4),
                    chunk: 1,
                    lane: Some(Lane {
                        number: 2,
                        name: Some("bob".to_owned()),
                    }),
                },
                format!(
                    r#"{{"event":"claimed","path":"caf�","path_bytes":"Y2Fm6Q==","attempt":2,"key":"{key}","position":4,"chunk":1,"lane":2,"lane_name":"bob"}}"#
                ),
            ),
            (
                Event::Claimed {
                    path: "a.txt".into(),
                    attempt,
                    step: Step {
                        index: 1,
                        polls: 3,
                        ..Step::FIRST
                    },
                    key,
                    position: Position(4),
                    chunk: 1,
                    lane: None,
                },
                format!(
                    r#"{{"event":"claimed","path":"a.txt","attempt":2,"step":2,"polls":3,"key":"{key}","position":4,"chunk":1}}"#
                ),
            ),
            (
                Event::Settled(Box::new(kept)),
                format!(
                    r#"{{"event":"settled","path":"a.txt","attempt":2,"key":"{key}","outcome":"succeeded","state":"done","sha256":"{}","cost":"0.25","cost_unknown":true,"duration":1.5}}"#,
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
                    from: JobState::Pending,
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
