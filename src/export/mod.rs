//! Writing results: one snapshot, in list order, in constant memory; a file appears whole or not at all.

mod cells;
mod column;
mod content;
mod csv;
mod error;
mod folder;
mod form;
mod json;
mod lane;
mod names;
#[cfg(feature = "parquet")]
mod parquet;
mod rows;
mod timestamp;

use std::io::{BufWriter, Write};
use std::path::Path;

pub use column::{Column, Columns};
pub use error::ExportError;
pub use folder::to_folder;
pub use form::{Extract, Form, Format, Selection, Written};
pub use timestamp::timestamp;

use crate::atomic_file;
use crate::job::FileName;
use crate::store::Reader;
use error::write_failed;

/// Writes results to a stream.
///
/// # Errors
///
/// Not everything is done, or a result is damaged, and `selection` is [`Selection::Whole`]; nothing can be extracted
/// from a result; reading or writing fails. What was written by then stays written.
pub fn to_stream<'e>(
    reader: &Reader,
    form: impl Into<Form<'e>>,
    selection: Selection,
    to: &mut dyn Write,
) -> Result<Written, ExportError> {
    let form = form.into();
    form.check(reader, selection)?;
    let mut to = BufWriter::with_capacity(1 << 16, to);
    let written = match form.format {
        Format::Json | Format::Jsonl | Format::Csv => {
            lane::write(reader, &form, selection, &mut to)
        }
        #[cfg(feature = "parquet")]
        Format::Parquet => parquet::write(reader, &form, selection, &mut to),
    }?;
    to.flush().map_err(write_failed)?;
    Ok(written)
}

/// Writes results to a file: to a temporary one in the same folder, which takes the file's place when it is
/// whole and synced. The new file is readable by its owner alone.
///
/// # Errors
///
/// As [`to_stream`]; then the old file, or its absence, is untouched.
pub fn to_file<'e>(
    reader: &Reader,
    form: impl Into<Form<'e>>,
    selection: Selection,
    path: &Path,
) -> Result<Written, ExportError> {
    atomic_file::write(reader.path(), path, |file| {
        to_stream(reader, form, selection, file).map_err(|error| match error {
            ExportError::Write { source, .. } => ExportError::Write {
                target: FileName::from(path).to_string(),
                source,
            },
            error => error,
        })
    })
}
