//! What a body is, by its media type and by itself.

use std::error::Error;
use std::fmt;
use std::io::{self, BufReader, ErrorKind, Read};

use serde::de::IgnoredAny;

use super::Body;

/// Whether a media type says JSON: `application/json`, `text/json`, or any type with the suffix `+json`
/// (RFC 6839, section 3.1).
pub fn is_json(media_type: &str) -> bool {
    let essence = media_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json")
}

/// Reads bytes as one JSON text (RFC 8259). Nothing is built from them, so neither depth nor the size of
/// numbers matters.
///
/// # Errors
///
/// They are not one JSON text.
pub fn json_text(bytes: &[u8]) -> Result<&str, serde_json::Error> {
    serde_json::from_slice::<&serde_json::value::RawValue>(bytes)
        .map(serde_json::value::RawValue::get)
}

/// Whether a body is one JSON text, as [`json_text`] has it, or why not. One that is in a file is not brought into
/// memory.
///
/// # Errors
///
/// Its file cannot be read.
pub fn check_json(body: &Body) -> io::Result<Result<(), String>> {
    if let Some(bytes) = body.in_memory() {
        return Ok(json_text(bytes)
            .map(drop)
            .map_err(|error| error.to_string()));
    }
    // The parser alone would pass over what is no UTF-8 within a string.
    let text = BufReader::with_capacity(PIECE, Utf8::of(body.reader()));
    match serde_json::from_reader::<_, IgnoredAny>(text) {
        Ok(_) => Ok(Ok(())),
        Err(error) if error.is_io() => not_text(error.into()).map(Err),
        Err(error) => Ok(Err(error.to_string())),
    }
}

/// Whether a body is UTF-8 text, or why not. One that is in a file is not brought into memory.
///
/// # Errors
///
/// Its file cannot be read.
pub fn check_text(body: &Body) -> io::Result<Result<(), String>> {
    if let Some(bytes) = body.in_memory() {
        return Ok(std::str::from_utf8(bytes)
            .map(drop)
            .map_err(|error| error.to_string()));
    }
    let mut text = BufReader::with_capacity(PIECE, Utf8::of(body.reader()));
    match io::copy(&mut text, &mut io::sink()) {
        Ok(_) => Ok(Ok(())),
        Err(error) => not_text(error).map(Err),
    }
}

/// How much of a file is read at once, in bytes.
const PIECE: usize = 1 << 16;

/// What is wrong with a text, where that and not its file is why it could not be read.
fn not_text(error: io::Error) -> io::Result<String> {
    let fault = error
        .get_ref()
        .and_then(|error| error.downcast_ref::<NotText>());
    match fault {
        Some(fault) => Ok(fault.to_string()),
        None => Err(error),
    }
}

/// Hands through what it reads as long as it is UTF-8.
struct Utf8<R> {
    from: R,
    /// How many bytes are behind, all of them whole characters.
    at: u64,
    /// The bytes of a character whose end has not come yet.
    begun: Vec<u8>,
}

/// Bytes that are not UTF-8. In words it is what [`std::str::Utf8Error`] says.
#[derive(Debug)]
struct NotText {
    at: u64,
    /// None where a character does not end before the text does.
    len: Option<usize>,
}

impl fmt::Display for NotText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at;
        match self.len {
            Some(len) => write!(f, "invalid utf-8 sequence of {len} bytes from index {at}"),
            None => write!(f, "incomplete utf-8 byte sequence from index {at}"),
        }
    }
}

impl Error for NotText {}

impl<R> Utf8<R> {
    fn of(from: R) -> Self {
        Self {
            from,
            at: 0,
            begun: Vec::new(),
        }
    }

    fn check(&mut self, mut piece: &[u8]) -> Result<(), NotText> {
        while !self.begun.is_empty()
            && let Some((first, rest)) = piece.split_first()
        {
            self.begun.push(*first);
            piece = rest;
            match std::str::from_utf8(&self.begun) {
                Ok(character) => {
                    self.at += character.len() as u64;
                    self.begun.clear();
                }
                Err(error) => self.unless_incomplete(error)?,
            }
        }
        match std::str::from_utf8(piece) {
            Ok(text) => self.at += text.len() as u64,
            Err(error) => {
                self.at += error.valid_up_to() as u64;
                self.unless_incomplete(error)?;
                self.begun.extend_from_slice(&piece[error.valid_up_to()..]);
            }
        }
        Ok(())
    }

