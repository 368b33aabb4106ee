//! The governor decides when the next call may start, and when a run has to stop.
//!
//! It handles four situations:
//!
//! - **A wait.** A throttled call (429, 503, or a 403 that mentions a limit) closes the gate for all calls. It stays closed
//!   as long as the service asks, or for a short time that grows. Then one call goes alone: the probe. If the service
//!   accepts it, the gate opens, and the rate is back within a second or two. A wait says nothing about the rate limit.
//! - **A limit.** It lies between the accepted and the refused rate. The governor spaces calls evenly just below it, tries a
//!   slightly higher rate from time to time, and remembers the limit. If refusals come only with many calls
//!   in flight, the limit is on those. `--rate` and the limits that the service states only ever lower the rate.
//! - **An outage.** Calls of different files fail in a row (5xx, no connection, no answer), and so does a file from elsewhere
//!   in the list. Then no attempt is charged. Probes go at intervals of up to thirty seconds, and the run stops after
//!   `--max-outage`. One bad file among good ones is not an outage.
//! - **A bad request.** The first thirty files are all rejected, or crash their program, for one cause, and so do files
//!   elsewhere in the list: the run stops. It also stops if credentials, quota or address are refused for five files in a row and elsewhere.
//!
//! Everything here is pure: time and randomness are arguments. Time is a [`Duration`] since a moment before the run, on a
//! clock that includes sleep. If that clock goes back, the governor's own stands still.
//!
//! [`Governor`] takes each call through the parts below, from its permit to its assessment. A split of this file would
//! separate the start of a call from its end.
//!
//! | module | purpose |
//! | --- | --- |
//! | `rate_controller` | closes and opens the gate, and adapts the rate |
//! | `estimate` | estimates the service's rate limit from accepted and refused rates |
//! | `concurrency_limit`, `load_shedding` | detect refusals that are not a rate limit |
//! | `stated_limits` | reads the limits that the service states in its answers |
//! | `guard`, `throttled_files` | tell a file's own failure from a shared one: the circuit breaker |
//! | `concurrency_tuner` | finds the concurrency that raises throughput, for `-j auto` |

mod concurrency_limit;
mod concurrency_tuner;
mod estimate;
mod guard;
mod load_shedding;
mod rate_controller;
mod stated_limits;
mod throttled_files;
mod types;

use std::time::Duration;

pub use types::{
    Action, Admission, Assessment, Checkpoint, CompletedCall, Concurrency, Disposition, Fault,
    History, LearnedLimits, LimitedBy, Permit, Rules, SharedCause, Signal, Spot, StopReason,
};

use crate::job::{Hint, JobId};
use crate::limits::{Budget, Cost, PastCharge, RateLimits, Usage, seconds};
use concurrency_tuner::ConcurrencyTuner;
use guard::{Guard, Ruling, SharedFailure};
use rate_controller::{ClosedBy, RateController, Ready};
use stated_limits::{AnsweredCall, StatedLimits};
use throttled_files::FileThrottles;
use types::SpotCheck;

/// Longest time between two requests while the machine is awake, also on a slow disk.
const LONGEST_GAP: Duration = Duration::from_secs(30);
/// Delay of a throttled file after the gate opens, so that another file goes first. It doubles with each throttle of the
/// file, up to the first limit, and after ten throttles up to the second.
const AFTER_THROTTLE: Duration = Duration::from_millis(250);
const MOST_AFTER_THROTTLE: Duration = Duration::from_secs(4);
const MOST_AFTER_TEN_THROTTLES: Duration = Duration::from_secs(30);

/// Decides about all calls of one account at a service.
#[derive(Debug)]
pub struct Governor {
    rules: Rules,
    limits: RateLimits,
    controller: RateController,
    tuner: Option<ConcurrencyTuner>,
    guard: Guard,
    used: Usage,
    /// Consumption at the last checkpoint.
    saved: Usage,
    in_flight: usize,
    /// Number of the next call.
    next: u64,
    stated: StatedLimits,
    /// Rate and concurrency learned before the first throttle, while only one file is throttled.
    before_throttles: Option<(Option<f64>, Option<usize>)>,
    /// Latest moment seen.
    clock: Duration,
    limited_by: LimitedBy,
    halt: Option<StopReason>,
    has_disk_space: bool,
}

