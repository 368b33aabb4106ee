//! Names of files that are the same for every file of the run.

use std::path::{Path, PathBuf};

use stride::caller::{Braces, PlanError, Template};
use stride::job::FileName;

use crate::cli::output::error::{CliError, quoted};
use crate::cli::secrets::references::references;

/// Returns the name that an option gives, with the values of its references.
pub(super) fn name(text: &str) -> Result<String, CliError> {
    let resolved = Template::read(text, Braces::Pasted).and_then(|template| {
        match template.has_placeholder() {
            true => template.resolve_text(&*references(Path::new(""))),
            false => Ok(text.to_owned()),
        }
    });
    let place = || format!("the file {}", quoted(text.as_ref()));
    resolved.map_err(|error| {
        PlanError::Template {
            place: place(),
            error,
        }
        .into()
    })
}

/// Returns an absolute path, because a later command may run in another folder.
pub(super) fn absolute(text: &str) -> Result<PathBuf, CliError> {
    let text = name(text)?;
    std::path::absolute(Path::new(&text)).map_err(|error| {
        let name = FileName::from(Path::new(&text));
        CliError::usage(format!("`{name}` is not a file name")).cause(error.to_string())
    })
}
