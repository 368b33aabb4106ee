//! Sources of jobs, and the jobs that they yield.

use std::path::PathBuf;

use crate::job::FileName;

/// The default names of the column with the file names, in order of precedence.
pub(super) const KEYS: [&str; 2] = ["path", "file"];
/// The maximum length of a row in bytes. A longer row probably has an unclosed quote, or the file is not a table.
pub(super) const LONGEST: usize = 16 << 20;
/// The depth that SQLite accepts in a JSON text.
pub(super) const DEEPEST: usize = 1000;

/// The format of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// One name per line.
    Lines,
    /// Names that end with NUL bytes, as `find -print0` writes them.
    Nul,
    /// A table with a header (RFC 4180).
    Csv {
        /// The column with the names; `path` or else `file` by default.
        key: Option<String>,
    },
    /// A table of JSON objects, one per line.
    Jsonl {
        /// The column with the names; `path` or else `file` by default.
        key: Option<String>,
    },
}

/// A job from a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its name.
    pub name: FileName,
    /// The job's row if the list is a table: a JSON object from column to value.
    pub columns: Option<String>,
}

impl From<FileName> for Item {
    fn from(name: FileName) -> Self {
        Self {
            name,
            columns: None,
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

/// Entries that reading the sources skipped.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Hidden files and folders in walked folders.
    pub hidden: u64,
    /// Files and folders that stride writes itself.
    pub own: Vec<FileName>,
    /// Blank lines of lists.
    pub blank: u64,
    /// Entries of walked folders that are neither files nor folders, and links to folders or to nothing.
    pub other: u64,
}
