//! Formats names and untrusted text for people.

use stride::job::{FileName, shortened};
use stride::limits::Usage;
pub(crate) use stride::text::{counted, grouped, size};

/// The maximum number of names in a message.
const NAMES: usize = 5;

/// Lists the first few names, and counts the others.
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

/// Describes what the run has cost, if it has cost anything.
pub(crate) fn cost(used: &Usage) -> Option<String> {
    let unknown = counted(used.unknown, "call");
    let verb = if used.unknown == 1 { "has" } else { "have" };
    match (used.cost.0, used.unknown) {
        (0, 0) => None,
        (_, 0) => Some(used.cost.to_string()),
        _ => Some(format!(
            "{}; {unknown} {verb} an unknown cost, counted as the dearest call before it",
            used.cost
        )),
    }
}

/// The maximum number of characters of untrusted text in a line.
const SHOWN: usize = 200;

/// Escapes and shortens an untrusted text.
pub(crate) fn short(text: &[u8]) -> String {
    shortened(text, SHOWN)
}
