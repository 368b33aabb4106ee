//! The governor decides when the next call may be made, and what stops a run.
//!
//! A service says no in four ways, and each has its own answer:
//!
//! - **A wait.** A refused call (429, 503, or a 403 that speaks of a limit) stops all calls for as long as the service
//!   asks, or for a moment that grows. Then one call, the probe, goes alone; when it is taken, the others follow within
//!   a second or two. A wait says nothing about a rate.
//! - **A limit.** It lies between the pace that was accepted and the pace that was refused. stride goes evenly just
//!   below it, tries a little more from time to time, and remembers it. Where refusals come only with many calls in
//!   flight, the limit is on those. `--rate` and the service's own statements only ever make the pace slower.
//! - **An outage.** When calls of different files fail one after the other (5xx, no connection, no answer) and a file from
//!   elsewhere in the list fails too, the service is unavailable: nothing is charged, one probe goes every few seconds,
//!   and after `--max-outage` the run stops. One bad file among good ones is no outage.
//! - **A slip.** When the first thirty files are all rejected for one cause, the request is wrong, and the run stops. It
//!   stops as well where credentials, allowance or address are refused for five files in a row and elsewhere too.
//!
//! Everything here is pure: time and chance are arguments. Time is a [`Duration`] since some moment before the run, by a
//! clock that goes on while the machine sleeps; should it go back all the same, it stands still here.
//!
//! | module | purpose |
//! | --- | --- |
//! | `count` | reads the service's own count of calls |
//! | `guard` | tells a file's own failure from one that every file would have |
//! | `pace` | closes and opens the gate, and finds the limits |
//! | `at_once`, `shedding` | the evidence for two things that are no limit on the rate |
//! | `width` | finds the calls at a time that raise throughput, for `-j auto` |

mod at_once;
mod count;
mod guard;
mod pace;
mod shedding;
mod types;
mod width;

use std::time::Duration;

pub use types::{
    Action, Elsewhere, Ended, Fate, Found, Lesson, Memory, Past, Permit, Reason, Refusal, Rules,
    SharedCause, Signal, Verdict, Why, Width,
};

use crate::job::{Hint, JobId};
use crate::limits::{Budget, Cost, Spent, Used, Windows, seconds};
use count::Count;
use guard::{Failure, Guard, Refusals, Ruling};
use pace::{Cause, LONGEST_SPREAD, Pace, Ready};
use types::Look;
use width::WidthFinder;

/// A turn of the run takes no longer than this, on however slow a disk.
const LONGEST_TURN: Duration = Duration::from_secs(30);
/// The pace stays so much below a stated limit: the service's clock is not ours.
const BELOW_STATED: f64 = 0.99;
/// A refused file is called again so much later than the gate opens, doubled for each refusal of its own, so that another
/// file goes first; at most so much later, and after ten refusals at most so much.
const AFTER_REFUSAL: Duration = Duration::from_millis(250);
const SOON_AFTER_REFUSAL: Duration = Duration::from_secs(4);
const LATE_AFTER_REFUSAL: Duration = Duration::from_secs(30);

/// Decides about every call of one account at a service. See the module's documentation.
#[derive(Debug)]
pub struct Governor {
    rules: Rules,
    windows: Windows,
    pace: Pace,
    width: Option<WidthFinder>,
    guard: Guard,
    used: Used,
    remembered: Used,
    in_flight: usize,
    /// The number of the next call.
    next: u64,
    count: Count,
    /// The latest moment that was seen.
    clock: Duration,
    why: Why,
    halt: Option<Reason>,
    has_room: bool,
}

impl Governor {
    /// Creates a governor that begins at `now`, under these rules and after this past.
    pub fn new(rules: Rules, past: &Past, now: Duration) -> Self {
        let seconds = now.as_secs_f64();
        let Found {
            rate,
            at_once,
            width,
        } = past.found;
        let mut governor = Self {
            windows: Windows::new(&rules.rates.windows, rules.burst, &past.spent, now),
            pace: Pace::new(seconds, rules.rates.finds, rate, at_once),
            width: width_finder(&rules, now, width),
            guard: Guard::new(
                rules.canary,
                rules.stops_slips,
                past.proven,
                past.stopped_by_guard,
            ),
            used: past.used,
            remembered: past.used,
            in_flight: 0,
            next: 0,
            count: Count::default(),
            clock: now,
            why: Why::Work,
            halt: None,
            has_room: true,
            rules,
        };
        if let Some(left) = past.closed_for {
            governor.pace.stay_closed(left.as_secs_f64(), seconds);
            if left > governor.rules.max_wait {
                governor.stop(Reason::Wait(left));
            }
        }
        governor
    }

