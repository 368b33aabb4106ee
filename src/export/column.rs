//! Columns of exported tables.

use std::str::FromStr;

use strsim::levenshtein;
use strum::{EnumString, IntoStaticStr, VariantArray};

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
    /// The HTTP status of the latest attempt.
    Status,
    /// The class of its failure.
    Class,
    /// The message of its failure.
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
}

impl Column {
    /// Every column.
    pub const ALL: &[Self] = Self::VARIANTS;
    /// The default columns of text formats.
    pub const PLAIN: &[Self] = Self::ALL.split_at(10).0;
    /// The default columns of typed formats: those of text formats, and the form of each result.
    pub const TYPED: &[Self] = Self::ALL.split_at(13).0;

    /// Returns the column's name.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns whether every job has a value in this column.
    #[cfg(feature = "parquet")]
    pub(super) fn is_required(self) -> bool {
        matches!(self, Self::File | Self::State | Self::Attempts)
    }
}

/// Columns of a table, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnList(Vec<Column>);

impl ColumnList {
    /// Returns the columns.
    pub fn as_slice(&self) -> &[Column] {
        &self.0
    }
}

impl FromStr for ColumnList {
    type Err = String;

    /// Parses names separated by commas.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut columns = Vec::new();
        for word in text.split(',').map(str::trim) {
            let column = word.parse().map_err(|_| unknown(word))?;
            if columns.contains(&column) {
                return Err(format!("column `{word}` is repeated: use it once"));
            }
            columns.push(column);
        }
        Ok(Self(columns))
    }
}

/// Returns the message for an unknown column, with the most similar one.
fn unknown(word: &str) -> String {
    let names: Vec<&str> = Column::ALL.iter().map(|column| column.as_str()).collect();
    let distances = names.iter().map(|name| (levenshtein(name, word), name));
    let similar = match distances.min() {
        Some((..=2, name)) => format!(" (did you mean `{name}`?)"),
        _ => String::new(),
    };
    format!(
        "unknown column `{word}`{similar}: use some of {}",
        names.join(",")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_parsed_in_their_order() {
        let columns: ColumnList = "result, file".parse().unwrap();
        assert_eq!(columns.as_slice(), [Column::Result, Column::File]);
        for (wrong, says) in [
            ("stat", "(did you mean `state`?): use some of file,state,"),
            ("fil", "`file`?"),
            ("results", "`result`?"),
            ("nothing-like-it", "unknown column `nothing-like-it`: use"),
            ("", "unknown column ``"),
            ("file,", "unknown column ``"),
            ("file,file", "repeated"),
        ] {
            let message = wrong.parse::<ColumnList>().unwrap_err();
            assert!(message.contains(says), "{wrong}: {message}");
        }
    }
}
