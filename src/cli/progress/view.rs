//! The view of a run in progress. Pure: the moment and the width are arguments. Moments are milliseconds since 1970.

use std::time::Duration;

use console::{measure_text_width as width, truncate_str};

use stride::event::Counts;
use stride::governor::LimitedBy;
use stride::job::FileName;
use stride::settings::show_duration;

use crate::cli::output::format::{counted, grouped};
use crate::cli::output::why::{self, Limit, speed};
use crate::cli::progress::throughput::Throughput;

/// The maximum number of named calls in flight.
pub(crate) const NAMED: usize = 3;
/// The shortest time in flight of a call that is named, in milliseconds.
const SLOW: i64 = 2_000;
/// The greatest age of the governor's estimate.
const TOLERANCE: Duration = Duration::from_secs(2);
/// Separates the parts of a line.
const BETWEEN: &str = " · ";
/// Replaces text that was cut off.
const CUT: &str = "…";

/// The counts of a run, its rate and what it waits for.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    pub(crate) counts: Counts,
    pub(crate) throughput: Throughput,
    /// The reason why no call may start, and the moment of the next try.
    pub(crate) gate: Option<(LimitedBy, i64)>,
    /// The reason why the run is no faster.
    pub(crate) limit: Option<Limit>,
    /// The earliest moment at which the last file can be called.
    pub(crate) finish: Option<i64>,
    pub(crate) stopping: bool,
    /// The calls in flight that began first, with their beginnings.
    pub(crate) slowest: Vec<(FileName, i64)>,
    /// Further parts to show.
    pub(crate) about: Vec<String>,
}

impl View {
    /// Returns whether the run only waits for calls in flight.
    pub(crate) fn is_ending(&self) -> bool {
        self.counts.running > 0 && (self.counts.open() == 0 || self.stopping)
    }

    /// Records whether calls may start.
    pub(crate) fn set_gate(&mut self, gate: Option<(LimitedBy, i64)>, now: i64) {
        self.throughput.pause(gate.is_some(), now);
        self.gate = gate;
    }

    /// Returns the view, in lines of at most `columns` columns.
    pub(crate) fn lines(&self, columns: usize, now: i64) -> Vec<String> {
        let mut lines = vec![self.bar(columns, now)];
        lines.extend(fill(&self.standing(), columns));
        lines.extend(fill(&self.flow(now), columns));
        lines.extend(fill(&self.about, columns));
        if self.is_ending() {
            let slow = |(_, began): &&(FileName, i64)| now.saturating_sub(*began) >= SLOW;
            for (name, began) in self.slowest.iter().filter(slow) {
                let time = format!("  {}  ", whole(now.saturating_sub(*began)));
                let room = columns.saturating_sub(width(&time));
                lines.push(format!("{time}{}", cut_front(&name.to_string(), room)));
            }
        }
        let cut = |line: &String| truncate_str(line, columns, CUT).into_owned();
        lines.iter().map(cut).collect()
    }

    /// Returns one plain line, the most important part first.
    pub(crate) fn line(&self, now: i64) -> String {
        let mut words = self.standing();
        let known = |word: &String| !word.ends_with(" pending") && !word.ends_with(" in flight");
        words.retain(known);
        let mut line = words.join(", ");
        let flow = match self.gate.is_some() || self.stopping {
            true => Vec::new(),
            false => vec![self.end(now)],
        };
        for word in flow.into_iter().chain(self.flow(now)) {
            line.push_str(BETWEEN);
            line.push_str(&word);
        }
        line
    }

    fn bar(&self, columns: usize, now: i64) -> String {
        let Counts {
            total,
            done,
            failed,
            held,
            ..
        } = self.counts;
        let share = match total {
            0 => 1.0,
            total => (done + failed + held) as f64 / total as f64,
        };
        let cells = (columns / 3).clamp(8, 40);
        let full = (share * cells as f64) as usize;
        let bar = match full < cells {
            true => "━".repeat(full) + "╸" + &"─".repeat(cells - full - 1),
            false => "━".repeat(cells),
        };
        // In a long run, tenths of a percent show progress. Rounded down, because 100% means finished.
        let percent = match total {
            ..10_000 => format!("{:>4.0}%", (share * 100.0).floor()),
            _ => format!("{:>5.1}%", (share * 1000.0).floor() / 10.0),
        };
        format!("{bar}{percent}  {}", self.end(now))
    }

    /// Returns the number of files in each state.
    fn standing(&self) -> Vec<String> {
        let Counts {
            total,
            pending,
            waiting,
            running,
            done,
            failed,
            held,
            ..
        } = self.counts;
        let mut words = vec![format!("{} of {} done", grouped(done), grouped(total))];
        let others = [
            (failed, "failed"),
            (held, "held"),
            (waiting, "waiting"),
            (pending, "pending"),
            // At the end of a run, `flow` names the calls that it waits for.
            (if self.is_ending() { 0 } else { running }, "in flight"),
        ];
        let others = others.into_iter().filter(|(number, _)| *number > 0);
        words.extend(others.map(|(number, word)| format!("{} {word}", grouped(number))));
        words
    }

