//! Redirects, and the credentials of redirected requests.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rcgen::{CertifiedIssuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use stride::caller::{Caller as _, Cancel, Credential};
use stride::job::{Class, Outcome};
use stride::settings::{Body, Escape, HeaderValue, Piece};

use super::tls::{authority, pem, signed_by};
use super::{Client, SECRET, attempt, failed, is_in_doubt, succeeded};
use crate::support::{FakeApi, LIMIT, RawServer, Reply, Request, lock};

/// A literal credential, which only the first service may see.
const LITERAL: &str = "literal-pass/word+1";

/// One redirect of a chain.
#[derive(Debug, Clone)]
struct Step {
    status: u16,
    /// The index of the target among three services.
    to: usize,
    /// The URL is relative, without a host.
    relative: bool,
    /// The URL repeats the secret.
    echoes: bool,
}

/// The place of a credential in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Literal,
    Reference,
    Cookie,
    Basic,
    Named,
    Url,
    Body,
}

const KINDS: [Kind; 7] = [
    Kind::Literal,
    Kind::Reference,
    Kind::Cookie,
    Kind::Basic,
    Kind::Named,
    Kind::Url,
    Kind::Body,
];

impl Kind {
    /// The request with this credential.
    fn of(self, url: &str) -> Client {
        let client = Client::post(url).template("Host", "front.example");
        match self {
            Self::Literal => {
                let mut client = client.header("Authorization", HeaderValue::Withheld);
                client.credentials = vec![Credential {
                    name: "Authorization".to_owned(),
                    value: format!("Bearer {LITERAL}"),
                }];
                client
            }
            Self::Reference => client.template("X-Who", "{env:SECRET}"),
            Self::Cookie => client.template("Cookie", &format!("id={LITERAL}; a={{name}}")),
            Self::Basic => client.header(
                "Authorization",
                HeaderValue::Basic("me:{env:SECRET}".to_owned()),
            ),
            Self::Named => client.template("X-Api-Key", LITERAL),
            Self::Url => Client {
                request: stride::settings::Request {
                    url: format!("{url}?key={{env:SECRET}}"),
                    ..client.request
                },
                ..client
            },
            Self::Body => Client {
                request: stride::settings::Request {
                    body: Body::Pieces {
                        pieces: vec![Piece::Text {
                            template: "hello {env:SECRET}".to_owned(),
                            escape: Escape::Nothing,
                        }],
                    },
                    ..client.request
                },
                ..client
            },
        }
    }

    /// Returns whether the credential is the secret that the request refers to.
    fn is_reference(self) -> bool {
        matches!(self, Self::Reference | Self::Basic | Self::Url | Self::Body)
    }

    /// Returns whether a request has the credential in its headers.
    fn is_in(self, request: &Request) -> bool {
        let name = match self {
            Self::Literal | Self::Basic => "authorization",
            Self::Reference => "x-who",
            Self::Cookie => "cookie",
            Self::Named => "x-api-key",
            Self::Url | Self::Body => return leaks(request),
        };
        request.header(name).is_some()
    }
}

/// Returns whether any form of a credential occurs anywhere in a request.
fn leaks(request: &Request) -> bool {
    let headers = format!("{:?}", request.headers);
    let body = String::from_utf8_lossy(&request.body);
    let basic = Credential::basic(format!("me:{SECRET}").as_bytes());
    let encoded = SECRET.replace('/', "%2F").replace('+', "%2B");
    [&request.target, &headers, &*body].iter().any(|text| {
        [SECRET, LITERAL, &basic, &encoded]
            .iter()
            .any(|form| text.contains(form))
    })
}

/// An expected request: its service, its method, whether it has the credentials and the user's `Host`, and whether it
/// has the body.
type Seen = (usize, String, bool, bool);

/// Returns the expected requests of a chain: a POST becomes a GET after 301, 302 and 303, and a credential that is
/// dropped at another service never returns. Also returns whether the last redirect is not followed.
fn expected(kind: Kind, steps: &[Step]) -> (Vec<Seen>, bool) {
    let (mut at, mut strayed, mut has_body) = (0, false, true);
    let seen = |at, strayed: bool, has_body| {
        let method = if has_body { "POST" } else { "GET" };
        (at, method.to_owned(), !strayed, has_body)
    };
    let mut all = vec![seen(at, strayed, has_body)];
    for step in steps {
        at = if step.relative { at } else { step.to };
        strayed |= at != 0;
        has_body &= matches!(step.status, 307 | 308);
        if strayed && (step.echoes || has_body && kind == Kind::Body) {
            return (all, true);
        }
        all.push(seen(at, strayed, has_body));
    }
    (all, false)
}

