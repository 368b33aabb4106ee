//! What goes to the terminal and how: stderr for people, stdout for data.

use std::ffi::OsString;
use std::io::{self, ErrorKind, IsTerminal};

use clap::{ColorChoice, ValueEnum as _};

use super::args::Color;
use super::shown::{Line, Style, is_terminal as stdout_is_terminal, stderr};
use super::{environment, screen};

/// How stderr may be written to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminal {
    color: bool,
    /// Whether lines may be drawn and redrawn.
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

    /// Writes a line to stderr, above the lines that are shown. Where stderr is closed or full, the work goes on without
    /// words.
    pub(crate) fn say(&self, line: &str) {
        screen::say(&Line::of(line, self.color));
    }

    /// Shows lines at the bottom, instead of those that are shown; `compose` makes them, for so many columns.
    pub(crate) fn show(&self, compose: impl FnOnce(usize) -> Vec<String>) {
        if self.animate {
            screen::show(|columns| {
                let lines = compose(columns);
                lines.iter().map(|line| Line::of(line, false)).collect()
            });
        }
    }

    /// Takes the lines away that are shown.
    pub(crate) fn clear(&self) {
        if self.animate {
            screen::clear();
        }
    }

    /// A label such as `error:`.
    #[expect(clippy::unused_self, reason = "labels are said on a terminal")]
    pub(crate) fn red(&self, label: &str) -> String {
        Style::Red.on(label)
    }

    /// A label such as `hint:`.
    #[expect(clippy::unused_self, reason = "labels are said on a terminal")]
    pub(crate) fn cyan(&self, label: &str) -> String {
        Style::Cyan.on(label)
    }

    /// A label such as `note:`.
    #[expect(clippy::unused_self, reason = "labels are said on a terminal")]
    pub(crate) fn bold(&self, label: &str) -> String {
        Style::Bold.on(label)
    }
}

/// When to use colours, where neither a flag nor stride's own preferences say so: as <https://no-color.org> and
/// <https://bixense.com/clicolors> have it.
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

/// When to use colours for what is said before the command line is understood, which may ask for it all the same.
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

/// The same for the parser's help, which goes to stdout.
pub(crate) fn choice(color: Color) -> ColorChoice {
    match usual(color) {
        Color::Always => ColorChoice::Always,
        Color::Auto if stdout_is_terminal() && !is_dumb() => ColorChoice::Always,
        Color::Auto | Color::Never => ColorChoice::Never,
    }
}

/// Whether the terminal shows characters and nothing else.
fn is_dumb() -> bool {
    environment::variable("TERM").is_none_or(|term| term == b"dumb")
}

/// Ends a command that wrote to stdout: a reader that has seen enough (`| head`) is no error.
pub(crate) fn written(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// A number with its thousands set apart: 41,000.
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

/// `1 file`, `41,000 files`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    format!(
        "{} {noun}{}",
        grouped(number),
        if number == 1 { "" } else { "s" }
    )
}

/// A size as people read it, in powers of two: `64 MiB`, `1.5 GiB`.
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
