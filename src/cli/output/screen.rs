//! Shows a run's progress in the lines at the bottom of a terminal. Messages go above them.
//!
//! The cursor rests in a row of its own below the lines. So the terminal is in order whenever the process ends, and an
//! echoed `^C` does not damage a line. Each change is one write. It draws the lines with wrapping off (DECAWM), because
//! terminals disagree about the width of some characters and may have been resized.
//!
//! `indicatif::MultiProgress` was measured in tmux, with a `TermLike` that writes in the background and keeps the cursor
//! below. It left two or three old rows behind each time the window became narrower, and one after a typed line: it counts
//! the rows that it drew at the old width, and reaches the next row by filling a row until the terminal wraps.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::panic;
use std::sync::{Mutex, MutexGuard, PoisonError};

use console::{Term, measure_text_width};

use crate::cli::output::background::BackgroundWriter;
use crate::cli::output::environment;
use crate::cli::output::format::counted;
use crate::cli::output::shown::{Line, stderr};
use crate::cli::output::signals;

/// The stderr of the process.
static SCREEN: Mutex<Screen> = Mutex::new(Screen::new());

/// While at least this many bytes wait for a blocked stderr, messages are dropped.
const MOST_WAITING: usize = 256 << 10;

/// Stderr, with the progress lines that are on it.
#[derive(Debug)]
struct Screen {
    lines: Vec<String>,
    /// The terminal's width when they were drawn.
    columns: usize,
    /// Writes stderr in the background during a run, so that the run never waits for a reader.
    background: Option<BackgroundWriter>,
    /// Messages that were dropped because stderr was blocked.
    missed: u64,
}

/// Writes a message above the progress lines. If stderr is blocked, drops it, and a later message counts the dropped ones.
pub(crate) fn say(line: &Line) {
    let mut screen = screen();
    if screen
        .background
        .as_ref()
        .is_some_and(BackgroundWriter::is_full)
    {
        screen.missed += 1;
        return;
    }
    if screen.missed > 0 {
        let missed = counted(std::mem::take(&mut screen.missed), "line");
        screen.write(&format!(
            "note: {missed} not shown, because stderr was blocked\n"
        ));
    }
    if screen.lines.is_empty() {
        screen.write(&format!("{}\n", line.as_str()));
    } else {
        let lines = screen.lines.clone();
        screen.redraw(Some(line.as_str()), lines);
    }
}

/// Replaces the progress lines. `compose` makes the new ones for the terminal's width in columns.
pub(crate) fn show(compose: impl FnOnce(usize) -> Vec<Line>) {
    let (rows, columns) = size();
    // A line that ends in the last column would leave the cursor in it.
    let lines = compose(columns.saturating_sub(1).max(1));
    let lines = lines.iter().map(|line| line.as_str().to_owned());
    let lines = lines.take(rows.saturating_sub(1).max(1)).collect();
    let mut screen = screen();
    // A slow terminal skips these lines and gets the next ones.
    if !screen
        .background
        .as_ref()
        .is_some_and(BackgroundWriter::is_behind)
    {
        screen.redraw(None, lines);
    }
}

/// Removes the lines.
pub(crate) fn clear() {
    screen().redraw(None, Vec::new());
}

/// Starts a thread that writes to stderr, so that no other thread waits for it.
pub(crate) fn write_in_background() {
    let mut screen = screen();
    if screen.background.is_none() {
        let stderr = stderr().as_fd().try_clone_to_owned();
        // If no thread can be started, messages are written directly.
        screen.background = stderr
            .and_then(|stderr| BackgroundWriter::new(File::from(stderr), MOST_WAITING))
            .ok();
    }
}

/// Waits until all messages are written, unless stderr is stuck or too slow.
pub(crate) fn drain() {
    if let Some(background) = &screen().background {
        background.drain();
    }
}

/// Removes the lines before a panic message is written, which does not go through this module.
pub(crate) fn clear_on_panic() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |panicked| {
        // A thread that panics in this module holds the lock.
        if let Ok(mut screen) = SCREEN.try_lock() {
            screen.redraw(None, Vec::new());
            screen.background.as_ref().map(BackgroundWriter::drain);
        }
        report(panicked);
    }));
}

fn screen() -> MutexGuard<'static, Screen> {
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the rows and columns of the terminal.
fn size() -> (usize, usize) {
    let (rows, columns) = Term::stderr().size();
    (rows.into(), columns.into())
}

impl Screen {
    const fn new() -> Self {
        Self {
            lines: Vec::new(),
            columns: 0,
            background: None,
            missed: 0,
        }
    }

    /// Writes to stderr. Errors are ignored: the work continues when it is closed or full.
    fn write(&self, text: &str) {
        match &self.background {
            Some(background) => {
                background.push(text.into());
            }
            None => {
                let _ = stderr().lock().write_all(text.as_bytes());
            }
        }
    }

    /// Replaces the lines, and writes a message above them.
    fn redraw(&mut self, message: Option<&str>, lines: Vec<String>) {
        if signals::continued() {
            // The shell has written below the lines in the meantime.
            self.lines.clear();
        }
        if message.is_some() || !lines.is_empty() || !self.lines.is_empty() {
            let keeps_rows = environment::is_set("XTERM_VERSION") || environment::is_set("STY");
            // Programs in tmux have the environment of the terminal that started tmux.
            let reflows = !keeps_rows || environment::is_set("TMUX");
            let (_, columns) = size();
            let change = self.change(message, lines, columns, reflows);
            self.write(&change);
        }
    }

