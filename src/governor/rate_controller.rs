//! Closes and opens the gate, and adapts the rate to the limit that the service enforces.
//!
//! A refusal closes the gate for all calls. After the wait that the service asked for, or after a short one that grows, one
//! call goes alone: the probe. If the service accepts it, the gate opens, and the rate rises within a second or two to the
//! known limit.
//!
//! The limit lies between the accepted rate (from one opening to the next, pauses included) and the refused rate. Each
//! estimate is a step from the one towards the other, and the step shrinks after each failure. After a time without
//! refusals the controller tries a higher rate, slowly at first and then quickly. Each confirmed limit doubles that time.
//!
//! Three kinds of refusals are not a rate limit. The first refusal of all, and a long wait at a known rate, count as
//! accidents. Refusals only above some number of calls in flight are a concurrency limit. Refusals at random, at any rate,
//! are load shedding: then calls continue, and only the refused file waits.
//!
//! Latency is not evidence: answers take longer for many reasons, and a service that counts calls answers fast.
//!
//! Gate and rate share their state, because a limit is measured from one opening of the gate to the next.
//!
//! Moments and times are in seconds, rates in calls per second.

use super::concurrency_limit::ConcurrencyLimit;
use super::estimate::{Estimate, HOLD, LONGEST_HOLD, Period, RateMeter, SLOWEST, UNLIMITED};
use super::load_shedding::LoadShedding;

/// Marks a call with the state of the gate when it was sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stamp {
    epoch: u32,
    probe: bool,
    /// Calls in flight, this one included.
    in_flight: usize,
}

/// A closed gate.
#[derive(Debug, Clone, Copy, PartialEq)]
struct ClosedGate {
    /// Moment of the next probe.
    until: f64,
    /// Moment of closing.
    at: f64,
    /// Earliest moment at which the service can have been ready.
    ready: f64,
    cause: ClosedBy,
    /// The service was unavailable, which says nothing about its limits.
    outage: bool,
    /// Moment of sending the probe in flight.
    probe: Option<f64>,
    /// Longest duration of a refused call.
    slowest: f64,
    /// [`RateController::accepted`] at the moment of closing.
    accepted: u64,
}

impl ClosedGate {
    /// Returns the moment from which a probe sent at `sent` counts as accepted.
    fn patience(&self, sent: f64) -> f64 {
        let least = if self.outage {
            OUTAGE_PROBE_PATIENCE
        } else {
            PROBE_PATIENCE
        };
        sent + least.max(3.0 * self.slowest)
    }
}

/// The cause of a closed gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClosedBy {
    /// The service asked for a wait.
    RetryAfter,
    /// The service refused a call and named no wait.
    Throttle,
    /// The service reported that no call is left.
    QuotaReset,
    /// The service is unavailable.
    Outage,
}

/// The moment of the next call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Ready {
    Now,
    /// The gate is closed, until this moment.
    Closed(Option<f64>),
    /// The service accepts no more than this number of concurrent calls.
    Full(usize),
    /// The rate allows the next call at this moment; true while the rate rises after a pause.
    At(f64, bool),
}

/// Decides when the service accepts the next call. See the module's documentation.
#[derive(Debug)]
pub(super) struct RateController {
    /// Learn the service's limits; otherwise only the gate limits calls.
    adaptive: bool,
    closed: Option<ClosedGate>,
    /// Counts closings and failed probes. A call sent before the latest of them is not evidence.
    epoch: u32,
    /// Closings and failed probes since the limit was last measured.
    refusals: u32,
    /// Moment of the first refusal since the service last accepted calls.
    first_refusal: f64,
    /// Moment at which the gate last opened.
    opened: f64,
    /// Calls accepted since `measured_from`.
    accepted: u64,
    /// Calls accepted from `measured_from` to the latest opening of the gate.
    accepted_before: u64,
    measured_from: f64,
    /// Time since `measured_from` for which the gate was closed longer than the service needed.
    late: f64,
    estimate: Estimate,
    /// Rate that the service states.
    stated: f64,
    /// Rate of the calls before the gate closed.
    refused_rate: f64,
    /// The latest refusal counted as an accident.
    forgiven: bool,
    /// Rate at which the ramp starts when the gate opens.
    ramp_start: f64,
    /// Moment of the next call under the rate.
    next: f64,
    /// The service reported that no call is left until this moment, which is near.
    paused_until: f64,
    /// Moment since when a cause other than the service has delayed calls.
    resting_since: Option<f64>,
    meter: RateMeter,
    concurrency: ConcurrencyLimit,
    shedding: LoadShedding,
}

