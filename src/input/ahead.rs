//! Reads lists ahead: one thread reads the sources and inspects the names, while the calling thread processes them.
//! Inspecting ten million names takes as long as adding them to the database.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::{mem, panic, thread};

use super::error::InputError;
use super::types::{Item, Survey};

/// The bytes of a full batch.
const BYTES: usize = 64 << 10;
/// The maximum number of batches between the threads.
const BATCHES: usize = 2;

/// An error that ends reading.
pub(super) enum ReadError {
    Input(InputError),
    /// The calling thread does not accept more jobs.
    Unwanted,
}

impl From<InputError> for ReadError {
    fn from(error: InputError) -> Self {
        Self::Input(error)
    }
}

/// Sends jobs to the calling thread, in batches.
pub(super) struct Ahead {
    batch: Vec<Item>,
    bytes: usize,
    to: SyncSender<Vec<Item>>,
}

impl Ahead {
    pub(super) fn add(&mut self, item: Item) -> Result<(), ReadError> {
        let columns = item.columns.as_ref().map_or(0, String::len);
        self.bytes += size_of::<Item>() + item.name.as_bytes().len() + columns;
        self.batch.push(item);
        match self.bytes >= BYTES {
            true => self.send(),
            false => Ok(()),
        }
    }

    fn send(&mut self) -> Result<(), ReadError> {
        self.bytes = 0;
        let next = Vec::with_capacity(self.batch.len());
        let batch = mem::replace(&mut self.batch, next);
        self.to.send(batch).map_err(|_| ReadError::Unwanted)
    }
}

/// Runs `read` in a thread, and passes the jobs that it finds to `add` in this one. Returns `None` if the thread cannot
/// be spawned. If `add` fails, the thread is not joined, because it may be waiting for standard input.
pub(super) fn read<E: From<InputError>>(
    read: impl FnOnce(&mut Ahead) -> Result<Survey, ReadError> + Send + 'static,
    add: &mut dyn FnMut(Item) -> Result<(), E>,
) -> Option<Result<Survey, E>> {
    let (to, from): (_, Receiver<Vec<Item>>) = sync_channel(BATCHES);
    let reading = move || {
        let mut ahead = Ahead {
            batch: Vec::new(),
            bytes: 0,
            to,
        };
        let read = read(&mut ahead);
        // Jobs that were read before an error are passed on before it.
        ahead.send().and(read)
    };
    let thread = thread::Builder::new()
        .name("list".to_owned())
        .spawn(reading)
        .ok()?;
    for batch in from {
        if let Err(error) = batch.into_iter().try_for_each(&mut *add) {
            return Some(Err(error));
        }
    }
    match thread.join() {
        Ok(Ok(survey)) => Some(Ok(survey)),
        Ok(Err(ReadError::Input(error))) => Some(Err(error.into())),
        // This thread accepted every batch.
        Ok(Err(ReadError::Unwanted)) => Some(Ok(Survey::default())),
        Err(panicked) => panic::resume_unwind(panicked),
    }
}
