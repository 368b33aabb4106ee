//! A call as the command line describes it.

use std::time::Duration;

use stride::caller::Credential;
use stride::settings::Call;

use crate::cli::args::settings::SettingsArgs;

/// A call, and what the run does not store of it.
#[derive(Debug)]
pub(crate) struct ParsedCall {
    pub(crate) call: Call,
    /// Values that are used now and not stored.
    pub(crate) credentials: Vec<Credential>,
    pub(crate) limits: CurlLimits,
    /// Notes for the user, such as the parts of a pasted command that have no effect.
    pub(crate) notes: Vec<String>,
}

/// Options of curl that are settings of stride.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CurlLimits {
    pub(super) timeout: Option<Duration>,
    pub(super) connect_timeout: Option<Duration>,
    /// In bytes.
    pub(super) max_response: Option<u64>,
}

impl CurlLimits {
    /// Fills in the settings that stride's own flags leave out.
    pub(crate) fn fill(self, settings: &mut SettingsArgs) {
        settings.timeout = settings.timeout.or(self.timeout);
        settings.connect_timeout = settings.connect_timeout.or(self.connect_timeout);
        settings.max_response = settings.max_response.or(self.max_response);
    }
}

impl ParsedCall {
    /// Returns the call of a program, which has nothing else.
    pub(super) fn of_program(call: Call) -> Self {
        Self {
            call,
            credentials: Vec::new(),
            limits: CurlLimits::default(),
            notes: Vec::new(),
        }
    }
}
