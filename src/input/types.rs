//! Sources of jobs, and the jobs that they yield.

use std::path::PathBuf;

use crate::job::FileName;

/// The default names of the column with the file names, in order of precedence.
pub(super) const KEYS: [&str; 2] = ["path", "file"];
/// The maximum length of a row or a line in bytes. A longer row probably has an unclosed quote, or the file is not a list.
pub(super) const LONGEST: usize = 16 << 20;
/// The depth that SQLite accepts in a JSON text.
pub(super) const DEEPEST: usize = 1000;
/// The maximum number of names that are kept as examples.
const EXAMPLES: usize = 5;
/// The maximum number of columns that are kept for a message.
const COLUMNS: usize = 100;

/// The format of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// One name per line.
    Lines,
    /// Names that end with NUL bytes, as `find -print0` writes them.
    Nul,
    /// A table with a header (RFC 4180).
    Csv {
        /// The source of the names.
        key: Key,
    },
    /// A table of JSON objects, one per line.
    Jsonl {
        /// The source of the names.
        key: Key,
    },
}

/// The source of the names in a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Key {
    /// The column `path`, or else `file`.
    #[default]
    Usual,
    /// The column of this name, or else several, separated by commas. The first of several names the file.
    Columns(String),
    /// The number of the row's line. The column `path` or else `file`, if there is one, names the file.
    Line,
}

/// A job from a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its name.
    pub name: FileName,
    /// Its name with the shortest spelling of its path, if that is another.
    pub key: Option<FileName>,
    /// The name of its file, if that is not the job's name.
    pub file: Option<FileName>,
    /// The job's row if the list is a table: a JSON object from column to value.
    pub columns: Option<String>,
    /// The index of its source.
    pub source: usize,
    /// The line of the list on which it begins, counted from 1, or 0 outside of lists.
    pub line: u64,
}

impl From<FileName> for Item {
    fn from(name: FileName) -> Self {
        Self {
            key: name.cleaned(),
            name,
            file: None,
            columns: None,
            source: 0,
            line: 0,
        }
    }
}

/// A source of jobs.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file, or a folder that is walked.
    Path(PathBuf),
    /// A file that contains a list.
    List(PathBuf, Layout),
    /// A list on standard input.
    Stdin(Layout),
}

/// Rules for reading sources.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The paths of stride's own files and folders, which are skipped.
    pub own: Vec<PathBuf>,
    /// Walks go through links to folders.
    pub follow: bool,
    /// The columns that the calls need.
    pub columns: Vec<String>,
}

/// The findings of a reading, beside the jobs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Hidden files and folders in walked folders.
    pub hidden: u64,
    /// Files and folders that stride writes itself.
    pub own: Vec<FileName>,
    /// Blank lines of lists.
    pub blank: u64,
    /// Links to folders, which walks did not follow.
    pub links: Entries,
    /// Entries of walked folders that are neither files nor folders.
    pub other: Entries,
    /// The lists of lines that end with CR LF.
    pub crlf: Vec<String>,
    /// The columns of tables.
    pub columns: SeenColumns,
}

/// Entries of walked folders: their number and the first few.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Entries {
    /// Their number.
    pub count: u64,
    /// The first few, each with what it is.
    pub examples: Vec<(FileName, &'static str)>,
}

impl Entries {
    pub(super) fn add(&mut self, name: FileName, kind: &'static str) {
        self.count += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push((name, kind));
        }
    }
}

/// The columns of tables. Nothing is counted unless [`Options::columns`] names some.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SeenColumns {
    /// Number of rows.
    pub rows: u64,
    /// The first columns.
    pub names: Vec<String>,
    /// Each wanted column with the number of rows that have it.
    pub wanted: Vec<(String, u64)>,
}

impl SeenColumns {
    pub(super) fn wanting(columns: &[String]) -> Self {
        Self {
            wanted: columns.iter().map(|name| (name.clone(), 0)).collect(),
            ..Self::default()
        }
    }

    /// Records rows with these columns.
    pub(super) fn record<'c>(&mut self, columns: impl Iterator<Item = &'c str> + Clone, rows: u64) {
        if self.wanted.is_empty() {
            return;
        }
        self.rows += rows;
        for (name, count) in &mut self.wanted {
            if columns.clone().any(|column| column == name) {
                *count += rows;
            }
        }
        for column in columns {
            if self.names.len() < COLUMNS && !self.names.iter().any(|name| name == column) {
                self.names.push(column.to_owned());
            }
        }
    }
}