    /// Goes on under other rules. Calls in flight and all that was learnt stay.
    pub fn change(&mut self, rules: Rules, spent: &[Spent], now: Duration) {
        let now = self.advance(now);
        self.windows = Windows::new(&rules.rates.windows, rules.burst, spent, now);
        if rules.width != self.rules.width {
            self.width = width_finder(&rules, now, self.found().width);
        }
        self.pace.set_finds(rules.rates.finds);
        if !rules.stops_slips {
            self.guard.stop_watching_slips();
        }
        self.rules = rules;
    }

    fn advance(&mut self, now: Duration) -> Duration {
        let passed = now.saturating_sub(self.clock);
        // It is asked several times a second; in a longer time the machine slept, and no work was done.
        let awake = passed.min(LONGEST_TURN);
        self.used.worked += awake;
        self.guard.pass(awake);
        self.clock += passed;
        self.clock
    }

    /// Calls at the same time at present.
    pub fn width(&self) -> usize {
        match self.rules.width {
            Width::Fixed(width) => width,
            Width::Auto(most) => self.width.as_ref().map_or(most, WidthFinder::width),
        }
    }

    /// Decides about a call of this cost at `now`, which is `wall` milliseconds since 1970. A permit counts as a call
    /// until it is cancelled.
    pub fn ask(&mut self, cost: Cost, now: Duration, wall: i64) -> Verdict {
        let now = self.advance(now);
        self.pace.look(now.as_secs_f64());
        if let Some(width) = &mut self.width {
            width.look(now);
        }
        if self.halt.is_none() {
            let over = self.rules.until.is_some_and(|until| wall >= until);
            let up = self.used.up(&self.rules.budgets);
            let budget = up.or(over.then_some(Budget::Until));
            if matches!(budget, Some(Budget::Cost(_))) && self.in_flight > 0 {
                // A call in flight may turn out to cost nothing.
                return Verdict::Wait(self.why, None);
            }
            self.halt = budget.map(Reason::Budget);
        }
        if let Some(reason) = self.halt {
            return Verdict::Halt(reason);
        }
        match self.held_up(cost, now) {
            Ok(look) => Verdict::Go(self.permit(cost, look, now)),
            Err((why, until)) => {
                self.why = why;
                Verdict::Wait(why, until)
            }
        }
    }

    fn permit(&mut self, cost: Cost, look: Option<Look>, now: Duration) -> Permit {
        self.windows.take(cost, now);
        self.used.reserve(self.rules.budgets.each);
        self.guard.sent(now);
        if look.is_some() {
            self.guard.set_look_out(true);
        }
        let stamp = self.pace.sent(now.as_secs_f64(), self.in_flight);
        self.in_flight += 1;
        self.next += 1;
        Permit {
            stamp,
            number: self.next - 1,
            at: now,
            cost,
            price: self.rules.budgets.each,
            look,
        }
    }

