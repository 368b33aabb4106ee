//! The connection to the service.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The connection to the service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Transport {
    /// The proxy, without user information. The default is the environment's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// The proxy needs a credential, which is not stored.
    #[serde(skip_serializing_if = "is_default")]
    pub proxy_withheld: bool,
    /// The hosts to call without a proxy, separated by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_proxy: Option<String>,
    /// The absolute path of a PEM file with the certificates to trust instead of the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The absolute path of a PEM file with the client's certificate, and optionally its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// The absolute path of a PEM file with the key of that certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Accept any certificate.
    #[serde(skip_serializing_if = "is_default")]
    pub insecure: bool,
    /// The version of HTTP.
    #[serde(skip_serializing_if = "is_default")]
    pub http: Http,
    /// The versions of TLS.
    #[serde(skip_serializing_if = "is_default")]
    pub tls: Tls,
    /// The only version of IP to use, if one was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<Ip>,
    /// The address of this machine from which to connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<IpAddr>,
    /// Request answers without content coding.
    #[serde(skip_serializing_if = "is_default")]
    pub uncompressed: bool,
    /// The schemes of URLs that may be called. Empty stands for `http` and `https`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub schemes: Vec<String>,
    /// The maximum number of redirects to follow.
    #[serde(skip_serializing_if = "is_default")]
    pub redirects: u32,
    /// The schemes of redirects that may be followed. Empty stands for `http` and `https`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub redirect_schemes: Vec<String>,
    /// The statuses of redirects that keep the method POST and its body, although others change it to GET.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keep_post: Vec<u16>,
    /// Addresses of hosts, as `HOST:PORT:ADDRESS`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resolve: Vec<String>,
}

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Http {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 if the service agrees to it during the TLS handshake, else HTTP/1.1.
    Http2,
    /// HTTP/2 without negotiation.
    Http2Only,
}

/// The versions of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// TLS 1.2 or TLS 1.3.
    #[default]
    Any,
    /// TLS 1.2.
    Only12,
    /// TLS 1.3.
    Only13,
}

/// A version of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ip {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Ip {
    /// Returns its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    /// Returns whether an address is of this version.
    pub fn has(self, address: IpAddr) -> bool {
        address.is_ipv4() == (self == Self::V4)
    }
}

impl Transport {
    /// Returns the version of IP that connections use, if there is only one.
    pub fn only_ip(&self) -> Option<Ip> {
        let bound = self.interface.map(|address| match address {
            IpAddr::V4(_) => Ip::V4,
            IpAddr::V6(_) => Ip::V6,
        });
        self.ip.or(bound)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Transport {
    /// Describes the values other than the defaults for people.
    pub(super) fn lines(&self) -> Vec<(String, String)> {
        // The stored form includes every field, also future ones.
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
