//! Serves the demo's API on this machine, in one background thread: a small stand-in for the paid services
//! that `stride` is for. It takes its time, limits its callers, and now and then it fails.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::sync::oneshot;

pub(crate) use super::service::Options;
use super::service::Service;

/// How long to accept no connections when one could not be accepted, which is when files have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// The API while it is served. Dropped, it stops.
#[derive(Debug)]
pub(crate) struct Api {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Api {
    /// Starts to serve. When this returns, calls are accepted.
    pub(crate) fn start(options: Options) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)))?;
        let address = listener.local_addr()?;
        let service = Arc::new(Service::new(address, options));
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("demo api".to_owned())
            .spawn(move || {
                // The runtime ends with the thread, and whatever is in progress with the runtime.
                runtime.block_on(async {
                    tokio::select! {
                        _ = stopped => {}
                        () = accept(listener, service) => {}
                    }
                });
            })?;
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the thread ends, which it does not by itself.
    pub(crate) fn wait(mut self) -> io::Result<()> {
        self.thread
            .take()
            .map_or(Ok(()), JoinHandle::join)
            .map_err(|_| io::Error::other("the thread of the demo's API has panicked"))
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        // A dropped sender ends the thread.
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has stopped, too.
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, service: Arc<Service>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(converse(stream, Arc::clone(&service)));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Answers the requests of one connection. It may idle for as long as it likes: the callers are on this machine,
/// and a connection that is closed while the next request is on its way leaves that call in doubt.
async fn converse(stream: TcpStream, service: Arc<Service>) {
    // Without it an answer could wait for the caller to acknowledge its head.
    let _ = stream.set_nodelay(true);
    let answer = service_fn(|request| service.answer(request));
    // What breaks a connection is its caller's concern alone.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    const TEXT: &str = "VADER is smart, handsome, and funny.";

    fn serve(options: Options) -> Api {
        Api::start(options).unwrap()
    }

    fn with_faults() -> Api {
        serve(Options {
            faults: true,
            ..Options::default()
        })
    }

    fn connect(api: &Api) -> TcpStream {
        let stream = TcpStream::connect(api.address()).unwrap();
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).unwrap();
        stream
    }

    /// Sends a head, to which the last lines are added, and a body; the whole answer as text.
    fn send(api: &Api, head: &str, body: &[u8]) -> String {
        let mut stream = connect(api);
        let length = body.len();
        let rest = format!("Host: demo\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        stream
            .write_all(format!("{head}\r\n{rest}").as_bytes())
            .unwrap();
        stream.write_all(body).unwrap();
        read(stream)
    }

    fn read(mut stream: TcpStream) -> String {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn post(api: &Api, text: &str) -> String {
        send(api, "POST /sentiment HTTP/1.1", text.as_bytes())
    }

    fn has_status(answer: &str, status: u16) -> bool {
        answer.starts_with(&format!("HTTP/1.1 {status} "))
    }

    #[track_caller]
    fn assert_answer(answer: &str, status: u16, body: &str) {
        assert!(has_status(answer, status), "{answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{answer}");
        let json = "\r\ncontent-type: application/json\r\n";
        assert!(answer.contains(json), "{answer}");
    }

    #[test]
    fn a_text_gets_its_score() {
        let api = serve(Options::default());
        let score = r#"{"label":"positive","score":0.8316,"words":6}"#;
        assert_answer(&post(&api, TEXT), 200, score);
        let elsewhere = send(&api, "POST / HTTP/1.1", TEXT.as_bytes());
        assert_answer(&elsewhere, 200, score);
        let nothing = r#"{"label":"neutral","score":0.0,"words":0}"#;
        assert_answer(&post(&api, ""), 200, nothing);
        let latin1 = send(&api, "POST / HTTP/1.1", b"tr\xe8s good");
        let good = r#"{"label":"positive","score":0.4404,"words":2}"#;
        assert_answer(&latin1, 200, good);
    }

    #[test]
    fn it_says_what_it_is() {
        let api = serve(Options::default());
        let about = send(&api, "GET / HTTP/1.1", b"");
        assert!(has_status(&about, 200), "{about}");
        let url = format!("http://{}/sentiment", api.address());
        assert!(about.contains(&url), "{about}");
        let head = send(&api, "HEAD / HTTP/1.1", b"");
        assert!(has_status(&head, 200), "{head}");
        assert!(head.ends_with("\r\n\r\n"), "{head}");
        let put = send(&api, "PUT / HTTP/1.1", TEXT.as_bytes());
        assert_answer(&put, 405, r#"{"error":"send the text with POST"}"#);
        assert!(put.contains("\r\nallow: GET, HEAD, POST\r\n"), "{put}");
    }

    #[test]
    fn calls_over_the_limit_are_put_off() {
        // So low that the test cannot be too slow for it.
        let api = serve(Options {
            limit: Some(1e-6),
            ..Options::default()
        });
        assert!(has_status(&post(&api, TEXT), 200));
        let answer = post(&api, TEXT);
        assert_answer(&answer, 429, r#"{"error":"rate limit exceeded"}"#);
        assert!(answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
        assert!(has_status(&send(&api, "GET / HTTP/1.1", b""), 200));
    }

    #[test]
    fn some_texts_fail_at_their_first_attempt_only() {
        let api = with_faults();
        let failure = r#"{"error":"internal error, please retry"}"#;
        let text = |number| format!("This is the recording of call {number}.");
        let failed: Vec<_> = (0..300)
            .map(|number| (number, post(&api, &text(number))))
            .filter(|(_, answer)| !has_status(answer, 200))
            .collect();
        assert!((3..=18).contains(&failed.len()), "{}", failed.len());
        for (number, answer) in failed {
            assert_answer(&answer, 500, failure);
            assert!(has_status(&post(&api, &text(number)), 200));
        }
    }

    #[test]
    fn texts_that_are_too_short_are_refused() {
        let api = with_faults();
        let refusal = r#"{"error":"the transcript is too short to be scored"}"#;
        for text in ["", "Hello?", "Hello?", "one two three four\n"] {
            assert_answer(&post(&api, text), 422, refusal);
        }
        assert!(has_status(&post(&serve(Options::default()), "Hello?"), 200));
    }

    #[test]
    fn a_huge_body_is_taken() {
        let api = serve(Options::default());
        let answer = post(&api, &"All is well. ".repeat(3 << 20));
        assert!(has_status(&answer, 200), "{answer}");
        assert!(answer.contains(r#""words":500}"#), "{answer}");
    }

    #[test]
    fn a_caller_may_ask_before_it_sends() {
        let api = serve(Options::default());
        let mut stream = connect(&api);
        let head = "POST / HTTP/1.1\r\nHost: demo\r\nContent-Length: 4\r\nConnection: close\r\n";
        write!(stream, "{head}Expect: 100-continue\r\n\r\n").unwrap();
        let mut go_on = [0; 25];
        stream.read_exact(&mut go_on).unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(b"good").unwrap();
        let good = r#"{"label":"positive","score":0.4404,"words":1}"#;
        assert_answer(&read(stream), 200, good);
    }

    #[test]
    fn broken_and_idle_connections_harm_nobody() {
        let api = serve(Options::default());
        let half = b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf";
        let mut idle = connect(&api);
        let mut slow = connect(&api);
        slow.write_all(half).unwrap();
        for broken in [b"".as_slice(), b"\r\n\r\n\0\0", b"GET", half] {
            connect(&api).write_all(broken).unwrap();
        }
        let mut twice = connect(&api);
        let get = "GET / HTTP/1.1\r\n";
        write!(twice, "{get}\r\n{get}Connection: close\r\n\r\n").unwrap();
        assert_eq!(read(twice).matches("HTTP/1.1 200 OK").count(), 2);
        assert!(has_status(&post(&api, TEXT), 200));
        // Nor do they hold up its end.
        drop(api);
        assert_eq!(idle.read(&mut [0]).unwrap(), 0);
        drop(slow);
    }
}