#[test]
fn row_106_nothing_of_a_credential_follows_a_redirect_away_from_the_first_service() {
    let steps: Arc<Mutex<Vec<Step>>> = Arc::default();
    let ports: Arc<Mutex<Vec<u16>>> = Arc::default();
    let log: Arc<Mutex<Vec<(usize, Request)>>> = Arc::default();
    let services: Vec<FakeApi> = (0..3)
        .map(|at| {
            let (steps, ports, log) = (Arc::clone(&steps), Arc::clone(&ports), Arc::clone(&log));
            FakeApi::start(move |request| {
                lock(&log).push((at, request.clone()));
                let hop = request.target.split('?').next().unwrap_or_default();
                let hop: usize = hop[1..].parse().unwrap();
                let Some(step) = lock(&steps).get(hop).cloned() else {
                    return Reply::json(1);
                };
                let host = format!("http://127.0.0.1:{}", lock(&ports)[step.to]);
                let host = if step.relative { "" } else { &host };
                let echo = if step.echoes { SECRET } else { "" };
                Reply::status(step.status).header("Location", format!("{host}/{}?{echo}", hop + 1))
            })
        })
        .collect();
    *lock(&ports) = services.iter().map(FakeApi::port).collect();
    let step = (
        prop::sample::select(vec![301, 302, 303, 307, 308]),
        0..3_usize,
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(status, to, relative, echoes)| Step {
            status,
            to,
            relative,
            echoes,
        });
    let chains = (
        prop::sample::select(KINDS.to_vec()),
        prop::collection::vec(step, 1..=5),
    );
    let mut runner = TestRunner::new(Config {
        cases: 256,
        failure_persistence: None,
        ..Config::default()
    });
    let tried = runner.run(&chains, |(kind, mut chain)| {
        for step in &mut chain {
            step.echoes &= kind.is_reference();
        }
        lock(&steps).clone_from(&chain);
        lock(&log).clear();
        let mut client = kind.of(&format!("{}/0", services[0].url()));
        client.request.transport.redirects = 5;
        let outcome = client.call();
        let log = std::mem::take(&mut *lock(&log));
        for (at, request) in &log {
            prop_assert!(*at == 0 || !leaks(request), "{request:?}");
        }
        let seen: Vec<Seen> = log
            .iter()
            .enumerate()
            .map(|(hop, (at, request))| {
                let own_host = request.header("host") == Some("front.example");
                // The secret of a URL belongs to that URL alone.
                let credential = match kind {
                    Kind::Url => hop > 0 || kind.is_in(request),
                    Kind::Body => request.body.is_empty() || kind.is_in(request),
                    kind => kind.is_in(request),
                };
                let has_body = !request.body.is_empty();
                (
                    *at,
                    request.method.clone(),
                    own_host && credential,
                    has_body,
                )
            })
            .collect();
        let (expected, ends_early) = expected(kind, &chain);
        prop_assert_eq!(&seen, &expected);
        if ends_early {
            prop_assert_eq!(failed(outcome).kind.as_str(), "redirect");
        } else {
            prop_assert!(matches!(outcome, Outcome::Succeeded(_)), "{outcome:?}");
        }
        Ok(())
    });
    tried.unwrap();
}

/// A service that requests a client certificate without insisting. It answers each request with this head, and records
/// whether it received a certificate.
pub(super) fn asking(
    ours: &CertifiedIssuer<'static, KeyPair>,
    head: String,
) -> (RawServer, mpsc::Receiver<bool>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let (chain, key) = signed_by(ours, "localhost").into_parts();
    let mut roots = RootCertStore::empty();
    roots.add(ours.as_ref().der().clone()).unwrap();
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.allow_unauthenticated().build().unwrap())
        .with_single_cert(chain, PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let config = Arc::new(config);
    let (tell, shown) = mpsc::channel();
    let server = RawServer::start(move |connection| {
        let session = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = StreamOwned::new(session, connection);
        let (mut received, mut byte) = (Vec::new(), [0]);
        let is_whole = |received: &[u8]| match received.starts_with(b"GET") {
            true => received.ends_with(b"\r\n\r\n"),
            false => received.ends_with(b"\r\n\r\nhello"),
        };
        while !is_whole(&received) {
            match stream.read(&mut byte) {
                Ok(1) => received.push(byte[0]),
                _ => return,
            }
        }
        let _ = tell.send(stream.conn.peer_certificates().is_some());
        let _ = write!(
            stream,
            "HTTP/1.1 {head}\r\ncontent-length: 1\r\nconnection: close\r\n\r\n1"
        );
    });
    (server, shown)
}

/// A file with a client certificate and its key.
pub(super) fn certificate(client: &Client, ours: &CertifiedIssuer<'static, KeyPair>) -> PathBuf {
    let (chain, key) = signed_by(ours, "client").into_parts();
    let key = STANDARD.encode(key.serialize_der());
    let key = format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n");
    let file = client.job("client.pem", (pem(&chain[0]) + &key).as_bytes());
    file.file
}