/// Delay of a call, by a commit or the scheduler, for which later calls catch up.
const CATCH_UP: f64 = 0.01;
/// The rate doubles in this time while it ramps up.
const DOUBLING: f64 = 0.25;
/// Longest time between two calls of the ramp, unless the limit demands more.
const LONGEST_RAMP_STEP: f64 = 1.0;
/// First wait after a refusal that names none. It doubles up to [`MOST_DOUBLED_WAIT`].
const FIRST_WAIT: f64 = 0.25;
const MOST_DOUBLED_WAIT: f64 = 1.0;
/// A later wait is this fraction of the time since the first refusal, so that a recovery is noticed soon.
const WAIT_FRACTION: f64 = 1.0 / 6.0;
/// Longest time between probes, in the first minute and after it.
const LONGEST_WAIT_EARLY: f64 = 3.0;
const LONGEST_WAIT_LATE: f64 = 30.0;
/// Shortest wait that the service may ask for.
const LEAST_WAIT: f64 = 0.05;
/// Stated waits are rounded up to whole seconds: the true wait ends within the last second.
const ROUNDING: f64 = 1.0;
/// Hold time, as a multiple of the long wait that another refusal would cost.
const HOLD_PER_WAIT: f64 = 6.0;
/// Hold time of a new estimate, as a multiple of the cycle of calls and wait, which may be a window of the service.
const HOLD_PER_CYCLE: f64 = 1.5;
/// First increase above the limit, as a fraction of it. It doubles in [`INCREASE_DOUBLING`].
const INCREASE: f64 = 0.02;
const INCREASE_DOUBLING: f64 = 0.7;
/// Fewest accepted calls from which a limit is measured.
const LEAST_MEASURED: u64 = 10;
/// A longer wait at a known limit counts as an accident.
const LONG_WAIT: f64 = 2.0;
/// Least time without a refusal after which a probe counts as accepted, because refusals come fast.
const PROBE_PATIENCE: f64 = 1.0;
/// Least time after which a probe counts as accepted in an outage, where it may hang.
const OUTAGE_PROBE_PATIENCE: f64 = 10.0;
/// Longest window over which calls are spread evenly. In a longer one, calls go until it is full, and then wait for its end.
pub(super) const LONGEST_SPREAD: f64 = 60.0;
/// Shortest wait for the end of a window that tells the window's length despite rounding.
const SHORTEST_SPREAD: f64 = 5.0;
/// Longest pause for which the gate stays open.
const SHORT_PAUSE: f64 = 0.25;
/// Shortest rest that is excluded from the measurement.
const SHORTEST_REST: f64 = 1.0;

impl RateController {
    pub(super) fn new(
        now: f64,
        adaptive: bool,
        limit: Option<f64>,
        at_once: Option<usize>,
    ) -> Self {
        let mut controller = Self {
            adaptive,
            closed: None,
            epoch: 0,
            refusals: 0,
            first_refusal: now,
            opened: now,
            accepted: 0,
            accepted_before: 0,
            measured_from: now,
            late: 0.0,
            estimate: Estimate::new(limit.filter(|_| adaptive).unwrap_or(UNLIMITED)),
            stated: UNLIMITED,
            refused_rate: UNLIMITED,
            forgiven: false,
            ramp_start: UNLIMITED,
            next: now,
            paused_until: now,
            resting_since: None,
            meter: RateMeter::default(),
            concurrency: ConcurrencyLimit::default(),
            shedding: LoadShedding::default(),
        };
        controller.concurrency.most = at_once.filter(|_| adaptive);
        controller
    }

