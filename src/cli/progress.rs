//! What a run shows while it goes on: a bar on a terminal, a plain line now and then elsewhere.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use stride::event::{Counts, Event, Flow, Settled, Shut, Storage};
use stride::governor::Closed;
use stride::job::{FileName, JobState, escaped};
use stride::settings::show_duration;
use stride::store::wall_clock;

use super::halt;
use super::terminal::{Terminal, counted, grouped, size};
use super::when::clock;

/// Over how long "of late" reaches.
const LATE: Duration = Duration::from_secs(15);
/// How often a plain line is written.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// How often a bar is brought up to date, at most.
const SHOWN_EVERY: Duration = Duration::from_millis(100);
/// How long one reason to wait is not said again.
const SAID_AGAIN: Duration = Duration::from_secs(30);
/// How many names a message lists.
const NAMES: usize = 5;

/// Follows a run.
pub(crate) struct Progress {
    terminal: Terminal,
    bar: Option<ProgressBar>,
    counts: Counts,
    began: Instant,
    last_line: Instant,
    /// When the bar was brought up to date.
    shown: Option<Instant>,
    /// Ended calls of late: the second in which they ended, and how many.
    late: VecDeque<(u64, u64)>,
    /// Why nobody may call, and until when, if a clock can show it.
    gate: Option<(Closed, Option<Instant>)>,
    /// What a line last told of the gate, and when.
    last_gate: Option<(Closed, Instant)>,
    /// What keeps the run from going faster, in words.
    limited_by: String,
    /// When the last file can be called, at best.
    finish: Option<Instant>,
    stopping: bool,
}

impl Progress {
    pub(crate) fn new(terminal: &Terminal) -> Self {
        let now = Instant::now();
        Self {
            terminal: *terminal,
            bar: None,
            counts: Counts::default(),
            began: now,
            last_line: now,
            shown: None,
            late: VecDeque::new(),
            gate: None,
            last_gate: None,
            limited_by: String::new(),
            finish: None,
            stopping: false,
        }
    }

    /// Takes note of what happened.
    pub(crate) fn on(&mut self, event: &Event) {
        match event {
            Event::Started {
                recovered, counts, ..
            } => self.start(recovered, counts),
            Event::Claimed { .. } => {
                self.counts.shift(JobState::Pending, JobState::Running);
                self.counts.attempts += 1;
            }
            Event::Settled(settled) => self.settled(settled),
            Event::Gate(shut) => self.gate(shut.as_ref()),
            Event::Flow(flow) => self.flow(flow),
            Event::GaveUp { .. } => self.counts.shift(JobState::Pending, JobState::Failed),
            Event::Storage(storage) => self.storage(storage),
            Event::Changed(settings) => self.say(&format!(
                "changed: threads {}, rate {}",
                settings.threads, settings.rates
            )),
            Event::Stopping { in_flight, halt } => {
                self.stopping = true;
                let waiting = format!("waiting for {}", counted(*in_flight as u64, "call"));
                self.say(&match halt {
                    Some(halt) => format!("{}; {waiting}", halt::reason(halt)),
                    None => format!("stopping: {waiting}; press Ctrl-C again to stop now"),
                });
            }
            Event::Stopped { counts, .. } => {
                self.counts = *counts;
                if let Some(bar) = self.bar.take() {
                    bar.finish_and_clear();
                }
            }
            Event::Tick => {}
        }
        self.show();
    }

    fn start(&mut self, recovered: &[FileName], counts: &Counts) {
        self.counts = *counts;
        if !recovered.is_empty() {
            self.say(&format!(
                "recovered: {} in doubt, for the run died during their calls: {}",
                counted(recovered.len() as u64, "file"),
                names(recovered)
            ));
        }
        let left = counted(counts.pending, "file");
        self.say(&format!(
            "calling: {left} to go, {} done before",
            grouped(counts.done)
        ));
        if self.terminal.animate {
            let bar = ProgressBar::with_draw_target(
                Some(counts.total),
                ProgressDrawTarget::stderr_with_hz(10),
            );
            let style = ProgressStyle::with_template("{bar:12} {percent:>3}% {wide_msg}");
            bar.set_style(
                style
                    .unwrap_or_else(|_| ProgressStyle::default_bar())
                    .progress_chars("━╸─"),
            );
            self.bar = Some(bar);
        }
    }

    fn settled(&mut self, settled: &Settled) {
        self.counts.shift(JobState::Running, settled.state);
        self.counts.in_doubt += u64::from(settled.outcome == "in_doubt");
        let second = self.began.elapsed().as_secs();
        match self.late.back_mut() {
            Some((last, ended)) if *last == second => *ended += 1,
            _ => self.late.push_back((second, 1)),
        }
        while self
            .late
            .front()
            .is_some_and(|(first, _)| first + LATE.as_secs() < second)
        {
            self.late.pop_front();
        }
    }

    fn gate(&mut self, shut: Option<&Shut>) {
        let now = Instant::now();
        self.gate = shut.map(|shut| (shut.why, now.checked_add(shut.wait)));
        let Some(Shut { why, wait, message }) = shut else {
            return;
        };
        // A bar shows a wait as long as it lasts; an outage needs its cause said all the same.
        let shown = self.bar.is_some() && *why == Closed::Throttled;
        let lately =
            |(last, at): (Closed, Instant)| last == *why && now.duration_since(at) < SAID_AGAIN;
        if shown || self.last_gate.is_some_and(lately) {
            return;
        }
        self.last_gate = Some((*why, now));
        let message = escaped(message.as_bytes());
        self.say(&match why {
            Closed::Throttled => {
                format!("throttled: {message}; next try in {}", show_duration(*wait))
            }
            Closed::Unreachable => {
                format!("unreachable: {message}; trying again, with one call at a time")
            }
        });
    }

