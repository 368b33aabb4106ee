//! Columns of exported tables.

use std::str::FromStr;

use strsim::levenshtein;
use strum::{EnumString, IntoStaticStr, VariantArray};
use thiserror::Error;

use crate::filter::split_words;
use crate::job::escaped;

/// A column of a table with a row for each job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Column {
    /// The name, with U+FFFD for invalid UTF-8.
    File,
    /// The job's state.
    State,
    /// The number of attempts.
    Attempts,
    /// The HTTP status of the result's attempt, or else of the latest one.
    Status,
    /// The class of that attempt's failure.
    Class,
    /// The message of its failure, with what the service says.
    Error,
    /// The time at which it began.
    Started,
    /// Its duration in seconds.
    Duration,
    /// The result.
    Result,
    /// The bytes of a name that is not UTF-8.
    PathBytes,
    /// The result's `Content-Type` as received.
    MediaType,
    /// The form of the result: `json`, `text`, `bytes` or `file`.
    ResultType,
    /// The bytes of a result that is neither JSON nor text.
    ResultBytes,
    /// The kind of the failure, within its class.
    Kind,
    /// The outcome of that attempt: `succeeded`, `failed`, `not_sent`, `interrupted`, `throttled`, `advanced`, `not_ready` or
    /// `in_doubt`, which also stands for a call that was not made after one in doubt.
    Outcome,
    /// The step that the job has reached, counted from 1.
    Step,
    /// The answer of the step before, of a job that is not done.
    Handle,
}

impl Column {
    /// Every column.
    pub const ALL: &[Self] = Self::VARIANTS;
    /// The default columns of text formats.
    pub const PLAIN: &[Self] = Self::ALL.split_at(10).0;
    /// The default columns of typed formats: those of text formats, and each result's media type, form and bytes.
    pub const TYPED: &[Self] = Self::ALL.split_at(13).0;

    /// Returns the column's name.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A column of a table, as `--columns` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnName {
    /// One of stride's own.
    Own(Column),
    /// `col.NAME`: a column of the list.
    List(String),
    /// `result.NAME`: a field of the result, if that is a JSON object.
    Field(String),
}

impl ColumnName {
    pub(super) fn list(&self) -> Option<String> {
        match self {
            Self::List(name) => Some(name.clone()),
            Self::Own(_) | Self::Field(_) => None,
        }
    }

    pub(super) fn field(&self) -> Option<String> {
        match self {
            Self::Field(name) => Some(name.clone()),
            Self::Own(_) | Self::List(_) => None,
        }
    }
}

impl From<Column> for ColumnName {
    fn from(column: Column) -> Self {
        Self::Own(column)
    }
}

/// An error of a list of columns.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ColumnError {
    /// No column has this name.
    #[error("there is no column `{}`{}", escaped(.name.as_bytes()), similar(.name))]
    Unknown {
        /// The name.
        name: String,
    },
    /// A column is named twice.
    #[error("the column `{}` is repeated", escaped(.0.as_bytes()))]
    Repeated(String),
}

/// Suggests the most similar of stride's own columns, unless it differs too much.
fn similar(word: &str) -> String {
    let names = Column::ALL.iter().map(|column| column.as_str());
    let distances = names.map(|name| (levenshtein(name, word), name));
    match distances.min() {
        Some((..=2, name)) => format!(" (did you mean `{name}`?)"),
        _ => String::new(),
    }
}

impl FromStr for ColumnName {
    type Err = ColumnError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        if let Some(name) = word.strip_prefix(LIST_PREFIX) {
            Ok(Self::List(name.to_owned()))
        } else if let Some(name) = word.strip_prefix(FIELD_PREFIX) {
            Ok(Self::Field(name.to_owned()))
        } else {
            let name = word.to_owned();
            let own = word.parse().map(Self::Own);
            own.map_err(|_| ColumnError::Unknown { name })
        }
    }
}

/// Distinguishes a column of the list from stride's own.
pub(super) const LIST_PREFIX: &str = "col.";
/// Distinguishes a field of the result from other columns.
pub(super) const FIELD_PREFIX: &str = "result.";

/// Columns of a table, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnList(Vec<ColumnName>);

impl ColumnList {
    /// Returns the columns.
    pub fn as_slice(&self) -> &[ColumnName] {
        &self.0
    }

    /// Parses names separated by commas. A name with a comma is between double quotes, as in CSV. A name that
    /// `is_listed` accepts is a column of the list, also without its prefix, unless it is one of stride's own.
    ///
    /// # Errors
    ///
    /// A name is unknown, or a column is repeated.
    pub fn read(text: &str, is_listed: impl Fn(&str) -> bool) -> Result<Self, ColumnError> {
        let mut columns = Vec::new();
        for word in split_words(text).unwrap_or_else(|| vec![text.to_owned()]) {
            let column = match word.parse() {
                Err(ColumnError::Unknown { name }) if is_listed(&name) => ColumnName::List(name),
                column => column?,
            };
            if columns.contains(&column) {
                return Err(ColumnError::Repeated(word));
            }
            columns.push(column);
        }
        Ok(Self(columns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_parsed_in_their_order() {
        let is_listed = |name: &str| ["file", "id"].contains(&name);
        let text = r#"result, file,col.lang,"col.a, b",result.x.y,id"#;
        let columns = ColumnList::read(text, is_listed).unwrap();
        let expected = [
            Column::Result.into(),
            Column::File.into(),
            ColumnName::List("lang".to_owned()),
            ColumnName::List("a, b".to_owned()),
            ColumnName::Field("x.y".to_owned()),
            ColumnName::List("id".to_owned()),
        ];
        assert_eq!(columns.as_slice(), expected);
        for (wrong, says) in [
            ("stat", "there is no column `stat` (did you mean `state`?)"),
            ("fil", "there is no column `fil` (did you mean `file`?)"),
            (
                "results",
                "there is no column `results` (did you mean `result`?)",
            ),
            ("nothing-like-it", "there is no column `nothing-like-it`"),
            ("", "there is no column ``"),
            ("file,", "there is no column ``"),
            ("file,file", "the column `file` is repeated"),
            ("col.a,col.a", "the column `col.a` is repeated"),
            ("col.id,id", "the column `id` is repeated"),
        ] {
            let error = ColumnList::read(wrong, is_listed).unwrap_err();
            assert_eq!(error.to_string(), says);
        }
    }
}
