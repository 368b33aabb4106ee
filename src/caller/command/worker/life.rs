//! The life of a worker: it is started, says hello, takes calls, and ends.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::future::pending;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::process::{ChildStderr, ChildStdin};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep, timeout};

use super::fail;
use super::member::{Reply, Signals};
use super::pool::not_started;
use super::team::Team;
use super::wire::{self, Content, Decoder, Done, Message, Violation};
use crate::caller::aside::aside;
use crate::caller::command::said::{Listener, last_line};
use crate::caller::spill::Growing;
use crate::job::{Answer, Body, Class, Failure, FailureKind, Outcome, escaped};
use crate::settings::show_duration;

/// The number of times in a row that a worker may end before its hello.
const STARTS: u32 = 5;
/// The wait after the first of them. It doubles each time.
const RESTART_DELAY: Duration = Duration::from_millis(100);
/// The time between SIGTERM and SIGKILL.
const TERM_PATIENCE: Duration = Duration::from_secs(2);
/// The time for which a worker's pipes are read after its exit, and its exit is awaited after the end of its output.
const AFTER_EXIT: Duration = Duration::from_secs(1);
/// The time that a worker has to exit after `bye`.
const BYE_PATIENCE: Duration = Duration::from_secs(5);
/// The same for the program that started stride, to read `bye`.
const STARTER_PATIENCE: Duration = Duration::from_millis(500);
/// The size of a read, in bytes.
const PIECE: usize = 64 << 10;

/// The end of a worker's work.
#[derive(Debug)]
enum End {
    /// Its output has ended.
    Eof,
    Exited(ExitStatus),
    Violation(Violation),
    /// It stopped in the middle of a line or of an answer.
    Stalled,
    /// It said no hello in time.
    Silent,
    /// The pool wants it to be killed.
    Killed,
    /// It did not exit after `bye`.
    Stayed,
}

/// Starts a worker, until it ends after its hello or cannot be started.
pub(super) async fn work(team: Rc<Team>, index: usize) {
    for starts in 1.. {
        if team.pool.borrow().is_ending() {
            break;
        }
        let Some((failure, is_passing)) = once(&team, index).await else {
            break;
        };
        if starts == STARTS || !is_passing {
            team.pool.borrow_mut().fail(failure);
            break;
        }
        sleep(RESTART_DELAY * 2u32.pow(starts - 1)).await;
    }
    team.remove(index);
}

/// Starts a process and serves it to its end. Returns the reason if it said no hello, and whether that may pass.
async fn once(team: &Rc<Team>, index: usize) -> Option<(Failure, bool)> {
    let started = (team.programs.launch).start(&team.words, &[], Stdio::piped());
    let (mut process, mut pipes) = match started {
        Ok(started) => started,
        Err(error) => {
            let program = team.words.first().map(OsString::as_os_str);
            let program = escaped(program.unwrap_or_default().as_encoded_bytes());
            let failure = not_started(format!("cannot run `{program}`: {error}"));
            return Some((failure, true));
        }
    };
    let mut stdin = Some(pipes.stdin.take()?);
    let name = format!("worker {index}");
    let listener = Rc::new(RefCell::new(Listener::new(&team.programs.said, name)));
    let listening = spawn_local(listen(pipes.stderr, Rc::clone(&listener)));
    let signals = greet(team, index);
    let end = {
        let reading = read(team, index, pipes.stdout);
        tokio::pin!(reading);
        tokio::select! {
            biased;
            end = &mut reading => end,
            status = process.exit() => match (timeout(AFTER_EXIT, &mut reading).await, status) {
                (Ok(end @ End::Violation(_)), _) => end,
                (_, Ok(status)) => End::Exited(status),
                (_, Err(_)) => End::Eof,
            },
            () = signals.kill.notified() => {
                let is_ending = team.pool.borrow().is_ending();
                match !is_ending && signals.is_stalled(Instant::now()) {
                    true => End::Stalled,
                    false => End::Killed,
                }
            }
            () = leave(&signals, BYE_PATIENCE) => End::Stayed,
            () = silence(team, index) => End::Silent,
            () = write(team, index, &mut stdin, &signals) => End::Killed,
        }
    };
    let end = match end {
        End::Eof => match timeout(AFTER_EXIT, process.exit()).await {
            Ok(Ok(status)) => End::Exited(status),
            _ => End::Eof,
        },
        end => end,
    };
    let is_gone = matches!(end, End::Exited(_));
    let process = match is_gone {
        true => {
            // The end of its group closes the pipe.
            drop(process);
            let _ = timeout(AFTER_EXIT, listening).await;
            None
        }
        false => Some(process),
    };
    let stdin = stdin.filter(|_| is_gone && !team.pool.borrow().is_ending());
    let read = stdin.map_or(u64::MAX, |pipe| signals.read(pipe));
    let said = listener.borrow_mut().finish();
    let has_hello = team.pool.borrow().is_introduced(index);
    let failure = describe(team, &end, said, has_hello);
    warn(team, index, &end);
    let outcome = Outcome::InDoubt(failure.clone());
    team.pool.borrow_mut().ended(index, Some(outcome), read);
    team.turn();
    if let Some(process) = process {
        // An abort does not wait.
        let is_abort = team.pool.borrow().is_ending() && matches!(end, End::Killed);
        let patience = if is_abort {
            Duration::ZERO
        } else {
            TERM_PATIENCE
        };
        process.end(patience).await;
    }
    (!has_hello).then(|| {
        let is_passing = matches!(end, End::Exited(_) | End::Eof);
        (failure, is_passing)
    })
}

