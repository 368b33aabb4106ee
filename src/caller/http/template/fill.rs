//! Fills templates. Each value is escaped for its surroundings.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::field::{Field, no_column, no_row};
use super::{Inserted, JsonContext, Part, SecretText, Template};
use crate::caller::http::body::Segments;
use crate::caller::http::error::unsendable;
use crate::caller::http::source::Source;
use crate::job::{FailureKind, Job, Outcome, json_text};

/// All characters except the unreserved ones of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// [`RESERVED`] without the slash, which needs no escape in a form.
const IN_FORM: &AsciiSet = &RESERVED.remove(b'/');

/// The escaping of inserted values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::caller) enum Encoding {
    /// No escaping.
    Plain,
    /// Percent-encoding for a URL, so that a value stays within its component.
    Url,
    /// Percent-encoding for `application/x-www-form-urlencoded`, with `+` for a space.
    Form,
    /// As `Form`, but slashes and credentials typed in their final form are encoded too.
    All,
    /// Escaping for JSON: inside a string as a part of it, elsewhere as a value.
    Json,
    /// JSON in a URL's query: escaped as JSON, then percent-encoded.
    JsonInQuery,
}

/// Percent-encodes bytes like curl's `--data-urlencode`.
pub(in crate::caller::http) fn plus_encoded(bytes: &[u8]) -> String {
    percent_encode(bytes, RESERVED)
        .to_string()
        .replace("%20", "+")
}

/// Writes percent-encoded bytes with lower-case digits, as curl does in a query. Both spellings are equivalent (RFC 3986,
/// section 2.1), but a signature over the URL covers only one.
pub(in crate::caller::http) fn lower_case_triplets(mut query: Vec<u8>) -> Vec<u8> {
    let mut at = 0;
    while at + 2 < query.len() {
        if query[at] == b'%' && query[at + 1..at + 3].iter().all(u8::is_ascii_hexdigit) {
            query[at + 1..at + 3].make_ascii_lowercase();
            at += 2;
        }
        at += 1;
    }
    query
}

impl Template {
    /// Fills the template into memory.
    pub(in crate::caller) fn fill(
        &self,
        encoding: Encoding,
        job: &Job,
        source: &Source,
    ) -> Result<Vec<u8>, Outcome> {
        let mut out = Vec::new();
        for part in &self.0 {
            write(part, encoding, job, source, &mut out)?;
        }
        Ok(out)
    }

    /// Fills the template into a body. Streams `{base64}` if the encoding is `Plain` or `Json`.
    pub(in crate::caller::http) fn fill_into(
        &self,
        encoding: Encoding,
        job: &Job,
        source: &Source,
        body: &mut Segments,
    ) -> Result<(), Outcome> {
        for part in &self.0 {
            let in_value = match part {
                Part::Inserted(Inserted::Field(Field::Base64), context) => match encoding {
                    Encoding::Plain => Some(false),
                    Encoding::Json => Some(*context == JsonContext::Value),
                    _ => None,
                },
                _ => None,
            };
            match in_value {
                Some(quoted) => {
                    let quote: &[u8] = if quoted { b"\"" } else { b"" };
                    body.bytes().extend_from_slice(quote);
                    body.base64(source.share()?);
                    body.bytes().extend_from_slice(quote);
                }
                None => write(part, encoding, job, source, body.bytes())?,
            }
        }
        Ok(())
    }
}

/// Percent-encodes bytes for a form.
fn for_form(bytes: &[u8]) -> String {
    let encoded = percent_encode(bytes, IN_FORM).to_string();
    encoded.replace("%20", "+")
}

