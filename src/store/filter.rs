//! Which failed or held jobs a command is about.

use rusqlite::ToSql;

use super::causes::FAILURE;
use super::values::state_to_sql;
use crate::job::{Class, JobState};

/// Which failed or held jobs are meant. What is left empty does not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of these classes.
    pub classes: Vec<Class>,
    /// With these HTTP statuses.
    pub statuses: Vec<u16>,
    /// With this text in the name, the message or the beginning of the error's body.
    pub text: Option<String>,
    /// With a cause of these ids ([`crate::job::CauseKey::id`]).
    pub causes: Vec<String>,
    /// The held ones instead of the failed ones.
    pub held: bool,
}

impl Filter {
    /// SQL that is true of the jobs that are meant, with their latest attempts; with [`Self::values`]. It needs the
    /// function of [`causes::define`].
    pub(super) fn condition() -> String {
        format!(
            "work.state = :state AND work.state <> 2
               AND (:classes = '' OR instr(:classes, ',' || attempt.class || ',') > 0)
               AND (:statuses = '' OR instr(:statuses, ',' || attempt.status || ',') > 0)
               AND (:text IS NULL OR instr(attempt.message, :text) > 0
                    OR instr(CAST(attempt.body AS BLOB), CAST(:text AS BLOB)) > 0
                    OR instr(CAST(job.path AS BLOB), CAST(:text AS BLOB)) > 0)
               AND (:causes = '' OR instr(:causes, ',' || cause_of({FAILURE}) || ',') > 0)"
        )
    }

    /// What [`Self::condition`] asks for, by its names.
    pub(super) fn values(&self) -> [(&'static str, Box<dyn ToSql>); 5] {
        [
            (":state", Box::new(state_to_sql(self.from()))),
            (
                ":classes",
                Box::new(list(self.classes.iter().map(|class| class.as_str()))),
            ),
            (":statuses", Box::new(list(&self.statuses))),
            (":text", Box::new(self.text.clone())),
            (":causes", Box::new(list(&self.causes))),
        ]
    }

    /// The state of the jobs that are meant.
    pub(super) fn from(&self) -> JobState {
        match self.held {
            true => JobState::Held,
            false => JobState::Failed,
        }
    }
}

/// `,a,b,`: a set of words in which a word between commas can be looked for.
fn list(words: impl IntoIterator<Item = impl ToString>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| word.to_string()).collect();
    if words.is_empty() {
        String::new()
    } else {
        format!(",{},", words.join(","))
    }
}
