//! The request of a run for `status`: all that `resume` would send, and where.

use serde::Serialize;

use stride::job::{FileName, escaped};
use stride::settings::Call;
use stride::store::{Reader, RunInfo};

use crate::cli::config;
use crate::cli::output::error::CliError;
use crate::cli::request::consent::{self, Scope, Use};

/// The request of a run, as `status` shows it.
#[derive(Debug, Default, Serialize)]
pub(crate) struct RequestView {
    /// True if the user has given or confirmed the request on this machine, if it uses nothing of this machine, or if a
    /// Rust program makes the calls.
    given: bool,
    /// The secrets, files, commands and folders of this machine that the request uses.
    uses: Vec<Use>,
    /// The events file and the command that the user's own settings add.
    at_end: Vec<String>,
    /// The request as stored, a line each: references to secrets, never their values.
    #[serde(skip)]
    lines: Vec<String>,
}

impl RequestView {
    /// Reads the run's request, unless a Rust program makes the calls. Scans the list for files outside of the database's
    /// folder only if the request is unknown here, or if `whole` asks for all of it.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub(crate) fn read(reader: &Reader, info: &RunInfo, whole: bool) -> Result<Self, CliError> {
        let call = &info.call;
        if let Call::Program { .. } = call {
            return Ok(Self {
                given: true,
                ..Self::default()
            });
        }
        let is_known = consent::is_known(call, &info.base, Scope::Run);
        let mut uses = match is_known && !whole {
            true => consent::uses(call, &info.base),
            false => consent::uses_of_run(reader, call)?,
        };
        uses.extend(info.settings.pool.as_deref().map(consent::use_of_pool));
        let lines = info.call.lines().into_iter();
        let lines = lines.map(|(name, value)| escaped(format!("{name}: {value}").as_bytes()));
        let base = FileName::from(info.base.as_path());
        Ok(Self {
            given: is_known || uses.is_empty(),
            uses,
            at_end: config::outputs(),
            lines: lines.chain([format!("names resolve in: {base}")]).collect(),
        })
    }

    /// Returns the rows of `status`: none for a `given` request, unless `whole`.
    pub(crate) fn rows(self, whole: bool) -> Vec<(&'static str, String)> {
        let warning =
            "not known on this machine: `resume` asks before it uses anything of this machine";
        let warning = (!self.given).then(|| warning.to_owned());
        if self.given && !whole {
            return Vec::new();
        }
        let request = warning.into_iter().chain(self.lines);
        let request = request.map(|line| ("request", line));
        let uses = self.uses.iter().map(|used| ("uses", used.describe()));
        let at_end = self.at_end.into_iter().map(|line| ("at end", line));
        request.chain(uses).chain(at_end).collect()
    }
}