    /// Sets whether to learn the service's limits. A change forgets those learned.
    pub(super) fn set_adaptive(&mut self, adaptive: bool) {
        if self.adaptive != adaptive {
            self.adaptive = adaptive;
            (self.estimate.limit, self.stated) = (UNLIMITED, UNLIMITED);
            self.concurrency = ConcurrencyLimit::default();
        }
    }

    /// Returns the limits to remember: the rate, and the concurrent calls.
    pub(super) fn learned(&self) -> (Option<f64>, Option<usize>) {
        let limit = self.estimate.limit;
        ((limit < UNLIMITED).then_some(limit), self.concurrency.most)
    }

    /// Returns to limits that were learned earlier, because the refusals since say nothing about the service.
    pub(super) fn restore(&mut self, rate: Option<f64>, at_once: Option<usize>) {
        self.estimate = Estimate::new(rate.unwrap_or(UNLIMITED));
        self.concurrency.most = at_once;
    }

    /// Returns the expected rate, if it is limited.
    pub(super) fn rate(&self) -> Option<f64> {
        Some(self.goal()).filter(|rate| *rate < UNLIMITED)
    }

    fn goal(&self) -> f64 {
        self.estimate.limit.min(self.stated)
    }

    /// Returns what closed the gate, and the moment of the next probe.
    pub(super) fn closed(&self) -> Option<(ClosedBy, f64)> {
        self.closed.map(|closed| (closed.cause, closed.until))
    }

    /// Returns true if the service sheds load, so that only the refused file waits.
    pub(super) fn is_shedding(&self) -> bool {
        self.shedding.is_on
    }

    /// Returns the rate at `now`.
    fn rate_at(&self, now: f64) -> f64 {
        if self.shedding.is_on {
            return UNLIMITED;
        }
        let Estimate { limit, hold, .. } = self.estimate;
        let open = (now - self.opened).max(0.0);
        let ramp = self.ramp_start * (open / DOUBLING).exp2();
        let goal = if open <= hold || limit == UNLIMITED {
            limit
        } else {
            limit * (1.0 + INCREASE * (((open - hold) / INCREASE_DOUBLING).exp2() - 1.0))
        };
        ramp.min(goal).min(self.stated)
    }

    /// Returns the concurrent calls that the service accepts at `now`.
    fn concurrency_at(&self, now: f64) -> usize {
        let Some(most) = self.concurrency.most else {
            return usize::MAX;
        };
        let raising = now - self.opened - self.estimate.hold;
        if raising < 0.0 {
            most
        } else {
            most.saturating_add((raising / INCREASE_DOUBLING).exp2() as usize)
        }
    }

    /// Opens the gate if its probe has been in flight for longer than a refusal takes.
    pub(super) fn poll(&mut self, now: f64) {
        if let Some(closed) = self.closed
            && (closed.probe).is_some_and(|sent| now >= closed.patience(sent))
        {
            self.open(now);
        }
    }

    /// Returns when the next call may start.
    pub(super) fn ready(&self, now: f64, in_flight: usize) -> Ready {
        if let Some(closed) = self.closed {
            return match closed.probe {
                Some(sent) => Ready::Closed(Some(closed.patience(sent))),
                None if now < closed.until => Ready::Closed(Some(closed.until)),
                None => Ready::Now,
            };
        }
        let concurrency = self.concurrency_at(now);
        if in_flight >= concurrency {
            return Ready::Full(concurrency);
        }
        if now < self.paused_until {
            return Ready::At(self.paused_until, true);
        }
        let rate = self.rate_at(now);
        if rate == UNLIMITED || now >= self.next {
            return Ready::Now;
        }
        Ready::At(self.next, rate < self.goal() * 0.9)
    }

