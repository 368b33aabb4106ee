//! One request and its answer, under every limit at once, with the one question answered at each way out:
//! can it have been sent?

use std::cell::{Cell, RefCell};
use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Client, Response, Url};
use tokio::time::timeout;

use super::aside::aside;
use super::coding::{Broken, Reader};
use super::error::root_cause;
use super::head::Seen;
use super::headers::{as_json, lossy, text};
use super::judge::{self, Refusal};
use super::keys::Filled;
use super::progress::Progress;
use super::reading::Reading;
use super::redirect::{Hop, Redirects};
use super::reuse::Reuse;
use super::signs;
use super::spill::Growing;
use super::timer::{Timer, patience};
use super::tunnel::{self, Refused};
use super::unreachable::{self, Own, SentBack};
use super::verdict::{Verdict, Whole};
use crate::caller::Cancel;
use crate::job::{Answer, Attempt, Class, Failure, FailureKind, Hint, Job, Outcome};
use crate::validate::{Reply, RetryAfter};

/// How much of an error's body is read so that its connection can be used again, in bytes.
const ERROR_READ: usize = 64 << 10;
/// How much room is made for an answer before any of it has come, in bytes.
const ROOM_AHEAD: usize = 1 << 20;
/// How long the rest of an error's body may take: its status is the answer already.
const ERROR_PATIENCE: Duration = Duration::from_secs(5);
/// How often an upload is looked at that has not begun, or has ended.
const UPLOAD_LOOK: Duration = Duration::from_secs(1);

/// What an exchange needs of its caller.
pub(super) struct Exchange<'c> {
    pub(super) client: &'c Client,
    /// The client for other origins than the first request's.
    pub(super) strangers: &'c Client,
    pub(super) progress: &'c Progress,
    pub(super) reuse: &'c Reuse,
    pub(super) job: &'c Job,
    pub(super) attempt: &'c Attempt,
    /// What the request is made of, and what its answer is judged with.
    pub(super) verdict: Verdict,
    /// Where the head of the answer is noted, for those who want to see it.
    pub(super) seen: Option<&'c RefCell<Option<Seen>>>,
    /// Whether the request has been handed to the client.
    pub(super) is_out: Cell<bool>,
    /// Whether some service has answered with a redirect that is followed.
    pub(super) redirected: Cell<bool>,
}

