//! Names of files, and safe display of untrusted text.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use crate::text::cut;

/// The name of a file as the list has it: bytes in any encoding. It identifies a job.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(Box<[u8]>);

impl FileName {
    /// Creates a name from its bytes.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the name as text, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Returns the bytes in base64 if the name is not UTF-8, because its text is then ambiguous.
    pub fn non_utf8_bytes(&self) -> Option<String> {
        self.as_str().is_none().then(|| STANDARD.encode(&self.0))
    }

    /// Returns the name as a path.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// Returns the shortest spelling of the same path, or `None` if the name has it already: `./` and `//` change
    /// nothing. A `..` stays, because it can lead through a link, and so does a final `/` or `/.`.
    pub fn cleaned(&self) -> Option<Self> {
        let bytes = &self.0;
        let is_clean = !bytes.starts_with(b"./")
            && !bytes.windows(2).any(|pair| pair == b"//" || pair == b"/.");
        if is_clean {
            return None;
        }
        let (folders, last) = bytes.split_at(bytes.iter().rposition(|byte| *byte == b'/')?);
        let mut out = Vec::with_capacity(bytes.len());
        if bytes.starts_with(b"/") {
            out.push(b'/');
        }
        let parts = folders.split(|byte| *byte == b'/');
        for part in parts.filter(|part| !matches!(*part, b"" | b".")) {
            out.extend_from_slice(part);
            out.push(b'/');
        }
        out.extend_from_slice(&last[1..]);
        (!out.is_empty() && *out != **bytes).then(|| Self::new(out))
    }

    /// Returns the name as text, with U+FFFD for invalid UTF-8. It is not reversible.
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string_lossy())
    }
}

/// Writes the name escaped for terminals (see [`escaped`]).
impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escaped(&self.0))
    }
}

/// Serializes to the fields `path` and, if the name is not UTF-8, `path_bytes`.
impl Serialize for FileName {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut fields = to.serialize_map(None)?;
        fields.serialize_entry("path", &self.to_string_lossy())?;
        if let Some(bytes) = self.non_utf8_bytes() {
            fields.serialize_entry("path_bytes", &bytes)?;
        }
        fields.end()
    }
}

impl From<&Path> for FileName {
    fn from(path: &Path) -> Self {
        Self::new(path.as_os_str().as_bytes())
    }
}

impl From<PathBuf> for FileName {
    fn from(path: PathBuf) -> Self {
        path.as_path().into()
    }
}

impl From<&str> for FileName {
    fn from(name: &str) -> Self {
        Self::new(name.as_bytes())
    }
}

/// Escapes untrusted text for terminals. Newline, carriage return and tab become `\n`, `\r` and `\t`. Other control
/// characters (C0, C1, DEL), bidirectional controls, line separators and U+FDD0 to U+FDEF become `\u{..}`. Invalid UTF-8
/// becomes `\x..`.
pub fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if c.is_control() || is_bidi_control(c) || is_noncharacter(c) => {
                    out.extend(c.escape_unicode());
                }
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

/// Escapes a text, and cuts it after `most` characters.
pub fn shortened(text: &[u8], most: usize) -> String {
    cut(escaped(text), most)
}

/// Formats bytes as a JSON string. A byte that is not UTF-8 becomes the lone surrogate U+DC00 + byte, so different names
/// stay different. Python's `os.fsencode` restores the byte (PEP 383).
pub fn json_string(bytes: &[u8]) -> String {
    let mut out = "\"".to_owned();
    for chunk in bytes.utf8_chunks() {
        let quoted = serde_json::to_string(chunk.valid()).unwrap_or_default();
        out.push_str(&quoted[1..quoted.len() - 1]);
        for byte in chunk.invalid() {
            out.push_str(&format!("\\udc{byte:02x}"));
        }
    }
    out.push('"');
    out
}

/// Formats bytes as a JSON string of valid Unicode. A byte that is not UTF-8 becomes U+FFFD and its two hexadecimal
/// digits, so that different names stay different.
pub(crate) fn json_string_of_unicode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\u{fffd}{byte:02x}"));
        }
    }
    serde_json::to_string(&text).unwrap_or_default()
}

/// Returns whether a character is one of U+FDD0 to U+FDEF, which programs use as internal marks.
fn is_noncharacter(c: char) -> bool {
    matches!(c, '\u{fdd0}'..='\u{fdef}')
}

/// Returns whether a character has the property Bidi_Control of Unicode 16, or separates lines.
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untrusted_text_cannot_control_a_terminal() {
        assert_eq!(escaped(b"a\x1b]0;pwn\x07b"), "a\\u{1b}]0;pwn\\u{7}b");
        assert_eq!(
            escaped("x\u{202e}y\u{9b}z\n".as_bytes()),
            "x\\u{202e}y\\u{9b}z\\n"
        );
        assert_eq!(escaped(b"caf\xe9"), "caf\\xe9");
        assert_eq!(escaped("größe 文 👍".as_bytes()), "größe 文 👍");
    }

    #[test]
    fn a_path_has_one_shortest_spelling() {
        for (name, cleaned) in [
            ("a", None),
            ("a/b", None),
            ("/a", None),
            ("../a", None),
            ("a/../b", None),
            ("a/.b", None),
            ("a/..b/c", None),
            (".a", None),
            (".", None),
            ("./", None),
            ("a/", None),
            ("a/.", None),
            ("./a", Some("a")),
            (".//././a", Some("a")),
            ("a//b", Some("a/b")),
            ("a/./b", Some("a/b")),
            ("//a", Some("/a")),
            ("/./a", Some("/a")),
            ("./../a", Some("../a")),
            ("a//.b", Some("a/.b")),
            ("./a/", Some("a/")),
            ("a//", Some("a/")),
            ("https://a", Some("https:/a")),
        ] {
            let found = FileName::from(name).cleaned();
            assert_eq!(found, cleaned.map(FileName::from), "{name}");
        }
        let odd = FileName::new(&b".//\xff/./x"[..]).cleaned();
        assert_eq!(odd, Some(FileName::new(&b"\xff/x"[..])));
    }

    #[test]
    fn json_strings_keep_every_byte() {
        for (bytes, expected) in [
            (&b"a\"b\n\\"[..], r#""a\"b\n\\""#),
            ("ü".as_bytes(), "\"ü\""),
            (b"caf\xe9.txt", r#""caf\udce9.txt""#),
            (b"\xff\xfe", r#""\udcff\udcfe""#),
        ] {
            assert_eq!(json_string(bytes), expected);
        }
    }
}
