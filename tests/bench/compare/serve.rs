//! The service, in a process of its own. It does as little as possible for each call, so that the caller is measured.
//! It prints its port, answers each line of standard input with its figures, and ends with standard input.

use std::cell::RefCell;
use std::io::{self, BufRead as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime;
use tokio::task::LocalSet;
use tokio::time::sleep;

use super::alarm::Alarm;
use super::figures::steady;
use super::measure::clock;
use super::tail;

/// Connections that wait to be accepted: all of a large crew at once.
const BACKLOG: u32 = 8192;
/// The largest head of a request.
const HEAD: usize = 8 << 10;
/// The bytes of a body that are read at once.
const SCRATCH: usize = 256 << 10;
/// The pause after a connection that could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// The answer without a requested size.
const ANSWER: &str = r#"{"ok":true,"label":"positive","score":0.75}"#;
/// The resolution of the counts.
const GRAIN: Duration = Duration::from_millis(100);

/// The time that the service takes for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Latency {
    /// The same for each call.
    Fixed(Duration),
    /// According to the file's name.
    Tail,
}

/// The behaviour of the service.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// The port; 0 for any free one.
    pub(crate) port: u16,
    pub(crate) latency: Latency,
    /// The bytes of an answer; 0 are those of the usual small one.
    pub(crate) answer: usize,
}

/// The figures of the service. Times are on the monotonic clock, which all processes share.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Calls that have arrived whole.
    pub(crate) calls: u64,
    /// Calls whose answers have been handed to the system.
    pub(crate) answered: u64,
    /// The bytes of all their bodies.
    pub(crate) bytes: u64,
    /// All connections so far.
    pub(crate) connections: u64,
    /// The maximum number of concurrent calls.
    pub(crate) most: u64,
    /// The arrival of the first call, and the time of the last answer.
    pub(crate) first: Option<Duration>,
    pub(crate) last: Option<Duration>,
    /// The total time of calls at the service.
    pub(crate) worked: Duration,
    /// The total idle time of connections between an answer and the next call, and the number of such times.
    pub(crate) idle: Duration,
    pub(crate) again: u64,
    /// The calls that arrived in each tenth of a second after the first.
    pub(crate) grains: Vec<u64>,
}

impl Seen {
    /// Records a call of this many bytes, and the time of the previous answer on its connection.
    fn arrived(&mut self, bytes: u64, before: Option<Duration>) -> Duration {
        let now = clock();
        if let Some(before) = before {
            self.idle += now.saturating_sub(before);
            self.again += 1;
        }
        let first = *self.first.get_or_insert(now);
        let grain = now.saturating_sub(first).as_nanos() / GRAIN.as_nanos();
        let grain = usize::try_from(grain).unwrap_or(usize::MAX);
        if self.grains.len() <= grain {
            self.grains.resize(grain + 1, 0);
        }
        self.grains[grain] += 1;
        self.calls += 1;
        self.bytes += bytes;
        self.most = self.most.max(self.calls - self.answered);
        now
    }

    fn answered(&mut self, arrived: Duration) -> Duration {
        let now = clock();
        self.answered += 1;
        self.worked += now.saturating_sub(arrived);
        self.last = Some(now);
        now
    }

    /// Returns the mean time of a call at the service, and the mean idle time of a connection before it.
    pub(crate) fn means(&self) -> (Duration, Duration) {
        let mean = |sum: Duration, of: u64| sum.div_f64(of.max(1) as f64);
        (
            mean(self.worked, self.answered),
            mean(self.idle, self.again),
        )
    }

    /// From the first call's arrival to the last answer.
    pub(crate) fn span(&self) -> Duration {
        let (first, last) = (
            self.first.unwrap_or_default(),
            self.last.unwrap_or_default(),
        );
        last.saturating_sub(first)
    }

    /// Calls a second in the middle of the time.
    pub(crate) fn steady(&self) -> f64 {
        steady(&self.grains, (1.0 / GRAIN.as_secs_f64()).round() as usize)
    }
}

/// The relevant parts of a request's head.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    /// Its length in the buffer.
    end: usize,
    length: u64,
    /// The caller waits for `100 Continue` before it sends the body.
    expects: bool,
    closes: bool,
    /// The time that the service takes.
    work: Duration,
}

/// Reads a head; `None` if it is incomplete.
fn head(bytes: &[u8], latency: Latency) -> io::Result<Option<Head>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let mut lines = bytes[..end].split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let work = match latency {
        Latency::Fixed(work) => work,
        Latency::Tail => {
            let target = first.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
            tail::latency(
                target
                    .rsplit(|byte| *byte == b'/')
                    .next()
                    .unwrap_or_default(),
            )
        }
    };
    let mut head = Head {
        end: end + 4,
        length: 0,
        expects: false,
        closes: false,
        work,
    };
    for line in lines {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (name, value) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default().trim_ascii(),
        );
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = str::from_utf8(value)
                .ok()
                .and_then(|text| text.parse().ok());
            head.length = length.ok_or(io::ErrorKind::InvalidData)?;
        } else if name.eq_ignore_ascii_case(b"expect") {
            head.expects = true;
        } else if name.eq_ignore_ascii_case(b"connection") {
            head.closes = value.eq_ignore_ascii_case(b"close");
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            // No measured program sends a file of unknown length.
            return Err(io::ErrorKind::Unsupported.into());
        }
    }
    Ok(Some(head))
}

