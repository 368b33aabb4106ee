//! Values of table cells.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::column::Column;
use super::content::{ResultContent, extracted_text};
use super::fields::Kind;
use super::heading::{Heading, Source};
use crate::job::{Class, Members, text_of};
use crate::store::Record;

/// A typed value in a table.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TableCell<'c> {
    Null,
    Boolean(bool),
    Integer(i64),
    Real(f64),
    Text(Cow<'c, str>),
    Bytes(Cow<'c, [u8]>),
}

/// A job's row of a table.
pub(super) struct TableRow<'r> {
    pub(super) record: &'r Record,
    content: Option<&'r ResultContent<'r>>,
    /// The members of its row in the list, if the table has some of them.
    list: BTreeMap<String, &'r str>,
    /// The fields of its result, if the table has some of them.
    fields: Option<BTreeMap<String, &'r str>>,
}

impl<'r> TableRow<'r> {
    pub(super) fn new(
        record: &'r Record,
        content: Option<&'r ResultContent<'r>>,
        headings: &[Heading],
    ) -> Self {
        let has = |is: fn(&Source) -> bool| headings.iter().any(|heading| is(&heading.source));
        let has_list = has(|source| matches!(source, Source::List(..)));
        let has_fields = has(|source| matches!(source, Source::Rest | Source::Field(..)));
        let list = record.columns.row().filter(|_| has_list);
        let fields = content.filter(|_| has_fields);
        Self {
            record,
            content,
            list: list
                .and_then(Members::read)
                .map(Members::by_name)
                .unwrap_or_default(),
            fields: fields
                .and_then(ResultContent::members)
                .map(Members::by_name),
        }
    }

    /// Returns the result, if this column shows it whole. [`Source::Rest`] leaves out objects, whose fields have columns.
    pub(super) fn result(&self, source: &Source) -> Option<&'r ResultContent<'r>> {
        match source {
            Source::Own(Column::Result) => self.content,
            Source::Rest if self.fields.is_none() => self.content,
            _ => None,
        }
    }

    /// Returns the value in a column of the list or a field of the result, as JSON text.
    pub(super) fn json(&self, source: &Source) -> Option<&'r str> {
        match source {
            Source::List(name, _) => self.list.get(name).copied(),
            Source::Field(name, _) => self.fields.as_ref()?.get(name).copied(),
            Source::Own(_) | Source::Rest => None,
        }
    }

    /// Returns the value in a column.
    ///
    /// [`Column::Result`] is text, or null for bytes, which [`Column::ResultBytes`] has. [`Column::ResultType`] tells how
    /// the JSON export writes the result: `json` and `file` as JSON, `text` as a string, and `bytes` in `base64`.
    pub(super) fn cell(&self, source: &Source) -> TableCell<'r> {
        match source {
            Source::Own(column) => self.own(*column),
            Source::Rest => self.result(source).map_or(TableCell::Null, result),
            Source::List(_, kind) | Source::Field(_, kind) => self
                .json(source)
                .map_or(TableCell::Null, |json| value(json, *kind)),
        }
    }

    fn own(&self, column: Column) -> TableCell<'r> {
        let (record, content) = (self.record, self.content);
        let text = |text: Option<&'r str>| {
            text.map_or(TableCell::Null, |text| TableCell::Text(text.into()))
        };
        let number = |number: Option<i64>| number.map_or(TableCell::Null, TableCell::Integer);
        match column {
            Column::File => TableCell::Text(record.path.to_string_lossy()),
            Column::State => text(Some(record.state.as_str())),
            Column::Attempts => TableCell::Integer(record.attempts.into()),
            Column::Status => number(record.status.map(i64::from)),
            Column::Class => text(record.class.map(Class::as_str)),
            Column::Error => record.reason().map_or(TableCell::Null, TableCell::Text),
            Column::Started => number(record.started),
            Column::Duration => record.took.map_or(TableCell::Null, |took| {
                TableCell::Real(took as f64 / 1000.0)
            }),
            Column::PathBytes => match record.path.as_str() {
                Some(_) => TableCell::Null,
                None => TableCell::Bytes(record.path.as_bytes().into()),
            },
            Column::Kind => text(record.kind.as_deref()),
            Column::Outcome => text(record.outcome.as_deref()),
            Column::Step => TableCell::Integer(i64::from(record.step) + 1),
            Column::Handle => (record.handle.as_deref()).map_or(TableCell::Null, |body| {
                TableCell::Text(String::from_utf8_lossy(body))
            }),
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
}

/// Returns a JSON value as a cell of its column's type.
fn value(json: &str, kind: Kind) -> TableCell<'_> {
    let cell = match kind {
        _ if json == "null" => Some(TableCell::Null),
        Kind::Integer => json.parse().ok().map(TableCell::Integer),
        Kind::Real => json.parse().ok().map(TableCell::Real),
        Kind::Boolean => json.parse().ok().map(TableCell::Boolean),
        Kind::Text => None,
    };
    cell.unwrap_or_else(|| TableCell::Text(text_of(json)))
}

fn result<'r>(content: &'r ResultContent<'_>) -> TableCell<'r> {
    TableCell::Text(match content {
        ResultContent::Json(json) => (&**json).into(),
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
