//! One file for each command, or for each group that belongs together.

pub(crate) mod demo;
pub(crate) mod export;
pub(crate) mod failures;
pub(crate) mod look;
pub(crate) mod recheck;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod trial;
pub(crate) mod watch;
