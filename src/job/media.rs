//! Checks of a body against its media type.

use std::borrow::Cow;
use std::io::{self, BufReader, ErrorKind, Read};

use serde::de::IgnoredAny;

use super::Body;

/// Returns whether a media type is JSON: `application/json`, `text/json`, or any type with the suffix `+json`
/// (RFC 6839, section 3.1).
pub fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json")
}

/// Returns bytes as one JSON text (RFC 8259). No value is built, so neither depth nor the size of numbers matters.
///
/// # Errors
///
/// The bytes are not one JSON text.
pub fn json_text(bytes: &[u8]) -> Result<&str, serde_json::Error> {
    serde_json::from_slice::<&serde_json::value::RawValue>(bytes)
        .map(serde_json::value::RawValue::get)
}

/// Checks that a body is one JSON text, as [`json_text`] does, and returns the fault otherwise. A body in a file is
/// not loaded into memory.
///
/// # Errors
///
/// The body's file cannot be read.
pub fn check_json(body: &Body) -> io::Result<Result<(), String>> {
    if let Some(bytes) = body.in_memory() {
        return Ok(json_text(bytes)
            .map(drop)
            .map_err(|error| error.to_string()));
    }
    // The parser alone ignores invalid UTF-8 within strings.
    let text = BufReader::with_capacity(PIECE, Utf8::new(body.reader()));
    match serde_json::from_reader::<_, IgnoredAny>(text) {
        Ok(_) => Ok(Ok(())),
        Err(error) if error.is_io() => utf8_fault(error.into()).map(Err),
        Err(error) => Ok(Err(error.to_string())),
    }
}

/// Checks that a body is UTF-8 text, and returns the fault otherwise. A body in a file is not loaded into memory.
///
/// # Errors
///
/// The body's file cannot be read.
pub fn check_text(body: &Body) -> io::Result<Result<(), String>> {
    if let Some(bytes) = body.in_memory() {
        return Ok(std::str::from_utf8(bytes)
            .map(drop)
            .map_err(|error| error.to_string()));
    }
    let mut text = BufReader::with_capacity(PIECE, Utf8::new(body.reader()));
    match io::copy(&mut text, &mut io::sink()) {
        Ok(_) => Ok(Ok(())),
        Err(error) => utf8_fault(error).map(Err),
    }
}

/// The number of bytes that are read from a file at once.
const PIECE: usize = 1 << 16;

/// Returns the fault that [`Utf8`] found, and any other error as it is.
fn utf8_fault(error: io::Error) -> io::Result<String> {
    match error.kind() {
        ErrorKind::InvalidData => Ok(error.to_string()),
        _ => Err(error),
    }
}

/// Passes on the bytes of a reader while they are UTF-8. Otherwise it fails with [`ErrorKind::InvalidData`] and the
/// words of [`std::str::Utf8Error`].
struct Utf8<R> {
    from: R,
    /// The length of the whole characters so far.
    checked: u64,
    /// The bytes that are not checked yet. Between two pieces these are the beginning of a character.
    rest: Vec<u8>,
}

impl<R: Read> Utf8<R> {
    fn new(from: R) -> Self {
        let (checked, rest) = (0, Vec::new());
        Self {
            from,
            checked,
            rest,
        }
    }
}

impl<R: Read> Read for Utf8<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(to)?;
        self.rest.extend_from_slice(&to[..read]);
        let (valid, fault) = match std::str::from_utf8(&self.rest) {
            Ok(text) => (text.len(), None),
            Err(error) => (error.valid_up_to(), Some(error.error_len())),
        };
        self.rest.drain(..valid);
        self.checked += valid as u64;
        let at = self.checked;
        let message = match fault {
            Some(Some(len)) => format!("invalid utf-8 sequence of {len} bytes from index {at}"),
            Some(None) if read == 0 && !to.is_empty() => {
                format!("incomplete utf-8 byte sequence from index {at}")
            }
            _ => return Ok(read),
        };
        Err(io::Error::new(ErrorKind::InvalidData, message))
    }
}