    /// Records that a cause other than the service delays calls.
    pub(super) fn rest(&mut self, now: f64) {
        self.resting_since.get_or_insert(now);
    }

    /// Records a call that is sent while `others` are in flight.
    pub(super) fn sent(&mut self, now: f64, others: usize) -> Stamp {
        let probe = self.closed.is_some();
        if let Some(closed) = &mut self.closed {
            closed.probe = Some(now);
        } else {
            let rate = self.rate_at(now);
            let step = (1.0 / rate).min((1.0 / self.goal()).max(LONGEST_RAMP_STEP));
            // A rest asks less of the service than it allows, so it is excluded from the measurement.
            if let Some(since) =
                (self.resting_since.take()).filter(|since| now - since > SHORTEST_REST)
            {
                self.measured_from += now - since.max(self.opened);
            }
            self.next = if rate == UNLIMITED {
                now
            } else {
                self.next.max(now - CATCH_UP) + step
            };
            self.meter.count(now);
        }
        Stamp {
            epoch: self.epoch,
            probe,
            in_flight: others + 1,
        }
    }

    /// Records a call whose end says nothing about the service.
    pub(super) fn lost(&mut self, stamp: Stamp) {
        if let Some(closed) = &mut self.closed
            && stamp.probe
            && stamp.epoch == self.epoch
        {
            closed.probe = None;
        }
    }

    /// Records a call that the service accepted, with any answer.
    pub(super) fn accepted(&mut self, stamp: Stamp, now: f64) {
        self.accepted += 1;
        if self.shedding.is_on && self.closed.is_none() {
            self.record_shed(true, stamp.in_flight, now);
            return;
        }
        self.concurrency.accepted(stamp.in_flight);
        if self.closed.is_none() && self.concurrency.is_exceeded(stamp.in_flight) {
            // The service accepted more calls at once than this limit, so its limit is a rate.
            self.concurrency.disprove();
            let rate = self.meter.rate(now, self.opened);
            self.estimate.set(rate, now - self.opened);
        }
        if self.closed.is_some() && stamp.probe && stamp.epoch == self.epoch {
            self.open(now);
        }
    }

    /// Records a throttled call that took this long. The service asks for a wait, or names none.
    pub(super) fn throttled(&mut self, stamp: Stamp, asked: Option<f64>, took: f64, now: f64) {
        if self.shedding.is_on && self.closed.is_none() {
            self.record_shed(false, stamp.in_flight, now);
            return;
        }
        let raising = now - self.opened > self.estimate.hold;
        let is_above = (self.concurrency.most).is_none_or(|most| stamp.in_flight > most);
        if !stamp.probe && (is_above || !raising) {
            self.concurrency.refused(stamp.in_flight);
        }
        let cause = match asked {
            Some(_) => ClosedBy::RetryAfter,
            None => ClosedBy::Throttle,
        };
        self.refused(stamp, cause, asked, took, now);
    }

    /// Records a call that failed as in an outage. The gate closes if `closes` is true, and otherwise stays as it is.
    pub(super) fn failed(&mut self, stamp: Stamp, closes: bool, took: f64, now: f64) {
        if self.closed.is_some() || closes {
            self.refused(stamp, ClosedBy::Outage, None, took, now);
        }
    }

    /// Records that the service reports no call left for this time: a refusal without a refused call.
    pub(super) fn quota_spent(&mut self, left: f64, now: f64) {
        if left <= SHORT_PAUSE && left.fract() != 0.0 && self.closed.is_none() {
            self.paused_until = self.paused_until.max(now + left);
            return;
        }
        match &mut self.closed {
            Some(closed) if closed.cause == ClosedBy::QuotaReset => {
                closed.until = closed.until.max(now + left);
            }
            Some(_) => {}
            None => self.close(ClosedBy::QuotaReset, Some(left), 0.0, now),
        }
    }

