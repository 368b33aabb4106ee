//! Errors of the command line: clap's message in one line, and one hint.
//!
//! Aliases in `args` accept the names that other programs have for a flag, and clap suggests similar names. The hints
//! here add what clap cannot know: that a word is a file, that a flag belongs to another command, or that a number lacks
//! its unit.

use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ColorChoice, Command};
use stride::job::escaped;

use crate::cli::help;
use crate::cli::output::error::{CliError, quoted};
use crate::cli::output::exit;
use crate::cli::output::terminal::{Color, Terminal};

/// Words that stride does not have, each with a hint.
const MEANT: &str = "\
stop: press Ctrl-C where it runs; `stride status` names its process
pause: press Ctrl-C where it runs; `stride resume` continues
list: use `stride status`, or `stride failures` for failed files
check: use `stride verify`, or `stride recheck` to judge the answers again
config: use `stride set` for a run, or a stride.toml for all
serve: use `stride demo --serve 8080`
version: use `stride --version`
--workers: use --threads
--limit: use --max-calls, or --sample for a few random files
--log: use --events
--log-file: use --events
--input: name the files as arguments, or a list of them with --files-from
--resume: use `stride resume`, or repeat the same `stride run`
--force: leave it out; an error names the flag that allows what was refused
--no-color: use --color never";

/// Prints the error, or the help or version that the command line asks for, and returns the exit code.
pub(crate) fn print(error: &clap::Error, words: &[OsString], color: Color) -> u8 {
    let is_requested = !error.use_stderr();
    if is_requested || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // If stdout fails, the failure cannot be reported.
        let _ = error.print();
        return match is_requested {
            true => exit::DONE,
            false => exit::USAGE,
        };
    }
    let words = words.iter().skip(1);
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into()).collect();
    let cli_error = cli_error(error, &words);
    cli_error.print(&Terminal::new(color, false));
    cli_error.code
}

fn cli_error(error: &clap::Error, words: &[String]) -> CliError {
    let message = error.render().to_string();
    let first = message.split("\n\n").next().unwrap_or_default();
    let lines: Vec<&str> = first.lines().map(str::trim).collect();
    let text = lines.join(" ");
    let text = text.trim_start_matches("error: ");
    let text = text.replace("invalid digit found in string", "it is not a whole number");
    // stride's own parsers append the form of a value.
    let (text, form) = match text.split_once(": use ") {
        Some((text, form)) => (text, Some(format!("use {form}"))),
        None => (&*text, None),
    };
    let top = help::command(ColorChoice::Never);
    let command = words.iter().find_map(|word| top.find_subcommand(word));
    let hint = hint(error, words, &top, command).or(form);
    let hint = hint.unwrap_or_else(|| match command {
        Some(command) => format!("see `stride {} --help`", command.get_name()),
        None => "see `stride --help`".to_owned(),
    });
    CliError::usage(escaped(text.as_bytes())).hint(escaped(hint.as_bytes()))
}

/// Returns one detail of clap's error. Of several suggestions, the last is the nearest.
fn context(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text),
        ContextValue::Strings(texts) => texts.last().map(String::as_str),
        _ => None,
    }
}

fn hint(
    error: &clap::Error,
    words: &[String],
    top: &Command,
    command: Option<&Command>,
) -> Option<String> {
    let arg = context(error, ContextKind::InvalidArg).unwrap_or_default();
    let value = context(error, ContextKind::InvalidValue).unwrap_or_default();
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = context(error, ContextKind::InvalidSubcommand)?;
            let names = top.get_subcommands().map(Command::get_name);
            let similar = names
                .filter(|name| is_near(word, name))
                .min_by_key(|name| strsim::damerau_levenshtein(word, name))
                .or_else(|| context(error, ContextKind::SuggestedSubcommand));
            meant(word)
                .or_else(|| input(word))
                .or_else(|| similar.map(|name| format!("use `stride {name}`")))
        }
        ErrorKind::UnknownArgument if arg.starts_with('-') => {
            let similar = context(error, ContextKind::SuggestedArg);
            let similar = similar.filter(|flag| is_near(arg, flag));
            meant(arg)
                .or_else(|| misplaced(arg, words, top, command))
                .or_else(|| similar.map(|flag| format!("use {flag}")))
        }
        ErrorKind::UnknownArgument => superfluous(arg, command?.get_name()),
        ErrorKind::ValueValidation => unit(arg, value),
        ErrorKind::InvalidValue if value.is_empty() => Some("add a value".to_owned()),
        ErrorKind::InvalidValue => {
            let Some(similar) = context(error, ContextKind::SuggestedValue) else {
                return Some("use one of the possible values".to_owned());
            };
            Some(match arg.split_once(" <") {
                Some((flag, _)) => format!("use {flag} {similar}"),
                None => format!("use {similar}"),
            })
        }
        ErrorKind::MissingRequiredArgument if arg == "<NAMES>..." => {
            Some("name files of the run, or choose some, as with --where class=input".to_owned())
        }
        ErrorKind::MissingRequiredArgument => Some(format!("add {arg}")),
        ErrorKind::ArgumentConflict => Some("leave out one of them".to_owned()),
        _ => None,
    }
}

