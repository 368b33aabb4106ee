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
//! [`Governor`] takes each call from its permit to its assessment. It keeps the budgets and the concurrency of the run, and
//! chooses a lane for each call: an account with a gate, rates and a guard of its own. An account that refuses its
//! credentials stops its lane. The run stops with the last one.
//!
//! | module | purpose |
//! | --- | --- |
//! | `lane` | paces and judges the calls of one account |
//! | `rate_controller` | closes and opens the gate, and adapts the rate |
//! | `estimate` | estimates the service's rate limit from accepted and refused rates |
//! | `concurrency_limit`, `load_shedding` | detect refusals that are not a rate limit |
//! | `stated_limits` | reads the limits that the service states in its answers |
//! | `guard`, `run_guard`, `streak`, `throttled_files` | tell a file's own failure from a shared one: the circuit breaker |
//! | `concurrency_tuner` | finds the concurrency that raises throughput, for `-j auto` |
//! | `prices` | prices calls, and reserves money for those whose cost only their answers state |

mod concurrency_limit;
mod concurrency_tuner;
mod estimate;
mod guard;
mod lane;
mod load_shedding;
mod prices;
mod rate_controller;
mod run_guard;
mod stated_limits;
mod streak;
mod throttled_files;
mod types;

use std::cmp::Reverse;
use std::time::Duration;

pub use types::{
    Action, Admission, Assessment, Checkpoint, CompletedCall, Concurrency, Disposition, Fault,
    History, LaneCheckpoint, LaneHistory, LearnedLimits, LimitedBy, Permit, Rules, SharedCause,
    Signal, Spot, StopReason,
};

use crate::job::{Bill, JobId, Money, Price};
use crate::limits::{Budget, Budgets, Cost, PastCharge, Usage, seconds};
use concurrency_tuner::ConcurrencyTuner;
use lane::{Context, Held, Lane};
use prices::{Prices, Reservation};
use run_guard::RunGuard;
use types::SpotCheck;

/// Longest time between two requests while the machine is awake, also on a slow disk.
const LONGEST_GAP: Duration = Duration::from_secs(30);

/// Decides about all calls of a run.
#[derive(Debug)]
pub struct Governor {
    rules: Rules,
    lanes: Vec<Lane>,
    guard: RunGuard,
    tuner: Option<ConcurrencyTuner>,
    prices: Prices,
    used: Usage,
    /// Consumption at the last checkpoint.
    saved: Usage,
    in_flight: usize,
    /// Number of the next call.
    next: u64,
    /// Latest moment seen.
    clock: Duration,
    limited_by: LimitedBy,
    halt: Option<StopReason>,
    has_disk_space: bool,
    /// Files are submitted and not finished.
    has_submitted: bool,
    /// A budget of calls or money is exhausted, so that only reads go on.
    ends_writes: bool,
}

impl Governor {
    /// Creates a governor that starts at `now`.
    pub fn new(rules: Rules, history: &History, now: Duration) -> Self {
        let proven = history.lanes.iter().any(|lane| lane.proven);
        let width = history.lanes.iter().find_map(|lane| lane.found.width);
        let lanes = (history.lanes.iter())
            .map(|lane| Lane::new(&rules, lane, history.stopped_by_guard, now));
        let mut governor = Self {
            lanes: lanes.collect(),
            guard: RunGuard::new(&rules, proven),
            tuner: tuner(&rules, now, width),
            prices: Prices::new(history.dearest),
            used: history.used,
            saved: history.used,
            in_flight: 0,
            next: 0,
            clock: now,
            limited_by: LimitedBy::NoWork,
            halt: None,
            has_disk_space: true,
            has_submitted: false,
            ends_writes: false,
            rules,
        };
        governor.note_stops();
        governor
    }

    /// Applies changed rules. Calls in flight and learned limits stay. `spent` has the charges of each lane.
    pub fn reconfigure(&mut self, rules: Rules, spent: &[Vec<PastCharge>], now: Duration) {
        let now = self.advance(now);
        if rules.concurrency != self.rules.concurrency {
            self.tuner = tuner(&rules, now, self.width());
        }
        for (lane, spent) in self.lanes.iter_mut().zip(spent) {
            lane.reconfigure(&rules, spent, now);
        }
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
        for lane in &mut self.lanes {
            lane.guard.add_awake(awake);
        }
        self.clock += passed;
        self.clock
    }

