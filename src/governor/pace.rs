//! Finds the pace that a service allows, from its refusals alone.
//!
//! A refusal closes the gate for all calls. After the wait that the service asked for, or after a short one that grows,
//! one call goes alone: the probe. When the service takes it, the gate opens, and the pace rises within a second or two
//! to the limit that is known.
//!
//! The limit lies between the rate that was accepted (from one opening to the next, pauses included) and the rate that
//! was refused. How far to go from the one towards the other is learnt: less after each failure. After a while without a
//! refusal more is tried, slowly at first and then quickly, and each limit that is confirmed doubles that while.
//!
//! Three things are not taken for a limit on the rate. The first refusal of all, and a long wait at a pace that is
//! known to be right, are taken for an accident. Refusals that come only above some number of calls in flight are a
//! limit on that number. Refusals that come at random, however few calls are made, are load shedding: then calls go
//! on, and each refused file waits for itself.
//!
//! Latency is no evidence here: answers take longer for many reasons, and a service that counts calls answers fast.
//!
//! Moments are seconds since a fixed moment.

use super::at_once::AtOnce;
use super::shedding::Shedding;

/// The stamp on a call that was let through.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stamp {
    epoch: u32,
    probe: bool,
    /// Calls in flight at that moment, this one included.
    in_flight: usize,
}

/// A closed gate.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Closure {
    until: f64,
    /// The moment of closing.
    at: f64,
    /// The earliest moment at which the service can have been ready.
    needed: f64,
    cause: Cause,
    /// The service was unavailable, which says nothing about its limits.
    outage: bool,
    /// The probe in flight: the moment it was sent.
    probe: Option<f64>,
    /// The longest time that a refused call of this closure took.
    slowest: f64,
    /// Calls accepted by the moment of closing, counted as [`Pace::accepted`].
    accepted: u64,
}

impl Closure {
    /// The moment from which a probe sent at `sent` counts as accepted.
    fn patience(&self, sent: f64) -> f64 {
        let least = if self.outage { OUTAGE_PROBE } else { PROBE };
        sent + least.max(3.0 * self.slowest)
    }
}

/// The cause of a closed gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The service asked for a wait.
    Asked,
    /// It refused without naming a moment.
    Refused,
    /// It said that no call is left.
    Spent,
    /// It is unavailable.
    Outage,
}

/// The next moment at which a call may be made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Ready {
    Now,
    /// The gate is closed.
    Closed(Cause, Option<f64>),
    /// So many calls are in flight, and the service takes no more at a time.
    AtOnce(usize),
    /// The pace allows the next call at this moment; `true` while the pace rises after a pause.
    At(f64, bool),
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Pace {
    /// Limits are looked for; otherwise there is the gate alone.
    finds: bool,
    closed: Option<Closure>,
    /// Counts closings and failed probes. A call let through before the last of them brings no news.
    epoch: u32,
    /// Closings and failed probes since the limit was last measured, and the moment of the first.
    tries: u32,
    since: f64,
    /// The moment at which the gate opened last.
    opened: f64,
    /// Calls accepted since `measured_from`, and before the gate opened last.
    accepted: u64,
    accepted_before: u64,
    measured_from: f64,
    /// By how much later than possible the gate opened, all in all, since `measured_from`.
    late: f64,
    /// Calls in a second that the service allows, as far as is known.
    limit: f64,
    /// The highest rate that has held for long.
    sure: f64,
    /// The rate that the service states.
    stated: f64,
    /// The rate of the calls before the gate closed.
    refused_at: f64,
    /// Seconds at an even pace before more is tried.
    hold: f64,
    /// The part of the way from accepted to refused that the next limit takes.
    share: f64,
    /// The present limit was found by trying more.
    tried: bool,
    /// The last refusal was taken for an accident.
    forgiven: bool,
    /// The rate at which the pace began to rise when the gate opened.
    start: f64,
    next: f64,
    /// The service said that no call is left until this moment, which is near.
    pause: f64,
    /// Since then something else than the service has kept calls back.
    resting: Option<f64>,
    meter: Meter,
    at_once: AtOnce,
    shedding: Shedding,
}

