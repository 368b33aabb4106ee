//! What an answer carries: in memory, or in a file where it is too much for that.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checksum::Checksum;

/// An answer's body. A clone is the same bytes, and not a copy of them.
#[derive(Clone)]
pub struct Body(Place);

#[derive(Clone)]
enum Place {
    Memory {
        bytes: Arc<Vec<u8>>,
        /// Dropped with the last clone.
        _held: Option<Arc<dyn Any + Send + Sync>>,
    },
    File {
        file: Arc<File>,
        len: u64,
        /// Where it lies for good, and what its bytes are, where it is not a temporary file.
        kept: Option<Arc<(PathBuf, Checksum)>>,
    },
}

impl Body {
    /// A body in memory, and something that lives as long as it does: what it takes of a budget, for example.
    pub fn holding(bytes: Vec<u8>, held: impl Any + Send + Sync) -> Self {
        Self(Place::Memory {
            bytes: Arc::new(bytes),
            _held: Some(Arc::new(held)),
        })
    }

    /// The first `len` bytes of a file that nobody else knows, and that is gone with the body.
    pub fn spilled(file: File, len: u64) -> Self {
        Self(Place::File {
            file: Arc::new(file),
            len,
            kept: None,
        })
    }

    /// The bytes of a file that lies at `path` and stays there.
    pub fn kept(file: File, len: u64, path: PathBuf, checksum: Checksum) -> Self {
        Self(Place::File {
            file: Arc::new(file),
            len,
            kept: Some(Arc::new((path, checksum))),
        })
    }

    /// How many bytes it has.
    pub fn len(&self) -> u64 {
        match &self.0 {
            Place::Memory { bytes, .. } => bytes.len() as u64,
            Place::File { len, .. } => *len,
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its bytes, where they are in memory.
    pub fn in_memory(&self) -> Option<&[u8]> {
        match &self.0 {
            Place::Memory { bytes, .. } => Some(bytes),
            Place::File { .. } => None,
        }
    }

    /// Where it lies for good, where it does so in a file.
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Place::File { kept, .. } => kept.as_deref().map(|(path, _)| path.as_path()),
            Place::Memory { .. } => None,
        }
    }

    /// Its bytes, which are brought into memory where they are not there.
    ///
    /// # Errors
    ///
    /// Its file cannot be read.
    pub fn bytes(&self) -> io::Result<Cow<'_, [u8]>> {
        match self.in_memory() {
            Some(bytes) => Ok(bytes.into()),
            None => self.beginning(usize::MAX).map(Cow::Owned),
        }
    }

    /// Its first bytes, at most so many.
    ///
    /// # Errors
    ///
    /// Its file cannot be read.
    pub fn beginning(&self, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut reader = self.reader().take(most as u64);
        bytes.reserve_exact(usize::try_from(self.len()).unwrap_or(most).min(most));
        reader.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads it from its beginning.
    pub fn reader(&self) -> BodyReader<'_> {
        BodyReader { body: self, at: 0 }
    }

    /// Its checksum.
    ///
    /// # Errors
    ///
    /// Its file cannot be read.
    pub fn checksum(&self) -> io::Result<Checksum> {
        match &self.0 {
            Place::Memory { bytes, .. } => Ok(Checksum::of(bytes)),
            Place::File {
                kept: Some(kept), ..
            } => Ok(kept.1),
            Place::File { .. } => Checksum::of_all(&mut self.reader()),
        }
    }
}

impl<B: Into<Vec<u8>>> From<B> for Body {
    fn from(bytes: B) -> Self {
        Self(Place::Memory {
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
            Place::Memory { bytes, .. } => write!(f, "{:?}", String::from_utf8_lossy(bytes)),
            Place::File { len, .. } => write!(f, "[{len} bytes in a file]"),
        }
    }
}

/// The same bytes, wherever they are.
impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Place::File { file: one, .. }, Place::File { file: other, .. })
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

/// Reads a [`Body`]. Several can read one at the same time.
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
            Place::Memory { bytes, .. } => {
                let at = self.at as usize;
                to[..room].copy_from_slice(&bytes[at..at + room]);
                room
            }
            Place::File { file, .. } => match file.read_at(&mut to[..room], self.at)? {
                0 => {
                    let shorter = "the file has become shorter";
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, shorter));
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

    /// The bytes as a body in a file.
    pub(crate) fn spilled(bytes: &[u8]) -> Body {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Body::spilled(file, bytes.len() as u64)
    }

    #[test]
    fn a_body_is_the_same_wherever_it_is() {
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
    fn a_file_that_has_become_shorter_is_an_error() {
        let body = Body::spilled(tempfile::tempfile().unwrap(), 1);
        let kind = |error: io::Error| error.kind();
        assert_eq!(body.bytes().map_err(kind), Err(ErrorKind::UnexpectedEof));
        assert_eq!(body.checksum().map_err(kind), Err(ErrorKind::UnexpectedEof));
    }

    #[test]
    fn what_is_held_is_given_back_with_the_last_clone() {
        let held = Arc::new(());
        let body = Body::holding(Vec::new(), Arc::clone(&held));
        let clone = body.clone();
        drop(body);
        assert_eq!(Arc::strong_count(&held), 2);
        drop(clone);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
