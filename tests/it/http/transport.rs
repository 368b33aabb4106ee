//! Options of a request's transport.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use stride::caller::{Credential, PROXY_AUTHORIZATION};
use stride::job::Outcome;
use stride::settings::Http;

use super::tls::{Identity, authority, params, pem, self_signed, signed_by};
use super::{Client, succeeded};
use crate::cli::Place;
use crate::support::{FakeApi, RawServer, Reply};

/// A server with this identity that answers `1`, to every client or to those with a certificate of an authority.
fn answering(identity: Identity, clients: Option<CertificateDer<'static>>) -> RawServer {
    speaking(rustls::ALL_VERSIONS, identity, clients)
}

/// The same, with these versions of TLS.
pub(crate) fn speaking(
    versions: &[&'static rustls::SupportedProtocolVersion],
    identity: Identity,
    clients: Option<CertificateDer<'static>>,
) -> RawServer {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let (chain, key) = identity.into_parts();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = Arc::new(builder.with_single_cert(chain, key).unwrap());
    RawServer::start(move |connection: TcpStream| {
        let session = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = StreamOwned::new(session, connection);
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\nhello") {
            match stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return,
            }
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\n1";
        let _ = stream.write_all(answer);
    })
}

fn https(server: &RawServer) -> Client {
    Client::post(&format!("https://localhost:{}/", server.port()))
}

fn is_tls(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Unreachable(failure) if failure.kind.as_str() == "tls")
}

#[test]
fn only_the_given_authority_is_trusted() {
    let ours = authority();
    let server = answering(signed_by(&ours, "localhost"), None);
    assert!(is_tls(&https(&server).call()));
    let mut client = https(&server);
    let file = client
        .job("ca.pem", pem(ours.as_ref().der()).as_bytes())
        .file;
    client.request.transport.ca_file = Some(file);
    assert_eq!(succeeded(client.call()).body, b"1");
    let other = authority();
    client.job("ca.pem", pem(other.as_ref().der()).as_bytes());
    assert!(is_tls(&client.call()));
    client.job("ca.pem", b"no PEM");
    assert!(client.plan().unwrap_err().to_string().contains("ca.pem"));
}

/// Like `openssl req -x509`: self-signed, and marked as an authority.
#[test]
fn a_self_signed_certificate_that_is_named_is_trusted_for_its_own_name() {
    let made = |host: &str, until: i32| {
        let mut params = params(host);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        self_signed(&params)
    };
    for (host, until, trusted) in [
        ("localhost", 2090, true),
        ("elsewhere", 2090, false),
        ("localhost", 2020, false),
    ] {
        let identity = made(host, until);
        let file = pem(&identity.certificate());
        let server = answering(identity, None);
        let mut client = https(&server);
        client.request.transport.ca_file = Some(client.job("ca.pem", file.as_bytes()).file);
        let outcome = client.call();
        assert_eq!(
            matches!(outcome, Outcome::Succeeded(_)),
            trusted,
            "{host} {until}: {outcome:?}"
        );
        assert!(trusted || is_tls(&outcome));
    }
}

#[test]
fn insecure_trusts_every_certificate() {
    let server = answering(self_signed(&params("elsewhere")), None);
    let mut client = https(&server);
    client.request.transport.insecure = true;
    assert_eq!(succeeded(client.call()).body, b"1");
}

#[test]
fn a_request_without_the_requested_certificate_is_not_processed() {
    let (ours, others) = (authority(), authority());
    let clients = ours.as_ref().der().clone();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let identity = signed_by(&ours, "localhost");
        let server = speaking(&[version], identity, Some(clients.clone()));
        let mut client = https(&server);
        client.request.transport.insecure = true;
        let outcome = client.call();
        assert!(is_tls(&outcome), "{version:?}: {outcome:?}");
        assert_eq!(
            outcome.failure().unwrap().message,
            "TLS: the service requires a client certificate; use --cert",
            "{version:?}"
        );
        // The client shows another certificate than the requested one.
        let (chain, key) = signed_by(&others, "client").into_parts();
        let key = STANDARD.encode(key.serialize_der());
        let key = format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n");
        let both = pem(&chain[0]) + &key;
        let file = client.job("client.pem", both.as_bytes()).file;
        client.request.transport.certificate = Some(file);
        let outcome = client.call();
        assert!(is_tls(&outcome), "{version:?}: {outcome:?}");
        let message = &outcome.failure().unwrap().message;
        assert!(
            message.contains("rejects the certificate of --cert"),
            "{version:?}: {message}"
        );
    }
}

