//! Threads with a large stack, for deep recursion.

use std::cell::Cell;
use std::io;
use std::panic::resume_unwind;
use std::thread::{Builder, scope};

/// The size of the stack in bytes. The system allocates only the used part.
const STACK: usize = 128 << 20;

/// The part of a large stack, and of any other one, that evaluation may use before it stops between two steps.
const USABLE: usize = 96 << 20;
const USABLE_ELSEWHERE: usize = 256 << 10;

thread_local! {
    /// The address at which a thread with a large stack has used its part up.
    static FLOOR: Cell<Option<usize>> = const { Cell::new(None) };
    /// The same for the current evaluation.
    static STOP: Cell<usize> = const { Cell::new(0) };
}

/// Returns an address on the stack, which grows downwards.
#[inline(never)]
fn here() -> usize {
    let here = 0_u8;
    std::hint::black_box(&raw const here).addr()
}

/// Notes where an evaluation begins.
pub(super) fn begin() {
    let floor = FLOOR.get();
    STOP.set(floor.unwrap_or_else(|| here().saturating_sub(USABLE_ELSEWHERE)));
}

/// Returns whether the current evaluation has used its part of the stack up.
pub(super) fn is_used_up() -> bool {
    here() < STOP.get()
}

/// Runs `work` on a thread with a large stack, which deep jq evaluation needs. Use it for work on many answers: elsewhere
/// each deep evaluation starts a thread of its own, which costs more than most evaluations.
///
/// # Errors
///
/// The thread cannot be started.
pub fn with_room<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    if FLOOR.get().is_some() {
        return Ok(work());
    }
    scope(|scope| {
        let thread = Builder::new().stack_size(STACK).spawn_scoped(scope, || {
            FLOOR.set(Some(here().saturating_sub(USABLE)));
            work()
        })?;
        thread.join().map_err(|panic| resume_unwind(panic))
    })
}
