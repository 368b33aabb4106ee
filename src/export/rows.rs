//! Reads jobs one by one, and checks their results.

use super::content::ResultContent;
use super::error::ExportError;
use super::form::{ExportSummary, Form, Selection};
use super::heading::Heading;
use crate::job::FileName;
use crate::store::{Batch, Reader, Record, StoreError};

/// Checks a job's result, and opens it if it is in a file. Returns whether it is intact. A damaged or missing one is an
/// error if the whole run is exported. Otherwise the job is left out, and added to `damaged`.
pub(super) fn check_result(
    record: &mut Record,
    form: &Form<'_>,
    selection: Selection,
    damaged: &mut Vec<FileName>,
) -> Result<bool, ExportError> {
    if form.replace_surrogates {
        record.columns = record.columns.without_lone_surrogates();
    }
    let path = &record.path;
    let checked = match (record.is_damaged, &mut record.result) {
        (true, _) => Err(StoreError::DamagedResult { path: path.clone() }),
        (false, Some(result)) => result.open(path).map(|body| result.body = body),
        (false, None) => Ok(()),
    };
    match checked {
        Ok(()) => return Ok(true),
        Err(error) if selection == Selection::Whole => return Err(error.into()),
        Err(_) => damaged.push(record.path.clone()),
    }
    Ok(false)
}

/// Passes the selected jobs and their contents to `row`, in list order.
pub(super) fn each(
    reader: &Reader,
    form: &Form<'_>,
    selection: Selection,
    headings: &[Heading],
    mut row: impl FnMut(&Record, Option<&ResultContent<'_>>) -> Result<(), ExportError>,
) -> Result<ExportSummary, ExportError> {
    let mut written = ExportSummary::default();
    let mut one = |record: &mut Record| -> Result<(), ExportError> {
        if check_result(record, form, selection, &mut written.damaged)? {
            let content = ResultContent::new(record, form)?;
            row(record, content.as_ref())?;
            let extracted = content.as_ref().and_then(ResultContent::extracted);
            written.count(record, extracted);
        }
        Ok(())
    };
    let wanted = form.wanted(selection, headings);
    reader.pages(wanted, form.chosen, &mut |found| match found {
        Batch::Page(page) => page.each(&mut |mut record| one(&mut record)),
        Batch::Large(mut record) => one(&mut record),
    })?;
    Ok(written)
}