    fn held_up(
        &mut self,
        cost: Cost,
        now: Duration,
    ) -> Result<Option<Look>, (Why, Option<Duration>)> {
        let at = now.as_secs_f64();
        if !self.has_room {
            self.pace.rest(at);
            return Err((Why::Room, None));
        }
        if self.in_flight > 0 {
            if let Some(until) = self.guard.alone_until(now) {
                return Err((Why::First, Some(until)));
            }
            if self.guard.is_cautious(self.in_flight) {
                return Err((Why::First, None));
            }
        }
        let width = self.width();
        if self.in_flight >= width {
            if let Some(finder) = &mut self.width {
                finder.binds();
            }
            return Err((Why::Threads(width), None));
        }
        let ready = self.pace.ready(at, self.in_flight);
        match ready {
            Ready::Closed(_, until) => return Err((self.closed_why(now), until.map(seconds))),
            Ready::AtOnce(most) => return Err((Why::AtOnce(most), None)),
            Ready::Now | Ready::At(..) => {}
        }
        if let Some((ready, rate)) = self.windows.ready_at(cost)
            && now < ready
        {
            self.pace.rest(at);
            return Err((Why::Rate(rate), Some(ready)));
        }
        if let Ready::At(moment, rises) = ready {
            let why = match self.pace.rate() {
                Some(rate) if !rises => Why::Found(rate),
                _ => Why::Rising,
            };
            return Err((why, Some(seconds(moment))));
        }
        let is_closed = self.pace.closed().is_some();
        self.guard
            .look(is_closed, width)
            .map_err(|()| (Why::Looking, None))
    }

    /// The reason for a closed gate, in its closing's own terms.
    fn closed_why(&self, now: Duration) -> Why {
        let Some((cause, _, until)) = self.pace.closed() else {
            return Why::Work;
        };
        let until = seconds(until);
        if let Some(outage) = self.guard.outage().filter(|outage| outage.established) {
            return Why::Outage {
                since: outage.since,
                every: seconds(self.pace.probe_every(now.as_secs_f64())),
            };
        }
        match cause {
            Cause::Asked => Why::Asked(until),
            Cause::Spent => Why::Spent(until),
            Cause::Refused | Cause::Outage => Why::Refused(until),
        }
    }

    /// Returns true where rejections for one cause may still be a slip.
    pub fn watches_slips(&self) -> bool {
        self.guard.watches_slips()
    }

    /// Takes note of whether the disk has room for results. Without it no call is made.
    pub fn set_room(&mut self, has_room: bool) {
        self.has_room = has_room;
    }

    /// Takes note of the number of files that are left to call.
    pub fn set_left(&mut self, left: u64) {
        self.guard.set_left(left);
    }

    /// Takes note that all of so many workers are busy at `now`.
    pub fn all_busy(&mut self, threads: usize, now: Duration) {
        self.advance(now);
        if let Some(finder) = &mut self.width {
            finder.binds();
        }
        self.why = Why::Threads(threads);
    }

    /// Takes note that no file is left that could be called now.
    pub fn no_work(&mut self) {
        self.pace.rest(self.clock.as_secs_f64());
        self.why = Why::Work;
    }

