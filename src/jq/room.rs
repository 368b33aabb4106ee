//! Threads with a large stack, for deep recursion.

use std::cell::Cell;
use std::io;
use std::panic::resume_unwind;
use std::thread::{Builder, scope};

/// The size of the stack in bytes. The system allocates only the used part.
const STACK: usize = 64 << 20;

thread_local! {
    static HAS_ROOM: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` on a thread with a large stack, which deep jq evaluation needs. Use it for work on many answers: elsewhere
/// each deep evaluation starts a thread of its own, which costs more than most evaluations.
///
/// # Errors
///
/// The thread cannot be started.
pub fn with_room<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    if HAS_ROOM.get() {
        return Ok(work());
    }
    scope(|scope| {
        let thread = Builder::new().stack_size(STACK).spawn_scoped(scope, || {
            HAS_ROOM.set(true);
            work()
        })?;
        thread.join().map_err(|panic| resume_unwind(panic))
    })
}
