//! Parses JSON text to values, with limits that keep an answer from overflowing the stack or stalling a thread.

use std::borrow::Cow;

use jaq_json::read::parse_single;
use jaq_json::{Map, Val};

use super::error::EvalError;
use crate::job::{json_text, nesting, replace_lone_surrogates};

/// The maximum nesting of an answer. Evaluation is recursive, with frames of tens of kilobytes.
pub const DEEPEST: usize = 512;

/// The maximum length of a number, in digits. The time to parse it grows with the square.
const MOST_DIGITS: usize = 10_000;

/// Checks that bytes are one JSON text.
pub(super) fn checked(bytes: &[u8]) -> Result<&str, EvalError> {
    json_text(bytes).map_err(|error| EvalError::new(&error.to_string()))
}

/// Parses a JSON text.
pub(super) fn value(text: &str) -> Result<Val, EvalError> {
    if nesting(text.as_bytes(), DEEPEST).is_err() {
        let message = format!("the JSON text is nested more than {DEEPEST} levels deep");
        return Err(EvalError::new(&message));
    }
    if has_long_number(text.as_bytes()) {
        let message = format!("the JSON text has a number of more than {MOST_DIGITS} digits");
        return Err(EvalError::new(&message));
    }
    let text = with_lone_surrogates(text);
    let mut builder = Builder::new(&text);
    let value = builder.value()?;
    match builder.text.get(builder.at..) {
        None | Some([]) => Ok(value),
        Some(_) => Err(EvalError::new("unexpected text after the JSON value")),
    }
}

/// Builds values from valid JSON text. The parser of `jaq_json` allocates space for at least four values in each array.
/// This builder allocates exactly and shares the empty array, which halves the memory of nested arrays.
struct Builder<'t> {
    text: &'t [u8],
    at: usize,
    /// The values of unfinished arrays.
    waiting: Vec<Val>,
    /// The shared empty array.
    empty: Val,
}

impl<'t> Builder<'t> {
    fn new(text: &'t [u8]) -> Self {
        Self {
            text,
            at: 0,
            waiting: Vec::new(),
            empty: Val::Arr(Vec::new().into()),
        }
    }

    fn value(&mut self) -> Result<Val, EvalError> {
        self.skip(|byte| byte.is_ascii_whitespace());
        match self.text.get(self.at) {
            Some(b'[') => {
                self.at += 1;
                let first = self.waiting.len();
                while !self.ends(b']')? {
                    let value = self.value()?;
                    self.waiting.push(value);
                }
                if self.waiting.len() == first {
                    return Ok(self.empty.clone());
                }
                // Collecting allocates exactly.
                let values: Vec<Val> = self.waiting.drain(first..).collect();
                Ok(Val::Arr(values.into()))
            }
            Some(b'{') => {
                self.at += 1;
                let mut fields = Map::default();
                while !self.ends(b'}')? {
                    let name = self.value()?;
                    fields.insert(name, self.value()?);
                }
                Ok(Val::obj(fields))
            }
            _ => self.single(),
        }
    }

    /// Advances to the next value of an array or object, or past its end. Returns whether it ended.
    fn ends(&mut self, end: u8) -> Result<bool, EvalError> {
        self.skip(is_between);
        let next = self.text.get(self.at);
        let next = next.ok_or_else(|| EvalError::new("the JSON text is incomplete"))?;
        let ends = *next == end;
        if ends {
            self.at += 1;
            self.skip(is_between);
        }
        Ok(ends)
    }

    /// Parses a string, a number or a keyword.
    fn single(&mut self) -> Result<Val, EvalError> {
        let begin = self.at;
        if self.text.get(begin) == Some(&b'"') {
            self.at += 1;
            while let Some(byte) = self.text.get(self.at)
                && *byte != b'"'
            {
                self.at += 1 + usize::from(*byte == b'\\');
            }
            self.at += 1;
        } else {
            self.skip(|byte| !is_between(byte) && !matches!(byte, b']' | b'}'));
        }
        let text = self.text.get(begin..self.at).unwrap_or_default();
        self.skip(is_between);
        parse_single(text).map_err(|error| EvalError::new(&error.to_string()))
    }

    fn skip(&mut self, is_skipped: impl Fn(u8) -> bool) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.at += rest.iter().take_while(|byte| is_skipped(**byte)).count();
    }
}

/// Returns whether a byte separates values.
fn is_between(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b',' | b':')
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

/// Replaces each escape of a lone surrogate by its three bytes in generalized UTF-8. The parser refuses the escape and
/// passes the bytes through, and [`super::write`] writes the escape again.
fn with_lone_surrogates(text: &str) -> Cow<'_, [u8]> {
    let replaced = replace_lone_surrogates(text, |half, out| {
        let continued = |bits: u16| 0x80 | (bits & 0x3f) as u8;
        out.extend([0xed, continued(half >> 6), continued(half)]);
    });
    replaced.map_or(Cow::Borrowed(text.as_bytes()), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a random value, with the white space that JSON allows.
    fn write(random: &mut fastrand::Rng, depth: usize) -> String {
        let space = ["", " ", "\n\t", "\r "][random.usize(..4)];
        let value = match random.usize(..if depth > 5 { 2 } else { 6 }) {
            0 => [
                "null",
                "true",
                "false",
                "0",
                "-1.50e+3",
                "12345678901234567890",
            ][random.usize(..6)]
            .to_owned(),
            1 => [
                r#""""#,
                r#""a,b:[{}]""#,
                r#""\"\\""#,
                r#""\u00e9\n""#,
                "\"\u{1f600}\"",
            ][random.usize(..5)]
            .to_owned(),
            kind => {
                let is_array = kind % 2 == 0;
                let mut items = Vec::new();
                for _ in 0..random.usize(..6) {
                    let value = write(random, depth + 1);
                    items.push(match is_array {
                        true => value,
                        false => format!("{space}\"{}\"{space}:{value}", random.usize(..4)),
                    });
                }
                let items = items.join(",");
                match is_array {
                    true => format!("[{items}{space}]"),
                    false => format!("{{{items}{space}}}"),
                }
            }
        };
        format!("{space}{value}{space}")
    }

    #[test]
    fn values_equal_those_of_the_parser() {
        for seed in 0..2_000 {
            let text = write(&mut fastrand::Rng::with_seed(seed), 0);
            let parsed = parse_single(text.as_bytes()).unwrap();
            assert_eq!(value(&text).unwrap(), parsed, "{text}");
        }
    }
}
