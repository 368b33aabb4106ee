//! Finds how many calls at a time raise throughput, for `-j auto`.
//!
//! It adds workers while they bring more answers, and goes back and rests where answers only take longer. Hill climbing
//! on throughput, not on latency: files of one list differ in size, and so do their latencies, whatever the service.

use std::time::Duration;

use crate::limits::seconds;

#[derive(Debug)]
pub(super) struct WidthFinder {
    width: usize,
    most: usize,
    /// The width before the last step up, and its throughput.
    before: Option<(usize, f64)>,
    bound: bool,
    looked: Duration,
    rests_until: Duration,
    answers: u64,
    troubles: u64,
    latency: Duration,
    doubling: bool,
}

impl WidthFinder {
    const FIRST: usize = 4;
    const LOOK: Duration = Duration::from_secs(1);
    const REST: Duration = Duration::from_secs(20);
    /// More calls at once have to bring at least this share of what they would if none queued.
    const WORTH: f64 = 0.3;

    pub(super) fn new(now: Duration, found: Option<usize>, most: usize) -> Self {
        Self {
            width: found.unwrap_or(Self::FIRST).clamp(1, most),
            most,
            before: None,
            bound: false,
            looked: now,
            rests_until: now,
            answers: 0,
            troubles: 0,
            latency: Duration::ZERO,
            doubling: found.is_none(),
        }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Takes note that the width kept a call back.
    pub(super) fn binds(&mut self) {
        self.bound = true;
    }

    /// Takes note of an answer, and of whether the service was well.
    pub(super) fn answered(&mut self, took: Duration, well: bool) {
        self.answers += 1;
        self.latency += took;
        self.troubles += u64::from(!well);
    }

    pub(super) fn look(&mut self, now: Duration) {
        let since = now.saturating_sub(self.looked);
        let mean = self.latency.as_secs_f64() / self.answers.max(1) as f64;
        // A step is judged by a few answers of each worker.
        let enough = self.answers >= 3 * self.width as u64;
        if since < Self::LOOK.max(seconds(2.0 * mean)) || !enough {
            return;
        }
        let throughput = self.answers as f64 / since.as_secs_f64();
        let troubled = self.troubles * 10 > self.answers;
        let bound = std::mem::take(&mut self.bound);
        self.looked = now;
        (self.answers, self.troubles, self.latency) = (0, 0, Duration::ZERO);
        if troubled {
            self.before = None;
            self.back(self.width * 7 / 10, now);
            return;
        }
        if let Some((narrow, was)) = self.before.take() {
            let hoped = self.width as f64 / narrow as f64 - 1.0;
            if throughput / was.max(0.001) - 1.0 < hoped * Self::WORTH {
                self.back(narrow, now);
                return;
            }
        }
        if !bound || now < self.rests_until || self.width == self.most {
            return;
        }
        self.before = Some((self.width, throughput));
        let more = if self.doubling {
            self.width
        } else {
            (self.width / 5).max(1)
        };
        self.width = (self.width + more).min(self.most);
    }

    fn back(&mut self, width: usize, now: Duration) {
        // After a doubling the best lies between the two: it is looked for in small steps, at once.
        self.rests_until = if self.doubling { now } else { now + Self::REST };
        self.doubling = false;
        self.width = width.max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn width_climbs_while_it_helps_and_goes_back_where_it_does_not() {
        // The service does sixteen calls at once, each in 50 ms.
        let mut finder = WidthFinder::new(Duration::ZERO, None, 256);
        let mut now = Duration::ZERO;
        let mut widths = Vec::new();
        for _ in 0..200 {
            now += Duration::from_secs(1);
            let width = finder.width();
            let served = width.min(16) as u64 * 20;
            let took = Duration::from_millis(50) * width as u32 / width.min(16) as u32;
            for _ in 0..served {
                finder.answered(took, true);
            }
            finder.binds();
            finder.look(now);
            widths.push(finder.width());
        }
        let late = &widths[20..];
        let mean = late.iter().sum::<usize>() as f64 / late.len() as f64;
        assert!((14.0..22.0).contains(&mean), "{widths:?}");
    }
}
