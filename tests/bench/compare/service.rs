//! The service's process, from the benchmark's side.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use super::measure::{Running, pause};
use super::serve::{Latency, Plan, Seen};

/// The time limit for a first call.
const FIRST_CALL: Duration = Duration::from_secs(900);
/// The time limit for counting the last answers.
const SETTLING: Duration = Duration::from_secs(2);
/// The interval of checks for a call.
const LOOK: Duration = Duration::from_millis(2);

/// A running service. Dropping it ends the process.
pub(crate) struct Service {
    process: Child,
    /// Ends the service when it closes, even if this process is killed.
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    port: u16,
}

fn unheard() -> io::Error {
    io::Error::other("the service of the benchmark has ended")
}

impl Service {
    pub(crate) fn start(plan: Plan) -> io::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("serve")
            .arg(serde_json::to_string(&plan)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let questions = process.stdin.take().ok_or_else(unheard)?;
        let answers = process.stdout.take().ok_or_else(unheard)?;
        let mut service = Self {
            process,
            questions,
            answers: BufReader::new(answers),
            port: 0,
        };
        let port = service.line()?;
        service.port = port.trim().parse().map_err(|_| unheard())?;
        Ok(service)
    }

    /// Starts one that takes this long for each call.
    pub(crate) fn with_latency(port: u16, latency: Duration) -> io::Result<Self> {
        Self::start(Plan {
            port,
            latency: Latency::Fixed(latency),
            answer: 0,
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(unheard());
        }
        Ok(line)
    }

    /// Returns its figures so far.
    pub(crate) fn seen(&mut self) -> io::Result<Seen> {
        self.questions.write_all(b"\n")?;
        Ok(serde_json::from_str(&self.line()?)?)
    }

    /// Returns its figures once it has answered all calls; a caller may have its answer before the service counts it.
    pub(crate) fn settled(&mut self) -> io::Result<Seen> {
        let asked = Instant::now();
        loop {
            let seen = self.seen()?;
            if seen.answered == seen.calls || asked.elapsed() > SETTLING {
                return Ok(seen);
            }
            pause(LOOK);
        }
    }

    /// Waits for the first call, and returns the time from the caller's start to it.
    pub(crate) fn first_call(&mut self, caller: &mut Running) -> io::Result<Duration> {
        let asked = Instant::now();
        while asked.elapsed() < FIRST_CALL {
            // Checked before the figures: a call may arrive and its caller end in between.
            let goes_on = caller.goes_on()?;
            if let Some(first) = self.seen()?.first {
                return Ok(first.saturating_sub(caller.begun));
            }
            if !goes_on {
                break;
            }
            pause(LOOK);
        }
        Err(io::Error::other(format!("no call came: {}", caller.said())))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
