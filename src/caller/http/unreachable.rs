//! Why there is no connection: looked up in the chain of causes by their types, for the words in which a client
//! tells of them are its own affair and change. Names are resolved here, so that the resolver's error has a type.

use std::error::Error;
use std::io;
use std::net::ToSocketAddrs;

use crate::job::FailureKind;
use jiff::Timestamp;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::{AlertDescription, CertificateError};
use thiserror::Error;

/// Resolves names as the system does, in a thread that may wait for it.
#[derive(Debug)]
pub(super) struct Resolver;

/// What the system's resolver said.
#[derive(Debug, Error)]
#[error("{name}: {error}")]
struct Unresolved {
    name: String,
    error: io::Error,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let name = name.as_str().to_owned();
            let found = tokio::task::spawn_blocking(move || {
                // The connector puts the URL's port in the place of this one.
                match (name.as_str(), 0).to_socket_addrs() {
                    Ok(found) => Ok(found),
                    Err(error) => Err(Unresolved { name, error }),
                }
            });
            Ok(Box::new(found.await??) as Addrs)
        })
    }
}

/// The client certificate of a request, as far as a service's refusal of it is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Own {
    /// It has none, and the service has asked for one.
    Missing,
    /// It has none, and the service has not asked.
    NotAsked,
    /// It has one.
    Given,
}

/// Returns the kind of a failure to connect, and a line for people.
pub(super) fn why(error: &(dyn Error + 'static), own: Own) -> (FailureKind, String) {
    for cause in causes(error) {
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            let message = alerted(tls, own).unwrap_or_else(|| handshake(tls));
            return (FailureKind::Tls, format!("TLS: {message}"));
        }
        if let Some(Unresolved { name, error }) = cause.downcast_ref::<Unresolved>() {
            return unresolved(name, error);
        }
    }
    let cause = super::error::root_cause(error);
    (FailureKind::Unreachable, format!("cannot connect: {cause}"))
}

/// Returns the reason for which a service has ended a connection whose handshake was over for this side alone: with
/// TLS 1.3 a service looks at the client's certificate only then. `None` where that was not it.
pub(super) fn turned_away(error: &(dyn Error + 'static), own: Own) -> Option<String> {
    let found = causes(error);
    let mut errors = found.iter().filter_map(|cause| cause.downcast_ref());
    errors
        .find_map(|tls| alerted(tls, own))
        .map(|message| format!("TLS: {message}"))
}

/// Returns what an alert says about the client's own certificate, if it does.
fn alerted(error: &rustls::Error, own: Own) -> Option<String> {
    use AlertDescription as Alert;
    let rustls::Error::AlertReceived(alert) = error else {
        return None;
    };
    match (alert, own) {
        (Alert::CertificateRequired, Own::Missing | Own::NotAsked)
        | (
            Alert::BadCertificate
            | Alert::HandshakeFailure
            | Alert::AccessDenied
            | Alert::NoCertificate,
            Own::Missing,
        ) => Some("the service asks for a client certificate (--cert)".to_owned()),
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
            Own::Given,
        ) => Some(format!(
            "the service does not accept the client certificate (--cert): {error}"
        )),
        _ => None,
    }
}

/// A request that a service has sent back over HTTP/2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SentBack {
    /// Unprocessed: its stream is refused, or the service is going away and does not count the stream among those that
    /// it may have processed (RFC 9113, section 8.7).
    Unprocessed,
    /// Because the client asks for too much.
    TooMuch,
}