impl Governor {
    /// Creates a governor that starts at `now`.
    pub fn new(rules: Rules, history: &History, now: Duration) -> Self {
        let seconds = now.as_secs_f64();
        let LearnedLimits {
            rate,
            at_once,
            width,
        } = history.found;
        let mut governor = Self {
            limits: RateLimits::new(&rules.rates.windows, rules.burst, &history.spent, now),
            controller: RateController::new(seconds, rules.rates.adaptive, rate, at_once),
            tuner: tuner(&rules, now, width),
            guard: Guard::new(&rules, history),
            used: history.used,
            saved: history.used,
            in_flight: 0,
            next: 0,
            stated: StatedLimits::default(),
            before_throttles: None,
            clock: now,
            limited_by: LimitedBy::NoWork,
            halt: None,
            has_disk_space: true,
            rules,
        };
        if let Some(left) = history.closed_for {
            (governor.controller).stay_closed(left.as_secs_f64(), seconds);
            if left > governor.rules.max_wait {
                governor.stop(StopReason::Wait(left));
            }
        }
        governor
    }

    /// Applies changed rules. Calls in flight and learned limits stay.
    pub fn reconfigure(&mut self, rules: Rules, spent: &[PastCharge], now: Duration) {
        let now = self.advance(now);
        self.limits = RateLimits::new(&rules.rates.windows, rules.burst, spent, now);
        if rules.concurrency != self.rules.concurrency {
            self.tuner = tuner(&rules, now, self.learned_limits().width);
        }
        self.controller.set_adaptive(rules.rates.adaptive);
        if !rules.stops_bad_requests {
            self.guard.allow_bad_requests();
        }
        self.rules = rules;
    }

    fn advance(&mut self, now: Duration) -> Duration {
        let passed = now.saturating_sub(self.clock);
        // Requests come several times a second. During a longer gap the machine has slept.
        let awake = passed.min(LONGEST_GAP);
        self.used.worked += awake;
        self.guard.add_awake(awake);
        self.clock += passed;
        self.clock
    }

    /// Returns the maximum number of concurrent calls at present.
    pub fn concurrency(&self) -> usize {
        match self.rules.concurrency {
            Concurrency::Fixed(calls) => calls,
            Concurrency::Auto(most) => {
                (self.tuner.as_ref()).map_or(most, ConcurrencyTuner::concurrency)
            }
        }
    }

    /// Decides about a call of this cost at `now`, which is `wall` milliseconds since 1970. A permit counts as a call in
    /// flight until it returns through [`Self::complete`] or [`Self::cancel`].
    pub fn request(&mut self, cost: Cost, now: Duration, wall: i64) -> Admission {
        let now = self.advance(now);
        self.controller.poll(now.as_secs_f64());
        if let Some(tuner) = &mut self.tuner {
            tuner.adjust(now);
        }
        if self.halt.is_none() {
            let over = self.rules.until.is_some_and(|until| wall >= until);
            let exhausted = self.used.exhausted(&self.rules.budgets);
            let budget = exhausted.or(over.then_some(Budget::Until));
            if matches!(budget, Some(Budget::Cost(_))) && self.in_flight > 0 {
                // A call in flight may turn out to be free.
                return Admission::Wait(self.limited_by, None);
            }
            self.halt = budget.map(StopReason::Budget);
        }
        if let Some(reason) = self.halt {
            return Admission::Halt(reason);
        }
        match self.check(cost, now) {
            Ok(spot_check) => Admission::Go(self.grant(cost, spot_check, now)),
            Err((limited_by, until)) => {
                self.limited_by = limited_by;
                Admission::Wait(limited_by, until)
            }
        }
    }

    fn grant(&mut self, cost: Cost, spot_check: Option<SpotCheck>, now: Duration) -> Permit {
        self.limits.charge(cost, now);
        self.used.reserve(self.rules.budgets.each);
        self.guard.sent(now);
        if spot_check.is_some() {
            self.guard.set_spot_check(true);
        }
        let stamp = (self.controller).sent(now.as_secs_f64(), self.in_flight);
        self.in_flight += 1;
        self.next += 1;
        Permit {
            stamp,
            number: self.next - 1,
            at: now,
            cost,
            price: self.rules.budgets.each,
            spot_check,
        }
    }

