//! The folder for results in files of their own.

use std::path::{Path, PathBuf};

use stride::job::FileName;
use stride::paths::below;
use stride::settings::Call;

use crate::cli::output::error::CliError;

/// Returns a folder of the command line as a run remembers it: relative to the run's base if it is below it, so that both can
/// be moved together.
pub(crate) fn stored(folder: &Path, base: &Path) -> Result<String, CliError> {
    let shown = FileName::from(folder);
    let whole = std::path::absolute(folder).map_err(|error| {
        CliError::usage(format!("`{shown}` is not a folder for answers"))
            .cause(error.to_string())
            .hint("use --output-dir with a folder")
    })?;
    let text = below(base, &whole).to_str().ok_or_else(|| {
        CliError::usage(format!("the path of the folder {shown} is not UTF-8"))
            .hint("use --output-dir with another folder")
    })?;
    Ok(text.to_owned())
}

/// Returns the folder of a call's results, as a whole path.
pub(crate) fn of(call: &Call, base: &Path) -> Option<PathBuf> {
    Some(base.join(call.output_dir()?))
}

/// Returns whether two paths name the same folder.
pub(crate) fn is_same(given: &Path, folder: &Path) -> bool {
    std::path::absolute(given).is_ok_and(|given| given.components().eq(folder.components()))
}

/// Returns the call with another folder for results, or `None` if none is given or it is the call's own.
///
/// # Errors
///
/// The call has no folder for results.
pub(crate) fn replaced(
    call: &Call,
    base: &Path,
    given: Option<&Path>,
) -> Result<Option<Call>, CliError> {
    let Some(given) = given else {
        return Ok(None);
    };
    match of(call, base) {
        Some(folder) if is_same(given, &folder) => Ok(None),
        Some(_) => Ok(Some(
            call.clone().with_output_dir(Some(stored(given, base)?)),
        )),
        None => Err(CliError::usage(format!(
            "the run's results go into its database, not into {}",
            FileName::from(given)
        ))
        .note("nothing was changed")
        .hint("to change that, repeat the whole `stride run …` with --accept-change")),
    }
}
