//! The lines at the bottom of a terminal that change while a command goes on. Whatever is said goes above them.
//!
//! The cursor rests below them, in a row of its own: so the terminal is as it should be at every moment at which the
//! process may end, and what a terminal echoes (`^C`) is not in their way. Each change is one write, in which the
//! terminal is kept from wrapping (DECAWM), for it may think otherwise about the width of a character, or have
//! another width by now.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::panic;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use console::Term;

use super::environment;
use super::outlet::Outlet;
use super::shown::{Line, stderr};
use super::signals;
use super::terminal::counted;
use super::width::{rows, width};

/// The process's one terminal.
static SCREEN: Mutex<Screen> = Mutex::new(Screen::new());

/// How often lines are written that are there already: what somebody types may have moved them.
const ANEW_EVERY: Duration = Duration::from_secs(1);

/// So many bytes may wait for a stderr that takes none.
const MOST_WAITING: usize = 256 << 10;

/// The lines that are there.
#[derive(Debug)]
struct Screen {
    lines: Vec<String>,
    /// How wide the terminal was when they were drawn, in columns.
    columns: usize,
    /// When all of them were written last.
    written: Option<Instant>,
    /// The way to stderr while a run goes on, which must not wait for whoever reads it.
    outlet: Option<Outlet>,
    /// How many lines were dropped because stderr took none.
    missed: u64,
}

/// Writes a line for people, above the lines that are shown. Where stderr is closed or full, the work goes on without
/// words.
pub(crate) fn say(line: &Line) {
    let mut screen = screen();
    if screen.is_stuck() {
        screen.missed += 1;
        return;
    }
    if screen.missed > 0 {
        let missed = counted(std::mem::take(&mut screen.missed), "line");
        screen.write(&format!(
            "note: {missed} not shown, because stderr took none\n"
        ));
    }
    if screen.lines.is_empty() {
        screen.write(&format!("{}\n", line.as_str()));
    } else {
        let (_, columns) = size();
        let lines = screen.lines.clone();
        screen.turn(Some(line.as_str()), lines, columns, true);
    }
}

/// Shows these lines instead of those that there are. `compose` makes them, for so many columns.
pub(crate) fn show(compose: impl FnOnce(usize) -> Vec<Line>) {
    let (most, columns) = size();
    // A line that ends in the last column would leave the cursor in it.
    let lines = compose(columns.saturating_sub(1));
    let mut lines: Vec<String> = lines.iter().map(|line| line.as_str().to_owned()).collect();
    lines.truncate(most.saturating_sub(1).max(1));
    let mut screen = screen();
    if screen.outlet.as_ref().is_some_and(Outlet::is_behind) {
        // The next ones say what these would have said.
        return;
    }
    let anew = screen
        .written
        .is_none_or(|written| written.elapsed() >= ANEW_EVERY);
    screen.turn(None, lines, columns, anew);
}

/// Takes the lines away.
pub(crate) fn clear() {
    let mut screen = screen();
    if !screen.lines.is_empty() {
        let (_, columns) = size();
        screen.turn(None, Vec::new(), columns, true);
    }
}

/// From now on a thread of its own writes to stderr, so that no other thread waits for it.
pub(crate) fn write_in_background() {
    let mut screen = screen();
    if screen.outlet.is_none() {
        let stderr = stderr().as_fd().try_clone_to_owned();
        // Without a thread, stderr is written to as before.
        screen.outlet = stderr
            .and_then(|stderr| Outlet::new(File::from(stderr), MOST_WAITING))
            .ok();
    }
}

/// Waits until all that was said is written, where stderr takes it.
pub(crate) fn drain() {
    if let Some(outlet) = &screen().outlet {
        outlet.drain();
    }
}

/// From now on the lines are taken away before a thread that panics says so: what it says knows nothing of them.
pub(crate) fn make_way_for_panics() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |panicked| {
        // Whoever panics here has it already.
        if let Ok(mut screen) = SCREEN.try_lock() {
            let (_, columns) = size();
            screen.turn(None, Vec::new(), columns, true);
            screen.outlet.as_ref().map(Outlet::drain);
        }
        tell(panicked);
    }));
}

fn screen() -> MutexGuard<'static, Screen> {
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Rows and columns of the terminal.
fn size() -> (usize, usize) {
    let (rows, columns) = Term::stderr().size();
    (rows.into(), columns.into())
}

impl Screen {
    const fn new() -> Self {
        Self {
            lines: Vec::new(),
            columns: 0,
            written: None,
            outlet: None,
            missed: 0,
        }
    }

    /// Returns whether stderr has taken nothing for so long that more would be too much.
    fn is_stuck(&self) -> bool {
        self.outlet.as_ref().is_some_and(Outlet::is_full)
    }

    /// Writes to stderr. Where it is closed or full, the work goes on without words.
    fn write(&self, text: &str) {
        match &self.outlet {
            Some(outlet) => {
                outlet.push(text.into());
            }
            None => {
                let _ = stderr().lock().write_all(text.as_bytes());
            }
        }
    }

    fn turn(&mut self, said: Option<&str>, lines: Vec<String>, columns: usize, anew: bool) {
        if signals::continued() {
            // Meanwhile others have written below them.
            self.lines.clear();
        }
        let keeps_rows = environment::is_set("XTERM_VERSION") || environment::is_set("STY");
        // What runs in tmux is told of the terminal that tmux was begun in.
        let reflows = !keeps_rows || environment::is_set("TMUX");
        let change = self.change(said, lines, columns, reflows, anew);
        if !change.is_empty() {
            if anew {
                self.written = Some(Instant::now());
            }
            self.write(&change);
        }
    }

