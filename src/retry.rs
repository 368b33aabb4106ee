//! What becomes of a job after an attempt. Pure: chance is an argument.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::job::{Class, FailureKind, Outcome};

/// What to do with a job whose last attempt is in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DoubtPolicy {
    /// Call it again, with the same `Idempotency-Key`.
    Retry,
    /// Hold it until a person decides.
    Hold,
}

/// How often and when a job is called again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Repeats after the first attempt that count against the job.
    pub retries: u32,
    /// The bound of the first wait.
    pub delay: Duration,
    /// The bound of every wait.
    pub max_delay: Duration,
    /// What to do with doubt.
    pub in_doubt: DoubtPolicy,
}

/// What the job has behind it since it was last made pending by a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Record {
    /// Attempts counted against the job.
    pub charged: u32,
    /// Times that the process died while this job's call was the only one in flight, or that its call panicked.
    pub crashes: u32,
    /// Definite answers ever; a new one makes a new `Idempotency-Key`.
    pub generation: u32,
    /// It failed for good before a person made it pending again.
    pub failed_before: bool,
}

/// After so many deaths with no other call in flight, a job is called after all others, and alone.
pub const MAY_KILL: u32 = 2;
/// After so many, it is held for a person.
const HELD_AFTER: u32 = 10;

/// Where the job goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It has its result.
    Done,
    /// It is called again, no earlier than after this wait.
    Again(Duration),
    /// It is not called again unless asked.
    Fail,
    /// It waits for a person.
    Hold,
}

impl RetryPolicy {
    /// Decides where the job goes after `outcome`, and what its record is then. `chance` is uniform in 0..1.
    pub fn after(&self, record: Record, outcome: &Outcome, chance: f64) -> (Next, Record) {
        let answered = Record {
            generation: record.generation + 1,
            ..record
        };
        match outcome {
            // The credentials were to blame, and there are new ones.
            Outcome::Failed(failure) if failure.kind == FailureKind::CredentialsRenewed => {
                (Next::Again(Duration::ZERO), answered)
            }
            Outcome::Succeeded(_) => (Next::Done, answered),
            // 409 says that the operation under this key is still going on: the key must stay.
            Outcome::Failed(failure) => {
                let record = match failure.status {
                    Some(409) => record,
                    _ => answered,
                };
                match failure.class {
                    Class::Transient => self.charge(record, chance),
                    _ => (Next::Fail, record),
                }
            }
            Outcome::Unsendable(_) => (Next::Fail, record),
            Outcome::Throttled { .. } | Outcome::Unreachable(_) | Outcome::Interrupted => {
                (Next::Again(Duration::ZERO), record)
            }
            Outcome::InDoubt(_) => match self.in_doubt {
                DoubtPolicy::Hold => (Next::Hold, record),
                DoubtPolicy::Retry => self.charge(record, chance),
            },
        }
    }

    /// Decides for a job whose runner died during its call; `alone` says that no other call was in flight. The death
    /// of a process is never charged to a job: kills, lost power and full memory say nothing about it. A job that was
    /// alone again and again may be the cause all the same, so it is held in the end.
    pub fn after_death(&self, record: Record, alone: bool) -> (Next, Record) {
        let after = Record {
            crashes: record.crashes.saturating_add(u32::from(alone)),
            ..record
        };
        match self.in_doubt {
            DoubtPolicy::Retry if after.crashes < HELD_AFTER => {
                (Next::Again(Duration::ZERO), after)
            }
            DoubtPolicy::Retry | DoubtPolicy::Hold => (Next::Hold, after),
        }
    }

    /// Decides for a job whose call panicked. The first panic is not charged. From the second on they are, so that a
    /// file at which the caller always panics fails in the end.
    pub fn after_panic(&self, record: Record, chance: f64) -> (Next, Record) {
        let crashed = Record {
            crashes: record.crashes + 1,
            ..record
        };
        match self.in_doubt {
            DoubtPolicy::Hold => (Next::Hold, crashed),
            DoubtPolicy::Retry if record.crashes == 0 => (Next::Again(Duration::ZERO), crashed),
            DoubtPolicy::Retry => self.charge(crashed, chance),
        }
    }

