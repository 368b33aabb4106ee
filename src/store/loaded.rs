//! Jobs to load, and the counts of a loaded list.

use crate::job::{Columns, FileName};

/// A job to add.
#[derive(Debug, Clone, Copy)]
pub struct NewJob<'j> {
    /// Its name.
    pub name: &'j FileName,
    /// The shortest spelling of its name, if that is another. See [`Loader::merge_spellings`](super::Loader::merge_spellings).
    pub key: Option<&'j FileName>,
    /// Its row, if the list is a table: a JSON object from column to value.
    pub columns: Option<&'j str>,
    /// The name of its file, if that is another. Only a row has one.
    pub file: Option<&'j FileName>,
}

/// The parts of a row on which the result of its call depends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RowUse {
    /// All of it.
    #[default]
    Whole,
    /// The file and these columns.
    Columns(Vec<String>),
}

impl RowUse {
    /// Returns true if a call would use the same parts of both rows.
    pub(super) fn is_same(&self, one: &Columns, other: &Columns) -> bool {
        match self {
            Self::Whole => false,
            Self::Columns(names) => names.iter().all(|name| one.json(name) == other.json(name)),
        }
    }
}

/// The counts of a loaded list.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Number of names that are new in the run.
    pub added: u64,
    /// Number of names that the run had already.
    pub known: u64,
    /// Number of repeated names in the list, which make no further jobs.
    pub duplicates: u64,
    /// Number of names that the run has and the list lacks; they are kept.
    pub left: u64,
    /// The first few of them.
    pub left_examples: Vec<FileName>,
    /// The first of them that failed because they cannot be read, at most [`Loaded::MOST_UNREAD`].
    pub left_unread: Vec<FileName>,
    /// Number of names that the list lacks and that [`Loader::forget_unlisted`](super::Loader::forget_unlisted) has forgotten.
    pub unlisted: u64,
    /// The first few of them.
    pub unlisted_examples: Vec<FileName>,
    /// Number of names in the list that were forgotten before, and stay so.
    pub forgotten: u64,
    /// The first few of them.
    pub forgotten_examples: Vec<FileName>,
    /// Number of done jobs that keep the row of their call, because their result depends on it and the list has another.
    pub outdated: u64,
    /// The first few of them.
    pub outdated_examples: Vec<FileName>,
    /// Number of such jobs that [`Loader::call_again`](super::Loader::call_again) has made pending with the list's row.
    pub again: u64,
    /// Number of jobs with a call in doubt whose next call has a new idempotency key, because it uses the list's row.
    pub renewed: u64,
}

impl Loaded {
    /// Most names in `left_unread`.
    pub const MOST_UNREAD: usize = 20;
}
