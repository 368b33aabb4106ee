//! Exports: one snapshot, in list order, in constant memory. A file appears whole or not at all.

mod cells;
mod column;
mod content;
mod csv;
mod error;
mod fields;
mod folder;
mod form;
mod heading;
mod headings;
mod json;
mod names;
mod nulls;
#[cfg(feature = "parquet")]
mod parquet;
mod pipeline;
mod rows;
mod timestamp;

use std::io::{BufWriter, Write};
use std::path::Path;

pub use column::{Column, ColumnError, ColumnList, ColumnName};
pub use error::ExportError;
pub use folder::to_folder;
pub use form::{ExportSummary, Extract, Form, Format, Selection};
pub use headings::{check_list_columns, has_result_field};
pub use nulls::Nulls;
pub use timestamp::timestamp;

use crate::atomic_file;
pub use crate::atomic_file::FileError;
use crate::job::FileName;
use crate::store::Reader;
use error::write_failed;

/// Writes results to a stream.
///
/// # Errors
///
/// A column does not exist, or there are too many. `selection` is [`Selection::Whole`], and a job is not done or a result
/// is damaged. No value can be extracted from a result. Reading or writing fails. The stream then keeps what was already
/// written.
pub fn to_stream<'e>(
    reader: &Reader,
    form: impl Into<Form<'e>>,
    selection: Selection,
    to: &mut dyn Write,
) -> Result<ExportSummary, ExportError> {
    let form = form.into();
    form.check(reader, selection)?;
    let headings = headings::headings(reader, &form, selection)?;
    let mut to = BufWriter::with_capacity(1 << 16, to);
    let written = match form.format {
        Format::Json | Format::Jsonl | Format::Csv => {
            pipeline::write(reader, &form, selection, &headings, &mut to)
        }
        #[cfg(feature = "parquet")]
        Format::Parquet => parquet::write(reader, &form, selection, &headings, &mut to),
    }?;
    to.flush().map_err(write_failed)?;
    Ok(written)
}

/// Writes results to a file, through a temporary file in the same folder that replaces it once it is whole and synced.
/// The new file has the permissions of the old one, or those that the process gives to new files.
///
/// # Errors
///
/// As [`to_stream`]. The target is then unchanged, unless only the final sync failed.
pub fn to_file<'e>(
    reader: &Reader,
    form: impl Into<Form<'e>>,
    selection: Selection,
    path: &Path,
) -> Result<ExportSummary, ExportError> {
    atomic_file::write(reader.path(), path, |file| {
        to_stream(reader, form, selection, file).map_err(|error| match error {
            ExportError::File(FileError::Write { source, .. }) => {
                let target = FileName::from(path).to_string();
                FileError::Write { target, source }.into()
            }
            error => error,
        })
    })
}
