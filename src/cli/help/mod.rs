//! The parser with its help: examples first, the usual flags in `-h`, everything in `--help`. The manual pages and the
//! completions are made of the same.

mod completions;
mod pages;
mod texts;

use std::ffi::OsString;

use clap::builder::{Str, StyledStr, ValueHint};
use clap::{Arg, ArgAction, ColorChoice, Command, CommandFactory as _, FromArgMatches as _};

use super::args::Args;
pub(crate) use completions::{Completions, completions};
pub(crate) use pages::{Man, man};
use texts::{PREFERENCES, TEXTS, Text};

/// Examples come first, then how to call it.
const TEMPLATE: &str =
    "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

/// The parser of the command line.
pub(crate) fn command(color: ColorChoice) -> Command {
    let top = dressed(Args::command().name("stride").color(color), text(""));
    // Flags of every command are put into each here and not by the parser, so that `-h` can leave some of them out.
    let global: Vec<Arg> = top
        .get_arguments()
        .filter(|arg| arg.is_global_set())
        .cloned()
        .collect();
    let names: Vec<String> = top
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect();
    names.iter().fold(top, |top, name| {
        top.mut_subcommand(name, |command| dressed(command.args(&global), text(name)))
    })
}

/// Reads a command line, the program's name first.
pub(crate) fn parse(
    words: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    color: ColorChoice,
) -> Result<Args, clap::Error> {
    let matches = command(color).try_get_matches_from(words)?;
    Args::from_arg_matches(&matches).map_err(|error| error.format(&mut command(color)))
}

/// What there is to tell of a command.
fn text(name: &str) -> Option<&'static Text> {
    TEXTS.iter().find(|text| text.command == name)
}

/// Puts the texts to a command.
fn dressed(command: Command, text: Option<&'static Text>) -> Command {
    let command = command
        .disable_help_flag(true)
        .arg(help_flag())
        .help_template(TEMPLATE)
        .mut_args(named);
    let Some(text) = text else { return command };
    let remembers = command.get_arguments().any(|arg| arg.get_id() == "grace");
    let command = command
        .before_help(examples(text, false))
        .before_long_help(examples(text, true));
    // What a command says at its end by itself stays there.
    let own = command.get_after_long_help().map(ToString::to_string);
    let command = match (remembers, own) {
        (true, Some(own)) => command.after_long_help(format!("{own}\n\n{PREFERENCES}")),
        (true, None) => command.after_long_help(PREFERENCES),
        (false, _) => command,
    };
    let command = match text.command {
        "" => command,
        _ => command.disable_version_flag(true).arg(version_flag()),
    };
    if text.usual.is_empty() {
        return command;
    }
    command.mut_args(|arg| {
        let whole = whole(&arg);
        let place = text
            .usual
            .iter()
            .position(|(name, _)| is_called(&arg, name));
        match place {
            Some(place) => arg
                .help(text.usual[place].1)
                .long_help(whole)
                .help_heading(None::<&'static str>)
                .display_order(place),
            // Those under headings stay in their order, below these.
            None if arg.get_help_heading().is_none() => arg
                .long_help(whole)
                .hide_short_help(true)
                .display_order(text.usual.len()),
            None => arg.long_help(whole).hide_short_help(true),
        }
    })
}

/// Whether an argument has this name, which is its flag's where it has one.
fn is_called(arg: &Arg, name: &str) -> bool {
    arg.get_id().as_str().replace('_', "-") == name
}

fn help_flag() -> Arg {
    Arg::new("help")
        .short('h')
        .long("help")
        .action(ArgAction::Help)
        .help_heading(None::<&'static str>)
        .help("Print help: the usual with -h, everything with --help")
}

/// The same as the parser's own, which `-h` cannot leave out.
fn version_flag() -> Arg {
    Arg::new("version")
        .short('V')
        .long("version")
        .action(ArgAction::Version)
        .help_heading(None::<&'static str>)
        .help("Print version")
}

/// What `--help` says of an argument.
fn whole(arg: &Arg) -> StyledStr {
    let help = arg.get_long_help().or_else(|| arg.get_help());
    help.cloned().unwrap_or_default()
}

/// An argument that knows what it names, for completions. What the environment says is no part of the help.
fn named(arg: Arg) -> Arg {
    let arg = arg.hide_env_values(true);
    if !arg.get_action().takes_values() || !arg.get_possible_values().is_empty() {
        return arg;
    }
    let names = arg.get_value_names().unwrap_or_default();
    match names.first().map(Str::as_str) {
        Some("FILE" | "FILES") => arg.value_hint(ValueHint::FilePath),
        Some("DIR") => arg.value_hint(ValueHint::DirPath),
        // These can be `@FILE`.
        Some("DATA" | "JSON" | "HEADER" | "NAME=VALUE") => arg,
        _ => arg.value_hint(ValueHint::Other),
    }
}

/// The examples, a line or a few each.
fn examples(text: &Text, explained: bool) -> String {
    let mut out = String::from("Examples:");
    for (what, example) in text.examples {
        if explained {
            out.push_str(&format!("\n  # {what}"));
        }
        for line in example.lines() {
            out.push_str(&format!("\n  {line}"));
        }
    }
    out
}
