//! The governor: when the next call may be made, whether any may, and what stops a run. Every claim asks it
//! first. Pure: time and chance are arguments. Time is a [`Duration`] since some moment before the run, by a
//! clock that goes on while the machine sleeps; should it go back all the same, it stands still here.
//!
//! A call may be made when all of these agree, and is held up by the first that does not:
//!
//! | part | what it says |
//! | --- | --- |
//! | `budget` | calls, money and time that the run may use, over all its runners |
//! | `guard` | the first call goes alone; refusals in a row, or too many failures, stop the run |
//! | width | calls at the same time, where their number is to be found |
//! | `gate` | throttling and outages hold up everybody; afterwards the flow ramps up |
//! | allowance | a service that says that no call is left is not asked before its reset |
//! | `window` | the rates that the user gave |
//! | `finder` | the rate that the service seems to allow |
//!
//! What a service says can only slow the flow down, never past the user's rates.

mod budget;
mod finder;
mod gate;
mod guard;
mod heed;
mod rate;
mod window;
mod words;

use std::time::Duration;

pub use budget::{Budget, Limits, Money, Used};
pub use finder::Found;
pub use gate::Closed;
pub use guard::{MaxFailures, Refusal};
pub use rate::{Measure, Rate, Rates};
pub use window::{Cost, Spent};
pub use words::{
    Halt, Lesson, Limit, Memory, News, Pass, Past, Rules, Sign, Suspect, Verdict, Width,
};

use finder::{RateFinder, WidthFinder};
use gate::{Gate, Ramp};
use guard::{Guard, Ruling};
use heed::Allowance;
use window::Windows;

/// A turn of the run takes no longer than this, on however slow a disk.
const LONGEST_TURN: Duration = Duration::from_secs(30);

/// Decides about every call. See the module's words.
#[derive(Debug)]
pub struct Governor {
    rules: Rules,
    windows: Windows,
    gate: Gate,
    ramp: Option<Ramp>,
    finder: Option<RateFinder>,
    width: Option<WidthFinder>,
    guard: Guard,
    used: Used,
    allowance: Option<Allowance>,
    in_flight: usize,
    /// The number of the next call.
    next: u64,
    /// The latest moment that was seen.
    clock: Duration,
    limit: Limit,
    halt: Option<Halt>,
    /// Whether there is room for what calls come to.
    has_room: bool,
}

impl Governor {
    /// A governor that begins at `now`, under these rules and after this past.
    pub fn new(rules: Rules, past: &Past, now: Duration) -> Self {
        let windows = Windows::new(&rules.rates.windows, rules.burst, &past.spent, now);
        let mut governor = Self {
            windows,
            gate: Gate::default(),
            ramp: None,
            finder: None,
            width: None,
            guard: Guard::new(rules.canary),
            used: past.used,
            allowance: None,
            in_flight: 0,
            next: 0,
            clock: now,
            limit: Limit::Work,
            halt: None,
            has_room: true,
            rules,
        };
        governor.set_finders(past.found);
        if let Some(left) = past.closed_for {
            governor.gate.stay_closed(now.saturating_add(left));
            governor.ramp_up(now.saturating_add(left));
            if left > governor.rules.max_wait {
                governor.stop(Halt::Wait {
                    wait: left,
                    message: "it did so before".to_owned(),
                });
            }
        }
        governor
    }

    /// Goes on under other rules. What is in flight, what was found and what was learnt stays.
    pub fn change(&mut self, rules: Rules, spent: &[Spent], now: Duration) {
        let now = self.advance(now);
        let found = self.found();
        self.windows = Windows::new(&rules.rates.windows, rules.burst, spent, now);
        self.rules = rules;
        self.finder = None;
        self.width = None;
        self.set_finders(found);
    }

    fn set_finders(&mut self, found: Found) {
        if self.rules.rates.auto {
            self.finder = Some(RateFinder::new(self.clock, found.rate));
        } else if self.finds() && found.rate.is_some() {
            // Who gave no rate has met the limit before.
            self.finder = Some(RateFinder::new(self.clock, found.rate));
        }
        if let Width::Auto(most) = self.rules.width {
            self.width = Some(WidthFinder::new(self.clock, found.width, most));
        }
    }

    /// Whether the service's limit may be looked for: where the user stated none.
    fn finds(&self) -> bool {
        self.rules.rates.auto || !self.rules.rates.counts(Measure::Calls)
    }

