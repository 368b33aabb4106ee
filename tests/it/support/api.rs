//! A fake HTTP API: HTTP/1.1 on 127.0.0.1, a thread for each connection, its behaviour a closure.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::reply::{Framing, Then};
use super::{Gate, LIMIT, Reply, lock};

/// A request as it was received.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query, as sent.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Arc<[u8]>,
    /// The number of earlier requests with this target.
    pub(crate) attempt: usize,
    /// Which connection brought it, counted from 0.
    pub(crate) connection: usize,
}

impl Request {
    /// The first value of a header; names ignore case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The number of headers of this name.
    pub(crate) fn count(&self, name: &str) -> usize {
        let same = |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        self.headers.iter().filter(same).count()
    }

    pub(crate) fn key(&self) -> Option<&str> {
        self.header("idempotency-key")
    }
}

/// A request and its outcome.
#[derive(Debug, Clone)]
pub(crate) struct Logged {
    pub(crate) request: Arc<Request>,
    pub(crate) target: String,
    /// Its idempotency key.
    pub(crate) key: Option<String>,
    pub(crate) body: Arc<[u8]>,
    /// The status of the answer; `None` without an answer or before it.
    pub(crate) status: Option<u16>,
    /// The time of its arrival.
    pub(crate) at: Instant,
}

/// A server. Dropping it closes its connections and ends its threads.
pub(crate) struct FakeApi {
    shared: Arc<Shared>,
    port: u16,
    acceptor: Option<JoinHandle<()>>,
}

type Behaviour = dyn Fn(&Request) -> Reply + Send + Sync;

struct Shared {
    behaviour: Box<Behaviour>,
    state: Mutex<State>,
    /// Told of every request, answer and end of a connection.
    changed: Condvar,
    /// Told of the server's end.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    log: Vec<Logged>,
    seen: HashMap<String, usize>,
    accepted: usize,
    /// The connections that are open.
    open: HashMap<usize, Arc<TcpStream>>,
    /// The gates at which connections wait.
    gates: Vec<Gate>,
    in_flight: usize,
    most_in_flight: usize,
    closing: bool,
    panicked: bool,
}

impl FakeApi {
    /// A server on a port of its own.
    pub(crate) fn start(behaviour: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_on(0, behaviour)
    }

    /// A server on this port: the one that an earlier server had, for example.
    pub(crate) fn start_on(
        port: u16,
        behaviour: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            behaviour: Box::new(behaviour),
            state: Mutex::default(),
            changed: Condvar::new(),
            ended: Condvar::new(),
        });
        let acceptor = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || accept(&listener, &shared))
        };
        Self {
            shared,
            port,
            acceptor: Some(acceptor),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its address, without a slash at the end.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Every request that has arrived, in that order.
    pub(crate) fn log(&self) -> Vec<Logged> {
        lock(&self.shared.state).log.clone()
    }

    /// The number of requests that have arrived.
    pub(crate) fn requests(&self) -> usize {
        lock(&self.shared.state).log.len()
    }

    /// The number of connections accepted so far.
    pub(crate) fn accepted(&self) -> usize {
        lock(&self.shared.state).accepted
    }

    /// The maximum number of unanswered requests at once.
    pub(crate) fn most_in_flight(&self) -> usize {
        lock(&self.shared.state).most_in_flight
    }

    /// Blocks until `n` requests have arrived.
    ///
    /// # Panics
    ///
    /// It takes longer than [`LIMIT`].
    pub(crate) fn wait_for(&self, n: usize) {
        self.wait(&format!("{n} requests"), |state| state.log.len() >= n);
    }

    /// Blocks until the log of requests satisfies `such`.
    pub(crate) fn wait_until(&self, such: impl Fn(&[Logged]) -> bool) {
        self.wait("the requests", |state| such(&state.log));
    }

    /// Blocks until no connection is open.
    pub(crate) fn wait_closed(&self) {
        self.wait("the end of the connections", |state| state.open.is_empty());
    }

    fn wait(&self, what: &str, such: impl Fn(&State) -> bool) {
        let state = lock(&self.shared.state);
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, LIMIT, |state| !such(state));
        let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        let came = state.log.len();
        drop(state);
        assert!(
            !timeout.timed_out(),
            "waited for {what} in vain; {came} came"
        );
    }
}

