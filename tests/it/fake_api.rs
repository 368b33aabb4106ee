//! Tests of the fake API, on which all other tests rely.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::support::{FakeApi, Gate, LIMIT, Reply};

fn connect(api: &FakeApi) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", api.port())).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// Sends bytes on a connection of its own and reads until the server closes it.
fn exchange(api: &FakeApi, bytes: &[u8]) -> String {
    let mut stream = connect(api);
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn requests_are_read_with_every_framing() {
    let api = FakeApi::start(|request| {
        assert_eq!(request.header("X-A"), Some("b"));
        Reply::json(request.attempt)
    });
    let answers = exchange(
        &api,
        b"POST /p?q=1 HTTP/1.1\r\nx-a: b\r\ncontent-length: 5\r\n\r\nhelloPOST /p?q=1 HTTP/1.1\r\nX-A:b\r\n\
          Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\nGET / HTTP/1.1\r\nx-a: b\r\n\
          Connection: close\r\n\r\n",
    );
    let ok = |n| {
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1\r\n\r\n{n}")
    };
    assert_eq!(answers, [ok(0), ok(1), ok(0)].concat());
    let log = api.log();
    let bodies: Vec<&[u8]> = log.iter().map(|logged| &*logged.body).collect();
    assert_eq!(bodies, [&b"hello"[..], b"hello", b""]);
    assert_eq!(
        log.iter().map(|logged| logged.status).collect::<Vec<_>>(),
        [Some(200); 3]
    );
    assert_eq!(log[0].target, "/p?q=1");
    assert_eq!(api.accepted(), 1);
}

#[test]
fn a_client_that_expects_100_continue_gets_it_before_sending_the_body() {
    let api = FakeApi::start(|_| Reply::status(204).then_close());
    let mut stream = connect(&api);
    stream
        .write_all(b"PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        .unwrap();
    let mut answer = [0; 25];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"ok").unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "HTTP/1.1 204 No Content\r\n\r\n");
}

#[test]
fn answers_can_be_wrong_in_every_way() {
    let api = FakeApi::start(|request| match request.target.as_str() {
        "/close" => Reply::close(),
        "/truncated" => Reply::truncated("abc", 9),
        "/cut" => Reply::text("abcd").chunked_and_cut_off(3),
        "/chunked" => Reply::text("abcd").chunked(3).then_close(),
        "/drip" => Reply::drip("abcd", 1, Duration::from_millis(1)).then_close(),
        "/until-close" => Reply::text("abcd").until_close(),
        _ => Reply::raw("noise"),
    });
    let get = |target: &str| {
        let answer = exchange(&api, format!("GET {target} HTTP/1.1\r\n\r\n").as_bytes());
        answer
            .split_once("\r\n\r\n")
            .map_or(answer.clone(), |(_, body)| body.to_owned())
    };
    assert_eq!(get("/close"), "");
    assert_eq!(get("/truncated"), "abc");
    assert_eq!(get("/cut"), "3\r\nabc\r\n1\r\nd\r\n");
    assert_eq!(get("/chunked"), "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n");
    assert_eq!(get("/drip"), "abcd");
    assert_eq!(get("/until-close"), "abcd");
    assert_eq!(get("/raw"), "noise");
}

#[test]
fn dropping_it_ends_waiting_clients_and_frees_its_port() {
    let gate = Gate::default();
    let api = {
        let gate = gate.clone();
        FakeApi::start(move |request| match request.target.as_str() {
            "/hang" => Reply::hang(),
            "/slow" => Reply::text("").after(Duration::from_secs(1000)),
            "/gate" => Reply::text("").when(&gate),
            _ => Reply::stalled("ab", 4),
        })
    };
    let clients = ["/hang", "/slow", "/gate", "/stalled"].map(|target| {
        let mut stream = connect(&api);
        stream
            .write_all(format!("GET {target} HTTP/1.1\r\n\r\n").as_bytes())
            .unwrap();
        stream
    });
    api.wait_for(4);
    assert_eq!(api.requests(), 4);
    let port = api.port();
    drop(api);
    for mut client in clients {
        // An answer's beginning at most, then the end, or a reset.
        let _ = client.read_to_end(&mut Vec::new());
    }
    let again = FakeApi::start_on(port, |_| Reply::text("back").then_close());
    assert!(exchange(&again, b"GET / HTTP/1.1\r\n\r\n").ends_with("back"));
}

#[test]
#[should_panic(expected = "a behaviour panicked")]
fn a_behaviour_that_panics_is_a_test_that_fails() {
    let api = FakeApi::start(|_| panic!("as a failed assertion does"));
    assert_eq!(exchange(&api, b"GET / HTTP/1.1\r\n\r\n"), "");
}

#[test]
fn it_keeps_up_with_many_connections() {
    const CONNECTIONS: usize = 64;
    const REQUESTS: usize = 50;
    let api = FakeApi::start(|request| Reply::json(request.body.len()));
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut stream = connect(&api);
                stream.set_nodelay(true).unwrap();
                let mut answer = [0; 71];
                for _ in 0..REQUESTS {
                    stream
                        .write_all(b"POST /x HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc")
                        .unwrap();
                    stream.read_exact(&mut answer).unwrap();
                    assert_eq!(answer[70], b'3');
                }
            });
        }
    });
    api.wait_for(CONNECTIONS * REQUESTS);
    api.wait_closed();
    assert_eq!(api.accepted(), CONNECTIONS);
    assert!((1..=CONNECTIONS).contains(&api.most_in_flight()));
    let last = api.log().iter().map(|logged| logged.request.attempt).max();
    assert_eq!(last, Some(CONNECTIONS * REQUESTS - 1));
}
