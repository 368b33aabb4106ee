//! Classifies connection and HTTP/2 failures. Uses the causes' types where there are any, and otherwise known phrases.

use std::error::Error;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use jiff::Timestamp;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::{AlertDescription, CertificateError};
use thiserror::Error;

use crate::job::FailureKind;
use crate::settings::Ip;

/// Resolves names as the system does, on a thread that may block. The HTTP client's own resolver reports errors without
/// a type.
#[derive(Debug)]
pub(super) struct Resolver {
    /// The only version of IP to use.
    pub(super) ip: Option<Ip>,
}

/// An error of the system's resolver.
#[derive(Debug, Error)]
#[error("{name}: {error}")]
struct Unresolved {
    name: String,
    error: io::Error,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let ip = self.ip;
        Box::pin(async move {
            let name = name.as_str().to_owned();
            let found = tokio::task::spawn_blocking(move || {
                // The connector replaces this port by the URL's.
                let found = (name.as_str(), 0).to_socket_addrs();
                found
                    .and_then(|found| of_version(ip, found))
                    .map_err(|error| Unresolved { name, error })
            });
            Ok(Box::new(found.await??) as Addrs)
        })
    }
}

/// Returns the addresses of a version of IP, or all of them.
fn of_version(
    ip: Option<Ip>,
    found: impl Iterator<Item = SocketAddr>,
) -> io::Result<std::vec::IntoIter<SocketAddr>> {
    let found = found.filter(|address| ip.is_none_or(|ip| ip.has(address.ip())));
    let found: Vec<_> = found.collect();
    match ip {
        Some(ip) if found.is_empty() => {
            let message = format!("no address of {}", ip.name());
            Err(io::Error::new(io::ErrorKind::AddrNotAvailable, message))
        }
        _ => Ok(found.into_iter()),
    }
}

/// The client certificate of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientCertificate {
    /// Requested by the service, and not given.
    Missing,
    NotRequested,
    Given,
}

/// Returns the kind of a failure to connect to a place, and a message.
pub(super) fn describe(
    error: &(dyn Error + 'static),
    own: ClientCertificate,
    place: &str,
) -> (FailureKind, String) {
    for cause in causes(error) {
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            let message = alert(tls, own).unwrap_or_else(|| handshake(tls));
            return (FailureKind::Tls, format!("TLS: {message}"));
        }
        if let Some(Unresolved { name, error }) = cause.downcast_ref::<Unresolved>() {
            return unresolved(name, error);
        }
    }
    let cause = super::error::root_cause(error);
    // The number of a system's error says nothing more.
    let cause = cause.split(" (os error").next().unwrap_or_default();
    let message = match cause {
        // As a service that speaks plain HTTP may do.
        "tls handshake eof" => {
            format!("{place} closed the connection in the TLS handshake; is it a port of http://?")
        }
        cause => format!("cannot connect to {place}: {cause}"),
    };
    (FailureKind::Unreachable, message)
}

/// Returns the message if the service rejected the client certificate or requires one. With TLS 1.3 this alert can arrive
/// after the client's handshake has finished.
pub(super) fn rejected_certificate(
    error: &(dyn Error + 'static),
    own: ClientCertificate,
) -> Option<String> {
    let causes = causes(error);
    let mut errors = causes.iter().filter_map(|cause| cause.downcast_ref());
    errors
        .find_map(|tls| alert(tls, own))
        .map(|message| format!("TLS: {message}"))
}

/// Returns the message of an alert about the client's own certificate.
fn alert(error: &rustls::Error, own: ClientCertificate) -> Option<String> {
    use AlertDescription as Alert;
    let rustls::Error::AlertReceived(alert) = error else {
        return None;
    };
    match (alert, own) {
        (
            Alert::CertificateRequired,
            ClientCertificate::Missing | ClientCertificate::NotRequested,
        )
        | (
            Alert::BadCertificate
            | Alert::HandshakeFailure
            | Alert::AccessDenied
            | Alert::NoCertificate,
            ClientCertificate::Missing,
        ) => Some("the service requires a client certificate; use --cert".to_owned()),
        (
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::DecryptError
            | Alert::AccessDenied,
            ClientCertificate::Given,
        ) => Some(format!(
            "the service rejects the certificate of --cert: {error}"
        )),
        _ => None,
    }
}

/// A service's refusal of a request over HTTP/2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SentBack {
    /// `REFUSED_STREAM`, or a stream above the GOAWAY's last stream id: not processed, safe to repeat (RFC 9113, section
    /// 8.7).
    Unprocessed,
    /// `ENHANCE_YOUR_CALM`: too many requests.
    TooMuch,
}

