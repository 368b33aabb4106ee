//! The page: its head, its beginning, and its sections.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::job::{Checksum, FileName, JobState};
use crate::settings::Call;

use super::html::{Markup, Text, put};
use super::scale::grouped;
use super::table::bar;
use super::{Report, charts, failures, kept, lists, words};

const STYLE: &str = include_str!("style.css");

/// How much of the line that says what a call is is shown, in characters.
const CALL: usize = 300;
/// How much of the line about the last runner is shown, in characters.
const STOPPED: usize = 600;

pub(super) fn page(report: &Report) -> String {
    let name = FileName::from(std::path::Path::new(
        report.database.file_name().unwrap_or_default(),
    ));
    let mut out = Markup::new();
    let style = STANDARD.encode(Checksum::of(STYLE.as_bytes()).0);
    put!(&mut out => "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-", Text::of(style),
        "'; base-uri 'none'; form-action 'none'\">\n",
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
        "<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n<title>",
        Text::name(&name), " – stride report</title>\n<style>", STYLE, "</style>\n</head>\n<body>\n");
    put!(&mut out => "<header>\n<p class=\"kind\">stride report</p>\n<h1>", Text::name(&name), "</h1>\n<p class=\"call\"><code>",
        call(report), "</code></p>\n", standing(report), facts(report), "</header>\n");
    let sections = [
        ("time", "Over time", charts::charts(report)),
        ("chunks", "Latency by chunk", lists::chunks(report)),
        (
            "outcomes",
            "What the calls came to",
            lists::outcomes(report),
        ),
        ("causes", "Why files failed", failures::causes(report)),
        ("tries", "How often files were called", lists::tries(report)),
        ("slowest", "The slowest calls", failures::slowest(report)),
        (
            "failed",
            "Files that failed or are held",
            failures::failed(report),
        ),
        ("call", "The call", kept::call(report)),
        ("settings", "Settings", kept::settings(report)),
    ];
    put!(&mut out => "<nav aria-label=\"Sections\"><ul>\n");
    for (id, title, _) in &sections {
        put!(&mut out => "<li><a href=\"#", *id, "\">", *title, "</a></li>\n");
    }
    put!(&mut out => "</ul></nav>\n<main>\n");
    for (id, title, content) in sections {
        put!(&mut out => "<section id=\"", id, "\" aria-labelledby=\"", id, "-h\">\n<h2 id=\"", id, "-h\">", title, "</h2>\n",
            content, "</section>\n");
    }
    put!(&mut out => "</main>\n<footer><p>Made by stride ", env!("CARGO_PKG_VERSION"), " on ",
        Text::of(words::moment(report.now)), " UTC. All times are in UTC. Everything here is of one moment of the run.</p></footer>\n",
        "</body>\n</html>\n");
    out.into_string()
}

fn call(report: &Report) -> Text {
    match &report.info.call {
        Call::Http(request) => Text::clipped(format!("{} {}", request.method, request.url), CALL),
        Call::Program { name } => Text::clipped(format!("the program's own: {name}"), CALL),
    }
}

/// The states, with the class of their colour.
const STATES: [(JobState, &str); 5] = [
    (JobState::Done, "ok"),
    (JobState::Failed, "bad"),
    (JobState::Held, "doubt"),
    (JobState::Running, "now"),
    (JobState::Pending, "off"),
];

/// How the run stands: how many files are in which state, and what its last runner is about or how it ended.
fn standing(report: &Report) -> Markup {
    let counts = &report.counts;
    let mut out = Markup::new();
    put!(&mut out => "<p class=\"standing\"><strong>", Text::of(grouped(counts.done)), "</strong> of ",
        Text::of(grouped(counts.total)), if counts.total == 1 { " file" } else { " files" }, " done</p>\n");
    let whole = counts.total.max(1) as f64;
    let parts = STATES.map(|(state, class)| (class, counts.of(state) as f64 / whole));
    put!(&mut out => "<div class=\"whole\">", bar(&parts), "</div>\n<ul class=\"legend\">");
    for (state, class) in STATES {
        let count = counts.of(state);
        if count > 0 {
            put!(&mut out => "<li class=\"", class, "\">", Text::of(grouped(count)), " ", state.as_str(), "</li>");
        }
    }
    put!(&mut out => "</ul>\n<p class=\"runner\">", Text::clipped(last_runner(report), STOPPED), "</p>\n");
    out
}

