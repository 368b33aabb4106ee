//! Ends a run on a storage error or an aborting stop, with calls in flight.

use std::time::Duration;

use super::{Consequences, Idle, Phase, Writer, begin};
use crate::engine::clock;
use crate::engine::error::RunError;
use crate::engine::event_sink::flow;
use crate::engine::message::{Report, Urgency};
use crate::engine::slot_pool::Flight;
use crate::event::Storage;
use crate::job::{Class, Failure, FailureKind, Outcome};
use crate::store::{Claim, Settlement, StoreError};

impl Writer<'_> {
    /// Ends the run on a storage error. Nothing is committed after the first one. The calls in flight were paid, so
    /// they may finish within the grace. Their reports go to a rescue file for the next runner to import.
    pub(super) fn rescue(mut self, source: StoreError, mut reports: Vec<Report>) -> RunError {
        let mut rescue = self.store.rescue();
        self.sink.storage(Storage::Failed {
            message: source.to_string(),
            in_flight: self.slots.in_flight(),
        });
        if let Phase::Running | Phase::Draining(None) = self.phase {
            self.phase = Phase::Draining(Some(clock::now() + self.settings.grace));
        }
        loop {
            for report in &reports {
                // Reports of the failed commit have freed their slots already.
                self.slots.complete(report.slot);
            }
            let settlements = reports
                .iter()
                .map(|report| (&report.claim, &report.settlement));
            rescue.save(&settlements.collect::<Vec<_>>());
            reports.clear();
            let now = clock::now();
            let wake = match self.phase {
                _ if self.slots.in_flight() == 0 => break,
                Phase::Aborting(end) if now >= end => break,
                Phase::Draining(Some(end)) if now >= end => {
                    self.stop(Urgency::Now);
                    continue;
                }
                Phase::Aborting(end) => Some(end),
                Phase::Draining(end) => end,
                Phase::Running => None,
            };
            self.gather(wake, &mut reports);
        }
        self.cancel.cancel();
        RunError::Store {
            source,
            rescued: Box::new(rescue.finish()),
            in_flight: self.slots.in_flight(),
        }
    }

    /// Ends an aborting stop: settles the reports, and all calls still in flight as in doubt, in one transaction.
    pub(super) fn abandon(&mut self, reports: &mut Vec<Report>) -> Result<Idle, StoreError> {
        let now = clock::now();
        for report in &mut *reports {
            self.complete(report, now, &mut Consequences::default());
        }
        let lost = self.slots.abandon().into_iter().map(|flight| {
            let Flight { claim, permit } = flight;
            let price = self.schedule.governor.abandon(&permit);
            let (next, record) = self.policy.after_stop(claim.record, &claim.attempt.step);
            let mut failure = Failure::new(
                Class::Transient,
                FailureKind::Stopped,
                "stopped before the answer came",
            );
            failure.at(&claim.attempt.step);
            let settlement = Settlement {
                attempt: claim.attempt.id,
                step: claim.attempt.step,
                outcome: Outcome::InDoubt(failure),
                checksum: None,
                took: Duration::ZERO,
                price,
                next,
                record,
            };
            (claim, settlement)
        });
        let lost: Vec<(Claim, Settlement)> = lost.collect();
        self.cut_off
            .extend(lost.iter().map(|(claim, _)| claim.job.path.clone()));
        let mut group = begin(self.store, &self.sink)?;
        let mut states = Vec::with_capacity(reports.len() + lost.len());
        let reported = reports.iter().map(|report| &report.settlement);
        for settlement in reported.chain(lost.iter().map(|(_, settlement)| settlement)) {
            states.push(group.settle(settlement)?);
        }
        let flow = flow(&self.schedule, group.counts().pending, now);
        group.remember(&self.schedule.governor.checkpoint(now), &flow)?;
        group.commit()?;
        let settled = reports
            .drain(..)
            .map(|report| (report.claim, report.settlement))
            .chain(lost);
        for ((claim, settlement), state) in settled.zip(states) {
            self.sink.settled(claim, &settlement, state);
        }
        Ok(Idle::End)
    }
}
