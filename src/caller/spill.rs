//! The memory budget of answers, shared by all threads. Answers that exceed it go into temporary files.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::job::Body;

/// The largest answer that can be stored, in bytes: SQLite's limit for a row, less some room for the other columns.
pub(super) const LARGEST_STORED: u64 = 1_000_000_000 - (1 << 20);

/// The budget in bytes; an answer counts from its first byte to its commit. Eight answers of the largest size allowed by
/// default fit into it, and so do a thousand usual ones.
pub(super) const MOST_IN_MEMORY: usize = 128 << 20;

/// The same when expressions are evaluated, whose values take much more memory.
pub(super) const MOST_BESIDE_VALUES: usize = 64 << 20;

/// The minimum by which a body's buffer grows, in bytes.
const LEAST_STEP: usize = 4 << 10;

/// The memory that is left for answers.
#[derive(Debug)]
pub(super) struct MemoryBudget {
    /// A permit per byte.
    free: Arc<Semaphore>,
    /// The folder for temporary files.
    folder: PathBuf,
}

impl MemoryBudget {
    pub(super) fn new(most: usize, folder: PathBuf) -> Self {
        let free = Arc::new(Semaphore::new(most));
        Self { free, folder }
    }

    fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(bytes).ok()?;
        Arc::clone(&self.free).try_acquire_many_owned(bytes).ok()
    }
}

/// A body that is arriving.
#[derive(Debug)]
pub(super) struct Growing {
    len: u64,
    memory: Arc<MemoryBudget>,
    destination: Destination,
}

#[derive(Debug)]
enum Destination {
    Memory(Buffer),
    /// A file without a name, which no other process can open.
    File(File),
}

/// Bytes in memory, with a permit for each byte of their capacity.
#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Growing {
    /// Returns an empty body, with room for this many bytes if the budget has them.
    pub(super) fn new(memory: &Arc<MemoryBudget>, room: usize) -> Self {
        let mut buffer = Buffer::default();
        buffer.extend_to(room, memory);
        Self {
            len: 0,
            memory: Arc::clone(memory),
            destination: Destination::Memory(buffer),
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Appends a piece, which may block on the disk.
    ///
    /// # Errors
    ///
    /// It exceeds the memory budget and cannot be written into a file.
    pub(super) fn add(&mut self, piece: &[u8]) -> io::Result<()> {
        if self.add_in_memory(piece) {
            return Ok(());
        }
        let file = match &mut self.destination {
            Destination::File(file) => file,
            Destination::Memory(buffer) => {
                let mut file = tempfile::tempfile_in(&self.memory.folder)?;
                file.write_all(&buffer.bytes)?;
                self.destination = Destination::File(file);
                return self.add(piece);
            }
        };
        file.write_all(piece)?;
        self.len += piece.len() as u64;
        Ok(())
    }

    /// Appends a piece if it fits into memory, and returns whether it did.
    pub(super) fn add_in_memory(&mut self, piece: &[u8]) -> bool {
        let Destination::Memory(buffer) = &mut self.destination else {
            return false;
        };
        let fits = buffer.grow(piece.len(), &self.memory);
        if fits {
            buffer.bytes.extend_from_slice(piece);
            self.len += piece.len() as u64;
        }
        fits
    }

    /// Returns the complete body.
    pub(super) fn finish(self) -> Body {
        match self.destination {
            Destination::Memory(Buffer {
                mut bytes,
                mut permit,
            }) => {
                bytes.shrink_to_fit();
                if let Some(permit) = &mut permit {
                    let unused = permit.num_permits().saturating_sub(bytes.capacity());
                    drop(permit.split(unused));
                }
                Body::holding(bytes, permit)
            }
            Destination::File(file) => Body::spilled(file, self.len),
        }
    }
}

impl Buffer {
    /// Makes room for this many more bytes, if the budget has them.
    fn grow(&mut self, more: usize, memory: &MemoryBudget) -> bool {
        let needed = self.bytes.len() + more;
        // Doubling moves a long answer seldom.
        let ample = needed.max(self.bytes.capacity() * 2).max(LEAST_STEP);
        needed <= self.bytes.capacity()
            || self.extend_to(ample, memory)
            || self.extend_to(needed, memory)
    }

    /// Extends the capacity, if the budget has the bytes.
    fn extend_to(&mut self, capacity: usize, memory: &MemoryBudget) -> bool {
        let held = self
            .permit
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        let Some(taken) = memory.take(capacity.saturating_sub(held)) else {
            return false;
        };
        match &mut self.permit {
            Some(permit) => permit.merge(taken),
            None => self.permit = Some(taken),
        }
        self.bytes.reserve_exact(capacity - self.bytes.len());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 10_000;

    fn memory() -> (tempfile::TempDir, Arc<MemoryBudget>) {
        let folder = tempfile::tempdir().unwrap();
        let memory = MemoryBudget::new(MOST, folder.path().to_owned());
        (folder, Arc::new(memory))
    }

    fn taken(memory: &MemoryBudget) -> usize {
        MOST - memory.free.available_permits()
    }

    #[test]
    fn an_answer_that_exceeds_the_budget_goes_into_a_file_without_a_name() {
        let (folder, memory) = memory();
        let first = [1; 6000];
        let mut growing = Growing::new(&memory, 0);
        growing.add(&first).unwrap();
        let first_body = growing.finish();
        assert_eq!((taken(&memory), first_body.len()), (6000, 6000));

        let mut growing = Growing::new(&memory, 0);
        growing.add(&[2; 3000]).unwrap();
        assert_eq!(taken(&memory), 9000, "less than the usual step is left");
        growing.add(&[3; 3000]).unwrap();
        assert_eq!(taken(&memory), 6000, "the memory is given back");
        growing.add(&[4; 3000]).unwrap();
        let second_body = growing.finish();
        assert_eq!(second_body.in_memory(), None);
        let expected = [[2; 3000], [3; 3000], [4; 3000]].concat();
        assert!(second_body == expected && first_body == first);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);

        drop((first_body, second_body));
        assert_eq!(taken(&memory), 0);
    }

    #[test]
    fn the_whole_budget_can_be_used() {
        let (_folder, memory) = memory();
        for (room, fits) in [(0, true), (MOST, true), (MOST + 1, true), (0, false)] {
            let mut growing = Growing::new(&memory, room);
            growing.add(&vec![1; MOST]).unwrap();
            if !fits {
                growing.add(b"1").unwrap();
            }
            let body = growing.finish();
            assert_eq!(body.in_memory().is_some(), fits);
            assert_eq!(taken(&memory), if fits { MOST } else { 0 });
        }
    }

    #[test]
    fn memory_is_given_back_if_no_file_can_be_made() {
        let (folder, memory) = memory();
        drop(folder);
        let mut growing = Growing::new(&memory, 10);
        assert!(growing.add(&[1; MOST + 1]).is_err());
        drop(growing);
        assert_eq!(taken(&memory), 0);
    }
}