    /// Takes a permit back whose call is not made: it gives back all that it took.
    pub fn cancel(&mut self, permit: Permit) {
        self.give_back(&permit);
        self.pace.lost(permit.stamp);
        self.ended_look(&permit);
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Takes back the permit of a look elsewhere, because no other file is left. Where it was for an outage, returns true
    /// if that is established all the same, and false if the files that were held back for it fail.
    pub fn nowhere_to_look(&mut self, permit: Permit) -> Option<bool> {
        let cause = permit.look.and_then(|look| look.cause);
        self.cancel(permit);
        let established = self.guard.nowhere(cause?)?;
        if !established {
            self.pace.excuse(self.clock.as_secs_f64());
        }
        Some(established)
    }

    fn give_back(&mut self, permit: &Permit) {
        self.windows.give_back(permit.cost, permit.at);
        self.used.give_back(permit.price);
    }

    fn ended_look(&mut self, permit: &Permit) {
        if permit.look.is_some() {
            self.guard.set_look_out(false);
        }
    }

    /// Learns from an ended call.
    pub fn ended(&mut self, permit: Permit, call: Ended<'_>, now: Duration) -> Lesson {
        let now = self.advance(now);
        let at = now.as_secs_f64();
        self.in_flight = self.in_flight.saturating_sub(1);
        self.ended_look(&permit);
        if !call.signal.is_sent() {
            self.give_back(&permit);
        } else if matches!(call.signal, Signal::Refused { .. }) {
            self.used.give_back_cost(permit.price);
        }
        if let Some(hint) = call.hint {
            self.hinted(hint, &permit, at);
        }
        let lesson = match call.signal {
            Signal::Unsent | Signal::Stale => {
                self.pace.lost(permit.stamp);
                Lesson::new(Fate::ByPolicy)
            }
            Signal::Accepted | Signal::Answered | Signal::Rejected(_) => {
                self.answered(&permit, call, at)
            }
            Signal::Refused { wait, unavailable } => {
                self.refused(&permit, call, wait, unavailable, now)
            }
            Signal::Failed | Signal::Unreachable => self.failed(&permit, call, now),
            Signal::Refusal(refusal) => self.refusal(&permit, call, refusal, now),
        };
        // A closed gate says enough: what fails behind it is no reason for fewer calls at a time afterwards.
        if let Some(width) = &mut self.width
            && call.signal.is_sent()
            && self.pace.closed().is_none()
        {
            let well = matches!(
                call.signal,
                Signal::Accepted | Signal::Answered | Signal::Rejected(_)
            );
            width.answered(call.took, well);
        }
        // Calls that end while the run stops for a guard say nothing more about who is to blame.
        if self.halt.is_some_and(|reason| reason.is_guards()) {
            return Lesson {
                cleared: [false; 4],
                ..lesson
            };
        }
        lesson
    }

    fn failure(&self, permit: &Permit, call: Ended<'_>, cause: SharedCause) -> Failure {
        Failure {
            file: call.file,
            is_look: permit.look.is_some_and(|look| look.cause == Some(cause)),
            is_refusal: matches!(call.signal, Signal::Refused { .. }),
            next: self.next,
        }
    }

    fn answered(&mut self, permit: &Permit, call: Ended<'_>, at: f64) -> Lesson {
        self.pace.accepted(permit.stamp, at);
        let mut lesson = Lesson::new(Fate::ByPolicy);
        match call.signal {
            Signal::Accepted => {
                lesson.cleared =
                    (self.guard).succeeded(call.file, call.failed_before, permit.number);
            }
            Signal::Rejected(cause) => {
                lesson.cleared = self.guard.reached(permit.number);
                let failure = self.failure(permit, call, SharedCause::Request);
                let (ruling, mixed) = self.guard.rejected(cause, failure);
                lesson.cleared[SharedCause::Request as usize] |= mixed;
                lesson.fate = self.rule(ruling, SharedCause::Request);
            }
            _ => lesson.cleared = self.guard.reached(permit.number),
        }
        lesson
    }

    fn rule(&mut self, ruling: Ruling, cause: SharedCause) -> Fate {
        match ruling {
            Ruling::Own => Fate::ByPolicy,
            Ruling::Quarantine => Fate::Quarantine(cause),
            Ruling::Stop(reason) => {
                self.stop(reason);
                Fate::Quarantine(cause)
            }
        }
    }

    fn refusal(
        &mut self,
        permit: &Permit,
        call: Ended<'_>,
        refusal: Refusal,
        now: Duration,
    ) -> Lesson {
        let at = now.as_secs_f64();
        let mut lesson = Lesson::new(Fate::ByPolicy);
        let cause = match refusal {
            Refusal::MissingFile => SharedCause::Disk,
            _ => SharedCause::Service,
        };
        let failure = self.failure(permit, call, cause);
        match refusal {
            Refusal::MissingFile => self.pace.lost(permit.stamp),
            Refusal::Tls | Refusal::Name | Refusal::Proxy => {
                lesson = self.failed(permit, call, now);
            }
            _ => self.pace.accepted(permit.stamp, at),
        }
        let ruling = self.guard.refused(refusal, failure);
        if ruling != Ruling::Own {
            lesson.fate = self.rule(ruling, cause);
        }
        lesson
    }

    /// A passing failure of the service.
    fn failed(&mut self, permit: &Permit, call: Ended<'_>, now: Duration) -> Lesson {
        let certain = !call.signal.is_sent();
        let (closes, lesson) = self.down(permit, call, certain, now);
        let took = call.took.as_secs_f64();
        let at = now.as_secs_f64();
        self.pace.failed(permit.stamp, closes, took, at);
        lesson
    }

    /// The guard's view of a failure that may be an outage's. Returns true where the gate has to close for it.
    fn down(
        &mut self,
        permit: &Permit,
        call: Ended<'_>,
        certain: bool,
        now: Duration,
    ) -> (bool, Lesson) {
        let width = self.width();
        let failure = self.failure(permit, call, SharedCause::Outage);
        let witness = certain || self.guard.is_witness(call.file, call.failed_before);
        let (closes, established) = self.guard.failed(failure, witness, certain, width, now);
        let mut lesson = Lesson::new(Fate::ByPolicy);
        lesson.outage = established;
        if let Some(outage) = self.guard.outage()
            && outage.established
        {
            lesson.fate = Fate::Again(now);
            if outage.lasted >= self.rules.max_outage {
                self.stop(Reason::Outage(outage.lasted));
            }
        } else if witness && !self.guard.is_on_its_own() {
            lesson.fate = Fate::Defer(SharedCause::Outage);
        }
        (closes, lesson)
    }

    fn refused(
        &mut self,
        permit: &Permit,
        call: Ended<'_>,
        wait: Option<Duration>,
        unavailable: bool,
        now: Duration,
    ) -> Lesson {
        let at = now.as_secs_f64();
        let own = self.guard.throttled(call.file, now);
        let mut lesson = Lesson::new(Fate::ByPolicy);
        if unavailable && !self.pace.sheds() {
            lesson = self.down(permit, call, false, now).1;
        }
        let outage = self.guard.outage().is_some_and(|outage| outage.established);
        if own.are_own() && !outage {
            // The file's own refusals hold up no other.
            self.pace.lost(permit.stamp);
        } else {
            let took = call.took.as_secs_f64();
            let asked = wait.map(|wait| wait.as_secs_f64());
            self.pace.refused(permit.stamp, asked, took, at);
            if outage {
                self.pace.set_outage();
            }
            if let Some(wait) = wait.filter(|wait| *wait > self.rules.max_wait) {
                self.stop(Reason::Wait(wait));
            }
        }
        let opens = self.pace.closed().map_or(now, |(.., until)| seconds(until));
        let most = match own.count {
            ..10 => SOON_AFTER_REFUSAL,
            _ => LATE_AFTER_REFUSAL,
        };
        let after = AFTER_REFUSAL
            .saturating_mul(1 << own.count.min(10))
            .min(most);
        let asked = now.saturating_add(wait.unwrap_or_default());
        let again = opens.max(asked).saturating_add(after);
        lesson.fate = match lesson.fate {
            // An outage has no file wait for the others.
            Fate::Again(_) => Fate::Again(opens.max(asked)),
            // A 503 that names no wait is charged like any passing failure, unless many files are refused.
            _ if unavailable && !own.are_own() && self.guard.refuses_many() => Fate::Again(again),
            fate if unavailable && wait.is_none() => {
                Fate::Charge(again, matches!(fate, Fate::Defer(_)))
            }
            _ if own.are_enough(now) => Fate::Reject,
            _ if own.are_own() => Fate::AgainLast(again, own.count == Refusals::OWN),
            _ => Fate::Again(again),
        };
        lesson
    }

    /// Takes in the limits that the service states, with the answer to a call.
    fn hinted(&mut self, hint: &Hint, permit: &Permit, at: f64) {
        if let Some(policy) = hint.policy {
            self.stated(policy.calls as f64, policy.window.as_secs_f64());
        }
        let (Some(left), Some(reset)) = (hint.remaining, hint.reset) else {
            return;
        };
        let call = (permit.number, permit.at.as_secs_f64(), self.in_flight);
        if let Some(window) = self.count.read(call, left, reset.as_secs_f64())
            && hint.policy.is_none()
        {
            self.stated(left as f64 + 1.0, window);
        }
        // A short reset that is rounded to whole seconds says little about when there is room again, the pace keeps to a
        // stated limit anyway, and a bucket of a few calls is empty after each of them.
        let is_long = reset > Duration::from_secs(2);
        let is_rounded = reset.subsec_nanos() == 0;
        if !is_long && (is_rounded || self.count.most < 10 || hint.policy.is_some()) {
            return;
        }
        let later = if is_long {
            self.next - permit.number - 1
        } else {
            0
        };
        if left.saturating_sub(later) == 0 {
            self.pace.spent(reset.as_secs_f64(), at);
            if reset > self.rules.max_wait {
                self.stop(Reason::Wait(reset));
            }
        }
    }

    /// So many calls in so many seconds: they are spread evenly.
    fn stated(&mut self, calls: f64, window: f64) {
        if window <= LONGEST_SPREAD {
            self.pace.stated(BELOW_STATED * calls / window);
        }
    }

    fn stop(&mut self, reason: Reason) {
        self.halt.get_or_insert(reason);
    }

    /// Files that were read before are still there: the missing ones are missing by themselves.
    pub fn disk_is_there(&mut self) {
        self.guard.disk_is_there();
    }

    /// Returns true where a streak of missing files makes a look at the disk worthwhile.
    pub fn doubts_disk(permit: &Permit) -> bool {
        permit
            .look
            .is_some_and(|look| look.cause == Some(SharedCause::Disk))
    }

    /// Takes note that a file has ended, and stops the run where too many have failed.
    pub fn finished(&mut self, file: JobId, failed_before: bool, failed: bool) {
        self.guard.finished(file, failed_before, failed);
        if let Some(failed) = self.guard.too_many(self.rules.max_failures) {
            self.stop(Reason::Failures(failed));
        }
    }

    /// Only files that were held back are left. Returns true where they fail; otherwise no call at all was accepted, and
    /// the run stops and leaves them.
    pub fn settle(&mut self) -> bool {
        match self.guard.settle() {
            Some(reason) => {
                self.stop(reason);
                false
            }
            None => true,
        }
    }

    /// Why the run stops, if it does.
    pub fn halt(&self) -> Option<Reason> {
        self.halt
    }

    /// Why the run goes no faster.
    pub fn why(&self) -> Why {
        self.why
    }

    /// The latest moment that it has seen.
    pub fn now(&self) -> Duration {
        self.clock
    }

    /// Why the gate is closed at `now`, and until when it is. `None` where a probe might go and there is no file for it.
    pub fn closed(&self, now: Duration) -> Option<(Why, Duration)> {
        let (.., until) = self.pace.closed()?;
        let until = seconds(until);
        let waits_for_file = self.why == Why::Work && until <= now;
        (!waits_for_file).then(|| (self.closed_why(now), until))
    }

    /// Returns true where a file's size has to be known before it may be called.
    pub fn weighs(&self) -> bool {
        self.windows.weighs()
    }

    /// The moment at which the last of so many more calls can be made at best, as far as rates and waits decide it.
    pub fn finish(&self, left: u64, now: Duration) -> Duration {
        let left = left.min(self.used.left(&self.rules.budgets));
        let open = self
            .pace
            .closed()
            .map_or(now, |(.., until)| seconds(until))
            .max(now);
        let found = self.pace.rate().map_or(Duration::ZERO, |rate| {
            open.saturating_add(seconds(left as f64 / rate))
        });
        self.windows.finish(left, now).max(open).max(found)
    }

    fn found(&self) -> Found {
        let (rate, at_once) = self.pace.found();
        Found {
            rate,
            at_once,
            width: self.width.as_ref().map(WidthFinder::width),
        }
    }

    /// Returns the state to remember at `now`; its usage is that since the last time.
    pub fn memory(&mut self, now: Duration) -> Memory {
        let now = self.advance(now);
        let used = self.used.since(&self.remembered);
        self.remembered = self.used;
        let asked = self
            .pace
            .closed()
            .filter(|(cause, ..)| matches!(cause, Cause::Asked | Cause::Spent));
        Memory {
            closed_for: asked
                .map(|(.., until)| seconds(until).saturating_sub(now))
                .filter(|left| !left.is_zero()),
            found: self.found(),
            used,
            proven: self.guard.has_succeeded(),
            refused: self.guard.most_refused(),
        }
    }
}

fn width_finder(rules: &Rules, now: Duration, found: Option<usize>) -> Option<WidthFinder> {
    match rules.width {
        Width::Auto(most) => Some(WidthFinder::new(now, found, most)),
        Width::Fixed(_) => None,
    }
}
