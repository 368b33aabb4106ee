//! A lane: one account at one service, with its gate, its rates and its guard. A run has one, or one for each row of
//! `--pool`.

use std::time::Duration;

use super::guard::Guard;
use super::rate_controller::{ClosedBy, RateController, Ready};
use super::run_guard::RunGuard;
use super::stated_limits::{AnsweredCall, StatedLimits};
use super::streak::{Ruling, SharedFailure};
use super::throttled_files::FileThrottles;
use super::types::{
    Assessment, CompletedCall, Disposition, Fault, LaneHistory, LimitedBy, Permit, Rules,
    SharedCause, Signal, SpotCheck, StopReason,
};
use crate::job::Hint;
use crate::limits::{Cost, PastCharge, RateLimits, seconds};

/// Delay of a throttled file after the gate opens, so that another file goes first. It doubles with each throttle of the
/// file, up to the first limit, and after ten throttles up to the second.
const AFTER_THROTTLE: Duration = Duration::from_millis(250);
const MOST_AFTER_THROTTLE: Duration = Duration::from_secs(4);
const MOST_AFTER_TEN_THROTTLES: Duration = Duration::from_secs(30);

/// Paces the calls of one account at a service.
#[derive(Debug)]
pub(super) struct Lane {
    limits: RateLimits,
    /// Paces the calls that begin or change something at the service.
    pub(super) controller: RateController,
    /// Paces the calls that only read what was submitted: a throttle of the others does not delay them.
    pub(super) reads: RateController,
    pub(super) guard: Guard,
    pub(super) in_flight: usize,
    /// Number of calls so far.
    pub(super) sent: u64,
    stated: StatedLimits,
    /// Rate and concurrency learned before the first throttle, while only one file is throttled.
    before_throttles: Option<(Option<f64>, Option<usize>)>,
    /// Reason for which no further call goes here.
    pub(super) stopped: Option<StopReason>,
    /// An outage or a wait that is longer than allowed. It stops the run only if no other lane can call.
    pub(super) paused: Option<StopReason>,
    /// That it has stopped was told.
    pub(super) is_told: bool,
}

/// What a lane needs to know of its run.
pub(super) struct Context<'r> {
    pub(super) rules: &'r Rules,
    pub(super) guard: &'r mut RunGuard,
    /// The most concurrent calls of the run.
    pub(super) concurrency: usize,
    /// Number of the run's next call.
    pub(super) next: u64,
    pub(super) now: Duration,
}

/// A limit, and the moment at which it ends, if that is known.
pub(super) type Held = (LimitedBy, Option<Duration>);

impl Lane {
    pub(super) fn new(
        rules: &Rules,
        history: &LaneHistory,
        stopped_by_guard: bool,
        now: Duration,
    ) -> Self {
        let seconds = now.as_secs_f64();
        let found = history.found;
        let mut lane = Self {
            limits: RateLimits::new(&rules.rates.windows, rules.burst, &history.spent, now),
            controller: RateController::new(
                seconds,
                rules.rates.adaptive,
                found.rate,
                found.at_once,
            ),
            reads: RateController::new(seconds, rules.rates.adaptive, None, None),
            guard: Guard::new(rules.canary, history.proven, stopped_by_guard),
            in_flight: 0,
            sent: 0,
            stated: StatedLimits::default(),
            before_throttles: None,
            stopped: None,
            paused: None,
            is_told: false,
        };
        if let Some(left) = history.closed_for {
            (lane.controller).stay_closed(left.as_secs_f64(), seconds);
            if left > rules.max_wait {
                lane.stop(StopReason::Wait(left));
            }
        }
        lane
    }

    /// Applies changed rules. Calls in flight and learned limits stay.
    pub(super) fn reconfigure(&mut self, rules: &Rules, spent: &[PastCharge], now: Duration) {
        self.limits = RateLimits::new(&rules.rates.windows, rules.burst, spent, now);
        for controller in [&mut self.controller, &mut self.reads] {
            controller.set_adaptive(rules.rates.adaptive);
        }
    }

    pub(super) fn stop(&mut self, reason: StopReason) {
        let kept = match reason {
            StopReason::Outage(_) | StopReason::Wait(_) => &mut self.paused,
            _ => &mut self.stopped,
        };
        kept.get_or_insert(reason);
    }

    /// Returns why the lane cannot call for long.
    pub(super) fn cannot_call(&self) -> Option<StopReason> {
        self.stopped.or(self.paused)
    }

    /// Opens gates whose probe has been in flight for longer than a refusal takes.
    pub(super) fn poll(&mut self, now: f64) {
        self.controller.poll(now);
        self.reads.poll(now);
    }