    fn storage(&mut self, storage: &Storage) {
        if matches!(storage, Storage::Failed { .. }) {
            self.stopping = true;
            // What comes now are the last words.
            if let Some(bar) = self.bar.take() {
                bar.finish_and_clear();
            }
        }
        let warning = self.terminal.bold("warning:");
        self.say(&match storage {
            Storage::Busy(waited) => format!(
                "{warning} somebody else has had the database locked for {}; nothing can be recorded meanwhile",
                show_duration(*waited)
            ),
            Storage::NoRoom { free, kept } => format!(
                "{warning} little room on the disk: {} free, and {} are to stay free (--min-free); no call is made until there is more",
                size(*free),
                size(*kept)
            ),
            Storage::Room => "there is room on the disk again; calling goes on".to_owned(),
            Storage::LogGrows(bytes) => format!(
                "{warning} the log beside the database has {}: some program reads the database without a pause, and keeps it from being folded in",
                size(*bytes)
            ),
            // Where nothing has to be waited for, the error itself comes next.
            Storage::Failed { in_flight: 0, .. } => return,
            Storage::Failed { message, in_flight } => format!(
                "{} {}; waiting for {}, to save what they come to; press Ctrl-C twice to give them up",
                self.terminal.red("failing:"),
                escaped(message.as_bytes()),
                counted(*in_flight as u64, "call")
            ),
        });
    }

    fn flow(&mut self, flow: &Flow) {
        self.limited_by = limited_by(
            &flow.limited_by,
            flow.moment
                .map(|moment| wall_clock().saturating_add(moment)),
        );
        self.finish = flow
            .finish
            .and_then(|finish| Instant::now().checked_add(finish));
    }

    fn show(&mut self) {
        if let Some(bar) = &self.bar {
            if self
                .shown
                .is_some_and(|shown| shown.elapsed() < SHOWN_EVERY)
            {
                return;
            }
            self.shown = Some(Instant::now());
            bar.set_position(self.counts.done + self.counts.failed + self.counts.held);
            bar.set_message(self.line());
        } else if self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            self.say(&self.line());
        }
    }

    /// Where the run stands, the most important first: a narrow terminal cuts the end.
    fn line(&self) -> String {
        let Counts {
            total,
            done,
            failed,
            held,
            ..
        } = self.counts;
        let mut line = format!("{} of {} done", grouped(done), grouped(total));
        for (number, word) in [(failed, "failed"), (held, "held")] {
            if number > 0 {
                line.push_str(&format!(", {} {word}", grouped(number)));
            }
        }
        line.push_str(" · ");
        line.push_str(&match self.gate {
            Some((why, until)) => {
                let why = match why {
                    Closed::Throttled => "throttled",
                    Closed::Unreachable => "unreachable",
                };
                let left = until.map_or(Duration::MAX, |until| {
                    until.saturating_duration_since(Instant::now())
                });
                format!("{why}, next try in {}", show_duration(left))
            }
            None if self.stopping => format!("stopping, {} in flight", self.counts.running),
            None => self.eta().map_or_else(
                || "ETA unknown".to_owned(),
                |eta| format!("ETA {}", show_duration(eta)),
            ),
        });
        if self.gate.is_none() && !self.stopping && !self.limited_by.is_empty() {
            line.push_str(&format!(" · {}", self.limited_by));
        }
        match self.rate() {
            Some(rate) if rate < 100.0 => line.push_str(&format!(" · {rate:.1} calls/s")),
            Some(rate) => line.push_str(&format!(" · {} calls/s", grouped(rate as u64))),
            None => {}
        }
        line
    }

    /// Calls that ended in a second, of late.
    fn rate(&self) -> Option<f64> {
        let over = self.began.elapsed().min(LATE).as_secs_f64();
        let ended: u64 = self.late.iter().map(|(_, ended)| ended).sum();
        (over >= 1.0 && ended > 0).then(|| ended as f64 / over)
    }

    fn eta(&self) -> Option<Duration> {
        let left = self.counts.pending + self.counts.running;
        let late = self
            .rate()
            .and_then(|rate| Duration::try_from_secs_f64(left as f64 / rate).ok())?;
        // Of late it may have gone faster than its windows allow for long.
        let finish = self.finish.map_or(Duration::ZERO, |finish| {
            finish.saturating_duration_since(Instant::now())
        });
        Some(late.max(finish))
    }

    /// Writes a line, above the bar where there is one.
    pub(crate) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.terminal.say(line)),
            None => self.terminal.say(line),
        }
    }
}

/// What limits a run, with the moment that belongs to it, in milliseconds since 1970.
pub(crate) fn limited_by(words: &str, moment: Option<i64>) -> String {
    match moment {
        Some(moment) => format!("{words} {}", clock(moment)),
        None => words.to_owned(),
    }
}

/// The first few names, and how many more there are.
pub(crate) fn names(names: &[FileName]) -> String {
    let mut shown: Vec<String> = names.iter().take(NAMES).map(ToString::to_string).collect();
    if names.len() > NAMES {
        shown.push(format!(
            "and {} more",
            grouped((names.len() - NAMES) as u64)
        ));
    }
    shown.join(", ")
}
