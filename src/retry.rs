//! Decides a job's next state after an attempt. Pure: randomness is an argument.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::job::{Attempt, Class, Failure, FailureKind, Outcome, Step, StepKind};

/// The policy for jobs whose last attempt is in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DoubtPolicy {
    /// Call it again, with the same `Idempotency-Key`.
    Retry,
    /// Hold it until a person decides.
    Hold,
}

/// The limits and waits of retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Charged attempts after the first.
    pub retries: u32,
    /// The longest first wait.
    pub delay: Duration,
    /// The longest wait.
    pub max_delay: Duration,
    /// The policy for attempts in doubt. Reads and polls are repeated under any.
    pub in_doubt: DoubtPolicy,
    /// The first wait between polls. It grows by half each time, up to ten times itself.
    pub poll_every: Duration,
    /// The longest time of polling.
    pub poll_for: Duration,
}

/// A job's history. Charges and crashes count from the time when a person last made it pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Record {
    /// Charged attempts.
    pub charged: u32,
    /// Panics of its call, and deaths of the process while no other call was in flight. At least 1 if a signal ended its
    /// command, or if its worker crashed or broke the protocol.
    pub crashes: u32,
    /// Definite answers that ended an `Idempotency-Key`, and changes of a call in doubt. Each begins a new key.
    pub generation: u32,
    /// It had failed, transiently or throttled, when a person made it pending.
    pub failed_before: bool,
}

/// With this many crashes, a job is called last and alone.
pub const MAY_KILL: u32 = 2;
/// With this many crashes, a job is held for a person after the death of its process.
const HELD_AFTER: u32 = 10;

/// A job's next state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It has its result.
    Done,
    /// Its next step is made after this wait or later.
    Advance(Duration),
    /// It is polled again after this wait or later.
    Poll(Duration),
    /// The same step is called again after this wait or later.
    Again(Duration),
    /// It is not called again unless asked.
    Fail,
    /// It waits for a person.
    Hold,
}

impl RetryPolicy {
    /// Returns the job's next state and record after `outcome` of `attempt`. `chance` is uniform in 0..1.
    pub fn after(
        &self,
        record: Record,
        attempt: &Attempt,
        outcome: &Outcome,
        chance: f64,
    ) -> (Next, Record) {
        let step = &attempt.step;
        let answered = Record {
            generation: record.generation.saturating_add(1),
            ..record
        };
        match outcome {
            Outcome::Succeeded(_) => (Next::Done, answered),
            Outcome::Advanced { wait, .. } => {
                let fresh = Record {
                    charged: 0,
                    crashes: 0,
                    ..answered
                };
                // The time for polls begins now.
                (
                    Next::Advance(wait.unwrap_or_default().min(self.poll_for)),
                    fresh,
                )
            }
            Outcome::NotReady { wait, .. } => self.poll_again(record, step, *wait),
            Outcome::Failed(failure) => {
                let record = match keeps_key(failure, attempt.repeat) {
                    true => record,
                    false => answered,
                };
                match failure.class {
                    // The failure is due to old credentials, and new ones were read.
                    _ if failure.kind == FailureKind::CredentialsRenewed => {
                        (Next::Again(Duration::ZERO), record)
                    }
                    Class::Transient => self.charge(record, chance),
                    // One odd answer does not say that the submitted work is lost.
                    Class::BadResponse if step.kind == StepKind::Poll => {
                        self.charge(record, chance)
                    }
                    _ => (Next::Fail, record),
                }
            }
            Outcome::Unsendable(_) => (Next::Fail, record),
            Outcome::Throttled { .. } | Outcome::Unreachable(_) | Outcome::Interrupted => {
                (Next::Again(Duration::ZERO), record)
            }
            Outcome::InDoubt(failure) if failure.kind.is_crash() => {
                self.after_crash(record, step, chance)
            }
            Outcome::InDoubt(_) => match self.doubt_at(step) {
                DoubtPolicy::Hold => (Next::Hold, record),
                DoubtPolicy::Retry => self.charge(record, chance),
            },
        }
    }

