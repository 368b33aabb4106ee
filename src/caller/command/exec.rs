//! Calls that are a process each.

use std::cell::Cell;
use std::ffi::OsString;
use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{ChildStderr, ChildStdout};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::CommandContext;
use super::error::CommandError;
use super::exit::{outcome, unknown};
use super::judge::Judge;
use super::process::{Pipes, TERM_PATIENCE, not_started, terminate};
use super::program::check_program;
use super::programs::Programs;
use super::said::Listener;
use super::words::{Filled, Words};
use crate::caller::aside::aside;
use crate::caller::lanes::Lanes;
use crate::caller::spill::Growing;
use crate::caller::timer::Timer;
use crate::caller::{AsyncCaller, Calling, Cancel};
use crate::job::{Answer, Attempt, Body, Class, Failure, FailureKind, Job, Outcome};
use crate::settings::{Command, Settings, Way};

/// The size of a read, in bytes.
const PIECE: usize = 64 << 10;

/// The time for which standard error is read after the exit and the end of the output.
const AFTER_EXIT: Duration = Duration::from_secs(1);

/// A checked command and the settings of its calls, for any file.
#[derive(Debug, Clone)]
pub struct ExecPlan {
    words: Arc<Words>,
    pub(in crate::caller) programs: Programs,
    timeout: Duration,
    lanes: Lanes,
}

impl ExecPlan {
    /// Checks a command.
    ///
    /// # Errors
    ///
    /// The command cannot be run for any file.
    pub fn new(
        command: &Command,
        settings: &Settings,
        context: CommandContext<'_>,
    ) -> Result<Self, CommandError> {
        let words = match command.way {
            Way::Shell => Words::of_script(&command.words.concat())?,
            _ => Words::new(&command.words)?,
        };
        if let Some(program) = words.program() {
            check_program(&program, context.base, context.path.as_deref())?;
        }
        Ok(Self {
            lanes: context.lanes.clone(),
            words: Arc::new(words),
            programs: Programs::new(command, settings, context)?,
            timeout: settings.timeout,
        })
    }

    /// Returns whether a call reads the job's file.
    pub fn reads_file(&self) -> bool {
        self.words.reads_file()
    }

    /// Returns the rows of the pool.
    pub(in crate::caller) fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    /// Returns the words of a call.
    ///
    /// # Errors
    ///
    /// The outcome of an attempt that cannot be made.
    pub fn words(&self, job: &Job, attempt: &Attempt) -> Result<Vec<OsString>, Outcome> {
        let base = &self.programs.launch.base;
        let filled = self.words.fill(job, attempt, base)?;
        Ok(filled.words)
    }

    /// Returns the caller of one slot.
    pub fn async_caller(&self) -> AsyncExecCaller {
        AsyncExecCaller {
            plan: self.clone(),
            timer: Timer::default(),
        }
    }

    /// Kills the processes of calls that were abandoned.
    pub fn end(&self) {
        self.programs.kill();
    }
}

/// Runs a command for each call, one at a time.
#[derive(Debug)]
pub struct AsyncExecCaller {
    plan: ExecPlan,
    timer: Timer,
}

impl AsyncCaller for AsyncExecCaller {
    fn call<'c>(
        &'c mut self,
        job: &'c Job,
        attempt: &'c Attempt,
        cancel: &'c Cancel,
    ) -> Calling<'c> {
        let programs = self.plan.programs.clone();
        Box::pin(async move { programs.mask(self.call_once(job, attempt, cancel).await) })
    }
}

