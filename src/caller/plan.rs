//! The checked definition of a run's calls, of any kind.

use std::error::Error;
use std::path::{Path, PathBuf};

use super::command::Programs;
use super::lanes::Lanes;
use super::{
    Caller, Cancel, ExecPlan, HttpPlan, ResponseHead, SlotCaller, WorkerPlan, WorkerStart,
    WrongFolder,
};
use crate::job::{Attempt, Job, Outcome};

/// A checked call and the settings for it, for any file.
#[derive(Debug, Clone)]
pub enum Plan {
    /// Calls over HTTP.
    Http(HttpPlan),
    /// A process for each call.
    Exec(ExecPlan),
    /// Processes that stay.
    Worker(WorkerPlan),
}

impl Plan {
    /// Writes results into the call's folder for them, if it has one, and creates that folder if it is missing. By
    /// default they stay in the answers.
    ///
    /// # Errors
    ///
    /// The folder cannot be opened.
    pub fn keeping_outputs(self) -> Result<Self, WrongFolder> {
        Ok(match self {
            Self::Http(plan) => Self::Http(plan.keeping_outputs()?),
            mut plan => {
                plan.programs_mut().map_or(Ok(()), Programs::keep_outputs)?;
                plan
            }
        })
    }

    /// Sets the folder for temporary files of answers that exceed the memory budget. It should be on a disk: the system's
    /// own is often in memory too. The default is the folder for relative names.
    #[must_use]
    pub fn spilling_into(self, folder: PathBuf) -> Self {
        match self {
            Self::Http(plan) => Self::Http(plan.spilling_into(folder)),
            mut plan => {
                if let Some(programs) = plan.programs_mut() {
                    programs.spill_into(folder);
                }
                plan
            }
        }
    }

    fn programs_mut(&mut self) -> Option<&mut Programs> {
        match self {
            Self::Http(_) => None,
            Self::Exec(plan) => Some(&mut plan.programs),
            Self::Worker(plan) => Some(&mut plan.programs),
        }
    }

    fn programs(&self) -> Option<&Programs> {
        match self {
            Self::Http(_) => None,
            Self::Exec(plan) => Some(&plan.programs),
            Self::Worker(plan) => Some(&plan.programs),
        }
    }

    /// Returns the folder for results.
    pub fn output_dir(&self) -> Option<&Path> {
        match self {
            Self::Http(plan) => plan.output_dir(),
            plan => plan.programs()?.output_dir(),
        }
    }

    /// Returns once why results could not be written into their folder. Such results stay in the answers.
    pub fn output_trouble(&self) -> Option<String> {
        match self {
            Self::Http(plan) => plan.output_trouble(),
            plan => plan.programs()?.output_trouble(),
        }
    }

    /// Returns remarks about answers that change no outcome, each once.
    pub fn remarks(&self) -> Vec<String> {
        match self {
            Self::Http(plan) => plan.remarks(),
            Self::Exec(_) | Self::Worker(_) => Vec::new(),
        }
    }

    /// Takes the lines that programs have written to their standard error since the last time, each after the name of its
    /// file.
    pub fn said(&self) -> Vec<String> {
        self.programs().map(Programs::said).unwrap_or_default()
    }

    /// Takes the warnings about programs since the last time.
    pub fn warnings(&self) -> Vec<String> {
        self.programs().map(Programs::warnings).unwrap_or_default()
    }

    /// Returns whether a call reads the job's own file. A name need not be that of a file otherwise.
    pub fn reads_file(&self) -> bool {
        match self {
            Self::Http(plan) => plan.reads_file(),
            Self::Exec(plan) => plan.reads_file(),
            Self::Worker(_) => false,
        }
    }

    /// Returns the rows of the pool, or none.
    pub fn lanes(&self) -> &Lanes {
        match self {
            Self::Http(plan) => plan.lanes(),
            Self::Exec(plan) => plan.lanes(),
            Self::Worker(plan) => plan.lanes(),
        }
    }

    /// Returns the columns of the pool that no call uses.
    pub fn unused_columns(&self) -> Vec<String> {
        match self {
            Self::Http(plan) => plan.unused_columns(),
            Self::Exec(_) | Self::Worker(_) => Vec::new(),
        }
    }

    /// Returns the proxy that calls use, with `***` instead of a name or password.
    pub fn proxy(&self) -> Option<String> {
        match self {
            Self::Http(plan) => plan.proxy(),
            Self::Exec(_) | Self::Worker(_) => None,
        }
    }

    /// Returns the caller of one slot.
    ///
    /// # Errors
    ///
    /// The caller cannot be set up, for example because no file descriptor is left.
    pub fn slot_caller(&self) -> Result<SlotCaller, Box<dyn Error + Send + Sync>> {
        Ok(SlotCaller::Async(match self {
            Self::Http(plan) => Box::new(plan.async_caller()?),
            Self::Exec(plan) => Box::new(plan.async_caller()),
            Self::Worker(plan) => Box::new(plan.async_caller()),
        }))
    }

    /// Makes one call on this thread. Returns its outcome and, over HTTP, the head of the answer.
    ///
    /// # Errors
    ///
    /// The caller cannot be set up.
    pub fn call_once(
        &self,
        job: &Job,
        attempt: &Attempt,
    ) -> Result<(Outcome, Option<ResponseHead>), Box<dyn Error + Send + Sync>> {
        let cancel = Cancel::new();
        if let Self::Http(plan) = self {
            let mut caller = plan.caller()?.watched();
            let outcome = caller.call(job, attempt, &cancel);
            return Ok((outcome, caller.seen()));
        }
        if let Self::Worker(plan) = self {
            plan.begin(WorkerStart::default(), &|| false)?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let outcome = match self.slot_caller()? {
            SlotCaller::Async(mut caller) => runtime.block_on(caller.call(job, attempt, &cancel)),
            SlotCaller::Blocking(mut caller) => caller.call(job, attempt, &cancel),
        };
        self.end();
        Ok((outcome, None))
    }

    /// Ends whatever still works for calls that were abandoned.
    pub fn end(&self) {
        match self {
            Self::Http(_) => {}
            Self::Exec(plan) => plan.end(),
            Self::Worker(plan) => plan.end(),
        }
    }
}