/// Serves the program that started stride, until its pipe ends.
pub(super) async fn serve(
    team: Rc<Team>,
    index: usize,
    from: impl AsyncRead + Unpin,
    to: impl AsyncWrite + Unpin,
    gone: impl Future<Output = ()>,
) {
    let signals = greet(&team, index);
    let end = tokio::select! {
        biased;
        end = read(&team, index, from) => end,
        () = gone => End::Eof,
        () = leave(&signals, STARTER_PATIENCE) => End::Stayed,
        () = silence(&team, index) => End::Silent,
        () = signals.kill.notified() => End::Stalled,
        () = write_all(&team, index, to, &signals) => match team.pool.borrow().is_ending() {
            true => End::Stayed,
            false => End::Eof,
        },
    };
    let has_hello = team.pool.borrow().is_introduced(index);
    let failure = describe(&team, &end, Vec::new(), has_hello);
    warn(&team, index, &end);
    let is_over = matches!(end, End::Eof | End::Stayed);
    let outcome = (!is_over).then(|| Outcome::InDoubt(failure.clone()));
    {
        let mut pool = team.pool.borrow_mut();
        pool.ended(index, outcome, u64::MAX);
        pool.fail(not_started(failure.message));
    }
    if matches!(end, End::Eof) && !team.pool.borrow().is_ending() {
        // What it had is in doubt once this stops the run.
        (team.on_stop)(true);
    }
    team.remove(index);
}

fn greet(team: &Team, index: usize) -> Rc<Signals> {
    let mut pool = team.pool.borrow_mut();
    pool.greet(index);
    let hello = wire::hello_line(&team.run, index, pool.width());
    pool.write(index, &hello);
    pool.signals(index)
}

/// Warns of a violation that the failure of no call tells, such as a second answer.
fn warn(team: &Team, index: usize, end: &End) {
    let is_heard = (team.pool.borrow().seen(index)).is_some_and(|worker| worker.live() > 0);
    if let End::Violation(violation) = end
        && team.pool.borrow().is_introduced(index)
        && (violation.is_stray || !is_heard)
    {
        let program = match team.is_starter {
            true => "the program that started stride".to_owned(),
            false => format!("worker {index}"),
        };
        let words = format!("broke the protocol: {violation}");
        team.programs.warnings.add(&program, words.as_bytes());
    }
}

