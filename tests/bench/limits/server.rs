//! A service with a limit, on this machine: one thread beside the caller that is measured.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::sleep;

use super::limiter::{Kind, Limiter, Verdict};
use super::log::Log;

/// How long to accept no connections when one could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// What a service does.
#[derive(Debug)]
pub(crate) struct Options {
    /// Its limit, if it has one.
    pub(crate) limiter: Option<Limiter>,
    /// When, after the first call, the limit changes to which rate.
    pub(crate) change: Option<(Duration, f64)>,
    /// How long it works on a call, and on a refusal as well.
    pub(crate) latency: Duration,
    /// How many calls it works on at once; the others queue in their order.
    pub(crate) places: usize,
    /// The window in which the most calls are looked for, if any.
    pub(crate) watched: Duration,
}

/// What changes from call to call.
struct State {
    limiter: Option<Limiter>,
    change: Option<(Duration, f64)>,
    log: Log,
    /// When the first call came, counted from the start.
    first: Option<Duration>,
}

struct Service {
    began: Instant,
    latency: Duration,
    places: Semaphore,
    state: Mutex<State>,
}

/// What a call was answered at its arrival.
struct Judged {
    /// After the first call.
    at: Duration,
    verdict: Verdict,
    /// The rate and what is left of it, where the service tells.
    told: Option<(u64, u64)>,
}

impl Service {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a call and judges it.
    fn judge(&self) -> Judged {
        let mut state = self.state();
        // Read under the lock, so that calls are judged in the order of their times.
        let now = self.began.elapsed();
        let first = *state.first.get_or_insert(now);
        let at = now.saturating_sub(first);
        let State {
            limiter, change, ..
        } = &mut *state;
        let (mut verdict, mut told) = (Verdict::Accepted, None);
        if let Some(limiter) = limiter {
            if let Some((when, rate)) = change.take_if(|(when, _)| *when <= at) {
                limiter.change(first + when, rate);
            }
            verdict = limiter.judge(now);
            if limiter.kind() == Kind::Headers {
                told = Some((limiter.rate() as u64, limiter.left()));
            }
        }
        state.log.arrived(at, verdict == Verdict::Accepted);
        Judged { at, verdict, told }
    }

    /// Answers one request. An error is one of reading it, after which nobody can be answered.
    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, hyper::Error> {
        let arrived = Instant::now();
        let judged = (request.method() == Method::POST).then(|| self.judge());
        let mut body = request.into_body();
        while let Some(frame) = body.frame().await {
            frame?;
        }
        let Some(Judged { at, verdict, told }) = judged else {
            let mut answer = json(r#"{"error":"only POST is served"}"#);
            *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            return Ok(answer);
        };
        // It is never closed; its queue is first in, first out.
        if let Ok(_place) = self.places.acquire().await {
            sleep(self.latency).await;
        }
        let mut answer = match verdict {
            Verdict::Accepted => json(r#"{"ok":true}"#),
            Verdict::Refused(_) => json(r#"{"error":"too many calls"}"#),
        };
        if let Verdict::Refused(wait) = verdict {
            *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
            answer.headers_mut().insert(RETRY_AFTER, wait.into());
        }
        if let Some((rate, left)) = told {
            let mut tell = |name, text: String| {
                if let Ok(value) = HeaderValue::try_from(text) {
                    answer.headers_mut().insert(name, value);
                }
            };
            tell("ratelimit-policy", format!("\"default\";q={rate};w=1"));
            tell("ratelimit", format!("\"default\";r={left};t=1"));
        }
        self.state().log.answered(at, arrived.elapsed());
        Ok(answer)
    }
}

fn json(text: &'static str) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::from(text));
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}

/// The service while it is served. Dropped, it stops.
pub(crate) struct Server {
    address: SocketAddr,
    service: Arc<Service>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts to serve, on a free port. When this returns, calls are accepted.
    pub(crate) fn start(options: Options) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let service = Arc::new(Service {
            began: Instant::now(),
            latency: options.latency,
            places: Semaphore::new(options.places),
            state: Mutex::new(State {
                limiter: options.limiter,
                change: options.change,
                log: Log::watching(options.watched),
                first: None,
            }),
        });
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&service);
        let thread = thread::Builder::new()
            .name("service".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        _ = stopped => {}
                        () = accept(listener, serving) => {}
                    }
                });
            })?;
        Ok(Self {
            address,
            service,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// What to call.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// How long ago the first call came.
    pub(crate) fn since_first(&self) -> Option<Duration> {
        let first = self.service.state().first?;
        Some(self.service.began.elapsed().saturating_sub(first))
    }

    /// What it has seen so far.
    pub(crate) fn log(&self) -> Log {
        self.service.state().log.clone()
    }
}

impl Drop for Server {
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
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Answers the requests of one connection.
async fn converse(stream: TcpStream, service: Arc<Service>) {
    // Without it an answer could wait for the caller to acknowledge its head.
    let _ = stream.set_nodelay(true);
    let answer = service_fn(|request| service.answer(request));
    // What breaks a connection is its caller's concern alone.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}
