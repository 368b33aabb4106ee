//! Remarks about a service's answers that change no outcome. Each kind is made once.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The kind of a remark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A redirect was followed without the request's body.
    BodyDropped,
    /// The service has taken a file and has not finished with it.
    Accepted,
}

/// The remarks of a run's callers.
#[derive(Debug, Default)]
pub(super) struct Remarks(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    made: Vec<Kind>,
    /// Remarks that were not taken yet.
    texts: Vec<String>,
}

impl Remarks {
    /// Makes a remark, unless one of its kind was made before.
    pub(super) fn add(&self, kind: Kind, text: impl FnOnce() -> String) {
        let mut state = self.state();
        if !state.made.contains(&kind) {
            state.made.push(kind);
            state.texts.push(text());
        }
    }

    /// Takes the remarks that are new.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.state().texts)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
