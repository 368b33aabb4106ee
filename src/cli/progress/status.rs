//! The line `status` of the worker protocol. `guide/worker.md` describes it.

use serde_json::json;

use super::view::View;
use crate::cli::output::why;

/// Returns the line for a run.
pub(super) fn line(view: &View, now: i64) -> String {
    let counts = &view.counts;
    let gate = view.gate.map(|(why, until)| (why, Some(until)));
    let limit = gate.or(view.limit).map(|limit| why::describe(&limit));
    let line = json!({
        "t": "status",
        "counts": {
            "total": counts.total,
            "pending": counts.pending,
            "running": counts.running,
            "done": counts.done,
            "failed": counts.failed,
            "held": counts.held,
        },
        "limited_by": limit.filter(|limit| !limit.is_empty()),
        // In seconds.
        "finish": view.left(now).map(|left| left.as_secs_f64()),
    });
    format!("{line}\n")
}
