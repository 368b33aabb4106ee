//! Calls that programs of the user's make: a process for each, or workers that stay.

mod error;
mod exec;
mod exit;
mod groups;
mod judge;
mod process;
mod program;
mod programs;
mod said;
mod words;
mod worker;

pub use error::CommandError;
pub use exec::{AsyncExecCaller, ExecPlan};
pub(super) use programs::Programs;
#[cfg(any(test, fuzzing))]
pub use worker::heard;
pub use worker::{AsyncWorkerCaller, Hello, StarterPipes, WorkerPlan, WorkerStart};

use std::ffi::OsString;
use std::path::Path;

use super::lanes::Lanes;

/// What a command needs from the program that runs it.
#[derive(Debug, Clone)]
pub struct CommandContext<'c> {
    /// The working folder of the programs, against which names resolve.
    pub base: &'c Path,
    /// The words of a program that kills process groups when its standard input ends. It reads their numbers there as
    /// `i32` in the machine's order, and negative ones of groups that have ended. Without words, programs live on if
    /// this process is killed.
    pub guard: Vec<OsString>,
    /// The value of `PATH`, in whose folders a program without a slash is looked for.
    pub path: Option<OsString>,
    /// The environment variables that the programs do not get.
    pub hidden: Vec<String>,
    /// The rows of the pool, or none.
    pub lanes: Lanes,
}
