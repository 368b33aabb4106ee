//! Reading the jobs that are chosen: terms in the language of the database.
//!
//! List order comes from the key of `work`, so that nothing is sorted and memory does not grow. Two things would lead
//! SQLite elsewhere: an index of its own for the states, and a comparison that is only true where there is an attempt,
//! from which it sees that it could begin with the attempts. So states are compared behind a `+`, but for a single
//! state that the index of what is not done has in list order too; and whatever compares an attempt says what holds where
//! there is none.

use rusqlite::params_from_iter;
use rusqlite::types::Value;

use super::error::{Result, StoreError, doing};
use super::page::{self, Found, Page, Wanted};
use super::reader::Reader;
use super::values::{state_from_sql, state_to_sql};
use crate::event::Counts;
use crate::filter::{Number, Operand, Relation, Term};
use crate::job::{FileName, JobState};

/// Jobs with their latest attempts, a row for each state.
const STATES: &str = "SELECT work.state, count(*) FROM work JOIN job ON job.id = work.job
     LEFT JOIN attempt ON attempt.job = work.job AND attempt.number = work.attempts";

impl Reader {
    /// How many of the jobs that are chosen are in which state; nothing is said of their attempts. They are gone
    /// through, unless all of them are meant.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn counts_of(&self, chosen: &[Term]) -> Result<Counts> {
        if chosen.is_empty() {
            return self.counts();
        }
        let chosen = Conditions::of(chosen);
        let sql = format!("{STATES} WHERE {} GROUP BY +work.state", chosen.sql);
        let count = || -> rusqlite::Result<Counts> {
            let mut counts = Counts::default();
            let mut statement = self.connection().prepare(&sql)?;
            let mut rows = statement.query(params_from_iter(chosen.values))?;
            while let Some(row) = rows.next()? {
                let jobs: u64 = row.get(1)?;
                *counts.of_mut(state_from_sql(row.get(0)?)?) = jobs;
                counts.total += jobs;
            }
            Ok(counts)
        };
        count().map_err(doing("counting what is chosen"))
    }

    /// Hands over jobs in list order as they are read, for whoever looks at them in another thread: those of which all
    /// of `chosen` holds. To choose by attempts, attempts have to be wanted.
    ///
    /// # Errors
    ///
    /// The database cannot be read, or whatever `each` returns.
    pub fn pages<E: From<StoreError>>(
        &self,
        wanted: Wanted,
        chosen: &[Term],
        each: &mut dyn FnMut(Found) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let chosen = Conditions::of(chosen);
        let sql = wanted.sql(&chosen.sql);
        let mut page = Page::default();
        self.rows(&sql, params_from_iter(chosen.values), &mut |row| {
            if !page.take(row).map_err(doing("reading jobs"))? {
                if !page.is_empty() {
                    each(Found::Page(std::mem::take(&mut page)))?;
                }
                return each(Found::Large(Box::new(page::record(row)?)));
            }
            match page.is_full() {
                true => each(Found::Page(std::mem::take(&mut page))),
                false => Ok(()),
            }
        })?;
        match page.is_empty() {
            true => Ok(()),
            false => each(Found::Page(page)),
        }
    }
}

/// Conditions on a job and its latest attempt, to stand behind `WHERE` or `AND`, and their values.
#[derive(Debug)]
pub(super) struct Conditions {
    /// `1` where there are none.
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

impl Conditions {
    pub(super) fn of(terms: &[Term]) -> Self {
        let mut all = Self {
            sql: "1".to_owned(),
            values: Vec::new(),
        };
        for term in terms {
            all.sql.push_str(" AND ");
            all.add(term);
        }
        all
    }

