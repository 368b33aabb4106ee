//! The data of `-d` and its relatives.

use stride::caller::{Braces, Template};
use stride::job::is_json;
use stride::settings::{Escape, Piece, Treatment};

use crate::cli::output::error::{Problem, quoted};
use crate::cli::output::named;

/// The largest file of data that is the same for every file of the list, in bytes: it becomes a part of the request.
const LARGEST: u64 = 64 << 20;

/// One option with data.
#[derive(Debug)]
pub(super) struct Data {
    pub(super) kind: Kind,
    pub(super) text: String,
}

/// How it was given.
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

/// The pieces of data that goes into a body or a query together.
pub(super) fn pieces(data: &[Data], media_type: Option<&str>) -> Result<Vec<Piece>, Problem> {
    let mut pieces = Vec::new();
    for (number, each) in data.iter().enumerate() {
        if number > 0 && each.kind != Kind::Json {
            push(&mut pieces, "&", Escape::Nothing);
        }
        match each.kind {
            Kind::Encoded => encoded(&each.text, &mut pieces)?,
            kind => {
                let path = match kind {
                    Kind::Raw => None,
                    _ => each.text.strip_prefix('@'),
                };
                let (treatment, joined) = match kind {
                    Kind::Plain => (Treatment::Joined, true),
                    _ => (Treatment::AsIs, false),
                };
                match path {
                    None => push(&mut pieces, &each.text, escape(&each.text, media_type)),
                    Some(path) => match file(path)? {
                        None => pieces.push(bytes(path, treatment)),
                        Some(mut text) => {
                            if joined {
                                text.retain(|char| !matches!(char, '\r' | '\n' | '\0'));
                            }
                            let escape = escape(&text, media_type);
                            push(&mut pieces, &text, escape);
                        }
                    },
                }
            }
        }
    }
    Ok(pieces)
}

/// `TEXT`, `=TEXT`, `NAME=TEXT`, `@FILE` or `NAME@FILE`.
pub(super) fn encoded(text: &str, pieces: &mut Vec<Piece>) -> Result<(), Problem> {
    let Some(at) = text.find(['=', '@']) else {
        push(pieces, text, Escape::All);
        return Ok(());
    };
    let (name, value) = (&text[..at], &text[at + 1..]);
    if !name.is_empty() {
        // To the letter, but for what a file has in it.
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

/// How what is inserted into a text is escaped: as the media type has it, and as JSON where the text is that,
/// whatever curl calls it.
fn escape(text: &str, media_type: Option<&str>) -> Escape {
    const FORM: &str = "application/x-www-form-urlencoded";
    let Some(media_type) = media_type else {
        return if begins_json(text) {
            Escape::Json
        } else {
            Escape::Nothing
        };
    };
    let media_type = media_type.to_ascii_lowercase();
    let lines = ["ndjson", "jsonl", "json-lines"];
    if is_json(&media_type) || lines.iter().any(|name| media_type.contains(name)) {
        return Escape::Json;
    }
    match media_type.starts_with(FORM) {
        true if begins_json(text) => Escape::Json,
        true => Escape::Form,
        false => Escape::Nothing,
    }
}

fn begins_json(text: &str) -> bool {
    let text = text.trim_start();
    // `{name}` at the beginning is a placeholder, and not an object.
    text.starts_with(['{', '['])
        && Template::read(text, Braces::Pasted).is_ok_and(|template| template.begins_with_text())
}

/// The text of a file that is the same for every job: it is a template. `None` where the path has a placeholder,
/// or the file is not text.
fn file(path: &str) -> Result<Option<String>, Problem> {
    if path == "-" {
        return Err(
            Problem::usage("data from standard input is the same for no two files")
                .hint("give it as a file: -d @FILE"),
        );
    }
    let is_for_each =
        Template::read(path, Braces::Pasted).is_ok_and(|template| template.has_placeholder());
    if is_for_each {
        return Ok(None);
    }
    let bytes = named::read(path, LARGEST).map_err(|error| {
        Problem::usage(format!("cannot read the data in {}", quoted(path.as_ref())))
            .cause(error.to_string())
            .hint("the run's own files are @{path}")
    })?;
    Ok(String::from_utf8(bytes).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(data: &[(Kind, &str)], media_type: Option<&str>) -> Vec<(String, Option<Escape>)> {
        let data: Vec<Data> = data
            .iter()
            .map(|(kind, text)| Data {
                kind: *kind,
                text: (*text).to_owned(),
            })
            .collect();
        let pieces = pieces(&data, media_type).unwrap().into_iter();
        pieces
            .map(|piece| match piece {
                Piece::Text { template, escape } => (template, Some(escape)),
                Piece::Bytes { path, treatment } => (format!("@{path} {treatment:?}"), None),
            })
            .collect()
    }

    const FORM: Option<&str> = Some("application/x-www-form-urlencoded");

    #[test]
    fn data_is_joined_as_curl_joins_it() {
        assert_eq!(
            told(
                &[
                    (Kind::Plain, "a=b"),
                    (Kind::Encoded, "t@{}"),
                    (Kind::Raw, "@x")
                ],
                FORM
            ),
            [
                ("a=b".to_owned(), Some(Escape::Form)),
                ("&".to_owned(), Some(Escape::Nothing)),
                ("t=".to_owned(), Some(Escape::Form)),
                ("@{} Encoded".to_owned(), None),
                ("&".to_owned(), Some(Escape::Nothing)),
                ("@x".to_owned(), Some(Escape::Form)),
            ]
        );
        let json = told(
            &[(Kind::Json, "{"), (Kind::Json, "}")],
            Some("application/json"),
        );
        assert_eq!(json.len(), 2);
        assert_eq!(
            told(&[(Kind::Encoded, "=a b")], FORM),
            [("a b".to_owned(), Some(Escape::All))]
        );
        // The name is taken to the letter, but for what a file has in its own.
        assert_eq!(
            told(&[(Kind::Encoded, "{name}=b&c")], FORM),
            [
                ("{name}=".to_owned(), Some(Escape::Form)),
                ("b&c".to_owned(), Some(Escape::All)),
            ]
        );
        assert_eq!(
            told(&[(Kind::Binary, "@{dir}/x")], None)[0].0,
            "@{dir}/x AsIs"
        );
    }

    #[test]
    fn a_text_is_escaped_for_what_it_is() {
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
            ("<a>{text}</a>", Some("text/xml"), Escape::Nothing),
            ("{\"a\":1}", None, Escape::Json),
        ] {
            assert_eq!(escape(text, media_type), expected, "{text} {media_type:?}");
        }
    }
}
