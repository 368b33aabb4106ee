//! Output for people: errors and exit codes, the terminal, and formats that several commands share. Imports nothing else of
//! the command line.

pub(crate) mod again;
pub(crate) mod background;
pub(crate) mod environment;
pub(crate) mod error;
pub(crate) mod exit;
pub(crate) mod format;
pub(crate) mod guard;
pub(crate) mod halt;
pub(crate) mod lacking;
pub(crate) mod lanes;
pub(crate) mod named;
pub(crate) mod screen;
pub(crate) mod shown;
pub(crate) mod signals;
pub(crate) mod storage;
pub(crate) mod terminal;
pub(crate) mod time;
pub(crate) mod why;
