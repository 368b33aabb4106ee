//! The gate that all threads pass before a call. Throttling closes it until a stated moment, and after it the
//! flow ramps up. An outage closes it with a growing wait, after which one call, the probe, goes alone; it
//! opens to all when the probe has connected.

use std::time::Duration;

use crate::retry::backoff;

/// Why nobody may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The service asked for patience.
    Throttled,
    /// No connection can be made.
    Unreachable,
}

/// The gate. Time is an argument, counted from some fixed moment.
#[derive(Debug, Default)]
pub(super) struct Gate {
    until: Duration,
    why: Option<Closed>,
    /// Counts closings. A call that passed before the last one says nothing new about what closed it.
    epoch: u32,
    /// Closings in a row, without a call that got through between them.
    streak: u32,
    probing: bool,
    outage: Option<Outage>,
}

/// An outage that is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outage {
    /// Since when.
    pub(super) since: Duration,
    /// When it was last met.
    last: Duration,
    /// How long it has lasted, without the time in which this machine slept.
    pub(super) lasted: Duration,
}

/// What a call takes with it through the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    epoch: u32,
    probe: bool,
}

impl Gate {
    const THROTTLE_DELAY: Duration = Duration::from_secs(2);
    const OUTAGE_DELAY: Duration = Duration::from_millis(500);
    const MAX_DELAY: Duration = Duration::from_secs(30);
    /// A stated wait below this is not taken at its word when refusals go on.
    const SHORT: Duration = Duration::from_millis(50);
    const SHORT_AT_MOST: Duration = Duration::from_secs(1);
    /// Between two probes there is no more than this but where the machine was suspended.
    const LONGEST_GAP: Duration = Duration::from_secs(60);

    /// The moment from which a call may pass; `None` while a probe is out and its fate decides.
    pub(super) fn ready_at(&self) -> Option<Duration> {
        (!self.probing).then_some(self.until)
    }

    /// Why it is closed at `now`, and until when, as far as that is known.
    pub(super) fn closed(&self, now: Duration) -> Option<(Closed, Duration)> {
        self.why
            .filter(|_| self.probing || now < self.until)
            .map(|why| (why, self.until))
    }

    /// The outage that is going on.
    pub(super) fn outage(&self) -> Option<Outage> {
        self.outage
    }

    /// Lets a call through. To be called at or after [`Gate::ready_at`] only.
    pub(super) fn pass(&mut self) -> Stamp {
        let probe = self.why == Some(Closed::Unreachable);
        self.probing = probe;
        Stamp {
            epoch: self.epoch,
            probe,
        }
    }

    /// A call has ended: whether what it met is news.
    pub(super) fn land(&mut self, stamp: Stamp) -> bool {
        if stamp.probe {
            self.probing = false;
        }
        stamp.epoch == self.epoch
    }

    /// A call reached the service. An old one does not end what began after it.
    pub(super) fn reached(&mut self, news: bool, now: Duration) {
        if news && now >= self.until {
            self.streak = 0;
            self.why = None;
            self.outage = None;
        }
    }

    /// The service asks for patience, for so long if it says so. Returns the wait.
    pub(super) fn throttled(
        &mut self,
        wait: Option<Duration>,
        news: bool,
        now: Duration,
        chance: f64,
    ) -> Duration {
        self.outage = None;
        let wait = match wait {
            // A service that says "at once" and refuses again would be asked without end.
            Some(wait) if wait < Self::SHORT => {
                let half = 0.5 + chance / 2.0;
                wait.max(backoff(Self::SHORT, Self::SHORT_AT_MOST, self.streak, half))
            }
            Some(wait) => wait,
            // One storm is one closing.
            None if !news => return Duration::ZERO,
            None => jittered(Self::THROTTLE_DELAY, self.streak, chance),
        };
        self.close(Closed::Throttled, now.saturating_add(wait), news);
        wait
    }

