//! Files of a request that are the same for every file of the run.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use stride::caller::{Braces, PlanError, Template};
use stride::job::FileName;

use crate::cli::output::error::{CliError, quoted};
use crate::cli::output::named;
use crate::cli::secrets::references::references;

/// The largest configuration file or pasted command, in bytes: it may have data in it.
pub(super) const LARGEST_CONFIG: u64 = 64 << 20;

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

/// Returns the pasted command, which `@FILE` and `-` have elsewhere: its quotes may end those of a shell.
pub(super) fn pasted(given: &str) -> Result<Cow<'_, str>, CliError> {
    let path = match given {
        "-" => "/dev/stdin",
        given => match given.strip_prefix('@') {
            Some(path) => path,
            None => return Ok(given.into()),
        },
    };
    let text = named::read_text(path, LARGEST_CONFIG).map_err(|error| {
        let path = quoted(path.as_ref());
        CliError::usage(format!("cannot read the command in {path}"))
            .cause(error.to_string())
            .hint("use --curl @FILE with a file that has the command, or --curl - to paste it")
    })?;
    Ok(text.into())
}
