//! Completion of a call: informs the governor and decides about the job.

use std::time::Duration;

use super::Writer;
use crate::engine::message::{Report, Urgency};
use crate::engine::schedule::Quarantined;
use crate::engine::signal::signal;
use crate::engine::slot_pool::Flight;
use crate::event::Ending;
use crate::governor::{Ended, Fate, Refusal, SharedCause, Signal};
use crate::job::{CauseKey, Class, Failure, FailureKind, FileName, JobId, JobState, Outcome, said};
use crate::limits::Cost;
use crate::retry::{MAY_KILL, Next};

impl Writer<'_> {
    /// Frees the slot of an ended call, and decides about its job. Changes memory only.
    pub(super) fn complete(&mut self, report: &mut Report, now: Duration) -> Consequences {
        let mut consequences = Consequences::default();
        if let Outcome::Succeeded(answer) = &report.settlement.outcome {
            self.largest = self.largest.max(answer.body.len());
        }
        let slot = report.slot;
        if let Some(flight) = self.slots.complete(slot) {
            consequences = self.learn(flight, report, now);
        }
        let job = &report.claim.job;
        if report.panicked {
            self.ending = Ending::Panicked(job.path.clone());
            self.stop(Urgency::Drain);
        } else if slot < self.settings.threads.most() {
            self.schedule.ask(slot);
        }
        if self.cancel.is_cancelled() && matches!(report.settlement.outcome, Outcome::InDoubt(_)) {
            self.cut_off.push(job.path.clone());
        }
        consequences
    }

    /// Informs the governor, and applies its verdict to the job.
    fn learn(&mut self, flight: Flight, report: &mut Report, now: Duration) -> Consequences {
        let Report {
            claim, settlement, ..
        } = report;
        let refunds = self.schedule.take_refunds(claim.job.id);
        for record in [&mut claim.record, &mut settlement.record] {
            record.charged = record.charged.saturating_sub(refunds);
        }
        let message = settlement
            .outcome
            .failure()
            .map(message)
            .unwrap_or_default();
        let watches = self.schedule.governor.watches_slips();
        let cause = |failure: &Failure| {
            if watches {
                cause_of(failure, &claim.job.path)
            } else {
                0
            }
        };
        let signal = signal(&settlement.outcome, cause);
        let cost = flight.permit.cost();
        let lesson = self.schedule.governor.ended(
            flight.permit,
            Ended {
                file: claim.job.id,
                failed_before: claim.record.failed_before,
                signal,
                hint: settlement.outcome.hint(),
                took: settlement.took,
            },
            now,
        );
        self.schedule.note_message(&message);
        match signal {
            Signal::Accepted => self.schedule.note_read(claim.job.file.clone()),
            Signal::Refused { .. }
            | Signal::Failed
            | Signal::Unreachable
            | Signal::Refusal(Refusal::Tls | Refusal::Name | Refusal::Proxy) => {
                self.sink.note_refusal(&message);
            }
            _ => {}
        }
        let mut consequences = Consequences {
            at_fault: self.schedule.release_at_fault(|cause| lesson.clears(cause)),
            excused: Vec::new(),
            put_last: None,
            is_unsent: !signal.is_sent(),
            cost,
        };
        // The user's settings or the answer decide, whatever this says about the service.
        let is_final = matches!(settlement.next, Next::Done | Next::Hold);
        let (mut held, mut last) = (None, false);
        let charged = settlement.record.charged > claim.record.charged;
        let later = |moment: Duration| Next::Again(moment.saturating_sub(now));
        match lesson.fate {
            _ if is_final => {}
            Fate::ByPolicy => {}
            Fate::Quarantine(cause) => held = Some(cause),
            Fate::Defer(cause) => {
                if charged {
                    self.schedule.note_charged(claim.job.id);
                }
                held = (settlement.next == Next::Fail).then_some(cause);
            }
            Fate::Again(moment) | Fate::AgainLast(moment, _) => {
                settlement.next = later(moment);
                settlement.record.charged = claim.record.charged;
                if let Fate::AgainLast(_, is_first) = lesson.fate {
                    last = true;
                    consequences.put_last = is_first.then(|| claim.job.path.clone());
                }
            }
            Fate::Charge(moment, defers) => {
                if !charged {
                    let charged = self.policy.charge(settlement.record, fastrand::f64());
                    (settlement.next, settlement.record) = charged;
                }
                if defers {
                    self.schedule.note_charged(claim.job.id);
                }
                match settlement.next {
                    Next::Again(wait) => {
                        settlement.next = Next::Again(wait.max(moment.saturating_sub(now)));
                    }
                    _ if defers => held = Some(SharedCause::Outage),
                    _ => {}
                }
            }
            Fate::Reject => {
                reject(&mut settlement.outcome);
                settlement.next = Next::Fail;
            }
        }
        let position = claim.job.position;
        if let Some(cause) = held {
            settlement.next = Next::Again(Duration::ZERO);
            self.schedule.quarantine(Quarantined {
                attempt: settlement.attempt,
                path: claim.job.path.clone(),
                position,
                failed_before: claim.record.failed_before,
                cause,
                message,
            });
        } else if let Next::Again(wait) = settlement.next {
            let crashes = settlement.record.crashes;
            if crashes >= MAY_KILL {
                self.schedule.put_alone(claim.job.id, crashes, now + wait);
            } else if last {
                self.schedule.put_last(claim.job.id, now + wait);
            } else {
                self.schedule.put_back(claim.job.id, position, now + wait);
            }
        }
        if lesson.outage {
            consequences.excused = self.schedule.excuse(now);
        }
        consequences
    }
}

/// The consequences of an ended call for other jobs, and for the usage.
#[derive(Debug, Default)]
pub(super) struct Consequences {
    /// Quarantined jobs that are at fault.
    pub(super) at_fault: Vec<Quarantined>,
    /// Jobs to refund for an outage, once for each charge.
    pub(super) excused: Vec<JobId>,
    /// The job, if it is called after all others from now on.
    pub(super) put_last: Option<FileName>,
    /// Nothing was sent, so rates and budgets get their cost back.
    pub(super) is_unsent: bool,
    pub(super) cost: Cost,
}

/// Returns the message of a failure, with the service's own words.
fn message(failure: &Failure) -> String {
    match said(&failure.body) {
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
                "{}, again and again while other files were accepted",
                failure.message
            ),
            ..failure.clone()
        };
        *outcome = Outcome::Failed(failure);
    }
}
