//! Turns a call into a plan, which can be called.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use stride::caller::{
    CommandContext, Credential, ExecPlan, HttpPlan, Network, Plan, PlanContext, WorkerPlan,
};
use stride::settings::{Call, Settings, Way};

use crate::cli::args::InvocationArgs;
use crate::cli::output::environment::variable;
use crate::cli::output::error::{CliError, made_by};
use crate::cli::output::guard;
use crate::cli::request::pool;
use crate::cli::secrets::references::references;

/// The variables that a program does not get: the password of a database, and the run for a stride within it.
const HIDDEN: [&str; 2] = ["PGPASSWORD", "STRIDE_DB"];

/// Combines a call with its credentials, references and network permissions.
pub(crate) fn plan(
    call: &Call,
    settings: &Settings,
    credentials: &[Credential],
    invocation: InvocationArgs,
    base: &Path,
) -> Result<Plan, CliError> {
    let lanes = pool::read(settings.pool.as_deref(), call, base)?;
    let request = match call {
        Call::Http(request) => request,
        Call::Command(command) => {
            let context = CommandContext {
                base,
                guard: guard::words(),
                path: variable("PATH").map(OsString::from_vec),
                hidden: HIDDEN.map(str::to_owned).into(),
                lanes,
            };
            return Ok(match command.way {
                Way::Worker | Way::Starter => {
                    Plan::Worker(WorkerPlan::new(command, settings, context)?)
                }
                Way::Exec | Way::Shell => Plan::Exec(ExecPlan::new(command, settings, context)?),
            });
        }
        Call::Program { name } => {
            return Err(made_by(name).hint("resume the run with that program"));
        }
    };
    let network = Network {
        no_proxy: invocation.no_proxy,
        allow_plain_http: invocation.allow_plain_http,
    };
    let context = PlanContext {
        credentials,
        network,
        lookup: references(base),
        lanes,
        base,
    };
    Ok(Plan::Http(HttpPlan::new(request, settings, context)?))
}
