//! Reads the jobs that terms select, as SQL conditions.
//!
//! List order comes from the key of `work`, so that SQLite sorts nothing and memory does not grow. Two kinds of conditions
//! would make SQLite begin elsewhere. It would use its index on states, so a `+` hides the column, except for a single
//! state, which that index has in list order. And it would begin with the attempts for a condition that only a job with an
//! attempt meets. So each comparison of an attempt has a value for jobs without one.

use rusqlite::types::Value;
use rusqlite::{Row, params_from_iter};

use super::error::{Result, StoreError, doing};
use super::page::{self, ATTEMPT, Batch, Page, Wanted};
use super::reader::Reader;
use super::statement::all;
use super::values::{state_from_sql, state_to_sql};
use crate::event::Counts;
use crate::filter::{Number, Operand, Relation, Term};
use crate::job::{FileName, JobState};

impl Reader {
    /// Counts the selected jobs in each state, but not their attempts. The total has the forgotten ones only if a term selects
    /// their state. Reads all jobs, unless `chosen` is empty.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn counts_of(&self, chosen: &[Term]) -> Result<Counts> {
        if chosen.is_empty() {
            return self.counts();
        }
        let chosen = Conditions::listed(chosen);
        let sql = format!(
            "SELECT work.state, count(*) FROM work JOIN job ON job.id = work.job {ATTEMPT}
             WHERE {} GROUP BY +work.state",
            chosen.sql
        );
        let values = params_from_iter(chosen.values);
        let read = |row: &Row<'_>| Ok((state_from_sql(row.get(0)?)?, row.get(1)?));
        let mut counts = Counts::default();
        for (state, jobs) in all(self.connection(), &sql, values, "counting files", read)? {
            *counts.of_mut(state) = jobs;
            counts.total += jobs;
        }
        Ok(counts)
    }

    /// Passes on the jobs that meet all terms, in list order and undecoded, for another thread to decode. Terms on
    /// attempts need a projection with attempts. Leaves out forgotten jobs, unless a term selects their state.
    ///
    /// # Errors
    ///
    /// The database cannot be read, or `each` fails.
    pub fn pages<E: From<StoreError>>(
        &self,
        wanted: Wanted,
        chosen: &[Term],
        each: &mut dyn FnMut(Batch) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let chosen = Conditions::listed(chosen);
        let sql = wanted.sql(&chosen.sql);
        let mut page = Page::new(self.base());
        self.rows(&sql, params_from_iter(chosen.values), &mut |row| {
            if !page.push(row).map_err(doing("reading the list of files"))? {
                if !page.is_empty() {
                    each(Batch::Page(page.take()))?;
                }
                return each(Batch::Large(Box::new(page::with_columns(
                    row,
                    self.base(),
                )?)));
            }
            match page.is_full() {
                true => each(Batch::Page(page.take())),
                false => Ok(()),
            }
        })?;
        match page.is_empty() {
            true => Ok(()),
            false => each(Batch::Page(page)),
        }
    }
}

/// SQL conditions on a job and its latest attempt, and their values.
#[derive(Debug)]
pub(super) struct Conditions {
    /// `1` if there are none.
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
    /// The column of states.
    state: &'static str,
}

impl Conditions {
    pub(super) fn new(terms: &[Term]) -> Self {
        Self::with_state(terms, "work.state")
    }

    /// Returns conditions that forgotten jobs meet only if a term selects their state.
    fn listed(terms: &[Term]) -> Self {
        let mut all = Self::new(terms);
        if !terms.iter().any(selects_forgotten) {
            all.sql.push_str(" AND work.state <> 5");
        }
        all
    }

    /// Returns conditions that compare states with another column than that of the queue.
    pub(super) fn with_state(terms: &[Term], state: &'static str) -> Self {
        let mut all = Self {
            sql: "1".to_owned(),
            values: Vec::new(),
            state,
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
                let state = self.state;
                match (relation, &states[..]) {
                    (Relation::Equal, [one]) if *one != JobState::Done => {
                        format!("{state} = {codes} AND {state} <> 2")
                    }
                    _ => format!("+{state} {}IN ({codes})", not(relation)),
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
            Operand::Column(name, values) => self.on_column(relation, name, values),
            Operand::Name(name) => {
                let spellings = [Some(name.clone()), name.cleaned()];
                let names = spellings
                    .iter()
                    .flatten()
                    .map(|name| self.mark(value(name)));
                let names = names.collect::<Vec<_>>().join(", ");
                // Absolute names have a shorter spelling. No index helps to find them.
                let by_path = match name.as_path().is_absolute() {
                    true => format!(" OR job.path IN ({names})"),
                    false => String::new(),
                };
                // The index on names has this expression.
                let names = format!("coalesce(job.plain, job.path) IN ({names})");
                format!("{}({names}{by_path})", not(relation))
            }
        };
        self.sql.push_str(&condition);
    }

    /// Returns a condition on a column of the list. A job without a value matches only a negation.
    fn on_column(&mut self, relation: Relation, name: &str, values: &[String]) -> String {
        let name = self.mark(name.to_owned().into());
        let row = "(SELECT fields FROM columns WHERE columns.job = work.job)";
        let text = format!("column_text({row}, {name})");
        let mut values = values.iter().map(|value| value.clone().into());
        match relation {
            Relation::Equal | Relation::NotEqual => self.among(&text, relation, values),
            Relation::Like | Relation::Unlike => {
                let pattern = self.mark(values.next().unwrap_or(Value::Null));
                let otherwise = i32::from(relation == Relation::Unlike);
                format!(
                    "ifnull({text} {}GLOB {pattern}, {otherwise})",
                    not(relation)
                )
            }
            Relation::Less | Relation::AtMost | Relation::More | Relation::AtLeast => {
                let value = self.mark(values.next().unwrap_or(Value::Null));
                let order = format!("column_order({row}, {name}, {value})");
                format!("ifnull({order} {} 0, 0)", relation.as_str())
            }
        }
    }

    /// Returns a condition on a column. NULL differs from all `values`.
    pub(super) fn among(
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

    /// Adds a value and returns its placeholder.
    pub(super) fn mark(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("?{}", self.values.len())
    }
}

/// Returns true if a term selects forgotten jobs by their state.
pub(super) fn selects_forgotten(term: &Term) -> bool {
    match &term.operand {
        Operand::State(states) => {
            term.relation == Relation::Equal && states.contains(&JobState::Forgotten)
        }
        _ => false,
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
    use super::super::page::Projection;
    use super::*;

    /// Sorting would collect all results in memory before it returns the first one.
    #[test]
    fn no_selection_is_sorted() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        super::super::column_text::define(&connection).unwrap();
        for migration in MIGRATIONS {
            connection.execute_batch(migration).unwrap();
        }
        let choices: [&[&str]; 10] = [
            &[],
            &["state=failed"],
            &["state=failed,held"],
            &["state!=done"],
            &["class=auth", "status=401,403"],
            &["status>=500", "state=failed"],
            &["started>=2026-01-31", "duration>1s", "attempts>1"],
            &["name=a", "name!=b"],
            &["name~*.txt", "class!=auth"],
            &["col.lang=de,en", "col.n>5", "col.lang!~d*"],
        ];
        for words in choices {
            let read = |word: &&str| Term::read(word.as_bytes(), 0).unwrap();
            let terms: Vec<Term> = words.iter().map(read).collect();
            let conditions = Conditions::new(&terms);
            for (projection, columns) in [(Projection::Everything, true), (Projection::Done, false)]
            {
                let wanted = Wanted {
                    projection,
                    columns,
                };
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
