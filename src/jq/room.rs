//! Room for deep recursion: threads with a large stack.

use std::cell::Cell;
use std::io;
use std::panic::resume_unwind;
use std::thread::{Builder, scope};

/// The stack, in bytes: what is not used of it is not taken.
const STACK: usize = 64 << 20;

thread_local! {
    static HAS_ROOM: Cell<bool> = const { Cell::new(false) };
}

/// Works in a thread in which every expression has the room that it may need. Elsewhere those that may need it have
/// a thread for each evaluation, which takes longer than most evaluations do: this is for work on many answers.
///
/// # Errors
///
/// There cannot be such a thread.
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
