//! The help, the manual pages and the completions, which are all generated from the parser and the examples.

mod completions;
mod pages;
pub(crate) mod suggestions;

use std::ffi::OsString;

use clap::{ColorChoice, Command, CommandFactory as _, FromArgMatches as _};

use crate::cli::args::Args;
use crate::cli::args::examples::{EXAMPLES, PREFERENCES};
pub(crate) use completions::completions;
pub(crate) use pages::man;

/// The flags that `-h` shows for the commands that have all the settings of a run.
const USUAL: &str = "file files files_from url curl header json dry_run sample extract threads rate retries max_calls \
    until class status text held queue_only";

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
    let matches = command(color).try_get_matches_from(words)?;
    Args::from_arg_matches(&matches).map_err(|error| error.format(&mut command(color)))
}

fn with_examples(command: Command) -> Command {
    let mut text = String::from("Examples:");
    for line in examples(command.get_name()).lines() {
        text.push_str(&format!("\n  {line}"));
    }
    if !has_settings(&command) {
        return command.after_help(text);
    }
    let command = command.mut_args(|arg| {
        let is_usual = USUAL.split(' ').any(|usual| usual == arg.get_id().as_str());
        arg.hide_short_help(!is_usual)
    });
    let long = format!("{text}\n\n{PREFERENCES}");
    command.after_help(text).after_long_help(long)
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
