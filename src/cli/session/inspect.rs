//! All that `resume` would send and where, for `status`: in full where the request was not given on this machine.

use serde::Serialize;

use stride::job::{FileName, escaped};
use stride::settings::{Call, Request};
use stride::store::{Reader, RunInfo};

use crate::cli::config;
use crate::cli::output::error::Problem;
use crate::cli::request::consent::{self, Scope, Use};

/// The request of a run, as far as it is shown.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Inspected {
    /// Whether the user has given the request on this machine, or has confirmed it; also where it uses nothing of it.
    given: bool,
    /// What the request uses of this machine.
    uses: Vec<Use>,
    /// What else is done at the end, by the user's own settings.
    at_end: Vec<String>,
    /// What is sent, for people.
    #[serde(skip)]
    lines: Vec<(&'static str, String)>,
}

impl Inspected {
    /// Looks at the run's request. A program's own calls are not known. The list is gone through only where the request
    /// is not known here, or where it is `asked` for all of it.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub(crate) fn of(reader: &Reader, info: &RunInfo, asked: bool) -> Result<Self, Problem> {
        let Call::Http(request) = &info.call else {
            return Ok(Self {
                given: true,
                ..Self::default()
            });
        };
        let is_known = consent::is_known(request, &info.base, Scope::Run);
        let uses = match is_known && !asked {
            true => consent::uses(request),
            false => consent::uses_of_run(reader, request)?,
        };
        Ok(Self {
            given: is_known || uses.is_empty(),
            lines: lines(info, request),
            uses,
            // What is wrong with the settings is said by the commands that use them.
            at_end: config::outputs(),
        })
    }

    /// The rows of `status`: all of them where they are asked for, or where the request may be somebody else's.
    pub(crate) fn rows(self, asked: bool) -> Vec<(&'static str, String)> {
        if self.given && !asked {
            return Vec::new();
        }
        let mut rows = Vec::new();
        if !self.given {
            let warning = "not given on this machine: `resume` asks before it uses anything of it";
            rows.push(("request", warning.to_owned()));
        }
        rows.extend(self.lines);
        let uses = self.uses.iter().map(|used| ("uses", used.describe()));
        rows.extend(uses);
        rows.extend(self.at_end.into_iter().map(|line| ("at end", line)));
        rows
    }
}

/// The request, a line each, as it is stored: references to secrets, never their values.
fn lines(info: &RunInfo, request: &Request) -> Vec<(&'static str, String)> {
    let call = Call::Http(Box::new(request.clone()));
    let lines = call.lines().into_iter();
    let mut rows: Vec<(&'static str, String)> = lines
        .map(|(name, value)| ("request", escaped(format!("{name}: {value}").as_bytes())))
        .collect();
    let base = FileName::from(info.base.as_path());
    rows.push(("request", format!("names resolve in: {base}")));
    rows
}
