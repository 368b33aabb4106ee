//! Connections: established, kept and lost, and the state of a call whose connection is lost.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use stride::caller::{Caller, Cancel};
use stride::job::{Class, Outcome};

use super::{Client, answer_to, attempt, is_in_doubt, succeeded};
use crate::support::{FakeApi, Gate, LIMIT, RawServer, Reply};

fn is_unreachable(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Unreachable(failure) if failure.kind.as_str() == "unreachable" && failure.class == Class::Transient)
}

/// A closed port.
fn closed_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

#[test]
fn a_refused_connection_is_unreachable() {
    let outcome = Client::post(&format!("http://127.0.0.1:{}/", closed_port())).call();
    assert!(is_unreachable(&outcome), "{outcome:?}");
}

#[test]
fn row_64_a_connection_that_closes_instead_of_an_answer_leaves_doubt() {
    let outcome = answer_to(Reply::close());
    assert!(is_in_doubt(&outcome, "connection_lost"), "{outcome:?}");
    let half_a_head = answer_to(Reply::raw("HTTP/1.1 200 OK\r\ncontent-le"));
    assert!(
        is_in_doubt(&half_a_head, "connection_lost"),
        "{half_a_head:?}"
    );
    let noise = answer_to(Reply::raw("SSH-2.0-OpenSSH_9.9\r\n\r\n"));
    assert!(is_in_doubt(&noise, "connection_lost"), "{noise:?}");
}

#[test]
fn row_66_a_truncated_answer_leaves_doubt() {
    for reply in [
        Reply::truncated("{\"a\": 1}", 9),
        Reply::truncated("", 1),
        // Complete, except for its announced end.
        Reply::json("{}").chunked_and_cut_off(10),
        Reply::json("[1, 2]").chunked_and_cut_off(2),
    ] {
        let outcome = answer_to(reply);
        assert!(is_in_doubt(&outcome, "truncated"), "{outcome:?}");
    }
}

#[test]
fn row_66_a_reset_while_the_file_is_sent_leaves_doubt() {
    // The system resets a connection that is closed with unread bytes.
    let server = RawServer::start(|mut connection| {
        let _ = connection.read(&mut [0; 100]);
    });
    let client = Client::post(&server.url());
    let job = client.job("a.txt", &vec![b'x'; 8 << 20]);
    let outcome = client.caller().call(&job, &attempt(1), &Cancel::new());
    assert!(is_in_doubt(&outcome, "connection_lost"), "{outcome:?}");
}

#[test]
fn row_64_a_lost_call_is_not_silently_repeated() {
    // The first answer is good, so the next call uses the same connection.
    let api = FakeApi::start(|request| {
        if request.attempt == 0 {
            Reply::json(1)
        } else {
            Reply::close()
        }
    });
    for method in ["POST", "GET", "PUT"] {
        let client = Client::post(&format!("{}/{method}", api.url())).method(method);
        let (job, mut caller) = (client.job("a.txt", b"hello"), client.caller());
        let before = api.requests();
        succeeded(caller.call(&job, &attempt(1), &Cancel::new()));
        let outcome = caller.call(&job, &attempt(2), &Cancel::new());
        assert!(is_in_doubt(&outcome, "connection_lost"), "{outcome:?}");
        assert_eq!(api.requests() - before, 2);
    }
    assert_eq!(api.accepted(), 3);
}

#[test]
fn one_connection_serves_all_calls_of_a_caller() {
    let api = FakeApi::start(|request| match request.attempt % 4 {
        0 => Reply::json("{}"),
        1 => Reply::text("no").with_status(422),
        2 => Reply::text("many").with_status(429).chunked(2),
        _ => Reply::status(204),
    });
    let client = Client::post(&api.url());
    let mut caller = client.caller();
    for n in 0..40 {
        let job = client.job(format!("{n}").as_str(), &vec![b'x'; n * 5000]);
        caller.call(&job, &attempt(1), &Cancel::new());
    }
    assert_eq!((api.requests(), api.accepted()), (40, 1));
    let _second = client
        .caller()
        .call(&client.job("x", b""), &attempt(1), &Cancel::new());
    assert_eq!(api.accepted(), 2, "callers share none");
}

#[test]
fn row_65_a_connection_that_was_closed_while_idle_is_not_used() {
    let api = FakeApi::start(|_| Reply::json(1).then_close());
    let client = Client::post(&api.url());
    let (job, mut caller) = (client.job("a.txt", b"hello"), client.caller());
    for n in 1..=100 {
        succeeded(caller.call(&job, &attempt(n), &Cancel::new()));
        api.wait_closed();
    }
    assert_eq!((api.requests(), api.accepted()), (100, 100));
}

/// Waits until the port is closed. A program that another test starts keeps a listener open between its fork and its
/// exec.
fn wait_refused(port: u16) {
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_ok() {
        assert!(began.elapsed() < LIMIT, "somebody listens at port {port}");
        std::thread::yield_now();
    }
}

#[test]
fn a_restarting_service_is_unreachable_and_leaves_no_doubt() {
    let mut api = FakeApi::start(|_| Reply::json(1));
    let port = api.port();
    let client = Client::post(&api.url());
    let (job, mut caller) = (client.job("a.txt", b"hello"), client.caller());
    let mut call = || caller.call(&job, &attempt(1), &Cancel::new());
    for _ in 0..20 {
        succeeded(call());
        // This closes the idle connection of the caller.
        drop(api);
        wait_refused(port);
        let outcome = call();
        assert!(is_unreachable(&outcome), "{outcome:?}");
        api = FakeApi::start_on(port, |_| Reply::json(1));
    }
    succeeded(call());
}

