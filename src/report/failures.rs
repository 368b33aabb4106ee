//! Lists failures: causes with examples, and the files that failed or are held.

use maud::{Markup, html};

use crate::job::{Class, said};
use crate::store::{Cause, Record};

use super::html::{empty, name, row, table, text};
use super::snapshot::Snapshot;
use super::words::{counted, grouped};

/// The maximum number of listed causes.
const MOST_CAUSES: usize = 20;
/// The number of failed or held files that are visible at first. The others are folded.
const FAILED_SHOWN: usize = 20;
/// The maximum number of shown characters of a message and of a kind.
const MESSAGE: usize = 200;
const KIND: usize = 40;

/// Returns why files failed or are held, the most frequent cause first.
pub(super) fn causes(shown: &Snapshot) -> Markup {
    let causes = &shown.causes;
    if causes.is_empty() {
        return empty("No file has failed, and none is held.");
    }
    let (listed, rest) = causes.split_at(causes.len().min(MOST_CAUSES));
    let files: u64 = rest.iter().map(|cause| cause.count).sum();
    html! {
        p.note { code { "stride retry --cause ID" } " calls the files of one cause again." }
        ol.causes { @for cause in listed { (one(cause)) } }
        @if !rest.is_empty() {
            p.note { "And " (counted(rest.len() as u64, "other cause")) " with " (counted(files, "file")) "." }
        }
    }
}

fn one(cause: &Cause) -> Markup {
    let (key, words) = (&cause.key, cause.words());
    let tags = [
        key.class.map(|class| class.as_str().to_owned()),
        key.kind.as_ref().map(|kind| text(kind, KIND)),
        key.status.map(|status| format!("HTTP {status}")),
        (!cause.is_rest()).then(|| format!("cause {}", key.id())),
    ];
    html! {
        li {
            p {
                b { (grouped(cause.count)) } " " (key.state.as_str()) " " strong { (text(&words, MESSAGE)) }
                span.tags { @for tag in tags.iter().flatten() { span { (tag) } " " } }
            }
            ul { @for example in &cause.examples {
                @let said = said(&example.body);
                @let own = match said.is_empty() {
                    true => example.message.clone(),
                    false => format!("{}: {said}", example.message),
                };
                li {
                    code { (name(&example.path)) }
                    @if own != words { " " q { (text(own, MESSAGE)) } }
                }
            } }
        }
    }
}

/// Returns the first files that failed or are held.
pub(super) fn failed(shown: &Snapshot) -> Markup {
    let failed = &shown.failed;
    if failed.is_empty() {
        return empty("None.");
    }
    let (open, folded) = failed.split_at(failed.len().min(FAILED_SHOWN));
    let all = shown.counts.failed + shown.counts.held;
    let more = all.saturating_sub(failed.len() as u64);
    html! {
        (files(open))
        @if !folded.is_empty() { details { summary { "The next " (folded.len()) } (files(folded)) } }
        @if more > 0 { p.note { "And " (grouped(more)) " more; " code { "stride failures" } " lists all." } }
    }
}

fn files(records: &[Record]) -> Markup {
    let rows = records.iter().map(|record| {
        let mut why = record.message.clone().unwrap_or_default().into_bytes();
        let body = record.error_body.as_deref().unwrap_or_default();
        if !body.trim_ascii().is_empty() {
            why.extend_from_slice(b": ");
            why.extend_from_slice(body.trim_ascii());
        }
        row![
            name(&record.path),
            record.state.as_str(),
            record.attempts,
            record.class.map_or("", Class::as_str),
            record
                .status
                .map_or_else(String::new, |status| status.to_string()),
            text(why, MESSAGE),
        ]
    });
    table("file|state|#attempts|class|#status|why", rows)
}
