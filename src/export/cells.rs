//! Values of table cells.

use std::borrow::Cow;

use super::column::Column;
use super::content::{Content, extracted_text};
use crate::job::Class;
use crate::store::Record;

/// A typed value in a table.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell<'c> {
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
    content: Option<&'r Content<'_>>,
) -> Cell<'r> {
    let text = |text: Option<&'r str>| text.map_or(Cell::Null, |text| Cell::Text(text.into()));
    let number = |number: Option<i64>| number.map_or(Cell::Null, Cell::Integer);
    match column {
        Column::File => Cell::Text(record.path.to_string_lossy()),
        Column::State => text(Some(record.state.as_str())),
        Column::Attempts => Cell::Integer(record.attempts.into()),
        Column::Status => number(record.status.map(i64::from)),
        Column::Class => text(record.class.map(Class::as_str)),
        Column::Error => text(record.message.as_deref()),
        Column::Started => number(record.started),
        Column::Duration => record
            .took
            .map_or(Cell::Null, |took| Cell::Real(took as f64 / 1000.0)),
        Column::PathBytes => match record.path.as_str() {
            Some(_) => Cell::Null,
            None => Cell::Bytes(record.path.as_bytes().into()),
        },
        Column::Kind => text(record.kind.as_deref()),
        Column::MediaType => text(
            record
                .result
                .as_ref()
                .and_then(|result| result.media_type.as_deref()),
        ),
        Column::Result => content.map_or(Cell::Null, result),
        Column::ResultType => text(content.map(result_type)),
        Column::ResultBytes => match content {
            Some(Content::Bytes(encoded)) => Cell::Bytes(encoded.bytes.into()),
            _ => Cell::Null,
        },
    }
}

fn result<'r>(content: &'r Content<'_>) -> Cell<'r> {
    Cell::Text(match content {
        Content::Json(json) => json.get().into(),
        Content::Text(text) => (*text).into(),
        Content::Bytes(_) => return Cell::Null,
        Content::Extracted(json) => extracted_text(json).map_or(json.into(), Cow::from),
        // Serializing text and numbers cannot fail.
        Content::File(file) => serde_json::to_string(file).unwrap_or_default().into(),
    })
}

fn result_type(content: &Content<'_>) -> &'static str {
    match content {
        Content::Text(_) => "text",
        Content::Extracted(json) if extracted_text(json).is_some() => "text",
        Content::Json(_) | Content::Extracted(_) => "json",
        Content::Bytes(_) => "bytes",
        Content::File(_) => "file",
    }
}