    fn unless_incomplete(&self, error: std::str::Utf8Error) -> Result<(), NotText> {
        let (at, len) = (self.at, error.error_len());
        match len {
            Some(_) => Err(NotText { at, len }),
            None => Ok(()),
        }
    }
}

impl<R: Read> Read for Utf8<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(to)?;
        let whole = match read {
            0 if !self.begun.is_empty() && !to.is_empty() => Err(NotText {
                at: self.at,
                len: None,
            }),
            _ => self.check(&to[..read]),
        };
        whole.map_err(|fault| io::Error::new(ErrorKind::InvalidData, fault))?;
        Ok(read)
    }
}

/// Looks whether brackets outside of strings are nested more deeply than this, in JSON or in an expression on it.
///
/// # Errors
///
/// They are: at this byte they get too deep.
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

#[cfg(test)]
mod tests {
    use super::super::body::tests::spilled;
    use super::*;

    #[test]
    fn a_body_in_a_file_is_judged_as_one_in_memory() {
        let open = "[".repeat(1_000_000);
        let closed = format!("{open}{}", "]".repeat(1_000_000));
        let long = format!("\"{}\"", "ü€😀".repeat(30_000));
        let mut broken = long.clone().into_bytes();
        broken[200_000] = 0xff;
        for bytes in [
            &b"{}"[..],
            b" 1 \r\n",
            br#"{"a":1,"a":2}"#,
            b"1e400",
            br#""\ud800""#,
            b"",
            b" ",
            b"{",
            b"NaN",
            b"{} {}",
            b"{}x",
            b"<html>",
            b"\"\xff\"",
            b"\xff",
            b"{}\xff",
            b"\"\xe2\x82\"",
            b"\"\xe2\x82",
            b"\"\xed\xa0\x80\"",
            b"\"\xf0\x9f",
            b"\"\n\"",
            br#""\x""#,
            b"\0",
            "\u{feff}{}".as_bytes(),
            open.as_bytes(),
            closed.as_bytes(),
            long.as_bytes(),
            &long.as_bytes()[..long.len() - 2],
            &broken,
        ] {
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(20)]);
            let (memory, file) = (Body::from(bytes), spilled(bytes));
            let [in_memory, in_file] = [&memory, &file].map(|body| check_json(body).unwrap());
            assert_eq!(in_memory.is_ok(), in_file.is_ok(), "{shown}: {in_file:?}");
            let [in_memory, in_file] = [&memory, &file].map(|body| check_text(body).unwrap());
            assert_eq!(in_memory, in_file, "{shown}");
        }
        let gone = Body::spilled(tempfile::tempfile().unwrap(), 1);
        assert!(check_json(&gone).is_err() && check_text(&gone).is_err());
    }

    #[test]
    fn a_character_may_come_in_pieces() {
        for (text, pieces) in [("a€b😀", 1), ("a€b😀", 2), ("€", 3)] {
            let mut utf8 = Utf8::of(io::empty());
            for piece in text.as_bytes().chunks(pieces) {
                utf8.check(piece).unwrap();
            }
            assert_eq!((utf8.at, utf8.begun.len()), (text.len() as u64, 0));
        }
        let mut utf8 = Utf8::of(io::empty());
        utf8.check(b"ab\xe2").unwrap();
        let fault = utf8.check(b"c").unwrap_err().to_string();
        assert_eq!(fault, "invalid utf-8 sequence of 1 bytes from index 2");
    }

    #[test]
    fn json_is_known_by_its_media_type() {
        for media_type in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "text/json",
            "application/problem+json",
        ] {
            assert!(is_json(media_type), "{media_type}");
        }
        for media_type in [
            "text/plain",
            "application/jsonl",
            "application/x-ndjson",
            "",
        ] {
            assert!(!is_json(media_type), "{media_type}");
        }
    }

    #[test]
    fn only_one_whole_json_text_json_text() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let nines = "9".repeat(400);
        for good in [
            "{}",
            " 1 ",
            "null",
            r#"{"a":1,"a":2}"#,
            "1e400",
            r#""\ud800""#,
            &deep,
            &nines,
        ] {
            assert!(json_text(good.as_bytes()).is_ok(), "{good}");
        }
        let brackets = "[".repeat(1_000_000);
        for bad in [
            "",
            "{",
            "NaN",
            "{} {}",
            "\u{feff}{}",
            "{}x",
            "<html>",
            &brackets,
        ] {
            assert!(
                json_text(bad.as_bytes()).is_err(),
                "{}",
                bad.get(..20).unwrap_or(bad)
            );
        }
        assert!(json_text(b"\"\xff\"").is_err());
    }
}
