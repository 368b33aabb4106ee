//! Parses the fields of `-F`.

use stride::curl::ParsedOption;
use stride::settings::{Content, Field};

use crate::cli::output::error::CliError;

/// Parses a field of `-F` or, literally, of `--form-string`.
pub(super) fn field(given: &ParsedOption) -> Result<Field, CliError> {
    let (name, value) = given.value().split_once('=').ok_or_else(|| {
        CliError::usage("a field of a form has no value")
            .hint("use -F NAME=VALUE, or -F NAME=@{path}")
    })?;
    match given.option.long {
        "form-string" => Ok(plain(name, Content::Text(value.to_owned()))),
        _ => with_parameters(name, value),
    }
}

/// Parses the value of a field as curl does: `VALUE`, `@FILE` or `<FILE`, with parameters.
fn with_parameters(name: &str, value: &str) -> Result<Field, CliError> {
    let wrong = |what: &str| CliError::usage(format!("the field `{name}` {what}"));
    let (marker, rest) = match value.chars().next() {
        Some(marker @ ('@' | '<')) => (Some(marker), &value[1..]),
        Some('(') => return Err(wrong("has several parts, which stride does not support")),
        _ => (None, value),
    };
    let (content, mut rest) = word(rest.trim_start(), marker.is_some());
    if rest.starts_with(',') {
        return Err(several(&wrong));
    }
    if content == "-" && marker.is_some() {
        return Err(wrong("cannot be read from standard input").hint("use a file: -F NAME=@FILE"));
    }
    let mut field = plain(
        name,
        match marker {
            Some('@') => Content::File(content),
            Some(_) => Content::TextOf(content),
            None => Content::Text(content),
        },
    );
    while let Some(parameter) = rest.strip_prefix(';') {
        let parameter = parameter.trim_start();
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match key {
            "type" => {
                let end = media_type_end(value);
                // A comma begins the next file, as it does after a file without parameters.
                let comma = value[..end].find(',').filter(|_| marker.is_some());
                if comma.is_some() {
                    return Err(several(&wrong));
                }
                field.media_type = Some(value[..end].trim_end().to_owned());
                rest = &value[end..];
            }
            "filename" => {
                let (file_name, after) = word(value, marker.is_some());
                if after.starts_with(',') {
                    return Err(several(&wrong));
                }
                if marker == Some('<') {
                    return Err(wrong("has a filename, which curl does not send with `<`")
                        .hint("use NAME=@FILE;filename=… to send a file with a name"));
                }
                (field.file_name, rest) = (Some(file_name), after);
            }
            "headers" if !value.starts_with(['@', '<']) => {
                let (header, after) = word(value, false);
                field.headers.push(header);
                rest = after;
            }
            _ => {
                let key = parameter.split(['=', ';']).next().unwrap_or_default();
                return Err(wrong(&format!(
                    "has a parameter that stride does not support: {key}"
                ))
                .hint("use --form-string for a value with semicolons"));
            }
        }
    }
    Ok(field)
}

fn several(wrong: &dyn Fn(&str) -> CliError) -> CliError {
    wrong("has several files").hint("use a field for each file")
}

fn plain(name: &str, content: Content) -> Field {
    Field {
        name: name.to_owned(),
        content,
        media_type: None,
        file_name: None,
        headers: Vec::new(),
    }
}

/// Splits off a word, which ends at a semicolon or, with `files`, at a comma. In double quotes it can contain both. Returns
/// it and the rest.
fn word(text: &str, files: bool) -> (String, &str) {
    if let Some(quoted) = text.strip_prefix('"') {
        let (mut out, mut escaped) = (String::new(), false);
        for (at, char) in quoted.char_indices() {
            match char {
                '\\' if !escaped => {
                    escaped = true;
                    continue;
                }
                '"' if !escaped => {
                    let rest = &quoted[at + 1..];
                    let end = rest.find([';', ',']).unwrap_or(rest.len());
                    return (out, &rest[end..]);
                }
                '"' | '\\' => {}
                _ if escaped => out.push('\\'),
                _ => {}
            }
            escaped = false;
            out.push(char);
        }
    }
    // A placeholder can contain both.
    let (mut depth, mut end) = (0, text.len());
    for (at, char) in text.char_indices() {
        match char {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ if depth <= 0 && (char == ';' || files && char == ',') => {
                end = at;
                break;
            }
            _ => {}
        }
    }
    (text[..end].trim_end().to_owned(), &text[end..])
}

/// Returns the end of a media type, which includes its own parameters.
fn media_type_end(text: &str) -> usize {
    let mut at = 0;
    while let Some(semicolon) = text[at..].find(';') {
        let rest = text[at + semicolon + 1..].trim_start();
        let ours = ["type=", "filename=", "headers=", "encoder="];
        if ours.iter().any(|key| rest.starts_with(key)) {
            return at + semicolon;
        }
        at += semicolon + 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unsupported_field_is_an_error_that_names_it() {
        for (text, named) in [
            ("f=@a,b", "several files"),
            ("f=@a;type=a/b,c", "several files"),
            ("f=@a;filename=x,c", "several files"),
            ("f=<a;filename=x", "filename"),
            ("f=@-", "standard input"),
            ("f=a;b", "b"),
            ("f=@a;encoder=base64", "encoder"),
            ("f=(;type=multipart/mixed", "several parts"),
        ] {
            let (name, value) = text.split_once('=').unwrap();
            let error = format!("{:?}", with_parameters(name, value).unwrap_err());
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
