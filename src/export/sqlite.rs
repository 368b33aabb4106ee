//! A database of its own: a file with one table and nothing of stride's, for whoever has no use for a run.

use std::path::Path;

use super::cells::cell;
use super::column::Column;
use super::{ExportError, Form, Selection, Written, rows, timestamp, write_failed};
use crate::store::{Cell, Reader, TableFile};

/// The name of the table.
const TABLE: &str = "results";

/// Writes the table into a file that is there and empty.
pub(super) fn write(
    reader: &Reader,
    form: &Form<'_>,
    selection: Selection,
    file: &Path,
) -> Result<Written, ExportError> {
    form.check(reader, selection)?;
    let columns = form.columns.unwrap_or(&Column::TYPED);
    let typed: Vec<String> = columns.iter().map(|column| typed(*column)).collect();
    let mut table = TableFile::create(file, TABLE, &typed).map_err(write_failed)?;
    let written = rows::each(reader, form, selection, &mut |record, content| {
        let row = columns.iter().map(|column| match column {
            // SQLite has no type for moments; its functions read this text, and it sorts as they do.
            Column::Started => record
                .started
                .map_or(Cell::Null, |started| Cell::Text(timestamp(started).into())),
            _ => cell(*column, record, content),
        });
        table.insert(row).map_err(write_failed)
    })?;
    table.finish().map_err(write_failed)?;
    Ok(written)
}

/// A column as a table is made of it.
fn typed(column: Column) -> String {
    let kind = match column {
        Column::Attempts | Column::Status => "INTEGER",
        Column::Duration => "REAL",
        Column::PathBytes | Column::ResultBytes => "BLOB",
        _ => "TEXT",
    };
    let not_null = if column.is_there() { " NOT NULL" } else { "" };
    format!("{} {kind}{not_null}", column.as_str())
}