/// Returns true if a word is probably a misspelling of another. clap's own measure misses short words and accepts distant
/// ones.
fn is_near(word: &str, known: &str) -> bool {
    let most = 1.max(word.len() / 4);
    known.starts_with(word) || strsim::damerau_levenshtein(word, known) <= most
}

fn meant(word: &str) -> Option<String> {
    let mut entries = MEANT.lines().filter_map(|line| line.split_once(": "));
    let (_, hint) = entries.find(|(meant, _)| *meant == word)?;
    Some(hint.to_owned())
}

/// Returns the hint for a file or a URL in place of a command.
fn input(word: &str) -> Option<String> {
    let path = quoted(Path::new(word));
    if word.starts_with("http://") || word.starts_with("https://") {
        return Some(format!("use `stride run --url {path} FILES`"));
    }
    let is_path = word.contains(['/', '.']) || Path::new(word).exists();
    is_path.then(|| format!("use `stride run --url URL {path}`"))
}

/// Returns the hint for a flag in the wrong place.
fn misplaced(
    flag: &str,
    words: &[String],
    top: &Command,
    command: Option<&Command>,
) -> Option<String> {
    if flag.parse::<f64>().is_ok() {
        return Some("leave out the minus".to_owned());
    }
    let commands = top.get_subcommands().filter(|command| has(command, flag));
    let names: Vec<&str> = commands.map(Command::get_name).collect();
    match (command.map(Command::get_name), &*names) {
        (Some(name), names) if names.contains(&name) => {
            Some(format!("write it after the command: stride {name} {flag}"))
        }
        (None, [name, ..]) => Some(format!("write the command first: stride {name} {flag}")),
        (Some(_), [_, ..]) => Some(format!(
            "leave it out: it is a flag of stride {}",
            names.join(", ")
        )),
        (_, []) => {
            let long = |word: &&String| has(command.unwrap_or(top), &format!("-{word}"));
            let word = words.iter().find(long)?;
            Some(format!("use -{word}"))
        }
    }
}

fn has(command: &Command, flag: &str) -> bool {
    command.get_arguments().any(|arg| {
        let longs = arg.get_long_and_visible_aliases().unwrap_or_default();
        let short = arg.get_short().map(|letter| format!("-{letter}"));
        short.as_deref() == Some(flag)
            || longs
                .iter()
                .any(|long| flag.strip_prefix("--") == Some(long))
    })
}

/// Returns the hint for a word that a command does not accept.
fn superfluous(word: &str, command: &str) -> Option<String> {
    let word = quoted(Path::new(word));
    match command {
        "export" | "report" => Some(format!("use -o {word} to write to it")),
        "resume" | "retry" => Some(format!(
            "leave it out; to add files, use `stride run --url URL {word}`"
        )),
        "status" | "failures" | "verify" | "recheck" | "set" => {
            Some(format!("use --db {word} to name a database"))
        }
        "try" => Some("name one file, or use `stride run --sample 2` for several".to_owned()),
        _ => None,
    }
}

/// Returns the hint for a number without its unit.
fn unit(arg: &str, value: &str) -> Option<String> {
    let (flag, form) = arg.split_once(' ')?;
    let unit = match form {
        "<RATE>" => "/s",
        "<TIME>" => "s",
        "<SIZE>" => "MiB",
        _ => return None,
    };
    let is_number = value.parse::<f64>().is_ok_and(|number| number > 0.0);
    is_number.then(|| format!("add a unit: {flag} {value}{unit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_name_commands_and_flags_that_exist() {
        let top = help::command(ColorChoice::Never);
        for (word, hint) in MEANT.lines().filter_map(|line| line.split_once(": ")) {
            assert!(top.find_subcommand(word).is_none(), "{word}");
            for word in hint.split([' ', ',', ';', '`']) {
                let mut commands = std::iter::once(&top).chain(top.get_subcommands());
                let known = commands.any(|command| has(command, word));
                assert!(
                    known || !word.starts_with("--") || word == "--version",
                    "{hint}"
                );
            }
        }
    }
}
