//! The memory that answers may take, all threads together. What does not fit goes into a temporary file.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::job::Body;

/// The most bytes of answers that a runner has in memory, from when they arrive until they are committed. Eight
/// threads with answers as large as they may be by default fit into it, and so do a thousand with usual ones.
pub(super) const MOST_IN_MEMORY: usize = 128 << 20;

/// The same where an expression judges them, whose values take much more.
pub(super) const MOST_BESIDE_VALUES: usize = 64 << 20;

/// How much more room an answer makes at least when it grows, in bytes.
const LEAST_STEP: usize = 4 << 10;

/// The memory that answers may take.
#[derive(Debug, Default)]
pub(super) struct Memory {
    most: usize,
    /// Where the answers go that are too much for it.
    folder: PathBuf,
    taken: AtomicUsize,
    most_taken: AtomicUsize,
}

/// What an answer takes of the memory. It is given back when this is dropped.
#[derive(Debug)]
struct Share {
    memory: Arc<Memory>,
    bytes: usize,
}

impl Memory {
    pub(super) fn new(most: usize, folder: PathBuf) -> Self {
        Self {
            most,
            folder,
            taken: AtomicUsize::new(0),
            most_taken: AtomicUsize::new(0),
        }
    }

    /// The most that was taken at one moment so far.
    pub(super) fn most_taken(&self) -> usize {
        self.most_taken.load(Ordering::SeqCst)
    }

    /// Takes so many bytes, if they are there.
    fn take(&self, bytes: usize) -> bool {
        let more = |taken: usize| {
            let sum = taken.checked_add(bytes)?;
            (sum <= self.most).then_some(sum)
        };
        let before = self
            .taken
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
        if let Ok(before) = before {
            self.most_taken.fetch_max(before + bytes, Ordering::SeqCst);
        }
        before.is_ok()
    }
}

impl Share {
    /// Becomes larger, if there is room, or smaller.
    fn resize(&mut self, bytes: usize) -> bool {
        if bytes > self.bytes && !self.memory.take(bytes - self.bytes) {
            return false;
        }
        if bytes < self.bytes {
            let back = self.bytes - bytes;
            self.memory.taken.fetch_sub(back, Ordering::SeqCst);
        }
        self.bytes = bytes;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.resize(0);
    }
}

/// A body that is arriving.
#[derive(Debug)]
pub(super) struct Growing {
    len: u64,
    memory: Arc<Memory>,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Memory(Vec<u8>, Share),
    /// In a file of which nobody else knows: it has no name, or none any longer, and only its owner may open it.
    File(File),
}

impl Growing {
    /// One of which nothing has come yet, with room for so many bytes if there is some.
    pub(super) fn new(memory: &Arc<Memory>, room: usize) -> Self {
        let mut share = Share {
            memory: Arc::clone(memory),
            bytes: 0,
        };
        let mut bytes = Vec::new();
        if share.resize(room) {
            bytes.reserve_exact(room);
        }
        Self {
            len: 0,
            memory: Arc::clone(memory),
            place: Place::Memory(bytes, share),
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Adds what has come, which may wait for the disk.
    ///
    /// # Errors
    ///
    /// It does not fit into memory, and cannot be written into a file.
    pub(super) fn add(&mut self, piece: &[u8]) -> io::Result<()> {
        if self.add_in_memory(piece) {
            return Ok(());
        }
        let file = match &mut self.place {
            Place::File(file) => file,
            Place::Memory(bytes, _) => {
                let mut file = tempfile::tempfile_in(&self.memory.folder)?;
                file.write_all(bytes)?;
                self.place = Place::File(file);
                return self.add(piece);
            }
        };
        file.write_all(piece)?;
        self.len += piece.len() as u64;
        Ok(())
    }

    /// Adds what has come, where it fits into memory. Returns whether it does.
    pub(super) fn add_in_memory(&mut self, piece: &[u8]) -> bool {
        let Place::Memory(bytes, share) = &mut self.place else {
            return false;
        };
        let fits = grow(bytes, share, piece.len());
        if fits {
            bytes.extend_from_slice(piece);
            self.len += piece.len() as u64;
        }
        fits
    }

    /// It has all come.
    pub(super) fn finish(self) -> Body {
        match self.place {
            Place::Memory(mut bytes, mut share) => {
                bytes.shrink_to_fit();
                share.resize(bytes.capacity());
                Body::holding(bytes, share)
            }
            Place::File(file) => Body::spilled(file, self.len),
        }
    }
}

/// Makes room for so many bytes more, if it may be taken.
fn grow(bytes: &mut Vec<u8>, share: &mut Share, more: usize) -> bool {
    let needed = bytes.len() + more;
    if needed <= bytes.capacity() {
        return true;
    }
    // Twice as much each time, so that a long answer is not moved with every piece; where that is too much, what it
    // takes.
    let ample = needed.max(bytes.capacity() * 2).max(LEAST_STEP);
    let Some(room) = [ample, needed].into_iter().find(|room| share.resize(*room)) else {
        return false;
    };
    bytes.reserve_exact(room - bytes.len());
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(most: usize) -> (tempfile::TempDir, Arc<Memory>) {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::new(most, folder.path().to_owned());
        (folder, Arc::new(memory))
    }

    fn taken(memory: &Memory) -> usize {
        memory.taken.load(Ordering::SeqCst)
    }

    #[test]
    fn what_does_not_fit_goes_into_a_file_that_nobody_sees() {
        let (folder, memory) = memory(10_000);
        let first = [1; 6000];
        let mut growing = Growing::new(&memory, 0);
        growing.add(&first).unwrap();
        let first_body = growing.finish();
        assert_eq!((taken(&memory), first_body.len()), (6000, 6000));

        let mut growing = Growing::new(&memory, 0);
        growing.add(&[2; 3000]).unwrap();
        assert_eq!(
            taken(&memory),
            9000,
            "no more than it takes, where more is not there"
        );
        growing.add(&[3; 3000]).unwrap();
        assert_eq!(taken(&memory), 6000, "and back");
        growing.add(&[4; 3000]).unwrap();
        let second_body = growing.finish();
        assert_eq!(second_body.in_memory(), None);
        let expected = [[2; 3000], [3; 3000], [4; 3000]].concat();
        assert!(second_body == expected && first_body == first);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);

        drop((first_body, second_body));
        assert_eq!((taken(&memory), memory.most_taken()), (0, 9000));
    }

    #[test]
    fn exactly_as_much_as_there_is_fits() {
        let (_folder, memory) = memory(5000);
        for (room, fits) in [(0, true), (5000, true), (5001, true), (0, false)] {
            let mut growing = Growing::new(&memory, room);
            growing.add(&vec![1; 5000]).unwrap();
            if !fits {
                growing.add(b"1").unwrap();
            }
            let body = growing.finish();
            assert_eq!(body.in_memory().is_some(), fits);
            assert_eq!(taken(&memory), if fits { 5000 } else { 0 });
        }
        assert_eq!(memory.most_taken(), 5000);
    }

    #[test]
    fn where_no_file_can_be_made_it_is_an_error_and_nothing_stays_taken() {
        let (folder, memory) = memory(10);
        drop(folder);
        let mut growing = Growing::new(&memory, 10);
        assert!(growing.add(&[1; 11]).is_err());
        drop(growing);
        assert_eq!(taken(&memory), 0);
    }
}
