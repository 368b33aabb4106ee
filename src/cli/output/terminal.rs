//! Writes to stderr for people, with colours where they are wanted.

use std::ffi::OsString;
use std::io::{self, ErrorKind, IsTerminal};

use clap::{ColorChoice, ValueEnum};
use stride::store::wall_clock;

use super::{environment, screen};
use crate::cli::output::shown::{Line, bold, is_terminal as stdout_is_terminal, stderr};
use crate::cli::output::time::moment;

/// Settings for output to stderr. Its lines belong to the process-wide `screen`, because code without a `Terminal`, such as
/// the lookup of a secret, writes there too.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminal {
    color: bool,
    /// Set by --quiet.
    quiet: bool,
    /// Set if the terminal can redraw lines, and should.
    pub(crate) animate: bool,
    /// Set if the time precedes the lines of a run: stderr is neither a terminal nor the journal, which adds the time
    /// itself.
    dates: bool,
}

impl Terminal {
    pub(crate) fn new(color: Color, quiet: bool) -> Self {
        let is_terminal = stderr().is_terminal();
        let dumb = is_dumb();
        let color = match resolve(color) {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && !dumb,
        };
        Self {
            color,
            quiet,
            animate: is_terminal && !dumb && !quiet,
            dates: !is_terminal && !environment::stderr_is_journal(),
        }
    }

    /// Writes a message to stderr, above the progress lines. --quiet drops it.
    pub(crate) fn say(&self, line: &str) {
        if !self.quiet {
            self.insist(line);
        }
    }

    /// Writes a message to stderr, also with --quiet.
    pub(crate) fn insist(&self, line: &str) {
        screen::say(&Line::new(line, self.color));
    }

    /// Writes a warning, also with --quiet.
    pub(crate) fn warn(&self, words: &str) {
        self.insist(&format!("{} {words}", bold("warning:")));
    }

    /// Returns a line of a run, preceded by the local time unless stderr is a terminal or the journal.
    pub(crate) fn dated(&self, line: &str) -> String {
        match self.dates {
            true => format!("{} {line}", moment(wall_clock())),
            false => line.to_owned(),
        }
    }

    /// Replaces the progress lines. `compose` makes the new ones for the terminal's width in columns.
    pub(crate) fn show(&self, compose: impl FnOnce(usize) -> Vec<String>) {
        if self.animate {
            screen::show(|columns| {
                let lines = compose(columns);
                lines.iter().map(|line| Line::new(line, false)).collect()
            });
        }
    }

    /// Removes the progress lines.
    pub(crate) fn clear(&self) {
        if self.animate {
            screen::clear();
        }
    }
}

/// Resolves `auto` by the environment: <https://no-color.org> and <https://bixense.com/clicolors>.
pub(crate) fn resolve(color: Color) -> Color {
    let variable = |name| environment::variable(name).filter(|value| !value.is_empty());
    match color {
        Color::Auto if environment::is_set("NO_COLOR") => Color::Never,
        Color::Auto if variable("CLICOLOR_FORCE").is_some_and(|value| value != b"0") => {
            Color::Always
        }
        Color::Auto if variable("CLICOLOR").is_some_and(|value| value == b"0") => Color::Never,
        color => color,
    }
}

/// Finds `--color` in an unparsed command line, for the parser's own errors and help.
pub(crate) fn find_color(words: &[OsString]) -> Option<Color> {
    let words = words.iter().skip(1).map(|word| word.to_string_lossy());
    let words: Vec<_> = words.take_while(|word| word != "--").collect();
    words.iter().enumerate().find_map(|(at, word)| {
        let value = match word.strip_prefix("--color")? {
            "" => words.get(at + 1)?,
            rest => rest.strip_prefix('=')?,
        };
        Color::from_str(value, false).ok()
    })
}

/// Returns the colours of the parser's help, which goes to stdout.
pub(crate) fn help_colors(color: Color) -> ColorChoice {
    match resolve(color) {
        Color::Always => ColorChoice::Always,
        Color::Auto if stdout_is_terminal() && !is_dumb() => ColorChoice::Always,
        Color::Auto | Color::Never => ColorChoice::Never,
    }
}

/// Returns whether the terminal ignores control sequences.
fn is_dumb() -> bool {
    environment::variable("TERM").is_none_or(|term| term == b"dumb")
}

/// Ignores a closed pipe on stdout, as after `| head`.
pub(crate) fn ignore_closed_pipe(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// The choice of colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}