fn write(
    part: &Part,
    encoding: Encoding,
    job: &Job,
    source: &Source,
    out: &mut Vec<u8>,
) -> Result<(), Outcome> {
    let (value, context) = match part {
        Part::Text(text) => {
            out.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        // Only `Encoding::All` escapes a verbatim value.
        Part::Inserted(Inserted::Secret(SecretText(value)), JsonContext::Verbatim)
            if encoding != Encoding::All =>
        {
            out.extend_from_slice(value);
            return Ok(());
        }
        Part::Inserted(..) if encoding == Encoding::JsonInQuery => {
            let mut json = Vec::new();
            write(part, Encoding::Json, job, source, &mut json)?;
            out.extend(for_form(&json).bytes());
            return Ok(());
        }
        // References are resolved before the first call.
        Part::Inserted(Inserted::Reference(_), _) => return Ok(()),
        Part::Inserted(Inserted::Secret(SecretText(value)), context) => {
            (Cow::from(value.as_slice()), *context)
        }
        Part::Inserted(Inserted::Field(field), context) => {
            if encoding == Encoding::Json && *context == JsonContext::Value {
                return json_value(field, job, source, out);
            }
            (field.value(job, source)?, *context)
        }
    };
    match encoding {
        Encoding::Plain => out.extend_from_slice(&value),
        Encoding::Url => out.extend(percent_encode(&value, RESERVED).to_string().bytes()),
        Encoding::All => out.extend(plus_encoded(&value).bytes()),
        Encoding::Form => out.extend(for_form(&value).bytes()),
        Encoding::Json | Encoding::JsonInQuery => {
            let from = out.len();
            json_string(&value, context == JsonContext::Value, out)?;
            if context == JsonContext::SingleQuoted {
                let escaped = String::from_utf8_lossy(&out[from..]).replace('\'', "\\u0027");
                out.truncate(from);
                out.extend(escaped.bytes());
            }
        }
    }
    Ok(())
}

/// Writes a field where JSON expects a value: a column or a number unquoted, any other field as a string.
fn json_value(field: &Field, job: &Job, source: &Source, out: &mut Vec<u8>) -> Result<(), Outcome> {
    if let Field::Column(name) = field {
        let json = job.columns.json(name).ok_or_else(|| no_column(name))?;
        let text = job.columns.text(name).unwrap_or_default();
        // A string that is itself JSON is inserted as JSON, because all cells of a CSV file are strings. This also applies to
        // strings of a JSON list.
        let value = json_text(text.as_bytes()).unwrap_or(json);
        out.extend_from_slice(value.as_bytes());
        return Ok(());
    }
    if let Field::Answer(field) = field {
        out.extend_from_slice(field.json(job)?.as_bytes());
        return Ok(());
    }
    if let Field::Row = field {
        let row = job.columns.row().ok_or_else(no_row)?;
        out.extend_from_slice(row.as_bytes());
        return Ok(());
    }
    let value = field.value(job, source)?;
    if field.is_number() {
        out.extend_from_slice(&value);
    } else {
        json_string(&value, true, out)?;
    }
    Ok(())
}

/// Writes a string as JSON, which cannot carry bytes that are not UTF-8.
fn json_string(value: &[u8], quoted: bool, out: &mut Vec<u8>) -> Result<(), Outcome> {
    let text = std::str::from_utf8(value).map_err(|_| {
        let message = "a value for the JSON of the request, such as the file's name, is not UTF-8";
        unsendable(FailureKind::NotText, message.to_owned())
    })?;
    let json = serde_json::Value::from(text).to_string();
    let json = if quoted {
        &json
    } else {
        &json[1..json.len() - 1]
    };
    out.extend_from_slice(json.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Braces;
    use super::*;
    use crate::caller::http::reading::Reading;
    use crate::job::{Columns, FileName, JobId, Position};

    fn job(name: &[u8]) -> Job {
        let path = FileName::new(name);
        Job {
            id: JobId(1),
            position: Position(7),
            file: path.as_path().to_owned(),
            path,
            columns: Columns::read(r#"{"n": "12", "s": "a \"b\"", "z": "012", "o": {"p": 1}}"#)
                .unwrap(),
            answers: Vec::new(),
        }
    }

    fn filled(text: &str, encoding: Encoding, name: &[u8]) -> String {
        let braces = match encoding {
            Encoding::Json => Braces::Json,
            _ => Braces::Pasted,
        };
        let (template, job) = (Template::read(text, braces).unwrap(), job(name));
        let source = Source::new(&job.file, Reading::Patient);
        let filled = template.fill(encoding, &job, &source).unwrap();
        String::from_utf8_lossy(&filled).into_owned()
    }

    #[test]
    fn values_are_escaped_for_their_surroundings() {
        use Encoding::{All, Form, Json, Plain, Url};
        let odd = "a b/ü&?.tar.gz".as_bytes();
        let url = "x/{path}?n={name}&s={stem}&e={ext}&d={dir}&i={index}";
        let in_url = "x/a%20b%2F%C3%BC%26%3F.tar.gz?n=%C3%BC%26%3F.tar.gz&s=%C3%BC%26%3F.tar&e=gz&d=a%20b&i=7";
        let json = r#"{"a": "<{name}>", "b": {name}, "n": {index}, "m": {mime}}"#;
        let in_json =
            r#"{"a": "<\"}\n\\\u0001.txt>", "b": "\"}\n\\\u0001.txt", "n": 7, "m": "text/plain"}"#;
        let columns = r#"[{col.n}, {col.s}, {col.z}, {col.o}, "{col.s}", "{col.n}"]"#;
        let in_columns = r#"[12, "a \"b\"", "012", {"p": 1}, "a \"b\"", "12"]"#;
        let row = r#"{"n": "12", "s": "a \"b\"", "z": "012", "o": {"p": 1}}"#;
        let in_string = format!("[{row}, {}]", serde_json::Value::from(row));
        for (text, encoding, name, expected) in [
            (url, Url, odd, in_url),
            ("{stem}", Plain, odd, "ü&?.tar"),
            ("{name}", Url, b"\xff.txt", "%FF.txt"),
            ("{}={name}", Form, b"a/b c&d", "a/b+c%26d=b+c%26d"),
            ("{}", All, b"a/b c", "a%2Fb+c"),
            ("{dir}/x", Plain, b"a", "./x"),
            ("['{name}']", Json, b"it's", r"['it\u0027s']"),
            (json, Json, b"\"}\n\\\x01.txt", in_json),
            (columns, Json, b"x", in_columns),
            (r#"[{row}, "{row}"]"#, Json, b"x", &in_string),
            ("<{row}>", Plain, b"x", &format!("<{row}>")),
            ("{row}", Form, b"x", &for_form(row.as_bytes())),
        ] {
            assert_eq!(filled(text, encoding, name), expected, "{text}");
        }
    }

    #[test]
    fn inserted_values_are_not_scanned_for_placeholders() {
        let template = Template::parse("{name}{env:KEY}").unwrap();
        let template = template.resolve(&mut |_| Ok(b"{path}".to_vec())).unwrap();
        let job = job(b"{env:KEY}{path}");
        let source = Source::new(&job.file, Reading::Patient);
        let filled = template.fill(Encoding::Plain, &job, &source);
        assert_eq!(filled.unwrap(), b"{env:KEY}{path}{path}");
    }

    #[test]
    fn a_missing_column_is_the_outcome() {
        let (template, job) = (Template::parse("{col.q}").unwrap(), job(b"x"));
        let source = Source::new(&job.file, Reading::Patient);
        let refused = template.fill(Encoding::Url, &job, &source).unwrap_err();
        let kind = refused.failure().unwrap().kind;
        assert_eq!(kind, crate::job::FailureKind::NoColumn);
    }
}
