//! Sources of jobs, and the jobs that they yield.

use std::path::PathBuf;

use crate::job::FileName;

/// How a list is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// One name a line.
    Lines,
    /// Names that end with a NUL byte, as `find -print0` writes them.
    Nul,
    /// A table as RFC 4180 has it, with a header.
    Csv {
        /// The column with the names; otherwise it is `path`, or else `file`.
        key: Option<String>,
    },
    /// A table of JSON objects, one a line.
    Jsonl {
        /// The column with the names; otherwise it is `path`, or else `file`.
        key: Option<String>,
    },
}

/// What makes a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its name.
    pub name: FileName,
    /// Where the list is a table, all columns of the job's row: a JSON object from column to value.
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

/// Where jobs come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file, or a folder that is walked.
    Path(PathBuf),
    /// A file with a list.
    List(PathBuf, Layout),
    /// A list on standard input.
    Stdin(Layout),
}

/// What was passed over on the way.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Hidden files and folders in walked folders.
    pub hidden: u64,
    /// stride's own files, and folders with nothing but such files.
    pub own: Vec<FileName>,
    /// Blank lines of lists.
    pub blank: u64,
    /// Things in walked folders that are neither files nor folders, and links to folders or to nothing.
    pub other: u64,
}
