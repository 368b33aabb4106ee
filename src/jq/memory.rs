//! The memory of values. In the interpreter an answer takes up to forty times its size, so all threads together share a bound.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The most bytes of values at one moment. An answer whose values need more is evaluated alone.
const MOST: usize = 128 << 20;
/// Texts up to this size are not counted, in bytes: so many at once need more threads than there are.
const SMALL: usize = 4 << 10;

static STATE: Mutex<State> = Mutex::new(State::new());
static CHANGED: Condvar = Condvar::new();

#[derive(Debug)]
struct State {
    taken: usize,
    /// The number of the next one to ask.
    next: u64,
    /// The number of the next one to get its share. Shares are given in order, so that large answers do not starve.
    served: u64,
}

impl State {
    const fn new() -> Self {
        Self {
            taken: 0,
            next: 0,
            served: 0,
        }
    }
}

/// A share of the memory, given back when this is dropped.
#[derive(Debug)]
pub(super) struct Share(usize);

impl Share {
    /// Waits until there is room for the values of a JSON text.
    pub(super) fn of(text: &[u8]) -> Self {
        match text.len() {
            ..=SMALL => Self(0),
            _ => Self::take(estimate(text)),
        }
    }

    fn take(bytes: usize) -> Self {
        let mut state = lock();
        let number = state.next;
        state.next += 1;
        while state.served < number || state.taken > 0 && state.taken + bytes > MOST {
            state = CHANGED.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.served += 1;
        state.taken += bytes;
        CHANGED.notify_all();
        Self(bytes)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.0 > 0 {
            lock().taken -= self.0;
            CHANGED.notify_all();
        }
    }
}

fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Estimates how many bytes the values of a JSON text take, by its punctuation. Measured with texts of `[],`, `{},`, `"",`
/// and `{"a":0},` over and over.
fn estimate(text: &[u8]) -> usize {
    let of_byte = |byte: &u8| match byte {
        b'{' | b':' => 100,
        b'[' | b',' => 40,
        b'"' => 16,
        _ => 1,
    };
    text.iter().map(of_byte).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn large_answers_are_evaluated_one_at_a_time() {
        let (at_once, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let large = "[],".repeat(2_000_000);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let share = Share::of(large.as_bytes());
                    most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::yield_now();
                    at_once.fetch_sub(1, Ordering::SeqCst);
                    drop(share);
                });
            }
        });
        assert_eq!(most.into_inner(), 1);
        // Plain text takes little more than its size.
        assert_eq!(estimate(&[b'x'; 1000]), 1000);
    }
}