const ANY: f64 = f64::INFINITY;
/// Calls that come late, because a commit or the scheduler took its time, may be made up for by so much.
const LATENESS: f64 = 0.01;
/// The slowest pace: a call in ten minutes.
const SLOWEST: f64 = 1.0 / 600.0;
/// The pace doubles in this time while it rises.
const DOUBLING: f64 = 0.25;
/// While it rises, two calls are no further apart than this, unless the limit says so.
const RISING_STEP: f64 = 1.0;
/// The first wait after a refusal that names no moment; it doubles up to [`SECOND_WAIT`].
const FIRST_WAIT: f64 = 0.25;
const SECOND_WAIT: f64 = 1.0;
/// Then a wait is this part of the time since the first refusal, so that a return is seen soon.
const WAIT_PART: f64 = 1.0 / 6.0;
/// In the first minute probes are no further apart than this, and later than that.
const WAIT_SOON: f64 = 3.0;
const WAIT_LATE: f64 = 30.0;
/// No wait that the service asks for is shorter.
const LEAST_WAIT: f64 = 0.05;
/// Whole seconds are rounded up: the true wait lies in the last second of the stated one.
const ROUNDED: f64 = 1.0;
/// An even pace is held for so long, at first and at most, before more is tried.
const HOLD: f64 = 1.5;
const LONGEST_HOLD: f64 = 30.0;
/// It is held for so many times a long wait that another refusal would cost.
const HOLD_EACH: f64 = 6.0;
/// A new estimate is held for so many times a long cycle of calls and wait, which may be a window of the service.
const CYCLES: f64 = 1.5;
/// More is tried by this part, which doubles in [`TRY_DOUBLING`].
const TRY: f64 = 0.02;
const TRY_DOUBLING: f64 = 0.7;
/// The first part of the way, its increase after a success, its bounds.
const SHARE: f64 = 0.35;
const SHARE_MORE: f64 = 0.05;
const SHARES: (f64, f64) = (0.05, 0.9);
/// The pace stays so much below the limit: an even pace below it is never refused.
const NEAR: f64 = 0.98;
/// From fewer accepted calls no limit is measured.
const FEW: u64 = 10;
/// A wait longer than this at a known limit is an accident.
const LONG_WAIT: f64 = 2.0;
/// A probe that is not refused in this time was accepted: refusals come fast.
const PROBE: f64 = 1.0;
/// In an outage a probe may hang, so it has longer.
const OUTAGE_PROBE: f64 = 10.0;
/// The calls of a window are spread over its length where it is no longer than this; of a longer one they are made, and
/// then its end is waited for.
pub(super) const LONGEST_SPREAD: f64 = 60.0;
/// A shorter wait for a window's end is rounded too coarsely to tell its length.
const SHORTEST_SPREAD: f64 = 5.0;
/// For a shorter time the gate is not closed.
const SHORT_PAUSE: f64 = 0.25;
/// A shorter rest is no rest.
const REST: f64 = 1.0;

impl Pace {
    pub(super) fn new(now: f64, finds: bool, limit: Option<f64>, at_once: Option<usize>) -> Self {
        let mut pace = Self {
            finds,
            closed: None,
            epoch: 0,
            tries: 0,
            since: now,
            opened: now,
            accepted: 0,
            accepted_before: 0,
            measured_from: now,
            late: 0.0,
            limit: limit.filter(|_| finds).unwrap_or(ANY),
            sure: 0.0,
            stated: ANY,
            refused_at: ANY,
            hold: HOLD,
            share: SHARE,
            tried: false,
            forgiven: false,
            start: ANY,
            next: now,
            pause: now,
            resting: None,
            meter: Meter::default(),
            at_once: AtOnce::default(),
            shedding: Shedding::default(),
        };
        pace.at_once.most = at_once.filter(|_| finds);
        pace
    }

