//! A worker as the pool sees it.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use rustix::io::ioctl_fionread;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::wire;
use crate::job::{Answer, Class, Failure, FailureKind, FileName, Outcome};

/// The time that a worker has to answer a call that was cancelled.
const CANCEL_PATIENCE: Duration = Duration::from_secs(5);
/// The number of answered calls whose files a worker remembers, to name one that is answered twice.
const REMEMBERED: usize = 64;

/// The outcome of a call, except that an answer is not judged yet.
pub(super) type Reply = Result<Answer, Outcome>;

/// A call that a slot waits for.
#[derive(Debug)]
pub(super) struct Call {
    /// Identifies it among all calls of this process.
    pub(super) number: u64,
    pub(super) name: FileName,
    /// The end of its line.
    pub(super) line: String,
    /// It is made alone in its worker.
    pub(super) alone: bool,
    pub(super) reply: oneshot::Sender<Reply>,
}

/// A worker.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) phase: Phase,
    pub(super) width: usize,
    pub(super) wants_status: bool,
    pub(super) calls: BTreeMap<u64, InFlight>,
    /// The number of calls that were given up.
    pub(super) stuck: usize,
    last_id: u64,
    /// The last calls that were answered.
    answered: VecDeque<(u64, FileName)>,
    /// Its only call is one that is made alone.
    pub(super) is_alone: bool,
    /// It gets no further call until it is empty.
    pub(super) is_reserved: bool,
    /// Lines that are not written yet.
    pub(super) lines: Vec<u8>,
    /// The bytes of all its lines so far.
    given: u64,
    pub(super) signals: Rc<Signals>,
}

/// Wakes the task of a worker.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// There are lines to write.
    pub(super) lines: Notify,
    /// It is told to exit.
    pub(super) leave: Notify,
    /// It is to be killed.
    pub(super) kill: Notify,
    /// Since when the rest of a line or of an answer is awaited.
    pub(super) rest: Cell<Option<Instant>>,
    /// The bytes of lines that are in its pipe, or that it has read.
    pub(super) written: Cell<u64>,
}

impl Signals {
    /// Returns whether it has stopped in the middle of a line or of an answer, so that no other call can be answered.
    pub(super) fn is_stalled(&self, now: Instant) -> bool {
        let rest = self.rest.get();
        rest.is_some_and(|since| since + CANCEL_PATIENCE <= now)
    }

    /// Returns how many bytes of its lines a process that is gone has read. The pipe still has the others.
    pub(super) fn read(&self, pipe: impl AsFd) -> u64 {
        let unread = ioctl_fionread(pipe).ok();
        unread.map_or(u64::MAX, |unread| self.written.get().saturating_sub(unread))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Starting,
    Ready,
    /// It gets no further call.
    Leaving,
}

/// A call that a worker has.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) number: u64,
    name: FileName,
    line: String,
    alone: bool,
    /// The bytes of the worker's lines up to the end of this one.
    end: u64,
    /// `None` if the call was given up. The worker may still answer.
    pub(super) reply: Option<oneshot::Sender<Reply>>,
    /// The moment of the next step.
    pub(super) due: Instant,
    /// The moment at which the call has taken too long.
    pub(super) deadline: Instant,
    pub(super) beats: bool,
    /// The reason why the call was cancelled.
    pub(super) cancelled: Option<FailureKind>,
}

impl Worker {
    /// Creates a worker that says hello later, and probably takes `width` calls at once.
    pub(super) fn new(width: usize) -> Self {
        Self {
            phase: Phase::Starting,
            width,
            wants_status: false,
            calls: BTreeMap::new(),
            stuck: 0,
            last_id: 0,
            answered: VecDeque::new(),
            is_alone: false,
            is_reserved: false,
            lines: Vec::new(),
            given: 0,
            signals: Rc::default(),
        }
    }

    /// Returns the number of calls that slots wait for.
    pub(super) fn live(&self) -> usize {
        self.calls.len() - self.stuck
    }

    /// Returns the number of further calls that it takes.
    pub(super) fn free(&self, is_starter: bool) -> usize {
        if self.phase != Phase::Ready || self.is_alone || self.is_reserved {
            return 0;
        }
        let most = match is_starter {
            // It replaces threads that are stuck, but has at most twice as many in all.
            true => self.width.min((2 * self.width).saturating_sub(self.stuck)),
            false => self.width.saturating_sub(self.stuck),
        };
        most.saturating_sub(self.live())
    }