    /// Records that a cause other than the service delays calls.
    pub(super) fn rest(&mut self, now: f64) {
        self.controller.rest(now);
        self.reads.rest(now);
    }

    /// Opens gates because the failures that closed them were the files' own.
    pub(super) fn excuse(&mut self, now: f64) {
        self.controller.excuse(now);
        self.reads.excuse(now);
    }

    fn pace(&mut self, reads: bool) -> &mut RateController {
        match reads {
            true => &mut self.reads,
            false => &mut self.controller,
        }
    }

    /// Returns how many calls the rates and the concurrency limit of the service would admit now.
    pub(super) fn room(&self, now: Duration) -> u64 {
        let (_, at_once) = self.controller.learned();
        let beside = at_once.map_or(u64::MAX, |most| most.saturating_sub(self.in_flight) as u64);
        self.limits.room(now).min(beside)
    }

    /// Returns true if the gate is closed and a probe may go.
    pub(super) fn is_due_for_probe(&self, now: Duration) -> bool {
        self.opens_at(false).is_some_and(|until| until <= now)
    }

    /// Checks the lane's limits before those of the run's concurrency.
    pub(super) fn check_canary(&mut self, now: Duration) -> Result<(), Held> {
        if self.in_flight > 0
            && let Some(until) = self.guard.alone_until(now)
        {
            return Err((LimitedBy::Canary, Some(until)));
        }
        Ok(())
    }

    /// Checks the gate and the rates. If the call may start, returns the spot check that it has to make.
    pub(super) fn check(
        &mut self,
        reads: bool,
        cost: Cost,
        run: &RunGuard,
        concurrency: usize,
        now: Duration,
    ) -> Result<Option<SpotCheck>, Held> {
        let at = now.as_secs_f64();
        let in_flight = self.in_flight;
        let ready = self.pace(reads).ready(at, in_flight);
        match ready {
            Ready::Closed(until) => {
                let until = until.map(seconds);
                return Err((
                    self.closed_by(reads, now).unwrap_or(LimitedBy::NoWork),
                    until,
                ));
            }
            Ready::Full(most) => return Err((LimitedBy::ServiceConcurrency(most), None)),
            Ready::Now | Ready::At(..) => {}
        }
        if let Some((ready, rate)) = self.limits.ready_at(cost)
            && now < ready
        {
            self.pace(reads).rest(at);
            return Err((LimitedBy::Rate(rate), Some(ready)));
        }
        if let Ready::At(moment, rises) = ready {
            let limited_by = match self.pace(reads).rate() {
                Some(rate) if !rises => LimitedBy::LearnedRate(rate),
                _ => LimitedBy::RampUp,
            };
            return Err((limited_by, Some(seconds(moment))));
        }
        let is_closed = self.pace(reads).closed().is_some();
        (self.guard.spot_check(run, is_closed, concurrency))
            .map_err(|()| (LimitedBy::SpotCheck, None))
    }

    /// Starts a call. Returns its stamp and its number in this lane.
    pub(super) fn grant(
        &mut self,
        reads: bool,
        cost: Cost,
        spot_check: Option<SpotCheck>,
        run: &mut RunGuard,
        now: Duration,
    ) -> (super::rate_controller::Stamp, u64) {
        self.limits.charge(cost, now);
        self.guard.sent(now);
        if let Some(check) = spot_check {
            self.guard.set_spot_check(run, check, true);
        }
        let in_flight = self.in_flight;
        let stamp = self.pace(reads).sent(now.as_secs_f64(), in_flight);
        self.in_flight += 1;
        self.sent += 1;
        (stamp, self.sent - 1)
    }

    /// Returns what closed the gate; `None` if it is open.
    pub(super) fn closed_by(&self, reads: bool, now: Duration) -> Option<LimitedBy> {
        let controller = match reads {
            true => &self.reads,
            false => &self.controller,
        };
        let (cause, until) = controller.closed()?;
        let until = seconds(until);
        let outage = self.guard.outage().filter(|outage| outage.established);
        Some(match (outage, cause) {
            (Some(outage), _) => LimitedBy::Outage {
                since: outage.since,
                every: seconds(controller.probe_interval(now.as_secs_f64())),
            },
            (None, ClosedBy::RetryAfter) => LimitedBy::RetryAfter(until),
            (None, ClosedBy::QuotaReset) => LimitedBy::QuotaReset(until),
            (None, ClosedBy::Throttle | ClosedBy::Outage) => LimitedBy::Throttled(until),
        })
    }

    pub(super) fn opens_at(&self, reads: bool) -> Option<Duration> {
        let controller = match reads {
            true => &self.reads,
            false => &self.controller,
        };
        (controller.closed()).map(|(_, until)| seconds(until))
    }