    /// No connection could be made.
    pub(super) fn unreachable(&mut self, news: bool, now: Duration, chance: f64) {
        let outage = self.outage.get_or_insert(Outage {
            since: now,
            last: now,
            lasted: Duration::ZERO,
        });
        outage.lasted += now.saturating_sub(outage.last).min(Self::LONGEST_GAP);
        outage.last = outage.last.max(now);
        if news {
            let wait = jittered(Self::OUTAGE_DELAY, self.streak, chance);
            self.close(Closed::Unreachable, now + wait, true);
        }
    }

    /// Stays closed until a moment that an earlier runner was told.
    pub(super) fn stay_closed(&mut self, until: Duration) {
        self.close(Closed::Throttled, until, true);
    }

    fn close(&mut self, why: Closed, until: Duration, news: bool) {
        self.until = self.until.max(until);
        self.why = Some(why);
        if news {
            self.epoch += 1;
            self.streak += 1;
        }
    }
}

/// Full jitter over the upper half, so that a wait is never next to nothing.
fn jittered(delay: Duration, streak: u32, chance: f64) -> Duration {
    backoff(delay, Gate::MAX_DELAY, streak, 0.5 + chance / 2.0)
}

/// After a pause nobody stampedes: one call in the first second, two in the second, four in the third, until
/// there are as many in a second as there are threads.
#[derive(Debug)]
pub(super) struct Ramp {
    from: Duration,
    next: Duration,
    step: u32,
    last_step: u32,
}

impl Ramp {
    /// A little longer than a second, so that a call's jitter does not put one of the next step into it.
    const STEP: Duration = Duration::from_millis(1100);

    /// A ramp that begins at a moment and ends with so many calls in a second.
    pub(super) fn new(from: Duration, top: usize) -> Self {
        Self {
            from,
            next: from,
            step: 0,
            last_step: top.max(1).ilog2().min(20),
        }
    }

    /// When the next call may be made, or `None` where the ramp has ended.
    pub(super) fn ready_at(&mut self, now: Duration) -> Option<Duration> {
        let step = now.saturating_sub(self.from).as_millis() / Self::STEP.as_millis();
        let step = u32::try_from(step).unwrap_or(u32::MAX);
        if step > self.last_step {
            return None;
        }
        if step > self.step {
            self.step = step;
            self.next = self.next.max(self.from + Self::STEP * step);
        }
        Some(self.next)
    }

