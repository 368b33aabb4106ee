//! Reads the table of `--pool`.

use std::path::Path;

use stride::caller::{Lanes, Reference};
use stride::job::escaped;
use stride::settings::Call;

use crate::cli::output::environment::variable;
use crate::cli::output::error::CliError;
use crate::cli::output::named;
use crate::cli::request::templates;

/// The largest table, in bytes.
const LARGEST: u64 = 1 << 20;

/// Reads the rows of a pool. A relative path resolves against the run's folder.
///
/// # Errors
///
/// The table cannot be read, or is invalid.
pub(crate) fn read(pool: Option<&str>, call: &Call, base: &Path) -> Result<Lanes, CliError> {
    let Some(source) = pool else {
        return Ok(Lanes::default());
    };
    let shown = escaped(source.as_bytes());
    let wrong = |reason: &str| {
        CliError::usage(format!("the pool {shown} cannot be used: {reason}")).hint(
            "use a CSV table whose first line names the columns, such as name,key, or one key a line",
        )
    };
    let text = match source.strip_prefix("env:") {
        Some(name) => variable(name).ok_or_else(|| {
            wrong("the variable is not set").hint(format!("export {name}=… and repeat the command"))
        })?,
        None => {
            named::read(base.join(source), LARGEST).map_err(|error| wrong(&error.to_string()))?
        }
    };
    let is_used = |column: &str| match call {
        Call::Http(request) => templates(request).iter().any(|template| {
            let mut references = template.references();
            references.any(|found| matches!(found, Reference::Pool(name) if name == column))
        }),
        _ => false,
    };
    Lanes::parse(&text, is_used).map_err(|error| wrong(&error.to_string()))
}
