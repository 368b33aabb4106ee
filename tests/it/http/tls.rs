//! Connections that the caller refuses because of the server's certificate, and unknown hosts.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use stride::job::{Class, Failure, Outcome};

use super::Client;
use crate::cli::Place;
use crate::support::{Counter, RawServer};

/// A server's certificate and key.
pub(crate) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl Identity {
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.chain[0].clone()
    }

    pub(crate) fn into_parts(self) -> (Vec<CertificateDer<'static>>, KeyPair) {
        (self.chain, self.key)
    }
}

pub(crate) fn params(host: &str) -> CertificateParams {
    CertificateParams::new([host.to_owned()]).unwrap()
}

pub(crate) fn self_signed(params: &CertificateParams) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Identity {
        chain: vec![certificate.der().clone()],
        key,
    }
}

/// An authority of our own.
pub(crate) fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = params("authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

pub(crate) fn signed_by(authority: &CertifiedIssuer<'static, KeyPair>, host: &str) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = params(host).signed_by(&key, authority).unwrap();
    Identity {
        chain: vec![certificate.der().clone()],
        key,
    }
}

pub(crate) fn pem(certificate: &CertificateDer<'_>) -> String {
    let text = STANDARD.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

/// A server with this identity. It counts the connections that reach a request, and answers none.
pub(crate) fn server(identity: Identity) -> (RawServer, Counter) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(identity.key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(identity.chain, key)
        .unwrap();
    let config = Arc::new(config);
    let requests = Counter::default();
    let seen = requests.clone();
    let server = RawServer::start(move |connection: TcpStream| {
        let session = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = StreamOwned::new(session, connection);
        let mut byte = [0];
        loop {
            match stream.read(&mut byte) {
                Ok(1) => {
                    seen.add();
                    return;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    });
    (server, requests)
}

/// Calls the server, which must see no request; returns the failure.
fn refused(identity: Identity) -> Failure {
    let (server, requests) = server(identity);
    let outcome = Client::post(&format!("https://localhost:{}/", server.port())).call();
    drop(server);
    assert_eq!(requests.get(), 0);
    match outcome {
        Outcome::Unreachable(failure) if failure.class == Class::Transient => failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_expired_certificate_is_reported_with_its_date() {
    let mut params = params("localhost");
    params.not_before = date_time_ymd(2019, 1, 1);
    params.not_after = date_time_ymd(2020, 2, 29);
    let failure = refused(self_signed(&params));
    assert_eq!(failure.kind.as_str(), "tls");
    assert_eq!(
        failure.message,
        "TLS: certificate expired on 2020-02-29 00:00:00 UTC"
    );
}

#[test]
fn a_certificate_without_a_trusted_authority_is_refused() {
    // As `openssl req -x509` makes them.
    let mut its_own_authority = params("localhost");
    its_own_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    for identity in [
        self_signed(&its_own_authority),
        self_signed(&params("localhost")),
        signed_by(&authority(), "localhost"),
    ] {
        let failure = refused(identity);
        assert_eq!(failure.kind.as_str(), "tls");
        assert!(failure.message.contains("self-signed"), "{failure:?}");
    }
}

#[test]
fn row_69_a_certificate_that_cannot_be_trusted_stops_the_run_after_its_first_call() {
    let (server, requests) = server(self_signed(&params("localhost")));
    let place = Place::new();
    place.texts(9);
    let url = format!("https://localhost:{}/", server.port());
    place
        .stride(&["run", "-j", "4", "--url", &url, "texts"])
        .expect(4)
        .says("cannot be trusted")
        .says("caused by: TLS: ");
    let status = place.status();
    assert_eq!(
        (&status["pending"], &status["attempts"]),
        (&serde_json::json!(9), &serde_json::json!(1)),
        "{status}"
    );
    assert_eq!(requests.get(), 0);
}

#[test]
fn a_handshake_that_is_cut_off_says_nothing_about_certificates() {
    let server = RawServer::start(|mut connection| {
        let _ = connection.read(&mut [0; 16]);
    });
    let outcome = Client::post(&format!("https://127.0.0.1:{}/", server.port())).call();
    assert!(
        matches!(&outcome, Outcome::Unreachable(failure) if failure.kind.as_str() == "unreachable"),
        "{outcome:?}"
    );
}

#[test]
fn an_unknown_host_is_reported_as_such() {
    let outcome = Client::post("http://nobody.invalid/").call();
    let failure = outcome.failure().unwrap();
    assert!(
        matches!(outcome, Outcome::Unreachable(_)) && failure.kind.as_str().starts_with("dns"),
        "{outcome:?}"
    );
    assert!(failure.message.contains("nobody.invalid"), "{outcome:?}");
}

/// With the whole program, whose environment says which authorities the system trusts.
#[test]
fn a_certificate_of_another_host_is_refused_and_the_right_one_is_not() {
    let authority = authority();
    for (host, kind) in [
        ("elsewhere.example", "tls"),
        ("localhost", "connection_lost"),
    ] {
        let (server, requests) = server(signed_by(&authority, host));
        let place = Place::new();
        place.write("authority.pem", pem(authority.der()));
        place.write("a.txt", "hello");
        let url = format!("https://localhost:{}/", server.port());
        let mut command = place.command(&["run", "--url", &url, "a.txt"]);
        command.env("SSL_CERT_FILE", place.at("authority.pem"));
        let running = place.begin_command(&mut command);
        let told = || place.sql("SELECT kind, message FROM attempt WHERE kind IS NOT NULL");
        place.until(|| place.at("stride.db").exists() && !told().is_empty());
        running.kill();
        let told = told();
        assert_eq!(told[0][0], kind, "{told:?}");
        assert_eq!(requests.get() > 0, kind != "tls");
        if kind == "tls" {
            assert_eq!(
                told[0][1],
                "TLS: certificate is not for localhost; it is for elsewhere.example"
            );
        }
    }
}
