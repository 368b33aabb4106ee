//! The called service. It runs in this process on this machine, so that its log survives every crash of the runner and
//! of the disk.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::oracle::Call;

/// A service, for as long as this process lives.
#[derive(Clone)]
pub(crate) struct Service {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    lists: Mutex<HashMap<usize, Arc<Account>>>,
    next: AtomicUsize,
    nonces: AtomicU64,
}

/// The service's behaviour for one list, and its calls.
#[derive(Default)]
pub(crate) struct Account {
    manner: Manner,
    calls: Mutex<Vec<Call>>,
}

/// The latency of answers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manner {
    /// The longest call.
    pub(crate) longest: Duration,
    /// The shortest call.
    pub(crate) shortest: Duration,
    /// The maximum padding of an answer, in bytes.
    pub(crate) padding: usize,
}

impl Account {
    /// The calls so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        lock(&self.calls).clone()
    }
}

impl Service {
    /// Starts a service on a port of its own.
    pub(crate) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let shared: Arc<Shared> = Arc::default();
        let service = Self { port, shared };
        let serving = service.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                thread::spawn(move || {
                    // A client that is killed during a call leaves half a request or a closed connection.
                    let _ = serving.serve(&stream);
                });
            }
        });
        Ok(service)
    }

    /// Adds a list. Returns the URL for its files, and the account of their calls.
    pub(crate) fn list(&self, manner: Manner) -> (String, Arc<Account>) {
        let number = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let calls = Mutex::default();
        let account = Arc::new(Account { manner, calls });
        lock(&self.shared.lists).insert(number, Arc::clone(&account));
        let url = format!("http://127.0.0.1:{}/{number}/{{name}}", self.port);
        (url, account)
    }

    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut from = BufReader::new(stream);
        let mut random = fastrand::Rng::new();
        loop {
            let mut first = String::new();
            if from.read_line(&mut first)? == 0 {
                return Ok(());
            }
            let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
            let (mut key, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if from.read_line(&mut line)? == 0 {
                    return Ok(());
                }
                if line.trim_end().is_empty() {
                    break;
                }
                let (name, value) = line.split_once(':').unwrap_or_default();
                let value = value.trim();
                match name.to_ascii_lowercase().as_str() {
                    "idempotency-key" => value.clone_into(&mut key),
                    "content-length" => length = value.parse().unwrap_or(0),
                    _ => {}
                }
            }
            let (list, name) = target
                .trim_start_matches('/')
                .split_once('/')
                .unwrap_or_default();
            let list = list.parse().ok();
            let Some(account) = list.and_then(|list| lock(&self.shared.lists).get(&list).cloned())
            else {
                return (&*stream)
                    .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
            };
            // A call counts once its file is known, because it may have an effect even if its answer is lost.
            let nonce = self.shared.nonces.fetch_add(1, Ordering::Relaxed);
            let nonce = format!("{nonce:x}-{:08x}", random.u32(..));
            let (call_key, call_nonce) = (key, nonce.clone());
            lock(&account.calls).push(Call {
                name: name.to_owned(),
                key: call_key,
                nonce: call_nonce,
            });
            io::copy(&mut (&mut from).take(length), &mut io::sink())?;
            let Manner {
                longest,
                shortest,
                padding,
            } = account.manner;
            thread::sleep(shortest + (longest.saturating_sub(shortest)).mul_f64(random.f64()));
            let pad = "x".repeat(random.usize(0..=padding));
            let body = format!(r#"{{"file": "{name}", "nonce": "{nonce}", "pad": "{pad}"}}"#);
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            (&*stream).write_all(answer.as_bytes())?;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
