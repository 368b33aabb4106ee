//! What all programs of a run share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::CommandContext;
use super::error::CommandError;
use super::groups::Groups;
use super::judge::Judge;
use super::process::Launch;
use super::said::Said;
use crate::caller::http::secrets::Secrets;
use crate::caller::outputs::WrongFolder;
use crate::job::Outcome;
use crate::settings::{Command, Settings};

/// How the programs of a run start, the rules for their answers, and what they say.
#[derive(Debug, Clone)]
pub(in crate::caller) struct Programs {
    pub(super) launch: Launch,
    pub(super) judge: Judge,
    pub(super) said: Arc<Said>,
    pub(super) warnings: Arc<Said>,
    /// The values of the pool, which programs may repeat.
    secrets: Arc<Secrets>,
}

impl Programs {
    /// Checks the rules for answers.
    ///
    /// # Errors
    ///
    /// An expression is invalid, or the path of the folder for results is no folder.
    pub(super) fn new(
        command: &Command,
        settings: &Settings,
        context: CommandContext<'_>,
    ) -> Result<Self, CommandError> {
        let mut secrets = Secrets::default();
        for (_, value) in context.lanes.secrets() {
            secrets.add(value.as_bytes());
        }
        Ok(Self {
            secrets: Arc::new(secrets),
            launch: Launch {
                base: context.base.to_owned(),
                hidden: context.hidden,
                groups: Arc::new(Groups::new(context.guard)),
            },
            judge: Judge::new(command, settings, context.base)?,
            said: Arc::default(),
            warnings: Arc::default(),
        })
    }

    /// Writes results into the folder for them, as [`super::super::HttpPlan::keeping_outputs`] does.
    ///
    /// # Errors
    ///
    /// The folder cannot be opened.
    pub(in crate::caller) fn keep_outputs(&mut self) -> Result<(), WrongFolder> {
        self.judge.keep_outputs()
    }

    /// Sets the folder for temporary files of answers that exceed the memory budget.
    pub(in crate::caller) fn spill_into(&mut self, folder: PathBuf) {
        self.judge.spill_into(folder);
    }

    pub(in crate::caller) fn output_dir(&self) -> Option<&Path> {
        self.judge.output_dir.as_deref()
    }

    /// Returns once why results could not be written into their folder.
    pub(in crate::caller) fn output_trouble(&self) -> Option<String> {
        self.judge.output_trouble()
    }

    /// Takes the new lines of the programs' standard error.
    pub(in crate::caller) fn said(&self) -> Vec<String> {
        self.masked(self.said.take())
    }

    /// Takes the new warnings about the programs.
    pub(in crate::caller) fn warnings(&self) -> Vec<String> {
        self.masked(self.warnings.take())
    }

    fn masked(&self, lines: Vec<String>) -> Vec<String> {
        if self.secrets.is_empty() {
            return lines;
        }
        let lines = lines.iter();
        lines.map(|line| self.secrets.mask_text(line)).collect()
    }

    /// Masks the values of the pool in all that is stored of a failure.
    pub(super) fn mask(&self, mut outcome: Outcome) -> Outcome {
        if !self.secrets.is_empty()
            && let Some(failure) = outcome.failure_mut()
        {
            failure.message = self.secrets.mask_text(&failure.message);
            failure.body = self.secrets.mask(&failure.body);
            if let Some(answer) = &mut failure.answer
                && let Ok(body) = answer.body.bytes()
            {
                answer.body = self.secrets.mask(&body).into();
            }
        }
        outcome
    }

    /// Kills the processes of calls that were abandoned.
    pub(super) fn kill(&self) {
        self.launch.groups.kill();
    }
}
