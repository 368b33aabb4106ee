//! Escapes of JSON and of programming languages, of HTML, and of URLs.

use html_escape::NAMED_ENTITIES;

/// The longest name of a character in HTML, in bytes.
const LONGEST_NAME: usize = 32;

/// A kind of escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Escapes {
    /// `\"`, `\u0022`, and what JavaScript, Python and others have beside them.
    Backslash,
    /// `&quot;`, `&#34;`, `&#x22;`. Browsers need no semicolon behind a number.
    Html,
    /// `%22`, and `%u0022` of old JavaScript.
    Percent,
}

/// What a text begins with.
pub(super) enum Found {
    /// An escape of this length, in bytes, and what it stands for.
    Escape(usize, Meant),
    /// The beginning of one that the end of the text cuts off.
    Part,
    Nothing,
}

/// What an escape stands for.
pub(super) enum Meant {
    Byte(u8),
    Char(char),
    Named(&'static str),
}

impl Meant {
    /// The character with this number. What is no character is one that stands for that.
    fn numbered(number: u32) -> Self {
        Self::Char(char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// Returns it as UTF-8, for which there is room.
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

    /// Returns what each of them begins with.
    pub(super) fn marker(self) -> u8 {
        match self {
            Self::Backslash => b'\\',
            Self::Html => b'&',
            Self::Percent => b'%',
        }
    }

    /// Reads the escape at the beginning of a text that may be cut off at its end.
    pub(super) fn read(self, text: &[u8], is_cut: bool) -> Found {
        match (self, &text[1..]) {
            (_, []) => Found::Part,
            (Self::Backslash, [b'u' | b'x', b'{', rest @ ..]) => match numbered(rest, 16) {
                (number, digits @ 1.., Some(b'}')) => {
                    Found::Escape(digits + 4, Meant::numbered(number))
                }
                (_, _, None) => Found::Part,
                _ => Found::Nothing,
            },
            (Self::Backslash | Self::Percent, [b'u', ..]) => unit(text),
            (Self::Backslash, [b'U', rest @ ..]) => match number(rest, 8) {
                Ok(number) => Found::Escape(10, Meant::numbered(number)),
                Err(found) => found,
            },
            (Self::Backslash, [b'x', rest @ ..]) => byte(rest, 2),
            (Self::Percent, rest) => byte(rest, 1),
            (Self::Backslash, [sign, ..]) => {
                let meant = match sign {
                    b'b' => 8,
                    b't' => b'\t',
                    b'n' => b'\n',
                    b'f' => 12,
                    b'r' => b'\r',
                    sign if sign.is_ascii_punctuation() => *sign,
                    _ => return Found::Nothing,
                };
                Found::Escape(2, Meant::Byte(meant))
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

/// A byte as two hexadecimal digits, behind so many bytes that say so.
fn byte(rest: &[u8], before: usize) -> Found {
    match rest {
        [] => Found::Part,
        [high] if hex_digit(*high).is_some() => Found::Part,
        [high, low, ..] => match (hex_digit(*high), hex_digit(*low)) {
            (Some(high), Some(low)) => Found::Escape(before + 2, Meant::Byte(high << 4 | low)),
            _ => Found::Nothing,
        },
        _ => Found::Nothing,
    }
}

/// `\uXXXX` or `%uXXXX`, or two of them that make one character (RFC 8259, section 7).
fn unit(text: &[u8]) -> Found {
    let (begin, rest) = text.split_at(2);
    let first = match number(rest, 4) {
        Ok(first) => first,
        Err(found) => return found,
    };
    let rest = &rest[4..];
    if (0xd800..0xdc00).contains(&first) {
        let second = match rest {
            [] | [_] if begin.starts_with(rest) => return Found::Part,
            [one, two, rest @ ..] if [*one, *two] == *begin => number(rest, 4),
            _ => Err(Found::Nothing),
        };
        match second {
            Ok(second @ 0xdc00..0xe000) => {
                let number = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Found::Escape(12, Meant::numbered(number));
            }
            Err(Found::Part) => return Found::Part,
            _ => {}
        }
    }
    Found::Escape(6, Meant::numbered(first))
}

/// A number in just so many hexadecimal digits.
fn number(text: &[u8], count: usize) -> Result<u32, Found> {
    let mut number = 0;
    for place in 0..count {
        let byte = text.get(place).ok_or(Found::Part)?;
        let digit = hex_digit(*byte).ok_or(Found::Nothing)?;
        number = number << 4 | u32::from(digit);
    }
    Ok(number)
}

/// Reads a character's number, which may have any number of zeros before it. Returns it, how many digits there are, and
/// the byte behind them.
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

/// An HTML reference to a numbered character, with so many bytes before the number.
fn reference(before: usize, numbered: (u32, usize, Option<u8>), is_cut: bool) -> Found {
    match numbered {
        (_, _, None) if is_cut => Found::Part,
        (_, 0, _) => Found::Nothing,
        (number, digits, end) => {
            let length = before + digits + usize::from(end == Some(b';'));
            Found::Escape(length, Meant::numbered(number))
        }
    }
}

/// `&name;`, as HTML has it.
fn named(rest: &[u8]) -> Found {
    let letters = rest.iter().take(LONGEST_NAME);
    let length = letters
        .take_while(|byte| byte.is_ascii_alphanumeric())
        .count();
    match rest.get(length) {
        None => Found::Part,
        Some(b';') => {
            match NAMED_ENTITIES.binary_search_by(|(name, _)| name.cmp(&&rest[..length])) {
                Ok(place) => Found::Escape(length + 2, Meant::Named(NAMED_ENTITIES[place].1)),
                Err(_) => Found::Nothing,
            }
        }
        Some(_) => Found::Nothing,
    }
}