    /// Sets the rate that the service states.
    pub(super) fn set_stated(&mut self, rate: f64) {
        if self.adaptive {
            self.stated = rate.max(SLOWEST);
        }
    }

    /// Closes the gate for the rest of a wait that the service asked of an earlier session.
    pub(super) fn stay_closed(&mut self, left: f64, now: f64) {
        self.close(ClosedBy::RetryAfter, Some(left), 0.0, now);
        // No call was refused, so no refused rate bounds the ramp.
        self.refused_rate = UNLIMITED;
    }

    /// Closes an open gate because that of other calls to the same service has closed. Nothing is learned from it.
    pub(super) fn close_with(&mut self, cause: ClosedBy, until: f64, now: f64) {
        if self.closed.is_none() {
            self.close(cause, Some((until - now).max(0.0)), 0.0, now);
            self.refused_rate = UNLIMITED;
            self.set_outage();
        }
    }

    /// Opens the gate because the failures that closed it were the files' own, unless the service asked for a wait.
    pub(super) fn excuse(&mut self, now: f64) {
        if (self.closed).is_some_and(|closed| closed.cause == ClosedBy::Outage) {
            self.open(now);
        }
    }

    /// Marks the refusals that closed the gate as an outage, which is not a limit.
    pub(super) fn set_outage(&mut self) {
        if let Some(closed) = &mut self.closed {
            closed.outage = true;
        }
    }

    /// Returns the time between two probes at `now`.
    pub(super) fn probe_interval(&self, now: f64) -> f64 {
        let lasted = now - self.first_refusal;
        let most = if lasted < 60.0 {
            LONGEST_WAIT_EARLY
        } else {
            LONGEST_WAIT_LATE
        };
        let doubled = FIRST_WAIT * f64::from(1 << self.refusals.min(16));
        doubled
            .min(MOST_DOUBLED_WAIT)
            .max((lasted * WAIT_FRACTION).min(most))
    }

    fn refused(&mut self, stamp: Stamp, cause: ClosedBy, asked: Option<f64>, took: f64, now: f64) {
        let Some(closed) = &mut self.closed else {
            // A call sent before the gate opened is not evidence, unless it brings a long wait.
            if stamp.epoch == self.epoch || asked.is_some_and(|asked| asked > LONG_WAIT) {
                self.close(cause, asked, took, now);
            }
            return;
        };
        closed.slowest = closed.slowest.max(took);
        if stamp.epoch == self.epoch {
            closed.probe = None;
            closed.cause = cause;
            closed.outage |= cause == ClosedBy::Outage;
            self.wait(asked, now);
        } else if let Some(asked) = asked
            && now + asked > closed.until
        {
            (closed.until, closed.cause) = (now + asked, ClosedBy::RetryAfter);
        }
    }

    fn close(&mut self, cause: ClosedBy, asked: Option<f64>, took: f64, now: f64) {
        self.refused_rate = self.rate_at(now).min(self.meter.rate(now, self.opened));
        if self.refusals == 0 || self.accepted > self.accepted_before {
            self.first_refusal = now;
        }
        self.closed = Some(ClosedGate {
            until: now,
            at: now,
            ready: now,
            cause,
            outage: cause == ClosedBy::Outage,
            probe: None,
            slowest: took,
            accepted: self.accepted,
        });
        self.wait(asked, now);
    }

    /// Sets the moment of the next probe.
    fn wait(&mut self, asked: Option<f64>, now: f64) {
        let own = self.probe_interval(now);
        let Some(closed) = &mut self.closed else {
            return;
        };
        let wait = asked.map_or(own, |asked| asked.max(LEAST_WAIT));
        closed.until = closed.until.max(now + wait);
        closed.ready = now + asked.map_or(0.0, |asked| (asked - ROUNDING).max(0.0));
        self.refusals += 1;
        self.epoch += 1;
    }