    /// Goes on with or without looking for limits.
    pub(super) fn set_finds(&mut self, finds: bool) {
        if self.finds != finds {
            self.finds = finds;
            (self.limit, self.stated, self.at_once) = (ANY, ANY, AtOnce::default());
        }
    }

    /// The limits worth remembering: calls in a second, and at a time.
    pub(super) fn found(&self) -> (Option<f64>, Option<usize>) {
        (
            Some(self.limit).filter(|limit| *limit < ANY),
            self.at_once.most,
        )
    }

    /// The calls in a second that are foreseen, where they are limited.
    pub(super) fn rate(&self) -> Option<f64> {
        Some(self.limit.min(self.stated)).filter(|rate| *rate < ANY)
    }

    /// The cause for which the gate is closed, its moment of closing, and the moment of the next probe.
    pub(super) fn closed(&self) -> Option<(Cause, f64, f64)> {
        self.closed
            .map(|closed| (closed.cause, closed.at, closed.until))
    }

    /// Returns true where refusals come at random: each refused file then waits for itself.
    pub(super) fn sheds(&self) -> bool {
        self.shedding.is_on
    }

    /// Calls in a second that may be made at `now`, however many are made.
    fn pace(&self, now: f64) -> f64 {
        if self.shedding.is_on {
            return ANY;
        }
        let open = (now - self.opened).max(0.0);
        let rising = self.start * (open / DOUBLING).exp2();
        let goal = if open <= self.hold || self.limit == ANY {
            self.limit
        } else {
            self.limit * (1.0 + TRY * (((open - self.hold) / TRY_DOUBLING).exp2() - 1.0))
        };
        rising.min(goal).min(self.stated)
    }

    /// Calls at a time that may be made at `now`.
    fn width(&self, now: f64) -> usize {
        let Some(most) = self.at_once.most else {
            return usize::MAX;
        };
        let trying = now - self.opened - self.hold;
        if trying < 0.0 {
            most
        } else {
            most.saturating_add((trying / TRY_DOUBLING).exp2() as usize)
        }
    }

    /// Opens the gate when its probe has been out for longer than a refusal takes.
    pub(super) fn look(&mut self, now: f64) {
        if let Some(closed) = self.closed
            && closed
                .probe
                .is_some_and(|sent| now >= closed.patience(sent))
        {
            self.open(now);
        }
    }

    pub(super) fn ready(&self, now: f64, in_flight: usize) -> Ready {
        if let Some(closed) = self.closed {
            return match closed.probe {
                Some(sent) => Ready::Closed(closed.cause, Some(closed.patience(sent))),
                None if now < closed.until => Ready::Closed(closed.cause, Some(closed.until)),
                None => Ready::Now,
            };
        }
        let width = self.width(now);
        if in_flight >= width {
            return Ready::AtOnce(width);
        }
        if now < self.pause {
            return Ready::At(self.pause, true);
        }
        let pace = self.pace(now);
        if pace == ANY || now >= self.next {
            return Ready::Now;
        }
        Ready::At(self.next, pace < self.limit.min(self.stated) * 0.9)
    }

    /// Takes note that something else than the service keeps calls back.
    pub(super) fn rest(&mut self, now: f64) {
        self.resting.get_or_insert(now);
    }

    /// Takes note of a call that is made, beside so many others.
    pub(super) fn sent(&mut self, now: f64, others: usize) -> Stamp {
        let probe = self.closed.is_some();
        if let Some(closed) = &mut self.closed {
            closed.probe = Some(now);
        } else {
            let pace = self.pace(now);
            let goal = self.limit.min(self.stated);
            let step = (1.0 / pace).min((1.0 / goal).max(RISING_STEP));
            // In a rest the service was not asked for more, so it is not measured.
            if let Some(since) = self.resting.take().filter(|since| now - since > REST) {
                self.measured_from += now - since.max(self.opened);
            }
            self.next = if pace == ANY {
                now
            } else {
                self.next.max(now - LATENESS) + step
            };
            self.meter.count(now);
        }
        Stamp {
            epoch: self.epoch,
            probe,
            in_flight: others + 1,
        }
    }

