//! Proxies that do not open a tunnel. The client says that the proxy has refused, and not with which status, so the proxy
//! is asked again.

use crate::job::FailureKind;
use std::error::Error;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

/// How long the proxy may take for each step.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest status line, in bytes.
const LONGEST: usize = 256;

/// An HTTP proxy that can be asked without encryption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Door {
    pub(super) host: String,
    pub(super) port: u16,
    /// The value of `Proxy-Authorization`.
    pub(super) credential: Option<Vec<u8>>,
}

/// A refusal to open a tunnel, as far as the client tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// With this status.
    With(u16),
    /// With a status that the client keeps to itself.
    Untold,
}

/// Returns whether the proxy has answered and refused, which the client tells in words alone.
pub(super) fn refused(causes: &[&(dyn Error + 'static)]) -> Option<Refused> {
    let mut texts = causes.iter().map(ToString::to_string);
    texts.find_map(|text| match text.strip_prefix("tunnel error: ")? {
        "proxy authorization required" => Some(Refused::With(407)),
        "unsuccessful" => Some(Refused::Untold),
        _ => None,
    })
}

impl Door {
    /// Asks for a tunnel to `target`, a host and a port, and returns the status of the answer.
    pub(super) fn ask(&self, target: &str) -> io::Result<u16> {
        let found = (self.host.trim_matches(['[', ']']), self.port).to_socket_addrs()?;
        let mut stream = Err(io::ErrorKind::NotFound.into());
        for address in found {
            stream = TcpStream::connect_timeout(&address, PATIENCE);
            if stream.is_ok() {
                break;
            }
        }
        let mut stream = stream?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
        if let Some(credential) = &self.credential {
            request.extend(b"Proxy-Authorization: ");
            request.extend(credential);
            request.extend(b"\r\n");
        }
        request.extend(b"\r\n");
        stream.write_all(&request)?;
        let mut line = Vec::new();
        let mut byte = [0];
        while line.len() < LONGEST && stream.read(&mut byte)? == 1 && byte != *b"\n" {
            line.push(byte[0]);
        }
        let line = String::from_utf8_lossy(&line);
        let mut words = line.split_ascii_whitespace();
        let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
        words
            .next()
            .filter(|_| is_http)
            .and_then(|status| status.parse().ok())
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

/// Returns the kind of such a failure, and a line for people. A proxy that cannot reach the service says so with a 5xx,
/// which passes as an outage of the service does.
pub(super) fn told(status: Option<u16>) -> (FailureKind, String) {
    match status {
        Some(status @ 500..) => (
            FailureKind::Unreachable,
            format!("the proxy answered CONNECT with HTTP {status}"),
        ),
        Some(status) => (
            FailureKind::Proxy,
            format!("the proxy answered CONNECT with HTTP {status}"),
        ),
        None => (
            FailureKind::Proxy,
            "the proxy refused to CONNECT".to_owned(),
        ),
    }
}
