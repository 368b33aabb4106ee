//! Services that send unsolicited bytes over reused connections.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Instant;

use stride::caller::{Caller as _, Cancel, HttpCaller};
use stride::job::{Job, Outcome};

use super::{Client, attempt, succeeded};
use crate::cli::Place;
use crate::support::{FakeApi, LIMIT, Reply};

/// An answer with this body.
fn answer(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Reads a request and returns its head, or `None` at the end of the connection.
fn read_request(from: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if from.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.to_ascii_lowercase();
    let length = length.split("content-length: ").nth(1)?;
    let length = length.split("\r\n").next()?.parse().ok()?;
    from.take(length).read_to_end(&mut Vec::new()).ok()?;
    Some(head)
}

/// Writes unsolicited bytes to a client, and waits until they arrive.
fn say_unasked(mut to: &TcpStream, text: &str) {
    to.write_all(text.as_bytes()).unwrap();
    let client = format!(":{:04X}", to.peer_addr().unwrap().port());
    // The second column of a line is the client's own address, the fifth the number of bytes that it has received and
    // not read.
    let has_arrived = || {
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
        sockets.lines().any(|line| {
            let mut words = line.split_ascii_whitespace().skip(1);
            let is_client = words.next().is_some_and(|own| own.ends_with(&client));
            let queues = words.nth(2).unwrap_or_default();
            is_client && !queues.ends_with(":00000000")
        })
    };
    let began = Instant::now();
    while !has_arrived() {
        assert!(began.elapsed() < LIMIT, "the bytes never arrived");
        thread::yield_now();
    }
}

/// A service with a thread for each connection. The function makes each answer from the connection's number, the number
/// of earlier requests over it, and the request's path.
struct Service {
    port: u16,
    /// The numbers of the connections of the requests.
    used: Receiver<usize>,
    connections: Receiver<TcpStream>,
}

impl Service {
    fn start(reply: impl Fn(usize, usize, &str) -> String + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, used) = mpsc::channel();
        let (hand_over, connections) = mpsc::channel();
        // The thread ends with the process, and its connections with their clients.
        thread::spawn(move || {
            for (number, connection) in listener.incoming().enumerate() {
                let connection = connection.unwrap();
                let _ = hand_over.send(connection.try_clone().unwrap());
                let (tell, reply) = (tell.clone(), reply.clone());
                thread::spawn(move || serve(connection, number, &tell, &reply));
            }
        });
        Self {
            port,
            used,
            connections,
        }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/{{name}}", self.port)
    }

    /// The connections of the requests so far.
    fn used(&self) -> Vec<usize> {
        self.used.try_iter().collect()
    }

    /// The next new connection.
    fn connection(&self) -> TcpStream {
        self.connections.recv_timeout(LIMIT).unwrap()
    }
}

fn serve(
    mut connection: TcpStream,
    number: usize,
    tell: &Sender<usize>,
    reply: &dyn Fn(usize, usize, &str) -> String,
) {
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    for before in 0.. {
        let Some(head) = read_request(&mut reader) else {
            break;
        };
        let _ = tell.send(number);
        let path = head.split(' ').nth(1).unwrap_or_default();
        if connection
            .write_all(reply(number, before, path).as_bytes())
            .is_err()
        {
            break;
        }
    }
    let _ = connection.shutdown(Shutdown::Both);
}

fn call(caller: &mut HttpCaller, job: &Job) -> Outcome {
    caller.call(job, &attempt(1), &Cancel::new())
}

#[test]
fn row_109_bytes_before_a_request_are_not_its_answer() {
    let service = Service::start(|_, _, _| answer("1"));
    let client = Client::post(&service.url());
    let job = client.job("a.txt", b"hello");
    let mut caller = client.caller();
    for _ in 0..2 {
        assert_eq!(succeeded(call(&mut caller, &job)).body, b"1");
    }
    assert_eq!(service.used(), [0, 0]);
    say_unasked(&service.connection(), &answer("2"));
    for _ in 0..2 {
        assert_eq!(succeeded(call(&mut caller, &job)).body, b"1");
    }
    assert_eq!(service.used(), [1, 1]);
}

#[test]
fn row_109_after_a_surplus_answer_no_connection_is_reused() {
    let service = Service::start(|_, _, _| answer("1"));
    let client = Client::post(&service.url());
    let job = client.job("a.txt", b"hello");
    let mut caller = client.caller();
    // A pause of a second on a busy machine would make the connection look idle for too long.
    let sees = (0..100).any(|_| {
        assert_eq!(succeeded(call(&mut caller, &job)).body, b"1");
        let connection = service.connections.try_iter().last();
        if let Some(connection) = connection {
            say_unasked(&connection, &answer("2"));
        }
        for _ in 0..4 {
            assert_eq!(succeeded(call(&mut caller, &job)).body, b"1");
        }
        let used = service.used();
        used[used.len() - 3..]
            .windows(2)
            .all(|two| two[0] != two[1])
    });
    assert!(sees, "connections are used again");
}

#[test]
fn row_109_an_announced_end_of_a_connection_is_not_a_sign() {
    let last = |body: &str| answer(body).replacen("\r\n", "\r\nConnection: close\r\n", 1);
    let service = Service::start(move |number, before, _| match number {
        0..20 if before == 1 => last("1"),
        _ => answer("1"),
    });
    let client = Client::post(&service.url());
    let job = client.job("a.txt", b"hello");
    let mut caller = client.caller();
    for _ in 0..50 {
        assert_eq!(succeeded(call(&mut caller, &job)).body, b"1");
    }
    let used = service.used();
    assert!(used[40..].iter().all(|number| *number == 20), "{used:?}");
}

#[test]
fn row_109_a_run_with_connection_close_reuses_no_connection() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    place.texts(5);
    let url = api.url();
    let words = ["run", "--url", &url, "--accept-change", "-j", "1", "-H"];
    let more = ["Connection: close", "texts"];
    place.stride(&[&words[..], &more].concat()).expect(0);
    assert_eq!((api.requests(), api.accepted()), (6, 6));
    let log = api.log();
    let asked = |call: &&crate::support::Logged| call.request.header("connection") == Some("close");
    assert_eq!(log.iter().filter(asked).count(), 5);
    assert_eq!(place.bystander(), bystander);
    let words = [
        "run",
        "--url",
        &url,
        "-H",
        "Connection: keep-alive",
        "texts",
    ];
    place.stride(&words).expect(2).says("only `close`");
}
