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
use stride::paths::is_database;

use crate::cli::help::meant::{self, MEANT, MEANT_OF};
use crate::cli::help::{self, has_settings};
use crate::cli::output::error::{CliError, program, quoted};
use crate::cli::output::exit;
use crate::cli::output::terminal::{Color, Terminal};

/// The answer to `stride` alone.
const FIRST_COMMANDS: &str = "\
The four commands that you need, with an API's URL in place of URL:

  stride demo                        see it work, on this machine
  stride run --url URL FOLDER        call the API for each file; again after a stop, it continues
  stride failures                    see what failed, and why
  stride export -o results.json      write the results

More: `stride run -h` has examples, `stride --help` lists all commands.";

/// Prints the error, or the help or version that the command line asks for, and returns the exit code.
pub(crate) fn print(error: &clap::Error, words: &[OsString], color: Color) -> u8 {
    if !error.use_stderr() {
        // If stdout fails, the failure cannot be reported.
        let _ = error.print();
        return exit::DONE;
    }
    let terminal = Terminal::new(color, false);
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let program = format!("{} ", program());
        for line in FIRST_COMMANDS.lines() {
            terminal.insist(&line.replace("stride ", &program));
        }
        return exit::USAGE;
    }
    let words = words.iter().skip(1);
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into()).collect();
    let cli_error = cli_error(error, &words);
    cli_error.print(&terminal);
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
            let names = top.get_subcommands().flat_map(|command| {
                let names = std::iter::once(command.get_name()).chain(command.get_all_aliases());
                names.map(move |name| (name, command.get_name()))
            });
            let similar = names
                .filter(|(name, _)| is_near(word, name))
                .min_by_key(|(name, _)| strsim::damerau_levenshtein(word, name));
            meant(word)
                .or_else(|| input(word))
                .or_else(|| similar.map(|(_, name)| format!("use `stride {name}`")))
        }
        ErrorKind::UnknownArgument if arg.starts_with('-') => {
            let similar = context(error, ContextKind::SuggestedArg);
            let similar = similar.filter(|flag| is_near(arg, flag));
            let own = command.and_then(|command| meant_of(arg, command, words));
            let meant = own.or_else(|| match command {
                Some(command) if !has_settings(command) => format_of(arg, command),
                _ => meant(arg),
            });
            meant
                .or_else(|| misplaced(arg, words, top, command))
                .or_else(|| similar.map(|flag| format!("use {flag}")))
                .or_else(|| Some(format!("use {}", nearest(arg, command?)?)))
        }
        ErrorKind::UnknownArgument => superfluous(arg, command?.get_name()),
        // The parser's own hint follows, if it has one.
        ErrorKind::ValueValidation if error.to_string().contains(": use ") => unit(arg, value),
        ErrorKind::ValueValidation => unit(arg, value).or_else(|| example(arg, None)),
        ErrorKind::InvalidValue if arg == "<SHELL>" => {
            Some("use one of these shells; stride completes in no other".to_owned())
        }
        ErrorKind::InvalidValue => {
            let values = match error.get(ContextKind::ValidValue) {
                Some(ContextValue::Strings(values)) => &values[..],
                _ => &[],
            };
            let near = values
                .iter()
                .filter(|known| !value.is_empty() && is_near(value, known))
                .min_by_key(|known| strsim::damerau_levenshtein(value, known));
            match near {
                Some(near) => Some(corrected(arg, near)),
                None => example(arg, values.first().map(String::as_str)),
            }
        }
        ErrorKind::MissingRequiredArgument => missing(arg),
        ErrorKind::ArgumentConflict if arg.is_empty() => Some("leave it out".to_owned()),
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
    let (_, hint) = entries.find(|(words, _)| words.split(' ').any(|meant| meant == word))?;
    Some(hint.to_owned())
}

