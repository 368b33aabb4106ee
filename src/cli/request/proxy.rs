//! Parses the proxy of `-x`.

use percent_encoding::percent_decode_str;

use stride::caller::{Credential, PROXY_AUTHORIZATION};

use crate::cli::output::error::CliError;

/// The default port of a proxy, as with curl.
const PORT: u16 = 1080;

/// Completes the URL of a proxy, and takes the name and the password out of it; `pair`, from -U, takes precedence.
pub(super) fn parse(
    given: Option<String>,
    pair: Option<String>,
) -> Result<(Option<String>, Option<Credential>), CliError> {
    let Some(given) = given else {
        return match pair {
            Some(_) => {
                Err(CliError::usage("-U needs the proxy of -x")
                    .hint("use -x PROXY, or leave out -U"))
            }
            None => Ok((None, None)),
        };
    };
    if given.contains('{') {
        return Err(CliError::usage("the proxy cannot hold a placeholder")
            .hint("name the proxy in the variable HTTPS_PROXY or ALL_PROXY, without -x"));
    }
    let (scheme, rest) = given.split_once("://").unwrap_or(("http", &given));
    let rest = rest.trim_end_matches('/');
    let (user, host) = match rest.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, rest),
    };
    let decoded = user.map(|user| {
        let user = percent_decode_str(user).decode_utf8_lossy();
        match user.contains(':') {
            true => user.into_owned(),
            // As with curl, a name alone has an empty password.
            false => format!("{user}:"),
        }
    });
    let port = host.rsplit_once(':').map(|(_, port)| port);
    let url = match port.is_some_and(|port| port.parse::<u16>().is_ok()) {
        true => format!("{scheme}://{host}"),
        false => format!("{scheme}://{host}:{PORT}"),
    };
    let Some(pair) = pair.or(decoded) else {
        return Ok((Some(url), None));
    };
    if !pair.contains(':') {
        return Err(CliError::usage("-U has a name and no password")
            .hint("use -U NAME:PASSWORD, or -U NAME: for an empty password"));
    }
    if scheme.starts_with("socks") {
        return Err(
            CliError::usage("a SOCKS proxy cannot have a name and a password")
                .hint("use an HTTP proxy, or a SOCKS proxy without them"),
        );
    }
    let credential = Credential {
        name: PROXY_AUTHORIZATION.to_owned(),
        value: Credential::basic(pair.as_bytes()),
    };
    Ok((Some(url), Some(credential)))
}
