//! The two ends that lose a call or may: a stop that waits no longer, and a storage that has failed.

use std::time::Duration;

use super::{Idle, Phase, Writer};
use crate::engine::clock;
use crate::engine::error::RunError;
use crate::engine::message::{Report, Urgency};
use crate::event::Storage;
use crate::job::{Class, Failure, Outcome};
use crate::store::{Claim, Settlement, StoreError};

impl Writer<'_> {
    /// Ends on a storage error. The first one is final: nothing is committed after it. The calls in flight were paid,
    /// so they may come to their end as in a stop, and what they came to is saved beside the database, for the next
    /// runner to record.
    pub(super) fn rescue(mut self, source: StoreError, mut reports: Vec<Report>) -> RunError {
        let mut rescue = self.store.rescue();
        self.teller.storage(Storage::Failed {
            message: source.to_string(),
            in_flight: self.crew.in_flight(),
        });
        if let Phase::Running | Phase::Draining(None) = self.phase {
            self.phase = Phase::Draining(Some(clock::now() + self.settings.grace));
        }
        loop {
            for report in &mut reports {
                // Those that were being recorded have landed already, and their threads have no other call.
                self.crew.land(report.thread);
                rescue.save(&report.claim, &report.settlement);
            }
            if !reports.is_empty() {
                rescue.sync();
                reports.clear();
            }
            let now = clock::now();
            let wake = match self.phase {
                _ if self.crew.in_flight() == 0 => break,
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
            in_flight: self.crew.in_flight(),
        }
    }

    /// Ends a stop that is not waiting any longer: what is still in flight is in doubt, in one transaction.
    pub(super) fn write_off(&mut self, reports: &mut Vec<Report>) -> Result<Idle, StoreError> {
        let now = clock::now();
        for report in &mut *reports {
            self.land(report, now);
        }
        let lost = self.crew.write_off().into_iter().map(|claim| {
            let (next, record) = self.policy.after_stop(claim.record);
            let failure = Failure::new(
                Class::Transient,
                "stopped",
                "stopped before the answer came",
            );
            let settlement = Settlement {
                attempt: claim.attempt.id,
                outcome: Outcome::InDoubt(failure),
                checksum: None,
                took: Duration::ZERO,
                next,
                record,
            };
            (claim, settlement)
        });
        let lost: Vec<(Claim, Settlement)> = lost.collect();
        self.cut_off
            .extend(lost.iter().map(|(claim, _)| claim.job.path.clone()));
        let teller = &self.teller;
        let mut group =
            (self.store).group_patiently(&mut |waited| teller.storage(Storage::Busy(waited)))?;
        let mut states = Vec::with_capacity(reports.len() + lost.len());
        let reported = reports.iter().map(|report| &report.settlement);
        for settlement in reported.chain(lost.iter().map(|(_, settlement)| settlement)) {
            states.push(group.settle(settlement)?);
        }
        group.commit()?;
        let settled = reports
            .drain(..)
            .map(|report| (report.claim, report.settlement))
            .chain(lost);
        for ((claim, settlement), state) in settled.zip(states) {
            self.teller.settled(claim, &settlement, state);
        }
        Ok(Idle::End)
    }
}
