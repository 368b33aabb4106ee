//! The parts of a credential. A service may echo one alone: the value of a cookie, the token in `Token token="…"`, a
//! name or a password of Basic authentication, a string of a JSON text.
//!
//! A value is split level by level, at `;`, at spaces, at `,` and `&`, at `=`, at `:`, and at quotes. Each piece of each
//! level is a part, so the work is linear in the length of the value. Names in `name=value` and in JSON are not parts,
//! because masking them would make messages unreadable.

use std::collections::HashSet;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

/// The separators of each level, from the outermost. Separators within double quotes do not count.
const LEVELS: [&[u8]; 5] = [b";", b" \t\r\n", b",&", b"=", b":"];

const QUOTES: &[u8] = b"\"'";

/// Public words of AWS signatures, in lower case. Every signed URL contains some of them.
const PUBLIC: [&[u8]; 4] = [
    b"aws4-hmac-sha256",
    b"x-amz-content-sha256",
    b"x-amz-date",
    b"x-amz-security-token",
];

/// Decodes with padding and without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Returns the parts of a credential, of any length.
pub(super) fn parts(value: &[u8]) -> HashSet<Vec<u8>> {
    let mut parts = Parts::default();
    parts.add(value);
    parts.0
}

#[derive(Default)]
struct Parts(HashSet<Vec<u8>>);

impl Parts {
    fn add(&mut self, value: &[u8]) {
        match serde_json::from_slice(value) {
            Ok(json @ (Value::Object(_) | Value::Array(_))) => self.add_json(&json),
            _ => self.split(value, &LEVELS),
        }
    }

    fn add_json(&mut self, json: &Value) {
        match json {
            Value::String(text) => self.add(text.as_bytes()),
            Value::Number(number) => self.keep(number.to_string().as_bytes()),
            Value::Array(items) => items.iter().for_each(|item| self.add_json(item)),
            Value::Object(members) => members.values().for_each(|value| self.add_json(value)),
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// Adds a piece and its pieces of the given levels.
    fn split(&mut self, piece: &[u8], levels: &[&[u8]]) {
        self.keep(piece);
        let value = behind_name(piece);
        self.keep(value);
        // A name and a password, or a key and nothing.
        if let Some(colon) = value.iter().position(|byte| *byte == b':') {
            self.keep(&value[..colon]);
            self.keep(&value[colon + 1..]);
        }
        let is_quote = |byte: &u8| QUOTES.contains(byte);
        match levels {
            [b"=", inner @ ..] => pieces(value, b"=").for_each(|piece| self.split(piece, inner)),
            [level, inner @ ..] => pieces(piece, level).for_each(|piece| self.split(piece, inner)),
            // A quoted piece may have parts again.
            [] if piece.iter().any(is_quote) => {
                let quoted = piece.split(is_quote);
                quoted.for_each(|piece| self.split(piece, &LEVELS));
            }
            [] => {}
        }
    }

    /// Adds a part. If it decodes to a name and a password of Basic authentication (RFC 7617), adds those too. Other
    /// decoded bytes with a colon are harmless, because no text contains them.
    fn keep(&mut self, part: &[u8]) {
        let part = trimmed(part);
        if PUBLIC.contains(&part.to_ascii_lowercase().as_slice()) {
            return;
        }
        let digit = |byte: &u8| match byte {
            b'-' => b'+',
            b'_' => b'/',
            byte => *byte,
        };
        let digits: Vec<u8> = part.iter().map(digit).collect();
        if let Ok(pair) = BASE64.decode(digits)
            && let Some(colon) = pair.iter().position(|byte| *byte == b':')
        {
            self.0.insert(pair[..colon].to_vec());
            self.0.insert(pair[colon + 1..].to_vec());
            self.0.insert(pair);
        }
        self.0.insert(part.to_vec());
    }
}

/// Splits a value at separators. An unpaired quote is an ordinary character.
fn pieces<'v>(value: &'v [u8], separators: &[u8]) -> impl Iterator<Item = &'v [u8]> {
    let mut quotes = value.iter().filter(|byte| **byte == b'"').count() & !1;
    let mut is_quoted = false;
    value.split(move |byte| {
        if *byte == b'"' && quotes > 0 {
            quotes -= 1;
            is_quoted = !is_quoted;
        }
        !is_quoted && separators.contains(byte)
    })
}

/// Returns the value of `name=value`, and any other piece unchanged. The `=` at the end of base64 does not end a name.
fn behind_name(piece: &[u8]) -> &[u8] {
    let piece = piece.trim_ascii();
    let of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let name = piece.iter().take_while(|byte| of_name(byte)).count();
    match &piece[name..] {
        [b'=', value @ ..] if name > 0 && value.iter().any(|byte| *byte != b'=') => value,
        _ => piece,
    }
}

/// Strips separators and quotes from both ends.
fn trimmed(part: &[u8]) -> &[u8] {
    let is_inner = |byte: &u8| !byte.is_ascii_whitespace() && !b";,&\"'".contains(byte);
    let begin = part.iter().position(is_inner).unwrap_or(part.len());
    let end = part
        .iter()
        .rposition(is_inner)
        .map_or(begin, |last| last + 1);
    &part[begin..end]
}
