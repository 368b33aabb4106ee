//! Faults before an answer.

use std::io::Read as _;
use std::net::TcpListener;

use super::{counts, named, place, run};
use crate::cli::listed;
use crate::support::{FakeApi, RawServer, Reply};

/// The URL of a closed port.
fn closed_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/", listener.local_addr().unwrap())
}

#[test]
fn row_61_an_absent_service_is_waited_for_and_charged_to_no_file() {
    let place = place(5);
    let url = closed_url();
    place
        .stride(&run(
            &url,
            &["-j", "3", "--max-outage", "2s", "--retries", "0"],
        ))
        .expect(75)
        .says("the service was unavailable for")
        .says("cannot connect")
        .says("stride resume")
        .says("check the URL: its host, its port, and http:// or https://");
    counts(&place, &[("pending", 5), ("failed", 0), ("in_doubt", 0)]);
    let charged = place.sql("SELECT sum(charged) FROM work").concat();
    assert_eq!(charged, ["0"]);
    let outcomes = place.sql("SELECT DISTINCT outcome FROM attempt").concat();
    assert_eq!(outcomes, ["not_sent"]);
}

#[test]
fn row_61_a_port_without_tls_that_closes_the_connection_is_named() {
    let service = RawServer::start(|mut connection| {
        let _ = connection.read(&mut [0; 512]);
    });
    let place = place(5);
    place
        .stride(&run(
            &service.url().replace("http://", "https://"),
            &["--max-outage", "500ms", "-k"],
        ))
        .expect(75)
        .says("closed the connection in the TLS handshake; is it a port of http://?")
        .says("check the URL");
    counts(&place, &[("pending", 5), ("failed", 0), ("in_doubt", 0)]);
}

#[test]
fn row_61_an_unknown_host_stops_the_run() {
    let place = place(5);
    place
        .stride(&run("http://nobody.invalid/", &["-j", "3"]))
        .expect(4)
        .says("the service's name cannot be resolved");
    counts(&place, &[("pending", 5), ("failed", 0), ("attempts", 5)]);
}

#[test]
fn row_62_a_connection_without_an_answer_times_out() {
    // A listener that never accepts, and whose queue is full: no further connection is accepted.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let patience = std::time::Duration::from_millis(200);
    let mut waiting = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, patience) {
        waiting.push(stream);
        assert!(waiting.len() < 10_000, "the queue is never full");
    }
    let place = place(3);
    let url = format!("http://{address}/");
    place
        .stride(&run(
            &url,
            &["--connect-timeout", "200ms", "--max-outage", "1s"],
        ))
        .expect(75)
        .says("the service was unavailable for");
    counts(&place, &[("pending", 3), ("in_doubt", 0)]);
}

#[test]
fn row_63_a_service_that_never_answers_leaves_doubt_and_the_same_key() {
    let api = FakeApi::start(|request| match request.target.as_str() {
        "/0001" => Reply::hang(),
        _ => Reply::json(1),
    });
    let place = place(3);
    let url = named(&api);
    place
        .stride(&run(&url, &["--timeout", "300ms", "--retries", "1"]))
        .expect(3);
    counts(&place, &[("done", 2), ("failed", 1), ("in_doubt", 2)]);
    let log = api.log();
    let keys: Vec<_> = log
        .iter()
        .filter(|call| call.target == "/0001")
        .map(|call| &call.key)
        .collect();
    assert!(
        keys.len() == 2 && keys[0] == keys[1] && keys[0].is_some(),
        "{keys:?}"
    );
}

#[test]
fn row_69_a_credential_is_not_sent_unencrypted() {
    let place = place(1);
    let header = ["-H", "Authorization: Bearer {env:KEY}"];
    let mut command = place.command(&run("http://service.example/", &header));
    let output = command.env("KEY", "sesame-open-now").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--allow-plain-http"), "{said}");
    assert_eq!(listed(&place.at("")), ["texts"], "nothing was made");
}

#[test]
fn row_70_redirects_are_not_followed_and_stop_the_run() {
    for status in [301, 302, 303, 307, 308] {
        let api = FakeApi::start(move |_| Reply::status(status).header("Location", "/else"));
        let place = place(30);
        place
            .stride(&run(&api.url(), &["-j", "4"]))
            .expect(4)
            .says("redirects")
            .says("/else")
            .says("-L follows the redirect");
        assert_eq!(
            api.requests(),
            5,
            "three answers, and two elsewhere in the list"
        );
        counts(&place, &[("pending", 30), ("failed", 0)]);
        assert!(api.log().iter().all(|call| call.target == "/"));
    }
}

#[test]
fn row_70_one_redirect_among_answers_is_a_failure_of_that_file() {
    let api = FakeApi::start(|request| match request.target.as_str() {
        "/0003" => Reply::status(307).header("Location", b"/x\xe2\x80\xaegpj.exe"),
        _ => Reply::json(1),
    });
    let place = place(12);
    let url = named(&api);
    let ran = place.stride(&run(&url, &["-j", "2"])).expect(3);
    assert!(!ran.stderr.contains('\u{202e}'), "{:?}", ran.stderr);
    counts(&place, &[("done", 11), ("failed", 1)]);
    let failures = place.stride(&["failures", "--json"]).json();
    assert_eq!(failures[0]["kind"], "redirect");
}

#[test]
fn row_71_a_proxy_is_shown_once_and_can_be_bypassed() {
    let proxy = FakeApi::start(|_| Reply::json("\"by the proxy\""));
    let api = FakeApi::start(|_| Reply::json(1));
    let variable = proxy.url().replace("http://", "http://me:hunter2pass@");
    let with = |words: &[&str]| {
        let place = place(3);
        let mut command = place.command(&run("http://service.invalid/", words));
        let output = command.env("http_proxy", &variable).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, said) = with(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.matches("proxy:").count(), 1, "{said}");
    assert!(!said.contains("hunter2pass"), "{said}");
    assert_eq!(proxy.requests(), 3);
    let (code, said) = with(&["--no-proxy"]);
    assert_eq!(code, Some(4), "{said}");
    assert_eq!((proxy.requests(), api.requests()), (3, 0));
}
