//! Iterates over a run's results and failures.

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use crate::job::{Class, FileName, JobState};
use crate::store::{Reader, Record, StoreError, Stored};

/// Most records that wait for the iterator.
const AHEAD: usize = 64;

/// A file that is done.
#[derive(Debug)]
#[non_exhaustive]
pub struct Done {
    /// The file's name, as it was added.
    pub path: FileName,
    /// Its answer; `None` if the bytes in the database do not match their checksum.
    pub answer: Option<Stored>,
}

/// A file that failed for good, or is held because its last call is in doubt.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Failed {
    /// The file's name, as it was added.
    pub path: FileName,
    /// The file is held instead of failed.
    pub is_held: bool,
    /// The number of attempts.
    pub attempts: u32,
    /// The class of the last failure.
    pub class: Option<Class>,
    /// The last failure in one line.
    pub message: String,
}

/// Iterates over recorded files in one snapshot. A thread reads ahead until this is dropped.
#[derive(Debug)]
pub struct Entries<T> {
    entries: Receiver<Result<T, StoreError>>,
    /// The reading thread; taken when it has ended.
    reader: Option<JoinHandle<()>>,
}

impl<T> Iterator for Entries<T> {
    type Item = Result<T, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.entries.recv().ok();
        // If the reader panicked, the list is incomplete.
        if entry.is_none()
            && let Some(reader) = self.reader.take()
            && let Err(panic) = reader.join()
        {
            resume_unwind(panic);
        }
        entry
    }
}

/// The error that stops reading; `None` if the iterator was dropped.
type Stop = Option<StoreError>;

/// Sends an entry to the iterator.
type Sender<'s, T> = dyn FnMut(T) -> Result<(), Stop> + 's;

/// Reads in a thread, because a SQLite statement borrows its connection.
fn entries<T: Send + 'static>(
    reader: Reader,
    read: impl FnOnce(&Reader, &mut Sender<'_, T>) -> Result<(), Stop> + Send + 'static,
) -> Entries<T> {
    let (sender, receiver): (SyncSender<Result<T, StoreError>>, _) = sync_channel(AHEAD);
    let reader = thread::spawn(move || {
        let mut send = |entry| sender.send(Ok(entry)).map_err(|_| None);
        if let Err(Some(error)) = read(&reader, &mut send) {
            let _ = sender.send(Err(error));
        }
    });
    Entries {
        entries: receiver,
        reader: Some(reader),
    }
}

/// Reads the files that are done.
pub(super) fn done(database: PathBuf) -> Result<Entries<Done>, StoreError> {
    let read = |reader: &Reader, send: &mut Sender<'_, Done>| {
        reader.records(false, &mut |Record { path, result, .. }| {
            send(Done {
                path,
                answer: result,
            })
        })
    };
    Ok(entries(Reader::open(&database)?, read))
}

/// Reads the files that failed or are held.
pub(super) fn failed(database: PathBuf) -> Result<Entries<Failed>, StoreError> {
    let read = |reader: &Reader, send: &mut Sender<'_, Failed>| {
        reader.failures(None, &mut |record| {
            send(Failed {
                path: record.path,
                is_held: record.state == JobState::Held,
                attempts: record.attempts,
                class: record.class,
                message: record.message.unwrap_or_default(),
            })
        })
    };
    Ok(entries(Reader::open(&database)?, read))
}