    /// A call ended without an answer that says anything about the service.
    pub(super) fn lost(&mut self, stamp: Stamp) {
        if let Some(closed) = &mut self.closed
            && stamp.probe
            && stamp.epoch == self.epoch
        {
            closed.probe = None;
        }
    }

    /// The service took a call, whatever it answered.
    pub(super) fn accepted(&mut self, stamp: Stamp, now: f64) {
        self.accepted += 1;
        if self.shedding.is_on && self.closed.is_none() {
            self.shed(true, stamp.in_flight, now);
            return;
        }
        self.at_once.accepted(stamp.in_flight);
        if self.closed.is_none() && self.at_once.is_passed(stamp.in_flight) {
            // More at a time than the limit says were accepted: there is another one.
            self.at_once.wrong();
            self.limit = self.meter.rate(now, self.opened);
            self.sure = self.limit;
            self.hold = (now - self.opened).max(HOLD);
        }
        if self.closed.is_some() && stamp.probe && stamp.epoch == self.epoch {
            self.open(now);
        }
    }

    /// The service refused a call that took so long, and asks for this wait.
    pub(super) fn refused(&mut self, stamp: Stamp, asked: Option<f64>, took: f64, now: f64) {
        if self.shedding.is_on && self.closed.is_none() {
            self.shed(false, stamp.in_flight, now);
            return;
        }
        let trying = now - self.opened > self.hold;
        if !stamp.probe
            && self
                .at_once
                .most
                .is_none_or(|most| stamp.in_flight > most || !trying)
        {
            self.at_once.refused(stamp.in_flight);
        }
        let cause = if asked.is_some() {
            Cause::Asked
        } else {
            Cause::Refused
        };
        self.trouble(stamp, cause, asked, took, now);
    }

    /// A call failed as in an outage. The gate closes for it where `closes` says so, and stays closed in any case.
    pub(super) fn failed(&mut self, stamp: Stamp, closes: bool, took: f64, now: f64) {
        if self.closed.is_some() || closes {
            self.trouble(stamp, Cause::Outage, None, took, now);
        }
    }

    /// The service says that no call is left for so long. It costs no refused call and means the same.
    pub(super) fn spent(&mut self, left: f64, now: f64) {
        if left <= SHORT_PAUSE && left.fract() != 0.0 && self.closed.is_none() {
            self.pause = self.pause.max(now + left);
            return;
        }
        match &mut self.closed {
            Some(closed) if closed.cause == Cause::Spent => {
                closed.until = closed.until.max(now + left);
            }
            Some(_) => {}
            None => self.close(Cause::Spent, Some(left), 0.0, now),
        }
    }

    /// The service states its limit.
    pub(super) fn stated(&mut self, rate: f64) {
        if self.finds {
            self.stated = rate.max(SLOWEST);
        }
    }

    /// The gate stays closed for a wait that an earlier runner was asked for.
    pub(super) fn stay_closed(&mut self, left: f64, now: f64) {
        self.close(Cause::Asked, Some(left), 0.0, now);
        // No call was made, so there is no rate to come back to slowly.
        self.refused_at = ANY;
    }

    /// The failures that closed the gate turn out to be the files' own: it opens, unless the service asked for a wait.
    pub(super) fn excuse(&mut self, now: f64) {
        if self
            .closed
            .is_some_and(|closed| closed.cause == Cause::Outage)
        {
            self.open(now);
        }
    }

    /// The refusals that closed the gate turn out to be an outage, and no limit.
    pub(super) fn set_outage(&mut self) {
        if let Some(closed) = &mut self.closed {
            closed.outage = true;
        }
    }

    /// The time between two probes at `now`.
    pub(super) fn probe_every(&self, now: f64) -> f64 {
        let lasted = now - self.since;
        let most = if lasted < 60.0 { WAIT_SOON } else { WAIT_LATE };
        let doubled = FIRST_WAIT * f64::from(1 << self.tries.min(16));
        doubled.min(SECOND_WAIT).max((lasted * WAIT_PART).min(most))
    }

