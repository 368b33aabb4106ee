//! Shows the progress of a run: on a terminal a view of a few lines, elsewhere a plain line every ten seconds, and after ten
//! minutes every minute.

pub(crate) mod events;
mod in_flight;
mod status;
mod throughput;
mod view;

use std::mem::discriminant;
use std::time::Duration;

use stride::event::{Counts, Event, Flow, Settled, Shut, Storage};
use stride::governor::LimitedBy;
use stride::job::{FileName, JobState, escaped};
use stride::settings::{Settings, show_duration};
use stride::store::wall_clock;

pub(crate) use throughput::Throughput;
pub(crate) use view::{NAMED, View};

use crate::cli::output::format::{counted, grouped, names, size};
use crate::cli::output::halt;
use crate::cli::output::shown::{bold, red};
use crate::cli::output::signals::{self, Caught};
use crate::cli::output::terminal::Terminal;
use crate::cli::output::why;
use in_flight::InFlight;

/// The time between two plain lines, in milliseconds.
pub(crate) const LINE_EVERY: i64 = 10_000;
/// The time after which a log gets fewer plain lines, and the time between two of them then, in milliseconds.
const SETTLED: (i64, i64) = (600_000, 60_000);
/// The shortest time between two updates of the view, in milliseconds.
const SHOWN_EVERY: i64 = 100;
/// The shortest time between two lines for workers, in milliseconds.
const STATUS_EVERY: i64 = 200;
/// The shortest time between two messages about the same reason to wait, in milliseconds.
const REPEAT_AFTER: i64 = 30_000;
/// The shortest wait that gets a message.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// Follows a run. Moments are milliseconds since 1970.
pub(crate) struct Progress {
    terminal: Terminal,
    view: View,
    in_flight: InFlight,
    /// Set while the view is shown. Otherwise plain lines are written.
    shows: bool,
    began: i64,
    /// The moment of the last update of the view, or of the last plain line.
    shown: i64,
    /// The moment of the last line for workers.
    reported: i64,
    /// The last message about the gate, and its moment.
    last_gate: Option<(LimitedBy, i64)>,
    /// The longest outage to wait out.
    max_outage: Duration,
    caught: Caught,
}

impl Progress {
    pub(crate) fn new(terminal: &Terminal, settings: &Settings, caught: Caught) -> Self {
        let now = wall_clock();
        Self {
            terminal: *terminal,
            view: View {
                throughput: Throughput::new(now),
                ..View::default()
            },
            in_flight: InFlight::default(),
            shows: false,
            began: now,
            shown: now,
            reported: 0,
            last_gate: None,
            max_outage: settings.max_outage,
            caught,
        }
    }

    /// Records an event and updates the output.
    pub(crate) fn on(&mut self, event: &Event) {
        let now = wall_clock();
        let counts = &mut self.view.counts;
        match event {
            Event::Started {
                recovered,
                held,
                counts,
                ..
            } => self.start(recovered, *held, counts),
            Event::Claimed {
                path,
                attempt,
                step,
                ..
            } => {
                let from = match step.is_later() {
                    true => JobState::Waiting,
                    false => JobState::Pending,
                };
                let _ = counts.shift(from, JobState::Running, 1);
                // Polls of a step are one attempt.
                counts.attempts += u64::from(step.polls < 2);
                self.view.throughput.call_began(now);
                if self.shows {
                    self.in_flight.began(attempt.job, path.clone(), now);
                }
            }
            Event::Settled(settled) => self.settled(settled, now),
            Event::Gate(shut) => self.gate(shut.as_ref(), now),
            Event::Flow(flow) => self.flow(flow, now),
            // The counts that follow include those that are held.
            Event::GaveUp { state, .. } if *state == JobState::Held => {}
            Event::GaveUp { from, .. } => {
                let _ = counts.shift(*from, JobState::Failed, 1);
            }
            Event::PutLast(path) => self.say(&format!(
                "{path} is refused repeatedly while other files are accepted; stride calls it last"
            )),
            Event::LaneStopped { lane, halt, left } => {
                let reason = halt::reason(&halt.reason);
                let words = match halt.words.as_str() {
                    "" => String::new(),
                    words => format!(" ({})", escaped(words.as_bytes())),
                };
                self.insist(&format!(
                    "{lane}: {reason}{words}; {} left",
                    counted(*left as u64, "lane")
                ));
            }
            Event::Storage(storage) => self.storage(storage),
            Event::Changed(settings) => {
                self.max_outage = settings.max_outage;
                self.say(&format!(
                    "settings changed; now threads {}, rate {}",
                    settings.threads, settings.rates
                ));
            }
            Event::Recounted { counts } => self.recounted(counts),
            Event::Stopping { in_flight, halt } => {
                self.view.stopping = true;
                let waiting = format!("waiting for {}", counted(*in_flight as u64, "call"));
                self.say(&match halt {
                    Some(halt) => format!("{}; {waiting}", halt::reason(&halt.reason)),
                    None if *in_flight == 0 => "stopping".to_owned(),
                    None => format!("stopping: {waiting}; {} to stop now", self.caught.again()),
                });
            }
            Event::Stopped { counts, .. } => {
                self.view.counts = *counts;
                self.end();
            }
            Event::Missed { counts, .. } => {
                self.view.counts = *counts;
                self.in_flight = InFlight::default();
                self.view.set_gate(None, now);
            }
            // `Tick`, and events with nothing to show.
            _ => {}
        }
        if signals::is_line_requested() {
            self.say(&self.view.line(now));
        }
        self.show(now);
    }

