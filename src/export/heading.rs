//! A column of an exported table: its name, source and type.

use super::column::Column;
use super::fields::Kind;

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heading {
    /// Its name in the table.
    pub(super) name: String,
    /// The source of its values.
    pub(super) source: Source,
}

/// The source of a column's values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// A column of stride's own.
    Own(Column),
    /// The results that are no JSON objects, beside the columns of the others' fields.
    Rest,
    /// A column of the list, with the type of its values.
    List(String, Kind),
    /// A field of the results, with the type of its values.
    Field(String, Kind),
}
