//! Values of table cells.

use std::borrow::Cow;

use super::column::Column;
use super::content::{ResultContent, extracted_text};
use crate::job::Class;
use crate::store::Record;

/// A typed value in a table.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TableCell<'c> {
    Null,
    Integer(i64),
    Real(f64),
    Text(Cow<'c, str>),
    Bytes(Cow<'c, [u8]>),
}

/// Returns a job's value in a column.
///
/// A result is text or bytes. [`Column::ResultType`] tells how the JSON export writes it: `json` and `file` as JSON,
/// `text` as a string, and `bytes` in `base64`.
pub(super) fn cell<'r>(
    column: Column,
    record: &'r Record,
    content: Option<&'r ResultContent<'_>>,
) -> TableCell<'r> {
    let text =
        |text: Option<&'r str>| text.map_or(TableCell::Null, |text| TableCell::Text(text.into()));
    let number = |number: Option<i64>| number.map_or(TableCell::Null, TableCell::Integer);
    match column {
        Column::File => TableCell::Text(record.path.to_string_lossy()),
        Column::State => text(Some(record.state.as_str())),
        Column::Attempts => TableCell::Integer(record.attempts.into()),
        Column::Status => number(record.status.map(i64::from)),
        Column::Class => text(record.class.map(Class::as_str)),
        Column::Error => text(record.message.as_deref()),
        Column::Started => number(record.started),
        Column::Duration => record.took.map_or(TableCell::Null, |took| {
            TableCell::Real(took as f64 / 1000.0)
        }),
        Column::PathBytes => match record.path.as_str() {
            Some(_) => TableCell::Null,
            None => TableCell::Bytes(record.path.as_bytes().into()),
        },
        Column::Kind => text(record.kind.as_deref()),
        Column::MediaType => text(
            record
                .result
                .as_ref()
                .and_then(|result| result.media_type.as_deref()),
        ),
        Column::Result => content.map_or(TableCell::Null, result),
        Column::ResultType => text(content.map(result_type)),
        Column::ResultBytes => match content {
            Some(ResultContent::Bytes(encoded)) => TableCell::Bytes(encoded.bytes.into()),
            _ => TableCell::Null,
        },
    }
}

fn result<'r>(content: &'r ResultContent<'_>) -> TableCell<'r> {
    TableCell::Text(match content {
        ResultContent::Json(json) => json.get().into(),
        ResultContent::Text(text) => (*text).into(),
        ResultContent::Bytes(_) => return TableCell::Null,
        ResultContent::Extracted(json) => extracted_text(json).map_or(json.into(), Cow::from),
        // Serializing text and numbers cannot fail.
        ResultContent::File(file) => serde_json::to_string(file).unwrap_or_default().into(),
    })
}

fn result_type(content: &ResultContent<'_>) -> &'static str {
    match content {
        ResultContent::Text(_) => "text",
        ResultContent::Extracted(json) if extracted_text(json).is_some() => "text",
        ResultContent::Json(_) | ResultContent::Extracted(_) => "json",
        ResultContent::Bytes(_) => "bytes",
        ResultContent::File(_) => "file",
    }
}
