//! What went wrong, and what was slow: causes with examples, files that failed, the slowest calls.

use crate::job::{CauseKey, Class, JobState, said};
use crate::store::{Cause, Record};

use super::html::{Markup, Text, put};
use super::scale::grouped;
use super::table::Table;
use super::{Report, words};

/// The most causes that are listed.
const MOST_CAUSES: usize = 20;
/// How many of the failed files are seen at once; the others are folded.
const FAILED_SHOWN: usize = 20;
/// How much of a message and of a kind is shown, in characters.
const MESSAGE: usize = 200;
const KIND: usize = 40;

/// Why files failed or are held, the most frequent cause first.
pub(super) fn causes(report: &Report) -> Markup {
    let mut out = Markup::new();
    let causes = &report.causes;
    if causes.is_empty() {
        put!(&mut out => "<p class=\"empty\">Nothing has failed, and nothing is held.</p>\n");
        return out;
    }
    put!(&mut out => "<p class=\"note\"><code>stride retry --cause ID</code> calls the files of one cause again.</p>\n",
        "<ol class=\"causes\">\n");
    for cause in causes.iter().take(MOST_CAUSES) {
        one(&mut out, cause);
    }
    put!(&mut out => "</ol>\n");
    if let Some(rest) = causes.get(MOST_CAUSES..).filter(|rest| !rest.is_empty()) {
        let files: u64 = rest.iter().map(|cause| cause.count).sum();
        put!(&mut out => "<p class=\"note\">", Text::of(format!(
            "And {} other causes, of {} files.", grouped(rest.len() as u64), grouped(files)
        )), "</p>\n");
    }
    out
}

fn one(out: &mut Markup, cause: &Cause) {
    let words = cause.words();
    put!(&mut *out => "<li><p><b class=\"n\">", Text::of(grouped(cause.count)), "</b> ", word(&cause.key), " <strong>",
        Text::clipped(&words, MESSAGE), "</strong> <span class=\"tags\">", tags(cause), "</span></p>\n<ul>\n");
    for example in &cause.examples {
        put!(&mut *out => "<li><code>", Text::name(&example.path), "</code>");
        let said = said(&example.body);
        let own = match said.is_empty() {
            true => example.message.clone(),
            false => format!("{}: {said}", example.message),
        };
        if own != words {
            put!(&mut *out => " <q>", Text::clipped(own, MESSAGE), "</q>");
        }
        put!(&mut *out => "</li>\n");
    }
    put!(out => "</ul></li>\n");
}

fn word(key: &CauseKey) -> &'static str {
    match key.state {
        JobState::Held => "held",
        _ => "failed",
    }
}

/// Class, kind, status and id, each in an element of its own.
fn tags(cause: &Cause) -> Markup {
    let mut out = Markup::new();
    let key = &cause.key;
    let class = key.class.map(Class::as_str).map(str::to_owned);
    let kind = key.kind.clone();
    let status = key.status.map(|status| format!("HTTP {status}"));
    let id = (!cause.is_rest()).then(|| format!("cause {}", key.id()));
    for tag in [class, kind, status, id].into_iter().flatten() {
        put!(&mut out => "<span>", Text::clipped(tag, KIND), "</span> ");
    }
    out
}

/// The first files that failed.
pub(super) fn failed(report: &Report) -> Markup {
    let mut out = Markup::new();
    if report.failed.is_empty() {
        put!(&mut out => "<p class=\"empty\">None.</p>\n");
        return out;
    }
    let (shown, folded) = report
        .failed
        .split_at(report.failed.len().min(FAILED_SHOWN));
    put!(&mut out => table(shown));
    if !folded.is_empty() {
        put!(&mut out => "<details><summary>", Text::of(format!("The next {}", folded.len())), "</summary>\n", table(folded), "</details>\n");
    }
    let all = report.counts.failed + report.counts.held;
    let more = all.saturating_sub(report.failed.len() as u64);
    if more > 0 {
        put!(&mut out => "<p class=\"note\">", Text::of(format!("And {} more; ", grouped(more))),
            "<code>stride failures</code> lists them all.</p>\n");
    }
    out
}

fn table(records: &[Record]) -> Markup {
    let mut table = Table::new(&["file", "state", "attempts", "class", "status", "why"]);
    for record in records {
        let status = record
            .status
            .map_or_else(String::new, |status| status.to_string());
        let mut why = record.message.clone().unwrap_or_default().into_bytes();
        let body = record
            .error_body
            .as_deref()
            .unwrap_or_default()
            .trim_ascii();
        if !body.is_empty() {
            why.extend_from_slice(b": ");
            why.extend_from_slice(body);
        }
        table
            .row(Text::name(&record.path))
            .text(Text::of(record.state.as_str()))
            .count(u64::from(record.attempts))
            .text(Text::of(record.class.map_or("", Class::as_str)))
            .number(status)
            .text(Text::clipped(why, MESSAGE));
    }
    table.markup()
}

/// The calls that took longest.
pub(super) fn slowest(report: &Report) -> Markup {
    let mut out = Markup::new();
    if report.slowest.is_empty() {
        put!(&mut out => "<p class=\"empty\">No calls yet.</p>\n");
        return out;
    }
    let mut table = Table::new(&["file", "took", "outcome", "attempt", "chunk", "began (UTC)"]);
    for (slow, name) in &report.slowest {
        table
            .row(Text::name(name))
            .times(&[Some(slow.took.unsigned_abs())])
            .text(Text::of(slow.how.as_str()))
            .count(u64::from(slow.number))
            .number(slow.chunk.to_string())
            .text(Text::of(words::moment(slow.started)));
    }
    put!(&mut out => table.markup());
    out
}
