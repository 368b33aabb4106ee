//! Writes to stderr for people, and formats numbers and sizes for them.

use std::ffi::OsString;
use std::io::{self, ErrorKind, IsTerminal};

use clap::{ColorChoice, ValueEnum as _};

use super::args::Color;
use super::shown::{Line, Style, is_terminal as stdout_is_terminal, stderr};
use super::{environment, screen};

/// Settings for what goes to stderr. The lines on it belong to the process's one `screen`, because code deep inside, such
/// as the lookup of a secret, writes there without a `Terminal`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminal {
    color: bool,
    /// Whether the terminal can redraw lines.
    pub(crate) animate: bool,
}

impl Terminal {
    pub(crate) fn new(color: Color) -> Self {
        let is_terminal = stderr().is_terminal();
        let dumb = is_dumb();
        let color = match usual(color) {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && !dumb,
        };
        Self {
            color,
            animate: is_terminal && !dumb,
        }
    }

    /// Writes a message to stderr, above the lines that are shown.
    pub(crate) fn say(&self, line: &str) {
        screen::say(&Line::of(line, self.color));
    }

    /// Replaces the lines at the bottom. `compose` makes the new ones for a number of columns.
    pub(crate) fn show(&self, compose: impl FnOnce(usize) -> Vec<String>) {
        if self.animate {
            screen::show(|columns| {
                let lines = compose(columns);
                lines.iter().map(|line| Line::of(line, false)).collect()
            });
        }
    }

    /// Removes the lines at the bottom.
    pub(crate) fn clear(&self) {
        if self.animate {
            screen::clear();
        }
    }
}

/// Styles a label such as `error:`.
pub(crate) fn red(label: &str) -> String {
    Style::Red.on(label)
}

/// Styles a label such as `hint:`.
pub(crate) fn cyan(label: &str) -> String {
    Style::Cyan.on(label)
}

/// Styles a label such as `note:`.
pub(crate) fn bold(label: &str) -> String {
    Style::Bold.on(label)
}

/// Resolves `auto` by the usual variables: <https://no-color.org> and <https://bixense.com/clicolors>.
pub(crate) fn usual(color: Color) -> Color {
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

/// Finds `--color` in a command line that is not parsed yet, for the parser's own errors and help.
pub(crate) fn early(words: &[OsString]) -> Color {
    let words = words.iter().skip(1).map(|word| word.to_string_lossy());
    let words: Vec<_> = words.take_while(|word| word != "--").collect();
    let asked = words.iter().enumerate().find_map(|(at, word)| {
        let value = match word.strip_prefix("--color")? {
            "" => words.get(at + 1)?,
            rest => rest.strip_prefix('=')?,
        };
        Color::from_str(value, false).ok()
    });
    asked.unwrap_or(Color::Auto)
}

/// Returns the choice for the parser's help, which goes to stdout.
pub(crate) fn choice(color: Color) -> ColorChoice {
    match usual(color) {
        Color::Always => ColorChoice::Always,
        Color::Auto if stdout_is_terminal() && !is_dumb() => ColorChoice::Always,
        Color::Auto | Color::Never => ColorChoice::Never,
    }
}

/// Returns whether the terminal ignores control sequences.
fn is_dumb() -> bool {
    environment::variable("TERM").is_none_or(|term| term == b"dumb")
}

/// Ignores a closed pipe on stdout: `| head` has seen enough.
pub(crate) fn written(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Formats a number with thousands separators: 41,000.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Formats a number and its noun: `1 file`, `41,000 files`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    format!(
        "{} {noun}{}",
        grouped(number),
        if number == 1 { "" } else { "s" }
    )
}

/// Formats a size in powers of two: `64 MiB`, `1.5 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    let mut amount = bytes as f64;
    let mut units = ["bytes", "KiB", "MiB", "GiB", "TiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for next in units {
        if amount < 1024.0 {
            break;
        }
        amount /= 1024.0;
        unit = next;
    }
    let rounded = (amount * 10.0).round() / 10.0;
    format!("{rounded} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(41_000), "41,000");
        assert_eq!(grouped(10_000_000), "10,000,000");
        assert_eq!(counted(1, "file"), "1 file");
        assert_eq!(counted(2, "file"), "2 files");
        for (bytes, expected) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (64 << 20, "64 MiB"),
            (3 << 29, "1.5 GiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }
}
