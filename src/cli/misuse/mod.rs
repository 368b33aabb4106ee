//! Words that are not stride's: what is wrong with them in a line, and what to type instead.

mod others;

use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ColorChoice, Command};
use stride::job::escaped;

use super::args::Color;
use super::error::{Problem, quoted};
use super::exit;
use super::help;
use super::terminal::Terminal;
use others::{COMMANDS, FLAGS, FORMS};

/// Says what is wrong with the words, or gives the help that they ask for. Returns the exit code.
pub(crate) fn tell(error: &clap::Error, words: &[OsString], color: Color) -> u8 {
    // Help and version go to stdout with 0. There is nobody left to tell where that cannot be written.
    let asks = !error.use_stderr();
    if asks || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return if asks { exit::DONE } else { exit::USAGE };
    }
    let words: Vec<String> = words
        .iter()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let problem = problem(error, &words);
    problem.print(&Terminal::new(color));
    problem.code
}

/// What the parser says, in our form: its first paragraph is the error, and what is to be done is the hint.
fn problem(error: &clap::Error, words: &[String]) -> Problem {
    let said = error.render().to_string();
    let first = said.split("\n\n").next().unwrap_or_default();
    let lines: Vec<&str> = first.lines().map(str::trim).collect();
    let text = lines.join(" ");
    let text = text.trim_start_matches("error: ");
    // The words of the standard library are for programmers.
    let text = text.replace("invalid digit found in string", "it is no whole number");
    let (text, form) = match text.split_once(": write ") {
        Some((text, form)) => (text, Some(format!("write {form}"))),
        None => (text.as_str(), None),
    };
    let given = Given {
        error,
        words,
        top: &help::command(ColorChoice::Never),
    };
    let hint = given
        .hint(form)
        .or_else(|| Some(format!("add {}", text.strip_prefix(LACKING)?)))
        .unwrap_or_else(|| {
            let verb = given.verb().map(|verb| format!(" {}", verb.get_name()));
            let verb = verb.unwrap_or_default();
            format!("`stride{verb} --help` says what there is")
        });
    Problem::usage(escaped(text.as_bytes())).hint(escaped(hint.as_bytes()))
}

/// How the parser begins a list of words that are lacking.
const LACKING: &str = "the following required arguments were not provided: ";

/// What was given, and what there is.
struct Given<'g> {
    error: &'g clap::Error,
    words: &'g [String],
    top: &'g Command,
}

