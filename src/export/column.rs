//! The columns of tables.

use std::str::FromStr;

use strsim::levenshtein;

/// What a table says of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// The name; what of it is not UTF-8 is replaced by U+FFFD.
    File,
    /// Where the job stands.
    State,
    /// How many attempts it had.
    Attempts,
    /// The latest attempt's HTTP status.
    Status,
    /// Its failure's class.
    Class,
    /// Its failure in one line.
    Error,
    /// When it began.
    Started,
    /// How long it took, in seconds.
    Duration,
    /// The result.
    Result,
    /// The name's bytes, where it is not UTF-8.
    PathBytes,
    /// The failure's kind, below its class.
    Kind,
    /// The result's `Content-Type` as received.
    MediaType,
    /// What the result is: `json`, `text`, `bytes`, or `file` where it lies in one.
    ResultType,
    /// The result's bytes, where they are neither JSON nor text.
    ResultBytes,
}

impl Column {
    /// All there are.
    pub const ALL: [Self; 14] = [
        Self::File,
        Self::State,
        Self::Attempts,
        Self::Status,
        Self::Class,
        Self::Error,
        Self::Started,
        Self::Duration,
        Self::Result,
        Self::PathBytes,
        Self::Kind,
        Self::MediaType,
        Self::ResultType,
        Self::ResultBytes,
    ];

    /// Those of a table that is text.
    pub const PLAIN: [Self; 10] = [
        Self::File,
        Self::State,
        Self::Attempts,
        Self::Status,
        Self::Class,
        Self::Error,
        Self::Started,
        Self::Duration,
        Self::Result,
        Self::PathBytes,
    ];

    /// Those of a table whose columns have types: as many more as it takes to say of each result what it is.
    pub const TYPED: [Self; 13] = [
        Self::File,
        Self::State,
        Self::Attempts,
        Self::Status,
        Self::Class,
        Self::Error,
        Self::Started,
        Self::Duration,
        Self::Result,
        Self::PathBytes,
        Self::MediaType,
        Self::ResultType,
        Self::ResultBytes,
    ];

    /// The column's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::State => "state",
            Self::Attempts => "attempts",
            Self::Status => "status",
            Self::Class => "class",
            Self::Error => "error",
            Self::Started => "started",
            Self::Duration => "duration",
            Self::Result => "result",
            Self::PathBytes => "path_bytes",
            Self::Kind => "kind",
            Self::MediaType => "media_type",
            Self::ResultType => "result_type",
            Self::ResultBytes => "result_bytes",
        }
    }

    /// Whether every job has it.
    #[cfg(feature = "parquet")]
    pub(super) fn is_there(self) -> bool {
        matches!(self, Self::File | Self::State | Self::Attempts)
    }
}

/// Columns in an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns(Vec<Column>);

impl Columns {
    /// The columns.
    pub fn as_slice(&self) -> &[Column] {
        &self.0
    }
}

impl FromStr for Columns {
    type Err = String;

    /// Reads names with commas between them.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut columns = Vec::new();
        let all = || Column::ALL.map(Column::as_str).join(",");
        for word in text.split(',').map(str::trim) {
            let known = Column::ALL
                .into_iter()
                .find(|column| column.as_str() == word);
            let Some(column) = known else {
                let perhaps = Column::ALL.map(Column::as_str).into_iter();
                let perhaps = perhaps.min_by_key(|name| levenshtein(name, word));
                return Err(match perhaps.filter(|name| levenshtein(name, word) <= 2) {
                    Some(name) => format!(
                        "there is no column `{word}`; perhaps `{name}` is meant: write some of {}",
                        all()
                    ),
                    None => format!("there is no column `{word}`: write some of {}", all()),
                });
            };
            if columns.contains(&column) {
                return Err(format!("the column `{word}` is there twice: write it once"));
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
    fn columns_are_read_in_their_order() {
        let columns: Columns = "result, file".parse().unwrap();
        assert_eq!(columns.as_slice(), [Column::Result, Column::File]);
        let all = Column::ALL.map(Column::as_str).join(",");
        assert_eq!(all.parse::<Columns>().unwrap().as_slice(), Column::ALL);
        for (wrong, says) in [
            (
                "stat",
                "perhaps `state` is meant: write some of file,state,",
            ),
            ("fil", "`file` is meant"),
            ("results", "`result` is meant"),
            ("nothing-like-it", "no column `nothing-like-it`: write"),
            ("", "no column ``"),
            ("file,", "no column ``"),
            ("file,file", "twice"),
        ] {
            let told = wrong.parse::<Columns>().unwrap_err();
            assert!(told.contains(says), "{wrong}: {told}");
        }
    }
}
