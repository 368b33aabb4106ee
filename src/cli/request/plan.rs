//! Makes a request ready to be called.

use std::path::Path;

use stride::caller::{Credential, HttpPlan, Means, Network};
use stride::settings::{Request, Settings};

use crate::cli::args::Once;
use crate::cli::output::error::Problem;
use crate::cli::secrets::references::references;

/// Brings credentials, references and the network's permissions to a request.
pub(crate) fn plan(
    request: &Request,
    settings: &Settings,
    credentials: &[Credential],
    once: Once,
    base: &Path,
) -> Result<HttpPlan, Problem> {
    let network = Network {
        no_proxy: once.no_proxy,
        allow_plain_http: once.allow_plain_http,
    };
    let means = Means {
        credentials,
        network,
        lookup: references(base),
        base,
    };
    Ok(HttpPlan::new(request, settings, means)?)
}