    /// Says how many files another process has forgotten or brought back, if it has not undone that already.
    fn recounted(&mut self, counts: &Counts) {
        let before = self.view.counts.forgotten;
        let held = counts.held.saturating_sub(self.view.counts.held);
        self.view.counts = *counts;
        if held > 0 {
            let held = counted(held, "file");
            self.insist(&format!(
                "{held} held, because the lane that sent them has ended"
            ));
        }
        if counts.forgotten == before {
            return;
        }
        let (files, what) = match counts.forgotten.checked_sub(before) {
            Some(files) => (files, "forgotten"),
            None => (before - counts.forgotten, "brought back"),
        };
        self.say(&format!("{} {what}", counted(files, "file")));
    }

    fn start(&mut self, recovered: &[FileName], held: u64, counts: &Counts) {
        self.view.counts = *counts;
        if !recovered.is_empty() {
            self.insist(&format!(
                "recovered: {} in flight when the last run died: {}",
                counted(recovered.len() as u64, "call"),
                names(recovered)
            ));
        }
        if held > 0 {
            self.insist(&format!(
                "{} held, because the pool has no row any more for the account that knows {}",
                counted(held, "file"),
                if held == 1 { "it" } else { "them" },
            ));
        }
        let left = counted(counts.pending, "file");
        let waiting = match counts.waiting {
            0 => String::new(),
            waiting => format!("{} waiting for their next step, ", grouped(waiting)),
        };
        self.say(&format!(
            "starting: {left} to process, {waiting}{} already done",
            grouped(counts.done)
        ));
        self.shows = self.terminal.animate;
    }

    /// Removes the view.
    fn end(&mut self) {
        if std::mem::take(&mut self.shows) {
            self.terminal.clear();
        }
    }

    fn settled(&mut self, settled: &Settled, now: i64) {
        let counts = &mut self.view.counts;
        // Never fails, because the store has checked the counts before the event.
        let _ = counts.shift(JobState::Running, settled.state, 1);
        counts.in_doubt += u64::from(settled.outcome == "in_doubt");
        let is_last = !matches!(settled.state, JobState::Pending | JobState::Waiting);
        self.view.throughput.call_ended(is_last, settled.took, now);
        self.in_flight.ended(settled.attempt.job);
    }

