//! Asks the system for the time, randomness and the machine's name.

use std::time::SystemTime;

/// Returns wall time, in milliseconds since 1970.
pub fn wall_clock() -> i64 {
    now()
}

/// Returns sixteen random bytes.
pub(super) fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    #[expect(
        clippy::expect_used,
        reason = "a system without randomness cannot make a run"
    )]
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

/// Returns wall time, in milliseconds since 1970.
pub(super) fn now() -> i64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "wall time in the database is the store's"
    )]
    let now = SystemTime::now();
    now.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

/// Returns the machine's name.
pub(super) fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}
