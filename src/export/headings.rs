//! Chooses and names the columns of an exported table.

use super::column::{Column, ColumnName, FIELD_PREFIX, LIST_PREFIX};
use super::content::ResultContent;
use super::error::ExportError;
use super::fields::Fields;
use super::form::{Form, Format, Selection};
use super::heading::{Heading, Source};
use super::{json, rows};
use crate::job::Members;
use crate::store::Reader;

/// Returns the columns of a table; a JSON object has none.
///
/// All names of the list's columns get their prefix if one is empty, begins with `result.`, or is that of a column of
/// stride's own. So do those of the results' fields, also if one is that of a column of the list. Case does not count,
/// because some readers ignore it.
pub(super) fn headings(
    reader: &Reader,
    form: &Form<'_>,
    selection: Selection,
) -> Result<Vec<Heading>, ExportError> {
    let own = match form.format {
        Format::Json => return Ok(Vec::new()),
        Format::Jsonl => json::DEFAULT,
        Format::Csv => Column::PLAIN,
        #[cfg(feature = "parquet")]
        Format::Parquet => Column::TYPED,
    };
    let asked = form.columns.unwrap_or_default();
    let asked_list: Vec<String> = asked.iter().filter_map(ColumnName::list).collect();
    let asked_fields: Vec<String> = asked.iter().filter_map(ColumnName::field).collect();
    let list = match form.columns.is_none() || !asked_list.is_empty() {
        true => list_fields(reader, asked_list)?,
        false => Fields::default(),
    };
    let (fields, rest) = match form.flatten || !asked_fields.is_empty() {
        true => result_fields(reader, form, selection, asked_fields)?,
        false => (Fields::default(), false),
    };
    let mut names: Vec<ColumnName> = asked.to_vec();
    if form.columns.is_none() {
        names.extend(own.iter().copied().map(ColumnName::Own));
        let list = list.whole("the list has")?;
        names.extend(list.map(|name| ColumnName::List(name.to_owned())));
    }
    let namer = Namer::new(&list, &fields);
    let mut headings = Vec::new();
    for name in &names {
        match name {
            ColumnName::Own(Column::Result) if form.flatten => {
                let is_named = |field: &str| names.contains(&ColumnName::Field(field.to_owned()));
                let all = fields.whole("the results have")?;
                let spread = all.filter(|field| !is_named(field));
                headings.extend(spread.map(|field| namer.field(&fields, field)));
                if rest {
                    headings.push(own_heading(Column::Result, Source::Rest));
                }
            }
            ColumnName::Own(column) => headings.push(own_heading(*column, Source::Own(*column))),
            ColumnName::List(column) => {
                list.check(LIST_PREFIX, column)?;
                headings.push(namer.list(&list, column));
            }
            ColumnName::Field(field) => {
                // Without any result, no name can be wrong.
                if !fields.is_empty() || rest {
                    fields.check(FIELD_PREFIX, field)?;
                }
                headings.push(namer.field(&fields, field));
            }
        }
    }
    Ok(headings)
}

fn own_heading(column: Column, source: Source) -> Heading {
    Heading {
        name: column.as_str().to_owned(),
        source,
    }
}

/// Reads the columns of the list.
fn list_fields(reader: &Reader, asked: Vec<String>) -> Result<Fields, ExportError> {
    let mut list = Fields::with(asked);
    reader.list_rows(&mut |row| {
        if let Some(members) = Members::read(row) {
            list.add(&members);
        }
        Ok::<_, ExportError>(())
    })?;
    Ok(list)
}

/// Checks that the list has these columns.
///
/// # Errors
///
/// It lacks one of them, or the database cannot be read.
pub fn check_list_columns(reader: &Reader, asked: &[String]) -> Result<(), ExportError> {
    if asked.is_empty() {
        return Ok(());
    }
    let list = list_fields(reader, asked.to_vec())?;
    asked
        .iter()
        .try_for_each(|name| list.check(LIST_PREFIX, name))
}

/// Returns whether a result has this field.
///
/// # Errors
///
/// The results cannot be read, or no value can be extracted from one.
pub fn has_result_field(reader: &Reader, form: &Form<'_>, name: &str) -> Result<bool, ExportError> {
    let asked = vec![name.to_owned()];
    let (fields, _) = result_fields(reader, form, Selection::Partial, asked)?;
    Ok(fields.check(FIELD_PREFIX, name).is_ok())
}

/// Reads the fields of the results, and whether a result is no object.
fn result_fields(
    reader: &Reader,
    form: &Form<'_>,
    selection: Selection,
    asked: Vec<String>,
) -> Result<(Fields, bool), ExportError> {
    let selection = match selection {
        Selection::Whole => Selection::Whole,
        Selection::Partial | Selection::All => Selection::Partial,
    };
    let (mut fields, mut rest) = (Fields::with(asked), false);
    rows::each(reader, form, selection, &[], |_, content| {
        let members = content.and_then(ResultContent::members);
        match members {
            Some(members) => fields.add(&members),
            None => rest |= content.is_some(),
        }
        Ok(())
    })?;
    Ok((fields, rest))
}

/// Names columns such that no two share a name.
struct Namer {
    list_prefix: &'static str,
    field_prefix: &'static str,
}

impl Namer {
    fn new(list: &Fields, fields: &Fields) -> Self {
        let is_own = |name: &str| {
            let mut own = Column::ALL.iter();
            own.any(|column| column.as_str().eq_ignore_ascii_case(name))
        };
        let prefixed = |name: &str, prefix: &str| {
            let beginning = name.get(..prefix.len());
            beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(prefix))
        };
        let taken = |name: &str| name.is_empty() || is_own(name) || prefixed(name, FIELD_PREFIX);
        let list_prefix = match list.names().any(taken) {
            true => LIST_PREFIX,
            false => "",
        };
        let is_list = |name: &str| {
            let mut list = list.names();
            list.any(|column| format!("{list_prefix}{column}").eq_ignore_ascii_case(name))
        };
        let field_prefix = match fields.names().any(|name| taken(name) || is_list(name)) {
            true => FIELD_PREFIX,
            false => "",
        };
        Self {
            list_prefix,
            field_prefix,
        }
    }

    fn list(&self, list: &Fields, name: &str) -> Heading {
        Heading {
            name: format!("{}{name}", self.list_prefix),
            source: Source::List(name.to_owned(), list.kind(name)),
        }
    }

    fn field(&self, fields: &Fields, name: &str) -> Heading {
        Heading {
            name: format!("{}{name}", self.field_prefix),
            source: Source::Field(name.to_owned(), fields.kind(name)),
        }
    }
}