    fn trouble(&mut self, stamp: Stamp, cause: Cause, asked: Option<f64>, took: f64, now: f64) {
        let Some(closed) = &mut self.closed else {
            // What was sent before the gate opened brings no news, but a long wait is one.
            if stamp.epoch == self.epoch || asked.is_some_and(|asked| asked > LONG_WAIT) {
                self.close(cause, asked, took, now);
            }
            return;
        };
        closed.slowest = closed.slowest.max(took);
        if stamp.epoch == self.epoch {
            closed.probe = None;
            closed.cause = cause;
            closed.outage |= cause == Cause::Outage;
            self.wait(asked, now);
        } else if let Some(asked) = asked
            && now + asked > closed.until
        {
            (closed.until, closed.cause) = (now + asked, Cause::Asked);
        }
    }

    fn close(&mut self, cause: Cause, asked: Option<f64>, took: f64, now: f64) {
        self.refused_at = self.pace(now).min(self.meter.rate(now, self.opened));
        if self.tries == 0 || self.accepted > self.accepted_before {
            self.since = now;
        }
        self.closed = Some(Closure {
            until: now,
            at: now,
            needed: now,
            cause,
            outage: cause == Cause::Outage,
            probe: None,
            slowest: took,
            accepted: self.accepted,
        });
        self.wait(asked, now);
    }

    fn wait(&mut self, asked: Option<f64>, now: f64) {
        let own = self.probe_every(now);
        let Some(closed) = &mut self.closed else {
            return;
        };
        let wait = asked.map_or(own, |asked| asked.max(LEAST_WAIT));
        closed.until = closed.until.max(now + wait);
        closed.needed = now + asked.map_or(0.0, |asked| (asked - ROUNDED).max(0.0));
        self.tries += 1;
        self.epoch += 1;
    }

    fn open(&mut self, now: f64) {
        let Some(closed) = self.closed.take() else {
            return;
        };
        self.late += now - closed.needed.max(closed.at);
        let outage = closed.outage;
        let run = closed.at - self.opened;
        let is_short = closed.accepted - self.accepted_before <= Shedding::SHORT;
        let exploring = run > self.hold && self.limit < ANY;
        let wait = closed.until - closed.at;
        let is_spent =
            closed.cause == Cause::Spent && (SHORTEST_SPREAD..=LONGEST_SPREAD).contains(&wait);
        let kept = outage
            || !self.finds
            || !is_spent && (self.bounds_width(run) || self.forgives(run, now));
        // Fewer accepted calls are too few: this run and the next are measured as one.
        let measured = !kept && self.accepted >= FEW;
        if measured && is_spent {
            self.measure_spent(now);
        } else if measured {
            self.measure(exploring, now);
            if wait > LONG_WAIT {
                let hold = if exploring {
                    HOLD_EACH * wait
                } else {
                    CYCLES * (run + wait)
                };
                self.hold = self.hold.max(hold.min(LONGEST_HOLD));
            }
        }
        let target = self.limit.min(self.refused_at).max(SLOWEST);
        self.start = if self.tries <= 1 {
            target / 4.0
        } else {
            (target / 32.0).max(target.min(4.0))
        };
        if kept || measured {
            (self.measured_from, self.accepted, self.late) = (now, 0, 0.0);
            self.tries = 0;
        }
        if self.finds && !outage && closed.cause != Cause::Spent {
            self.shedding.ran(is_short);
        }
        (self.opened, self.next, self.accepted_before) = (now, now, self.accepted);
        self.at_once.begin();
        self.meter = Meter::default();
    }

