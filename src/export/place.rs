//! Exports into files.

use std::fs;
use std::path::Path;

use super::{ExportError, Form, Format, Selection, Written, sqlite, to_stream};
use crate::job::FileName;
use crate::store::Reader;
use crate::whole;

/// Writes results to a file: to a temporary one in the same folder, which takes the file's place when it is
/// whole and synced. The new file is readable by its owner alone.
///
/// # Errors
///
/// As [`to_stream`]; then the old file, or its absence, is untouched. A database is written only where a file can be.
pub fn to_file<'e>(
    reader: &Reader,
    form: impl Into<Form<'e>>,
    selection: Selection,
    path: &Path,
) -> Result<Written, ExportError> {
    let form = form.into();
    let is_database = form.format == Format::Sqlite;
    // Looked at first, for to open a pipe is to wait for whoever reads it.
    if is_database && fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
        return Err(ExportError::Target {
            path: path.to_owned(),
            reason: "a database has to be a file",
        });
    }
    let target = FileName::from(path).to_string();
    whole::write(reader.path(), path, |file, place| {
        let written = match is_database {
            true => sqlite::write(reader, &form, selection, place),
            false => to_stream(reader, form, selection, file),
        };
        written.map_err(|error| match error {
            ExportError::Write { source, .. } => ExportError::Write { target, source },
            error => error,
        })
    })
}