/// Returns how the service refused the request, if it did so before answering.
pub(super) fn sent_back(error: &(dyn Error + 'static)) -> Option<SentBack> {
    let causes = causes(error);
    let mut errors = causes
        .iter()
        .filter_map(|cause| cause.downcast_ref::<h2::Error>());
    let error = errors.find(|error| error.is_remote())?;
    match error.reason()? {
        h2::Reason::ENHANCE_YOUR_CALM => Some(SentBack::TooMuch),
        h2::Reason::REFUSED_STREAM => Some(SentBack::Unprocessed),
        // On a GOAWAY, h2 fails only streams above its last stream id, which the service did not process.
        _ => error.is_go_away().then_some(SentBack::Unprocessed),
    }
}

/// Returns an error and all its causes, including those that an `io::Error` wraps: its `source` skips them.
pub(super) fn causes<'e>(error: &'e (dyn Error + 'static)) -> Vec<&'e (dyn Error + 'static)> {
    let next = |error: &&'e (dyn Error + 'static)| -> Option<&'e (dyn Error + 'static)> {
        let error = *error;
        let io = error.downcast_ref::<io::Error>();
        match io.and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    };
    std::iter::successors(Some(error), next).collect()
}

/// Phrases of C libraries for a missing name. The standard library drops their error numbers.
const NO_SUCH_NAME: [&str; 4] = [
    "not known",
    "does not resolve",
    "no address",
    "no usable address",
];
/// Phrases of C libraries for a temporary resolver error.
const TRY_AGAIN: [&str; 2] = ["temporary failure", "try again"];

fn unresolved(name: &str, error: &io::Error) -> (FailureKind, String) {
    let text = error.to_string();
    let lower = text.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    // An errno means that a system call failed (such as EMFILE), not the look-up.
    let kind = if error.raw_os_error().is_some() {
        FailureKind::Unreachable
    } else if says(&TRY_AGAIN) {
        FailureKind::DnsTemporary
    } else if says(&NO_SUCH_NAME) {
        FailureKind::Dns
    } else {
        FailureKind::Unreachable
    };
    let message = if kind == FailureKind::Dns {
        format!("there is no host named {name}: {text}")
    } else {
        format!("cannot look up the host {name}: {text}")
    };
    (kind, message)
}

/// Returns whether the server certificate was rejected because it is a CA certificate (`CaUsedAsEndEntity`).
pub(super) fn is_authority(error: &rustls::Error) -> bool {
    match error {
        // rustls has no name for this error of its verifier.
        rustls::Error::InvalidCertificate(CertificateError::Other(other)) => {
            format!("{:?}", other.0) == "CaUsedAsEndEntity"
        }
        _ => false,
    }
}

/// The beginning of the message about a port without TLS.
pub const NO_TLS: &str = "the service does not use TLS on this port";

/// The end of messages about a certificate that this system does not trust.
pub const UNTRUSTED: &str = "if you trust it, use --cacert";

fn handshake(error: &rustls::Error) -> String {
    match error {
        error if is_authority(error) => {
            format!("certificate is a CA certificate, possibly self-signed; {UNTRUSTED}")
        }
        rustls::Error::InvalidCertificate(error) => certificate(error),
        rustls::Error::InvalidMessage(_) => {
            format!("{NO_TLS}: {error}; use its TLS port or http://")
        }
        error => error.to_string(),
    }
}

fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("certificate expired on {}", utc(not_after.as_secs()))
        }
        CertificateError::Expired => "certificate expired".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!(
                "certificate is not valid before {}",
                utc(not_before.as_secs())
            )
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            let name = expected.to_str();
            let mut message = format!("certificate is not for {name}");
            if !presented.is_empty() {
                message.push_str(&format!("; it is for {}", names(presented)));
            }
            message
        }
        CertificateError::NotValidForName => "certificate is not for the URL's host".to_owned(),
        CertificateError::UnknownIssuer => {
            format!("certificate is self-signed or from an untrusted issuer; {UNTRUSTED}")
        }
        CertificateError::Revoked => "certificate was revoked".to_owned(),
        CertificateError::BadSignature => {
            "certificate is not signed by the authority that it names".to_owned()
        }
        CertificateError::Other(other) => format!("certificate is not valid: {}", other.0),
        error => format!("certificate is not valid: {error}"),
    }
}

