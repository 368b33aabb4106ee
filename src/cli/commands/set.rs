//! `stride set`.

use std::path::Path;

use stride::settings::{CallCost, Settings, show_duration};
use stride::store::{Location, Lock, Reader, change_settings};

use crate::cli::args::settings::LimitArgs;
use crate::cli::config;
use crate::cli::output::again::again;
use crate::cli::output::error::{CliError, quoted};
use crate::cli::output::exit;
use crate::cli::output::terminal::Terminal;
use crate::cli::output::time::clock;
use crate::cli::session::descriptors::raise_descriptors;

/// `stride set`: changes pace and limits, also of a running run.
pub(crate) fn set(db: &Location, limits: &LimitArgs, terminal: &Terminal) -> Result<u8, CliError> {
    let info = Reader::open(db)?.info()?;
    let before = info.settings;
    let changed = config::change_limits(limits, &before, &info.call)?;
    let is_read = |settings: &Settings| matches!(settings.cost, Some(CallCost::Answer(_)));
    if changed.cost != before.cost && (is_read(&before) || is_read(&changed)) {
        let cost = changed
            .cost
            .map_or("none".to_owned(), |cost| cost.to_string());
        let resume = format!("resume --cost {}", quoted(Path::new(&cost)));
        return Err(
            CliError::usage("an expression of --cost cannot be changed during a session")
                .hint(again(db, &info.call, &resume)),
        );
    }
    raise_descriptors(changed.threads)?;
    let settings = change_settings(db, |settings| {
        config::change_limits(limits, &settings, &info.call)
    })?;
    let words = if settings == before {
        terminal.say("nothing was changed; the run has:");
        limit_lines(&settings)
            .iter()
            .for_each(|line| terminal.say(line));
        return Ok(exit::DONE);
    } else if Lock::holder(db).is_some() {
        "saved; the running process picks it up within a second"
    } else {
        "saved for the next resume"
    };
    terminal.say(words);
    Ok(exit::DONE)
}

/// Formats the pace and limits that `stride set` changes, a line each.
fn limit_lines(settings: &Settings) -> Vec<String> {
    let none = || "none".to_owned();
    let values = [
        ("threads", settings.threads.to_string()),
        ("rate", settings.rates.to_string()),
        ("burst", settings.burst.to_string()),
        (
            "weight",
            (settings.weight.as_ref()).map_or_else(none, ToString::to_string),
        ),
        ("max-wait", show_duration(settings.max_wait).to_string()),
        ("max-outage", show_duration(settings.max_outage).to_string()),
        (
            "max-failures",
            settings
                .max_failures
                .map_or_else(none, |most| most.to_string()),
        ),
        (
            "max-calls",
            settings
                .max_calls
                .map_or_else(none, |most| most.to_string()),
        ),
        (
            "max-duration",
            settings
                .max_duration
                .map_or_else(none, |most| show_duration(most).to_string()),
        ),
        (
            "max-cost",
            settings.max_cost.map_or_else(none, |most| most.to_string()),
        ),
        (
            "cost",
            (settings.cost.as_ref()).map_or_else(none, ToString::to_string),
        ),
        ("poll-every", show_duration(settings.poll_every).to_string()),
        ("poll-for", show_duration(settings.poll_for).to_string()),
        (
            "max-submitted",
            (settings.max_submitted).map_or_else(none, |most| most.to_string()),
        ),
        ("until", settings.until.map_or_else(none, clock)),
    ];
    values
        .iter()
        .map(|(name, value)| format!("  {name:13} {value}"))
        .collect()
}
