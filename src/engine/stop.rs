//! Requests to stop a run, from any thread.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use super::message::{Message, Urgency};

/// Stops a run. Clones stop the same run.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    asked: Option<Urgency>,
    inbox: Option<Sender<Message>>,
}

impl Stop {
    /// Creates a stop that is not requested yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for a stop. A more urgent request replaces an earlier one; a request cannot be withdrawn.
    pub fn ask(&self, urgency: Urgency) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.asked = state.asked.max(Some(urgency));
        if let Some(inbox) = &state.inbox {
            // A writer that is gone has stopped.
            let _ = inbox.send(Message::Stop(urgency));
        }
    }

    /// Returns true once the stop is requested.
    pub fn is_asked(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .asked
            .is_some()
    }

    /// Connects a writer: sends it the request so far, and all later ones.
    pub(super) fn connect(&self, inbox: Sender<Message>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(urgency) = state.asked {
            let _ = inbox.send(Message::Stop(urgency));
        }
        state.inbox = Some(inbox);
    }
}