impl Drop for FakeApi {
    fn drop(&mut self) {
        let gates = {
            let mut state = lock(&self.shared.state);
            state.closing = true;
            for connection in state.open.values() {
                let _ = connection.shutdown(Shutdown::Both);
            }
            self.shared.ended.notify_all();
            std::mem::take(&mut state.gates)
        };
        for gate in gates {
            gate.wake();
        }
        // Wakes the acceptor.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        let ended =
            self.shared
                .changed
                .wait_timeout_while(lock(&self.shared.state), LIMIT, |state| {
                    !state.open.is_empty()
                });
        let (state, timeout) = ended.unwrap_or_else(PoisonError::into_inner);
        let panicked = state.panicked;
        drop(state);
        if !thread::panicking() {
            assert!(!timeout.timed_out(), "a behaviour does not return");
            assert!(!panicked, "a behaviour panicked");
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        // The client left before it was accepted, or no descriptor is left for the moment.
        let Ok(stream) = stream else { continue };
        let _ = stream.set_nodelay(true);
        let stream = Arc::new(stream);
        let number = {
            let mut state = lock(&shared.state);
            if state.closing {
                return;
            }
            let number = state.accepted;
            state.accepted += 1;
            state.open.insert(number, Arc::clone(&stream));
            number
        };
        let mut connection = Connection {
            number,
            stream,
            shared: Arc::clone(shared),
        };
        thread::Builder::new()
            .name(format!("fake api {number}"))
            .stack_size(512 << 10)
            .spawn(move || {
                // Every failure here is the client's end of the connection.
                let _ = connection.serve();
            })
            .unwrap();
    }
}

struct Connection {
    number: usize,
    stream: Arc<TcpStream>,
    shared: Arc<Shared>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // First, so that a thread that waits for the end finds the connection closed.
        let _ = self.stream.shutdown(Shutdown::Both);
        let mut state = lock(&self.shared.state);
        state.open.remove(&self.number);
        state.panicked |= thread::panicking();
        self.shared.changed.notify_all();
    }
}

impl Connection {
    fn serve(&mut self) -> io::Result<()> {
        let stream = Arc::clone(&self.stream);
        let mut reader = BufReader::with_capacity(64 << 10, &*stream);
        while let Some(request) = read(&mut reader, &stream)? {
            let asked_to_close = request
                .header("connection")
                .is_some_and(|value| value.eq_ignore_ascii_case("close"));
            let index = self.log(request);
            let request = Arc::clone(&lock(&self.shared.state).log[index].request);
            let landing = Landing(&self.shared);
            let reply = (self.shared.behaviour)(&request);
            self.pause(reply.after);
            if let Some(gate) = &reply.gate {
                self.pass(gate);
            }
            // Known before the client can know it.
            drop(landing);
            if lock(&self.shared.state).closing {
                return Ok(());
            }
            self.answer(index, &reply, request.method == "HEAD")?;
            let closes = find_bytes(&reply.headers, "connection")
                .is_some_and(|value| value.eq_ignore_ascii_case(b"close"));
            match reply.then {
                // Until the client or the server ends the connection.
                Then::Hang => io::copy(&mut reader, &mut io::sink()).map(drop)?,
                Then::Keep if !asked_to_close && !closes => continue,
                Then::Keep | Then::Close => {}
            }
            return Ok(());
        }
        Ok(())
    }