    pub(super) fn write(&mut self, line: &str) {
        self.lines.extend_from_slice(line.as_bytes());
        self.given += line.len() as u64;
        self.signals.lines.notify_one();
    }

    pub(super) fn begin(&mut self, call: Call, now: Instant, timeout: Duration) -> Instant {
        self.last_id += 1;
        let id = self.last_id;
        self.write(&wire::call_start(id));
        self.write(&call.line);
        self.is_alone = call.alone;
        self.is_reserved = false;
        let deadline = later(now, timeout);
        let flight = InFlight {
            number: call.number,
            name: call.name,
            line: call.line,
            alone: call.alone,
            end: self.given,
            reply: Some(call.reply),
            due: deadline,
            deadline,
            beats: false,
            cancelled: None,
        };
        self.calls.insert(id, flight);
        deadline
    }

    /// Removes a call that the worker has answered. Returns its slot, unless the call was given up.
    pub(super) fn answered(&mut self, id: u64) -> Option<oneshot::Sender<Reply>> {
        let call = self.calls.remove(&id)?;
        self.answered.truncate(REMEMBERED - 1);
        self.answered.push_front((id, call.name));
        self.stuck -= usize::from(call.reply.is_none());
        if self.live() == 0 {
            self.is_alone = false;
        }
        call.reply
    }

    /// Removes all calls, and returns those that slots wait for: first the calls whose lines it has not read to their
    /// ends, if it has read `read` bytes of lines, and then the others. A worker without an answer counts as if it had
    /// read everything, or one that never reads would be given the same calls for ever.
    pub(super) fn release(&mut self, read: u64) -> (Vec<Call>, Vec<oneshot::Sender<Reply>>) {
        let (mut unread, mut others) = (Vec::new(), Vec::new());
        self.stuck = 0;
        for call in std::mem::take(&mut self.calls).into_values() {
            let Some(reply) = call.reply else { continue };
            if call.end <= read || call.cancelled.is_some() || self.answered.is_empty() {
                others.push(reply);
                continue;
            }
            unread.push(Call {
                number: call.number,
                name: call.name,
                line: call.line,
                alone: call.alone,
                reply,
            });
        }
        (unread, others)
    }

    /// Returns whether a slot waits for a call.
    ///
    /// # Errors
    ///
    /// The worker has no such call, for this reason.
    pub(super) fn awaits(&self, id: u64) -> Result<bool, String> {
        if let Some(call) = self.calls.get(&id) {
            return Ok(call.reply.is_some());
        }
        let answered = self.answered.iter().find(|(known, _)| *known == id);
        Err(match answered {
            Some((_, name)) => format!("a second answer to {name}"),
            None if (1..=self.last_id).contains(&id) => "a second answer to a call".to_owned(),
            None => "there is no such call".to_owned(),
        })
    }

    /// Cancels a call, and returns the moment until which the worker may answer.
    pub(super) fn cancel(&mut self, id: u64, why: FailureKind, now: Instant) -> Instant {
        self.write(&wire::cancel_line(id));
        let due = now + CANCEL_PATIENCE;
        if let Some(call) = self.calls.get_mut(&id) {
            call.cancelled = Some(why);
            call.due = due;
        }
        due
    }
}

/// Returns the outcome of a call that the worker did not answer after `cancel`.
pub(super) fn given_up(why: FailureKind, timeout: Duration, idle_timeout: Duration) -> Outcome {
    let message = match why {
        FailureKind::Timeout => format!("the worker did not answer within {timeout:?}"),
        FailureKind::IdleTimeout => {
            format!("the worker was silent about the call for {idle_timeout:?}")
        }
        _ => "stopped before the worker answered".to_owned(),
    };
    Outcome::InDoubt(Failure::new(Class::Transient, why, message))
}

/// Returns a moment that always exists.
pub(super) fn later(now: Instant, wait: Duration) -> Instant {
    let century = Duration::from_secs(100 * 365 * 86_400);
    now + wait.min(century)
}

/// Answers a slot. It may have been dropped meanwhile.
pub(super) fn reply(sender: oneshot::Sender<Reply>, reply: Reply) {
    drop(sender.send(reply));
}
