//! Writes to a file, pipe or terminal from a background thread, so that a run never waits for a slow or stuck reader.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The longest wait of [`BackgroundWriter::drain`] without progress.
const STUCK: Duration = Duration::from_secs(2);
/// The longest wait of [`BackgroundWriter::drain`].
const SLOW: Duration = Duration::from_secs(10);

/// Queues batches of lines for a thread that writes them. After a drop, the thread ends with the last batch.
#[derive(Debug)]
pub(crate) struct BackgroundWriter {
    shared: Arc<Shared>,
    /// While at least this many bytes wait, further batches are dropped.
    capacity: usize,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Batches that are not being written yet.
    waiting: VecDeque<Vec<u8>>,
    /// The bytes in `waiting`.
    bytes: usize,
    /// Batches that are not written, including the one that is being written.
    unwritten: usize,
    /// The lines of unwritten batches.
    lines: usize,
    /// The error of the last write that failed, and the lines of all failed batches, until they are taken.
    failure: Option<(io::Error, usize)>,
    closed: bool,
    /// Set when `drain` has timed out. Later calls do not wait.
    gave_up: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BackgroundWriter {
    /// Starts the thread.
    pub(crate) fn new(to: impl Write + Send + 'static, capacity: usize) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let of_thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || write_all(to, &of_thread))?;
        Ok(Self { shared, capacity })
    }

    /// Queues a batch of lines. Returns false, and drops it, if too much waits already.
    pub(crate) fn push(&self, batch: Vec<u8>) -> bool {
        let mut state = self.shared.state();
        if state.bytes >= self.capacity {
            return false;
        }
        state.bytes += batch.len();
        state.unwritten += 1;
        state.lines += count(&batch);
        state.waiting.push_back(batch);
        self.shared.changed.notify_all();
        true
    }

    /// Returns whether `push` would drop a batch.
    pub(crate) fn is_full(&self) -> bool {
        self.shared.state().bytes >= self.capacity
    }

    /// Returns whether anything is still to be written.
    pub(crate) fn is_behind(&self) -> bool {
        self.shared.state().unwritten > 0
    }

    /// Takes the error of the last write that failed, and the number of lines that failed writes have lost since the last
    /// call.
    pub(crate) fn take_failure(&self) -> Option<(io::Error, usize)> {
        self.shared.state().failure.take()
    }

    /// Waits until everything is written, unless the reader is stuck or too slow. Returns the number of lines that still
    /// wait.
    pub(crate) fn drain(&self) -> usize {
        let mut state = self.shared.state();
        let end = Instant::now() + SLOW;
        let mut unwritten = state.unwritten;
        let mut stuck = Instant::now() + STUCK;
        while state.unwritten > 0 && !state.gave_up {
            if state.unwritten < unwritten {
                unwritten = state.unwritten;
                stuck = Instant::now() + STUCK;
            }
            let left = stuck.min(end).saturating_duration_since(Instant::now());
            state.gave_up = left.is_zero();
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.lines
    }
}

impl Drop for BackgroundWriter {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        self.shared.changed.notify_all();
    }
}

/// Writes batches until the writer is dropped.
fn write_all(mut to: impl Write, shared: &Shared) {
    loop {
        let mut state = shared.state();
        let batch = loop {
            if let Some(batch) = state.waiting.pop_front() {
                break batch;
            }
            if state.closed {
                return;
            }
            let waited = shared.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        };
        state.bytes -= batch.len();
        drop(state);
        let result = to.write_all(&batch);
        let mut state = shared.state();
        let lines = count(&batch);
        state.unwritten -= 1;
        state.lines -= lines;
        if let Err(error) = result {
            let before = state.failure.take().map_or(0, |(_, lost)| lost);
            state.failure = Some((error, before + lines));
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
    fn batches_are_written_in_order() {
        let (mut reader, writer) = io::pipe().unwrap();
        let background = BackgroundWriter::new(writer, 1 << 20).unwrap();
        let mut expected = String::new();
        for number in 0..10_000 {
            let line = format!("{number}\n");
            expected.push_str(&line);
            assert!(background.push(line.into()));
        }
        drop(background);
        let mut written = String::new();
        reader.read_to_string(&mut written).unwrap();
        assert_eq!(written, expected);
    }

    #[test]
    fn drain_gives_up_on_a_stuck_reader() {
        let (reader, writer) = io::pipe().unwrap();
        let background = BackgroundWriter::new(writer, 10 << 20).unwrap();
        let line = [vec![b'x'; 1 << 20], vec![b'\n']].concat();
        let taken = (0..100).filter(|_| background.push(line.clone())).count();
        // The thread has one batch in hand.
        assert!((10..=11).contains(&taken), "{taken}");
        assert!(background.is_behind());
        assert_eq!(background.drain(), taken);
        drop(reader);
        background.shared.state().gave_up = false;
        assert_eq!(background.drain(), 0);
        let (error, lost) = background.take_failure().unwrap();
        assert_eq!((error.kind(), lost), (io::ErrorKind::BrokenPipe, taken));
    }
}
