//! Receives an answer: reads its body within the limits, or makes a failure of it.

use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, LOCATION};
use reqwest::{Response, StatusCode};
use tokio::time::timeout;

use super::challenge;
use super::classify::{self, ErrorAnswer};
use super::coding::{Broken, Reader};
use super::headers::{as_json, lossy, text};
use super::judge::{Judge, Received};
use super::signs::{Signs, stated_wait};
use crate::caller::aside::aside;
use crate::caller::spill::Growing;
use crate::caller::timer::patience;
use crate::job::{Answer, Bill, Class, Failure, FailureKind, Outcome};
use crate::validate::{PollValidator, Reply, RetryAfter};

/// The maximum number of bytes to read of an error's body so that its connection can be reused.
const ERROR_READ: usize = 64 << 10;
/// The timeout of reading an error's body.
const ERROR_PATIENCE: Duration = Duration::from_secs(5);
/// The maximum number of bytes to allocate for an announced body before it arrives.
const ROOM_AHEAD: u64 = 1 << 20;

/// Returns the complete answer if its status may be that of a result, otherwise the attempt's outcome.
pub(super) async fn receive(
    judge: &Judge,
    response: Response,
    repeat: bool,
    is_foreign: bool,
) -> Result<Received, Outcome> {
    let status = response.status();
    let decodes = judge.message().takes_compressed();
    let (headers, body) = Reader::new(response, judge.has_body, decodes);
    let head = AnswerHead {
        judge,
        status,
        signs: signs_of(&headers),
        headers,
    };
    if judge.takes(status.as_u16(), head.headers.contains_key(LOCATION)) {
        head.success(body).await
    } else {
        Err(head.error(body, repeat, is_foreign).await)
    }
}

fn signs_of(headers: &HeaderMap) -> Signs {
    #[expect(
        clippy::disallowed_methods,
        reason = "times in an answer without a Date are relative to our clock"
    )]
    let now = SystemTime::now();
    let names = headers.keys().map(HeaderName::as_str);
    let get_all = |name: &str| headers.get_all(name).iter().map(lossy).collect();
    Signs::read(names, &get_all, now)
}

/// An answer whose body has not been read yet.
struct AnswerHead<'j> {
    judge: &'j Judge,
    status: StatusCode,
    headers: HeaderMap,
    signs: Signs,
}

