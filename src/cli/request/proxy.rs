//! The proxy of `-x`.

use percent_encoding::percent_decode_str;

use stride::caller::{Credential, PROXY_AUTHORIZATION};

use crate::cli::output::error::Problem;

/// The port of a proxy for which none was given, as curl has it.
const PORT: u16 = 1080;

/// Completes the URL of a proxy, and takes the name and the password out of it; `pair`, the words of -U, takes precedence.
pub(super) fn settle(
    given: Option<String>,
    pair: Option<String>,
) -> Result<(String, Option<Credential>), Problem> {
    let Some(given) = given else {
        return Err(Problem::usage(
            "-U is for the proxy of -x, and there is none",
        ));
    };
    if given.contains('{') {
        return Err(Problem::usage("the proxy cannot hold a placeholder")
            .hint("leave -x out, and name the proxy in the variable HTTPS_PROXY or ALL_PROXY"));
    }
    let (scheme, rest) = given.split_once("://").unwrap_or(("http", &given));
    let rest = rest.trim_end_matches('/');
    let (user, host) = match rest.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, rest),
    };
    let decoded = user.map(|user| percent_decode_str(user).decode_utf8_lossy().into_owned());
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let port = if has_port {
        String::new()
    } else {
        format!(":{PORT}")
    };
    let url = format!("{scheme}://{host}{port}");
    let Some(pair) = pair.or(decoded) else {
        return Ok((url, None));
    };
    if scheme.starts_with("socks") {
        return Err(Problem::usage(
            "a name and a password for a SOCKS proxy cannot be used",
        ));
    }
    let credential = Credential {
        name: PROXY_AUTHORIZATION.to_owned(),
        value: Credential::basic(pair.as_bytes()),
    };
    Ok((url, Some(credential)))
}
