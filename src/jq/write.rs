//! Writes values as JSON text. A value that JSON lacks is an error and is not replaced by another, except that invalid UTF-8
//! in a string becomes U+FFFD.

use jaq_json::{Num, Val};

use super::bounds::{Bound, DEEPEST, longest};
use super::error::EvalError;
use crate::job::json_text;

pub(super) fn compact(value: &Val) -> Result<String, EvalError> {
    let mut out = String::new();
    write(value, 0, &mut out)?;
    Ok(out)
}

fn write(value: &Val, depth: usize, out: &mut String) -> Result<(), EvalError> {
    if depth > DEEPEST {
        return Err(Bound::Nesting.into());
    }
    // Parts that a value shares are written each time.
    if out.len() > longest() {
        return Err(Bound::Length.into());
    }
    match value {
        Val::Null => out.push_str("null"),
        Val::Bool(true) => out.push_str("true"),
        Val::Bool(false) => out.push_str("false"),
        Val::Num(number) => out.push_str(&digits(number)?),
        Val::TStr(text) => string(text, out),
        Val::BStr(_) => return Err(EvalError::new("bytes are not a JSON value")),
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
                    return Err(EvalError::new("a key of an object is not a string"));
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

/// Returns a number with the digits of the answer, unless it was calculated.
fn digits(number: &Num) -> Result<String, EvalError> {
    let text = number.to_string();
    if json_text(text.as_bytes()).is_ok() {
        return Ok(text);
    }
    // `tonumber` keeps the text of a number, such as `+1`.
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Num::Float(number).to_string()),
        _ => Err(EvalError::new(&format!("{text} is not a JSON value"))),
    }
}

/// Writes a string. [`super::read`] keeps lone surrogates as three bytes of generalized UTF-8.
fn string(bytes: &[u8], out: &mut String) {
    out.push('"');
    let mut rest = bytes;
    while let Some(chunk) = rest.utf8_chunks().next() {
        let quoted = serde_json::Value::from(chunk.valid()).to_string();
        out.push_str(&quoted[1..quoted.len() - 1]);
        rest = match &rest[chunk.valid().len()..] {
            [0xed, high @ 0xa0..=0xbf, low @ 0x80..=0xbf, rest @ ..] => {
                let code = 0xd000 | u32::from(high & 0x3f) << 6 | u32::from(low & 0x3f);
                out.push_str(&format!("\\u{code:04x}"));
                rest
            }
            [_, rest @ ..] => {
                out.push(char::REPLACEMENT_CHARACTER);
                rest
            }
            [] => &[],
        };
    }
    out.push('"');
}
