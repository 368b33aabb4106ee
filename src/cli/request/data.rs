//! Parses the data of `-d` and its variants.

use stride::caller::{Braces, Template};
use stride::curl::ParsedOption;
use stride::settings::{Escape, Piece, Treatment};

use crate::cli::output::error::{CliError, quoted};
use crate::cli::output::named;
use crate::cli::request::file::name;

/// The largest file of data, in bytes: it becomes a part of the request.
const LARGEST: u64 = 64 << 20;

/// The default media type of data (HTML, section 4.10.21.7).
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// An option with data.
#[derive(Debug)]
pub(super) struct Data<'g> {
    pub(super) kind: Kind,
    text: &'g str,
}

/// The kind of an option with data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `-d`.
    Plain,
    /// `--data-raw`.
    Raw,
    /// `--data-binary`.
    Binary,
    /// `--data-urlencode`.
    Encoded,
    /// `--json`.
    Json,
}

impl<'g> Data<'g> {
    /// Returns the data of an option, or `None` if it has none.
    pub(super) fn new(given: &'g ParsedOption) -> Option<Self> {
        let kind = match given.option.long {
            "data" | "data-ascii" => Kind::Plain,
            "data-raw" => Kind::Raw,
            "data-binary" => Kind::Binary,
            "data-urlencode" => Kind::Encoded,
            "json" => Kind::Json,
            _ => return None,
        };
        let text = given.value();
        Some(Self { kind, text })
    }

    /// Returns the data of `--url-query`; `+` marks text that is not encoded.
    pub(super) fn in_query(given: &'g ParsedOption) -> Self {
        let text = given.value();
        match text.strip_prefix('+') {
            Some(text) => Self {
                kind: Kind::Raw,
                text,
            },
            None => Self {
                kind: Kind::Encoded,
                text,
            },
        }
    }
}

