//! A server that passes raw connections to the test.

use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use super::lock;

/// Accepts connections one after the other, and passes each to a function in one thread.
pub(crate) struct RawServer {
    port: u16,
    open: Arc<Mutex<Option<Vec<TcpStream>>>>,
    thread: Option<JoinHandle<()>>,
}

impl RawServer {
    /// The function gets a connection; when it returns, the connection closes.
    pub(crate) fn start(mut serve: impl FnMut(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let open = Arc::new(Mutex::new(Some(Vec::new())));
        let known = Arc::clone(&open);
        let thread = thread::spawn(move || {
            for connection in listener.incoming() {
                let connection = connection.unwrap();
                match &mut *lock(&known) {
                    Some(open) => open.push(connection.try_clone().unwrap()),
                    None => return,
                }
                let served = connection.try_clone().unwrap();
                serve(connection);
                // The clone kept for the end of the server would keep the connection open.
                let _ = served.shutdown(Shutdown::Both);
            }
        });
        Self {
            port,
            open,
            thread: Some(thread),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        for connection in lock(&self.open).take().unwrap_or_default() {
            let _ = connection.shutdown(Shutdown::Both);
        }
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !thread::panicking()
        {
            panic!("the server panicked");
        }
    }
}