impl Exchange<'_> {
    pub(super) async fn run(&self, timer: &mut Timer, cancel: &Cancel) -> Outcome {
        let received = tokio::select! {
            biased;
            () = cancel.cancelled() => {
                Err(self.cut_off(FailureKind::Stopped, "stopped before the answer came", true))
            }
            received = self.under_limits(timer) => received,
        };
        self.reuse.ended(received.is_ok());
        // An answer that is here was paid. However long it takes to judge it, no limit and no stop makes it another.
        match received {
            Ok(whole) => self.verdict.of(whole).await,
            Err(outcome) => self.counted(outcome),
        }
    }

    /// Returns what an attempt came to, knowing that a call which was redirected was sent and answered: whatever keeps
    /// the next hop from being made, the service that sent the redirect may have acted.
    fn counted(&self, outcome: Outcome) -> Outcome {
        if !self.redirected.get() {
            return outcome;
        }
        match outcome {
            Outcome::Unreachable(failure) => Outcome::InDoubt(after_redirect(failure)),
            Outcome::Unsendable(failure) => Outcome::Failed(after_redirect(failure)),
            Outcome::Interrupted => {
                self.in_doubt(FailureKind::Stopped, "stopped before the answer came")
            }
            outcome => outcome,
        }
    }

    async fn under_limits(&self, timer: &mut Timer) -> Result<Whole, Outcome> {
        // A disk that does not answer has all the time there is: nothing has been sent.
        let request = self.request(None).await?;
        self.is_out.set(true);
        let limits = &self.verdict.plan.limits;
        tokio::select! {
            biased;
            () = timer.patience(limits.timeout) => {
                let message = format!("no complete answer within {:?}", limits.timeout);
                Err(self.cut_off(FailureKind::Timeout, &message, false))
            }
            () = self.upload_stalls(), if self.progress.upload(|upload| upload.streams) => {
                let message = format!("the file did not move for {:?}", limits.idle_timeout);
                Err(self.in_doubt(FailureKind::IdleTimeout, &message))
            }
            received = self.exchange(request) => received,
        }
    }

    /// The complete answer of a status that may be a result's. An error is what the attempt came to.
    async fn exchange(&self, mut request: reqwest::Request) -> Result<Whole, Outcome> {
        let filled = &self.verdict.filled;
        let most = self.verdict.plan.transport.redirects;
        let mut redirects = Redirects::new(request.method(), request.url(), most);
        let mut client = self.client;
        loop {
            self.reuse.prepare(&mut request);
            let sent = client.execute(request).await;
            let response = match sent {
                Ok(response) => response,
                Err(error) => return Err(self.transport(&error).await),
            };
            self.reuse.answered(&response, self.progress.is_fresh());
            if let Some(seen) = self.seen {
                *seen.borrow_mut() = Some(self.head(&response));
            }
            let Some(hop) = redirects.next(filled, response.status(), response.headers()) else {
                return self.answer(response).await;
            };
            self.redirected.set(true);
            if hop.strayed {
                client = self.strangers;
            }
            request = self.request(Some(hop)).await?;
        }
    }

    /// The request, or that which a redirect asks for. An error is what the attempt came to.
    async fn request(&self, hop: Option<Hop>) -> Result<reqwest::Request, Outcome> {
        let (filled, job, attempt) = (&self.verdict.filled, self.job, self.attempt);
        let at_hand = Reading::AtHand;
        let progress = self.progress;
        match request(filled, job, attempt, hop.clone(), progress, at_hand) {
            Err(Outcome::Interrupted) => {}
            done => return done,
        }
        let (filled, job, attempt) = (filled.clone(), job.clone(), *attempt);
        let progress = progress.clone();
        let patient = Reading::Patient;
        aside(move || request(&filled, &job, &attempt, hop, &progress, patient)).await
    }

    /// The head of an answer, for people.
    fn head(&self, response: &Response) -> Seen {
        let headers = response.headers().iter();
        let secrets = &self.verdict.filled.secrets;
        let text = |value: &HeaderValue| secrets.mask_text(&lossy(value));
        Seen {
            version: format!("{:?}", response.version()),
            status: response.status().to_string(),
            headers: headers
                .map(|(name, value)| (secrets.mask_text(name.as_str()), text(value)))
                .collect(),
        }
    }

    /// What a call came to that was dropped on its way.
    fn cut_off(&self, kind: FailureKind, message: &str, by_stop: bool) -> Outcome {
        if !self.is_out.get() {
            return Outcome::Interrupted;
        }
        match (self.progress.is_connecting(), by_stop) {
            (true, true) => Outcome::Interrupted,
            (true, false) => Outcome::Unreachable(Failure::new(
                Class::Transient,
                FailureKind::Unreachable,
                message,
            )),
            (false, _) => self.in_doubt(kind, message),
        }
    }

    async fn transport(&self, error: &reqwest::Error) -> Outcome {
        if let Some(message) = self.progress.upload(|upload| upload.error.take()) {
            // The announced length was not reached, so no service can have taken the request for whole.
            return Outcome::Failed(Failure::new(
                Class::Input,
                FailureKind::InputChanged,
                message,
            ));
        }
        let unreachable = |kind, message: &str| {
            Outcome::Unreachable(self.verdict.failure(Class::Transient, kind, message))
        };
        let plan = &self.verdict.plan;
        let own = match (&plan.transport.certificate, plan.asked.has_been()) {
            (Some(_), _) => Own::Given,
            (None, true) => Own::Missing,
            (None, false) => Own::NotAsked,
        };
        if error.is_connect() {
            let refused = tunnel::refused(&unreachable::causes(error));
            let (kind, message) = if let Some(refused) = refused {
                tunnel::told(self.status_of(refused, error.url()).await)
            } else if error.is_timeout() {
                (FailureKind::Unreachable, "no connection in time".to_owned())
            } else {
                unreachable::why(error, own)
            };
            return unreachable(kind, &message);
        }
        // A connection that has carried a call has passed the service's look at certificates.
        let turned_away = unreachable::turned_away(error, own);
        if let Some(message) = turned_away.filter(|_| self.progress.is_fresh()) {
            return unreachable(FailureKind::Tls, &message);
        }
        let cause = root_cause(error);
        match unreachable::sent_back(error) {
            Some(SentBack::Unprocessed) => {
                let message = format!("the service sent the request back unprocessed: {cause}");
                return unreachable(FailureKind::SentBack, &message);
            }
            Some(SentBack::TooMuch) => {
                let message = format!("the service asks for fewer requests: {cause}");
                let failure = self
                    .verdict
                    .failure(Class::Throttled, FailureKind::Http2, &message);
                return Outcome::Throttled {
                    failure,
                    wait: None,
                };
            }
            None => {}
        }
        self.in_doubt(
            FailureKind::ConnectionLost,
            &format!("the connection was lost before the answer came: {cause}"),
        )
    }

    /// Finds out with which status the proxy has refused a tunnel.
    async fn status_of(&self, refused: Refused, url: Option<&Url>) -> Option<u16> {
        if let Refused::With(status) = refused {
            return Some(status);
        }
        let door = self.verdict.plan.door.clone()?;
        let (host, port) = (url?.host_str()?, url?.port_or_known_default()?);
        let target = format!("{host}:{port}");
        // It may have changed its mind meanwhile.
        let status = aside(move || door.ask(&target)).await.ok();
        status.filter(|status| !(200..300).contains(status))
    }

    async fn answer(&self, response: Response) -> Result<Whole, Outcome> {
        let status = response.status();
        let decodes = self.verdict.filled.message.takes_compressed();
        let (headers, body) = Reader::new(response, self.verdict.has_body, decodes);
        let headers = &headers;
        let look = |name: &str| headers.get_all(name).iter().map(lossy).collect();
        #[expect(
            clippy::disallowed_methods,
            reason = "a date is judged by our clock where the answer has no Date"
        )]
        let now = SystemTime::now();
        // Most answers say nothing of it, and that is quickly seen.
        let speaks = headers.keys().any(|name| signs::is_one(name.as_str()));
        let hint = speaks.then(|| signs::hint(&look, now)).flatten();
        let wait = speaks.then(|| signs::wait(&look, now)).flatten();
        let plan = &self.verdict.plan;
        let rules = &plan.rules;
        let code = status.as_u16();
        if judge::is_good(&plan.validator, rules, code) {
            return self.success(code, headers, body, hint, wait, now).await;
        }
        let (stated, clock) = (signs::stated(&look, now), signs::clock(&look, now));
        let used_up = signs::is_used_up(&look, now);
        let mut message = format!("HTTP {status}");
        if let (300..400, Some(location)) = (status.as_u16(), text(headers, &LOCATION)) {
            message = format!("{message}: this redirect is not followed; it leads to {location}");
        }
        let looks = plan.retry_after.as_ref().map(RetryAfter::needs_headers);
        let headers = looks
            .unwrap_or_default()
            .then(|| as_json(headers, &|value| lossy(value)));
        let whole = self.error_body(body).await;
        let body = self.verdict.keep(&whole);
        let by_body = matches!(code, 403 | 429 | 503)
            .then(|| signs::stated_by_body(&body, clock))
            .flatten();
        let refusal = Refusal {
            status: code,
            body: &body,
            // The words of a 403 alone do not make it a limit.
            asks_to_wait: stated.is_some() || code != 403 && by_body.is_some(),
            used_up,
            repeat: self.attempt.repeat,
        };
        let (mut class, mut kind) = judge::class(rules, &refusal);
        // A header may say a second where the body says a minute.
        let mut wait = stated.max(by_body).or(wait);
        // A 503 for which the user's expression gives a wait is one that states it.
        let stating = Refusal {
            asks_to_wait: true,
            ..refusal
        };
        let with_wait = match code {
            503 => judge::class(rules, &stating),
            _ => (class, kind),
        };
        if with_wait.0 == Class::Throttled
            && plan.retry_after.is_some()
            && let Some(ruled) = self.ruled_wait(code, headers, whole, clock).await
        {
            (class, kind) = with_wait;
            wait = Some(ruled);
        }
        if kind == judge::TOO_LARGE {
            message.push_str(": the service says that the request is too large");
        }
        let failure = Failure {
            status: Some(code),
            body,
            hint,
            ..self.verdict.failure(class, kind, &message)
        };
        Err(match class {
            Class::Throttled => Outcome::Throttled { failure, wait },
            _ => Outcome::Failed(failure),
        })
    }

    /// Returns the wait that the user's expression reads from a refusal.
    async fn ruled_wait(
        &self,
        status: u16,
        headers: Option<String>,
        body: Vec<u8>,
        clock: SystemTime,
    ) -> Option<Duration> {
        let verdict = self.verdict.clone();
        // An expression may take its time.
        aside(move || {
            let reply = Reply {
                status: Some(status),
                media_type: None,
                headers: headers.as_deref(),
                body: &body.into(),
                has_body: verdict.has_body,
            };
            verdict.ruled_wait(&reply, clock)
        })
        .await
    }

    async fn success(
        &self,
        status: u16,
        headers: &HeaderMap,
        mut reader: Reader,
        hint: Option<Box<Hint>>,
        wait: Option<Duration>,
        now: SystemTime,
    ) -> Result<Whole, Outcome> {
        let media_type = text(headers, &CONTENT_TYPE);
        let (plan, secrets) = (&self.verdict.plan, &self.verdict.filled.secrets);
        let keeps = plan.validator.keeps_headers();
        let looks = plan.retry_after.as_ref().map(RetryAfter::needs_headers);
        let all =
            (keeps || looks.unwrap_or_default()).then(|| as_json(headers, &|value| lossy(value)));
        let clock = match plan.retry_after {
            Some(_) => {
                let look = |name: &str| headers.get_all(name).iter().map(lossy).collect();
                signs::clock(&look, now)
            }
            None => now,
        };
        let masked_headers =
            keeps.then(|| as_json(headers, &|value| secrets.mask_text(&lossy(value))));
        let bad = |kind, message: &str, body: &[u8]| {
            Outcome::Failed(Failure {
                status: Some(status),
                body: self.verdict.keep(body),
                hint: hint.clone(),
                ..self.verdict.failure(Class::BadResponse, kind, message)
            })
        };
        let in_doubt = |kind, message: &str| {
            Outcome::InDoubt(Failure {
                hint: hint.clone(),
                ..self.verdict.failure(Class::Transient, kind, message)
            })
        };
        let too_large = format!(
            "the answer is larger than {} bytes (--max-response)",
            plan.limits.max_response
        );
        let announced = reader
            .length()
            .and_then(|length| usize::try_from(length).ok())
            .unwrap_or(0);
        if announced > plan.limits.max_response {
            return Err(bad(FailureKind::ResponseTooLarge, &too_large, b""));
        }
        // What is announced need not come.
        let mut body = Growing::new(&self.verdict.memory, announced.min(ROOM_AHEAD));
        loop {
            let piece = tokio::select! {
                biased;
                piece = reader.chunk() => Ok(piece),
                () = patience(plan.limits.idle_timeout) => Err(()),
            };
            match piece {
                Ok(Ok(Some(piece)))
                    if body.len() + piece.len() as u64 > plan.limits.max_response as u64 =>
                {
                    let beginning = self.verdict.beginning(&body.finish()).unwrap_or_default();
                    return Err(bad(FailureKind::ResponseTooLarge, &too_large, &beginning));
                }
                Ok(Ok(Some(piece))) => {
                    if body.add_in_memory(&piece) {
                        continue;
                    }
                    // A disk that is slow holds up this call alone.
                    let added = aside(move || body.add(&piece).map(|()| body)).await;
                    body = added.map_err(|error| Outcome::InDoubt(Failure::unkept(&error)))?;
                }
                Ok(Ok(None)) => break,
                Ok(Err(Broken::Off(reason))) => {
                    let message = format!("the answer broke off: {reason}");
                    return Err(in_doubt(FailureKind::Truncated, &message));
                }
                Ok(Err(Broken::Undecodable(error))) => {
                    let beginning = self.verdict.beginning(&body.finish()).unwrap_or_default();
                    let message = format!("the answer is not in its content coding: {error}");
                    return Err(bad(FailureKind::BadCoding, &message, &beginning));
                }
                Err(()) => {
                    let message =
                        format!("the answer stood still for {:?}", plan.limits.idle_timeout);
                    return Err(in_doubt(FailureKind::IdleTimeout, &message));
                }
            }
        }
        let answer = Answer {
            status: Some(status),
            media_type,
            headers: masked_headers,
            body: body.finish(),
            hint,
        };
        Ok(Whole {
            answer,
            headers: all,
            wait,
            clock,
        })
    }

    /// Returns the beginning of an error's body: as much as is kept, or as an expression is to see. The status is the
    /// answer already, so a body that breaks off or stands still changes nothing.
    async fn error_body(&self, mut reader: Reader) -> Vec<u8> {
        let (plan, secrets) = (&self.verdict.plan, &self.verdict.filled.secrets);
        let most = match plan.retry_after {
            Some(_) => ERROR_READ,
            None => Failure::BODY_KEPT + secrets.reach(),
        };
        let mut body = Vec::new();
        let read = async {
            let mut read = 0;
            while let Ok(Some(piece)) = reader.chunk().await {
                let room = most.saturating_sub(body.len());
                body.extend_from_slice(&piece[..piece.len().min(room)]);
                read += piece.len();
                if read > ERROR_READ {
                    break;
                }
            }
        };
        // Whether it ended or not, what has come is what there is.
        let _ = timeout(ERROR_PATIENCE.min(plan.limits.idle_timeout), read).await;
        body
    }

    /// Resolves when a streamed file has stood still for too long.
    async fn upload_stalls(&self) {
        let plan = &self.verdict.plan;
        loop {
            match self.progress.upload(|upload| upload.moved) {
                Some(moved) if moved.elapsed() >= plan.limits.idle_timeout => return,
                Some(moved) => {
                    let left = plan.limits.idle_timeout.saturating_sub(moved.elapsed());
                    patience(left).await;
                }
                None => patience(UPLOAD_LOOK.min(plan.limits.idle_timeout)).await,
            }
        }
    }

    fn in_doubt(&self, kind: FailureKind, message: &str) -> Outcome {
        Outcome::InDoubt(self.verdict.failure(Class::Transient, kind, message))
    }
}

/// The request for one file, in the client's own form.
fn request(
    filled: &Filled,
    job: &Job,
    attempt: &Attempt,
    hop: Option<Hop>,
    progress: &Progress,
    reading: Reading,
) -> Result<reqwest::Request, Outcome> {
    let built = filled.message.build(job, attempt, reading)?;
    let built = match hop {
        Some(hop) => hop.change(built, filled),
        None => built,
    };
    built.into_request(progress, reading)
}

/// Returns the failure of a later hop of a call, which says that it is one.
fn after_redirect(failure: Failure) -> Failure {
    Failure {
        message: format!("after a redirect: {}", failure.message),
        ..failure
    }
}
