//! Completion of a call: informs the governor and decides about the job.

use std::time::Duration;

use super::{Consequences, Writer};
use crate::engine::message::{Report, Urgency};
use crate::engine::quarantine::Quarantined;
use crate::engine::signal::signal;
use crate::engine::slot::end_polls;
use crate::engine::slot_pool::Flight;
use crate::event::Ending;
use crate::governor::{CompletedCall, Disposition, Fault, SharedCause, Signal};
use crate::job::{CauseKey, Class, Failure, FailureKind, FileName, JobState, Outcome, said};
use crate::retry::{MAY_KILL, Next};

impl Writer<'_> {
    /// Frees the slot of a completed call, and decides about its job. Changes memory only.
    pub(super) fn complete(
        &mut self,
        report: &mut Report,
        now: Duration,
        consequences: &mut Consequences,
    ) {
        if let Outcome::Succeeded(answer) = &report.settlement.outcome {
            self.largest = self.largest.max(answer.body.len());
        }
        let slot = report.slot;
        if let Some(flight) = self.slots.complete(slot) {
            self.learn(flight, report, now, consequences);
        }
        let job = &report.claim.job;
        if report.panicked {
            self.ending = Ending::Panicked(job.path.clone());
            self.stop(Urgency::Drain);
        } else if slot < self.settings.threads.most() {
            self.schedule.slot_freed(slot);
        }
        if self.cancel.is_cancelled() && matches!(report.settlement.outcome, Outcome::InDoubt(_)) {
            self.cut_off.push(job.path.clone());
        }
    }

    /// Informs the governor, and applies its assessment to the job.
    fn learn(
        &mut self,
        flight: Flight,
        report: &mut Report,
        now: Duration,
        consequences: &mut Consequences,
    ) {
        let schedule = &mut self.schedule;
        let Report {
            claim, settlement, ..
        } = report;
        let refunds = schedule.quarantine.take_refunds(claim.job.id);
        for record in [&mut claim.record, &mut settlement.record] {
            record.charged = record.charged.saturating_sub(refunds);
        }
        let is_good = matches!(
            settlement.outcome,
            Outcome::Succeeded(_) | Outcome::Advanced { .. } | Outcome::NotReady { .. }
        );
        schedule.is_proven |= is_good && settlement.step.index > 0;
        if matches!(settlement.next, Next::Poll(_)) {
            // The settings may have changed since the slot began.
            let (attempt, outcome) = (&claim.attempt, &settlement.outcome);
            let (next, _) = self.policy.after(claim.record, attempt, outcome, 0.0);
            let outcome = std::mem::replace(&mut settlement.outcome, Outcome::Interrupted);
            settlement.outcome = end_polls(&self.policy, &settlement.step, outcome, next);
            if let Some(failure) = settlement.outcome.failure_mut() {
                failure.at(&settlement.step);
            }
            settlement.next = next;
        }
        let failure = settlement.outcome.failure();
        let message = failure.map(message).unwrap_or_default();
        let signal = signal(&settlement.outcome, |failure| {
            cause_of(failure, &claim.job.path)
        });
        let (cost, lane) = (flight.permit.cost(), flight.permit.lane());
        let call = CompletedCall {
            file: claim.job.id,
            step: claim.attempt.step.index,
            failed_before: claim.record.failed_before,
            signal,
            hint: settlement.outcome.hint(),
            goes_on: matches!(
                settlement.outcome,
                Outcome::Advanced { .. } | Outcome::NotReady { .. }
            ),
            took: settlement.took,
        };
        let assessment = schedule.governor.complete(flight.permit, call, now);
        settlement.price = assessment.price;
        schedule.note_message(&message);
        schedule.note_lane_message(lane, &message);
        match signal {
            Signal::Accepted => schedule.note_readable(claim.job.file.clone()),
            Signal::Throttled { .. }
            | Signal::Failed
            | Signal::Unreachable
            | Signal::Fault(
                Fault::Tls | Fault::Dns | Fault::Proxy | Fault::NotStarted | Fault::Hung,
            ) => {
                self.sink.note_refusal(&message);
            }
            _ => {}
        }
        let clears = |cause| assessment.clears(cause);
        let at_fault = schedule.quarantine.release_at_fault(lane, clears);
        consequences.at_fault.extend(at_fault);
        if !signal.is_sent() {
            consequences.unsent.push((settlement.attempt, cost));
        } else if let Some(actual) = settlement.outcome.hint().and_then(|hint| hint.bill.weight) {
            let weights = (cost.weight, actual);
            (consequences.weights).push((settlement.attempt, lane, weights));
        }
        let (mut held, mut last) = (None, false);
        let charged = settlement.record.charged > claim.record.charged;
        match assessment.disposition {
            // The user's settings or the answer decide, regardless of the service's state.
            _ if matches!(settlement.next, Next::Done | Next::Hold | Next::Advance(_)) => {}
            Disposition::ByPolicy => {}
            Disposition::Quarantine(cause) => held = Some(cause),
            Disposition::QuarantineIfFailed(cause) => {
                if charged {
                    schedule.quarantine.note_charged(claim.job.id, lane);
                }
                held = (settlement.next == Next::Fail).then_some(cause);
            }
            Disposition::Requeue(moment) | Disposition::RequeueLast(moment, _) => {
                settlement.next = Next::Again(moment.saturating_sub(now));
                settlement.record.charged = claim.record.charged;
                if let Disposition::RequeueLast(_, is_first) = assessment.disposition {
                    last = true;
                    (consequences.put_last).extend(is_first.then(|| claim.job.path.clone()));
                }
            }
            Disposition::Charge(moment, quarantines) => {
                if !charged {
                    (settlement.next, settlement.record) =
                        self.policy.charge(settlement.record, fastrand::f64());
                }
                if quarantines {
                    schedule.quarantine.note_charged(claim.job.id, lane);
                }
                if let Next::Again(wait) = &mut settlement.next {
                    *wait = moment.saturating_sub(now).max(*wait);
                } else if quarantines {
                    held = Some(SharedCause::Outage);
                }
            }
            Disposition::Reject => {
                reject(&mut settlement.outcome);
                settlement.next = Next::Fail;
            }
        }
        let (job, position) = (claim.job.id, claim.job.position);
        let is_waiting = match schedule.has_pool() {
            true => settlement.is_bound(claim),
            false => settlement.step.is_later(),
        };
        if let Some(cause) = held {
            settlement.next = Next::Again(Duration::ZERO);
            schedule.quarantine.add(Quarantined {
                attempt: settlement.attempt,
                path: claim.job.path.clone(),
                position,
                is_waiting,
                failed_before: claim.record.failed_before,
                cause,
                lane,
                message,
            });
        } else if let Next::Again(wait) = settlement.next {
            let crashes = settlement.record.crashes;
            if crashes >= MAY_KILL {
                schedule.queue.put_alone(job, crashes, now + wait);
            } else if is_waiting {
                schedule.due_jobs[lane].note(now + wait);
            } else if last {
                schedule.queue.put_last(job, now + wait);
            } else {
                schedule.queue.put_back(job, position, now + wait);
            }
        }
        if let Next::Advance(wait) | Next::Poll(wait) = settlement.next {
            schedule.due_jobs[lane].note(now + wait);
            schedule.has_steps = true;
        }
        if assessment.outage {
            consequences.excused.extend(schedule.excuse(lane, now));
        }
    }
}

