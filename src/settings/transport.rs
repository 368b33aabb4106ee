//! How a request gets to its service.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How a request gets to its service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Transport {
    /// The proxy, without user information; without one, the environment's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// Whether the proxy needs a credential, which is not stored.
    #[serde(skip_serializing_if = "is_false")]
    pub proxy_withheld: bool,
    /// The hosts for which no proxy is used, separated by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_proxy: Option<String>,
    /// A file with the certificates to trust instead of the system's, as PEM: absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// A file with the client's own certificate, and perhaps its key, as PEM: absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// A file with the key of that certificate, as PEM: absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Whether certificates are not checked.
    #[serde(skip_serializing_if = "is_false")]
    pub insecure: bool,
    /// Which HTTP is spoken.
    #[serde(skip_serializing_if = "is_default")]
    pub http: Http,
    /// Whether answers are taken without any content coding.
    #[serde(skip_serializing_if = "is_false")]
    pub uncompressed: bool,
    /// How many redirects are followed.
    #[serde(skip_serializing_if = "is_default")]
    pub redirects: u32,
    /// Addresses of hosts, as `HOST:PORT:ADDRESS`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resolve: Vec<String>,
}

/// Which HTTP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Http {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 where the service speaks it, agreed upon with TLS.
    Http2,
    /// HTTP/2 from the first byte.
    Http2Only,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands fields over by reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Transport {
    /// What is set, for people.
    pub(super) fn lines(&self) -> Vec<(String, String)> {
        // Whatever is added above is told here too, for each field is a line of the stored form.
        let stored = serde_json::to_value(self).unwrap_or_default();
        let fields = stored.as_object().into_iter().flatten();
        fields
            .map(|(name, value)| {
                let value = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                (name.replace('_', " "), value)
            })
            .collect()
    }
}
