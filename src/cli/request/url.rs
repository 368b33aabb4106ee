//! Reads the URL of a request as curl does.

use stride::caller::{Braces, Template};

use crate::cli::output::error::CliError;

/// Adds the file's name to a URL that ends with a slash, as curl does for `-T`.
pub(super) fn complete(url: &mut String, path: &str) {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..]
        .find(['?', '#'])
        .map_or(url.len(), |at| start + at);
    let name = match path {
        "{}" | "{path}" => "{name}",
        path => path.rsplit('/').next().unwrap_or(path),
    };
    let (before, after) = url.split_at(end);
    *url = if before.ends_with('/') {
        format!("{before}{name}{after}")
    } else if !before[start..].contains('/') {
        format!("{before}/{name}{after}")
    } else {
        return;
    };
}

/// Refuses a URL that curl would expand into several.
pub(super) fn refuse_globs(url: &str) -> Result<(), CliError> {
    let start = url.find("://").map_or(0, |at| at + 3);
    let path = url[start..].find('/').map_or("", |at| &url[start + at..]);
    let globs = Template::read(path, Braces::Pasted).is_ok_and(|template| {
        template
            .literals()
            .any(|text| text.contains(['{', '[', ']', '}']))
    });
    if !globs {
        return Ok(());
    }
    Err(
        CliError::usage("braces and brackets make this URL a pattern of several URLs for curl")
            .hint("add -g to the command if they belong to the URL"),
    )
}

/// Returns the host of a URL, which must be the same for every file.
pub(super) fn host(url: &str) -> Result<&str, CliError> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    if authority.contains('{') {
        return Err(CliError::usage(
            "--netrc needs a host in the URL that is the same for every file",
        ));
    }
    let port = authority
        .rfind(':')
        .filter(|colon| !authority[*colon..].contains(']'));
    Ok(port.map_or(authority, |colon| &authority[..colon]))
}
