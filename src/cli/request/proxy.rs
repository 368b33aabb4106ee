//! The proxy of `-x`.

use percent_encoding::percent_decode_str;

use stride::caller::{Credential, PROXY_AUTHORIZATION};

use super::super::error::Problem;
use super::Builder;

/// The port of a proxy for which none was given, as curl has it.
const PORT: u16 = 1080;

/// Takes the name and the password out of what was given for a proxy, and completes the rest.
pub(super) fn settle(builder: &mut Builder) -> Result<(), Problem> {
    let Some(given) = builder.transport.proxy.take() else {
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
    builder.transport.proxy = Some(format!("{scheme}://{host}{port}"));
    if let Some(pair) = builder.proxy_user.take().or(decoded) {
        if scheme.starts_with("socks") {
            return Err(Problem::usage(
                "a name and a password for a SOCKS proxy cannot be used",
            ));
        }
        builder.transport.proxy_withheld = true;
        builder.credentials.push(Credential {
            name: PROXY_AUTHORIZATION.to_owned(),
            value: Credential::basic(pair.as_bytes()),
        });
    }
    Ok(())
}