/// Returns the command's own hint for a flag that it lacks.
fn meant_of(flag: &str, command: &Command, words: &[String]) -> Option<String> {
    let name = command.get_name();
    let mut entries = MEANT_OF.iter().filter(|(command, ..)| *command == name);
    if let Some((_, _, hint)) =
        entries.find(|(_, flags, _)| flags.split(' ').any(|each| each == flag))
    {
        return Some((*hint).to_owned());
    }
    let writes = ["-o", "--output", "--out"].contains(&flag);
    let prints = ["failures", "status", "verify"].contains(&name);
    if !(writes && prints) {
        return None;
    }
    let mut after = words.iter().skip_while(|word| *word != flag).skip(1);
    let file = after
        .next()
        .map_or("FILE".to_owned(), |file| quoted(Path::new(file)));
    Some(format!("use `stride {name} > {file}`"))
}

/// Returns the flag of a command of which another is probably a misspelling. clap suggests none for some short ones.
fn nearest(flag: &str, command: &Command) -> Option<String> {
    let longs = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let flags = longs.filter_map(|arg| Some(format!("--{}", arg.get_long()?)));
    let near = flags.filter(|known| flag.len() > 3 && is_near(flag, known));
    near.min_by_key(|known| strsim::damerau_levenshtein(flag, known))
}

/// Returns the hint for a format that was written as a flag, such as `--csv`.
fn format_of(flag: &str, command: &Command) -> Option<String> {
    let format = flag.strip_prefix("--")?;
    let mut args = command.get_arguments();
    let values = args
        .find(|arg| arg.get_long() == Some("format"))?
        .get_possible_values();
    let is_format = values.iter().any(|value| value.get_name() == format);
    is_format.then(|| format!("use --format {format}"))
}

/// Returns the hint for a misspelt value.
fn corrected(arg: &str, value: &str) -> String {
    match arg.split_once(" <") {
        Some((flag, _)) => format!("use {flag} {value}"),
        None => format!("use {value}"),
    }
}

/// Returns the hint that shows a flag with a value: `known`, or else one that it accepts.
fn example(arg: &str, known: Option<&str>) -> Option<String> {
    let Some((flag, form)) = arg.split_once(" <") else {
        return known.map(|known| format!("use {known}, for example"));
    };
    let form = form.trim_end_matches(['>', '.']);
    let value = known.or_else(|| meant::value(flag.trim_start_matches("--"), form));
    let value = quoted(Path::new(value.unwrap_or(form)));
    Some(format!("use {flag} {value}, for example"))
}

/// Returns the hint for an argument that has to be there.
fn missing(arg: &str) -> Option<String> {
    match arg {
        "<SHELL>" => Some("name your shell, as in `stride completions bash`".to_owned()),
        "<FILE>" => Some("name a file, as in `stride try texts/0.txt`".to_owned()),
        "<NAMES>..." => {
            Some("name files of the run, or choose some, as with --where class=input; to delete the whole run, delete its files: rm -f FILE FILE-wal FILE-shm FILE.lock, where FILE is its database".to_owned())
        }
        arg => example(arg, None).map(|hint| hint.replacen("use", "add", 1)),
    }
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
            Some(format!("use it after the command: stride {name} {flag}"))
        }
        (None, [name, ..]) => Some(format!("use the command first: stride {name} {flag}")),
        (Some(name @ ("resume" | "retry")), names)
            if names.contains(&"run") && is_request(top, flag) =>
        {
            Some(format!(
                "`stride {name}` repeats the run's request; to change it, repeat the run command with {flag}"
            ))
        }
        (Some(_), [_, ..]) => Some(format!(
            "leave it out: it is a flag of stride {}",
            names.join(", ")
        )),
        (_, []) => {
            // Clap reads `-threads` as letters.
            let long = |word: &&String| {
                word.len() > 2
                    && word.starts_with(flag)
                    && !word.starts_with("--")
                    && has(command.unwrap_or(top), &format!("-{word}"))
            };
            let word = words.iter().find(long)?;
            Some(format!("use -{word}"))
        }
    }
}