    fn advance(&mut self, now: Duration) -> Duration {
        let passed = now.saturating_sub(self.clock);
        // It is asked several times a second; in a longer time the machine slept, and nobody worked.
        self.used.worked += passed.min(LONGEST_TURN);
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

    /// Whether a call of this cost may be made at `now`, which is `wall` milliseconds since 1970.
    pub fn ask(&mut self, cost: Cost, now: Duration, wall: i64) -> Verdict {
        let now = self.advance(now);
        if let Some(finder) = &mut self.finder {
            finder.look(now);
        }
        if let Some(width) = &mut self.width {
            width.look(now);
        }
        if self.halt.is_none() {
            let over = self.rules.until.is_some_and(|until| wall >= until);
            let up = self.used.up(&self.rules.limits);
            let budget = up.or(over.then_some(Budget::Until));
            self.halt = budget.map(Halt::Budget);
        }
        if self.halt.is_some() {
            return Verdict::Stop;
        }
        let held_up = self.held_up(cost, now);
        match held_up {
            Some((until, limit)) => {
                self.limit = limit;
                Verdict::Wait(until, limit)
            }
            None => Verdict::Go,
        }
    }

    /// Takes note of whether there is room for what calls come to. Without it none is made.
    pub fn set_room(&mut self, has_room: bool) {
        self.has_room = has_room;
    }

    fn held_up(&mut self, cost: Cost, now: Duration) -> Option<(Option<Duration>, Limit)> {
        if !self.has_room {
            return Some((None, Limit::Room));
        }
        if self.guard.alone() && self.in_flight > 0 {
            return Some((None, Limit::First));
        }
        let width = self.width();
        if self.in_flight >= width {
            if let Some(finder) = &mut self.width {
                finder.binds();
            }
            return Some((None, Limit::Threads(width)));
        }
        let closed = self.gate.closed(now).map(|(why, until)| match why {
            Closed::Throttled => Limit::Throttled(until),
            Closed::Unreachable => {
                Limit::Outage(self.gate.outage().map_or(now, |outage| outage.since))
            }
        });
        match self.gate.ready_at() {
            None => return Some((None, closed.unwrap_or(Limit::Work))),
            Some(until) if now < until => {
                return Some((Some(until), closed.unwrap_or(Limit::Work)));
            }
            Some(_) => {}
        }
        if let Some(allowance) = self.allowance
            && allowance.left == 0
            && now < allowance.until
        {
            return Some((Some(allowance.until), Limit::Announced(allowance.until)));
        }
        if let Some(ramp) = &mut self.ramp {
            match ramp.ready_at(now) {
                None => self.ramp = None,
                Some(ready) if now < ready => return Some((Some(ready), Limit::Ramp)),
                Some(_) => {}
            }
        }
        if let Some((ready, rate)) = self.windows.ready_at(cost)
            && now < ready
        {
            return Some((Some(ready), Limit::Rate(rate)));
        }
        let finder = self.finder.as_mut()?;
        let ready = finder.ready_at();
        (now < ready).then(|| {
            finder.binds();
            (Some(ready), Limit::Found(finder.level()))
        })
    }

    /// Everybody is at work: what limits the run is how many they are.
    pub fn all_busy(&mut self, threads: usize) {
        self.limit = Limit::Threads(threads);
    }

    /// No job is left that could be called now.
    pub fn no_work(&mut self) {
        self.limit = Limit::Work;
    }

    /// Takes account of a call that is made at `now`, after a [`Verdict::Go`].
    pub fn admit(&mut self, cost: Cost, now: Duration) -> Pass {
        let now = self.advance(now);
        self.windows.take(cost, now);
        if let Some(finder) = &mut self.finder {
            finder.take(now);
        }
        if let Some(ramp) = &mut self.ramp {
            ramp.take(now);
        }
        if let Some(allowance) = &mut self.allowance {
            allowance.left = allowance.left.saturating_sub(1);
        }
        self.used.reserve(self.rules.limits.each);
        self.in_flight += 1;
        self.next += 1;
        Pass {
            stamp: self.gate.pass(),
            number: self.next - 1,
        }
    }

    /// Learns what became of a call.
    pub fn learn(&mut self, pass: Pass, call: News<'_>, now: Duration, chance: f64) -> Lesson {
        let now = self.advance(now);
        self.in_flight = self.in_flight.saturating_sub(1);
        if !call.sign.is_sent() {
            self.used.give_back(self.rules.limits.each);
        } else if matches!(call.sign, Sign::Throttled(_)) {
            self.used.give_back_cost(self.rules.limits.each);
        }
        if let Some(hint) = call.hint {
            self.hinted(hint, now);
        }
        let news = self.gate.land(pass.stamp);
        match call.sign {
            Sign::Nothing | Sign::Stale => Lesson::default(),
            Sign::Succeeded => self.reached(pass, call.took, true, true, now, news),
            Sign::Reached { well } => self.reached(pass, call.took, well, false, now, news),
            Sign::Throttled(wait) => self.throttled(wait, call.message, news, now, chance),
            Sign::Unreachable => self.unreachable(call.message, news, now, chance),
            Sign::NoName { temporary } => {
                // A laptop that lost its network finds no names for a while; a wrong name was never found.
                if !(temporary && self.guard.is_proven()) {
                    self.refused(Refusal::Name, call.message);
                }
                self.unreachable(call.message, news, now, chance)
            }
            Sign::Refused(Refusal::Tls) => {
                self.refused(Refusal::Tls, call.message);
                self.unreachable(call.message, news, now, chance)
            }
            Sign::Refused(refusal) => {
                if refusal != Refusal::MissingFile {
                    self.gate.reached(news, now);
                }
                self.refused(refusal, call.message)
            }
        }
    }

    fn reached(
        &mut self,
        pass: Pass,
        took: Duration,
        well: bool,
        succeeded: bool,
        now: Duration,
        news: bool,
    ) -> Lesson {
        self.gate.reached(news, now);
        if let Some(finder) = &mut self.finder {
            finder.accepted(took);
        }
        if let Some(width) = &mut self.width {
            width.answered(took, well);
        }
        // What came in while the run was being stopped for it says nothing more about who is to blame.
        let stopped = matches!(self.halt, Some(Halt::Refused { .. }));
        let disk_cleared = self.guard.reached(pass.number);
        let service_cleared = succeeded && self.guard.succeeded(pass.number);
        Lesson {
            hold_back: None,
            service_cleared: service_cleared && !stopped,
            disk_cleared: disk_cleared && !stopped,
        }
    }

    fn throttled(
        &mut self,
        wait: Option<Duration>,
        message: &str,
        news: bool,
        now: Duration,
        chance: f64,
    ) -> Lesson {
        let asked = wait;
        let wait = self.gate.throttled(wait, news, now, chance);
        let opens = self.gate.ready_at().unwrap_or(now);
        if news {
            match &mut self.finder {
                Some(finder) => finder.refused(now, opens, asked.unwrap_or(wait)),
                None => {
                    self.ramp_up(opens);
                    if self.finds() {
                        self.finder = Some(RateFinder::new(opens, None));
                    }
                }
            }
        }
        if wait > self.rules.max_wait {
            self.stop(Halt::Wait {
                wait,
                message: message.to_owned(),
            });
        }
        Lesson::default()
    }

    fn ramp_up(&mut self, from: Duration) {
        self.ramp = Some(Ramp::new(from, self.width()));
    }

    fn unreachable(&mut self, message: &str, news: bool, now: Duration, chance: f64) -> Lesson {
        self.gate.unreachable(news, now, chance);
        if let Some(outage) = self.gate.outage()
            && outage.lasted >= self.rules.max_outage
        {
            self.stop(Halt::Outage {
                lasted: outage.lasted,
                message: message.to_owned(),
            });
        }
        Lesson::default()
    }

    fn refused(&mut self, refusal: Refusal, message: &str) -> Lesson {
        let suspect = match refusal {
            Refusal::MissingFile => Suspect::Disk,
            _ => Suspect::Service,
        };
        let hold_back = Lesson {
            hold_back: Some(suspect),
            ..Lesson::default()
        };
        match self.guard.refused(refusal, self.next) {
            Ruling::None => Lesson::default(),
            Ruling::HoldBack => hold_back,
            Ruling::Stop(refusal) => {
                self.stop(Halt::Refused {
                    refusal,
                    message: message.to_owned(),
                });
                hold_back
            }
        }
    }

    fn stop(&mut self, halt: Halt) {
        self.halt.get_or_insert(halt);
    }

    /// Takes note that a job has ended, and stops the run where too many have failed.
    pub fn finished(&mut self, failed: bool) {
        self.guard.finished(failed);
        if let Some(failed) = self.guard.too_many(self.rules.max_failures) {
            self.stop(Halt::Failures(failed));
        }
    }

    /// Nothing is left but what was held back: whether it may fail now. Where no call at all was accepted, the
    /// run stops instead and leaves it.
    pub fn settle_suspicion(&mut self, message: &str) -> bool {
        match self.guard.all_refused() {
            Some(refusal) => {
                let message = message.to_owned();
                self.stop(Halt::Refused { refusal, message });
                false
            }
            None => {
                self.guard.forget();
                true
            }
        }
    }

    /// Why the run stops, if it does.
    pub fn halt(&self) -> Option<&Halt> {
        self.halt.as_ref()
    }

    /// What keeps the run from going faster.
    pub fn limit(&self) -> Limit {
        self.limit
    }

    /// Why nobody may call at `now`, and until when.
    pub fn closed(&self, now: Duration) -> Option<(Closed, Duration)> {
        self.gate.closed(now)
    }

    /// Whether it has to be known how large a file is before it may be called.
    pub fn weighs(&self) -> bool {
        self.windows.weighs()
    }

    /// When the last of so many more calls can be made at best, as far as rates and waits decide it.
    pub fn finish(&self, left: u64, now: Duration) -> Duration {
        let left = left.min(self.used.left(&self.rules.limits));
        let open = self.gate.closed(now).map_or(now, |(_, until)| until);
        let found = self.finder.as_ref().map_or(Duration::ZERO, |finder| {
            open.saturating_add(window::seconds(left as f64 / finder.level()))
        });
        self.windows.finish(left, now).max(open).max(found)
    }

    fn found(&self) -> Found {
        Found {
            rate: self.finder.as_ref().and_then(RateFinder::found),
            width: self.width.as_ref().map(WidthFinder::width),
        }
    }

    /// What has to be remembered at `now`.
    pub fn memory(&mut self, now: Duration) -> Memory {
        let now = self.advance(now);
        let closed = self.gate.closed(now);
        Memory {
            closed_for: closed
                .filter(|(why, _)| *why == Closed::Throttled)
                .map(|(_, until)| until - now),
            found: self.found(),
            used: self.used,
        }
    }
}