    /// Checks all limits. If the call may start, returns the spot check that it has to make.
    fn check(
        &mut self,
        cost: Cost,
        now: Duration,
    ) -> Result<Option<SpotCheck>, (LimitedBy, Option<Duration>)> {
        let at = now.as_secs_f64();
        if !self.has_disk_space {
            self.controller.rest(at);
            return Err((LimitedBy::DiskSpace, None));
        }
        if self.in_flight > 0 {
            if let Some(until) = self.guard.alone_until(now) {
                return Err((LimitedBy::Canary, Some(until)));
            }
            if self.guard.is_cautious(self.in_flight) {
                return Err((LimitedBy::Canary, None));
            }
        }
        let concurrency = self.concurrency();
        if self.in_flight >= concurrency {
            if let Some(tuner) = &mut self.tuner {
                tuner.set_limiting();
            }
            return Err((LimitedBy::Threads(concurrency), None));
        }
        let ready = self.controller.ready(at, self.in_flight);
        match ready {
            Ready::Closed(until) => {
                let until = until.map(seconds);
                return Err((self.closed_by(now).unwrap_or(LimitedBy::NoWork), until));
            }
            Ready::Full(most) => return Err((LimitedBy::ServiceConcurrency(most), None)),
            Ready::Now | Ready::At(..) => {}
        }
        if let Some((ready, rate)) = self.limits.ready_at(cost)
            && now < ready
        {
            self.controller.rest(at);
            return Err((LimitedBy::Rate(rate), Some(ready)));
        }
        if let Ready::At(moment, rises) = ready {
            let limited_by = match self.controller.rate() {
                Some(rate) if !rises => LimitedBy::LearnedRate(rate),
                _ => LimitedBy::RampUp,
            };
            return Err((limited_by, Some(seconds(moment))));
        }
        let is_closed = self.controller.closed().is_some();
        (self.guard.spot_check(is_closed, concurrency)).map_err(|()| (LimitedBy::SpotCheck, None))
    }

    /// Returns what closed the gate; `None` if it is open.
    fn closed_by(&self, now: Duration) -> Option<LimitedBy> {
        let (cause, until) = self.controller.closed()?;
        let until = seconds(until);
        let outage = self.guard.outage().filter(|outage| outage.established);
        Some(match (outage, cause) {
            (Some(outage), _) => LimitedBy::Outage {
                since: outage.since,
                every: seconds(self.controller.probe_interval(now.as_secs_f64())),
            },
            (None, ClosedBy::RetryAfter) => LimitedBy::RetryAfter(until),
            (None, ClosedBy::QuotaReset) => LimitedBy::QuotaReset(until),
            (None, ClosedBy::Throttle | ClosedBy::Outage) => LimitedBy::Throttled(until),
        })
    }

    fn opens_at(&self) -> Option<Duration> {
        (self.controller.closed()).map(|(_, until)| seconds(until))
    }

    /// Sets whether the disk has space for results. Without it, no call starts.
    pub fn set_disk_space(&mut self, has_space: bool) {
        self.has_disk_space = has_space;
    }

    /// Sets the number of files that are left to call.
    pub fn set_remaining(&mut self, files: u64) {
        self.guard.remaining = files;
    }

    /// Records that all threads are busy at `now`.
    pub fn all_busy(&mut self, threads: usize, now: Duration) {
        self.advance(now);
        if let Some(tuner) = &mut self.tuner {
            tuner.set_limiting();
        }
        self.limited_by = LimitedBy::Threads(threads);
    }

    /// Records that no file can be called now.
    pub fn no_work(&mut self) {
        self.controller.rest(self.clock.as_secs_f64());
        self.limited_by = LimitedBy::NoWork;
    }

