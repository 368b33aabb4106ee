//! Selects failed or held jobs.

use super::causes::{self, Cause, FAILURE};
use super::chosen::Conditions;
use super::error::Result;
use super::reader::Reader;
use crate::filter::{Number, Operand, Relation, Term};
use crate::job::{Class, JobState};

/// Selects failed or held jobs. Empty fields do not restrict the selection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The failure's class is one of these.
    pub classes: Vec<Class>,
    /// The HTTP status is one of these.
    pub statuses: Vec<u16>,
    /// The name, the message or the beginning of the error's body contains this text.
    pub text: Option<String>,
    /// The cause's id ([`crate::job::CauseKey::id`]) is one of these.
    pub causes: Vec<String>,
    /// Selects held jobs instead of failed ones.
    pub held: bool,
}

impl Filter {
    /// Returns the conditions, which need the function of [`causes::define`].
    pub(super) fn conditions(&self) -> Conditions {
        let mut operands = vec![Operand::State(vec![self.from()])];
        if !self.classes.is_empty() {
            operands.push(Operand::Class(self.classes.clone()));
        }
        if !self.statuses.is_empty() {
            let statuses = self.statuses.iter().map(|status| (*status).into());
            operands.push(Operand::Number(Number::Status, statuses.collect()));
        }
        let relation = Relation::Equal;
        let terms = operands
            .into_iter()
            .map(|operand| Term { relation, operand });
        let mut all = Conditions::new(&terms.collect::<Vec<_>>());
        if let Some(text) = &self.text {
            let mark = all.mark(text.clone().into());
            all.sql.push_str(&format!(
                " AND (instr(attempt.message, {mark}) > 0
                       OR instr(CAST(attempt.body AS BLOB), CAST({mark} AS BLOB)) > 0
                       OR instr(CAST(job.path AS BLOB), CAST({mark} AS BLOB)) > 0)"
            ));
        }
        if !self.causes.is_empty() {
            let ids = self.causes.iter().map(|id| id.clone().into());
            let condition = all.among(&format!("cause_of({FAILURE})"), relation, ids);
            all.sql.push_str(&format!(" AND {condition}"));
        }
        all
    }

    /// Returns the state of the selected jobs.
    pub(super) fn from(&self) -> JobState {
        match self.held {
            true => JobState::Held,
            false => JobState::Failed,
        }
    }
}

impl Reader {
    /// Returns the causes of the jobs that `filter` selects, the most frequent first.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn causes_of(&self, filter: &Filter) -> Result<Vec<Cause>> {
        causes::define(self.connection())?;
        let selected = filter.conditions();
        self.causes_where(&selected.sql, &selected.values)
    }
}