impl AsyncExecCaller {
    async fn call_once(&mut self, job: &Job, attempt: &Attempt, cancel: &Cancel) -> Outcome {
        if cancel.is_cancelled() {
            return Outcome::Interrupted;
        }
        let plan = &self.plan;
        let Programs {
            launch,
            judge,
            said,
            ..
        } = &plan.programs;
        let filled = {
            let (words, base) = (Arc::clone(&plan.words), launch.base.clone());
            let (job, attempt) = (job.clone(), *attempt);
            aside(move || words.fill(&job, &attempt, &base)).await
        };
        let Filled { words, source } = match filled {
            Ok(filled) => filled,
            Err(outcome) => return outcome,
        };
        let variables = variables(job, attempt, &plan.lanes);
        let started = launch.start(&words, &variables, Stdio::null());
        let (mut process, pipes) = match started {
            Ok(started) => started,
            Err(error) => return not_started(&words[0], &error),
        };
        let mut listener = Listener::new(said, job.path.to_string());
        let mut output = Output::new(judge);
        let Pipes { stdout, stderr, .. } = pipes;
        let (group, has_exited, exited) = (process.group(), Cell::new(false), Notify::new());
        let ended = {
            let is_heard = Cell::new(false);
            let mut listening = Box::pin(async {
                listen(stderr, &mut listener).await;
                is_heard.set(true);
            });
            let exit = async {
                let exit = process.exit().await;
                has_exited.set(true);
                exited.notify_one();
                exit
            };
            let mut ending = Box::pin(async {
                let mut ending = Box::pin(async { tokio::join!(output.read(stdout), exit) });
                tokio::select! {
                    biased;
                    // It is read before the exit is noticed.
                    () = &mut listening => ending.await,
                    ended = &mut ending => ended,
                }
            });
            let stopped = tokio::select! {
                biased;
                // An answer that is complete at the same time counts.
                (read, exit) = &mut ending => Ok(read.map(|()| exit)),
                () = cancel.cancelled() => {
                    let message = "stopped before the command ended".to_owned();
                    Err((FailureKind::Stopped, message, Duration::ZERO))
                }
                () = self.timer.patience(plan.timeout) => {
                    let limit = plan.timeout;
                    let message = match has_exited.get() {
                        true => format!("the command ended, and what it had started kept its output open for {limit:?}"),
                        false => format!("the command did not end within {limit:?}"),
                    };
                    Err((FailureKind::Timeout, message, TERM_PATIENCE))
                }
            };
            if let Err((.., patience)) = &stopped {
                terminate(group);
                // The pipes stay open, or a last line would end the command before it has tidied up.
                tokio::select! {
                    _ = &mut ending => {}
                    () = exited.notified() => {}
                    () = sleep(*patience) => {}
                }
            }
            drop(ending);
            if stopped.is_ok() && !is_heard.get() {
                // A process in the background may hold it open.
                let _ = timeout(AFTER_EXIT, listening).await;
            }
            stopped
        };
        // Nothing of a call outlives it.
        drop(process);
        let said = listener.finish();
        let status = match ended {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => return Outcome::InDoubt(Failure::unkept(&error)),
            Err((kind, message, _)) => {
                let failure = Failure::new(Class::Transient, kind, message);
                return Outcome::InDoubt(Failure {
                    body: said,
                    ..failure
                });
            }
        };
        let body = output.finish();
        let status = match status {
            Ok(status) => status,
            Err(error) => return unknown(&error, said, body),
        };
        if !status.success() {
            let bill = judge.bill(&job.columns, body.as_ref()).await;
            let said = body.map_or(Ok(said.clone()), |body| both(&body, said));
            return match said {
                Ok(said) => outcome(status, said, &judge.rules).stating(bill),
                Err(error) => Outcome::InDoubt(Failure::unkept(&error)),
            };
        }
        let Some(body) = body else {
            return judge.too_large();
        };
        let answer = Answer {
            status: None,
            media_type: None,
            headers: None,
            body,
            hint: None,
            source,
        };
        judge.judge(&job.columns, attempt.id, answer).await
    }
}

/// Returns the variables that tell a command about its call.
fn variables(job: &Job, attempt: &Attempt, lanes: &Lanes) -> Vec<(String, OsString)> {
    let of_call = [
        ("STRIDE_NAME", job.path.as_path().into()),
        ("STRIDE_FILE", job.file.clone().into()),
        ("STRIDE_KEY", attempt.key.to_string().into()),
        ("STRIDE_ATTEMPT", attempt.id.number.to_string().into()),
    ];
    let of_call = of_call.map(|(name, value)| (name.to_owned(), value));
    let row = lanes.row(attempt.lane.into()).map(|(column, value)| {
        let plain = |char: char| {
            if char.is_ascii_alphanumeric() {
                char
            } else {
                '_'
            }
        };
        let column: String = column.to_ascii_uppercase().chars().map(plain).collect();
        (format!("STRIDE_POOL_{column}"), value.into())
    });
    of_call.into_iter().chain(row).collect()
}

/// Returns what a failed command has printed, and the end of its standard error.
fn both(printed: &Body, said: Vec<u8>) -> io::Result<Vec<u8>> {
    let room = Failure::BODY_KEPT.saturating_sub(said.len());
    let mut both = printed.beginning(room.max(Failure::BODY_KEPT / 2))?;
    if !both.is_empty() && !said.is_empty() && !both.ends_with(b"\n") {
        both.push(b'\n');
    }
    let over = (both.len() + said.len()).saturating_sub(Failure::BODY_KEPT);
    both.extend(&said[over.min(said.len())..]);
    Ok(both)
}

async fn listen(mut stderr: ChildStderr, listener: &mut Listener) {
    let mut piece = vec![0; 4 << 10];
    while let Ok(read @ 1..) = stderr.read(&mut piece).await {
        listener.add(&piece[..read]);
    }
}

/// The standard output of a process.
struct Output {
    /// `None` if it has become larger than allowed.
    body: Option<Growing>,
    most: u64,
}

impl Output {
    fn new(judge: &Judge) -> Self {
        Self {
            body: Some(Growing::new(&judge.memory, 0)),
            most: judge.max_response,
        }
    }

    /// Reads to the end. What exceeds the limit is dropped.
    async fn read(&mut self, mut stdout: ChildStdout) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        loop {
            let read = stdout.read(&mut piece).await?;
            if read == 0 {
                return Ok(());
            }
            let Some(mut body) = self.body.take() else {
                continue;
            };
            let piece = &piece[..read];
            if body.len() + read as u64 > self.most {
                continue;
            }
            if !body.add_in_memory(piece) {
                let piece = piece.to_vec();
                // Only this call waits for the disk.
                body = aside(move || body.add(&piece).map(|()| body)).await?;
            }
            self.body = Some(body);
        }
    }

    fn finish(self) -> Option<Body> {
        self.body.map(Growing::finish)
    }
}