    pub(super) fn take(&mut self, now: Duration) {
        if self.step == 0 {
            // The first second begins with the first call.
            self.from = self.from.max(now);
        }
        self.next = now + Self::STEP / (1 << self.step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn throttling_closes_for_all_until_the_stated_moment() {
        let mut gate = Gate::default();
        let (a, b) = (gate.pass(), gate.pass());
        let news = gate.land(a);
        gate.throttled(Some(ms(3000)), news, ms(0), 0.0);
        let news = gate.land(b);
        gate.throttled(Some(ms(1000)), news, ms(10), 0.0);
        assert_eq!(
            gate.ready_at(),
            Some(ms(3000)),
            "a shorter wait does not open it earlier"
        );
        assert_eq!(gate.closed(ms(2999)), Some((Closed::Throttled, ms(3000))));
        assert_eq!(gate.closed(ms(3000)), None);
    }

    #[test]
    fn a_service_that_says_at_once_is_not_asked_without_end() {
        let mut gate = Gate::default();
        let mut now = ms(0);
        for _ in 0..8 {
            let stamp = gate.pass();
            let news = gate.land(stamp);
            gate.throttled(Some(Duration::ZERO), news, now, 1.0);
            assert!(gate.ready_at().unwrap() > now);
            now = gate.ready_at().unwrap();
        }
        assert!(now > Duration::from_secs(3), "{now:?}");
    }

    #[test]
    fn without_a_stated_moment_the_wait_grows_once_a_closing() {
        let mut gate = Gate::default();
        let meet = |gate: &mut Gate, stamp, now| {
            let news = gate.land(stamp);
            gate.throttled(None, news, now, 1.0);
        };
        let stamps = [gate.pass(), gate.pass(), gate.pass()];
        for stamp in stamps {
            meet(&mut gate, stamp, ms(0));
        }
        assert_eq!(
            gate.ready_at(),
            Some(Gate::THROTTLE_DELAY),
            "one storm is one closing"
        );
        let stamp = gate.pass();
        meet(&mut gate, stamp, ms(2000));
        assert_eq!(gate.ready_at(), Some(ms(2000) + 2 * Gate::THROTTLE_DELAY));
        let stamp = gate.pass();
        let news = gate.land(stamp);
        gate.reached(news, ms(7000));
        let stamp = gate.pass();
        meet(&mut gate, stamp, ms(8000));
        assert_eq!(
            gate.ready_at(),
            Some(ms(8000) + Gate::THROTTLE_DELAY),
            "a success starts anew"
        );
    }

    #[test]
    fn an_outage_lets_one_probe_through_at_a_time() {
        let mut gate = Gate::default();
        let (a, b) = (gate.pass(), gate.pass());
        for (stamp, now) in [(a, ms(0)), (b, ms(5))] {
            let news = gate.land(stamp);
            gate.unreachable(news, now, 1.0);
        }
        assert_eq!(
            gate.ready_at(),
            Some(ms(500)),
            "calls of the same time are one sign"
        );
        let probe = gate.pass();
        assert_eq!(
            gate.ready_at(),
            None,
            "nobody passes while the probe is out"
        );
        let news = gate.land(probe);
        gate.unreachable(news, ms(600), 1.0);
        assert_eq!(gate.ready_at(), Some(ms(1600)));
        let probe = gate.pass();
        gate.land(probe);
        assert_eq!(
            gate.ready_at(),
            Some(ms(1600)),
            "a probe never made asks for another"
        );
        let probe = gate.pass();
        let news = gate.land(probe);
        gate.reached(news, ms(1800));
        assert_eq!((gate.closed(ms(1800)), gate.outage()), (None, None));
        gate.pass();
        assert_eq!(gate.ready_at(), Some(ms(1600)), "open to all");
    }

    #[test]
    fn an_old_success_does_not_end_an_outage() {
        let mut gate = Gate::default();
        let (a, b) = (gate.pass(), gate.pass());
        let news = gate.land(a);
        gate.unreachable(news, ms(0), 1.0);
        let news = gate.land(b);
        gate.reached(news, ms(1));
        assert!(gate.closed(ms(1)).is_some());
    }

    #[test]
    fn the_time_in_which_a_machine_slept_is_not_an_outage() {
        let mut gate = Gate::default();
        for now in [0, 10_000, 28_810_000, 28_840_000] {
            gate.unreachable(true, ms(now), 1.0);
        }
        assert_eq!(gate.outage().unwrap().lasted, ms(10_000 + 60_000 + 30_000));
    }

    #[test]
    fn the_flow_ramps_up_by_the_second() {
        let mut ramp = Ramp::new(ms(5000), 8);
        let mut now = ms(5000);
        let mut made = Vec::new();
        while let Some(ready) = ramp.ready_at(now) {
            if ready <= now {
                ramp.take(now);
                made.push(now);
            } else {
                now += ms(1);
            }
        }
        let in_second = |n: u64| {
            let (from, to) = (ms(5000 + n * 1000), ms(6000 + n * 1000));
            made.iter().filter(|at| **at >= from && **at < to).count()
        };
        assert_eq!((in_second(0), in_second(1)), (1, 2), "{made:?}");
        assert!(
            (3..=4).contains(&in_second(2)) && in_second(3) <= 8,
            "{made:?}"
        );
        assert!(now < ms(10_000));
    }
}