/// Returns the message of a failure, with the service's own words.
fn message(failure: &Failure) -> String {
    let said = said(&failure.body);
    // It is shown in a line.
    let said: Vec<&str> = said.split_whitespace().collect();
    match said.join(" ") {
        said if said.is_empty() || failure.message.contains(&said) => failure.message.clone(),
        said => format!("{}: {said}", failure.message),
    }
}

/// Returns a number that rejections of the same cause share.
fn cause_of(failure: &Failure, job: &FileName) -> u64 {
    let key = CauseKey {
        state: JobState::Failed,
        class: Some(failure.class),
        kind: Some(failure.kind.as_str().to_owned()),
        status: failure.status,
        gist: String::new(),
    };
    let id = key.with_words(job, &failure.message, &failure.body).id();
    u64::from_str_radix(&id, 16).unwrap_or_default()
}

/// Turns a throttled outcome into a rejection: the service refuses this file repeatedly while it accepts others.
fn reject(outcome: &mut Outcome) {
    if let Outcome::Throttled { failure, .. } = outcome {
        let failure = Failure {
            class: Class::Rejected,
            kind: FailureKind::RefusedAgainAndAgain,
            message: format!(
                "{}; the service refused this file repeatedly while it accepted others",
                failure.message
            ),
            ..failure.clone()
        };
        *outcome = Outcome::Failed(failure);
    }
}