    /// Decides for a job that the service calls not ready. A wait of the service has precedence, unless it is zero. The key stays, because
    /// nothing has changed at the service.
    fn poll_again(&self, record: Record, step: &Step, wait: Option<Duration>) -> (Next, Record) {
        let record = Record {
            charged: 0,
            ..record
        };
        let most = self.poll_every.saturating_mul(10);
        let left = self.poll_for.saturating_sub(step.since);
        if left.is_zero() {
            return (Next::Fail, record);
        }
        let stated = wait.filter(|wait| !wait.is_zero());
        let wait = stated.unwrap_or_else(|| {
            let grown = self.poll_every.as_secs_f64() * 1.5f64.powi(step.asked.min(6) as i32);
            Duration::try_from_secs_f64(grown).map_or(most, |grown| grown.min(most))
        });
        // The last poll is at the end of the time.
        (Next::Poll(wait.min(left)), record)
    }

    /// Returns the policy for doubt at a step: a step that changes nothing at the service can be repeated.
    fn doubt_at(&self, step: &Step) -> DoubtPolicy {
        match step.kind {
            StepKind::Write => self.in_doubt,
            StepKind::Read | StepKind::Poll => DoubtPolicy::Retry,
        }
    }

    /// Decides for a job whose process died during its call. `alone` says that no other call was in flight. Deaths are
    /// never charged, because kills, power loss and full memory are not the job's fault. A job that is alone in many
    /// deaths may still cause them, so it is held in the end; but never at a step that changes nothing.
    pub fn after_death(&self, record: Record, step: &Step, alone: bool) -> (Next, Record) {
        if step.kind != StepKind::Write {
            return (Next::Again(Duration::ZERO), record);
        }
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

    /// Decides for a job whose call panicked. A panic is charged unless it is the job's first crash, so that a file
    /// on which the caller always panics fails in the end.
    pub fn after_panic(&self, record: Record, step: &Step, chance: f64) -> (Next, Record) {
        let crashed = Record {
            crashes: record.crashes.saturating_add(1),
            ..record
        };
        self.crashed(record.crashes == 0, crashed, step, chance)
    }

    /// Decides for a job whose command was ended by a signal, or whose worker crashed or broke the protocol. The job's
    /// first crash is not charged, because other calls of the worker may have caused it. The next call is alone in its
    /// worker, so that further crashes are the job's.
    fn after_crash(&self, record: Record, step: &Step, chance: f64) -> (Next, Record) {
        let crashed = Record {
            crashes: record.crashes.max(1),
            ..record
        };
        self.crashed(record.crashes == 0, crashed, step, chance)
    }

    fn crashed(&self, first: bool, record: Record, step: &Step, chance: f64) -> (Next, Record) {
        match self.doubt_at(step) {
            DoubtPolicy::Hold => (Next::Hold, record),
            DoubtPolicy::Retry if first => (Next::Again(Duration::ZERO), record),
            DoubtPolicy::Retry => self.charge(record, chance),
        }
    }

    /// Decides for a job whose call a stop has interrupted: in doubt, and not charged.
    pub fn after_stop(&self, record: Record, step: &Step) -> (Next, Record) {
        match self.doubt_at(step) {
            DoubtPolicy::Hold => (Next::Hold, record),
            DoubtPolicy::Retry => (Next::Again(Duration::ZERO), record),
        }
    }

    /// Charges an attempt and returns the job's next state and record.
    pub fn charge(&self, record: Record, chance: f64) -> (Next, Record) {
        let charged = Record {
            charged: record.charged.saturating_add(1),
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

/// Returns whether the next call has the same `Idempotency-Key` after a definite failure. After 409, the operation under
/// the key is still running. If an earlier attempt under it is in doubt, the service may have done its work, and only an
/// answer about the file itself settles that.
fn keeps_key(failure: &Failure, is_repeat: bool) -> bool {
    let is_about_file = matches!(
        failure.class,
        Class::Rejected | Class::BadResponse | Class::Input
    );
    failure.status == Some(409) || is_repeat && !is_about_file
}

/// Returns an exponential backoff with full jitter: uniform between zero and `delay · 2^earlier`, at most `max`.
///
/// Source: M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
pub fn backoff(delay: Duration, max: Duration, earlier: u32, chance: f64) -> Duration {
    let bound = delay
        .checked_mul(2u32.saturating_pow(earlier))
        .map_or(max, |bound| bound.min(max));
    bound.mul_f64(chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests;