/// Joins data into the pieces of a query.
pub(super) fn query(data: &[Data<'_>]) -> Result<Vec<Piece>, CliError> {
    pieces(data, &|_| Some(FORM))
}

/// Joins data into the pieces of a body. One text that has no fields, such as `-d '{text}'`, is no form despite its media
/// type.
pub(super) fn body(data: &[Data<'_>], media_type: Option<&str>) -> Result<Vec<Piece>, CliError> {
    let is_alone = match data {
        [data] => matches!(data.kind, Kind::Plain | Kind::Raw | Kind::Binary),
        _ => false,
    };
    pieces(data, &|text| {
        let is_form = media_type == Some(FORM);
        media_type.filter(|_| !(is_form && is_alone) || text.contains(['=', '&']))
    })
}

/// Joins data. `media_type` returns that of a text.
fn pieces<'m>(
    data: &[Data<'_>],
    media_type: &dyn Fn(&str) -> Option<&'m str>,
) -> Result<Vec<Piece>, CliError> {
    let mut pieces = Vec::new();
    for (number, each) in data.iter().enumerate() {
        if number > 0 && each.kind != Kind::Json {
            push(&mut pieces, "&", Escape::Nothing);
        }
        let treatment = match each.kind {
            Kind::Encoded => {
                encoded(each.text, &mut pieces)?;
                continue;
            }
            // As with curl, -d removes line ends and NUL bytes from a file.
            Kind::Plain => Treatment::Joined,
            Kind::Raw | Kind::Binary | Kind::Json => Treatment::AsIs,
        };
        let path = each.text.strip_prefix('@');
        let Some(path) = path.filter(|_| each.kind != Kind::Raw) else {
            let escape = escape(each.text, media_type(each.text));
            push(&mut pieces, each.text, escape);
            continue;
        };
        match file(path)? {
            None => pieces.push(bytes(path, treatment)),
            Some(mut text) => {
                if treatment == Treatment::Joined {
                    text.retain(|char| !matches!(char, '\r' | '\n' | '\0'));
                }
                push(&mut pieces, &text, escape(&text, media_type(&text)));
            }
        }
    }
    Ok(pieces)
}

/// Parses `TEXT`, `=TEXT`, `NAME=TEXT`, `@FILE` or `NAME@FILE`.
fn encoded(text: &str, pieces: &mut Vec<Piece>) -> Result<(), CliError> {
    let Some(at) = text.find(['=', '@']) else {
        push(pieces, text, Escape::All);
        return Ok(());
    };
    let (name, value) = (&text[..at], &text[at + 1..]);
    if !name.is_empty() {
        // As with curl, the name itself is not encoded; a placeholder in it is.
        push(pieces, &format!("{name}="), Escape::Form);
    }
    if text[at..].starts_with('=') {
        push(pieces, value, Escape::All);
        return Ok(());
    }
    match file(value)? {
        None => pieces.push(bytes(value, Treatment::Encoded)),
        Some(text) => push(pieces, &text, Escape::All),
    }
    Ok(())
}

fn push(pieces: &mut Vec<Piece>, template: &str, escape: Escape) {
    pieces.push(Piece::Text {
        template: template.to_owned(),
        escape,
    });
}

fn bytes(path: &str, treatment: Treatment) -> Piece {
    Piece::Bytes {
        path: path.to_owned(),
        treatment,
    }
}

/// Returns the escaping of values in a text: as its media type requires. A text of a form, or without a media type, is JSON
/// if it begins like it.
fn escape(text: &str, media_type: Option<&str>) -> Escape {
    let Some(media_type) = media_type else {
        return if begins_json(text) {
            Escape::Json
        } else {
            Escape::Nothing
        };
    };
    if is_json_text(media_type) {
        return Escape::Json;
    }
    match media_type.to_ascii_lowercase().starts_with(FORM) {
        true if begins_json(text) => Escape::Json,
        true => Escape::Form,
        false => Escape::Nothing,
    }
}

/// Returns whether a media type is that of JSON, of several JSON texts, or of a dialect that has JSON's syntax, such as
/// `application/x-amz-json-1.1`.
pub(super) fn is_json_text(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default();
    essence.to_ascii_lowercase().contains("json")
}

fn begins_json(text: &str) -> bool {
    let text = text.trim_start();
    // `{name}` at the beginning is a placeholder, not an object.
    text.starts_with(['{', '['])
        && Template::read(text, Braces::Pasted).is_ok_and(|template| template.begins_with_text())
}

/// Reads a file that is the same for every job, as a template. Returns `None` if the path differs from job to job, or if the
/// file is not UTF-8.
fn file(path: &str) -> Result<Option<String>, CliError> {
    if path == "-" {
        return Err(
            CliError::usage("data cannot be read from standard input").hint("use a file: -d @FILE")
        );
    }
    let is_for_each =
        Template::read(path, Braces::Pasted).is_ok_and(|template| template.has_field());
    if is_for_each {
        return Ok(None);
    }
    let path = name(path)?;
    let bytes = named::read(&path, LARGEST).map_err(|error| {
        let wrong = CliError::usage(format!("cannot read the data in {}", quoted(path.as_ref())))
            .cause(error.to_string());
        let wrong = match named::near(path.as_ref()) {
            Some(near) => wrong.hint(format!("did you mean @{}?", quoted(&near))),
            None => wrong,
        };
        wrong.hint("use @{path} for the files of the run")
    })?;
    Ok(String::from_utf8(bytes).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: Option<&str> = Some("application/x-www-form-urlencoded");

    #[test]
    fn a_text_is_escaped_by_its_media_type() {
        for (text, media_type, expected) in [
            ("{\"a\":1}", FORM, Escape::Json),
            ("[\"{name}\"]", FORM, Escape::Json),
            ("{name}", FORM, Escape::Form),
            ("{text}", Some("text/plain"), Escape::Nothing),
            (
                "{text}",
                Some("application/json; charset=utf-8"),
                Escape::Json,
            ),
            ("{}", Some("application/x-ndjson"), Escape::Json),
            ("{}", Some("application/x-amz-json-1.1"), Escape::Json),
            ("<a>{text}</a>", Some("text/xml"), Escape::Nothing),
            ("{\"a\":1}", None, Escape::Json),
        ] {
            assert_eq!(escape(text, media_type), expected, "{text} {media_type:?}");
        }
    }
}