    /// Returns the text that erases the old lines and writes `message` and the new ones. `columns` is the terminal's
    /// width now; `reflows` says whether the terminal wrapped the old lines when it became narrower.
    fn change(
        &mut self,
        message: Option<&str>,
        lines: Vec<String>,
        columns: usize,
        reflows: bool,
    ) -> String {
        let narrower = reflows && columns < self.columns;
        let height = |line: &String| match narrower {
            true => measure_text_width(line).div_ceil(columns.max(1)).max(1),
            false => 1,
        };
        let up: usize = self.lines.iter().map(height).sum();
        let mut out = "\x1b[?7l\r".to_owned();
        if up > 0 {
            // Erase from the second row on: tmux would save a screen that is erased from its first row.
            out.push_str(&format!("\x1b[{up}A\x1b[2K\n\x1b[J\x1b[1A"));
        } else {
            out.push_str("\x1b[2K");
        }
        if let Some(message) = message {
            out.push_str(&format!("\x1b[?7h{message}\n\x1b[?7l"));
        }
        for line in &lines {
            out.push_str(line);
            out.push('\n');
        }
        out.push_str("\x1b[?7h");
        (self.lines, self.columns) = (lines, columns);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model of a terminal: its rows and its cursor.
    struct Glass {
        rows: Vec<Vec<char>>,
        row: usize,
        column: usize,
        columns: usize,
        wraps: bool,
    }

    impl Glass {
        fn new(columns: usize) -> Self {
            Self {
                rows: vec![Vec::new()],
                row: 0,
                column: 0,
                columns,
                wraps: true,
            }
        }

        fn write(&mut self, text: &str) {
            let mut rest = text;
            while let Some(c) = rest.chars().next() {
                rest = &rest[c.len_utf8()..];
                match c {
                    '\r' => self.column = 0,
                    '\n' => self.down(),
                    '\x1b' => {
                        let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap();
                        self.control(&rest[1..=end]);
                        rest = &rest[end + 1..];
                    }
                    c => {
                        if self.column == self.columns {
                            assert!(self.wraps, "{text:?} is too wide");
                            self.down();
                        }
                        let row = &mut self.rows[self.row];
                        row.resize(row.len().max(self.column + 1), ' ');
                        row[self.column] = c;
                        self.column += 1;
                    }
                }
            }
        }

        fn down(&mut self) {
            (self.row, self.column) = (self.row + 1, 0);
            if self.row == self.rows.len() {
                self.rows.push(Vec::new());
            }
        }

        fn control(&mut self, words: &str) {
            match words {
                "2K" => self.rows[self.row].clear(),
                "J" => {
                    self.rows[self.row].truncate(self.column);
                    self.rows.truncate(self.row + 1);
                }
                "?7l" => self.wraps = false,
                "?7h" => self.wraps = true,
                up => self.row -= up.strip_suffix('A').unwrap().parse::<usize>().unwrap(),
            }
        }

        /// Asserts the text, and that the cursor is in an empty row below it.
        #[track_caller]
        fn shows(&self, expected: &[&str]) {
            let rows = self.rows.iter().map(|row| row.iter().collect::<String>());
            let rows: Vec<String> = rows.collect();
            assert_eq!(rows[..self.row], *expected);
            assert_eq!(rows[self.row..].concat(), "");
            assert_eq!(self.column, 0);
            assert!(self.wraps);
        }
    }

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn messages_go_above_the_lines() {
        let (mut screen, mut glass) = (Screen::new(), Glass::new(20));
        glass.write("before\n");
        let mut turn = |message, shown: &[&str]| {
            glass.write(&screen.change(message, lines(shown), 20, true));
            let expected = match message {
                Some(_) => [&["before", "a line that is longe", "r than that"], shown].concat(),
                None => [&["before"], shown].concat(),
            };
            glass.shows(&expected);
        };
        turn(None, &["one", "two"]);
        turn(None, &["one", "2"]);
        turn(None, &["one", "2", "three"]);
        turn(None, &["1"]);
        turn(Some("a line that is longer than that"), &["one", "two"]);
    }

    #[test]
    fn a_terminal_that_became_narrower_has_the_lines_in_more_rows() {
        for (reflows, rows) in [
            (true, ["before", "a long", " line", "two"].as_slice()),
            (false, &["before", "a long", "two"]),
        ] {
            let mut screen = Screen::new();
            let shown = lines(&["a long line", "two"]);
            let _ = screen.change(None, shown, 20, reflows);
            let mut glass = Glass::new(6);
            rows.iter().for_each(|row| glass.write(&format!("{row}\n")));
            glass.write(&screen.change(None, lines(&["short", "2"]), 6, reflows));
            glass.shows(&["before", "short", "2"]);
            // A wider one leaves them where they are.
            glass.columns = 20;
            glass.write(&screen.change(None, lines(&["wide", "2"]), 20, reflows));
            glass.shows(&["before", "wide", "2"]);
        }
    }
}