#[test]
fn a_run_without_the_requested_certificate_stops_with_the_reason() {
    let ours = authority();
    let clients = ours.as_ref().der().clone();
    let server = answering(signed_by(&ours, "localhost"), Some(clients));
    let place = Place::new();
    place.texts(20);
    let url = format!("https://localhost:{}/", server.port());
    let words = "the service requires a client certificate; use --cert";
    place
        .stride(&["run", "-k", "--url", &url, "texts"])
        .expect(4)
        .says(words);
    let status = place.status();
    assert_eq!(
        (&status["pending"], &status["failed"], &status["calls"]),
        (&json!(20), &json!(0), &json!(0)),
        "{status}"
    );
    let stopped = &status["stopped"];
    assert_eq!(stopped["reason"], "certificate", "{stopped}");
    assert!(
        stopped["words"].as_str().unwrap().contains(words),
        "{stopped}"
    );
}

#[test]
fn a_client_shows_its_certificate() {
    let ours = authority();
    let clients = ours.as_ref().der().clone();
    let server = answering(signed_by(&ours, "localhost"), Some(clients));
    let mut client = https(&server);
    client.request.transport.insecure = true;
    assert!(succeeds_not(&client));
    let (chain, key) = signed_by(&ours, "client").into_parts();
    let certificate = client.job("client.pem", pem(&chain[0]).as_bytes()).file;
    let key = STANDARD.encode(key.serialize_der());
    let key = format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n");
    let key = client.job("key.pem", key.as_bytes()).file;
    client.request.transport.certificate = Some(certificate.clone());
    // A certificate without its key is refused.
    assert!(
        client
            .plan()
            .unwrap_err()
            .to_string()
            .contains("private key")
    );
    client.request.transport.key = Some(key);
    assert_eq!(succeeded(client.call()).body, b"1");
}

fn succeeds_not(client: &Client) -> bool {
    !matches!(client.call(), Outcome::Succeeded(_))
}

#[test]
fn a_host_has_the_address_that_is_given_for_it() {
    let api = FakeApi::start(|_| Reply::json(1));
    let mut client = Client::post(&format!("http://service.invalid:{}/", api.port()));
    client.request.transport.resolve = vec![format!("service.invalid:{}:127.0.0.1", api.port())];
    assert_eq!(succeeded(client.call()).body, b"1");
    let host = format!("service.invalid:{}", api.port());
    assert_eq!(api.log()[0].request.header("host"), Some(host.as_str()));
    client.request.transport.resolve = vec!["service.invalid".to_owned()];
    assert!(
        client
            .plan()
            .unwrap_err()
            .to_string()
            .contains("HOST:PORT:ADDRESS")
    );
}

#[test]
fn a_request_has_a_proxy_of_its_own_and_a_credential_for_it() {
    let proxy = FakeApi::start(|_| Reply::json(1));
    let mut client = Client::post("http://service.invalid/x");
    client.request.transport.proxy = Some(proxy.url());
    client.request.transport.proxy_withheld = true;
    assert!(
        client
            .plan()
            .unwrap_err()
            .to_string()
            .contains(PROXY_AUTHORIZATION)
    );
    client.credentials = vec![Credential {
        name: PROXY_AUTHORIZATION.to_owned(),
        value: Credential::basic(b"me:hunter2hunter2"),
    }];
    assert_eq!(succeeded(client.call()).body, b"1");
    let seen = &proxy.log()[0].request;
    assert_eq!(seen.target, "http://service.invalid/x");
    let expected = Credential::basic(b"me:hunter2hunter2");
    assert_eq!(seen.header("proxy-authorization"), Some(expected.as_str()));

    let api = FakeApi::start(|_| Reply::json(2));
    client.request.url = api.url();
    client.request.transport.no_proxy = Some("127.0.0.1".to_owned());
    assert_eq!(succeeded(client.call()).body, b"2");
    assert_eq!((proxy.requests(), api.requests()), (1, 1));
}

/// A service that speaks HTTP/2 from the first byte, and answers with the version of what it was asked.
fn http2() -> SocketAddr {
    use hyper::service::service_fn;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(async {
            let (stream, _) = listener.accept().unwrap();
            stream.set_nonblocking(true).unwrap();
            let stream = TokioIo::new(tokio::net::TcpStream::from_std(stream).unwrap());
            let answer = |request: hyper::Request<hyper::body::Incoming>| async move {
                let version = format!("\"{:?}\"", request.version());
                Ok::<_, std::convert::Infallible>(hyper::Response::new(http_body_util::Full::new(
                    bytes::Bytes::from(version),
                )))
            };
            // Its end is the client's.
            let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(stream, service_fn(answer))
                .await;
        });
    });
    address
}

#[test]
fn http_2_is_used_on_request() {
    let mut client = Client::post(&format!("http://{}/", http2()));
    client.request.transport.http = Http::Http2Only;
    assert_eq!(succeeded(client.call()).body, b"\"HTTP/2.0\"");
}
