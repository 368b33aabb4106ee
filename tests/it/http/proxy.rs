//! Proxies, and data that must not be sent unencrypted. Tests of the environment run the whole program.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

use stride::caller::PlanError;
use stride::job::Outcome;
use stride::settings::HeaderValue;

use super::{Client, succeeded};
use crate::cli::Place;
use crate::support::{Counter, FakeApi, RawServer, Reply};

/// Starts a run of one file with these variables, and waits until the first attempt has an outcome.
fn recorded(url: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let place = Place::new();
    place.write("a.txt", "hello");
    let mut command = place.command(&["run", "--url", url, "a.txt"]);
    command.envs(variables.iter().copied());
    let running = place.begin_command(&mut command);
    let attempts = || place.sql("SELECT outcome, kind FROM attempt WHERE ended IS NOT NULL");
    place.until(|| place.at("stride.db").exists() && !attempts().is_empty());
    running.kill();
    attempts().remove(0)
}

#[test]
fn a_proxy_of_the_environment_is_used() {
    let proxy = FakeApi::start(|_| Reply::json(1));
    let variables = [("http_proxy", proxy.url())];
    let variables = variables
        .each_ref()
        .map(|(name, url)| (*name, url.as_str()));
    assert_eq!(
        recorded("http://service.invalid/x", &variables)[0],
        "succeeded"
    );
    assert_eq!(proxy.log()[0].request.target, "http://service.invalid/x");
}

#[test]
fn with_an_absent_proxy_nothing_is_sent() {
    let nobody = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let gone = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let attempt = recorded("http://service.invalid/", &[("http_proxy", &gone)]);
    assert_eq!(attempt, ["not_sent", "unreachable"]);
}

/// A proxy that answers CONNECT with this status.
fn refusing(status: &'static str) -> (RawServer, Counter) {
    let asked = Counter::default();
    let tell = asked.clone();
    let server = RawServer::start(move |mut connection| {
        let mut bytes = [0; 1024];
        let read = connection.read(&mut bytes).unwrap_or(0);
        if bytes[..read].starts_with(b"CONNECT service.invalid:443 ") {
            tell.add();
        }
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        let _ = connection.write_all(answer.as_bytes());
    });
    (server, asked)
}

#[test]
fn a_refused_tunnel_is_reported_with_its_status() {
    for (status, kind, number) in [
        ("403 Forbidden", "proxy", "403"),
        ("407 Proxy Authentication Required", "proxy", "407"),
        ("302 Found", "proxy", "302"),
        // The proxy cannot reach the service, which is a transient failure.
        ("503 Service Unavailable", "unreachable", "503"),
    ] {
        let (proxy, asked) = refusing(status);
        let mut client = Client::post("https://service.invalid/");
        client.request.transport.proxy = Some(proxy.url());
        let outcome = client.call();
        let Outcome::Unreachable(failure) = &outcome else {
            panic!("{status}: {outcome:?}");
        };
        assert_eq!(failure.kind.as_str(), kind, "{status}");
        let said = format!("the proxy answered CONNECT with HTTP {number}");
        assert_eq!(failure.message, said);
        assert!((1..=2).contains(&asked.get()), "{status}");
    }
}

#[test]
fn a_refused_tunnel_of_the_environments_proxy_is_reported_too() {
    let (proxy, asked) = refusing("403 Forbidden");
    let attempt = recorded("https://service.invalid/", &[("https_proxy", &proxy.url())]);
    assert_eq!(attempt, ["not_sent", "proxy"]);
    asked.wait_for(2);
}

/// A process has one environment, so this test runs in its own process.
#[test]
fn a_proxy_is_shown_and_can_be_bypassed() {
    let proxy = FakeApi::start(|_| Reply::json(1));
    let variable = format!("http://me:hunter2pass@127.0.0.1:{}", proxy.port());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "http::proxy::with_a_proxy"])
        .env_clear()
        .env("http_proxy", variable)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
    let log = proxy.log();
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].request.target, "http://service.invalid/");
    // me:hunter2pass
    assert_eq!(
        log[0].request.header("proxy-authorization"),
        Some("Basic bWU6aHVudGVyMnBhc3M=")
    );
}

#[test]
#[ignore = "the test above runs it, with a proxy in its environment"]
fn with_a_proxy() {
    let mut client = Client::post("http://service.invalid/");
    let told = client.plan().unwrap().proxy().unwrap();
    assert!(told.starts_with("http://***@127.0.0.1:"), "{told}");
    succeeded(client.call());
    client.network.no_proxy = true;
    assert_eq!(client.plan().unwrap().proxy(), None);
    let outcome = client.call();
    assert!(matches!(outcome, Outcome::Unreachable(_)), "{outcome:?}");
}

#[test]
fn a_credential_for_another_machine_is_not_sent_unencrypted() {
    let mut client = Client::post("http://service.invalid/").template("X-Who", "{env:SECRET}");
    let error = client.plan().unwrap_err();
    assert!(matches!(&error, PlanError::Plain { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "the header `X-Who` would be sent to service.invalid unencrypted"
    );
    client.network.allow_plain_http = true;
    client.plan().unwrap();
    let absent = Client::post("http://service.invalid/").header("X-Who", HeaderValue::Absent);
    absent.plan().unwrap();

    let place = Place::new();
    place.write("a.txt", "hello");
    let url = "http://me:hunter2pass@service.invalid/";
    place
        .stride(&["run", "--url", url, "a.txt"])
        .expect(2)
        .says("--allow-plain-http");
    assert!(!place.at("stride.db").exists());
}
