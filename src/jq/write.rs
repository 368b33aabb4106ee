//! From a value to JSON text. Values that JSON does not have are errors, not other values.

use jaq_json::{Num, Val};

use super::error::EvalError;
use super::read;
use crate::job::json_text;

/// How deeply a value may be nested: a few levels more than an answer.
const DEEPEST: usize = 2 * read::DEEPEST;

pub(super) fn compact(value: &Val) -> Result<String, EvalError> {
    let mut out = String::new();
    write(value, 0, &mut out)?;
    Ok(out)
}

fn write(value: &Val, depth: usize, out: &mut String) -> Result<(), EvalError> {
    if depth > DEEPEST {
        let message = format!("its value is nested more than {DEEPEST} levels deep");
        return Err(EvalError::new(&message));
    }
    match value {
        Val::Null => out.push_str("null"),
        Val::Bool(true) => out.push_str("true"),
        Val::Bool(false) => out.push_str("false"),
        Val::Num(number) => out.push_str(&digits(number)?),
        Val::TStr(text) => string(text, out),
        Val::BStr(_) => return Err(EvalError::new("bytes are no JSON value")),
        Val::Arr(values) => {
            out.push('[');
            for (i, value) in values.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(value, depth + 1, out)?;
            }
            out.push(']');
        }
        Val::Obj(fields) => {
            out.push('{');
            for (i, (key, value)) in fields.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                let Val::TStr(key) = key else {
                    return Err(EvalError::new("an object has a key that is no string"));
                };
                string(key, out);
                out.push(':');
                write(value, depth + 1, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

/// A number as the answer wrote it, where it was not calculated.
fn digits(number: &Num) -> Result<String, EvalError> {
    let text = number.to_string();
    if json_text(text.as_bytes()).is_ok() {
        return Ok(text);
    }
    // Such as `+1`, which a string may be converted from.
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Num::Float(number).to_string()),
        _ => Err(EvalError::new(&format!("{text} is no JSON value"))),
    }
}

fn string(bytes: &[u8], out: &mut String) {
    out.push('"');
    let mut rest = bytes;
    while !rest.is_empty() {
        let (valid, odd) = match std::str::from_utf8(rest) {
            Ok(text) => (text, &rest[rest.len()..]),
            Err(error) => {
                let (valid, odd) = rest.split_at(error.valid_up_to());
                (std::str::from_utf8(valid).unwrap_or_default(), odd)
            }
        };
        for c in valid.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\0'..'\x20' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
                _ => out.push(c),
            }
        }
        rest = match odd {
            // Half of a surrogate pair.
            [0xed, high @ 0xa0..=0xbf, low @ 0x80..=0xbf, rest @ ..] => {
                let code = 0xd000 | u32::from(high & 0x3f) << 6 | u32::from(low & 0x3f);
                out.push_str(&format!("\\u{code:04x}"));
                rest
            }
            [_, rest @ ..] => {
                out.push(char::REPLACEMENT_CHARACTER);
                rest
            }
            [] => odd,
        };
    }
    out.push('"');
}
