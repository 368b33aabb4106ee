//! The lanes of a pool: calls that are bound to one, and the end of one.

use std::time::Duration;

use super::{Decision, Schedule};
use crate::governor::StopReason;
use crate::job::Lane;
use crate::limits::Cost;
use crate::store::{Group, HeldOfLane, StoreError};

/// A lane that has stopped while others go on.
#[derive(Debug)]
pub(in crate::engine) struct StoppedLane {
    pub(in crate::engine) lane: Lane,
    pub(in crate::engine) reason: StopReason,
    /// The failure that has stopped it, in one line.
    pub(in crate::engine) words: String,
    /// The number of lanes that go on.
    pub(in crate::engine) left: usize,
}

impl Decision {
    /// Returns the decision, with a wait at most until this moment. If no job is left, others may be bound to a lane: the
    /// outer `None` says that none is.
    pub(super) fn or_at(self, bound: Option<Option<Duration>>) -> Self {
        match (self, bound) {
            (Self::Wait(until), Some(Some(moment))) => {
                Self::Wait(Some(until.map_or(moment, |until| until.min(moment))))
            }
            (Self::Nothing, Some(until)) => Self::Wait(until),
            (decision, _) => decision,
        }
    }
}

impl Schedule {
    /// Returns whether calls have lanes of a pool.
    pub(in crate::engine) fn has_pool(&self) -> bool {
        !self.lanes.is_empty()
    }

    /// Returns the moment at which the first waiting job is due, or was.
    pub(in crate::engine) fn next_due(&self) -> Option<Duration> {
        let lanes = self.due_jobs.iter().enumerate();
        let open =
            lanes.filter(|(lane, _)| !self.has_pool() || self.governor.stopped(*lane).is_none());
        open.filter_map(|(_, due)| due.next()).min()
    }

    /// Calls a due job that is bound to a lane, if the lane admits it. `Err` has the moment to try again: the outer `None`
    /// says that no job is bound, and the inner one that a call in flight has to end first.
    pub(super) fn call_bound(
        &mut self,
        group: &mut Group<'_>,
        now: Duration,
    ) -> Result<Result<Decision, Option<Option<Duration>>>, StoreError> {
        let mut until: Option<Option<Duration>> = None;
        let mut wait = |moment: Option<Duration>| {
            let earlier = until.flatten().into_iter().chain(moment).min();
            until = Some(earlier);
        };
        let lanes = if self.has_pool() {
            self.due_jobs.len()
        } else {
            0
        };
        for lane in 0..lanes {
            if self.governor.stopped(lane).is_some() {
                continue;
            }
            for reads in [true, false] {
                if let Some(decision) = self.call_in(lane, reads, group, now, &mut wait)? {
                    return Ok(Ok(decision));
                }
                let mut permit = self.permit.iter();
                if permit.any(|permit| permit.spot().is_some()) {
                    // The spot check goes first.
                    return Ok(Err(Some(Some(now))));
                }
            }
            if let Some(next) = self.due_jobs[lane].next_page() {
                wait(Some(next));
            }
        }
        Ok(Err(until))
    }

    /// Calls a due job that is bound to this lane.
    fn call_in(
        &mut self,
        lane: usize,
        reads: bool,
        group: &mut Group<'_>,
        now: Duration,
        wait: &mut dyn FnMut(Option<Duration>),
    ) -> Result<Option<Decision>, StoreError> {
        while self.due_jobs[lane].has(reads, now) {
            let Some(&slot) = self.free_slots.front() else {
                wait(None);
                break;
            };
            // A permit counts as a call.
            self.give_permit_back();
            let permit = match self.request_in(Some(lane), reads, Cost::default(), now) {
                Ok(permit) if permit.spot().is_some() => {
                    self.permit = Some(permit);
                    break;
                }
                Ok(permit) => permit,
                Err(Decision::Wait(moment)) => {
                    wait(moment);
                    break;
                }
                Err(decision) => return Ok(Some(decision)),
            };
            let (quarantine, longest) = (&self.quarantine, self.longest_poll);
            let due = &mut self.due_jobs[lane];
            let Some(job) = due.take((lane, reads), group, quarantine, longest, now)? else {
                self.governor.cancel(permit);
                break;
            };
            // A later step does not send the file.
            let cost = match reads {
                true => Cost::default(),
                false => self.cost(group, job)?,
            };
            let permit = match self.exchange(permit, cost, now) {
                Ok(permit) => permit,
                Err(Decision::Wait(moment)) => {
                    self.due_jobs[lane].put_first(reads, job);
                    wait(moment);
                    break;
                }
                Err(decision) => return Ok(Some(decision)),
            };
            match group.claim_in(lane, job, slot, cost, permit.price())? {
                Some(claim) => return Ok(Some(self.call(slot, claim, permit))),
                // It was called meanwhile.
                None => self.governor.cancel(permit),
            }
        }
        Ok(None)
    }

    /// Remembers the message of a failure that has stopped a lane.
    pub(in crate::engine) fn note_lane_message(&mut self, lane: usize, message: &str) {
        if self.governor.cannot_call(lane).is_some() && self.stop_messages[lane].is_empty() {
            message.clone_into(&mut self.stop_messages[lane]);
        }
    }

    /// Returns the reasons for which the lanes of a pool have stopped, in one line.
    pub(super) fn lane_stops(&self) -> Option<String> {
        let stops = self.lanes.iter().zip(&self.stop_messages).enumerate();
        let stops = stops.filter_map(|(index, (lane, message))| {
            let reason = self.governor.cannot_call(index)?;
            Some(match message.as_str() {
                "" => format!("{lane}: {}", reason.as_str()),
                message => format!("{lane}: {message}"),
            })
        });
        let stops: Vec<String> = stops.collect();
        (!stops.is_empty()).then(|| stops.join("; "))
    }

    /// Ends the lanes of a pool that have stopped since the last time. Files that they refused are called in other lanes.
    pub(in crate::engine) fn end_lanes(
        &mut self,
        group: &mut Group<'_>,
        now: Duration,
    ) -> Result<Vec<StoppedLane>, StoreError> {
        if !self.has_pool() {
            return Ok(Vec::new());
        }
        let mut ended = Vec::new();
        for (index, reason) in self.governor.newly_stopped() {
            let words = self.stop_messages[index].clone();
            group.stop_lane(index, reason.as_str(), &words)?;
            if self.governor.halt().is_none() {
                let mut released = self.quarantine.release_lane(index);
                released.retain(|held| !held.is_waiting);
                self.put_back(released, now);
            }
            let open = |lane: &usize| self.governor.stopped(*lane).is_none();
            let left = (0..self.lanes.len()).filter(open).count();
            ended.push(StoppedLane {
                lane: self.lanes[index].clone(),
                reason,
                words,
                left,
            });
        }
        Ok(ended)
    }

    /// Holds the files that are bound to stopped lanes while others go on.
    pub(in crate::engine) fn hold_bound(
        &mut self,
        group: &mut Group<'_>,
    ) -> Result<Vec<HeldOfLane>, StoreError> {
        let mut held = Vec::new();
        if self.governor.halt().is_some() {
            return Ok(held);
        }
        for (index, lane) in self.lanes.iter().enumerate() {
            if self.governor.stopped(index).is_some() && self.due_jobs[index].next().is_some() {
                let reason = format!("{lane}, which sent it, has ended");
                held.extend(group.hold_lane(index, &reason)?);
                self.due_jobs[index].end();
            }
        }
        Ok(held)
    }
}
