//! Checksums of results.

use std::fmt::{self, Write as _};
use std::io::{self, Read};

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

/// A SHA-256 checksum (FIPS 180-4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Checksum(pub [u8; 32]);

impl Checksum {
    /// Returns the checksum of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Parses 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut sum = [0; 32];
        if text.len() != 2 * sum.len() {
            return None;
        }
        for (byte, at) in sum.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
        }
        Some(Self(sum))
    }

    /// Reads to the end, a piece at a time, and returns the checksum.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn of_all(from: &mut impl Read) -> io::Result<Self> {
        let mut hash = Sha256::new();
        let mut piece = vec![0; 1 << 16];
        loop {
            match from.read(&mut piece)? {
                0 => return Ok(Self(hash.finalize().into())),
                read => hash.update(&piece[..read]),
            }
        }
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write_hex(*byte, f))
    }
}

impl Serialize for Checksum {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.to_string().serialize(to)
    }
}

/// Writes a byte as two hexadecimal digits. Formatting it as a number costs enough to
/// show, as every call has a key.
pub(super) fn write_hex(byte: u8, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let digit = |half: u8| char::from(b"0123456789abcdef"[usize::from(half & 15)]);
    f.write_char(digit(byte >> 4))?;
    f.write_char(digit(byte))
}