    /// Takes refusals that came only above some number of calls in flight for a limit on that number.
    fn bounds_width(&mut self, run: f64) -> bool {
        if self
            .at_once
            .most
            .is_some_and(|most| self.at_once.least_refused <= most)
            && run <= self.hold
        {
            self.at_once.wrong();
            return false;
        }
        if self.limit < ANY && self.at_once.most.is_none() {
            return false;
        }
        let Some(most) = self.at_once.bound() else {
            return false;
        };
        self.hold = match self.at_once.most {
            Some(before) if before == most => (2.0 * self.hold).min(LONGEST_HOLD),
            _ => HOLD,
        };
        self.at_once.most = Some(most);
        (self.limit, self.forgiven) = (ANY, true);
        true
    }

    /// Takes a refusal for an accident: the first of all, and a long wait at a pace that is known to be right.
    fn forgives(&mut self, run: f64, now: f64) -> bool {
        if run >= self.hold.max(2.0 * HOLD) {
            self.forgiven = false;
        }
        let surprising = self.limit == ANY
            || self.refused_at <= 1.2 * self.limit && now - self.since > LONG_WAIT;
        let forgives = surprising && !self.forgiven;
        self.forgiven |= surprising;
        forgives
    }

    /// Estimates the limit anew, from all that was accepted since the last estimate.
    fn measure(&mut self, exploring: bool, now: f64) {
        let time = (now - self.measured_from).max(1e-3);
        let (accepted, refused) = (self.accepted as f64, self.refused_at);
        let low = accepted / time;
        let is_long = time >= 10.0 * self.late;
        let base = if exploring {
            low.max(self.limit)
        } else if !is_long && self.sure > 0.0 && self.sure < refused {
            self.sure
        } else {
            low
        };
        if self.tried {
            self.share = if exploring {
                (self.share + SHARE_MORE).min(SHARES.1)
            } else {
                (self.share / 2.0).max(SHARES.0)
            };
        }
        self.tried = exploring;
        let limit = if exploring {
            base * (refused / base).max(1.0).powf(self.share)
        } else {
            let without_lateness = accepted / (time - self.late).max(1e-3);
            (base * refused)
                .sqrt()
                .min(without_lateness)
                .max(base.min(refused))
        };
        let limit = (NEAR * limit).max(SLOWEST);
        self.sure = if exploring || is_long {
            base
        } else {
            base.min(refused)
        };
        let change = limit / self.limit;
        if !(0.75..1.35).contains(&change) {
            self.hold = HOLD;
        } else if exploring && (0.9..1.12).contains(&change) {
            self.hold = (2.0 * self.hold).min(LONGEST_HOLD);
        }
        if change < 0.75 {
            self.share = SHARE;
        }
        self.limit = limit;
    }

    /// Takes the calls of a window whose end was waited for, over the time since the end of the one before, for the limit.
    fn measure_spent(&mut self, now: f64) {
        let time = now - self.measured_from;
        let limit = self.accepted as f64 / (time - self.late).max(1e-3);
        self.hold = HOLD;
        self.limit = (NEAR * limit).max(SLOWEST);
        (self.sure, self.tried) = (self.limit, false);
    }

    fn shed(&mut self, accepted: bool, in_flight: usize, now: f64) {
        if self.shedding.ends(accepted, in_flight) {
            self.close(Cause::Outage, None, 0.0, now);
        }
    }
}

/// Measures the rate of the calls of the last half to whole second.
#[derive(Debug, Default)]
struct Meter {
    last: f64,
    from: f64,
    calls: f64,
    before: Option<f64>,
}

impl Meter {
    const STRETCH: f64 = 0.5;

    fn count(&mut self, now: f64) {
        if self.from == 0.0 {
            self.from = now;
        }
        let passed = now - self.from;
        if passed >= Self::STRETCH {
            let recent = passed < 2.0 * Self::STRETCH;
            self.before = Some(if recent { self.calls } else { 0.0 });
            (self.from, self.calls) = (now, 0.0);
        }
        self.calls += 1.0;
        self.last = now;
    }

    fn rate(&self, now: f64, opened: f64) -> f64 {
        let from = if self.from == 0.0 { opened } else { self.from };
        let before = self.before.map_or(0.0, |_| Self::STRETCH);
        (self.calls + self.before.unwrap_or(0.0)) / (now - from + before).max(0.005)
    }
}