impl Given<'_> {
    /// The subcommand that was given, as far as there is one.
    fn verb(&self) -> Option<&Command> {
        let mut words = self.words.iter();
        words.find_map(|word| self.top.find_subcommand(word))
    }

    fn context(&self, kind: ContextKind) -> Option<&str> {
        match self.error.get(kind)? {
            ContextValue::String(text) => Some(text),
            _ => None,
        }
    }

    /// One thing to type, where that is known. The parser's error may say itself what the form of a value is.
    fn hint(&self, form: Option<String>) -> Option<String> {
        match self.error.kind() {
            ErrorKind::InvalidSubcommand => {
                self.command(self.context(ContextKind::InvalidSubcommand)?)
            }
            ErrorKind::UnknownArgument => match self.context(ContextKind::InvalidArg)? {
                number if number.parse::<f64>().is_ok() => {
                    Some("leave out the minus: no value is less than nothing".to_owned())
                }
                flag if flag.starts_with('-') => self.flag(flag),
                word => self.word(word),
            },
            ErrorKind::ValueValidation => self.value(form),
            ErrorKind::InvalidValue => self.choice(),
            ErrorKind::ArgumentConflict => Some("leave out one of them".to_owned()),
            _ => form,
        }
    }

    /// For a word that is no command.
    fn command(&self, word: &str) -> Option<String> {
        if let Some((_, instead)) = COMMANDS.iter().find(|(other, _)| *other == word) {
            return Some((*instead).to_owned());
        }
        let path = quoted(Path::new(word));
        if word.starts_with("http://") || word.starts_with("https://") {
            return Some(format!("write stride run --url {path} FILES"));
        }
        let similar = nearest(word, self.top.get_subcommands().map(Command::get_name));
        if Path::new(word).exists() || similar.is_none() && word.contains(['/', '.']) {
            return Some(format!(
                "to call a service for it, write stride run --url URL {path}"
            ));
        }
        similar.map(|similar| format!("write stride {similar}"))
    }

    /// For a flag that the command does not have.
    fn flag(&self, flag: &str) -> Option<String> {
        if let Some(long) = self.long_with_one_dash() {
            return Some(format!("write --{long}"));
        }
        if let Some((_, instead)) = FLAGS.iter().find(|(other, _)| *other == flag) {
            return Some((*instead).to_owned());
        }
        let having = |flag: &str| {
            let having = self
                .top
                .get_subcommands()
                .filter(|command| has(command, flag));
            let names = having.map(|command| command.get_name().to_owned());
            names.collect::<Vec<_>>()
        };
        let longs = |command: &Command| {
            let longs = command.get_arguments().filter_map(Arg::get_long);
            longs.map(str::to_owned).collect::<Vec<_>>()
        };
        let Some(verb) = self.verb() else {
            let all: Vec<String> = self.top.get_subcommands().flat_map(longs).collect();
            let similar = nearest(flag.trim_start_matches('-'), all.iter().map(String::as_str));
            let meant = match having(flag).is_empty() {
                true => format!("--{}", similar?),
                false => flag.to_owned(),
            };
            let verb = having(&meant).into_iter().next()?;
            return Some(format!("write the command first: stride {verb} {meant}"));
        };
        if has(verb, flag) {
            let name = verb.get_name();
            return Some(format!("write it after the command: stride {name} {flag}"));
        }
        let having = having(flag);
        if !having.is_empty() {
            return Some(format!(
                "leave it out: it is a flag of stride {}",
                listed(&having, "and")
            ));
        }
        let known = longs(verb);
        let similar = nearest(
            flag.trim_start_matches('-'),
            known.iter().map(String::as_str),
        )?;
        Some(format!("write --{similar}"))
    }

    /// The long flag that somebody has written with one dash.
    fn long_with_one_dash(&self) -> Option<&str> {
        let command = self.verb()?;
        let mut words = self.words.iter();
        words.find_map(|word| {
            let name = word.strip_prefix('-')?.split('=').next()?;
            let mut longs = command.get_arguments().filter_map(|arg| arg.get_long());
            longs.find(|long| *long == name && name.len() > 1)
        })
    }

    /// For a word that is too many.
    fn word(&self, word: &str) -> Option<String> {
        let shown = quoted(Path::new(word));
        match self.verb()?.get_name() {
            "export" => Some(format!("to write to it, write -o {shown}")),
            "resume" | "retry" => Some(format!(
                "leave it out: it is about the run's own files; stride run --url URL {shown} adds more"
            )),
            "status" | "failures" | "verify" | "recheck" | "set" => {
                Some(format!("to name a database, write --db {shown}"))
            }
            "try" => Some("name one file; stride run --sample 2 tries several".to_owned()),
            _ => None,
        }
    }

    /// For a value that cannot be read.
    fn value(&self, form: Option<String>) -> Option<String> {
        let arg = self.context(ContextKind::InvalidArg)?;
        let flag = arg.split_whitespace().next()?;
        let value = self.context(ContextKind::InvalidValue)?;
        let is_number = value.parse::<f64>().is_ok_and(|number| number > 0.0);
        let with = |unit: &str, of: &str| Some(format!("write {flag} {value}{unit}, for {of}"));
        match (flag, arg) {
            ("--rate", _) if is_number => with("/s", "so many calls a second"),
            (_, arg) if is_number && arg.contains("TIME") => with("s", "seconds"),
            (_, arg) if is_number && arg.contains("SIZE") => with("MiB", "mebibytes"),
            _ => form.or_else(|| {
                let (_, forms) = FORMS.iter().find(|(other, _)| *other == flag)?;
                Some(format!("write {forms}"))
            }),
        }
    }

    /// For a value that is none of those there are, or is missing.
    fn choice(&self) -> Option<String> {
        let arg = self.context(ContextKind::InvalidArg)?;
        let flag = arg.split_whitespace().next()?;
        let is_empty = self.context(ContextKind::InvalidValue) == Some("");
        let flag = match flag.starts_with('-') {
            true => format!("{flag} "),
            false if is_empty => return Some("leave out the empty word".to_owned()),
            false => String::new(),
        };
        if let Some(similar) = self.context(ContextKind::SuggestedValue) {
            return Some(format!("write {flag}{similar}"));
        }
        match self.error.get(ContextKind::ValidValue) {
            Some(ContextValue::Strings(values)) if !values.is_empty() => {
                Some(format!("write {flag}{}", listed(values, "or")))
            }
            _ => Some(format!("write {arg}").replace(['<', '>'], "")),
        }
    }
}

