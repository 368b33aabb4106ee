//! From JSON text to a value, under bounds that keep any answer from overflowing the stack or holding up a thread.

use std::borrow::Cow;

use jaq_json::Val;
use jaq_json::read::parse_single;

use super::{DEEPEST, EvalError};
use crate::job::{json_text, nesting};

/// The longest number that is read, in digits: the time it takes grows with their square.
const MOST_DIGITS: usize = 10_000;

/// Bytes that are one JSON text.
pub(super) fn checked(bytes: &[u8]) -> Result<&str, EvalError> {
    json_text(bytes).map_err(|error| EvalError::new(&error.to_string()))
}

/// The value of a JSON text.
pub(super) fn value(text: &str) -> Result<Val, EvalError> {
    if nesting(text.as_bytes(), DEEPEST).is_err() {
        let message = format!("it is nested more than {DEEPEST} levels deep");
        return Err(EvalError::new(&message));
    }
    if has_long_number(text.as_bytes()) {
        let message = format!("it has a number of more than {MOST_DIGITS} digits");
        return Err(EvalError::new(&message));
    }
    parse_single(&with_lone_surrogates(text)).map_err(|error| EvalError::new(&error.to_string()))
}

fn has_long_number(text: &[u8]) -> bool {
    let (mut digits, mut quoted, mut escaped) = (0_usize, false, false);
    text.iter().any(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'0'..=b'9' if !quoted => digits += 1,
            _ => digits = 0,
        }
        digits > MOST_DIGITS
    })
}

/// Writes each escaped half of a surrogate pair that stands alone as the three bytes that UTF-8 would have for it,
/// for the parser refuses the escape and takes the bytes as they are. They are written as the escape again.
fn with_lone_surrogates(text: &str) -> Cow<'_, [u8]> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let (mut at, mut copied) = (0, 0);
    // Outside of strings JSON has no backslash.
    while let Some(rest) = bytes.get(at..)
        && let Some(found) = rest.iter().position(|byte| *byte == b'\\')
    {
        at += found;
        match half(&bytes[at..]) {
            None => at += 2,
            Some(0xd800..=0xdbff) if matches!(half(&bytes[at + 6..]), Some(0xdc00..)) => at += 12,
            Some(half) => {
                out.extend_from_slice(&bytes[copied..at]);
                let continued = |bits: u16| 0x80 | (bits & 0x3f) as u8;
                out.extend([0xed, continued(half >> 6), continued(half)]);
                at += 6;
                copied = at;
            }
        }
    }
    if copied == 0 {
        return Cow::Borrowed(bytes);
    }
    out.extend_from_slice(&bytes[copied..]);
    Cow::Owned(out)
}

/// The half of a surrogate pair whose escape these bytes begin with.
fn half(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    let code = u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    (0xd800..=0xdfff).contains(&code).then_some(code)
}