    /// Closes the gate of the other calls for as long as that of these is closed.
    fn close_other(&mut self, reads: bool, now: f64) {
        if let Some((cause, until)) = self.pace(reads).closed() {
            self.pace(!reads).close_with(cause, until, now);
        }
    }

    /// Cancels a permit whose call is not made.
    pub(super) fn cancel(&mut self, permit: &Permit, run: &mut RunGuard) {
        self.refund(permit);
        self.pace(permit.reads).lost(permit.stamp);
        self.ended(permit, run);
    }

    pub(super) fn refund(&mut self, permit: &Permit) {
        self.limits.refund(permit.cost, permit.at);
    }

    fn ended(&mut self, permit: &Permit, run: &mut RunGuard) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(check) = permit.spot_check {
            self.guard.set_spot_check(run, check, false);
        }
    }

    /// Learns from a completed call, and assesses its consequences.
    pub(super) fn complete(
        &mut self,
        permit: &Permit,
        call: CompletedCall<'_>,
        context: &mut Context<'_>,
    ) -> Assessment {
        let at = context.now.as_secs_f64();
        self.ended(permit, context.guard);
        if !call.signal.is_sent() {
            self.refund(permit);
        }
        if let Some(actual) = call.hint.and_then(|hint| hint.bill.weight)
            && call.signal.is_sent()
        {
            (self.limits).settle(permit.cost.weight, actual, permit.at, context.now);
        }
        if let Some(hint) = call.hint {
            self.read_hint(hint, permit, context.rules.max_wait, at);
        }
        match call.signal {
            Signal::Accepted | Signal::Answered | Signal::Rejected(_) | Signal::Crashed(_) => {
                self.accepted(permit, call, context)
            }
            Signal::Throttled { wait, unavailable } => {
                self.throttled(permit, call, wait, unavailable, context)
            }
            Signal::Failed | Signal::Unreachable => self.failed(permit, call, context),
            Signal::Fault(fault) => self.fault(permit, call, fault, context),
            Signal::Unsent | Signal::Stale => {
                self.pace(permit.reads).lost(permit.stamp);
                Assessment::new(Disposition::ByPolicy)
            }
        }
    }

    fn accepted(
        &mut self,
        permit: &Permit,
        call: CompletedCall<'_>,
        context: &mut Context<'_>,
    ) -> Assessment {
        (self.pace(permit.reads)).accepted(permit.stamp, context.now.as_secs_f64());
        self.paused = None;
        let mut assessment = Assessment::new(Disposition::ByPolicy);
        let (run, at) = (&mut *context.guard, (permit.number, call.step));
        assessment.cleared = if call.goes_on {
            self.guard.went_on(run, call.file, at)
        } else if call.signal == Signal::Accepted {
            (self.guard).succeeded(run, call.file, call.failed_before, at)
        } else {
            self.guard.reached(run, at.0, at.1)
        };
        if let Signal::Rejected(cause) | Signal::Crashed(cause) = call.signal {
            let evidence = evidence(permit, call, SharedCause::Request, context.next);
            let (ruling, mixed) = context.guard.rejected(cause, evidence);
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
        context: &mut Context<'_>,
    ) -> Assessment {
        let mut assessment = Assessment::new(Disposition::ByPolicy);
        let mut cause = SharedCause::Service;
        if fault == Fault::MissingFile {
            cause = SharedCause::Disk;
            self.pace(permit.reads).lost(permit.stamp);
        } else if fault.is_before_connection() {
            assessment = self.failed(permit, call, context);
        } else {
            (self.pace(permit.reads)).accepted(permit.stamp, context.now.as_secs_f64());
        }
        let evidence = evidence(permit, call, cause, context.next);
        let remaining = context.guard.remaining;
        let streaks = match cause.is_of_run() {
            true => &mut context.guard.streaks,
            false => &mut self.guard.streaks,
        };
        let ruling = streaks.fault(fault, cause, evidence, remaining);
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
    fn failed(
        &mut self,
        permit: &Permit,
        call: CompletedCall<'_>,
        context: &mut Context<'_>,
    ) -> Assessment {
        let (closes, assessment) =
            self.suspect_outage(permit, call, !call.signal.is_sent(), context);
        let (took, at) = (call.took.as_secs_f64(), context.now.as_secs_f64());
        self.pace(permit.reads)
            .failed(permit.stamp, closes, took, at);
        // An outage is the service's, whatever is called.
        if closes {
            self.close_other(permit.reads, at);
        }
        assessment
    }

    /// Informs the guard of a failure that an outage may have caused. Returns true if the gate has to close.
    fn suspect_outage(
        &mut self,
        permit: &Permit,
        call: CompletedCall<'_>,
        certain: bool,
        context: &mut Context<'_>,
    ) -> (bool, Assessment) {
        let Context {
            rules,
            guard: run,
            concurrency,
            next,
            now,
        } = context;
        let evidence = evidence(permit, call, SharedCause::Outage, *next);
        let witness = certain || run.is_witness(call.file, call.failed_before);
        let (closes, established) = (self.guard).failed(
            evidence,
            (witness, certain),
            (*concurrency, run.remaining),
            *now,
        );
        let mut assessment = Assessment::new(Disposition::ByPolicy);
        assessment.outage = established;
        if let Some(outage) = self.guard.outage()
            && outage.established
        {
            assessment.disposition = Disposition::Requeue(*now);
            if outage.lasted >= rules.max_outage {
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
        context: &mut Context<'_>,
    ) -> Assessment {
        let now = context.now;
        let at = now.as_secs_f64();
        let throttles = self.guard.throttled(context.guard, call.file, now);
        let mut assessment = Assessment::new(Disposition::ByPolicy);
        if unavailable && !self.pace(permit.reads).is_shedding() {
            assessment = self.suspect_outage(permit, call, false, context).1;
        }
        let outage = self.guard.outage().is_some_and(|outage| outage.established);
        if !self.guard.throttled_files.is_one() {
            self.before_throttles = None;
        } else if throttles.count == 1 {
            self.before_throttles = Some(self.pace(permit.reads).learned());
        }
        if throttles.are_own() && !outage {
            // Throttles of one file delay no other, and are no evidence for a limit.
            self.pace(permit.reads).lost(permit.stamp);
            if let Some((rate, at_once)) = self.before_throttles.take() {
                self.pace(permit.reads).restore(rate, at_once);
            }
        } else {
            let took = call.took.as_secs_f64();
            let asked = wait.map(|wait| wait.as_secs_f64());
            let controller = self.pace(permit.reads);
            controller.throttled(permit.stamp, asked, took, at);
            if outage {
                controller.set_outage();
            }
            if permit.reads || outage {
                self.close_other(permit.reads, at);
            }
            if let Some(wait) = wait.filter(|wait| *wait > context.rules.max_wait) {
                self.stop(StopReason::Wait(wait));
            }
        }
        let most = match throttles.count {
            ..10 => MOST_AFTER_THROTTLE,
            _ => MOST_AFTER_TEN_THROTTLES,
        };
        let delay = (AFTER_THROTTLE.saturating_mul(1 << throttles.count.min(10))).min(most);
        let asked = now.saturating_add(wait.unwrap_or_default());
        let opens = self.opens_at(permit.reads).unwrap_or(now).max(asked);
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
    fn read_hint(&mut self, hint: &Hint, permit: &Permit, max_wait: Duration, at: f64) {
        let call = AnsweredCall {
            number: permit.of_lane,
            sent: permit.at.as_secs_f64(),
            in_flight: self.in_flight,
            sent_later: self.sent - permit.of_lane - 1,
        };
        let (rate, no_call_for) = self.stated.read(hint, call);
        if let Some(rate) = rate {
            self.pace(permit.reads).set_stated(rate);
        }
        if let Some(reset) = no_call_for {
            self.pace(permit.reads).quota_spent(reset.as_secs_f64(), at);
            if permit.reads {
                self.close_other(true, at);
            }
            if reset > max_wait {
                self.stop(StopReason::Wait(reset));
            }
        }
    }

    /// Returns true if a rate counts bytes or weight, so that a file's size is needed before its call.
    pub(super) fn needs_size(&self) -> bool {
        self.limits.need_size()
    }

    /// Returns the earliest moment at which the last of `left` calls can start under the rates and waits.
    pub(super) fn finish(&self, left: u64, now: Duration) -> Duration {
        let open = self.opens_at(false).map_or(now, |until| until.max(now));
        let learned = self.controller.rate().map_or(Duration::ZERO, |rate| {
            open.saturating_add(seconds(left as f64 / rate))
        });
        self.limits.finish(left, now).max(open).max(learned)
    }

    /// Returns the rest of a wait that the service asked for.
    pub(super) fn closed_for(&self, now: Duration) -> Option<Duration> {
        let asked = (self.controller.closed())
            .filter(|(cause, _)| matches!(cause, ClosedBy::RetryAfter | ClosedBy::QuotaReset));
        asked
            .map(|(_, until)| seconds(until).saturating_sub(now))
            .filter(|left| !left.is_zero())
    }
}

fn evidence(
    permit: &Permit,
    call: CompletedCall<'_>,
    cause: SharedCause,
    next: u64,
) -> SharedFailure {
    SharedFailure {
        file: call.file,
        step: call.step,
        is_spot_check: (permit.spot_check).is_some_and(|check| check.cause == Some(cause)),
        is_throttle: matches!(call.signal, Signal::Throttled { .. }),
        next,
    }
}
