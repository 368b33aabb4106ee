//! Describes the lanes of a pool.

use serde_json::{Value, json};

use stride::export::timestamp;
use stride::job::escaped;
use stride::report::stop_reason;
use stride::store::{LaneStatus, wall_clock};

use crate::cli::output::format::counted;
use crate::cli::output::time::clock;
use crate::cli::output::why::speed;

/// The most lanes to name one by one.
const NAMED: usize = 20;

/// Describes each lane in a line.
pub(crate) fn lines(lanes: &[LaneStatus]) -> Vec<String> {
    let mut lines: Vec<String> = lanes.iter().take(NAMED).map(line).collect();
    if lanes.len() > NAMED {
        lines.push(format!("and {} more", lanes.len() - NAMED));
    }
    lines
}

fn line(status: &LaneStatus) -> String {
    let number = status.lane.number;
    let mut line = match &status.lane.name {
        Some(name) => format!("{number} ({}): ", escaped(name.as_bytes())),
        None => format!("{number}: "),
    };
    line.push_str(&counted(status.calls, "call"));
    line.push_str(&format!(", {}", counted(status.results, "result")));
    if let Some(rate) = status.found.rate {
        line.push_str(&format!(", {} found", speed(rate)));
    }
    if let Some(until) = status.closed_until.filter(|until| *until > wall_clock()) {
        line.push_str(&format!(", asked to wait until {}", clock(until)));
    }
    match &status.stopped {
        Some((reason, words)) => {
            line.push_str(&format!("; ended: {}", stop_reason(reason, words)));
            if !words.is_empty() {
                line.push_str(&format!(" ({})", escaped(words.as_bytes())));
            }
        }
        None if !status.is_present => line.push_str("; not in the pool any more"),
        None => {}
    }
    line
}

/// Describes the lanes for programs.
pub(crate) fn json(lanes: &[LaneStatus]) -> Value {
    let lanes = lanes.iter().map(|status| {
        json!({
            "lane": status.lane.number,
            "name": status.lane.name,
            // Whether the latest session's pool has the row.
            "present": status.is_present,
            "calls": status.calls,
            "results": status.results,
            // The account's limits, as far as they were found: calls a second, and concurrent calls.
            "rate": status.found.rate,
            "at_once": status.found.at_once,
            "closed_until": status.closed_until.filter(|until| *until > wall_clock()).map(timestamp),
            // Why the latest session stopped to use it, and the failure in one line.
            "stopped": status.stopped.as_ref().map(|(reason, _)| reason),
            "words": status.stopped.as_ref().map(|(_, words)| words),
        })
    });
    lanes.collect()
}
