//! Making failed and held jobs pending again. Done jobs are out of its reach.

use rusqlite::params;

use super::connection::doing;
use super::error::Result;
use super::queue::save_counts;
use super::{Store, state_to_sql};
use crate::job::{Class, JobState};

/// Which failed or held jobs to make pending. What is left empty does not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of these classes.
    pub classes: Vec<Class>,
    /// With these HTTP statuses.
    pub statuses: Vec<u16>,
    /// With this text in the name, the message or the beginning of the error's body.
    pub text: Option<String>,
    /// The held ones instead of the failed ones.
    pub held: bool,
}

impl Store {
    /// Makes the jobs that `filter` chooses pending, with all their retries before them. What was tried stays
    /// recorded. Returns how many there were.
    ///
    /// # Errors
    ///
    /// The database cannot be written; then nothing was changed.
    pub fn requeue(&mut self, filter: &Filter) -> Result<u64> {
        let mut counts = self.counts;
        let from = if filter.held {
            JobState::Held
        } else {
            JobState::Failed
        };
        let transaction = self.owner.begin(&self.connection)?;
        let moved = transaction
            .execute(
                "UPDATE job SET state = 0, charged = 0, crashes = 0
                 WHERE state = ?1 AND state <> 2 AND EXISTS (
                     SELECT 1 FROM attempt
                     WHERE attempt.job = job.id AND attempt.number = job.attempts
                       AND (?2 = '' OR instr(?2, ',' || attempt.class || ',') > 0)
                       AND (?3 = '' OR instr(?3, ',' || attempt.status || ',') > 0)
                       AND (?4 IS NULL OR instr(attempt.message, ?4) > 0
                            OR instr(CAST(attempt.body AS BLOB), CAST(?4 AS BLOB)) > 0
                            OR instr(CAST(job.path AS BLOB), CAST(?4 AS BLOB)) > 0))",
                params![
                    state_to_sql(from),
                    list(filter.classes.iter().map(|class| class.as_str())),
                    list(&filter.statuses),
                    filter.text
                ],
            )
            .map_err(doing("making jobs pending"))? as u64;
        *counts.of_mut(from) -= moved;
        counts.pending += moved;
        save_counts(&transaction, &counts)?;
        transaction.commit().map_err(doing("making jobs pending"))?;
        self.counts = counts;
        Ok(moved)
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
