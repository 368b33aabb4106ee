//! Escapes of JSON, of programming languages, of HTML and of URLs.

use html_escape::NAMED_ENTITIES;

/// The longest name of a character in HTML, in bytes.
const LONGEST_NAME: usize = 32;

/// A kind of escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Escapes {
    /// `\"`, `\u0022`, and the other escapes of JavaScript, Python and similar languages.
    Backslash,
    /// `&quot;`, `&#34;`, `&#x22;`. Browsers accept a number without a semicolon.
    Html,
    /// `%22`, and `%u0022` of old JavaScript.
    Percent,
}

/// An escape: its length in bytes, and its value.
type Escape = Result<(usize, Value), NoEscape>;

/// The reason why a text does not begin with an escape.
pub(super) enum NoEscape {
    /// The end of the text truncates an escape.
    Truncated,
    Absent,
}

/// The value of an escape.
pub(super) enum Value {
    Byte(u8),
    Char(char),
    Named(&'static str),
}

impl Value {
    /// Returns the character with this number, or the replacement character.
    fn numbered(number: u32) -> Self {
        Self::Char(char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// Returns the value as UTF-8, encoded into `room` if necessary.
    pub(super) fn bytes<'r>(&'r self, room: &'r mut [u8; 4]) -> &'r [u8] {
        match self {
            Self::Byte(byte) => std::slice::from_ref(byte),
            Self::Char(char) => char.encode_utf8(room).as_bytes(),
            Self::Named(text) => text.as_bytes(),
        }
    }
}

impl Escapes {
    pub(in super::super) const ALL: [Self; 3] = [Self::Backslash, Self::Html, Self::Percent];

    /// Returns the first byte of all escapes of this kind.
    pub(super) fn marker(self) -> u8 {
        match self {
            Self::Backslash => b'\\',
            Self::Html => b'&',
            Self::Percent => b'%',
        }
    }

    /// Reads the escape at the beginning of a text.
    pub(super) fn read(self, text: &[u8], is_cut: bool) -> Escape {
        match (self, &text[1..]) {
            (_, []) => Err(NoEscape::Truncated),
            (Self::Backslash, [b'u' | b'x', b'{', rest @ ..]) => match numbered(rest, 16) {
                (number, digits @ 1.., Some(b'}')) => Ok((digits + 4, Value::numbered(number))),
                (_, _, None) => Err(NoEscape::Truncated),
                _ => Err(NoEscape::Absent),
            },
            (Self::Backslash | Self::Percent, [b'u', ..]) => unit(text),
            (Self::Backslash, [b'U', rest @ ..]) => Ok((10, Value::numbered(number(rest, 8)?))),
            (Self::Backslash, [b'x', rest @ ..]) => Ok((4, Value::Byte(number(rest, 2)? as u8))),
            (Self::Percent, rest) => Ok((3, Value::Byte(number(rest, 2)? as u8))),
            (Self::Backslash, [sign, ..]) => {
                let value = match sign {
                    b'b' => 8,
                    b't' => b'\t',
                    b'n' => b'\n',
                    b'f' => 12,
                    b'r' => b'\r',
                    sign if sign.is_ascii_punctuation() => *sign,
                    _ => return Err(NoEscape::Absent),
                };
                Ok((2, Value::Byte(value)))
            }
            (Self::Html, [b'#', b'x' | b'X', rest @ ..]) => {
                reference(3, numbered(rest, 16), is_cut)
            }
            (Self::Html, [b'#', rest @ ..]) => reference(2, numbered(rest, 10), is_cut),
            (Self::Html, rest) => named(rest),
        }
    }
}

pub(super) fn hex_digit(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|digit| digit as u8)
}

/// Reads `\uXXXX` or `%uXXXX`, or a surrogate pair of them (RFC 8259, section 7).
fn unit(text: &[u8]) -> Escape {
    let (begin, rest) = text.split_at(2);
    let first = number(rest, 4)?;
    if (0xd800..0xdc00).contains(&first) {
        let rest = &rest[4..];
        let second = match rest {
            [] | [_] if begin.starts_with(rest) => Err(NoEscape::Truncated),
            [one, two, rest @ ..] if [*one, *two] == *begin => number(rest, 4),
            _ => Err(NoEscape::Absent),
        };
        match second {
            Ok(second @ 0xdc00..0xe000) => {
                let number = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok((12, Value::numbered(number)));
            }
            Err(NoEscape::Truncated) => return Err(NoEscape::Truncated),
            _ => {}
        }
    }
    Ok((6, Value::numbered(first)))
}

/// Reads a number of exactly `count` hexadecimal digits.
fn number(text: &[u8], count: usize) -> Result<u32, NoEscape> {
    let mut number = 0;
    for place in 0..count {
        let byte = text.get(place).ok_or(NoEscape::Truncated)?;
        let digit = hex_digit(*byte).ok_or(NoEscape::Absent)?;
        number = number << 4 | u32::from(digit);
    }
    Ok(number)
}

/// Reads a character's number, with any number of leading zeros. Returns the number, the count of its digits, and the
/// next byte.
fn numbered(rest: &[u8], radix: u32) -> (u32, usize, Option<u8>) {
    let (mut number, mut count) = (0_u32, 0);
    for digit in rest
        .iter()
        .map_while(|byte| (*byte as char).to_digit(radix))
    {
        number = number.saturating_mul(radix).saturating_add(digit);
        count += 1;
    }
    (number, count, rest.get(count).copied())
}

/// Reads an HTML reference to a numbered character, after a prefix of `before` bytes.
fn reference(before: usize, numbered: (u32, usize, Option<u8>), is_cut: bool) -> Escape {
    match numbered {
        (_, _, None) if is_cut => Err(NoEscape::Truncated),
        (_, 0, _) => Err(NoEscape::Absent),
        (number, digits, end) => {
            let length = before + digits + usize::from(end == Some(b';'));
            Ok((length, Value::numbered(number)))
        }
    }
}

/// Reads an HTML reference to a named character, `&name;`.
fn named(rest: &[u8]) -> Escape {
    let letters = rest.iter().take(LONGEST_NAME);
    let length = letters
        .take_while(|byte| byte.is_ascii_alphanumeric())
        .count();
    match rest.get(length) {
        None => Err(NoEscape::Truncated),
        Some(b';') => NAMED_ENTITIES
            .binary_search_by(|(name, _)| name.cmp(&&rest[..length]))
            .map(|place| (length + 2, Value::Named(NAMED_ENTITIES[place].1)))
            .map_err(|_| NoEscape::Absent),
        Some(_) => Err(NoEscape::Absent),
    }
}