#[test]
fn a_call_that_is_cancelled_before_it_begins_is_interrupted() {
    let api = FakeApi::start(|_| Reply::json(1));
    let client = Client::post(&api.url());
    let cancel = Cancel::new();
    cancel.cancel();
    let outcome = client
        .caller()
        .call(&client.job("a.txt", b"x"), &attempt(1), &cancel);
    assert_eq!((outcome, api.accepted()), (Outcome::Interrupted, 0));
}

/// Accepts a connection and never writes, so that a TLS handshake does not end and nothing of the request is sent.
fn silent(accepted: mpsc::Sender<()>) -> RawServer {
    RawServer::start(move |mut connection| {
        let _ = accepted.send(());
        while matches!(connection.read(&mut [0; 1024]), Ok(1..)) {}
    })
}

#[test]
fn a_call_that_is_cancelled_while_connecting_is_interrupted() {
    let (tell, accepted) = mpsc::channel();
    let server = silent(tell);
    let client = Client::post(&format!("https://127.0.0.1:{}/", server.port()));
    let job = client.job("a.txt", b"hello");
    let (mut caller, cancel) = (client.caller(), Cancel::new());
    let outcome = thread::scope(|scope| {
        let call = scope.spawn(|| caller.call(&job, &attempt(1), &cancel));
        accepted.recv_timeout(LIMIT).unwrap();
        cancel.cancel();
        call.join().unwrap()
    });
    assert_eq!(outcome, Outcome::Interrupted);
}

#[test]
fn a_connection_that_cannot_be_made_in_time_is_unreachable() {
    let (tell, _accepted) = mpsc::channel();
    let server = silent(tell);
    let url = format!("https://127.0.0.1:{}/", server.port());
    let short = Duration::from_millis(100);
    let outcome = Client::post(&url)
        .with(|settings| settings.connect_timeout = short)
        .call();
    assert!(is_unreachable(&outcome), "{outcome:?}");
    let outcome = Client::post(&url)
        .with(|settings| settings.timeout = short)
        .call();
    assert!(is_unreachable(&outcome), "{outcome:?}");
}

#[test]
fn a_service_without_tls_is_unreachable_by_https() {
    let server = RawServer::start(|mut connection| {
        let _ = connection.read(&mut [0; 1024]);
        let _ = connection.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    });
    let outcome = Client::post(&format!("https://127.0.0.1:{}/", server.port())).call();
    let failure = outcome.failure().unwrap();
    assert!(
        matches!(outcome, Outcome::Unreachable(_)) && failure.kind.as_str() == "tls",
        "{outcome:?}"
    );
    assert!(failure.message.contains("does not use TLS"), "{outcome:?}");
}

/// A late timeout notice for the idle connection, or unsolicited bytes, are not the next answer.
#[test]
fn unsolicited_bytes_are_not_the_answer() {
    let whole = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    for unasked in [
        "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        "and more",
    ] {
        for kept_open in [true, false] {
            let api = FakeApi::start(move |request| match request.attempt {
                0 if kept_open => Reply::raw(format!("{whole}{unasked}")).kept_open(),
                0 => Reply::raw(format!("{whole}{unasked}")),
                _ => Reply::json("\"next\""),
            });
            let client = Client::post(&api.url());
            let (job, mut caller) = (client.job("a.txt", b"hello"), client.caller());
            let mut call = || succeeded(caller.call(&job, &attempt(1), &Cancel::new())).body;
            assert_eq!(call(), b"ok");
            assert_eq!(call(), b"\"next\"", "{unasked}");
        }
    }
}

#[test]
fn a_call_that_is_cancelled_after_it_was_sent_is_in_doubt() {
    let gate = Gate::default();
    let waiting = gate.clone();
    let api = FakeApi::start(move |request| match request.target.as_str() {
        "/silent" => Reply::json(1).when(&waiting),
        _ => Reply::stalled("[1,", 100),
    });
    for target in ["/silent", "/half"] {
        let client = Client::post(&format!("{}{target}", api.url()));
        let job = client.job("a.txt", b"hello");
        let (mut caller, cancel) = (client.caller(), Cancel::new());
        let outcome = thread::scope(|scope| {
            let call = scope.spawn(|| caller.call(&job, &attempt(1), &cancel));
            api.wait_until(|log| log.iter().any(|logged| logged.target == target));
            cancel.cancel();
            call.join().unwrap()
        });
        assert!(is_in_doubt(&outcome, "stopped"), "{outcome:?}");
    }
    gate.open();
}

/// The rest of a cancelled call's answer is not taken for the next answer.
#[test]
fn a_late_answer_is_dropped() {
    let gate = Gate::default();
    let waiting = gate.clone();
    let api = FakeApi::start(move |request| match request.attempt {
        0 => Reply::json("\"late\"").when(&waiting),
        _ => Reply::json("\"next\""),
    });
    let client =
        Client::post(&api.url()).with(|settings| settings.timeout = Duration::from_millis(500));
    let (job, mut caller) = (client.job("a.txt", b"hello"), client.caller());
    let outcome = caller.call(&job, &attempt(1), &Cancel::new());
    assert!(is_in_doubt(&outcome, "timeout"), "{outcome:?}");
    gate.open();
    api.wait_until(|log| log[0].status.is_some());
    let outcome = caller.call(&job, &attempt(2), &Cancel::new());
    assert_eq!(succeeded(outcome).body, b"\"next\"");
    assert_eq!(api.accepted(), 2);
}