fn last_runner(report: &Report) -> String {
    let Some(seen) = report.runners.last() else {
        return "No runner has begun.".to_owned();
    };
    let running = grouped(report.counts.running);
    if let Some(process) = report.working {
        return format!(
            "The run is going on: process {process} has worked on it since {} UTC, and {running} \
             calls are in flight. This page is of one moment, {} UTC.",
            words::moment(seen.begin),
            words::moment(report.now)
        );
    }
    let ended = |moment: i64| format!("{} UTC", words::moment(moment));
    match &seen.runner.ended {
        None => format!(
            "The last runner died; it was last seen at work on {}. Its calls in flight, {running}, will be found in doubt.",
            ended(seen.end)
        ),
        Some((moment, ending)) => match ending.as_str() {
            "finished" => format!(
                "The last runner finished on {}: nothing was left to call.",
                ended(*moment)
            ),
            "stopped" => format!("The last runner was stopped on {}.", ended(*moment)),
            "halted" => halted(report, &ended(*moment)),
            "panicked" => format!(
                "The last runner ended on {}, for its caller panicked.",
                ended(*moment)
            ),
            "died" => format!(
                "The last runner died; it was last seen at work on {}.",
                ended(seen.end)
            ),
            _ => format!("The last runner ended on {}.", ended(*moment)),
        },
    }
}

/// Why a guard or a limit stopped the last runner, with the service's own words.
fn halted(report: &Report, ended: &str) -> String {
    let Some(stopped) = &report.info.stopped else {
        return format!("The last runner was stopped by a guard or a limit on {ended}.");
    };
    let mut line = format!(
        "The last runner stopped early on {ended}: {}.",
        words::stop_reason(&stopped.reason)
    );
    if let Some(until) = stopped.until {
        line.push_str(&format!(" The wait ends on {} UTC.", words::moment(until)));
    }
    if let Some(words) = &stopped.words {
        line.push_str(&format!(" The last answer: {words}"));
    }
    line
}

fn facts(report: &Report) -> Markup {
    let (counts, all) = (&report.counts, &report.sums.all);
    let worked: u64 = report
        .runners
        .iter()
        .map(|seen| seen.end.abs_diff(seen.begin))
        .sum();
    let mut facts = vec![
        (
            "made",
            format!("{} UTC", words::moment(report.info.created)),
        ),
        ("attempts", grouped(counts.attempts)),
        ("repeats", grouped(all.repeats)),
        ("in doubt ever", grouped(counts.in_doubt)),
    ];
    if !report.runners.is_empty() {
        let runners = report.runners.len() as u64;
        let noun = if runners == 1 { "runner" } else { "runners" };
        facts.push((
            "worked",
            format!("{}, {} {noun}", words::span(worked), grouped(runners)),
        ));
    }
    if all.calls() > 0 && worked > 0 {
        let rate = all.calls() as f64 * 1e3 / worked as f64;
        facts.push((
            "on average",
            match rate {
                1.0.. => format!("{rate:.1} calls/s"),
                _ => format!("{:.1} calls/min", rate * 60.0),
            },
        ));
    }
    let quantiles = [0.5, 0.95].map(|q| all.latency.quantile(q));
    if let [Some(half), Some(most)] = quantiles {
        facts.push(("p50 latency", words::took(half)));
        facts.push(("p95 latency", words::took(most)));
    }
    let mut out = Markup::new();
    put!(&mut out => "<dl class=\"facts\">\n");
    for (name, value) in facts {
        put!(&mut out => "<div><dt>", name, "</dt><dd>", Text::of(value), "</dd></div>\n");
    }
    put!(&mut out => "<div class=\"long\"><dt>database</dt><dd><code>", Text::name(&report.database.as_path().into()),
        "</code></dd></div>\n<div class=\"long\"><dt>names start from</dt><dd><code>",
        Text::name(&report.info.base.as_path().into()), "</code></dd></div>\n</dl>\n");
    out
}
