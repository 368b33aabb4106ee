//! Checks that JSON in a request is JSON for every file, before the first call.

use serde::de::IgnoredAny;

use stride::caller::{Braces, Template};
use stride::settings::{Body, Content, Escape, Piece, Request};

use crate::cli::output::error::CliError;
use crate::cli::request::data::{FORM, is_json_text};

/// Refuses invalid JSON in data that claims to be JSON.
///
/// Data counts as JSON by its media type. With that of a form, which is the default, it counts if it begins as only JSON
/// does.
pub(super) fn check(request: &Request, media_type: Option<&str>) -> Result<(), CliError> {
    let stated = media_type.filter(|media_type| !media_type.starts_with(FORM));
    match &request.body {
        Body::Pieces { pieces } => {
            if stated.is_none() && has_lost_quotes(pieces) {
                return Err(
                    CliError::usage("the data looks like JSON that has lost its double quotes")
                        .note("quotes within a shell's quotes end these")
                        .hint("use --json @FILE or --curl @FILE, which no shell reads; if it is something else, name its type, such as -H 'Content-Type: text/plain'"),
                );
            }
            let Some(text) = sample(pieces) else {
                return Ok(());
            };
            if stated.map_or_else(|| begins_json(&text), is_json_text) {
                check_text("the data", &text, "-H 'Content-Type: text/plain'")?;
            }
        }
        Body::Multipart { fields } => {
            for field in fields {
                let Content::Text(text) = &field.content else {
                    continue;
                };
                let (text, stated) = (sample_of(text), field.media_type.as_deref());
                if stated.map_or_else(|| begins_json(&text), is_json_text) {
                    let place = format!("the field `{}`", field.name);
                    check_text(&place, &text, "';type=text/plain' behind it")?;
                }
            }
        }
        Body::File | Body::Nothing => {}
    }
    Ok(())
}

/// Returns whether data begins as JSON does whose quotes a shell has removed: `{name:`.
fn has_lost_quotes(pieces: &[Piece]) -> bool {
    let Some(Piece::Text { template, .. }) = pieces.first() else {
        return false;
    };
    let Ok(template) = Template::read(template, Braces::Pasted) else {
        return false;
    };
    let first = template.literals().next().unwrap_or_default();
    let inner = first.trim_start().strip_prefix('{').unwrap_or_default();
    let name = inner.find(|char| !is_in_name(char)).unwrap_or(0);
    template.begins_with_text() && name > 0 && inner[name..].starts_with(':')
}

/// Returns the data for some file, or `None` if stride does not treat it as JSON. A file in it counts as a value.
fn sample(pieces: &[Piece]) -> Option<String> {
    let mut sample = String::new();
    let mut has_text = false;
    for piece in pieces {
        match piece {
            Piece::Text {
                template,
                escape: Escape::Json,
            } => {
                sample.push_str(&sample_of(template));
                has_text |= !template.trim().is_empty();
            }
            Piece::Text { .. } => return None,
            Piece::Bytes { .. } => sample.push('0'),
        }
    }
    has_text.then_some(sample)
}

fn sample_of(text: &str) -> String {
    Template::read(text, Braces::Json).map_or_else(|_| text.to_owned(), |text| text.json_sample())
}

/// Returns whether a text begins as only JSON does.
fn begins_json(text: &str) -> bool {
    let text: String = text
        .chars()
        .filter(|char| !char.is_whitespace())
        .take(2)
        .collect();
    ["{\"", "{'", "[{", "[\"", "[["].contains(&text.as_str())
}

/// Checks that a text is JSON, or several JSON texts in a row, as bulk services take them. `other` states another type.
fn check_text(place: &str, text: &str, other: &str) -> Result<(), CliError> {
    let wrong = |text: &str| {
        let texts = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
        texts.filter_map(Result::err).next()
    };
    let Some(error) = wrong(text) else {
        return Ok(());
    };
    // Some services take names without quotes, and single quotes.
    if wrong(&strict(text)).is_none() {
        return Ok(());
    }
    Err(CliError::usage(format!("{place} is not JSON"))
        .cause(error.to_string())
        .hint(format!(
            "correct it; if it is something else, name its type, such as {other}"
        )))
}

/// Puts double quotes around strings in single quotes, and around names without quotes.
fn strict(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(char) = rest.chars().next() {
        let length = match char {
            '"' | '\'' => string_end(rest, char),
            char if is_in_name(char) => rest.find(|char| !is_in_name(char)).unwrap_or(rest.len()),
            char => char.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        match char {
            '\'' => {
                let inner = token.trim_matches('\'').replace("\\'", "'");
                let inner = inner.replace("\\\"", "\"");
                out.push_str(&format!("\"{}\"", inner.replace('"', "\\\"")));
            }
            char if is_in_name(char) && after.trim_start().starts_with(':') => {
                out.push_str(&format!("\"{token}\""));
            }
            _ => out.push_str(token),
        }
        rest = after;
    }
    out
}

fn is_in_name(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '_' | '$' | '.' | '-' | '+')
}

/// Returns the length of the string at the beginning of a text.
fn string_end(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, char) in text.char_indices().skip(1) {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            char if char == quote => return at + char.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_checked_with_placeholders_in_place() {
        for (text, is_right) in [
            (
                r#"{"a": "{text}", "n": {index}, "o": {}, "c": {col.x}}"#,
                true,
            ),
            (r#"{"a": "{text}""#, false),
            (r#"{"a": "{text}" "b": 1}"#, false),
            (r#"{"a": {text}{name}}"#, false),
            (r#"{"a": 1,}"#, false),
            (
                r#"{"k": {env:KEY}, "r": {file:x:raw}, "s": "{env:K:raw}"}"#,
                true,
            ),
            ("{\"index\": {}}\n{\"t\": \"{text}\"}\n", true),
            (r#"{'url': 'https://a/{name}', "it": "'"}"#, true),
            (r#"{'a': 'it\'s "x"'}"#, true),
            (r#"{comment: {text: "{text}"}, n: [1.5, -2]}"#, true),
            (r#"{comment: {text: "{text}"}"#, false),
            (r#"{'a': 'b'"#, false),
            (r#"{'a': 'b}"#, false),
            ("text={text}", false),
        ] {
            let found = check_text("the data", &sample_of(text), "");
            assert_eq!(found.is_ok(), is_right, "{text}");
        }
    }

    #[test]
    fn only_the_beginning_of_json_counts_as_json() {
        for (text, begins) in [
            (" { \"a\": 1", true),
            ("[[1", true),
            ("[draft] x", false),
            ("{ viewer { name } }", false),
            ("{name}=x", false),
        ] {
            assert_eq!(begins_json(text), begins, "{text}");
        }
    }
}