    fn add(&mut self, term: &Term) {
        let relation = term.relation;
        let condition = match &term.operand {
            Operand::State(states) => {
                let codes = states.iter().map(|state| state_to_sql(*state).to_string());
                let codes = codes.collect::<Vec<_>>().join(", ");
                match (relation, &states[..]) {
                    (Relation::Equal, [state]) if *state != JobState::Done => {
                        format!("work.state = {codes} AND work.state <> 2")
                    }
                    _ => format!("+work.state {}IN ({codes})", not(relation)),
                }
            }
            Operand::Class(classes) => {
                let words = classes.iter().map(|class| class.as_str().to_owned().into());
                self.among("attempt.class", relation, words)
            }
            Operand::Number(number, values)
                if matches!(relation, Relation::Equal | Relation::NotEqual) =>
            {
                let values = values.iter().map(|value| (*value).into());
                self.among(column(*number), relation, values)
            }
            Operand::Number(number, values) => {
                let column = column(*number);
                let value = self.mark(values.first().copied().into());
                format!("ifnull({column} {} {value}, 0)", relation.as_str())
            }
            Operand::Name(pattern) if matches!(relation, Relation::Like | Relation::Unlike) => {
                let pattern = self.mark(pattern.to_string_lossy().into_owned().into());
                format!("CAST(job.path AS TEXT) {}GLOB {pattern}", not(relation))
            }
            Operand::Name(name) => {
                let name = self.mark(value(name));
                format!("job.path {} {name}", relation.as_str())
            }
        };
        self.sql.push_str(&condition);
    }

    /// Returns a condition on a column. Where the column has no value, it is none of `values`.
    fn among(
        &mut self,
        column: &str,
        relation: Relation,
        values: impl Iterator<Item = Value>,
    ) -> String {
        let marks: Vec<String> = values.map(|value| self.mark(value)).collect();
        let otherwise = i32::from(relation == Relation::NotEqual);
        format!(
            "ifnull({column} {}IN ({}), {otherwise})",
            not(relation),
            marks.join(", ")
        )
    }

    /// Adds a value, and returns its parameter.
    fn mark(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("?{}", self.values.len())
    }
}

fn not(relation: Relation) -> &'static str {
    match relation {
        Relation::NotEqual | Relation::Unlike => "NOT ",
        _ => "",
    }
}

fn column(number: Number) -> &'static str {
    match number {
        Number::Status => "attempt.status",
        Number::Attempts => "work.attempts",
        Number::Started => "attempt.started",
        Number::Duration => "attempt.took",
    }
}

/// Returns a name as the database stores it.
fn value(name: &FileName) -> Value {
    match name.as_str() {
        Some(text) => text.to_owned().into(),
        None => name.as_bytes().to_owned().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::connection::MIGRATIONS;
    use super::*;

    /// Whatever is chosen, jobs come in list order without being sorted, so that their results are not gathered in
    /// memory before the first of them is seen.
    #[test]
    fn nothing_is_sorted() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        for migration in MIGRATIONS {
            connection.execute_batch(migration).unwrap();
        }
        let choices: [&[&str]; 9] = [
            &[],
            &["state=failed"],
            &["state=failed,held"],
            &["state!=done"],
            &["class=auth", "status=401,403"],
            &["status>=500", "state=failed"],
            &["started>=2026-01-31", "duration>1s", "attempts>1"],
            &["name=a", "name!=b"],
            &["name~*.txt", "class!=auth"],
        ];
        for words in choices {
            let read = |word: &&str| Term::read(word.as_bytes(), 0).unwrap();
            let terms: Vec<Term> = words.iter().map(read).collect();
            let conditions = Conditions::of(&terms);
            for wanted in [Wanted::Everything, Wanted::Done] {
                let sql = format!("EXPLAIN QUERY PLAN {}", wanted.sql(&conditions.sql));
                let mut statement = connection.prepare(&sql).unwrap();
                let values = params_from_iter(conditions.values.clone());
                let rows = statement.query_map(values, |row| row.get::<_, String>(3));
                let plan: Vec<String> = rows.unwrap().map(|row| row.unwrap()).collect();
                let plan = plan.join("\n");
                assert!(!plan.contains("TEMP B-TREE"), "{words:?}: {plan}");
                assert!(plan.contains("work"), "{words:?}: {plan}");
            }
        }
    }
}