    fn open(&mut self, now: f64) {
        let Some(closed) = self.closed.take() else {
            return;
        };
        self.late += now - closed.ready.max(closed.at);
        let outage = closed.outage;
        let run = closed.at - self.opened;
        let is_short = closed.accepted - self.accepted_before <= LoadShedding::SHORT;
        let raising = run > self.estimate.hold && self.estimate.limit < UNLIMITED;
        let wait = closed.until - closed.at;
        let is_window = closed.cause == ClosedBy::QuotaReset
            && (SHORTEST_SPREAD..=LONGEST_SPREAD).contains(&wait);
        let keeps_estimate = outage
            || !self.adaptive
            || !is_window && (self.learn_concurrency(run) || self.forgives(run, now));
        // After fewer accepted calls, this run and the next are measured as one.
        let measured = !keeps_estimate && self.accepted >= LEAST_MEASURED;
        let period = Period {
            length: now - self.measured_from,
            late: self.late,
            accepted: self.accepted as f64,
            refused_rate: self.refused_rate,
        };
        if measured && is_window {
            self.estimate.set_from_window(period);
        } else if measured {
            self.estimate.update(period, raising);
            if wait > LONG_WAIT {
                let hold = if raising {
                    HOLD_PER_WAIT * wait
                } else {
                    HOLD_PER_CYCLE * (run + wait)
                };
                self.estimate.hold = self.estimate.hold.max(hold.min(LONGEST_HOLD));
            }
        }
        let target = self.estimate.limit.min(self.refused_rate).max(SLOWEST);
        self.ramp_start = if self.refusals <= 1 {
            target / 4.0
        } else {
            (target / 32.0).max(target.min(4.0))
        };
        if keeps_estimate || measured {
            (self.measured_from, self.accepted, self.late) = (now, 0, 0.0);
            self.refusals = 0;
        }
        if self.adaptive && !outage && closed.cause != ClosedBy::QuotaReset {
            self.shedding.record_run(is_short);
        }
        (self.opened, self.next, self.accepted_before) = (now, now, self.accepted);
        self.concurrency.reset();
        self.meter = RateMeter::default();
    }

    /// Learns a concurrency limit if refusals came only above some number of calls in flight. Returns true if so.
    fn learn_concurrency(&mut self, run: f64) -> bool {
        let before = self.concurrency.most;
        if before.is_some_and(|most| self.concurrency.least_refused <= most)
            && run <= self.estimate.hold
        {
            self.concurrency.disprove();
            return false;
        }
        if self.estimate.limit < UNLIMITED && before.is_none() {
            return false;
        }
        let Some(most) = self.concurrency.detect() else {
            return false;
        };
        if before == Some(most) {
            self.estimate.hold_longer();
        } else {
            self.estimate.hold = HOLD;
        }
        self.concurrency.most = Some(most);
        (self.estimate.limit, self.forgiven) = (UNLIMITED, true);
        true
    }

    /// Returns true if a refusal counts as an accident: the first of all, or a long wait at a known rate.
    fn forgives(&mut self, run: f64, now: f64) -> bool {
        let limit = self.estimate.limit;
        if run >= self.estimate.hold.max(2.0 * HOLD) {
            self.forgiven = false;
        }
        let surprising = limit == UNLIMITED
            || self.refused_rate <= 1.2 * limit && now - self.first_refusal > LONG_WAIT;
        let forgives = surprising && !self.forgiven;
        self.forgiven |= surprising;
        forgives
    }

    fn record_shed(&mut self, accepted: bool, in_flight: usize, now: f64) {
        if self.shedding.ends(accepted, in_flight) {
            self.close(ClosedBy::Outage, None, 0.0, now);
        }
    }
}
