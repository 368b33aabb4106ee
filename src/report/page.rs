//! Assembles the page: its head, the state of the run, and its sections.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::job::{Checksum, FileName, JobState};

use super::html::{bar, legend, list, name, text};
use super::snapshot::{SessionState, Snapshot};
use super::words::{counted, grouped, moment, span, stop_reason, took};
use super::{charts, failures, settings, tables};

const STYLE: &str = include_str!("style.css");

/// The maximum number of characters of the call's first line.
const CALL: usize = 300;
/// The maximum number of characters of the line about the last session.
const LAST: usize = 600;

/// Returns the page as an HTML document of less than a megabyte.
pub(super) fn page(shown: &Snapshot) -> String {
    let database = shown.database.file_name().unwrap_or_default();
    let title = name(&FileName::from(std::path::Path::new(database)));
    // A browser may use only this style sheet, which the policy names by its checksum.
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        STANDARD.encode(Checksum::of(STYLE.as_bytes()).0)
    );
    let sections = [
        ("time", "Over time", charts::charts(shown)),
        ("chunks", "Latency by chunk", tables::chunks(shown)),
        ("outcomes", "Outcomes", tables::outcomes(shown)),
        ("lanes", "Lanes of the pool", tables::lanes(shown)),
        ("causes", "Why files failed", failures::causes(shown)),
        ("tries", "Attempts per file", tables::tries(shown)),
        ("slowest", "Slowest calls", tables::slowest(shown)),
        ("failed", "Failed and held files", failures::failed(shown)),
        ("call", "The call", settings::call(shown)),
        ("settings", "Settings", settings::settings(shown)),
    ];
    let sections = sections.into_iter();
    let sections: Vec<_> = sections
        .filter(|(id, ..)| *id != "lanes" || !shown.lanes.is_empty())
        .collect();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) " – stride report" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    p.kind { "stride report" }
                    h1 { (title) }
                    p.call { code { (call(shown)) } }
                    (standing(shown))
                    (facts(shown))
                }
                nav aria-label="Sections" {
                    ul { @for (id, title, _) in &sections { li { a href={ "#" (id) } { (title) } } } }
                }
                main { @for (id, title, content) in &sections {
                    section #(id) aria-labelledby={ (id) "-h" } { h2 id={ (id) "-h" } { (title) } (content) }
                } }
                footer { p {
                    "Made by stride " (env!("CARGO_PKG_VERSION")) " at " (moment(shown.now))
                    " UTC. All times are in UTC. The page shows one moment of the run."
                } }
            }
        }
    };
    page.into_string() + "\n"
}

fn call(shown: &Snapshot) -> String {
    text(shown.info.call.summary(), CALL)
}

/// The states of files, with the classes of their colors.
const STATES: [(JobState, &str); 6] = [
    (JobState::Done, "ok"),
    (JobState::Failed, "bad"),
    (JobState::Held, "doubt"),
    (JobState::Running, "now"),
    (JobState::Waiting, "step"),
    (JobState::Pending, "off"),
];

/// Returns the number of files in each state, and a line about the last session.
fn standing(shown: &Snapshot) -> Markup {
    let counts = &shown.counts;
    let whole = counts.total.max(1) as f64;
    let seen = STATES
        .into_iter()
        .filter(|(state, _)| counts.of(*state) > 0);
    html! {
        p.standing { strong { (grouped(counts.done)) } " of " (counted(counts.total, "file")) " done" }
        div.whole { (bar(&STATES.map(|(state, class)| (class, counts.of(state) as f64 / whole)))) }
        (legend(seen.map(|(state, class)| (class, format!("{} {}", grouped(counts.of(state)), state.as_str())))))
        @if counts.forgotten > 0 {
            p.last { "Forgotten: " (counted(counts.forgotten, "file")) ", which are not called, exported or counted here." }
        }
        p.last { (text(last_session(shown), LAST)) }
    }
}

fn last_session(shown: &Snapshot) -> String {
    let Some(session) = shown.sessions.last() else {
        return "No session has begun.".to_owned();
    };
    let in_flight = counted(shown.counts.running, "call");
    let end = moment(session.end);
    match session.state {
        SessionState::AtWork => format!(
            "Process {} has been working on the run since {} UTC, with {in_flight} in flight.",
            session.runner.pid,
            moment(session.begin)
        ),
        SessionState::Finished => {
            format!("The last session finished at {end} UTC. No file was left to call.")
        }
        SessionState::Stopped => format!("The last session was stopped at {end} UTC."),
        SessionState::Halted => format!(
            "The last session stopped early at {end} UTC{}",
            reason(shown)
        ),
        SessionState::Failed => format!("The last session failed at {end} UTC."),
        SessionState::Died if session.runner.ended.is_none() => format!(
            "The last session was killed or crashed, with {in_flight} in flight; its last sign of life was at {end} UTC. The next session marks these calls as in doubt."
        ),
        SessionState::Died => format!(
            "The last session was killed or crashed; its last sign of life was at {end} UTC."
        ),
    }
}

/// Returns the reason why a guard or a limit stopped the last session, and the service's own words.
fn reason(shown: &Snapshot) -> String {
    let Some(stopped) = &shown.info.stopped else {
        return ", by a guard or a limit.".to_owned();
    };
    let mut line = format!(
        ": {}.",
        stop_reason(
            &stopped.reason,
            stopped.words.as_deref().unwrap_or_default()
        )
    );
    if let Some(until) = stopped.until {
        line.push_str(&format!(
            " The service asks to wait until {} UTC.",
            moment(until)
        ));
    }
    if let Some(words) = &stopped.words {
        line.push_str(&format!(" The last answer: {words}"));
    }
    line
}

fn facts(shown: &Snapshot) -> Markup {
    let (counts, all) = (&shown.counts, &shown.sums.all);
    let worked: u64 = shown
        .sessions
        .iter()
        .map(|session| session.end.abs_diff(session.begin))
        .sum();
    let mut facts = vec![
        ("created", format!("{} UTC", moment(shown.info.created))),
        ("attempts", grouped(counts.attempts)),
        ("repeats", grouped(all.repeats)),
        ("in doubt so far", grouped(counts.in_doubt)),
    ];
    if shown.used.cost.0 > 0 || shown.used.unknown > 0 {
        facts.push(("cost", shown.used.cost.to_string()));
    }
    if shown.used.unknown > 0 {
        facts.push(("calls of unknown cost", grouped(shown.used.unknown)));
    }
    if !shown.sessions.is_empty() {
        let sessions = counted(shown.sessions.len() as u64, "session");
        facts.push(("worked", format!("{} in {sessions}", span(worked))));
    }
    if all.calls() > 0 && worked > 0 {
        let rate = all.calls() as f64 * 1e3 / worked as f64;
        let words = match rate {
            1.0.. => format!("{rate:.1} calls/s"),
            _ => format!("{:.1} calls/min", rate * 60.0),
        };
        facts.push(("on average", words));
    }
    for (name, q) in [("p50 latency", 0.5), ("p95 latency", 0.95)] {
        facts.extend(all.latency.quantile(q).map(|time| (name, took(time))));
    }
    let paths = [
        ("database", &shown.database),
        ("folder of relative names", &shown.info.base),
    ];
    let paths = paths.map(|(what, path)| (what, html! { code { (name(&path.as_path().into())) } }));
    html! {
        (list("facts", facts))
        (list("facts paths", paths))
    }
}
