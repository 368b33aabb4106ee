//! Lists the stored request, and the settings as flags of the command line.

use maud::{Markup, html};

use crate::retry::DoubtPolicy;
use crate::settings::{Settings, show_duration};

use super::html::{list, text};
use super::snapshot::Snapshot;
use super::words::{self, counted, grouped};

/// The maximum number of shown lines of the request and of the rules, and of characters in a line.
const LINES: usize = 40;
const LINE: usize = 240;

/// Returns the request.
pub(super) fn call(shown: &Snapshot) -> Markup {
    let lines = shown.info.call.lines();
    let more = lines.len().saturating_sub(LINES);
    let listed = lines.iter().take(LINES);
    html! {
        (list("kept", listed.map(|(name, value)| (text(name, LINE), html! { code { (text(value, LINE)) } }))))
        @if more > 0 { p.note { "And " (counted(more as u64, "more line")) "." } }
    }
}

/// Returns the settings that may change from session to session.
pub(super) fn settings(shown: &Snapshot) -> Markup {
    let lines = lines(&shown.info.settings).into_iter();
    list(
        "kept",
        lines.map(|(name, value)| (name, html! { code { (text(value, LINE)) } })),
    )
}

fn lines(settings: &Settings) -> Vec<(&'static str, String)> {
    let time = |duration| Some(show_duration(duration).to_string());
    let size = |bytes: u64| Some(format!("{} bytes", grouped(bytes)));
    let rates = settings.rates.to_string();
    let in_doubt = match settings.in_doubt {
        DoubtPolicy::Retry => "retry",
        DoubtPolicy::Hold => "hold",
    };
    let until = settings.until;
    let until = until.map(|until| format!("{} UTC", words::moment(until)));
    let lines = [
        ("--threads", Some(settings.threads.to_string())),
        ("--rate", Some(rates).filter(|rates| !rates.is_empty())),
        ("--burst", Some(settings.burst.to_string())),
        ("--retries", Some(settings.retries.to_string())),
        ("--retry-delay", time(settings.retry_delay)),
        ("--retry-max-delay", time(settings.retry_max_delay)),
        ("--in-doubt", Some(in_doubt.to_owned())),
        ("--timeout", time(settings.timeout)),
        ("--idle-timeout", time(settings.idle_timeout)),
        ("--connect-timeout", time(settings.connect_timeout)),
        ("--max-response", size(settings.max_response)),
        ("--min-free", size(settings.min_free)),
        ("--grace", time(settings.grace)),
        ("--pool", settings.pool.clone()),
        ("--workers", settings.workers.map(|most| most.to_string())),
        ("--worker-start", time(settings.worker_start)),
        ("--max-wait", time(settings.max_wait)),
        ("--max-outage", time(settings.max_outage)),
        (
            "--weight",
            settings.weight.as_ref().map(ToString::to_string),
        ),
        (
            "--max-failures",
            settings.max_failures.map(|most| most.to_string()),
        ),
        ("--max-calls", settings.max_calls.map(grouped)),
        ("--max-duration", settings.max_duration.and_then(time)),
        ("--max-cost", settings.max_cost.map(|cost| cost.to_string())),
        ("--cost", settings.cost.as_ref().map(ToString::to_string)),
        ("--settle", settings.settle.clone()),
        ("--poll-every", time(settings.poll_every)),
        ("--poll-for", time(settings.poll_for)),
        ("--max-submitted", settings.max_submitted.map(grouped)),
        ("--until", until),
    ];
    let lines = lines.into_iter();
    let mut lines: Vec<_> = lines
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
    let retry_after = settings.retry_after.iter();
    lines.extend(retry_after.map(|text| ("--retry-after", text.clone())));
    let rules = settings.classes.iter().take(LINES);
    lines.extend(rules.map(|rule| ("--class", rule.to_string())));
    lines
}
