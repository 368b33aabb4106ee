//! The help, the manual pages and the completions, which are all generated from the parser and the examples.

mod completions;
pub(crate) mod dashes;
mod meant;
mod pages;
pub(crate) mod suggestions;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ColorChoice, Command, CommandFactory as _, FromArgMatches as _};

use crate::cli::args::Args;
use crate::cli::args::examples::{EXAMPLES, PREFERENCES};
pub(crate) use completions::completions;
pub(crate) use pages::man;

/// The flags that `-h` shows for the commands that have all the settings of a run, each with a text that fits into a line.
const USUAL: [(&str, &str); 20] = [
    ("file", ""),
    ("files", ""),
    (
        "files_from",
        "Read file names from this list; `-` is standard input",
    ),
    ("url", "URL to call; may have placeholders such as {name}"),
    ("curl", "A pasted curl command, with @{} for the file"),
    (
        "header",
        "A header, such as 'Authorization: Bearer {env:KEY}'",
    ),
    ("json", "JSON to send, such as '{\"input\": \"{text}\"}'"),
    ("extract", "What exports write of a result, such as .label"),
    (
        "dry_run",
        "Show the plan and the first request; call nothing",
    ),
    ("sample", "Call only this many files, drawn at random"),
    ("threads", "Concurrent calls, or `auto` [default: 8]"),
    ("rate", "Limit, such as 10/s, or `auto` [default: auto]"),
    ("retries", "Retries after a transient failure [default: 4]"),
    (
        "max_calls",
        "Stop after this many calls of the run in total",
    ),
    ("until", "Stop at this time of day, such as 06:00"),
    ("class", "Only failures of this class"),
    ("status", ""),
    ("text", "Only failures with this text"),
    ("held", ""),
    ("queue_only", ""),
];

/// The commands without a run of their own.
const WITHOUT_RUN: [&str; 3] = ["demo", "completions", "man"];

/// Returns the parser of the command line.
pub(crate) fn command(color: ColorChoice) -> Command {
    let top = Args::command().name("stride").color(color);
    with_examples(top).mut_subcommands(with_examples)
}

/// Parses a command line, the program's name first.
pub(crate) fn parse(
    words: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    color: ColorChoice,
) -> Result<Args, clap::Error> {
    let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
    let mut command = command(color);
    if words.iter().any(|word| word == "-h") {
        command = ["color", "quiet"]
            .into_iter()
            .fold(command, |command, name| {
                command.mut_arg(name, |arg| arg.hide_short_help(true))
            })
            .mut_arg("db", |arg| arg.hide_env(true))
            .mut_subcommands(shortened);
    }
    let matches = command.try_get_matches_from_mut(words)?;
    if let Some((name, given)) = matches.subcommand()
        && WITHOUT_RUN.contains(&name)
        && [&matches, given]
            .map(|matches| matches.value_source("db"))
            .contains(&Some(ValueSource::CommandLine))
    {
        let message = format!("`stride {name}` uses no --db\n\n");
        return Err(clap::Error::raw(ErrorKind::ArgumentConflict, message));
    }
    Args::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

fn with_examples(command: Command) -> Command {
    let mut text = String::from("Examples:");
    for line in examples(command.get_name()).lines() {
        text.push_str(&format!("\n  {line}"));
    }
    let command = match WITHOUT_RUN.contains(&command.get_name()) {
        true => command.arg(Arg::new("db").long("db").hide(true)),
        false => command,
    };
    if !has_settings(&command) {
        return command.after_help(text);
    }
    let long = format!("{text}\n\n{PREFERENCES}");
    command.after_help(text).after_long_help(long)
}

/// Reduces the help of a command with all the settings of a run to one screen: the usual flags, a line each.
fn shortened(command: Command) -> Command {
    if !has_settings(&command) {
        return command;
    }
    // Elsewhere, --class is a rule.
    let chooses = command.get_name() == "retry";
    command.disable_version_flag(true).mut_args(|arg| {
        let id = arg.get_id().as_str();
        let usual = USUAL.iter().find(|(usual, _)| *usual == id);
        let usual = usual.filter(|(usual, _)| *usual != "class" || chooses);
        let arg = match usual {
            Some((_, "")) | None => arg,
            Some((_, text)) => arg.help(*text),
        };
        arg.hide_short_help(usual.is_none())
            .help_heading(None::<&str>)
    })
}

/// Returns true for a command that has all the settings of a run.
fn has_settings(command: &Command) -> bool {
    command.get_arguments().any(|arg| arg.get_id() == "grace")
}

/// Returns the examples of a command, or of stride itself.
fn examples(name: &str) -> &'static str {
    let found = EXAMPLES.iter().find(|(command, _)| *command == name);
    found.map_or("", |(_, examples)| examples)
}
