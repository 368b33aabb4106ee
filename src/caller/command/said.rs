//! What programs write to their standard error: its end is kept for failures, and its lines are shown.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::job::{Failure, escaped};

/// The maximum number of lines that wait to be shown. Later ones are counted.
const MOST_WAITING: usize = 200;
/// The maximum length of a line that is shown, in bytes.
const LONGEST: usize = 1000;

/// Lines that wait to be shown.
#[derive(Debug, Default)]
pub(super) struct Said(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<String>,
    left_out: u64,
}

impl Said {
    /// Adds a line of a program that works for `name`.
    pub(super) fn add(&self, name: &str, line: &[u8]) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.lines.len() == MOST_WAITING {
            waiting.left_out += 1;
            return;
        }
        let line = escaped(line);
        waiting.lines.push_back(format!("{name}: {line}"));
    }

    /// Takes the lines that wait.
    pub(super) fn take(&self) -> Vec<String> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Waiting { lines, left_out } = std::mem::take(&mut *waiting);
        let more = (left_out > 0).then(|| format!("and {left_out} more lines of programs"));
        lines.into_iter().chain(more).collect()
    }
}

/// The standard error of one program.
#[derive(Debug)]
pub(super) struct Listener {
    said: Arc<Said>,
    name: String,
    /// The last bytes, at most [`Failure::BODY_KEPT`]: an error's reason is usually in its last line.
    tail: VecDeque<u8>,
    line: Vec<u8>,
}

impl Listener {
    /// Listens to a program that works for `name`.
    pub(super) fn new(said: &Arc<Said>, name: String) -> Self {
        Self {
            said: Arc::clone(said),
            name,
            tail: VecDeque::new(),
            line: Vec::new(),
        }
    }

    /// Adds what the program wrote.
    pub(super) fn add(&mut self, piece: &[u8]) {
        let room = Failure::BODY_KEPT.saturating_sub(piece.len());
        let over = self.tail.len().saturating_sub(room);
        self.tail.drain(..over);
        self.tail
            .extend(&piece[piece.len().saturating_sub(Failure::BODY_KEPT)..]);
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let room = LONGEST.saturating_sub(self.line.len());
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if text.len() < part.len() {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = line.trim_ascii_end();
        if !line.is_empty() {
            self.said.add(&self.name, line);
        }
    }

    /// Returns the last bytes, and shows an unfinished line.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        self.flush();
        std::mem::take(&mut self.tail).into()
    }
}

/// Returns the last line that is not blank, for a message.
pub(super) fn last_line(tail: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(tail);
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
    let line: String = line.trim().chars().take(LONGEST).collect();
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_and_whole_lines_are_shown() {
        let said = Arc::new(Said::default());
        let mut listener = Listener::new(&said, "a.txt".to_owned());
        listener.add(b"one\ntw");
        assert_eq!(said.take(), ["a.txt: one"]);
        listener.add(b"o\x1b\r\n\n");
        listener.add(&[b'x'; 5000]);
        listener.add(b"y");
        let taken = said.take();
        assert_eq!(taken, [r"a.txt: two\u{1b}"]);
        let tail = listener.finish();
        assert_eq!((tail.len(), tail.last()), (Failure::BODY_KEPT, Some(&b'y')));
        assert_eq!(said.take()[0].len(), LONGEST + "a.txt: ".len());
        for _ in 0..MOST_WAITING + 2 {
            said.add("b", b"line");
        }
        let taken = said.take();
        assert_eq!(taken[MOST_WAITING], "and 2 more lines of programs");
        assert_eq!(last_line(b"a\n b \n\n"), Some("b".to_owned()));
        assert_eq!(last_line(b" \n"), None);
    }
}
