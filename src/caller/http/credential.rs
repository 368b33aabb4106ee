//! Literal credentials: those that were typed, and are used without being stored.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::reference::{Lookup, Reference};

/// The header whose credential is the proxy's (RFC 9110, section 11.7.2).
pub const PROXY_AUTHORIZATION: &str = "Proxy-Authorization";

/// What the names of credentials begin with that are for no header: a header's name has no colon.
const GIVEN: &str = "given:";

/// A literal credential, which is used and never stored: a sensitive header's value, or what a reference stands for.
#[derive(Clone)]
pub struct Credential {
    /// The header's name. `Proxy-Authorization` is for the request's own proxy. No header's name is that of a credential
    /// that stands elsewhere ([`Credential::given`]).
    pub name: String,
    /// Its value.
    pub value: String,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: [redacted]", self.name)
    }
}

impl Credential {
    /// A value that was typed into the request, for the reference of this name.
    pub fn given(name: &str, value: String) -> Self {
        Self {
            name: format!("{GIVEN}{name}"),
            value,
        }
    }

    /// The name of the reference that it is for, where it is for no header.
    pub fn reference(&self) -> Option<&str> {
        self.name.strip_prefix(GIVEN)
    }

    /// A name and a password with a colon between them, as a value of Basic authentication (RFC 7617).
    pub fn basic(pair: &[u8]) -> String {
        format!("Basic {}", STANDARD.encode(pair))
    }
}

/// Finds the values that were typed into the request too.
pub(super) fn with_given(credentials: &[Credential], lookup: Lookup) -> Lookup {
    let given: Vec<(String, String)> = credentials
        .iter()
        .filter_map(|credential| {
            Some((credential.reference()?.to_owned(), credential.value.clone()))
        })
        .collect();
    Arc::new(move |reference| {
        let value = match reference {
            Reference::Given(name) => given.iter().find(|(known, _)| known == name),
            _ => None,
        };
        value.map_or_else(
            || lookup(reference),
            |(_, value)| Ok(value.clone().into_bytes()),
        )
    })
}