impl AnswerHead<'_> {
    async fn error(self, body: Reader, repeat: bool, is_foreign: bool) -> Outcome {
        let (plan, signs) = (&self.judge.plan, &self.signs);
        let status = self.status.as_u16();
        let mut message = format!("HTTP {}", self.status);
        if let (300..400, Some(location)) = (status, text(&self.headers, &LOCATION)) {
            message = format!("{message}: this redirect is not followed; it leads to {location}");
        }
        if let (401, Some(asked)) = (status, challenge::describe(&self.headers)) {
            message = format!("{message}: {asked}");
        }
        let read = self.error_body(body).await;
        let body = self.judge.keep(&read);
        let wait_in_body = matches!(status, 403 | 429 | 503)
            .then(|| stated_wait(&body, signs.clock))
            .flatten();
        let answer = ErrorAnswer {
            status,
            body: &body,
            // A wait in the body of a 403 does not make it a limit.
            asks_to_wait: signs.stated.is_some() || status != 403 && wait_in_body.is_some(),
            limit_exhausted: signs.exhausted,
            repeat,
        };
        let bill = match plan.validator.meters() {
            true => {
                let needs_headers = plan.validator.needs_headers();
                let bill = |judge: &Judge, reply: &Reply<'_>| judge.plan.validator.bill(reply);
                self.evaluate(read.clone(), needs_headers, bill).await
            }
            false => Bill::default(),
        };
        let (mut class, mut kind) = classify::classify(&plan.rules, &answer);
        // A header may state a second when the body states a minute.
        let mut wait = signs.stated.max(wait_in_body).or(signs.wait);
        // A 503 for which `--retry-after` gives a wait states one.
        let if_stated = match status {
            503 => {
                let asks_to_wait = true;
                classify::classify(
                    &plan.rules,
                    &ErrorAnswer {
                        asks_to_wait,
                        ..answer
                    },
                )
            }
            _ => (class, kind),
        };
        if if_stated.0 == Class::Throttled
            && let Some(ruled) = self.ruled_wait(read).await
        {
            (class, kind) = if_stated;
            wait = Some(ruled);
        }
        if self.judge.step > 0 && kind == FailureKind::HttpStatus {
            match (status, class) {
                (404 | 410, Class::Rejected) => {
                    kind = FailureKind::Expired;
                    message.push_str(": the service does not know what an earlier answer names");
                }
                // No credential was sent that could be wrong.
                (401 | 403, Class::Auth) if is_foreign => {
                    class = Class::Rejected;
                    message.push_str(": it was called without credentials, because only an answer names its origin; --allow-origin sends them");
                }
                _ => {}
            }
        }
        if kind == FailureKind::TooLarge {
            message.push_str(": the service says that the request is too large");
        }
        let failure = Failure {
            status: Some(status),
            body,
            hint: self.signs.hint,
            ..self.judge.failure(class, kind, &message)
        };
        let outcome = match class {
            Class::Throttled => Outcome::Throttled { failure, wait },
            _ => Outcome::Failed(failure),
        };
        outcome.stating(bill)
    }

    /// Evaluates `--retry-after` for an error.
    async fn ruled_wait(&self, body: Vec<u8>) -> Option<Duration> {
        let needs_headers = self.judge.plan.retry_after.as_ref()?.needs_headers();
        let clock = self.signs.clock;
        let wait = move |judge: &Judge, reply: &Reply<'_>| judge.ruled_wait(reply, clock);
        self.evaluate(body, needs_headers, wait).await
    }

    /// Evaluates an expression for an error, on another thread because it may be slow.
    async fn evaluate<T: Send + 'static>(
        &self,
        body: Vec<u8>,
        needs_headers: bool,
        evaluate: impl FnOnce(&Judge, &Reply<'_>) -> T + Send + 'static,
    ) -> T {
        let headers = needs_headers.then(|| as_json(&self.headers, &|_, value| lossy(value)));
        let (judge, status) = (self.judge.clone(), self.status);
        aside(move || {
            let reply = Reply {
                status: Some(status.as_u16()),
                media_type: None,
                headers: headers.as_deref(),
                columns: &judge.columns,
                body: &body.into(),
                has_body: judge.has_body,
            };
            evaluate(&judge, &reply)
        })
        .await
    }

    async fn success(self, mut reader: Reader) -> Result<Received, Outcome> {
        let (plan, secrets) = (&self.judge.plan, &self.judge.filled.secrets);
        let status = Some(self.status.as_u16());
        let bad = |kind, message: &str, body: &[u8]| {
            Outcome::Failed(Failure {
                status,
                body: self.judge.keep(body),
                hint: self.signs.hint.clone(),
                ..self.judge.failure(Class::BadResponse, kind, message)
            })
        };
        let in_doubt = |kind, message: &str| {
            Outcome::InDoubt(Failure {
                hint: self.signs.hint.clone(),
                ..self.judge.failure(Class::Transient, kind, message)
            })
        };
        let most = plan.limits.max_response as u64;
        let too_large = format!("the answer is larger than {most} bytes (--max-response)");
        let announced = reader.length().unwrap_or(0);
        if announced > most {
            return Err(bad(FailureKind::ResponseTooLarge, &too_large, b""));
        }
        let mut body = Growing::new(&self.judge.memory, announced.min(ROOM_AHEAD) as usize);
        loop {
            let piece = tokio::select! {
                biased;
                piece = reader.chunk() => piece,
                () = patience(plan.limits.idle_timeout) => {
                    let message = format!("no byte of the answer for {:?}", plan.limits.idle_timeout);
                    return Err(in_doubt(FailureKind::IdleTimeout, &message));
                }
            };
            match piece {
                Ok(Some(piece)) if body.len() + piece.len() as u64 > most => {
                    let beginning = self.judge.beginning(&body.finish()).unwrap_or_default();
                    return Err(bad(FailureKind::ResponseTooLarge, &too_large, &beginning));
                }
                Ok(Some(piece)) => {
                    if body.add_in_memory(&piece) {
                        continue;
                    }
                    // Only this call waits for the disk.
                    let added = aside(move || body.add(&piece).map(|()| body)).await;
                    body = added.map_err(|error| Outcome::InDoubt(Failure::unkept(&error)))?;
                }
                Ok(None) => break,
                Err(Broken::Off(reason)) => {
                    let message = format!("the answer broke off: {reason}");
                    return Err(in_doubt(FailureKind::Truncated, &message));
                }
                Err(Broken::Undecodable(error)) => {
                    let beginning = self.judge.beginning(&body.finish()).unwrap_or_default();
                    let message = format!("the answer is not in its content coding: {error}");
                    return Err(bad(FailureKind::BadCoding, &message, &beginning));
                }
            }
        }
        // The headers of such an answer say where the result will be.
        let is_last = self.judge.is_last();
        let keeps =
            plan.validator.keeps_headers() || self.status == StatusCode::ACCEPTED || !is_last;
        let retry_after = plan.retry_after.as_ref();
        let poll = self.judge.step_plan().poll.as_ref();
        let needs = keeps
            || plan.validator.needs_headers()
            || retry_after.is_some_and(RetryAfter::needs_headers)
            || poll.is_some_and(PollValidator::needs_headers);
        // A later request sends what the service has said, even if a secret is a part of it.
        let taken = &self.judge.step_plan().headers;
        let masked = |name: &HeaderName, value: &_| match taken.contains(name.as_str()) {
            true => lossy(value),
            false => secrets.mask_text(&lossy(value)),
        };
        Ok(Received {
            headers: needs.then(|| as_json(&self.headers, &|_, value| lossy(value))),
            coding: text(&self.headers, &CONTENT_ENCODING)
                .filter(|coding| !coding.eq_ignore_ascii_case("identity")),
            wait: self.signs.wait,
            stated: self.signs.stated,
            clock: self.signs.clock,
            answer: Answer {
                status,
                media_type: text(&self.headers, &CONTENT_TYPE),
                headers: keeps.then(|| as_json(&self.headers, &masked)),
                body: body.finish(),
                hint: self.signs.hint,
                source: None,
            },
        })
    }

    /// Reads the beginning of an error's body. The status is the answer already, so a body that breaks off or stops
    /// changes nothing.
    async fn error_body(&self, mut reader: Reader) -> Vec<u8> {
        let plan = &self.judge.plan;
        let most = match plan.retry_after.is_some() || plan.validator.meters() {
            true => ERROR_READ,
            false => Failure::BODY_KEPT + self.judge.filled.secrets.reach(),
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
        let _ = timeout(ERROR_PATIENCE.min(plan.limits.idle_timeout), read).await;
        body
    }
}