/// Returns whether a flag of `run` is a part of the request.
fn is_request(top: &Command, flag: &str) -> bool {
    let run = top.find_subcommand("run");
    let mut args = run.into_iter().flat_map(Command::get_arguments);
    args.any(|arg| arg.get_help_heading() == Some("Request") && is_flag(arg, flag))
}

fn has(command: &Command, flag: &str) -> bool {
    command.get_arguments().any(|arg| is_flag(arg, flag))
}

fn is_flag(arg: &clap::Arg, flag: &str) -> bool {
    let others = arg.get_all_aliases().unwrap_or_default();
    let mut longs = arg.get_long().into_iter().chain(others);
    let short = arg.get_short().map(|letter| format!("-{letter}"));
    short.as_deref() == Some(flag) || longs.any(|long| flag.strip_prefix("--") == Some(long))
}

/// Returns the hint for a word that a command does not accept.
fn superfluous(word: &str, command: &str) -> Option<String> {
    let ending = Path::new(word)
        .extension()
        .is_some_and(|ending| ending == "db");
    let names_database = ending || is_database(Path::new(word));
    let word = quoted(Path::new(word));
    match command {
        "export" | "report" if !names_database => Some(format!("use -o {word} to write to it")),
        "resume" => Some(format!(
            "leave it out; to add files, use `stride run --url URL {word}`"
        )),
        "failures" if !names_database => {
            Some(format!("use --match {word} to choose failures by name"))
        }
        "status" if !names_database => Some(format!(
            "leave it out; `stride failures --match {word}` shows files that failed"
        )),
        "export" | "report" | "status" | "failures" | "verify" | "recheck" | "set" => {
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
        let run = top.find_subcommand("run").unwrap();
        for line in MEANT.lines() {
            let (words, hint) = line.split_once(": ").unwrap();
            for word in words.split(' ') {
                assert!(top.find_subcommand(word).is_none(), "{word}");
                assert!(!has(run, word), "{word}");
            }
            for word in hint.split([' ', ',', ';', '`']) {
                let mut commands = std::iter::once(&top).chain(top.get_subcommands());
                let known = commands.any(|command| has(command, word));
                assert!(
                    known || !word.starts_with("--") || word == "--version",
                    "{hint}"
                );
            }
            for named in hint.split("`stride ").skip(1) {
                let word = named.split([' ', '`']).next().unwrap();
                let is_flag = word.starts_with('-');
                assert!(is_flag || top.find_subcommand(word).is_some(), "{hint}");
            }
        }
    }

    /// Returns the error of a command line.
    fn refused(words: &[&str]) -> Option<clap::Error> {
        let words = ["stride"].iter().chain(words);
        help::parse(words, ColorChoice::Never).err()
    }

    #[test]
    fn a_flag_without_its_value_gets_an_example_that_it_accepts() {
        let mut top = help::command(ColorChoice::Never);
        top.build();
        let mut flags = 0;
        for command in top.get_subcommands() {
            let takes = |arg: &&clap::Arg| arg.get_action().takes_values() && !arg.is_hide_set();
            let longs = command.get_arguments().filter(takes);
            for long in longs.filter_map(clap::Arg::get_long) {
                let (name, flag) = (command.get_name(), format!("--{long}"));
                let words = [name, &flag].map(str::to_owned);
                let error = refused(&[name, &flag]).unwrap();
                let hint = hint(&error, &words, &top, Some(command)).unwrap_or_default();
                let value = hint.strip_prefix(&format!("use {flag} "));
                let value = value.and_then(|rest| rest.strip_suffix(", for example"));
                let value = value.unwrap_or_else(|| panic!("{name} {flag}: {hint}"));
                let kind =
                    refused(&[name, &flag, value.trim_matches('\'')]).map(|error| error.kind());
                let is_refused = matches!(
                    kind,
                    Some(ErrorKind::ValueValidation | ErrorKind::InvalidValue)
                );
                assert!(!is_refused, "{name} {flag} {value}");
                flags += 1;
            }
        }
        assert!(flags > 100, "{flags}");
    }
}