    fn gate(&mut self, shut: Option<&Shut>, now: i64) {
        let gate = shut.map(|shut| (shut.why, now.saturating_add(milliseconds(shut.wait))));
        self.view.set_gate(gate, now);
        let Some(Shut { why, wait, message }) = shut else {
            return;
        };
        let is_outage = why::is_outage(why);
        // The view shows a wait itself. An outage needs a message too, because the view does not name its cause.
        let shown = !is_outage && (self.shows || *wait < SHORTEST_WAIT);
        let is_recent = |(last, at): (LimitedBy, i64)| {
            discriminant(&last) == discriminant(why) && now - at < REPEAT_AFTER
        };
        if shown || self.last_gate.is_some_and(is_recent) {
            return;
        }
        self.last_gate = Some((*why, now));
        let message = escaped(message.as_bytes());
        self.say(&match why {
            LimitedBy::Outage { .. } => self.outage(&message),
            LimitedBy::QuotaReset(_) => format!(
                "waiting: no calls left by the service's own count; next try in {}",
                show_duration(*wait)
            ),
            _ => format!("waiting: {message}; next try in {}", show_duration(*wait)),
        });
    }

    /// Describes an outage, and what the run waits for.
    fn outage(&self, cause: &str) -> String {
        let most = show_duration(self.max_outage);
        let doubt = match self.view.counts.done {
            0 => "; no file is done yet, so check the URL or the program too",
            _ => "",
        };
        format!(
            "service unavailable: {cause}; trying again at intervals for at most {most} (--max-outage), and no file fails for this cause{doubt}"
        )
    }

    fn storage(&mut self, storage: &Storage) {
        if matches!(storage, Storage::Failed { .. }) {
            self.view.stopping = true;
            self.end();
        }
        let warning = match storage {
            Storage::Busy(waited) => format!(
                "another program has held the lock on the database for {}; stride can record nothing until it releases the lock",
                show_duration(*waited)
            ),
            Storage::NoRoom { free, kept } => format!(
                "little disk space: {} free, less than the {} of --min-free; no call starts until there is more",
                size(*free),
                size(*kept)
            ),
            Storage::LogGrows(bytes) => format!(
                "the WAL beside the database has {}: a program that reads without a pause prevents a checkpoint; end it before the disk is full",
                size(*bytes)
            ),
            Storage::Room => return self.say("enough disk space again: calls continue"),
            // Without calls to wait for, the error itself follows at once.
            Storage::Failed { in_flight: 0, .. } => return,
            Storage::Failed { message, in_flight } => {
                let failing = format!(
                    "{} {}; waiting for {} in flight, to save their results; press Ctrl-C twice to abort them",
                    red("failing:"),
                    escaped(message.as_bytes()),
                    counted(*in_flight as u64, "call")
                );
                return self.terminal.insist(&self.terminal.dated(&failing));
            }
        };
        let warning = format!("{} {warning}", bold("warning:"));
        self.terminal.insist(&self.terminal.dated(&warning));
    }

    fn flow(&mut self, flow: &Flow, now: i64) {
        let at = |after: i64| now.saturating_add(after);
        self.view.limit = Some((flow.why, flow.moment.map(at)));
        self.view.finish = flow.finish.map(|finish| at(milliseconds(finish)));
    }

    fn show(&mut self, now: i64) {
        let every = match now - self.began {
            _ if self.shows => SHOWN_EVERY,
            lasted if lasted > SETTLED.0 => SETTLED.1,
            _ => LINE_EVERY,
        };
        // The system clock may be set back.
        if (0..every).contains(&(now - self.shown)) {
            return;
        }
        self.shown = now;
        if !self.shows {
            self.say(&self.view.line(now));
            return;
        }
        self.view.slowest = match self.view.is_ending() {
            true => self.in_flight.slowest(NAMED),
            false => Vec::new(),
        };
        self.terminal.show(|columns| self.view.lines(columns, now));
    }

    /// Returns a line about the run for its workers, unless they had one a moment ago.
    pub(crate) fn status(&mut self) -> Option<String> {
        // The system clock may be set back.
        let is_recent = (0..STATUS_EVERY).contains(&(wall_clock() - self.reported));
        (!is_recent).then(|| self.last_status())
    }

    /// Returns a line about the run for its workers.
    pub(crate) fn last_status(&mut self) -> String {
        self.reported = wall_clock();
        status::line(&self.view, self.reported)
    }

    /// Writes a line, above the view where there is one.
    pub(crate) fn say(&self, line: &str) {
        self.terminal.say(&self.terminal.dated(line));
    }

    /// Writes a line, also with --quiet.
    pub(crate) fn insist(&self, line: &str) {
        self.terminal.insist(&self.terminal.dated(line));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
