//! Judges the answers of programs by the run's rules, and decides where their bodies are kept.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::CommandError;
use crate::caller::aside::aside;
use crate::caller::outputs::{self, Outputs, WrongFolder};
use crate::caller::spill::{LARGEST_STORED, MOST_IN_MEMORY, MemoryBudget};
use crate::failure_class::ClassRule;
use crate::job::{
    Answer, AttemptId, Bill, Body, Class, Columns, Failure, FailureKind, Outcome, Refused,
    check_json, check_text,
};
use crate::settings::{Command, Settings};
use crate::validate::{Reply, Validator};

/// Answers up to this size are judged on the calling thread, in bytes: moving them to another one costs more.
const AT_ONCE: u64 = 64 << 10;

/// The rules for the answers of a run.
#[derive(Debug, Clone)]
pub(super) struct Judge {
    validator: Arc<Validator>,
    pub(super) rules: Vec<ClassRule>,
    /// The largest answer, in bytes.
    pub(super) max_response: u64,
    pub(super) memory: Arc<MemoryBudget>,
    pub(super) output_dir: Option<PathBuf>,
    outputs: Option<Arc<Outputs>>,
}

impl Judge {
    /// Checks the rules of a call.
    ///
    /// # Errors
    ///
    /// An expression is invalid, or the path of the folder for results is no folder.
    pub(super) fn new(
        command: &Command,
        settings: &Settings,
        base: &Path,
    ) -> Result<Self, CommandError> {
        let output_dir = command.output_dir.as_ref().map(|folder| base.join(folder));
        output_dir.as_deref().map_or(Ok(()), outputs::check)?;
        Ok(Self {
            validator: Arc::new(Validator::new(&command.judging)?.metering(settings)?),
            rules: settings.classes.clone(),
            max_response: settings.max_response.min(LARGEST_STORED),
            memory: Arc::new(MemoryBudget::new(MOST_IN_MEMORY, base.to_owned())),
            output_dir,
            outputs: None,
        })
    }

    /// Writes results into their folder, if there is one.
    pub(super) fn keep_outputs(&mut self) -> Result<(), WrongFolder> {
        let outputs = self.output_dir.as_deref().map(Outputs::open).transpose()?;
        self.outputs = outputs.map(Arc::new);
        Ok(())
    }

    pub(super) fn spill_into(&mut self, folder: PathBuf) {
        self.memory = Arc::new(MemoryBudget::new(MOST_IN_MEMORY, folder));
    }

    pub(super) fn output_trouble(&self) -> Option<String> {
        self.outputs.as_ref()?.trouble()
    }

    /// Judges a complete answer, on another thread if that may take long. A result goes into its file, if results do.
    pub(super) async fn judge(&self, columns: &Columns, id: AttemptId, answer: Answer) -> Outcome {
        let is_small = answer.body.in_memory().is_some() && answer.body.len() <= AT_ONCE;
        let judged = if self.validator.is_quick() && is_small && self.outputs.is_none() {
            self.judged(columns, id, answer)
        } else {
            let (judge, columns) = (self.clone(), columns.clone());
            aside(move || judge.judged(&columns, id, answer)).await
        };
        judged.unwrap_or_else(|error| Outcome::InDoubt(Failure::unkept(&error)))
    }

    fn judged(&self, columns: &Columns, id: AttemptId, answer: Answer) -> io::Result<Outcome> {
        let media_type = match answer.media_type {
            Some(stated) => stated,
            None => media_type(&answer.body)?.to_owned(),
        };
        let answer = Answer {
            media_type: Some(media_type),
            ..answer
        };
        let reply = Reply {
            status: answer.status,
            media_type: answer.media_type.as_deref(),
            headers: None,
            columns,
            body: &answer.body,
            has_body: true,
        };
        // What a worker says takes precedence.
        let said = answer
            .hint
            .as_ref()
            .map_or_else(Bill::default, |hint| hint.bill);
        let bill = said.or(self.validator.bill(&reply));
        let Err(invalid) = self.validator.validate(&reply)? else {
            let kept = Outcome::Succeeded(match &self.outputs {
                Some(outputs) => outputs.keep(id, answer),
                None => answer,
            });
            return Ok(kept.stating(bill));
        };
        let beginning = answer.body.beginning(Failure::BODY_KEPT)?;
        let class = (self.validator).class(&invalid, &self.rules, answer.status, &beginning);
        let failure = Failure {
            status: answer.status,
            body: beginning,
            answer: Some(Box::new(Refused {
                media_type: answer.media_type,
                headers: None,
                body: answer.body,
            })),
            hint: answer.hint,
            ..Failure::new(class, invalid.kind, invalid.message)
        };
        let outcome = match class {
            Class::Throttled => Outcome::Throttled {
                failure,
                wait: None,
            },
            _ => Outcome::Failed(failure),
        };
        Ok(outcome.stating(bill))
    }

    /// Returns what the output of a failed command states about its call.
    pub(super) async fn bill(&self, columns: &Columns, body: Option<&Body>) -> Bill {
        let Some(body) = body.filter(|_| self.validator.meters()) else {
            return Bill::default();
        };
        let (judge, columns, body) = (self.clone(), columns.clone(), body.clone());
        aside(move || {
            judge.validator.bill(&Reply {
                status: None,
                media_type: None,
                headers: None,
                columns: &columns,
                body: &body,
                has_body: true,
            })
        })
        .await
    }

    /// Returns the outcome of an answer that is larger than the run allows.
    pub(super) fn too_large(&self) -> Outcome {
        let most = self.max_response;
        let message = format!("the answer is larger than {most} bytes (--max-response)");
        let kind = FailureKind::ResponseTooLarge;
        Outcome::Failed(Failure::new(Class::BadResponse, kind, message))
    }
}

/// Returns the media type of an answer that states none: JSON, text or bytes.
fn media_type(body: &Body) -> io::Result<&'static str> {
    Ok(if check_json(body)?.is_ok() {
        "application/json"
    } else if check_text(body)?.is_ok() {
        "text/plain; charset=utf-8"
    } else {
        "application/octet-stream"
    })
}