/// Returns how a service has sent a request back, if it did so before it began an answer.
pub(super) fn sent_back(error: &(dyn Error + 'static)) -> Option<SentBack> {
    let found = causes(error);
    let mut errors = found
        .iter()
        .filter_map(|cause| cause.downcast_ref::<h2::Error>());
    let error = errors.find(|error| error.is_remote())?;
    match error.reason()? {
        h2::Reason::ENHANCE_YOUR_CALM => Some(SentBack::TooMuch),
        // The library ends no other stream with a GOAWAY of the service than those after the last that it counts.
        h2::Reason::REFUSED_STREAM => Some(SentBack::Unprocessed),
        _ => error.is_go_away().then_some(SentBack::Unprocessed),
    }
}

/// Returns an error and all its causes.
pub(super) fn causes<'e>(error: &'e (dyn Error + 'static)) -> Vec<&'e (dyn Error + 'static)> {
    let mut causes = Vec::new();
    collect(error, &mut causes);
    causes
}

/// An error and all its causes, with those that an `io::Error` wraps: its `source` passes over them.
fn collect<'e>(error: &'e (dyn Error + 'static), causes: &mut Vec<&'e (dyn Error + 'static)>) {
    causes.push(error);
    let wrapped = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    if let Some(wrapped) = wrapped {
        collect(wrapped, causes);
    } else if let Some(source) = error.source() {
        collect(source, causes);
    }
}

/// What the C libraries say where a name does not exist. The number behind it does not reach us.
const NO_SUCH_NAME: [&str; 4] = [
    "not known",
    "does not resolve",
    "no address",
    "no usable address",
];
/// What they say where another try may do.
const TRY_AGAIN: [&str; 2] = ["temporary failure", "try again"];

fn unresolved(name: &str, error: &io::Error) -> (FailureKind, String) {
    let text = error.to_string();
    let lower = text.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    // An error with a number is the system's own, such as having no descriptor left.
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

fn handshake(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(error) => certificate(error),
        rustls::Error::InvalidMessage(_) => {
            format!("the server does not speak TLS at this port: {error}")
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
        CertificateError::NotValidForName => "certificate is for another host".to_owned(),
        CertificateError::UnknownIssuer => {
            "certificate is self-signed, or its issuer is not one that this system trusts"
                .to_owned()
        }
        CertificateError::Revoked => "certificate was revoked".to_owned(),
        CertificateError::BadSignature => {
            "certificate is not signed by the authority that it names".to_owned()
        }
        // A type of the verifier's own, which rustls has no name for.
        CertificateError::Other(other) if format!("{:?}", other.0) == "CaUsedAsEndEntity" => {
            "certificate is self-signed, or that of an authority".to_owned()
        }
        CertificateError::Other(other) => format!("certificate is not valid: {}", other.0),
        error => format!("certificate is not valid: {error}"),
    }
}

/// How many of a certificate's names are told.
const NAMES_TOLD: usize = 3;

/// A certificate's names, which the verifier hands over as it prints them for itself: `DnsName("a.example")`.
fn names(presented: &[String]) -> String {
    let mut told: Vec<&str> = presented
        .iter()
        .take(NAMES_TOLD)
        .map(|name| name.split('"').nth(1).unwrap_or(name))
        .collect();
    if presented.len() > NAMES_TOLD {
        told.push("…");
    }
    told.join(", ")
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

    fn lookup(text: &str) -> FailureKind {
        unresolved("a.example", &io::Error::other(text)).0
    }

    #[test]
    fn resolvers_say_whether_to_try_again() {
        for text in [
            "Name or service not known",
            "nodename nor servname provided, or not known",
            "No address associated with hostname",
            "Name does not resolve",
        ] {
            assert_eq!(lookup(text), FailureKind::Dns, "{text}");
        }
        for text in ["Temporary failure in name resolution", "Try again"] {
            assert_eq!(lookup(text), FailureKind::DnsTemporary, "{text}");
        }
        assert_eq!(lookup("System error"), FailureKind::Unreachable);
        let no_descriptor = io::Error::from_raw_os_error(24);
        assert_eq!(
            unresolved("a.example", &no_descriptor).0,
            FailureKind::Unreachable
        );
    }

    #[test]
    fn a_handshake_that_failed_says_what_is_wrong_and_when() {
        let time = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let expired = CertificateError::ExpiredContext {
            time: time(1_800_000_000),
            not_after: time(1_767_323_045),
        };
        // As deep as clients wrap it.
        let error = io::Error::other(io::Error::other(rustls::Error::from(expired)));
        assert_eq!(
            why(&error, Own::NotAsked),
            (
                FailureKind::Tls,
                "TLS: certificate expired on 2026-01-02 03:04:05 UTC".to_owned()
            )
        );
        let cut_off = io::Error::other(io::Error::from(io::ErrorKind::UnexpectedEof));
        assert_eq!(why(&cut_off, Own::NotAsked).0, FailureKind::Unreachable);
    }

    #[test]
    fn an_alert_is_about_the_own_certificate_where_the_service_has_asked() {
        let says = |alert, own| {
            let error = io::Error::other(rustls::Error::AlertReceived(alert));
            turned_away(&error, own).unwrap_or_default()
        };
        let asks = "TLS: the service asks for a client certificate (--cert)";
        for alert in [
            AlertDescription::CertificateRequired,
            AlertDescription::BadCertificate,
            AlertDescription::HandshakeFailure,
            AlertDescription::AccessDenied,
        ] {
            assert_eq!(says(alert, Own::Missing), asks, "{alert:?}");
        }
        // There may be no cipher that both have.
        assert_eq!(says(AlertDescription::HandshakeFailure, Own::NotAsked), "");
        assert_eq!(says(AlertDescription::HandshakeFailure, Own::Given), "");
        assert_eq!(says(AlertDescription::InternalError, Own::Missing), "");
        let expired = says(AlertDescription::CertificateExpired, Own::Given);
        assert!(expired.contains("does not accept the client certificate"));
    }

    #[test]
    fn of_many_names_a_few_are_told() {
        let presented: Vec<String> = (0..9)
            .map(|n| format!("DnsName(\"{n}.example\")"))
            .collect();
        assert_eq!(names(&presented), "0.example, 1.example, 2.example, …");
    }
}
