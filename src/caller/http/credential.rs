//! Literal credentials of the command line, which are used and never stored.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use super::reference::{Lookup, Reference};

/// The header whose credential is the proxy's (RFC 9110, section 11.7.2).
pub const PROXY_AUTHORIZATION: &str = "Proxy-Authorization";

/// The prefix of names that are not a header's. No header's name has a colon.
const GIVEN: &str = "given:";

/// A literal credential: the value of a sensitive header or of a [`Reference::Given`].
#[derive(Clone)]
pub struct Credential {
    /// The header's name, or the reference's with a prefix. `Proxy-Authorization` is for the request's own proxy.
    pub name: String,
    /// The value.
    pub value: String,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: [redacted]", self.name)
    }
}

impl Credential {
    /// Creates the credential of the [`Reference::Given`] with this name.
    pub fn given(name: &str, value: String) -> Self {
        Self {
            name: format!("{GIVEN}{name}"),
            value,
        }
    }

    /// Returns the name of the reference, unless the credential is a header's.
    pub fn reference(&self) -> Option<&str> {
        self.name.strip_prefix(GIVEN)
    }

    /// Encodes `NAME:PASSWORD` as a value of Basic authentication (RFC 7617).
    pub fn basic(pair: &[u8]) -> String {
        format!("Basic {}", STANDARD.encode(pair))
    }

    /// Encodes the user information of a URL in the same way.
    pub(super) fn of_user(user: &str) -> String {
        let (name, password) = user.split_once(':').unwrap_or((user, ""));
        let [name, password] = [name, password].map(percent_decode_str);
        let pair: Vec<u8> = name.chain([b':']).chain(password).collect();
        Self::basic(&pair)
    }
}

/// Extends a lookup by the values of [`Reference::Given`].
pub(super) fn with_given(credentials: &[Credential], lookup: Lookup) -> Lookup {
    let credentials = credentials.to_vec();
    Arc::new(move |reference| match reference {
        Reference::Given(name) => credentials
            .iter()
            .find(|credential| credential.reference() == Some(name))
            .map_or_else(
                || lookup(reference),
                |given| Ok(given.value.clone().into_bytes()),
            ),
        _ => lookup(reference),
    })
}