/// Returns the failure of a worker's calls, or of the worker if it said no hello.
fn describe(team: &Team, end: &End, said: Vec<u8>, has_hello: bool) -> Failure {
    let program = match team.is_starter {
        true => "the program that started stride",
        false => "the worker",
    };
    let mut message = match end {
        End::Eof if team.is_starter => format!("{program} has ended"),
        End::Eof => format!("{program} closed its output"),
        End::Exited(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("{program} exited with {code}"),
            (None, signal) => format!("signal {} ended {program}", signal.unwrap_or_default()),
        },
        End::Violation(violation) => format!("{program} broke the protocol: {violation}"),
        End::Stalled => format!("{program} stopped in the middle of a line or of an answer"),
        End::Silent => {
            let patience = show_duration(team.worker_start);
            format!("{program} said no hello within {patience} (--worker-start)")
        }
        End::Killed | End::Stayed => format!("{program} was stopped"),
    };
    if let End::Eof | End::Exited(_) = end {
        let when = if has_hello {
            " during the call"
        } else {
            " before its hello"
        };
        message.push_str(when);
    }
    if let Some(line) = last_line(&said) {
        let _ = write!(message, ": {line}");
    }
    let failure = match (has_hello, end) {
        (false, _) => not_started(message),
        (true, End::Violation(_) | End::Stalled) => {
            Failure::new(Class::Transient, FailureKind::Protocol, message)
        }
        (true, End::Killed | End::Stayed) => {
            Failure::new(Class::Transient, FailureKind::Stopped, message)
        }
        (true, _) => Failure::new(Class::Transient, FailureKind::Crashed, message),
    };
    Failure {
        body: said,
        ..failure
    }
}

async fn listen(mut stderr: ChildStderr, listener: Rc<RefCell<Listener>>) {
    let mut piece = vec![0; 4 << 10];
    while let Ok(read @ 1..) = stderr.read(&mut piece).await {
        listener.borrow_mut().add(&piece[..read]);
    }
}

/// Waits until a worker has had its time to exit.
async fn leave(signals: &Signals, patience: Duration) {
    signals.leave.notified().await;
    sleep(patience).await;
}

/// Waits until a worker has had its time for the hello, and has said none.
async fn silence(team: &Team, index: usize) {
    sleep(team.worker_start).await;
    if team.pool.borrow().is_introduced(index) {
        pending::<()>().await;
    }
}

/// Writes the lines for a worker. After the last it closes the pipe. Never returns.
async fn write(team: &Team, index: usize, to: &mut Option<ChildStdin>, signals: &Signals) {
    if let Some(pipe) = to {
        write_all(team, index, pipe, signals).await;
    }
    if team.pool.borrow().is_ending() {
        *to = None;
    }
    // The end of the worker's output says what happens next.
    pending::<()>().await;
}

async fn write_all(team: &Team, index: usize, mut to: impl AsyncWrite + Unpin, signals: &Signals) {
    loop {
        let (lines, are_last) = team.pool.borrow_mut().lines(index);
        let mut rest = &lines[..];
        while !rest.is_empty() {
            let Ok(written @ 1..) = to.write(rest).await else {
                return;
            };
            rest = &rest[written..];
            signals.written.update(|all| all + written as u64);
        }
        if are_last {
            return;
        }
        if lines.is_empty() {
            signals.lines.notified().await;
        }
    }
}

/// Reads the messages of a worker.
async fn read(team: &Team, index: usize, mut from: impl AsyncRead + Unpin) -> End {
    let mut decoder = Decoder::default();
    let signals = team.pool.borrow().signals(index);
    loop {
        match messages(team, index, &signals, &mut decoder, &mut from).await {
            Ok(true) => {}
            Ok(false) => return End::Eof,
            Err(violation) => return End::Violation(violation),
        }
        team.turn();
        let has_part = decoder.has_part();
        if !more(&mut decoder, &mut from, &signals, has_part).await {
            return End::Eof;
        }
    }
}

/// Reads once, and returns false at the end. `is_rest` says that the bytes belong to what has already begun.
async fn more(
    decoder: &mut Decoder,
    from: &mut (impl AsyncRead + Unpin),
    signals: &Signals,
    is_rest: bool,
) -> bool {
    let room = decoder.room();
    room.reserve(PIECE);
    signals.rest.set(is_rest.then(Instant::now));
    let read = from.read_buf(room).await;
    signals.rest.set(None);
    matches!(read, Ok(1..))
}

