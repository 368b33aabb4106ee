//! Writes to a file, pipe or terminal that may be slow or stuck, from a thread of its own, so that a run never waits for
//! its reader.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long the end of a command waits for a place that takes nothing.
const STUCK: Duration = Duration::from_secs(2);
/// How long the end of a command waits for a place that is slow.
const SLOW: Duration = Duration::from_secs(10);

/// The way to such a place. Its thread ends after this is dropped, when all is written.
#[derive(Debug)]
pub(crate) struct Outlet {
    shared: Arc<Shared>,
    /// Where so many bytes wait, more is dropped.
    most: usize,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What was handed over and is not yet being written.
    waiting: VecDeque<Vec<u8>>,
    /// The bytes of all that.
    bytes: usize,
    /// The lines that are being written.
    writing: Option<usize>,
    /// How many writes have ended.
    writes: u64,
    error: Option<io::Error>,
    /// No more will come.
    is_closed: bool,
    /// The end of a command has waited in vain: it does so once.
    is_given_up: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outlet {
    /// Starts the thread that writes. Where `most` bytes wait, more is dropped.
    pub(crate) fn new(to: impl Write + Send + 'static, most: usize) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let of_thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("outlet".to_owned())
            .spawn(move || write_all(to, &of_thread))?;
        Ok(Self { shared, most })
    }

    /// Hands lines over to be written after those before them. Returns false where too much waits already: these are
    /// dropped then.
    pub(crate) fn push(&self, lines: Vec<u8>) -> bool {
        let mut state = self.shared.state();
        if state.bytes >= self.most {
            return false;
        }
        state.bytes += lines.len();
        state.waiting.push_back(lines);
        self.shared.changed.notify_all();
        true
    }

    /// Returns whether so much waits that more would be dropped.
    pub(crate) fn is_full(&self) -> bool {
        self.shared.state().bytes >= self.most
    }

    /// Returns whether anything is still to be written.
    pub(crate) fn is_behind(&self) -> bool {
        self.shared.state().is_behind()
    }

    /// Returns why a write failed, once.
    pub(crate) fn take_error(&self) -> Option<io::Error> {
        self.shared.state().error.take()
    }

    /// Waits until all is written, unless the place is stuck or too slow. Returns how many lines are not written then.
    pub(crate) fn drain(&self) -> usize {
        let began = Instant::now();
        let mut state = self.shared.state();
        let (mut writes, mut moved) = (state.writes, began);
        while state.is_behind() && !state.is_given_up {
            if state.writes > writes {
                (writes, moved) = (state.writes, Instant::now());
            }
            let stuck = STUCK.saturating_sub(moved.elapsed());
            let left = stuck.min(SLOW.saturating_sub(began.elapsed()));
            state.is_given_up = left.is_zero();
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let waiting: usize = state.waiting.iter().map(|lines| count(lines)).sum();
        waiting + state.writing.unwrap_or(0)
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.shared.state().is_closed = true;
        self.shared.changed.notify_all();
    }
}

impl State {
    fn is_behind(&self) -> bool {
        self.writing.is_some() || !self.waiting.is_empty()
    }
}

/// Writes what is handed over, until no more will come.
fn write_all(mut to: impl Write, shared: &Shared) {
    loop {
        let mut state = shared.state();
        let lines = loop {
            if let Some(lines) = state.waiting.pop_front() {
                break lines;
            }
            if state.is_closed {
                return;
            }
            let waited = shared.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        };
        state.bytes -= lines.len();
        state.writing = Some(count(&lines));
        drop(state);
        let result = to.write_all(&lines);
        let mut state = shared.state();
        state.writing = None;
        state.writes += 1;
        if let Err(error) = result {
            state.error = Some(error);
        }
        shared.changed.notify_all();
    }
}

/// Counts lines.
pub(crate) fn count(lines: &[u8]) -> usize {
    lines.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn all_is_written_in_order() {
        let (mut reader, writer) = io::pipe().unwrap();
        let outlet = Outlet::new(writer, 1 << 20).unwrap();
        let mut expected = String::new();
        for number in 0..10_000 {
            let line = format!("{number}\n");
            expected.push_str(&line);
            assert!(outlet.push(line.into()));
        }
        drop(outlet);
        let mut written = String::new();
        reader.read_to_string(&mut written).unwrap();
        assert_eq!(written, expected);
    }

    #[test]
    fn a_place_that_takes_nothing_is_given_up() {
        let (reader, writer) = io::pipe().unwrap();
        let outlet = Outlet::new(writer, 10 << 20).unwrap();
        let line = [vec![b'x'; 1 << 20], vec![b'\n']].concat();
        let taken = (0..100).filter(|_| outlet.push(line.clone())).count();
        // One is being written.
        assert!((10..=11).contains(&taken), "{taken}");
        assert!(outlet.is_behind());
        assert_eq!(outlet.drain(), taken);
        drop(reader);
        outlet.shared.state().is_given_up = false;
        assert_eq!(outlet.drain(), 0);
        let error = outlet.take_error().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