    /// Returns the rate and what limits it.
    fn flow(&self, now: i64) -> Vec<String> {
        let calls = counted(self.counts.running, "call");
        let mut words = Vec::new();
        if let Some((why, until)) = self.gate {
            words.push(why::describe(&(why, self.moment(&why, until))));
            words.push(match until > now {
                true => format!(
                    "next try in {}",
                    whole(until.saturating_sub(now).saturating_add(999))
                ),
                false => "trying".to_owned(),
            });
        }
        if self.stopping {
            words.push(format!("stopping, waiting for {calls}"));
        } else if self.counts.open() == 0 && self.counts.running > 0 {
            words.push(match self.counts.running {
                1 => "waiting for the last call".to_owned(),
                _ => format!("waiting for the last {calls}"),
            });
        } else if self.gate.is_none()
            && let Some(limit) = &self.limit
        {
            let limit = why::describe(limit);
            if !limit.is_empty() {
                words.push(format!("limit: {limit}"));
            }
        }
        if self.gate.is_none()
            && !self.is_ending()
            && !self.is_waiting(now)
            && let Some(rate) = self.throughput.calls_per_second(now)
        {
            words.push(speed(rate));
        }
        words
    }

    /// Returns the moment to show for a closed gate; for an outage, when it began.
    fn moment(&self, why: &LimitedBy, until: i64) -> Option<i64> {
        match &self.limit {
            Some((limit, since)) if why::is_outage(why) && why::is_outage(limit) => *since,
            _ => (!why::is_outage(why)).then_some(until),
        }
    }

    /// Returns whether the run only waits for time to pass.
    fn is_waiting(&self, now: i64) -> bool {
        self.counts.running == 0 && self.throughput.is_quiet(now)
    }

    /// Returns the ETA.
    fn end(&self, now: i64) -> String {
        if self.stopping {
            return "stopping".to_owned();
        }
        match self.left(now) {
            Some(left) => format!("ETA {}", rounded(left)),
            None => "ETA unknown".to_owned(),
        }
    }

    /// Estimates the time left from the recent rate, and no less than rates, waits and repeats need. Returns `None` if
    /// it is unknown.
    pub(super) fn left(&self, now: i64) -> Option<Duration> {
        let (open, running) = (self.counts.open(), self.counts.running);
        let until =
            |moment: i64| Duration::from_millis(moment.saturating_sub(now).max(0).unsigned_abs());
        if open + running == 0 {
            return Some(Duration::ZERO);
        }
        let opens = match self.gate {
            Some((why, _)) if why::is_outage(&why) => return None,
            Some((_, opens)) => until(opens),
            None => Duration::ZERO,
        };
        if open == 0 {
            return self.throughput.until_last_call(now);
        }
        let best = self.finish.map_or(Duration::ZERO, until).max(opens);
        if self.is_waiting(now) {
            // The end of a wait alone says nothing about the end of the run.
            let is_known = match self.gate {
                Some(_) => best > opens + TOLERANCE,
                None => !best.is_zero(),
            };
            return is_known.then_some(best);
        }
        let rate = self.throughput.files_per_second(now)?;
        let left = Duration::try_from_secs_f64((open + running) as f64 / rate).ok()?;
        Some(left.saturating_add(opens).max(best))
    }
}

/// Joins parts into as few lines as possible.
fn fill(words: &[String], columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if width(line) + width(BETWEEN) + width(word) <= columns => {
                line.push_str(BETWEEN);
                line.push_str(word);
            }
            _ => lines.push(word.clone()),
        }
    }
    lines
}

/// Cuts a text to `columns` columns and keeps its end.
fn cut_front(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(width(CUT));
    let starts = text.char_indices().rev().map(|(at, _)| at);
    let start = starts.take_while(|at| width(&text[*at..]) <= room).last();
    format!("{CUT}{}", &text[start.unwrap_or(text.len())..])
}

/// Formats a measured time, in whole seconds.
fn whole(ms: i64) -> String {
    let time = Duration::from_secs((ms.max(0) / 1000).unsigned_abs());
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        _ => show_duration(time).to_string(),
    }
}

/// Formats an estimated time, rounded up.
fn rounded(time: Duration) -> String {
    let step = match time.as_secs() {
        0..120 => 1,
        120..600 => 5,
        600..3600 => 60,
        _ => 600,
    };
    let seconds = ((time.as_secs_f64() / step as f64).ceil() as u64).saturating_mul(step);
    match seconds {
        0..60 => format!("{seconds} s"),
        600..3600 => format!("{} m", seconds / 60),
        seconds => show_duration(Duration::from_secs(seconds)).to_string(),
    }
}

#[cfg(test)]
mod tests;