/// Checks that brackets outside of strings are nested at most `deepest` levels deep, in JSON or a jq expression.
///
/// # Errors
///
/// Returns the index of the first bracket that is nested too deep.
pub fn nesting(text: &[u8], deepest: usize) -> Result<(), usize> {
    let (mut open, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' | b'(' => {
                open += 1;
                if open > deepest {
                    return Err(at);
                }
            }
            b']' | b'}' | b')' => open = open.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Replaces each escape of a lone surrogate in JSON text. `replace` appends the bytes for one. Returns `None` if there is
/// no such escape.
pub(crate) fn replace_lone_surrogates(
    text: &str,
    replace: impl Fn(u16, &mut Vec<u8>),
) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let (mut at, mut copied) = (0, 0);
    // JSON has backslashes only in strings.
    while let Some(rest) = bytes.get(at..)
        && let Some(found) = rest.iter().position(|byte| *byte == b'\\')
    {
        at += found;
        match half(&bytes[at..]) {
            None => at += 2,
            Some(0xd800..=0xdbff) if matches!(half(&bytes[at + 6..]), Some(0xdc00..)) => at += 12,
            Some(half) => {
                out.extend_from_slice(&bytes[copied..at]);
                replace(half, &mut out);
                at += 6;
                copied = at;
            }
        }
    }
    if copied == 0 {
        return None;
    }
    out.extend_from_slice(&bytes[copied..]);
    Some(out)
}

/// Returns the surrogate whose escape begins these bytes.
fn half(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    let code = u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    (0xd800..=0xdfff).contains(&code).then_some(code)
}

/// Replaces each escape of a lone surrogate in JSON text by U+FFFD.
pub(crate) fn without_lone_surrogates(text: &str) -> Cow<'_, str> {
    let replaced = replace_lone_surrogates(text, |_, out| {
        out.extend_from_slice("\u{fffd}".as_bytes());
    });
    let replaced = replaced.and_then(|bytes| String::from_utf8(bytes).ok());
    replaced.map_or(Cow::Borrowed(text), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::super::body::tests::spilled;
    use super::*;

    #[test]
    fn bodies_are_checked_in_memory_and_in_files() {
        let open = "[".repeat(1_000_000);
        let closed = format!("{open}{}", "]".repeat(1_000_000));
        let long = format!("\"{}\"", "ü€😀".repeat(30_000));
        let mut broken = long.clone().into_bytes();
        broken[200_000] = 0xff;
        for (is_json, bytes) in [
            (true, &b"{}"[..]),
            (true, b" 1 \r\n"),
            (true, b"null"),
            (true, br#"{"a":1,"a":2}"#),
            (true, b"1e400"),
            (true, &[b'9'; 400]),
            (true, br#""\ud800""#),
            (true, closed.as_bytes()),
            (true, long.as_bytes()),
            (false, b""),
            (false, b" "),
            (false, b"{"),
            (false, b"NaN"),
            (false, b"{} {}"),
            (false, b"{}x"),
            (false, b"<html>"),
            (false, b"\"\xff\""),
            (false, b"\xff"),
            (false, b"{}\xff"),
            (false, b"\"\xe2\x82\""),
            (false, b"\"\xe2\x82"),
            (false, b"\"\xed\xa0\x80\""),
            (false, b"\"\xf0\x9f"),
            (false, b"\"\n\""),
            (false, br#""\x""#),
            (false, b"\0"),
            (false, "\u{feff}{}".as_bytes()),
            (false, open.as_bytes()),
            (false, &long.as_bytes()[..long.len() - 2]),
            (false, &broken),
        ] {
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(20)]);
            assert_eq!(json_text(bytes).is_ok(), is_json, "{shown}");
            let (memory, file) = (Body::from(bytes), spilled(bytes));
            for body in [&memory, &file] {
                assert_eq!(check_json(body).unwrap().is_ok(), is_json, "{shown}");
            }
            let [in_memory, in_file] = [&memory, &file].map(|body| check_text(body).unwrap());
            assert_eq!(in_memory, in_file, "{shown}");
        }
        let gone = Body::spilled(tempfile::tempfile().unwrap(), 1);
        assert!(check_json(&gone).is_err() && check_text(&gone).is_err());
    }

    #[test]
    fn a_character_may_come_in_pieces() {
        for (text, fault) in [
            (&b"a\xe2\x82\xacb\xf0\x9f\x98\x80"[..], None),
            (
                b"ab\xe2c",
                Some("invalid utf-8 sequence of 1 bytes from index 2"),
            ),
            (
                b"ab\xe2",
                Some("incomplete utf-8 byte sequence from index 2"),
            ),
        ] {
            for piece in 1..4 {
                let (mut utf8, mut to) = (Utf8::new(text), vec![0; piece]);
                let end = loop {
                    match utf8.read(&mut to) {
                        Ok(0) => break None,
                        Ok(_) => {}
                        Err(error) => break Some(error.to_string()),
                    }
                };
                assert_eq!(end.as_deref(), fault, "{piece}");
            }
        }
    }

    #[test]
    fn json_is_known_by_its_media_type() {
        for (media_type, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("text/json", true),
            ("application/problem+json", true),
            ("text/plain", false),
            ("application/jsonl", false),
            ("application/x-ndjson", false),
            ("", false),
        ] {
            assert_eq!(is_json(media_type), expected, "{media_type}");
        }
    }

    #[test]
    fn brackets_in_strings_are_not_counted() {
        let text = r#"{"[{\"[[":[{}],"b":"\\","c":[[]]}"#.as_bytes();
        assert!(nesting(text, 3).is_ok() && nesting(text, 2).is_err());
    }

    #[test]
    fn only_half_pairs_are_replaced() {
        for (text, expected) in [
            (
                r#""\ud83d\ude00 \u00e9 \\ud800""#,
                r#""\ud83d\ude00 \u00e9 \\ud800""#,
            ),
            (
                r#"{"\udce9":"\ud800\ud83d\ude00\uDFFF"}"#,
                "{\"\u{fffd}\":\"\u{fffd}\\ud83d\\ude00\u{fffd}\"}",
            ),
            (r#""\ud800""#, "\"\u{fffd}\""),
        ] {
            assert_eq!(without_lone_surrogates(text), expected);
        }
    }
}
