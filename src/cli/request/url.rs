//! Reads the URL of a request as curl does.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use stride::caller::{Braces, Template};

use crate::cli::output::environment::variable;
use crate::cli::output::error::CliError;

/// The characters that curl encodes in the name of an uploaded file.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Completes the scheme of a pasted URL as curl guesses it: one to three slashes may follow `http:`.
pub(super) fn with_scheme(url: &str, default: &str) -> String {
    let (scheme, rest) = url.split_once(":/").unwrap_or(("", url));
    let is_known = ["http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known));
    match is_known {
        true => format!("{scheme}://{}", rest.trim_start_matches('/')),
        false if url.contains("://") => url.to_owned(),
        false => format!("{default}://{url}"),
    }
}

/// Adds the file's name to a URL that ends with a slash or has no path, as curl does for `-T`.
pub(super) fn complete(url: &mut String, path: &str) {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..]
        .find(['?', '#'])
        .map_or(url.len(), |at| start + at);
    let is_for_each =
        Template::read(path, Braces::Pasted).is_ok_and(|template| template.has_placeholder());
    let last = path.rsplit('/').next().unwrap_or(path);
    let name = match path {
        "{}" | "{path}" => "{name}".to_owned(),
        _ if is_for_each => last.to_owned(),
        _ => utf8_percent_encode(last, RESERVED).to_string(),
    };
    let (before, after) = url.split_at(end);
    // The value of a variable at the beginning can have a path.
    let value = leading_variable(before).and_then(variable);
    if let Some(value) = value.map(|value| String::from_utf8_lossy(&value).into_owned())
        && before.ends_with('}')
    {
        let from = value.find("://").map_or(0, |at| at + 3);
        let is_whole = value[from..].contains(['/', '?', '#']) && !value.ends_with('/');
        if is_whole {
            return;
        }
        let slash = if value.ends_with('/') { "" } else { "/" };
        *url = format!("{before}{slash}{name}{after}");
        return;
    }
    *url = if before.ends_with('/') {
        format!("{before}{name}{after}")
    } else if !before[start..].contains('/') {
        format!("{before}/{name}{after}")
    } else {
        return;
    };
}

/// Returns the name of the variable that a text consists of.
fn leading_variable(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("{env:")?;
    rest.strip_suffix('}').filter(|name| !name.contains('}'))
}

/// Refuses a value of `-T` that does not name a single file.
pub(super) fn check_upload(path: &str, is_literal: bool) -> Result<(), CliError> {
    let refused =
        |what: &str| Err(CliError::usage(what).hint("use -T {} for the files of the run"));
    match path {
        "" => return refused("-T names no file"),
        "-" | "." => return refused("-T cannot read standard input"),
        _ => {}
    }
    let has_pattern = Template::read(path, Braces::Pasted).is_ok_and(|template| {
        let mut literals = template.literals();
        literals.any(|text| text.contains(['{', '[', ']', '}']))
    });
    match has_pattern && !is_literal {
        true => Err(CliError::usage(
            "braces and brackets make the file of -T a pattern of several files",
        )
        .hint("use -T {} for the files of the run, or add -g if the braces and brackets belong to the name")),
        false => Ok(()),
    }
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
            .hint("add -g to the command if the braces and brackets belong to the URL"),
    )
}

/// Returns the host of a URL, which must be the same for every file.
pub(super) fn host(url: &str) -> Result<&str, CliError> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    if authority.contains('{') {
        return Err(CliError::usage(
            "--netrc needs a host in the URL that is the same for every file",
        )
        .hint("use a URL whose host has no placeholder, or -u in place of --netrc"));
    }
    let port = authority
        .rfind(':')
        .filter(|colon| !authority[*colon..].contains(']'));
    Ok(port.map_or(authority, |colon| &authority[..colon]))
}