    /// What has to be written so that `said` is above `lines`, and these are there instead of those that were, on a
    /// terminal that has so many columns by now. Lines that stay as they are, are left alone, but with `anew`.
    fn change(
        &mut self,
        said: Option<&str>,
        lines: Vec<String>,
        columns: usize,
        reflows: bool,
        anew: bool,
    ) -> String {
        let in_place = said.is_none() && columns == self.columns && !lines.is_empty();
        let is_empty = said.is_none() && lines.is_empty() && self.lines.is_empty();
        if is_empty || in_place && !anew && lines == self.lines {
            return String::new();
        }
        let mut out = "\x1b[?7l\r".to_owned();
        let narrower = reflows && columns < self.columns;
        let taken = |line: &String| if narrower { rows(line, columns) } else { 1 };
        let up: usize = self.lines.iter().map(taken).sum();
        if up > 0 {
            // Writing to a string does not fail.
            let _ = write!(out, "\x1b[{up}A");
        }
        if !in_place {
            out.push_str("\x1b[2K");
            if up > 0 {
                // Not from the first row on: who clears all of a screen may want to keep what was on it (tmux).
                out.push_str("\n\x1b[J\x1b[1A");
            }
        }
        if let Some(said) = said {
            let _ = write!(out, "\x1b[?7h{said}\n\x1b[?7l");
        }
        for (i, line) in lines.iter().enumerate() {
            let before = self.lines.get(i).filter(|_| in_place);
            if anew || before != Some(line) {
                // What is cleared behind a text is a part of its row for some terminals (tmux), and takes another row when
                // there are fewer columns; what is cleared as a whole is not.
                if before.is_some_and(|before| width(before) > width(line)) {
                    out.push_str("\x1b[2K");
                }
                let _ = write!(out, "{line}\x1b[K");
            }
            out.push('\n');
        }
        if !lines.is_empty() {
            // What was below, and what was typed meanwhile.
            out.push_str("\x1b[J");
        }
        out.push_str("\x1b[?7h");
        (self.lines, self.columns) = (lines, columns);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A terminal that knows as much as is needed here: what is in its rows, and where the cursor is.
    struct Glass {
        rows: Vec<Vec<char>>,
        row: usize,
        column: usize,
        columns: usize,
        wraps: bool,
        /// Characters that were written.
        written: usize,
    }

    impl Glass {
        fn new(columns: usize) -> Self {
            Self {
                rows: vec![Vec::new()],
                row: 0,
                column: 0,
                columns,
                wraps: true,
                written: 0,
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
                        self.written += 1;
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
                "K" => self.rows[self.row].truncate(self.column),
                "J" => {
                    self.rows[self.row].truncate(self.column);
                    self.rows.truncate(self.row + 1);
                }
                "?7l" => self.wraps = false,
                "?7h" => self.wraps = true,
                up => self.row -= up.strip_suffix('A').unwrap().parse::<usize>().unwrap(),
            }
        }

        /// Its text, and that the cursor is in a row of its own below it.
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
    fn lines_change_in_their_places_and_what_is_said_goes_above_them() {
        let (mut screen, mut glass) = (Screen::new(), Glass::new(20));
        glass.write("before\n");
        let mut turn = |said, shown: &[&str], anew| {
            let change = screen.change(said, lines(shown), 20, true, anew);
            glass.written = 0;
            glass.write(&change);
            glass.rows.iter().for_each(|row| assert!(row.len() <= 20));
            let expected = match said {
                Some(_) => [&["before", "a line that is longe", "r than that"], shown].concat(),
                None => [&["before"], shown].concat(),
            };
            glass.shows(&expected);
            glass.written
        };
        assert_eq!(turn(None, &["one", "two"], false), 6);
        // Only what is another line is written.
        assert_eq!(turn(None, &["one", "2"], false), 1);
        assert_eq!(turn(None, &["one", "2"], false), 0);
        assert_eq!(turn(None, &["one", "2"], true), 4);
        assert_eq!(turn(None, &["one", "2", "three"], false), 5);
        assert_eq!(turn(None, &["1"], false), 1);
        assert_eq!(turn(None, &["one", "two"], false), 6);
        turn(
            Some("a line that is longer than that"),
            &["one", "two"],
            true,
        );
    }

    #[test]
    fn what_was_typed_meanwhile_goes_with_the_next_change() {
        let (mut screen, mut glass) = (Screen::new(), Glass::new(20));
        glass.write(&screen.change(None, lines(&["one", "two"]), 20, true, false));
        glass.write("^C");
        glass.write(&screen.change(None, lines(&["one", "2"]), 20, true, false));
        glass.shows(&["one", "2"]);
        glass.write("^C");
        glass.write(&screen.change(None, Vec::new(), 20, true, true));
        glass.shows(&[]);
    }

    #[test]
    fn a_terminal_that_became_narrower_has_the_lines_in_more_rows() {
        for (reflows, rows) in [
            (true, ["before", "a long", " line", "two"].as_slice()),
            (false, &["before", "a long", "two"]),
        ] {
            let mut screen = Screen::new();
            let shown = lines(&["a long line", "two"]);
            let _ = screen.change(None, shown, 20, reflows, false);
            let mut glass = Glass::new(6);
            rows.iter().for_each(|row| glass.write(&format!("{row}\n")));
            glass.write(&screen.change(None, lines(&["short", "2"]), 6, reflows, false));
            glass.shows(&["before", "short", "2"]);
            // A wider one leaves them where they are.
            glass.columns = 20;
            glass.write(&screen.change(None, lines(&["wide", "2"]), 20, reflows, false));
            glass.shows(&["before", "wide", "2"]);
        }
    }
}