/// Handles all messages that have arrived. Returns false at the end of the output.
async fn messages(
    team: &Team,
    index: usize,
    signals: &Signals,
    decoder: &mut Decoder,
    from: &mut (impl AsyncRead + Unpin),
) -> Result<bool, Violation> {
    while let Some((message, quote)) = decoder.next()? {
        let pool = &team.pool;
        let has_hello = pool.borrow().is_introduced(index);
        let awaits = |id| {
            let pool = pool.borrow();
            let awaits = pool
                .seen(index)
                .map_or(Ok(false), |worker| worker.awaits(id));
            awaits.map_err(|reason| quote.violation(reason).of_no_call())
        };
        match message {
            Message::Hello(hello) if !has_hello => {
                let introduced = pool.borrow_mut().introduce(index, hello);
                introduced.map_err(|reason| quote.violation(reason))?;
            }
            Message::Hello(_) => return Err(quote.violation("a second hello")),
            _ if !has_hello => return Err(quote.violation("the first line is no hello")),
            Message::Stop { now } if team.is_starter => (team.on_stop)(now),
            Message::Stop { .. } => {
                return Err(quote.violation("`stop` is for the program that started stride"));
            }
            // The thread that beats may not know yet that the call has ended.
            Message::Beat(id) => pool.borrow_mut().beat(index, id, Instant::now()),
            Message::Fail(fail) => {
                awaits(fail.id)?;
                let id = fail.id;
                let outcome = fail::outcome(fail, &team.programs.judge.rules);
                pool.borrow_mut().answer(index, id, Err(outcome));
            }
            Message::Done(mut done) => {
                let id = done.id;
                let wrong = done.wrong.take();
                let keep = awaits(id)? && wrong.is_none();
                match answer(team, done, keep, signals, decoder, from).await {
                    Received::Whole(reply) => {
                        let reply = wrong.map_or(reply, |wrong| Err(Outcome::Failed(*wrong)));
                        pool.borrow_mut().answer(index, id, reply);
                    }
                    Received::Cut => return Ok(false),
                    Received::Unended => {
                        return Err(quote.violation("no newline follows the bytes of an answer"));
                    }
                }
            }
        }
    }
    Ok(true)
}

/// An answer whose bytes have been read.
enum Received {
    Whole(Reply),
    /// The output has ended before them.
    Cut,
    /// Something else than a newline follows them.
    Unended,
}

/// Reads the bytes of an answer.
async fn answer(
    team: &Team,
    done: Done,
    keep: bool,
    signals: &Signals,
    decoder: &mut Decoder,
    from: &mut (impl AsyncRead + Unpin),
) -> Received {
    let judge = &team.programs.judge;
    let Done {
        content,
        media_type,
        status,
        hint,
        ..
    } = done;
    let with = |body: Body| Answer {
        status,
        media_type: Some(media_type),
        headers: None,
        body,
        hint,
        source: None,
    };
    let body = match content {
        Content::Here(bytes) => {
            if bytes.len() as u64 > judge.max_response {
                return Received::Whole(Err(judge.too_large()));
            }
            add(Growing::new(&judge.memory, bytes.len()), &bytes).await
        }
        Content::Follows(bytes) => {
            let is_kept = keep && bytes <= judge.max_response;
            let mut body = is_kept.then(|| Ok(Growing::new(&judge.memory, 0)));
            let mut left = bytes;
            while left > 0 {
                let piece = decoder.take(left);
                left -= piece.len() as u64;
                if piece.is_empty() {
                    if !more(decoder, from, signals, true).await {
                        return Received::Cut;
                    }
                } else if let Some(Ok(growing)) = body {
                    body = Some(add(growing, piece).await);
                }
            }
            loop {
                match decoder.take(1).first() {
                    Some(b'\n') => break,
                    Some(_) => return Received::Unended,
                    None => {}
                }
                if !more(decoder, from, signals, true).await {
                    return Received::Cut;
                }
            }
            match body {
                Some(body) => body,
                None => return Received::Whole(Err(judge.too_large())),
            }
        }
    };
    Received::Whole(match body {
        Ok(body) => Ok(with(body.finish())),
        Err(error) => Err(Outcome::InDoubt(Failure::unkept(&error))),
    })
}

/// Appends a piece to a body. Only this worker waits for the disk.
async fn add(mut body: Growing, piece: &[u8]) -> io::Result<Growing> {
    if body.add_in_memory(piece) {
        return Ok(body);
    }
    let piece = piece.to_vec();
    aside(move || body.add(&piece).map(|()| body)).await
}
