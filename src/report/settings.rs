//! What the run was told: the request as it is stored, and the settings in the words of the command line.

use maud::{Markup, html};

use crate::retry::DoubtPolicy;
use crate::settings::{Settings, show_duration};

use super::html::{list, text};
use super::snapshot::Snapshot;
use super::words::{self, counted, grouped};

/// The most lines of the request and of the rules that are shown, and the most characters of each.
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
        lines.map(|(name, value)| (name.to_owned(), html! { code { (text(value, LINE)) } })),
    )
}

fn lines(settings: &Settings) -> Vec<(&'static str, String)> {
    let none = || "none".to_owned();
    let time = |duration| show_duration(duration).to_string();
    let size = |bytes: u64| format!("{} bytes", grouped(bytes));
    let rates = settings.rates.to_string();
    let mut lines = vec![
        ("--threads", settings.threads.to_string()),
        ("--rate", if rates.is_empty() { none() } else { rates }),
        ("--burst", settings.burst.to_string()),
        ("--retries", settings.retries.to_string()),
        ("--retry-delay", time(settings.retry_delay)),
        ("--retry-max-delay", time(settings.retry_max_delay)),
        (
            "--in-doubt",
            match settings.in_doubt {
                DoubtPolicy::Retry => "retry".to_owned(),
                DoubtPolicy::Hold => "hold".to_owned(),
            },
        ),
        ("--timeout", time(settings.timeout)),
        ("--idle-timeout", time(settings.idle_timeout)),
        ("--connect-timeout", time(settings.connect_timeout)),
        ("--max-response", size(settings.max_response)),
        ("--min-free", size(settings.min_free)),
        ("--grace", time(settings.grace)),
        ("--max-wait", time(settings.max_wait)),
        ("--max-outage", time(settings.max_outage)),
    ];
    let given = [
        ("--weight", settings.weight.map(|weight| weight.to_string())),
        (
            "--max-failures",
            settings.max_failures.map(|most| most.to_string()),
        ),
        ("--max-calls", settings.max_calls.map(grouped)),
        ("--max-duration", settings.max_duration.map(time)),
        ("--max-cost", settings.max_cost.map(|cost| cost.to_string())),
        ("--cost", settings.cost.map(|cost| cost.to_string())),
        (
            "--until",
            settings
                .until
                .map(|until| format!("{} UTC", words::moment(until))),
        ),
    ];
    lines.extend(
        given
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let retry_after = settings.retry_after.iter();
    lines.extend(retry_after.map(|text| ("--retry-after", text.clone())));
    let rules = settings.classes.iter().take(LINES);
    lines.extend(rules.map(|rule| ("--class", rule.to_string())));
    lines
}
