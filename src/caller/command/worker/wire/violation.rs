//! Violations of the protocol, with the line that shows them.

use std::fmt;

use crate::job::escaped;

/// The part of a line that errors quote, in bytes.
const QUOTED: usize = 200;

/// A violation of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Violation {
    reason: String,
    line: Vec<u8>,
    /// The line answers no call in flight, so that no call's failure tells of it.
    pub(in super::super) is_stray: bool,
}

impl Violation {
    pub(in super::super) fn new(reason: impl Into<String>, line: &[u8]) -> Self {
        Self {
            reason: reason.into(),
            line: line[..line.len().min(QUOTED)].to_vec(),
            is_stray: false,
        }
    }

    /// Marks an answer to no call in flight.
    pub(in super::super) fn of_no_call(self) -> Self {
        let is_stray = true;
        Self { is_stray, ..self }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, line, .. } = self;
        write!(f, "{reason}: `{}`", escaped(line.trim_ascii_end()))
    }
}

/// The beginning of a line, for errors about what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Quote(Box<[u8]>);

impl Quote {
    pub(super) fn new(line: &[u8]) -> Self {
        Self(line[..line.len().min(QUOTED)].into())
    }

    pub(in super::super) fn violation(&self, reason: impl Into<String>) -> Violation {
        Violation::new(reason, &self.0)
    }
}
