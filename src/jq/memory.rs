//! The memory of values. The interpreter takes up to forty times an answer's size, so all threads share one limit.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The limit for all values, in bytes. An answer that needs more is evaluated alone.
const LIMIT: usize = 128 << 20;
/// The maximum size of a text that is not counted, in bytes. There are not enough threads to exceed the limit with these.
const SMALL: usize = 4 << 10;

/// Held by the one thread that waits for memory, so that large answers do not starve.
static TURN: Mutex<()> = Mutex::new(());
/// The reserved bytes.
static USED: Mutex<usize> = Mutex::new(0);
static RELEASED: Condvar = Condvar::new();

/// Reserved memory, released on drop.
#[derive(Debug)]
pub(super) struct Share(usize);

impl Share {
    /// Waits until there is memory for the values of a JSON text.
    pub(super) fn reserve(text: &[u8]) -> Self {
        if text.len() <= SMALL {
            return Self(0);
        }
        let bytes = estimate(text);
        let _turn = lock(&TURN);
        let mut used = lock(&USED);
        while *used > 0 && *used + bytes > LIMIT {
            used = RELEASED.wait(used).unwrap_or_else(PoisonError::into_inner);
        }
        *used += bytes;
        Self(bytes)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.0 > 0 {
            *lock(&USED) -= self.0;
            RELEASED.notify_one();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Estimates the size of a JSON text's values by its punctuation. The weights were measured with repetitions of `[],`,
/// `{},`, `"",` and `{"a":0},`.
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
                    let share = Share::reserve(large.as_bytes());
                    most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::yield_now();
                    at_once.fetch_sub(1, Ordering::SeqCst);
                    drop(share);
                });
            }
        });
        assert_eq!(most.into_inner(), 1);
        // Plain text needs little more than its size.
        assert_eq!(estimate(&[b'x'; 1000]), 1000);
    }
}