/// Whether a command has a flag of this name or letter.
fn has(command: &Command, flag: &str) -> bool {
    command.get_arguments().any(|arg| {
        let long = arg.get_long().map(|long| format!("--{long}"));
        let short = arg.get_short().map(|letter| format!("-{letter}"));
        long.as_deref() == Some(flag) || short.as_deref() == Some(flag)
    })
}

/// The word that was perhaps meant.
fn nearest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<String> {
    let near = known.filter_map(|known| {
        let distance = strsim::damerau_levenshtein(word, known);
        // A word that was not ended is near too.
        let is_begun = word.len() > 2 && known.starts_with(word);
        (is_begun || distance <= 1.max(word.chars().count() / 3)).then_some((distance, known))
    });
    near.min().map(|(_, known)| known.to_owned())
}

/// One, one or another, or one of several.
fn listed(words: &[String], and: &str) -> String {
    match words {
        [first, middle @ .., last] => {
            let middle: String = middle.iter().map(|word| format!(", {word}")).collect();
            format!("{first}{middle} {and} {last}")
        }
        words => words.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> String {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let error = help::parse(&words, ColorChoice::Never).unwrap_err();
        format!("{:?}", problem(&error, &words[1..]))
    }

    #[test]
    fn an_error_is_a_line_and_has_one_hint() {
        for (line, error, hint) in [
            (
                "stride status --josn",
                "unexpected argument '--josn' found",
                "write --json",
            ),
            (
                "stride resume --max-wait soon",
                "invalid value 'soon' for '--max-wait <TIME>': `soon` is not a duration",
                "write a number and a unit, such as 250ms, 30s, 10m or 2h",
            ),
            (
                "stride export --format xml",
                "invalid value 'xml' for '--format <FORMAT>' [possible values: json, jsonl, csv, parquet, dir]",
                "write --format json, jsonl, csv, parquet or dir",
            ),
        ] {
            let told = told(line);
            assert!(told.contains(&format!("{error:?}")), "{told}");
            assert!(told.contains(&format!("[(Hint, {hint:?})]")), "{told}");
        }
    }

    #[test]
    fn what_is_near_was_perhaps_meant() {
        let near = |word| nearest(word, ["run", "resume", "export", "status"].into_iter());
        assert_eq!(near("rnu").as_deref(), Some("run"));
        assert_eq!(near("exprot").as_deref(), Some("export"));
        assert_eq!(near("stat").as_deref(), Some("status"));
        assert_eq!(near("frobnicate"), None);
        assert_eq!(near(""), None);
    }

    #[test]
    fn what_is_said_instead_is_there() {
        let top = help::command(ColorChoice::Never);
        let instead = COMMANDS.iter().chain(FLAGS).map(|(_, instead)| instead);
        for text in instead {
            let Some(command) = text.split("stride ").nth(1) else {
                continue;
            };
            let name = command.split([' ', ',', ';']).next().unwrap();
            assert!(
                name.starts_with('-') || top.find_subcommand(name).is_some(),
                "{text}"
            );
        }
        for (flag, instead) in FLAGS.iter().chain(FORMS) {
            let named = instead
                .split([' ', ',', ';'])
                .filter(|word| word.starts_with("--"));
            for named in named {
                let known = top.get_subcommands().any(|command| has(command, named));
                assert!(known, "{flag}: {instead}");
            }
        }
        for (word, _) in COMMANDS {
            assert!(top.find_subcommand(word).is_none(), "{word}");
        }
    }
}