    /// Stops the run for a reason that no other lane can help, or if no lane can call.
    fn note_stops(&mut self) {
        let mut stopped = self.lanes.iter().filter_map(Lane::cannot_call);
        let of_run = stopped.clone().find(StopReason::is_of_run);
        let count = stopped.clone().count();
        if let Some(reason) = of_run.or(stopped.next_back().filter(|_| count == self.lanes.len())) {
            self.stop(reason);
        }
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

    /// Decides about a call of this cost at `now`, which is `wall` milliseconds since 1970, in any lane. A permit counts as
    /// a call in flight until it returns through [`Self::complete`] or [`Self::cancel`].
    pub fn request(&mut self, cost: Cost, now: Duration, wall: i64) -> Admission {
        self.request_in(None, false, cost, now, wall)
    }

    /// As [`Self::request`], for a call that only reads what was submitted. It uses up no budget of calls or money, has a
    /// gate of its own, and makes no spot check, unless other calls are over.
    pub fn request_read(&mut self, cost: Cost, now: Duration, wall: i64) -> Admission {
        self.request_in(None, true, cost, now, wall)
    }

    /// Returns true if a budget of calls or money is exhausted, so that only reads go on.
    pub fn ends_writes(&self) -> bool {
        self.ends_writes
    }

    /// Sets whether files are submitted and not finished. An exhausted budget of calls or money stops the run only without.
    pub fn set_submitted(&mut self, submitted: bool) {
        self.has_submitted = submitted;
    }

    /// As [`Self::request`] or [`Self::request_read`], in this lane if one is named.
    pub fn request_in(
        &mut self,
        lane: Option<usize>,
        reads: bool,
        cost: Cost,
        now: Duration,
        wall: i64,
    ) -> Admission {
        let now = self.advance(now);
        for lane in &mut self.lanes {
            lane.poll(now.as_secs_f64());
        }
        if let Some(tuner) = &mut self.tuner {
            tuner.adjust(now);
        }
        if self.halt.is_none() {
            let over = self.rules.until.is_some_and(|until| wall >= until);
            let budgets = &self.rules.budgets;
            let reserve = self.prices.with_next(budgets.pricing);
            let exhausted = self.used.exhausted(budgets, reserve);
            let only_time = Budgets {
                calls: None,
                cost: None,
                ..*budgets
            };
            let of_time = self.used.exhausted(&only_time, Money::default());
            let of_time = of_time.or(over.then_some(Budget::Until));
            self.ends_writes = exhausted.is_some() && of_time.is_none();
            let budget = match self.ends_writes && reads {
                true => None,
                false => exhausted.or(of_time),
            };
            if matches!(budget, Some(Budget::Cost(_))) && self.in_flight > 0 {
                // A call in flight may turn out to be free, or cheaper than its reserve.
                self.limited_by = LimitedBy::Cost;
                return Admission::Wait(LimitedBy::Cost, None);
            }
            let reason = budget.map(StopReason::Budget);
            if let Some(reason) = reason.filter(|_| self.ends_writes && self.has_submitted) {
                return Admission::Halt(reason);
            }
            self.halt = reason;
        }
        if let Some(reason) = self.halt {
            return Admission::Halt(reason);
        }
        let mut earliest: Option<Held> = None;
        for lane in lane.map_or_else(|| self.by_room(now), |lane| vec![lane]) {
            let checked = match self.check(lane, reads, cost, now) {
                Ok(Some(_)) if reads && !self.ends_writes => Err((LimitedBy::SpotCheck, None)),
                checked => checked,
            };
            match checked {
                Ok(spot_check) => {
                    return Admission::Go(self.grant(lane, reads, cost, spot_check, now));
                }
                Err((limited_by, until)) => {
                    let is_earlier = earliest.is_none_or(|(_, earliest)| {
                        until.is_some_and(|until| earliest.is_none_or(|earliest| until < earliest))
                    });
                    if is_earlier {
                        earliest = Some((limited_by, until));
                    }
                }
            }
        }
        let (limited_by, until) = earliest.unwrap_or((LimitedBy::NoWork, None));
        self.limited_by = limited_by;
        Admission::Wait(limited_by, until)
    }

    /// Returns the lanes that have not stopped: first those that are due for a probe, then those with most room, and among
    /// equals those with the fewest calls in flight, and so far.
    fn by_room(&self, now: Duration) -> Vec<usize> {
        let open = |index: &usize| self.lanes[*index].stopped.is_none();
        let mut open: Vec<usize> = (0..self.lanes.len()).filter(open).collect();
        if open.len() > 1 {
            open.sort_by_cached_key(|index| {
                let lane = &self.lanes[*index];
                let is_waiting = !lane.is_due_for_probe(now);
                (
                    is_waiting,
                    Reverse(lane.room(now)),
                    lane.in_flight,
                    lane.sent,
                )
            });
        }
        open
    }

    fn grant(
        &mut self,
        lane: usize,
        reads: bool,
        cost: Cost,
        spot_check: Option<SpotCheck>,
        now: Duration,
    ) -> Permit {
        let (stamp, of_lane) =
            self.lanes[lane].grant(reads, cost, spot_check, &mut self.guard, now);
        let reservation = self.prices.reserve(self.rules.budgets.pricing);
        self.used.calls += 1;
        if let Reservation::Counted(amount) = reservation {
            self.used.add_cost(Price {
                amount,
                is_known: true,
            });
        }
        self.in_flight += 1;
        self.next += 1;
        let mut permit = Permit {
            lane,
            reads,
            stamp,
            number: self.next - 1,
            of_lane,
            at: now,
            cost,
            reservation,
            spot_check,
        };
        if reads {
            self.exempt(&mut permit);
        }
        permit
    }

    /// Checks all limits. If the call may start in this lane, returns the spot check that it has to make.
    fn check(
        &mut self,
        lane: usize,
        reads: bool,
        cost: Cost,
        now: Duration,
    ) -> Result<Option<SpotCheck>, Held> {
        let concurrency = self.concurrency();
        let lane = &mut self.lanes[lane];
        if !self.has_disk_space {
            lane.rest(now.as_secs_f64());
            return Err((LimitedBy::DiskSpace, None));
        }
        lane.check_canary(now)?;
        if self.in_flight > 0 && self.guard.is_cautious(self.in_flight) {
            return Err((LimitedBy::Canary, None));
        }
        let budgets = &self.rules.budgets;
        if self.in_flight > 0 && budgets.cost.is_some() && self.prices.is_first(budgets.pricing) {
            return Err((LimitedBy::Cost, None));
        }
        if self.in_flight >= concurrency {
            if let Some(tuner) = &mut self.tuner {
                tuner.set_limiting();
            }
            return Err((LimitedBy::Threads(concurrency), None));
        }
        lane.check(reads, cost, &self.guard, concurrency, now)
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
        let now = self.clock.as_secs_f64();
        for lane in &mut self.lanes {
            lane.rest(now);
        }
        self.limited_by = LimitedBy::NoWork;
    }

    /// Records that no file can be called now, because this many are submitted and unfinished.
    pub fn all_submitted(&mut self, files: u64) {
        self.no_work();
        self.limited_by = LimitedBy::Submitted(files);
    }

    /// Cancels a permit whose call is not made, and refunds its charges.
    pub fn cancel(&mut self, permit: Permit) {
        self.lanes[permit.lane].cancel(&permit, &mut self.guard);
        self.refund(&permit);
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Gives up a call in flight. Returns its price.
    pub fn abandon(&mut self, permit: &Permit) -> Option<Price> {
        self.settle_price(permit, None)
    }

    /// Takes a read of a step out of the budgets of calls and money. A cost that its answer states still counts.
    pub fn exempt(&mut self, permit: &mut Permit) {
        self.refund(permit);
        permit.reservation = Reservation::Exempt;
    }

    fn refund(&mut self, permit: &Permit) {
        if permit.reservation != Reservation::Exempt {
            self.used.calls = self.used.calls.saturating_sub(1);
        }
        self.release_money(permit);
    }

    fn release_money(&mut self, permit: &Permit) {
        self.prices.release(permit.reservation);
        if let Reservation::Counted(amount) = permit.reservation {
            self.used.release_cost(amount);
        }
    }

    /// Returns the price of a call that was perhaps sent, and counts it instead of its reservation.
    fn settle_price(&mut self, permit: &Permit, stated: Option<Money>) -> Option<Price> {
        self.release_money(permit);
        let price = self.prices.price(permit.reservation, stated)?;
        self.used.add_cost(price);
        Some(price)
    }

    /// Cancels the permit of a spot check for which no file is left. For an outage, returns true if it counts as
    /// established nevertheless, and false if the files quarantined for it fail.
    pub fn no_spot_left(&mut self, permit: Permit) -> Option<bool> {
        let lane = permit.lane;
        let cause = permit.spot_check.and_then(|check| check.cause);
        self.cancel(permit);
        let cause = cause?;
        if cause.is_of_run() {
            self.guard.streaks.of_mut(cause).ignored = true;
            return None;
        }
        let lane = &mut self.lanes[lane];
        let established = lane.guard.no_spot_left(cause)?;
        if !established {
            lane.excuse(self.clock.as_secs_f64());
        }
        Some(established)
    }

    /// Learns from a completed call, and assesses its consequences.
    pub fn complete(
        &mut self,
        permit: Permit,
        call: CompletedCall<'_>,
        now: Duration,
    ) -> Assessment {
        let now = self.advance(now);
        self.in_flight = self.in_flight.saturating_sub(1);
        let bill = call.hint.map_or_else(Bill::default, |hint| hint.bill);
        let is_throttled = matches!(call.signal, Signal::Throttled { .. });
        let is_reserved = matches!(permit.reservation, Reservation::Reserved(_));
        let price = if !call.signal.is_sent() {
            self.refund(&permit);
            None
        } else if bill.cost.is_none() && (is_throttled || call.goes_on && is_reserved) {
            self.release_money(&permit);
            None
        } else {
            self.settle_price(&permit, bill.cost)
        };
        let mut context = Context {
            concurrency: self.concurrency(),
            rules: &self.rules,
            guard: &mut self.guard,
            next: self.next,
            now,
        };
        let lane = &mut self.lanes[permit.lane];
        let mut assessment = lane.complete(&permit, call, &mut context);
        assessment.price = price;
        // Failures behind a closed gate do not lower the concurrency.
        if let Some(tuner) = &mut self.tuner
            && call.signal.is_sent()
            && lane.controller.closed().is_none()
        {
            tuner.record(call.took, call.signal.is_accepted());
        }
        // Once a guard stops the run or the lane, later calls clear nothing.
        let stopped = lane.stopped;
        self.note_stops();
        let mut stops = self.halt.into_iter().chain(stopped);
        if stops.any(|reason| reason.is_guards()) {
            assessment.cleared = [false; 4];
        }
        assessment
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
        if failed {
            for lane in &mut self.lanes {
                lane.guard.throttled_files.remove(file);
            }
        }
        if let Some(failed) = self.guard.too_many(self.rules.max_failures) {
            self.stop(StopReason::Failures(failed));
        }
    }

    /// Decides about quarantined files when no others are left. Returns true if all of them fail. Otherwise an account has
    /// refused them: its lane stops, and files with [`SharedCause::Service`] stay pending.
    pub fn resolve_quarantine(&mut self) -> bool {
        // The lanes that refused them have stopped already.
        if matches!(self.halt, Some(StopReason::Fault(_))) {
            return false;
        }
        let open = self.by_room(self.clock);
        let mut stops = false;
        for index in &open {
            let lane = &mut self.lanes[*index];
            if let Some(reason) = lane.guard.resolve_quarantine(open.len() > 1) {
                lane.stop(reason);
                stops = true;
            }
        }
        if stops {
            self.note_stops();
        } else {
            self.guard.streaks.reset();
            for lane in &mut self.lanes {
                lane.guard.streaks.reset();
            }
        }
        !stops
    }

    /// Returns the consumption of the budgets.
    pub fn used(&self) -> Usage {
        self.used
    }

    /// Returns the reason why the run stops.
    pub fn halt(&self) -> Option<StopReason> {
        self.halt
    }

    /// Returns the number of lanes.
    pub fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// Returns the reason why no further call goes to a lane.
    pub fn stopped(&self, lane: usize) -> Option<StopReason> {
        self.lanes.get(lane)?.stopped
    }

    /// Returns the reason why a lane has stopped, or cannot call for long.
    pub fn cannot_call(&self, lane: usize) -> Option<StopReason> {
        self.lanes.get(lane)?.cannot_call()
    }

    /// Returns the lanes that have stopped since the last time.
    pub fn newly_stopped(&mut self) -> Vec<(usize, StopReason)> {
        let lanes = self.lanes.iter_mut().enumerate();
        let newly = lanes.filter(|(_, lane)| !lane.is_told && lane.stopped.is_some());
        newly
            .filter_map(|(index, lane)| {
                lane.is_told = true;
                Some((index, lane.stopped?))
            })
            .collect()
    }

    /// Returns the limit that decided the latest request.
    pub fn limited_by(&self) -> LimitedBy {
        self.limited_by
    }

    /// Returns what closed the gates of all lanes, and when the first opens for a probe. Also returns `None` if a probe may
    /// go but no file is left for it.
    pub fn closed(&self, now: Duration) -> Option<(LimitedBy, Duration)> {
        let mut first: Option<(LimitedBy, Duration)> = None;
        for lane in self.by_room(now) {
            let closed = self.closed_lane(lane, now)?;
            first = Some(first.filter(|first| first.1 <= closed.1).unwrap_or(closed));
        }
        first
    }

    /// Returns what closed the gate of a lane, and when it opens for a probe.
    pub fn closed_lane(&self, lane: usize, now: Duration) -> Option<(LimitedBy, Duration)> {
        let lane = self.lanes.get(lane)?;
        let until = lane.opens_at(false)?;
        let waits_for_file = self.limited_by == LimitedBy::NoWork && until <= now;
        (lane.closed_by(false, now).filter(|_| !waits_for_file)).map(|closed_by| (closed_by, until))
    }

    /// Returns true if a rate counts bytes or weight, so that a file's size is needed before its call.
    pub fn needs_size(&self) -> bool {
        self.lanes.iter().any(Lane::needs_size)
    }

    /// Returns the earliest moment at which the last of `left` calls can start under the rates and waits. Several lanes
    /// share the calls in proportion to their speeds.
    pub fn finish(&self, left: u64, now: Duration) -> Duration {
        let left = left.min(self.used.remaining_calls(&self.rules.budgets));
        let open = self.by_room(now);
        let finish = |lane: &usize| self.lanes[*lane].finish(left, now);
        if let [lane] = open.as_slice() {
            return finish(lane);
        }
        let times = open.iter().map(|lane| finish(lane).saturating_sub(now));
        let speeds = times.map(|time| 1.0 / time.as_secs_f64());
        now.saturating_add(seconds(1.0 / speeds.sum::<f64>()))
    }

    fn width(&self) -> Option<usize> {
        self.tuner.as_ref().map(ConcurrencyTuner::concurrency)
    }

    /// Returns the state to store at `now`, with the consumption since the last checkpoint.
    pub fn checkpoint(&mut self, now: Duration) -> Checkpoint {
        let now = self.advance(now);
        let used = self.used.since(&self.saved);
        self.saved = self.used;
        let width = self.width();
        let lanes = self.lanes.iter().map(|lane| {
            let (rate, at_once) = lane.controller.learned();
            LaneCheckpoint {
                closed_for: lane.closed_for(now),
                found: LearnedLimits {
                    rate,
                    at_once,
                    width,
                },
                proven: lane.guard.streaks.succeeded,
                stopped: lane.stopped,
            }
        });
        let refused = self.lanes.iter();
        let refused = refused.filter_map(|lane| lane.guard.throttled_files.most());
        Checkpoint {
            lanes: lanes.collect(),
            used,
            dearest: self.prices.dearest(),
            refused: refused.max_by_key(|(file, count)| (*count, file.0)),
        }
    }
}

fn tuner(rules: &Rules, now: Duration, found: Option<usize>) -> Option<ConcurrencyTuner> {
    match rules.concurrency {
        Concurrency::Auto(most) => Some(ConcurrencyTuner::new(now, found, most)),
        Concurrency::Fixed(_) => None,
    }
}
