//! Words that are not stride's: what is wrong with them in a line, and one thing to do.

use clap::CommandFactory as _;
use clap::error::ErrorKind;
use stride::job::escaped;

use super::args::{Args, Color};
use super::error::Problem;
use super::exit;
use super::terminal::Terminal;

/// Says what is wrong with the words, or gives the help that they ask for. Returns the exit code.
pub(crate) fn tell(error: &clap::Error) -> u8 {
    // Help and version go to stdout with 0. There is nobody left to tell where that cannot be written.
    let asks = !error.use_stderr();
    if asks || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return if asks { exit::DONE } else { exit::USAGE };
    }
    let problem = problem(&error.render().to_string(), &verb());
    problem.print(&Terminal::new(Color::Auto));
    problem.code
}

/// The subcommand that was given, with a space before it, as far as there is one.
fn verb() -> String {
    let known = Args::command();
    let words = std::env::args_os().skip(1);
    let verb = words.filter_map(|word| {
        known
            .find_subcommand(word)
            .map(|verb| verb.get_name().to_owned())
    });
    verb.map(|verb| format!(" {verb}"))
        .next()
        .unwrap_or_default()
}

/// What the parser says, in our form: its first paragraph is the error, and what is to be done is the hint.
fn problem(said: &str, verb: &str) -> Problem {
    let first = said.split("\n\n").next().unwrap_or_default();
    let lines: Vec<&str> = first.lines().map(str::trim).collect();
    let error = lines.join(" ");
    let error = error.trim_start_matches("error: ");
    // The words of the standard library are for programmers.
    let error = error.replace("invalid digit found in string", "it is no whole number");
    let similar = said
        .lines()
        .filter_map(|line| line.trim().strip_prefix("tip: "))
        .find(|tip| tip.contains("similar"));
    let (error, hint) = match (error.split_once(": write "), similar) {
        (Some((error, form)), _) => (error, format!("write {form}")),
        (None, Some(tip)) => (error.as_str(), tip.to_owned()),
        (None, None) => match error.strip_prefix(LACKING) {
            Some(words) => (error.as_str(), format!("add {words}")),
            None => (
                error.as_str(),
                format!("`stride{verb} --help` says what there is"),
            ),
        },
    };
    Problem::usage(escaped(error.as_bytes())).hint(escaped(hint.as_bytes()))
}

/// How the parser begins a list of words that are lacking.
const LACKING: &str = "the following required arguments were not provided: ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_a_line_and_has_one_hint() {
        for (said, error, hint) in [
            (
                "error: unexpected argument '--josn' found\n\n  tip: a similar argument exists: '--json'\n\nUsage: x\n",
                "unexpected argument '--josn' found",
                "a similar argument exists: '--json'",
            ),
            (
                "error: invalid value '5' for '--timeout <TIME>': `5` is not a duration: write 5s\n\nFor more\n",
                "invalid value '5' for '--timeout <TIME>': `5` is not a duration",
                "write 5s",
            ),
            (
                "error: invalid value 'xml' for '--format <FORMAT>'\n  [possible values: json, csv]\n\nFor more\n",
                "invalid value 'xml' for '--format <FORMAT>' [possible values: json, csv]",
                "`stride export --help` says what there is",
            ),
        ] {
            let told = format!("{:?}", problem(said, " export"));
            assert!(told.contains(&format!("{error:?}")), "{told}");
            assert!(told.contains(&format!("[{hint:?}]")), "{told}");
        }
    }
}
