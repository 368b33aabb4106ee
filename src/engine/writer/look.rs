//! What the writer looks at now and then: what others do to the settings, to the disk, and to the log beside the database.

use std::time::Duration;

use super::{LOOK, Phase, Writer};
use crate::engine::clock;
use crate::engine::teller::flow;
use crate::event::Storage;
use crate::governor::Why;
use crate::settings::Threads;
use crate::store::StoreError;

/// How large the log beside the database may become before it is worth a word, in bytes: a reader that never leaves
/// keeps it from being folded in.
const LARGE_LOG: u64 = 256 << 20;

/// A reason that changes while nothing is recorded is written down this often at most.
const NOTE: Duration = Duration::from_secs(1);

/// Where the time of work is bounded it is written down this often at least, so that the bound holds even if the process
/// is killed.
const USAGE: Duration = Duration::from_secs(10);

/// Returns true where a reason is another than the one that was written down.
fn has_changed(noted: Why, why: Why) -> bool {
    match (noted, why) {
        // The time between probes grows all the time.
        (Why::Outage { .. }, Why::Outage { .. }) => false,
        _ => noted != why,
    }
}

impl Writer<'_> {
    /// Writes down why no call is made, where that has changed: other processes read it, and it may stay so for hours.
    pub(super) fn note(&mut self, now: Duration) -> Result<(), StoreError> {
        let pending = self.store.counts().pending;
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

    /// Writes down the pace and the usage where nothing else is recorded.
    pub(super) fn remember(&mut self, now: Duration) -> Result<(), StoreError> {
        let flow = flow(&self.schedule, self.store.counts().pending, now);
        let teller = &self.teller;
        let group =
            (self.store).group_patiently(&mut |waited| teller.storage(Storage::Busy(waited)))?;
        group.remember(&self.schedule.governor.memory(now), &flow)?;
        group.commit()?;
        self.noted = Some((flow.why, now));
        Ok(())
    }

    /// Looks, if it is time to.
    pub(super) fn look_around(&mut self) -> Result<(), StoreError> {
        let now = clock::now();
        if self.phase != Phase::Running || now < self.looked + LOOK {
            return Ok(());
        }
        self.looked = now;
        self.look_for_room(now)?;
        let log = self.store.log_size();
        // A few groups of large answers make a large log too, which is folded in soon.
        if log >= LARGE_LOG.max(self.large_log).max(self.in_flight()) {
            self.large_log = 2 * log;
            self.teller.storage(Storage::LogGrows(log));
        }
        self.look_at_settings()
    }

    /// Four of the largest answers so far from each thread, in bytes.
    fn in_flight(&self) -> u64 {
        self.largest.saturating_mul(4 * self.crew.working() as u64)
    }

    /// Makes no call while there may be no room for what it comes to. What there has to be grows with the answers:
    /// enough for four of the largest from each thread, once in the log and once in the database, and twice over for
    /// what others write.
    fn look_for_room(&mut self, now: Duration) -> Result<(), StoreError> {
        // A file system that says nothing of itself is taken at its word when it refuses.
        let Some(free) = self.store.free_space() else {
            return Ok(());
        };
        let in_flight = self.in_flight();
        let kept = match self.settings.min_free {
            0 => 0,
            least => least.max(in_flight),
        };
        let has_room = free >= kept;
        self.schedule.governor.set_room(has_room);
        match (has_room, self.no_room) {
            (true, None) => {}
            (true, Some(_)) => {
                self.no_room = None;
                self.teller.storage(Storage::Room);
            }
            (false, None) => {
                self.no_room = Some(now);
                self.teller.storage(Storage::NoRoom { free, kept });
            }
            (false, Some(since)) => {
                let lasted = now.saturating_sub(since);
                if lasted >= self.settings.max_outage && self.crew.in_flight() == 0 {
                    return Err(self.store.without_room(free, kept));
                }
            }
        }
        Ok(())
    }

    /// Takes over settings that somebody has changed meanwhile.
    fn look_at_settings(&mut self) -> Result<(), StoreError> {
        let now = self.looked;
        let Some(settings) = self.store.changed_settings(&self.settings)? else {
            return Ok(());
        };
        let spent = self.store.spent()?;
        let jobs = self.store.counts().total;
        self.schedule
            .change(&settings, settings.rules(), &spent, now, jobs);
        let (more, fewer) = self.crew.keep(settings.threads.most());
        self.schedule.recount(more, fewer);
        if let Threads::Fixed(threads) = settings.threads {
            while self.crew.working() < threads && self.hire() {}
        }
        self.teller.changed(&settings);
        self.settings = settings;
        Ok(())
    }
}
