//! Escapes all output for people, so that no untrusted text controls the terminal. It reaches stderr only as a [`Line`], and
//! stdout only through [`lines`] or [`data`].

use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;

use stride::job::escaped;

/// Marks in a text for styles, until [`Line::new`] replaces them by control sequences. They are code points that Unicode
/// reserves for programs (noncharacters, section 23.7).
const RED: char = '\u{fdd0}';
const CYAN: char = '\u{fdd1}';
const BOLD: char = '\u{fdd2}';
const END: char = '\u{fdd3}';

/// Styles a label such as `error:`.
pub(crate) fn red(label: &str) -> String {
    format!("{RED}{label}{END}")
}

/// Styles a label such as `hint:`.
pub(crate) fn cyan(label: &str) -> String {
    format!("{CYAN}{label}{END}")
}

/// Styles a label such as `note:`.
pub(crate) fn bold(label: &str) -> String {
    format!("{BOLD}{label}{END}")
}

/// Returns the control sequence of a mark.
fn sequence(mark: char) -> Option<&'static str> {
    Some(match mark {
        RED => "\x1b[1;31m",
        CYAN => "\x1b[1;36m",
        BOLD => "\x1b[1m",
        END => "\x1b[0m",
        _ => return None,
    })
}

/// A line for a terminal. Its only control characters are those of its styles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line(String);

impl Line {
    /// Escapes a text, line ends included, and applies its styles if there are `colors`.
    pub(crate) fn new(text: &str, colors: bool) -> Self {
        let mut out = String::with_capacity(text.len());
        for part in text.split_inclusive(|char| sequence(char).is_some()) {
            let mark = part.chars().next_back().and_then(sequence);
            let words = match mark {
                Some(_) => part.strip_suffix(|_| true).unwrap_or_default(),
                None => part,
            };
            out.push_str(&escaped(words.as_bytes()));
            out.push_str(mark.filter(|_| colors).unwrap_or_default());
        }
        Self(out)
    }

    /// Returns the escaped line.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns whether stdout is a terminal.
pub(crate) fn is_terminal() -> bool {
    stdout().is_terminal()
}

/// Writes lines for people to stdout. A line end within one is escaped.
///
/// # Errors
///
/// They cannot be written.
pub(crate) fn lines<L: AsRef<str>>(lines: impl IntoIterator<Item = L>) -> io::Result<()> {
    let mut out = BufWriter::new(stdout().lock());
    for line in lines {
        writeln!(out, "{}", Line::new(line.as_ref(), false).as_str())?;
    }
    out.flush()
}

/// Returns stdout for data. Programs get every byte unchanged; on a terminal, control characters are escaped.
pub(crate) fn data() -> Box<dyn Write> {
    let out = stdout().lock();
    match out.is_terminal() {
        true => Box::new(Escaping::new(out)),
        false => Box::new(BufWriter::new(out)),
    }
}

#[expect(clippy::disallowed_methods, reason = "this module escapes the output")]
fn stdout() -> io::Stdout {
    io::stdout()
}

/// Returns a descriptor of stdout, for the protocol of a program.
pub(crate) fn own_stdout() -> io::Result<OwnedFd> {
    stdout().as_fd().try_clone_to_owned()
}

/// Returns stderr, for escaped lines.
#[expect(
    clippy::disallowed_methods,
    reason = "callers write only escaped lines"
)]
pub(crate) fn stderr() -> io::Stderr {
    io::stderr()
}

/// Returns stderr for a program that the user has chosen.
pub(crate) fn stderr_of_child() -> Stdio {
    let own = stderr().as_fd().try_clone_to_owned();
    own.map_or_else(|_| Stdio::null(), Stdio::from)
}

/// Escapes control characters, except line ends and tabs.
struct Escaping<W> {
    to: W,
    /// The beginning of an incomplete character.
    begun: Vec<u8>,
}

impl<W: Write> Escaping<W> {
    fn new(to: W) -> Self {
        let begun = Vec::new();
        Self { to, begun }
    }

    fn write_escaped(&mut self, bytes: &[u8]) -> io::Result<()> {
        let pieces = bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\t'));
        for piece in pieces {
            let (words, end) = match piece.split_last() {
                Some((end @ (b'\n' | b'\t'), words)) => (words, std::slice::from_ref(end)),
                _ => (piece, &[][..]),
            };
            self.to.write_all(escaped(words).as_bytes())?;
            self.to.write_all(end)?;
        }
        Ok(())
    }
}

impl<W: Write> Write for Escaping<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = std::mem::take(&mut self.begun);
        all.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&all) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            // An invalid byte in the middle is escaped at once.
            _ => all.len(),
        };
        self.begun = all.split_off(whole);
        self.write_escaped(&all)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn acts(char: char) -> bool {
        escaped(char.to_string().as_bytes()) != char.to_string()
    }

    #[test]
    fn a_line_has_no_control_characters_but_those_of_its_styles() {
        let text = format!("{} a\x1b[2Jb\nc\u{9b}d", red("error:"));
        let plain = Line::new(&text, false);
        assert_eq!(plain.as_str(), r"error: a\u{1b}[2Jb\nc\u{9b}d");
        let bright = Line::new(&text, true);
        assert_eq!(
            bright.as_str(),
            "\x1b[1;31merror:\x1b[0m a\\u{1b}[2Jb\\nc\\u{9b}d"
        );
    }

    proptest! {
        #[test]
        fn no_control_character_passes(text: String, cuts in prop::collection::vec(0usize..8, 0..8)) {
            prop_assert!(!Line::new(&text, false).as_str().contains(acts));
            let (mut out, mut rest) = (Vec::new(), text.as_bytes());
            let mut escaping = Escaping::new(&mut out);
            for cut in cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                escaping.write_all(now).unwrap();
                rest = later;
            }
            escaping.write_all(rest).unwrap();
            drop(escaping);
            let expected: String = text
                .chars()
                .map(|char| match char {
                    '\n' | '\t' => char.to_string(),
                    char => escaped(char.to_string().as_bytes()),
                })
                .collect();
            prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
