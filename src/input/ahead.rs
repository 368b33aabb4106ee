//! Reading ahead: lists are read and their names looked at in one thread, while another does with them what it wants.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::{panic, thread};

use super::error::InputError;
use super::types::{Item, Skipped};
use crate::job::FileName;

/// How many bytes of names go together.
const TOGETHER: usize = 64 << 10;
/// How many such packets may lie between the threads.
const BETWEEN: usize = 2;

/// Jobs on their way, the bytes of their names in one piece.
#[derive(Default)]
struct Packet {
    names: Vec<u8>,
    /// Where each name ends, and its columns.
    ends: Vec<(usize, Option<String>)>,
    columns: usize,
}

impl Packet {
    fn add(&mut self, item: Item) {
        self.names.extend_from_slice(item.name.as_bytes());
        self.columns += item.columns.as_ref().map_or(0, String::len);
        self.ends.push((self.names.len(), item.columns));
    }

    fn is_full(&self) -> bool {
        self.names.len() + self.columns >= TOGETHER || self.ends.len() >= TOGETHER / 8
    }

    fn items(self) -> impl Iterator<Item = Item> {
        let Self { names, ends, .. } = self;
        let mut begin = 0;
        ends.into_iter().map(move |(end, columns)| {
            let name = FileName::new(&names[begin..end]);
            begin = end;
            Item { name, columns }
        })
    }
}

/// Why reading ends before its end.
pub(super) enum Ended {
    Input(InputError),
    /// Nobody wants more.
    Unwanted,
}

impl From<InputError> for Ended {
    fn from(error: InputError) -> Self {
        Self::Input(error)
    }
}

/// What the reading thread is given to put jobs into.
pub(super) struct Ahead {
    packet: Packet,
    to: SyncSender<Packet>,
}

impl Ahead {
    pub(super) fn add(&mut self, item: Item) -> Result<(), Ended> {
        self.packet.add(item);
        match self.packet.is_full() {
            true => self.send(),
            false => Ok(()),
        }
    }

    fn send(&mut self) -> Result<(), Ended> {
        let packet = std::mem::take(&mut self.packet);
        self.to.send(packet).map_err(|_| Ended::Unwanted)
    }
}

/// Runs `read` in a thread of its own, and hands over in this one what it finds. `None` where there is no such thread
/// to be had. The thread is not waited for where nobody wants more: it may be waiting for standard input.
pub(super) fn read<E: From<InputError>>(
    read: impl FnOnce(&mut Ahead) -> Result<Skipped, Ended> + Send + 'static,
    add: &mut dyn FnMut(Item) -> Result<(), E>,
) -> Option<Result<Skipped, E>> {
    let (to, from): (_, Receiver<Packet>) = sync_channel(BETWEEN);
    let reading = move || {
        let mut ahead = Ahead {
            packet: Packet::default(),
            to,
        };
        let read = read(&mut ahead);
        // What was found before something went wrong was found all the same.
        ahead.send().and(read)
    };
    let thread = thread::Builder::new()
        .name("list".to_owned())
        .spawn(reading)
        .ok()?;
    for packet in from {
        if let Err(error) = packet.items().try_for_each(&mut *add) {
            return Some(Err(error));
        }
    }
    match thread.join() {
        Ok(Ok(skipped)) => Some(Ok(skipped)),
        Ok(Err(Ended::Input(error))) => Some(Err(error.into())),
        // This thread has wanted all.
        Ok(Err(Ended::Unwanted)) => Some(Ok(Skipped::default())),
        Err(panicked) => panic::resume_unwind(panicked),
    }
}