/// The maximum number of names of a certificate to list.
const NAMES_LISTED: usize = 3;

/// Lists a certificate's names, which the verifier formats as `DnsName("a.example")`.
fn names(presented: &[String]) -> String {
    let bare = |name: &'_ String| name.split('"').nth(1).unwrap_or(name).to_owned();
    let mut listed: Vec<String> = presented.iter().take(NAMES_LISTED).map(bare).collect();
    if presented.len() > NAMES_LISTED {
        listed.push("…".to_owned());
    }
    listed.join(", ")
}

fn utc(seconds: u64) -> String {
    let moment = i64::try_from(seconds).ok();
    let moment = moment.and_then(|moment| Timestamp::from_second(moment).ok());
    let moment = moment.unwrap_or(Timestamp::MAX);
    moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::pki_types::UnixTime;

    use super::*;

    #[test]
    fn the_resolvers_words_tell_temporary_errors_from_missing_names() {
        for (text, kind) in [
            ("Name or service not known", FailureKind::Dns),
            (
                "nodename nor servname provided, or not known",
                FailureKind::Dns,
            ),
            ("No address associated with hostname", FailureKind::Dns),
            ("Name does not resolve", FailureKind::Dns),
            (
                "Temporary failure in name resolution",
                FailureKind::DnsTemporary,
            ),
            ("Try again", FailureKind::DnsTemporary),
            ("System error", FailureKind::Unreachable),
        ] {
            let found = unresolved("a.example", &io::Error::other(text)).0;
            assert_eq!(found, kind, "{text}");
        }
        let no_descriptor = io::Error::from_raw_os_error(24);
        let found = unresolved("a.example", &no_descriptor).0;
        assert_eq!(found, FailureKind::Unreachable);
    }

    #[test]
    fn an_expired_certificate_is_found_under_other_errors() {
        let time = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let expired = CertificateError::ExpiredContext {
            time: time(1_800_000_000),
            not_after: time(1_767_323_045),
        };
        // As deep as clients wrap it.
        let error = io::Error::other(io::Error::other(rustls::Error::from(expired)));
        let (kind, message) = describe(&error, ClientCertificate::NotRequested, "a");
        assert_eq!(kind, FailureKind::Tls);
        assert_eq!(
            message,
            "TLS: certificate expired on 2026-01-02 03:04:05 UTC"
        );
        let cut_off = io::Error::other(io::Error::from(io::ErrorKind::UnexpectedEof));
        let (kind, _) = describe(&cut_off, ClientCertificate::NotRequested, "a");
        assert_eq!(kind, FailureKind::Unreachable);
    }

    #[test]
    fn alerts_are_about_the_clients_certificate_if_it_was_requested() {
        use AlertDescription as Alert;
        use ClientCertificate::{Given, Missing, NotRequested};
        let asks = "TLS: the service requires a client certificate; use --cert";
        let rejects = "TLS: the service rejects the certificate of --cert: ";
        for (alert, own, message) in [
            (Alert::CertificateRequired, Missing, asks),
            (Alert::BadCertificate, Missing, asks),
            (Alert::HandshakeFailure, Missing, asks),
            (Alert::AccessDenied, Missing, asks),
            // A failed handshake may be about ciphers.
            (Alert::HandshakeFailure, NotRequested, ""),
            (Alert::HandshakeFailure, Given, ""),
            (Alert::InternalError, Missing, ""),
            (Alert::CertificateExpired, Given, rejects),
        ] {
            let error = io::Error::other(rustls::Error::AlertReceived(alert));
            let found = rejected_certificate(&error, own).unwrap_or_default();
            assert!(found.starts_with(message), "{alert:?} {own:?}: {found}");
            assert_eq!(found.is_empty(), message.is_empty(), "{alert:?} {own:?}");
        }
    }

    #[test]
    fn three_names_of_a_certificate_are_listed() {
        let presented: Vec<String> = (0..9)
            .map(|n| format!("DnsName(\"{n}.example\")"))
            .collect();
        assert_eq!(names(&presented), "0.example, 1.example, 2.example, …");
    }
}
