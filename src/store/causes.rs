//! Groups failed jobs by cause.

use std::collections::HashMap;

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, params_from_iter};

use super::error::{Result, StoreError, doing};
use super::reader::Reader;
use super::values::{path_of, state_from_sql};
use crate::job::{CauseKey, Class, FileName, folded, said};

/// A cause with the number of its jobs and the first few of them.
#[derive(Debug, Clone)]
pub struct Cause {
    /// The cause.
    pub key: CauseKey,
    /// Number of jobs.
    pub count: u64,
    /// The first jobs in list order, at most [`Cause::EXAMPLES`].
    pub examples: Vec<Example>,
    /// All jobs have exactly the same message, and the same words of the service.
    same: (bool, bool),
}

/// A job that failed, as an example.
#[derive(Debug, Clone)]
pub struct Example {
    /// The job's name.
    pub path: FileName,
    /// The failure in one line.
    pub message: String,
    /// The beginning of the error's body.
    pub body: Vec<u8>,
}

impl Cause {
    /// Most examples of each cause.
    pub const EXAMPLES: usize = 5;
    /// Most causes that differ in their words. Later ones differ in class, kind and status only, with an empty
    /// [`CauseKey::gist`], so that a service with ever new messages cannot fill the memory.
    pub const MOST: usize = 1000;

    /// Returns the common message and the service's words, with `#` for numbers and ids that differ.
    pub fn words(&self) -> String {
        let Some(Example {
            path,
            message,
            body,
        }) = self.examples.first()
        else {
            return String::new();
        };
        let (said, one) = (said(body), self.is_rest());
        let mut words = match self.same.0 || one {
            true => message.clone(),
            false => folded(message, path),
        };
        if !said.is_empty() && !one {
            words.push_str(": ");
            words.push_str(&match self.same.1 {
                true => said,
                false => folded(&said, path),
            });
        }
        words
    }

    /// Returns true if this is a group beyond [`Self::MOST`], which has only class, kind and status in common.
    pub fn is_rest(&self) -> bool {
        let has_words = |example: &Example| !example.message.is_empty() || !example.body.is_empty();
        self.key.gist.is_empty() && self.examples.first().is_some_and(has_words)
    }
}

/// The columns of a failure, in the order of [`read`].
pub(super) const FAILURE: &str = "job.path, work.state, attempt.class, attempt.kind, attempt.status, attempt.message, attempt.body";

/// Reads the columns of [`FAILURE`] as a cause without words, and as an example.
fn read<'r>(
    value: &dyn Fn(usize) -> rusqlite::Result<ValueRef<'r>>,
) -> rusqlite::Result<(CauseKey, Example)> {
    let text = |column| {
        let value = value(column)?;
        Ok::<_, rusqlite::Error>(value.as_str_or_null()?.map(str::to_owned))
    };
    let class = text(2)?;
    let key = CauseKey {
        state: state_from_sql(value(1)?.as_i64()?)?,
        class: class.as_deref().and_then(Class::from_word),
        kind: text(3)?,
        status: value(4)?
            .as_i64_or_null()?
            .and_then(|status| u16::try_from(status).ok()),
        gist: String::new(),
    };
    let example = Example {
        path: path_of(value(0)?, 0)?,
        message: text(5)?.unwrap_or_default(),
        body: value(6)?.as_blob_or_null()?.unwrap_or_default().to_owned(),
    };
    Ok((key, example))
}

/// Defines the SQL function `cause_of`, which returns the cause's id for the columns of [`FAILURE`].
pub(super) fn define(connection: &Connection) -> Result<()> {
    let id = |context: &Context<'_>| {
        let (key, failure) = read(&|column| Ok(context.get_raw(column)))?;
        Ok(key
            .with_words(&failure.path, &failure.message, &failure.body)
            .id())
    };
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_DIRECTONLY;
    connection
        .create_scalar_function("cause_of", 7, flags, id)
        .map_err(doing("defining cause_of"))
}

impl Reader {
    /// Returns the causes of failed and held jobs, the most frequent first.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn causes(&self) -> Result<Vec<Cause>> {
        self.causes_where("1", &[])
    }

    /// Returns the causes of the failed and held jobs that meet a condition.
    pub(super) fn causes_where(&self, condition: &str, values: &[Value]) -> Result<Vec<Cause>> {
        let mut causes: HashMap<CauseKey, Cause> = HashMap::new();
        let sql = format!(
            "SELECT {FAILURE} FROM work JOIN job ON job.id = work.job
             LEFT JOIN attempt ON attempt.job = work.job AND attempt.number = work.attempts
             WHERE work.state IN (3, 4) AND work.state <> 2 AND {condition} ORDER BY work.state, work.job"
        );
        self.rows(&sql, params_from_iter(values), &mut |row| {
            let found = read(&|column| row.get_ref(column));
            let (bare, failure) = found.map_err(doing("reading the list of files"))?;
            let key = bare
                .clone()
                .with_words(&failure.path, &failure.message, &failure.body);
            let key = match causes.len() < Cause::MOST || causes.contains_key(&key) {
                true => key,
                false => bare,
            };
            let cause = causes.entry(key.clone()).or_insert_with(|| Cause {
                key,
                count: 0,
                examples: Vec::new(),
                same: (true, true),
            });
            cause.count += 1;
            if let Some(first) = cause.examples.first() {
                cause.same.0 &= first.message == failure.message;
                cause.same.1 &=
                    first.body == failure.body || said(&first.body) == said(&failure.body);
            }
            if cause.examples.len() < Cause::EXAMPLES {
                cause.examples.push(failure);
            }
            Ok::<_, StoreError>(())
        })?;
        let mut causes: Vec<Cause> = causes.into_values().collect();
        let rest = |cause: &Cause| {
            let key = &cause.key;
            (key.class, key.status, key.kind.clone(), key.gist.clone())
        };
        causes.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| rest(a).cmp(&rest(b))));
        Ok(causes)
    }
}
