//! The exit codes, which scripts rely on.

/// All files are done, or the command succeeded.
pub(crate) const DONE: u8 = 0;
/// An error that has no code of its own.
pub(crate) const ERROR: u8 = 1;
/// Invalid usage or settings; nothing was changed.
pub(crate) const USAGE: u8 = 2;
/// Some files are not done, or an export lacks results.
pub(crate) const INCOMPLETE: u8 = 3;
/// Stopped early by a guard or a limit: the user has to act. The other files are pending.
pub(crate) const HALTED: u8 = 4;
/// Another process works on this database.
pub(crate) const BUSY: u8 = 5;
/// The database or a stored result is unusable.
pub(crate) const UNUSABLE: u8 = 6;
/// The disk is full, or storage failed during the run.
pub(crate) const STORAGE: u8 = 7;
/// A bug. EX_SOFTWARE of sysexits.h.
pub(crate) const INTERNAL: u8 = 70;
/// Stopped early by something that passes: an outage, a long wait, `--until`. EX_TEMPFAIL of sysexits.h.
pub(crate) const TEMPORARY: u8 = 75;

/// Returns the code of a stop by a signal: 128 and its number, as in shells.
pub(crate) fn signalled(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(ERROR)
}
