//! HTTP proxies that refuse a tunnel. The HTTP client reports the status of a refusal only if it is 407. For others,
//! stride asks the proxy again.

use std::error::Error;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use super::unreachable::causes;
use crate::job::FailureKind;

/// The timeout of each step.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest status line, in bytes.
const LONGEST: u64 = 256;

/// A proxy whose own URL is `http://`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlainProxy {
    pub(super) host: String,
    pub(super) port: u16,
    /// The value of `Proxy-Authorization`.
    pub(super) credential: Option<Vec<u8>>,
}

/// A refusal to open a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TunnelRefused {
    With(u16),
    /// The client does not report the status.
    WithUnknown,
}

/// Returns the proxy's refusal of a tunnel, if that is the error. The client reports it only in a message.
pub(super) fn refused(error: &(dyn Error + 'static)) -> Option<TunnelRefused> {
    let mut texts = causes(error).into_iter().map(ToString::to_string);
    texts.find_map(|text| match text.strip_prefix("tunnel error: ")? {
        "proxy authorization required" => Some(TunnelRefused::With(407)),
        "unsuccessful" => Some(TunnelRefused::WithUnknown),
        _ => None,
    })
}

impl PlainProxy {
    /// Asks for a tunnel to `target`, a host and a port, and returns the status of the answer.
    pub(super) fn connect_status(&self, target: &str) -> io::Result<u16> {
        let addresses = (self.host.trim_matches(['[', ']']), self.port).to_socket_addrs()?;
        let mut stream = Err(io::ErrorKind::NotFound.into());
        for address in addresses {
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
        BufReader::new(stream.take(LONGEST)).read_until(b'\n', &mut line)?;
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

/// Returns the failure's kind and message. A proxy answers with a 5xx when it cannot reach the service, so that counts as
/// an outage of the service.
pub(super) fn describe(status: Option<u16>) -> (FailureKind, String) {
    let kind = match status {
        Some(500..) => FailureKind::Unreachable,
        _ => FailureKind::Proxy,
    };
    let message = match status {
        Some(status) => format!("the proxy answered CONNECT with HTTP {status}"),
        None => "the proxy refused CONNECT".to_owned(),
    };
    (kind, message)
}
