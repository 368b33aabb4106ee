//! Names of files, and how anything from outside is shown.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Serialize, SerializeMap as _, Serializer};

/// The name of a file as the list gave it: bytes, in no particular encoding. It is a job's identity.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(Box<[u8]>);

impl FileName {
    /// Takes the bytes as they are.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes as given.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name as text, where it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The bytes in base64, where the name is not UTF-8 and its text would not give them back.
    pub fn odd_bytes(&self) -> Option<String> {
        self.as_str().is_none().then(|| STANDARD.encode(&self.0))
    }

    /// The name as a path.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// The name for people: every byte sequence that is not UTF-8 replaced by U+FFFD. Not reversible.
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string_lossy())
    }
}

/// Writes the name so that no terminal acts on it (see [`escaped`]).
impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escaped(&self.0))
    }
}

/// Serializes to the fields `path` and, where the name is not UTF-8, `path_bytes`.
impl Serialize for FileName {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut fields = to.serialize_map(None)?;
        fields.serialize_entry("path", &self.to_string_lossy())?;
        if let Some(bytes) = self.odd_bytes() {
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

/// Makes text from outside safe to show: control characters (C0, C1, DEL) and the characters that reorder
/// text (Unicode's bidirectional controls), and the noncharacters that programs use as marks, become `\u{..}`, bytes that are not UTF-8 become `\x..`.
pub fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if c.is_control() || is_bidi_control(c) || is_left_to_programs(c) => {
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

/// Escapes a text, and cuts it after so many characters.
pub fn shortened(text: &[u8], most: usize) -> String {
    let text = escaped(text);
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Noncharacters between letters, which programs may use as marks of their own.
fn is_left_to_programs(c: char) -> bool {
    matches!(c, '\u{fdd0}'..='\u{fdef}')
}

/// The property Bidi_Control of Unicode 16, and the line separators.
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_cannot_drive_a_terminal() {
        assert_eq!(escaped(b"a\x1b]0;pwn\x07b"), "a\\u{1b}]0;pwn\\u{7}b");
        assert_eq!(
            escaped("x\u{202e}y\u{9b}z\n".as_bytes()),
            "x\\u{202e}y\\u{9b}z\\n"
        );
        assert_eq!(escaped(b"caf\xe9"), "caf\\xe9");
        assert_eq!(escaped("größe 文 👍".as_bytes()), "größe 文 👍");
    }
}
