//! Reads results one by one, for exports that are not text.

use super::content::Content;
use super::error::ExportError;
use super::form::{Form, Selection, Written};
use super::lane;
use crate::store::{Found, Reader, Record};

/// Takes a job, and what is written of its result.
pub(super) type Each<'e> = dyn FnMut(&Record, Option<&Content<'_>>) -> Result<(), ExportError> + 'e;

/// Hands over the chosen jobs in list order, each with what is written of its result.
pub(super) fn each(
    reader: &Reader,
    form: &Form<'_>,
    selection: Selection,
    row: &mut Each<'_>,
) -> Result<Written, ExportError> {
    let mut written = Written::default();
    let mut one = |record: &mut Record| -> Result<(), ExportError> {
        if lane::is_whole(record, selection, &mut written.damaged)? {
            row(record, Content::of(record, form)?.as_ref())?;
            written.jobs += 1;
        }
        Ok(())
    };
    let wanted = form.wanted(selection);
    reader.pages(wanted, form.chosen, &mut |found| match found {
        Found::Page(page) => page.each(&mut |mut record| one(&mut record)),
        Found::Large(mut record) => one(&mut record),
    })?;
    Ok(written)
}
