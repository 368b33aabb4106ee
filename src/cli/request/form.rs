//! The fields of `-F`.

use stride::settings::{Content, Field};

use crate::cli::output::error::Problem;

/// Reads `NAME=VALUE` to the letter.
pub(super) fn literal(text: &str) -> Result<Field, Problem> {
    let (name, value) = named(text)?;
    Ok(plain(name, Content::Text(value.to_owned())))
}

/// Reads a field of a form as curl does: `NAME=VALUE`, `NAME=@FILE` or `NAME=<FILE`, with parameters.
pub(super) fn field(text: &str) -> Result<Field, Problem> {
    let (name, value) = named(text)?;
    let wrong = |what: &str| Problem::usage(format!("the field `{name}` {what}"));
    let (marker, rest) = match value.chars().next() {
        Some(marker @ ('@' | '<')) => (Some(marker), &value[1..]),
        Some('(') => return Err(wrong("is made of several parts, which stride does not do")),
        _ => (None, value),
    };
    let (content, mut rest) = word(rest.trim_start(), marker.is_some());
    if rest.starts_with(',') {
        return Err(wrong("has several files").hint("give a field for each file"));
    }
    if content == "-" && marker.is_some() {
        return Err(wrong(
            "is read from standard input, which is the same for no two files",
        ));
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
                field.media_type = Some(value[..end].trim_end().to_owned());
                rest = &value[end..];
            }
            "filename" => {
                let (file_name, after) = word(value, false);
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
                    "has a parameter that stride has no use for: {key}"
                ))
                .hint("a value with semicolons in it is given with --form-string"));
            }
        }
    }
    Ok(field)
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

fn named(text: &str) -> Result<(&str, &str), Problem> {
    text.split_once('=').ok_or_else(|| {
        Problem::usage("a field of a form has no value")
            .hint("write it as -F NAME=VALUE, or -F NAME=@{path}")
    })
}

/// A word up to a semicolon, or a comma where files may be several; in double quotes where it has those in it.
/// Returns it, and what comes after it.
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
    // A placeholder may have either in it.
    let (mut depth, mut end) = (0, text.len());
    for (at, char) in text.char_indices() {
        match char {
            '{' => depth += 1,
            '}' => depth -= 1,
            ';' if depth <= 0 => {
                end = at;
                break;
            }
            ',' if files && depth <= 0 => {
                end = at;
                break;
            }
            _ => {}
        }
    }
    (text[..end].trim_end().to_owned(), &text[end..])
}

/// Where a media type ends: its own parameters belong to it.
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
    fn fields_are_read_as_curl_reads_them() {
        let file =
            field("f=@{};type=text/plain;charset=utf-8;filename=\"a \\\"b\\\".txt\"").unwrap();
        assert_eq!(file.content, Content::File("{}".to_owned()));
        assert_eq!(file.media_type.unwrap(), "text/plain;charset=utf-8");
        assert_eq!(file.file_name.unwrap(), "a \"b\".txt");
        let text = field("x=<\"a;b.txt\"").unwrap();
        assert_eq!(text.content, Content::TextOf("a;b.txt".to_owned()));
        let text = field("x= {\"a\":1, \"b\":2};type=application/json").unwrap();
        assert_eq!(text.content, Content::Text("{\"a\":1, \"b\":2}".to_owned()));
        assert_eq!(
            field("x=a@b,c").unwrap().content,
            Content::Text("a@b,c".to_owned())
        );
        assert_eq!(
            literal("x=@a;b").unwrap().content,
            Content::Text("@a;b".to_owned())
        );
        let more = field("f=@a;headers=\"X-A: b\"").unwrap();
        assert_eq!(more.headers, ["X-A: b"]);
    }

    #[test]
    fn what_stride_has_no_use_for_is_named() {
        for (text, named) in [
            ("f", "no value"),
            ("f=@a,b", "several files"),
            ("f=@-", "standard input"),
            ("f=a;b", "b"),
            ("f=@a;encoder=base64", "encoder"),
            ("f=(;type=multipart/mixed", "several parts"),
        ] {
            let problem = format!("{:?}", field(text).unwrap_err());
            assert!(problem.contains(named), "{text}: {problem}");
        }
    }
}