    /// Cancels a permit whose call is not made, and refunds its charges.
    pub fn cancel(&mut self, permit: Permit) {
        self.refund(&permit);
        self.controller.lost(permit.stamp);
        self.end_spot_check(&permit);
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Cancels the permit of a spot check for which no file is left. For an outage, returns true if it counts as
    /// established nevertheless, and false if the files quarantined for it fail.
    pub fn no_spot_left(&mut self, permit: Permit) -> Option<bool> {
        let cause = permit.spot_check.and_then(|check| check.cause);
        self.cancel(permit);
        let established = self.guard.no_spot_left(cause?)?;
        if !established {
            self.controller.excuse(self.clock.as_secs_f64());
        }
        Some(established)
    }

    fn refund(&mut self, permit: &Permit) {
        self.limits.refund(permit.cost, permit.at);
        self.used.release(permit.price);
    }

    fn end_spot_check(&mut self, permit: &Permit) {
        if permit.spot_check.is_some() {
            self.guard.set_spot_check(false);
        }
    }

    /// Learns from a completed call, and assesses its consequences.
    pub fn complete(
        &mut self,
        permit: Permit,
        call: CompletedCall<'_>,
        now: Duration,
    ) -> Assessment {
        let now = self.advance(now);
        let at = now.as_secs_f64();
        self.in_flight = self.in_flight.saturating_sub(1);
        self.end_spot_check(&permit);
        if !call.signal.is_sent() {
            self.refund(&permit);
        } else if matches!(call.signal, Signal::Throttled { .. }) {
            self.used.release_cost(permit.price);
        }
        if let Some(hint) = call.hint {
            self.read_hint(hint, &permit, at);
        }
        let mut assessment = match call.signal {
            Signal::Accepted | Signal::Answered | Signal::Rejected(_) | Signal::Crashed(_) => {
                self.accepted(&permit, call, at)
            }
            Signal::Throttled { wait, unavailable } => {
                self.throttled(&permit, call, wait, unavailable, now)
            }
            Signal::Failed | Signal::Unreachable => self.failed(&permit, call, now),
            Signal::Fault(fault) => self.fault(&permit, call, fault, now),
            Signal::Unsent | Signal::Stale => {
                self.controller.lost(permit.stamp);
                Assessment::new(Disposition::ByPolicy)
            }
        };
        // Failures behind a closed gate do not lower the concurrency.
        if let Some(tuner) = &mut self.tuner
            && call.signal.is_sent()
            && self.controller.closed().is_none()
        {
            tuner.record(call.took, call.signal.is_accepted());
        }
        // Once a guard stops the run, later calls clear nothing.
        if self.halt.is_some_and(|reason| reason.is_guards()) {
            assessment.cleared = [false; 4];
        }
        assessment
    }

    fn evidence(
        &self,
        permit: &Permit,
        call: CompletedCall<'_>,
        cause: SharedCause,
    ) -> SharedFailure {
        SharedFailure {
            file: call.file,
            is_spot_check: (permit.spot_check).is_some_and(|check| check.cause == Some(cause)),
            is_throttle: matches!(call.signal, Signal::Throttled { .. }),
            next: self.next,
        }
    }

    fn accepted(&mut self, permit: &Permit, call: CompletedCall<'_>, at: f64) -> Assessment {
        self.controller.accepted(permit.stamp, at);
        let mut assessment = Assessment::new(Disposition::ByPolicy);
        assessment.cleared = if call.signal == Signal::Accepted {
            (self.guard).succeeded(call.file, call.failed_before, permit.number)
        } else {
            self.guard.reached(permit.number)
        };
        if let Signal::Rejected(cause) | Signal::Crashed(cause) = call.signal {
            let evidence = self.evidence(permit, call, SharedCause::Request);
            let (ruling, mixed) = self.guard.rejected(cause, evidence);
            assessment.cleared[SharedCause::Request as usize] |= mixed;
            assessment.disposition = match (call.signal, self.apply(ruling, SharedCause::Request)) {
                // The call may succeed when it is repeated.
                (Signal::Crashed(_), Disposition::Quarantine(cause)) => {
                    Disposition::QuarantineIfFailed(cause)
                }
                (_, disposition) => disposition,
            };
        }
        assessment
    }

    fn apply(&mut self, ruling: Ruling, cause: SharedCause) -> Disposition {
        match ruling {
            Ruling::Own => return Disposition::ByPolicy,
            Ruling::Quarantine => {}
            Ruling::Stop(reason) => self.stop(reason),
        }
        Disposition::Quarantine(cause)
    }

    fn fault(
        &mut self,
        permit: &Permit,
        call: CompletedCall<'_>,
        fault: Fault,
        now: Duration,
    ) -> Assessment {
        let mut assessment = Assessment::new(Disposition::ByPolicy);
        let mut cause = SharedCause::Service;
        if fault == Fault::MissingFile {
            cause = SharedCause::Disk;
            self.controller.lost(permit.stamp);
        } else if fault.is_before_connection() {
            assessment = self.failed(permit, call, now);
        } else {
            self.controller.accepted(permit.stamp, now.as_secs_f64());
        }
        let evidence = self.evidence(permit, call, cause);
        let ruling = self.guard.fault(fault, cause, evidence);
        if ruling != Ruling::Own {
            assessment.disposition = self.apply(ruling, cause);
        }
        if fault.is_of_program() {
            // No file is ever at fault, not even the last one.
            assessment.disposition = Disposition::ByPolicy;
        }
        assessment
    }

    /// Handles a transient failure of the service.
    fn failed(&mut self, permit: &Permit, call: CompletedCall<'_>, now: Duration) -> Assessment {
        let (closes, assessment) = self.suspect_outage(permit, call, !call.signal.is_sent(), now);
        let (took, at) = (call.took.as_secs_f64(), now.as_secs_f64());
        self.controller.failed(permit.stamp, closes, took, at);
        assessment
    }

    /// Informs the guard of a failure that an outage may have caused. Returns true if the gate has to close.
    fn suspect_outage(
        &mut self,
        permit: &Permit,
        call: CompletedCall<'_>,
        certain: bool,
        now: Duration,
    ) -> (bool, Assessment) {
        let concurrency = self.concurrency();
        let evidence = self.evidence(permit, call, SharedCause::Outage);
        let witness = certain || self.guard.is_witness(call.file, call.failed_before);
        let (closes, established) =
            (self.guard).failed(evidence, witness, certain, concurrency, now);
        let mut assessment = Assessment::new(Disposition::ByPolicy);
        assessment.outage = established;
        if let Some(outage) = self.guard.outage()
            && outage.established
        {
            assessment.disposition = Disposition::Requeue(now);
            if outage.lasted >= self.rules.max_outage {
                self.stop(StopReason::Outage(outage.lasted));
            }
        } else if witness && !self.guard.ignores_outages() {
            assessment.disposition = Disposition::QuarantineIfFailed(SharedCause::Outage);
        }
        (closes, assessment)
    }

    fn throttled(
        &mut self,
        permit: &Permit,
        call: CompletedCall<'_>,
        wait: Option<Duration>,
        unavailable: bool,
        now: Duration,
    ) -> Assessment {
        let at = now.as_secs_f64();
        let throttles = self.guard.throttled(call.file, now);
        let mut assessment = Assessment::new(Disposition::ByPolicy);
        if unavailable && !self.controller.is_shedding() {
            assessment = self.suspect_outage(permit, call, false, now).1;
        }
        let outage = self.guard.outage().is_some_and(|outage| outage.established);
        if !self.guard.throttled_files.is_one() {
            self.before_throttles = None;
        } else if throttles.count == 1 {
            self.before_throttles = Some(self.controller.learned());
        }
        if throttles.are_own() && !outage {
            // Throttles of one file delay no other, and are no evidence for a limit.
            self.controller.lost(permit.stamp);
            if let Some((rate, at_once)) = self.before_throttles.take() {
                self.controller.restore(rate, at_once);
            }
        } else {
            let took = call.took.as_secs_f64();
            let asked = wait.map(|wait| wait.as_secs_f64());
            self.controller.throttled(permit.stamp, asked, took, at);
            if outage {
                self.controller.set_outage();
            }
            if let Some(wait) = wait.filter(|wait| *wait > self.rules.max_wait) {
                self.stop(StopReason::Wait(wait));
            }
        }
        let most = match throttles.count {
            ..10 => MOST_AFTER_THROTTLE,
            _ => MOST_AFTER_TEN_THROTTLES,
        };
        let delay = (AFTER_THROTTLE.saturating_mul(1 << throttles.count.min(10))).min(most);
        let asked = now.saturating_add(wait.unwrap_or_default());
        let opens = self.opens_at().unwrap_or(now).max(asked);
        let again = opens.saturating_add(delay);
        assessment.disposition = match assessment.disposition {
            // In an outage no file has to let others go first.
            Disposition::Requeue(_) => Disposition::Requeue(opens),
            // A 503 without a wait is charged like any transient failure, unless many files are throttled.
            _ if unavailable && !throttles.are_own() && self.guard.throttled_files.are_many() => {
                Disposition::Requeue(again)
            }
            by_policy if unavailable && wait.is_none() => {
                let quarantines = matches!(by_policy, Disposition::QuarantineIfFailed(_));
                Disposition::Charge(again, quarantines)
            }
            _ if throttles.are_final(now) => Disposition::Reject,
            _ if throttles.are_own() => {
                let is_first = throttles.count == FileThrottles::OWN;
                Disposition::RequeueLast(again, is_first)
            }
            _ => Disposition::Requeue(again),
        };
        assessment
    }

    /// Applies the limits that the service states with an answer.
    fn read_hint(&mut self, hint: &Hint, permit: &Permit, at: f64) {
        let call = AnsweredCall {
            number: permit.number,
            sent: permit.at.as_secs_f64(),
            in_flight: self.in_flight,
            sent_later: self.next - permit.number - 1,
        };
        let (rate, no_call_for) = self.stated.read(hint, call);
        if let Some(rate) = rate {
            self.controller.set_stated(rate);
        }
        if let Some(reset) = no_call_for {
            self.controller.quota_spent(reset.as_secs_f64(), at);
            if reset > self.rules.max_wait {
                self.stop(StopReason::Wait(reset));
            }
        }
    }

    fn stop(&mut self, reason: StopReason) {
        self.halt.get_or_insert(reason);
    }

    /// Clears the suspicion that the disk is missing, because a file that was read before still exists.
    pub fn confirm_disk(&mut self) {
        self.guard.confirm_disk();
    }

    /// Records the final state of a file, and stops the run if too many have failed.
    pub fn job_finished(&mut self, file: JobId, failed_before: bool, failed: bool) {
        self.guard.finished(file, failed_before, failed);
        if let Some(failed) = self.guard.too_many(self.rules.max_failures) {
            self.stop(StopReason::Failures(failed));
        }
    }

    /// Decides about quarantined files when no others are left. Returns true if all of them fail. Otherwise the service has
    /// never accepted a call: the run stops, and files with [`SharedCause::Service`] stay pending.
    pub fn resolve_quarantine(&mut self) -> bool {
        let reason = self.guard.resolve_quarantine();
        if let Some(reason) = reason {
            self.stop(reason);
        }
        reason.is_none()
    }

    /// Returns the reason why the run stops.
    pub fn halt(&self) -> Option<StopReason> {
        self.halt
    }

    /// Returns the limit that decided the latest request.
    pub fn limited_by(&self) -> LimitedBy {
        self.limited_by
    }

    /// Returns what closed the gate, and when it opens for a probe. Also returns `None` if a probe may go but no file is
    /// left for it.
    pub fn closed(&self, now: Duration) -> Option<(LimitedBy, Duration)> {
        let until = self.opens_at()?;
        let waits_for_file = self.limited_by == LimitedBy::NoWork && until <= now;
        (self.closed_by(now).filter(|_| !waits_for_file)).map(|closed_by| (closed_by, until))
    }

    /// Returns true if a rate counts bytes or weight, so that a file's size is needed before its call.
    pub fn needs_size(&self) -> bool {
        self.limits.need_size()
    }

    /// Returns the earliest moment at which the last of `left` calls can start under the rates and waits.
    pub fn finish(&self, left: u64, now: Duration) -> Duration {
        let left = left.min(self.used.remaining_calls(&self.rules.budgets));
        let open = self.opens_at().map_or(now, |until| until.max(now));
        let learned = self.controller.rate().map_or(Duration::ZERO, |rate| {
            open.saturating_add(seconds(left as f64 / rate))
        });
        self.limits.finish(left, now).max(open).max(learned)
    }

    fn learned_limits(&self) -> LearnedLimits {
        let (rate, at_once) = self.controller.learned();
        LearnedLimits {
            rate,
            at_once,
            width: self.tuner.as_ref().map(ConcurrencyTuner::concurrency),
        }
    }

    /// Returns the state to store at `now`, with the consumption since the last checkpoint.
    pub fn checkpoint(&mut self, now: Duration) -> Checkpoint {
        let now = self.advance(now);
        let used = self.used.since(&self.saved);
        self.saved = self.used;
        let asked = (self.controller.closed())
            .filter(|(cause, _)| matches!(cause, ClosedBy::RetryAfter | ClosedBy::QuotaReset));
        Checkpoint {
            closed_for: asked
                .map(|(_, until)| seconds(until).saturating_sub(now))
                .filter(|left| !left.is_zero()),
            found: self.learned_limits(),
            used,
            proven: self.guard.has_succeeded(),
            refused: self.guard.throttled_files.most(),
        }
    }
}

fn tuner(rules: &Rules, now: Duration, found: Option<usize>) -> Option<ConcurrencyTuner> {
    match rules.concurrency {
        Concurrency::Auto(most) => Some(ConcurrencyTuner::new(now, found, most)),
        Concurrency::Fixed(_) => None,
    }
}