#[test]
fn row_106_a_client_certificate_is_not_shown_to_another_service() {
    let ours = authority();
    let (second, shown_to_second) = asking(&ours, "200 OK".to_owned());
    for (location, to_first, to_second) in [
        ("/next".to_owned(), 2, 0),
        (format!("https://localhost:{}/", second.port()), 1, 1),
    ] {
        let (first, shown) = asking(&ours, format!("307 Else\r\nlocation: {location}"));
        let mut client = Client::post(&format!("https://localhost:{}/", first.port()));
        let certificate = certificate(&client, &ours);
        let transport = &mut client.request.transport;
        transport.certificate = Some(certificate);
        transport.insecure = true;
        transport.redirects = 1;
        let outcome = client.call();
        let shown: Vec<bool> = shown.try_iter().collect();
        assert_eq!(shown, vec![true; to_first], "{outcome:?}");
        let shown: Vec<bool> = shown_to_second.try_iter().collect();
        assert_eq!(shown, vec![false; to_second], "{outcome:?}");
        match to_second {
            1 => assert_eq!(succeeded(outcome).body, b"1"),
            _ => assert_eq!(failed(outcome).kind.as_str(), "redirect"),
        }
    }
}

#[test]
fn row_106_a_blank_location_is_not_a_redirect() {
    for location in ["", "  "] {
        let api = FakeApi::start(move |_| Reply::status(307).header("Location", location));
        let mut client = Client::post(&api.url());
        client.request.transport.redirects = 50;
        assert_eq!(failed(client.call()).kind.as_str(), "redirect");
        assert_eq!(api.requests(), 1);
    }
}

/// A closed port.
fn closed_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn row_107_a_redirected_call_counts_as_sent_whether_or_not_the_next_hop_fails() {
    let silent = RawServer::start(
        |mut connection| {
            while matches!(connection.read(&mut [0; 1024]), Ok(1..)) {}
        },
    );
    for (target, kind) in [
        (
            format!("http://127.0.0.1:{}/", closed_port()),
            "unreachable",
        ),
        // A handshake that does not end.
        (
            format!("https://127.0.0.1:{}/", silent.port()),
            "unreachable",
        ),
        ("http://nobody.invalid/".to_owned(), "dns"),
    ] {
        let api = FakeApi::start({
            let target = target.clone();
            move |_| Reply::status(307).header("Location", &target)
        });
        let mut client = Client::post(&api.url()).with(|settings| {
            settings.connect_timeout = Duration::from_millis(300);
        });
        client.request.transport.redirects = 1;
        let outcome = client.call();
        assert!(is_in_doubt(&outcome, kind), "{target}: {outcome:?}");
        let message = &outcome.failure().unwrap().message;
        assert!(message.starts_with("after a redirect: "), "{message}");
        assert_eq!(api.requests(), 1);
    }
}

#[test]
fn row_107_a_file_that_is_missing_at_the_next_hop_is_a_failure_of_a_sent_call() {
    let client = Client::post("http://unused/");
    let job = client.job("a.txt", b"hello");
    let file = job.file.clone();
    let api = FakeApi::start(move |_| {
        let _ = std::fs::remove_file(&file);
        Reply::status(307).header("Location", "/next")
    });
    let mut client = Client {
        request: stride::settings::Request {
            url: api.url(),
            ..client.request
        },
        ..client
    };
    client.request.transport.redirects = 1;
    let failure = failed(client.call_for(&job));
    assert_eq!(
        (failure.class, failure.kind.as_str()),
        (Class::Input, "input_missing")
    );
}

#[test]
fn row_107_a_stop_while_the_next_hop_connects_leaves_doubt() {
    let (tell, accepted) = mpsc::channel();
    let silent = RawServer::start(move |mut connection| {
        let _ = tell.send(());
        while matches!(connection.read(&mut [0; 1024]), Ok(1..)) {}
    });
    let target = format!("https://127.0.0.1:{}/", silent.port());
    let api = FakeApi::start(move |_| Reply::status(307).header("Location", &target));
    let mut client = Client::post(&api.url());
    client.request.transport.redirects = 1;
    let job = client.job("a.txt", b"hello");
    let (mut caller, cancel) = (client.caller(), Cancel::new());
    let outcome = thread::scope(|scope| {
        let call = scope.spawn(|| caller.call(&job, &attempt(1), &cancel));
        accepted.recv_timeout(LIMIT).unwrap();
        cancel.cancel();
        call.join().unwrap()
    });
    assert!(is_in_doubt(&outcome, "stopped"), "{outcome:?}");
}