    /// Decides for a job whose call was cut off by a stop: in doubt, and not charged.
    pub fn after_stop(&self, record: Record) -> (Next, Record) {
        match self.in_doubt {
            DoubtPolicy::Hold => (Next::Hold, record),
            DoubtPolicy::Retry => (Next::Again(Duration::ZERO), record),
        }
    }

    /// Charges an attempt to its job.
    pub fn charge(&self, record: Record, chance: f64) -> (Next, Record) {
        let charged = Record {
            charged: record.charged + 1,
            ..record
        };
        if charged.charged > self.retries {
            return (Next::Fail, charged);
        }
        (
            Next::Again(backoff(self.delay, self.max_delay, record.charged, chance)),
            charged,
        )
    }
}

/// Exponential backoff with full jitter: uniform between nothing and `delay · 2^earlier`, at most `max`.
///
/// Source: M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
pub fn backoff(delay: Duration, max: Duration, earlier: u32, chance: f64) -> Duration {
    let bound = delay
        .checked_mul(2u32.saturating_pow(earlier))
        .map_or(max, |bound| bound.min(max));
    bound.mul_f64(chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Answer;
    use crate::job::Failure;

    const POLICY: RetryPolicy = RetryPolicy {
        retries: 2,
        delay: Duration::from_secs(1),
        max_delay: Duration::from_secs(3),
        in_doubt: DoubtPolicy::Retry,
    };
    const HOLD: RetryPolicy = RetryPolicy {
        in_doubt: DoubtPolicy::Hold,
        ..POLICY
    };

    fn failure(class: Class, status: Option<u16>) -> Failure {
        Failure {
            status,
            ..Failure::new(class, "test", "test")
        }
    }

    #[test]
    fn transient_failures_are_charged_until_none_is_left() {
        let outcome = Outcome::Failed(failure(Class::Transient, Some(500)));
        let mut record = Record::default();
        for (charged, wait) in [(1, 1), (2, 2)] {
            let (next, after) = POLICY.after(record, &outcome, 1.0);
            assert_eq!(next, Next::Again(Duration::from_secs(wait)));
            assert_eq!(
                after,
                Record {
                    charged,
                    crashes: 0,
                    generation: charged,
                    ..Record::default()
                }
            );
            record = after;
        }
        assert_eq!(POLICY.after(record, &outcome, 1.0).0, Next::Fail);
    }

    #[test]
    fn what_is_not_the_jobs_fault_is_free_and_keeps_the_key() {
        let record = Record {
            charged: 2,
            generation: 5,
            ..Record::default()
        };
        for outcome in [
            Outcome::Throttled {
                failure: failure(Class::Throttled, Some(429)),
                wait: None,
            },
            Outcome::Unreachable(failure(Class::Transient, None)),
            Outcome::Interrupted,
        ] {
            assert_eq!(
                POLICY.after(record, &outcome, 1.0),
                (Next::Again(Duration::ZERO), record)
            );
        }
        assert_eq!(
            POLICY.after_stop(record),
            (Next::Again(Duration::ZERO), record)
        );
        assert_eq!(HOLD.after_stop(record), (Next::Hold, record));
    }

    #[test]
    fn doubt_is_charged_or_held_and_keeps_the_key() {
        let outcome = Outcome::InDoubt(failure(Class::Transient, None));
        let (next, record) = POLICY.after(Record::default(), &outcome, 0.5);
        assert_eq!(next, Next::Again(Duration::from_millis(500)));
        assert_eq!(
            record,
            Record {
                charged: 1,
                crashes: 0,
                generation: 0,
                ..Record::default()
            }
        );
        assert_eq!(
            HOLD.after(Record::default(), &outcome, 0.5),
            (Next::Hold, Record::default())
        );
    }

    #[test]
    fn renewed_credentials_send_the_job_back_free_of_charge() {
        let renewed = Outcome::Failed(Failure {
            status: Some(401),
            ..Failure::new(Class::Auth, FailureKind::CredentialsRenewed, "test")
        });
        let record = Record {
            charged: 2,
            crashes: 1,
            generation: 5,
            ..Record::default()
        };
        let after = Record {
            generation: 6,
            ..record
        };
        assert_eq!(
            POLICY.after(record, &renewed, 1.0),
            (Next::Again(Duration::ZERO), after)
        );
    }

    #[test]
    fn definite_answers_end_the_key() {
        let rejected = Outcome::Failed(failure(Class::Rejected, Some(422)));
        assert_eq!(
            POLICY.after(Record::default(), &rejected, 0.0),
            (
                Next::Fail,
                Record {
                    generation: 1,
                    ..Record::default()
                }
            )
        );
        let done = Outcome::Succeeded(Answer::json_text("1"));
        assert_eq!(POLICY.after(Record::default(), &done, 0.0).0, Next::Done);
    }

    #[test]
    fn a_conflict_is_a_transient_failure_that_keeps_the_key() {
        let conflict = Outcome::Failed(failure(Class::Transient, Some(409)));
        let mut record = Record::default();
        for (charged, wait) in [(1, 1), (2, 2)] {
            let (next, after) = POLICY.after(record, &conflict, 1.0);
            assert_eq!(next, Next::Again(Duration::from_secs(wait)));
            record = Record {
                charged,
                ..Record::default()
            };
            assert_eq!(after, record);
        }
        let (next, after) = POLICY.after(record, &conflict, 1.0);
        assert_eq!((next, after.generation), (Next::Fail, 0));
        // Where the user's rule puts it elsewhere, the operation still goes on.
        let ruled = Outcome::Failed(failure(Class::Rejected, Some(409)));
        assert_eq!(
            POLICY.after(Record::default(), &ruled, 0.0),
            (Next::Fail, Record::default())
        );
    }

    #[test]
    fn a_death_is_never_charged_and_a_job_that_is_alone_at_ten_is_held() {
        let mut record = Record::default();
        for _ in 0..100 {
            let (next, after) = POLICY.after_death(record, false);
            assert_eq!((next, after), (Next::Again(Duration::ZERO), record));
        }
        for deaths in 1..10 {
            let (next, after) = POLICY.after_death(record, true);
            assert_eq!(next, Next::Again(Duration::ZERO));
            assert_eq!((after.charged, after.crashes), (0, deaths));
            record = after;
        }
        assert_eq!(POLICY.after_death(record, true).0, Next::Hold);
        assert_eq!(HOLD.after_death(Record::default(), false).0, Next::Hold);
    }

    #[test]
    fn a_file_at_which_the_caller_panics_fails_in_the_end() {
        let mut record = Record::default();
        let mut crashes = 0;
        loop {
            let (next, after) = POLICY.after_panic(record, 0.0);
            crashes += 1;
            record = after;
            if next == Next::Fail {
                break;
            }
        }
        // One for free, then the retries, then the one too many.
        assert_eq!(crashes, 1 + POLICY.retries + 1);
        assert_eq!(HOLD.after_panic(Record::default(), 0.0).0, Next::Hold);
    }

    #[test]
    fn backoff_never_passes_its_bound() {
        let (one, sixty) = (Duration::from_secs(1), Duration::from_secs(60));
        assert_eq!(backoff(one, sixty, 3, 1.0), Duration::from_secs(8));
        assert_eq!(backoff(one, sixty, 6, 1.0), sixty);
        assert_eq!(backoff(one, sixty, u32::MAX, 1.0), sixty);
        assert_eq!(backoff(one, sixty, 6, 0.0), Duration::ZERO);
    }
}
