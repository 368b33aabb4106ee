//! Turns a request into a plan, which can be called.

use std::path::Path;

use stride::caller::{Credential, HttpPlan, Network, PlanContext};
use stride::settings::{Request, Settings};

use crate::cli::args::InvocationArgs;
use crate::cli::output::error::CliError;
use crate::cli::secrets::references::references;

/// Combines a request with its credentials, references and network permissions.
pub(crate) fn plan(
    request: &Request,
    settings: &Settings,
    credentials: &[Credential],
    invocation: InvocationArgs,
    base: &Path,
) -> Result<HttpPlan, CliError> {
    let network = Network {
        no_proxy: invocation.no_proxy,
        allow_plain_http: invocation.allow_plain_http,
    };
    let context = PlanContext {
        credentials,
        network,
        lookup: references(base),
        base,
    };
    Ok(HttpPlan::new(request, settings, context)?)
}
