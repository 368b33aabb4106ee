//! The exit codes, which are a promise.

/// Every job is done, or the command did its work.
pub(crate) const DONE: u8 = 0;
/// An error that has no code of its own.
pub(crate) const ERROR: u8 = 1;
/// Wrong usage or settings; nothing was changed.
pub(crate) const USAGE: u8 = 2;
/// Not everything is done.
pub(crate) const INCOMPLETE: u8 = 3;
/// Stopped early by a guard, a limit or a budget: the user has to act; the rest is pending.
pub(crate) const HALTED: u8 = 4;
/// Another runner has this database.
pub(crate) const BUSY: u8 = 5;
/// The database is unusable.
pub(crate) const UNUSABLE: u8 = 6;
/// Storage failed during the run.
pub(crate) const STORAGE: u8 = 7;
/// A bug.
pub(crate) const INTERNAL: u8 = 70;

/// Stopped early, and it comes back by itself: an outage, a long wait, `--until`. EX_TEMPFAIL of sysexits.h.
pub(crate) const TEMPORARY: u8 = 75;

/// Stopped by a signal: 128 and its number, as shells have it.
pub(crate) fn signalled(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(ERROR)
}
