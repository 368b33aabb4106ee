//! One file for each command; `run` has `resume` too.

mod call_lines;
pub(crate) mod demo;
mod dry_run;
pub(crate) mod export;
pub(crate) mod failures;
pub(crate) mod forget;
pub(crate) mod recheck;
pub(crate) mod report;
pub(crate) mod restore;
pub(crate) mod retry;
pub(crate) mod run;
pub(crate) mod set;
pub(crate) mod status;
pub(crate) mod try_one;
pub(crate) mod verify;
pub(crate) mod watch;
