//! Periodic checks of the settings, the disk and the WAL, which other processes change.

use std::time::Duration;

use super::{CHECK_EVERY, Phase, Writer, begin, spawn_slot};
use crate::engine::clock;
use crate::engine::event_sink::flow;
use crate::event::{Event, Storage};
use crate::governor::LimitedBy;
use crate::settings::Threads;
use crate::store::StoreError;

/// Size of the WAL, in bytes, above which to report it: a reader that never leaves keeps SQLite from checkpointing.
const LARGE_LOG: u64 = 256 << 20;

/// Shortest interval between stores of a changed limiting reason.
const NOTE: Duration = Duration::from_secs(1);

/// Longest interval between stores of the usage if the run's duration is bounded, so that the bound holds after a
/// kill.
const USAGE: Duration = Duration::from_secs(10);

/// Returns true if a reason differs from the stored one.
fn has_changed(noted: LimitedBy, why: LimitedBy) -> bool {
    match (noted, why) {
        // Only the time between probes has grown.
        (LimitedBy::Outage { .. }, LimitedBy::Outage { .. }) => false,
        _ => noted != why,
    }
}

impl Writer<'_> {
    /// Stores what limits the run, if that has changed, for other processes to read. If the run's duration is bounded,
    /// also stores the usage at intervals.
    pub(super) fn note_reason(&mut self, now: Duration) -> Result<(), StoreError> {
        let pending = self.store.counts().open();
        if self.phase != Phase::Running || pending == 0 {
            return Ok(());
        }
        let flow = flow(&self.schedule, pending, now);
        let due = self.noted.is_none_or(|(why, at)| {
            let bounded = self.settings.max_duration.is_some();
            now >= at + NOTE && (has_changed(why, flow.why) || bounded && now >= at + USAGE)
        });
        if due { self.remember(now) } else { Ok(()) }
    }

    /// Stores the governor's state and the usage in a transaction of their own.
    pub(super) fn remember(&mut self, now: Duration) -> Result<(), StoreError> {
        let flow = flow(&self.schedule, self.store.counts().open(), now);
        let mut group = begin(self.store, &self.sink)?;
        group.remember(&self.schedule.governor.checkpoint(now), &flow)?;
        group.commit()?;
        self.noted = Some((flow.why, now));
        Ok(())
    }

    /// Checks the disk, the WAL and the settings, if it is time to.
    pub(super) fn check_surroundings(&mut self) -> Result<(), StoreError> {
        let now = clock::now();
        if self.phase != Phase::Running || now < self.checked + CHECK_EVERY {
            return Ok(());
        }
        self.checked = now;
        self.check_room(now)?;
        let log = self.store.log_size();
        // A few groups of large answers also make a large WAL, which is checkpointed soon.
        if log >= LARGE_LOG.max(self.large_log).max(self.in_flight()) {
            self.large_log = 2 * log;
            self.sink.storage(Storage::LogGrows(log));
        }
        self.reload_settings()?;
        self.recount()
    }

    /// Estimates the bytes of answers on their way: four of the largest so far for each slot.
    fn in_flight(&self) -> u64 {
        self.largest.saturating_mul(4 * self.slots.active() as u64)
    }

    /// Pauses calls while the disk may have no room for their answers, and fails if that lasts too long. Each slot needs
    /// room for the largest answer so far, in the WAL and in the database, and as much again for other programs.
    fn check_room(&mut self, now: Duration) -> Result<(), StoreError> {
        // If the free space is unknown, a failed write shows that the disk is full.
        let Some(free) = self.store.free_space() else {
            return Ok(());
        };
        let in_flight = self.in_flight();
        let kept = match self.settings.min_free {
            0 => 0,
            least => least.max(in_flight),
        };
        let has_room = free >= kept;
        self.schedule.governor.set_disk_space(has_room);
        match (has_room, self.no_room) {
            (true, None) => {}
            (true, Some(_)) => {
                self.no_room = None;
                self.sink.storage(Storage::Room);
            }
            (false, None) => {
                self.no_room = Some(now);
                self.sink.storage(Storage::NoRoom { free, kept });
            }
            (false, Some(since)) => {
                let lasted = now.saturating_sub(since);
                if lasted >= self.settings.max_outage && self.slots.in_flight() == 0 {
                    return Err(self.store.without_room(free, kept));
                }
            }
        }
        Ok(())
    }

    /// Reloads the counts and the queue if another process has forgotten files or brought some back.
    fn recount(&mut self) -> Result<(), StoreError> {
        if self.store.recount()? {
            let counts = self.store.counts();
            self.schedule.reload(counts.listed());
            self.sink.set_counts(counts);
            self.sink.emit(Event::Recounted { counts });
        }
        Ok(())
    }

    /// Applies settings that another process has changed.
    fn reload_settings(&mut self) -> Result<(), StoreError> {
        let now = self.checked;
        let Some(settings) = self.store.changed_settings(&self.settings)? else {
            return Ok(());
        };
        let spent = self.store.spent()?;
        let jobs = self.store.counts().listed();
        self.schedule
            .change(&settings, settings.rules(), &spent, now, jobs);
        let (more, fewer) = self.slots.resize(settings.threads.most());
        self.schedule.resized(more, fewer);
        if let Threads::Fixed(threads) = settings.threads {
            while self.slots.active() < threads && spawn_slot(&mut self.slots, &mut self.schedule) {
            }
        }
        self.sink.emit(Event::Changed(Box::new(settings.clone())));
        self.policy = settings.retry_policy();
        self.settings = settings;
        Ok(())
    }
}
