//! Bodies of answers: in memory, in a temporary file if they are large, or in a permanent file.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checksum::Checksum;

/// An answer's body. Clones share the bytes.
#[derive(Clone)]
pub struct Body(BodyStorage);

#[derive(Clone)]
enum BodyStorage {
    Memory {
        bytes: Arc<Vec<u8>>,
        /// Dropped with the last clone.
        _held: Option<Arc<dyn Any + Send + Sync>>,
    },
    File {
        file: Arc<File>,
        len: u64,
        /// The file's path and checksum, unless it is a temporary file.
        kept: Option<Arc<(PathBuf, Checksum)>>,
    },
}

impl Body {
    /// Creates a body in memory, and ties the life of `held`, such as a share of a budget, to it.
    pub fn holding(bytes: Vec<u8>, held: impl Any + Send + Sync) -> Self {
        Self(BodyStorage::Memory {
            bytes: Arc::new(bytes),
            _held: Some(Arc::new(held)),
        })
    }

    /// Creates a body from the first `len` bytes of an unlinked temporary file.
    pub fn spilled(file: File, len: u64) -> Self {
        Self(BodyStorage::File {
            file: Arc::new(file),
            len,
            kept: None,
        })
    }

    /// Creates a body from a permanent file at `path`.
    pub fn kept(file: File, len: u64, path: PathBuf, checksum: Checksum) -> Self {
        Self(BodyStorage::File {
            file: Arc::new(file),
            len,
            kept: Some(Arc::new((path, checksum))),
        })
    }

    /// Returns the number of bytes.
    pub fn len(&self) -> u64 {
        match &self.0 {
            BodyStorage::Memory { bytes, .. } => bytes.len() as u64,
            BodyStorage::File { len, .. } => *len,
        }
    }

    /// Returns whether the body is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the bytes, if they are in memory.
    pub fn in_memory(&self) -> Option<&[u8]> {
        match &self.0 {
            BodyStorage::Memory { bytes, .. } => Some(bytes),
            BodyStorage::File { .. } => None,
        }
    }

    /// Returns the path of the permanent file, if the body is in one.
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            BodyStorage::File { kept, .. } => kept.as_deref().map(|(path, _)| path.as_path()),
            BodyStorage::Memory { .. } => None,
        }
    }

    /// Returns the bytes, which are read from the file if they are not in memory.
    ///
    /// # Errors
    ///
    /// The body's file cannot be read.
    pub fn bytes(&self) -> io::Result<Cow<'_, [u8]>> {
        match self.in_memory() {
            Some(bytes) => Ok(bytes.into()),
            None => self.beginning(usize::MAX).map(Cow::Owned),
        }
    }

    /// Returns the first bytes, at most `most`.
    ///
    /// # Errors
    ///
    /// The body's file cannot be read.
    pub fn beginning(&self, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut reader = self.reader().take(most as u64);
        bytes.reserve_exact(usize::try_from(self.len()).unwrap_or(most).min(most));
        reader.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Returns a reader at the beginning of the body.
    pub fn reader(&self) -> BodyReader<'_> {
        BodyReader { body: self, at: 0 }
    }

    /// Returns the checksum: the recorded one for a permanent file, otherwise computed.
    ///
    /// # Errors
    ///
    /// The body's temporary file cannot be read.
    pub fn checksum(&self) -> io::Result<Checksum> {
        match &self.0 {
            BodyStorage::Memory { bytes, .. } => Ok(Checksum::of(bytes)),
            BodyStorage::File {
                kept: Some(kept), ..
            } => Ok(kept.1),
            BodyStorage::File { .. } => Checksum::of_all(&mut self.reader()),
        }
    }
}

impl<B: Into<Vec<u8>>> From<B> for Body {
    fn from(bytes: B) -> Self {
        Self(BodyStorage::Memory {
            bytes: Arc::new(bytes.into()),
            _held: None,
        })
    }
}

impl Default for Body {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            BodyStorage::Memory { bytes, .. } => write!(f, "{:?}", String::from_utf8_lossy(bytes)),
            BodyStorage::File { len, .. } => write!(f, "[{len} bytes in a file]"),
        }
    }
}

/// Compares the bytes, whether in memory or in a file.
impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (BodyStorage::File { file: one, .. }, BodyStorage::File { file: other, .. })
                if Arc::ptr_eq(one, other) =>
            {
                true
            }
            _ if self.len() != other.len() => false,
            _ => match (self.bytes(), other.bytes()) {
                (Ok(one), Ok(other)) => one == other,
                _ => false,
            },
        }
    }
}

impl Eq for Body {}

impl<B: AsRef<[u8]>> PartialEq<B> for Body {
    fn eq(&self, other: &B) -> bool {
        self.bytes().is_ok_and(|bytes| *bytes == *other.as_ref())
    }
}

/// Reads a [`Body`]. Each reader has its own position.
#[derive(Debug)]
pub struct BodyReader<'b> {
    body: &'b Body,
    at: u64,
}

impl Read for BodyReader<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let left = self.body.len() - self.at;
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(to.len());
        if room == 0 {
            return Ok(0);
        }
        let read = match &self.body.0 {
            BodyStorage::Memory { bytes, .. } => {
                let at = self.at as usize;
                to[..room].copy_from_slice(&bytes[at..at + room]);
                room
            }
            BodyStorage::File { file, .. } => match file.read_at(&mut to[..room], self.at)? {
                0 => {
                    let truncated = "the file was truncated";
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, truncated));
                }
                read => read,
            },
        };
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use super::*;

    /// Creates a body in a file.
    pub(crate) fn spilled(bytes: &[u8]) -> Body {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Body::spilled(file, bytes.len() as u64)
    }

    #[test]
    fn bodies_in_memory_and_in_files_are_equal() {
        for bytes in [&b""[..], b"a", &[7; 100_000]] {
            let (memory, file) = (Body::from(bytes), spilled(bytes));
            assert_eq!(memory, file);
            assert_eq!(memory.len(), file.len());
            assert_eq!(memory.is_empty(), file.is_empty());
            assert_eq!(file.bytes().unwrap(), bytes);
            assert_eq!(file.checksum().unwrap(), Checksum::of(bytes));
            assert_eq!(file.beginning(3).unwrap(), &bytes[..bytes.len().min(3)]);
            assert_eq!((memory.in_memory(), file.in_memory()), (Some(bytes), None));
            let (mut one, mut other) = (Vec::new(), Vec::new());
            let (mut first, mut second) = (file.reader(), file.reader());
            first.read_to_end(&mut one).unwrap();
            second.read_to_end(&mut other).unwrap();
            assert_eq!((&one[..], &other[..]), (bytes, bytes));
        }
        assert_ne!(spilled(b"a"), Body::from("b"));
        assert!(spilled(b"a") == b"a" && spilled(b"a") != *b"ab");
    }

    #[test]
    fn a_truncated_file_is_an_error() {
        let body = Body::spilled(tempfile::tempfile().unwrap(), 1);
        let kind = |error: io::Error| error.kind();
        assert_eq!(body.bytes().map_err(kind), Err(ErrorKind::UnexpectedEof));
        assert_eq!(body.checksum().map_err(kind), Err(ErrorKind::UnexpectedEof));
    }

    #[test]
    fn the_last_clone_drops_what_the_body_holds() {
        let held = Arc::new(());
        let body = Body::holding(Vec::new(), Arc::clone(&held));
        let clone = body.clone();
        drop(body);
        assert_eq!(Arc::strong_count(&held), 2);
        drop(clone);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