struct Service {
    plan: Plan,
    answer: Vec<u8>,
    seen: Arc<Mutex<Seen>>,
    /// A buffer for discarded bodies.
    scratch: RefCell<Vec<u8>>,
    alarm: Rc<Alarm>,
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads the available bytes into a buffer that is borrowed only for a moment.
async fn read(
    stream: &TcpStream,
    mut take: impl FnMut(&TcpStream) -> io::Result<usize>,
) -> io::Result<usize> {
    loop {
        match take(stream) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.readable().await?,
            taken => return taken,
        }
    }
}

impl Service {
    /// Answers the requests of one connection, until the caller closes it.
    async fn connection(&self, stream: TcpStream) -> io::Result<()> {
        let (mut buffer, mut have) = (vec![0; HEAD], 0);
        let mut before = None;
        loop {
            let head = loop {
                if let Some(head) = head(&buffer[..have], self.plan.latency)? {
                    break head;
                }
                if have == HEAD {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                match read(&stream, |stream| stream.try_read(&mut buffer[have..])).await? {
                    0 => return Ok(()),
                    taken => have += taken,
                }
            };
            let rest = have - head.end;
            let of_body = usize::try_from(head.length).map_or(rest, |length| length.min(rest));
            buffer.copy_within(head.end + of_body..have, 0);
            have = rest - of_body;
            let mut left = head.length - of_body as u64;
            if head.expects && left > 0 {
                write_all(&stream, b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            }
            while left > 0 {
                let most = usize::try_from(left).map_or(SCRATCH, |left| left.min(SCRATCH));
                let take =
                    |stream: &TcpStream| stream.try_read(&mut self.scratch.borrow_mut()[..most]);
                match read(&stream, take).await? {
                    0 => return Ok(()),
                    taken => left -= taken as u64,
                }
            }
            let arrived = lock(&self.seen).arrived(head.length, before);
            if !head.work.is_zero() {
                self.alarm.sleep(head.work).await?;
            }
            write_all(&stream, &self.answer).await?;
            before = Some(lock(&self.seen).answered(arrived));
            if head.closes {
                return Ok(());
            }
        }
    }

    async fn listen(self) -> io::Result<()> {
        let socket = TcpSocket::new_v4()?;
        // Each service uses the same port, because runs remember it.
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, self.plan.port)))?;
        let listener = socket.listen(BACKLOG)?;
        println!("{}", listener.local_addr()?.port());
        io::stdout().flush()?;
        let service = Rc::new(self);
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                sleep(ACCEPT_PAUSE).await;
                continue;
            };
            stream.set_nodelay(true)?;
            lock(&service.seen).connections += 1;
            let service = Rc::clone(&service);
            tokio::task::spawn_local(async move {
                // A caller that disconnects is not an error of the service.
                let _ = service.connection(stream).await;
            });
        }
    }
}

/// Answers each line of standard input with the figures, and ends with it.
fn report(seen: &Mutex<Seen>) {
    for _ in io::stdin().lock().lines().map_while(Result::ok) {
        let Ok(text) = serde_json::to_string(&*lock(seen)) else {
            return;
        };
        println!("{text}");
        let _ = io::stdout().flush();
    }
}

/// Serves until standard input ends.
pub(crate) fn serve(plan: Plan) -> io::Result<()> {
    super::measure::raise_descriptors();
    let body = match plan.answer {
        0 => ANSWER.to_owned(),
        // `{"text":"…"}` has eleven bytes around the text.
        size => format!(r#"{{"text":"{}"}}"#, "x".repeat(size.saturating_sub(11))),
    };
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ";
    let seen = Arc::new(Mutex::new(Seen::default()));
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let alarm = {
        let _entered = runtime.enter();
        Rc::new(Alarm::new()?)
    };
    let service = Service {
        plan,
        answer: format!("{head}{}\r\n\r\n{body}", body.len()).into_bytes(),
        seen: Arc::clone(&seen),
        scratch: RefCell::new(vec![0; SCRATCH]),
        alarm: Rc::clone(&alarm),
    };
    let (send, ended) = tokio::sync::oneshot::channel();
    thread::spawn(move || {
        report(&seen);
        let _ = send.send(());
    });
    LocalSet::new().block_on(&runtime, async {
        tokio::select! {
            failed = service.listen() => failed,
            failed = alarm.ring() => failed,
            _ = ended => Ok(()),
        }
    })
}