    /// Notes a request, and returns its place in the log.
    fn log(&self, mut request: Request) -> usize {
        let mut state = lock(&self.shared.state);
        let seen = state.seen.entry(request.target.clone()).or_default();
        request.attempt = *seen;
        *seen += 1;
        request.connection = self.number;
        state.log.push(Logged {
            target: request.target.clone(),
            key: request.key().map(str::to_owned),
            body: Arc::clone(&request.body),
            status: None,
            at: Instant::now(),
            request: Arc::new(request),
        });
        state.in_flight += 1;
        state.most_in_flight = state.most_in_flight.max(state.in_flight);
        self.shared.changed.notify_all();
        state.log.len() - 1
    }

    fn answer(&self, index: usize, reply: &Reply, head_only: bool) -> io::Result<()> {
        {
            let mut state = lock(&self.shared.state);
            state.log[index].status = reply.status;
            self.shared.changed.notify_all();
        }
        (&*self.stream).write_all(&reply.written(head_only))?;
        if let Framing::Drip { size, pause } = reply.framing {
            for piece in reply.body.chunks(size) {
                self.pause(pause);
                (&*self.stream).write_all(piece)?;
            }
        }
        Ok(())
    }

    /// Waits for a time, or for the server's end.
    fn pause(&self, time: Duration) {
        if time.is_zero() {
            return;
        }
        let state = lock(&self.shared.state);
        let _ended = self
            .shared
            .ended
            .wait_timeout_while(state, time, |state| !state.closing);
    }

    /// Waits for the gate to open, or for the server's end.
    fn pass(&self, gate: &Gate) {
        lock(&self.shared.state).gates.push(gate.clone());
        gate.wait_unless(&|| lock(&self.shared.state).closing);
    }
}

/// Counts a request as answered, even if the connection fails.
struct Landing<'s>(&'s Shared);

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).in_flight -= 1;
    }
}

/// Reads one request; `None` where the client has closed the connection instead.
fn read(from: &mut BufReader<&TcpStream>, mut to: &TcpStream) -> io::Result<Option<Request>> {
    let line = line(from)?;
    let mut words = line.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Ok(None);
    };
    let mut headers = Vec::new();
    loop {
        let line = self::line(from)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or(ErrorKind::InvalidData)?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    if find(&headers, "expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
        to.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut body = Vec::new();
    if find(&headers, "transfer-encoding").is_some() {
        read_chunks(from, &mut body)?;
    } else if let Some(length) = find(&headers, "content-length") {
        let length: u64 = length.parse().map_err(|_| ErrorKind::InvalidData)?;
        from.take(length).read_to_end(&mut body)?;
        if body.len() as u64 != length {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Some(Request {
        method: method.to_owned(),
        target: target.to_owned(),
        headers,
        body: body.into(),
        attempt: 0,
        connection: 0,
    }))
}

fn read_chunks(from: &mut BufReader<&TcpStream>, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let line = line(from)?;
        let size = line.split(';').next().unwrap_or_default();
        let size = u64::from_str_radix(size.trim(), 16).map_err(|_| ErrorKind::InvalidData)?;
        if size == 0 {
            // Trailers, up to an empty line.
            while !self::line(from)?.is_empty() {}
            return Ok(());
        }
        let before = body.len() as u64;
        from.take(size).read_to_end(body)?;
        if body.len() as u64 - before != size || !self::line(from)?.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Reads a line without its end; at the end of the connection an empty one.
fn line(from: &mut BufReader<&TcpStream>) -> io::Result<String> {
    let mut line = Vec::new();
    from.take(1 << 20).read_until(b'\n', &mut line)?;
    while line
        .last()
        .is_some_and(|byte| matches!(byte, b'\r' | b'\n'))
    {
        line.pop();
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

fn find<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    let same = |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
    headers.iter().find(same).map(|(_, value)| value.as_str())
}

fn find_bytes<'h>(headers: &'h [(String, Vec<u8>)], name: &str) -> Option<&'h [u8]> {
    let same = |(other, _): &&(String, Vec<u8>)| other.eq_ignore_ascii_case(name);
    headers.iter().find(same).map(|(_, value)| value.as_slice())
}
