//! The worker protocol: bytes to messages, and messages to lines. Pure. `guide/worker.md` describes it.

use std::borrow::Cow;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::job::{
    Attempt, Bill, Class, Failure, FailureKind, Hint, Job, Money, escaped, json_string,
    without_lone_surrogates,
};
pub(super) use violation::{Quote, Violation};

/// The longest line, in bytes.
pub(super) const LONGEST_LINE: usize = 1 << 20;
/// The version of the protocol.
const PROTOCOL: usize = 1;
/// The largest width of a worker.
const WIDEST: usize = 10_000;
/// The media types of answers that state none.
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";

/// A message of a worker.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Message {
    Hello(Hello),
    Done(Done),
    Fail(Fail),
    /// A call is alive.
    Beat(u64),
    /// The program that started stride asks for the end: of calls in flight too, if `now`.
    Stop {
        now: bool,
    },
}

/// The first message of a worker.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Hello {
    #[serde(default = "one")]
    protocol: usize,
    /// The name of what it does.
    pub name: Option<String>,
    /// The version of that.
    pub version: Option<String>,
    /// A checksum of the source of that.
    pub source: Option<String>,
    /// The number of calls that it takes at once.
    #[serde(default = "one")]
    pub width: usize,
    /// It wants to know the run's progress.
    #[serde(default)]
    pub status: bool,
}

/// The answer of a call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Done {
    pub(super) id: u64,
    pub(super) content: Content,
    pub(super) media_type: String,
    pub(super) status: Option<u16>,
    pub(super) hint: Option<Box<Hint>>,
    /// The reason why this is no result.
    pub(super) wrong: Option<Box<Failure>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// The content was in the line.
    Here(Vec<u8>),
    /// This many bytes and a newline follow the line.
    Follows(u64),
}

/// The failure of a call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fail {
    pub(super) id: u64,
    pub(super) class: Class,
    /// `None` if the worker does not know.
    pub(super) sent: Option<bool>,
    /// In one line.
    pub(super) message: String,
    pub(super) status: Option<u16>,
    pub(super) wait: Option<Duration>,
    pub(super) body: String,
    /// The whole answer, which is no result.
    pub(super) answer: Option<String>,
    pub(super) hint: Option<Box<Hint>>,
}

/// Divides the output of a worker into messages.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    bytes: Vec<u8>,
    /// The bytes before this are used up.
    at: usize,
    /// No line ends before this.
    searched: usize,
}

impl Decoder {
    /// Returns a buffer, at whose end a read appends.
    pub(super) fn room(&mut self) -> &mut Vec<u8> {
        if self.at > 0 {
            self.bytes.drain(..self.at);
            self.searched -= self.at;
            self.at = 0;
        }
        &mut self.bytes
    }

    /// Returns the next message, or `None` if its line is incomplete.
    ///
    /// # Errors
    ///
    /// The line breaks the protocol.
    pub(super) fn next(&mut self) -> Result<Option<(Message, Quote)>, Violation> {
        let end = self.bytes[self.searched..]
            .iter()
            .position(|byte| *byte == b'\n');
        let Some(end) = end.map(|end| self.searched + end) else {
            self.searched = self.bytes.len();
            if self.searched - self.at > LONGEST_LINE {
                return Err(too_long(&self.bytes[self.at..]));
            }
            return Ok(None);
        };
        let line = &self.bytes[self.at..end];
        if line.len() > LONGEST_LINE {
            return Err(too_long(line));
        }
        let message = read(line).map_err(|reason| Violation::new(reason, line))?;
        let quote = Quote::new(line);
        self.at = end + 1;
        self.searched = self.at;
        Ok(Some((message, quote)))
    }

    /// Returns whether a part of a line has arrived.
    pub(super) fn has_part(&self) -> bool {
        self.at < self.bytes.len()
    }

    /// Takes bytes that follow a line, at most `most`. The slice is empty if none have arrived.
    pub(super) fn take(&mut self, most: u64) -> &[u8] {
        let from = self.at;
        let arrived = self.bytes.len() - from;
        self.at += usize::try_from(most).map_or(arrived, |most| most.min(arrived));
        self.searched = self.at;
        &self.bytes[from..self.at]
    }
}

fn too_long(line: &[u8]) -> Violation {
    Violation::new(
        format!("a line has more than {LONGEST_LINE} bytes (use `bytes`)"),
        line,
    )
}

fn one() -> usize {
    1
}

#[derive(serde::Deserialize)]
struct Kind<'l> {
    #[serde(borrow)]
    t: Cow<'l, str>,
}

#[derive(serde::Deserialize)]
struct DoneLine<'l> {
    id: Whole<u64>,
    #[serde(borrow, default, deserialize_with = "present")]
    json: Option<&'l RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    text: Option<&'l RawValue>,
    bytes: Option<Whole<u64>>,
    #[serde(rename = "type")]
    media_type: Option<String>,
    status: Option<Whole<u16>>,
    limit: Option<Limit>,
    #[serde(default, deserialize_with = "cost")]
    cost: Option<Money>,
    #[serde(default, deserialize_with = "weight")]
    weight: Option<u64>,
}

#[derive(serde::Deserialize)]
struct FailLine {
    id: Whole<u64>,
    class: Option<String>,
    #[serde(default = "sent")]
    sent: Option<bool>,
    kind: Option<String>,
    message: Option<String>,
    status: Option<Whole<u16>>,
    retry_after: Option<f64>,
    body: Option<String>,
    answer: Option<String>,
    limit: Option<Limit>,
    #[serde(default, deserialize_with = "cost")]
    cost: Option<Money>,
    #[serde(default, deserialize_with = "weight")]
    weight: Option<u64>,
}

#[derive(serde::Deserialize)]
struct IdLine {
    id: Whole<u64>,
}

/// What has to be right in the line of an answer or a failure. Anything else concerns its call only.
#[derive(serde::Deserialize)]
struct CoreLine {
    id: Whole<u64>,
    bytes: Option<Whole<u64>>,
    #[serde(default = "yes")]
    sent: Value,
}

#[derive(serde::Deserialize)]
struct StopLine {
    #[serde(default)]
    now: bool,
}

/// Keeps `null` apart from a missing field.
fn present<'de: 'l, 'l, D: Deserializer<'de>>(from: D) -> Result<Option<&'l RawValue>, D::Error> {
    Deserialize::deserialize(from).map(Some)
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the default of a field that may be null"
)]
fn sent() -> Option<bool> {
    Some(true)
}

fn yes() -> Value {
    Value::Bool(true)
}

/// Reads a line.
///
/// # Errors
///
/// The reason why the line breaks the protocol.
pub(super) fn read(line: &[u8]) -> Result<Message, String> {
    let text = std::str::from_utf8(line).map_err(|_| "a line is not UTF-8".to_owned())?;
    // An array would be taken for the fields in their order.
    if !text.trim_start().starts_with('{') {
        return Err("a line is no JSON object".to_owned());
    }
    let wrong =
        |error: serde_json::Error| format!("a line is no message of the protocol ({error})");
    let kind: Kind<'_> = serde_json::from_str(text).map_err(wrong)?;
    Ok(match &*kind.t {
        "done" => match serde_json::from_str(text).map_err(wrong).and_then(done) {
            Ok(done) => Message::Done(done),
            Err(reason) => {
                let CoreLine { id, bytes, .. } = serde_json::from_str(text).map_err(wrong)?;
                let wrong = Violation::new(reason, line).to_string();
                let wrong = Failure::new(Class::BadResponse, FailureKind::Protocol, wrong);
                Message::Done(Done {
                    id: id.0,
                    content: bytes
                        .map_or(Content::Here(Vec::new()), |bytes| Content::Follows(bytes.0)),
                    media_type: BYTES.to_owned(),
                    status: None,
                    hint: None,
                    wrong: Some(Box::new(wrong)),
                })
            }
        },
        "fail" => {
            // Exceptions may quote names that are not UTF-8.
            let read = serde_json::from_str(text)
                .or_else(|_| serde_json::from_str(&without_lone_surrogates(text)));
            Message::Fail(match read.map_err(wrong).and_then(fail) {
                Ok(fail) => fail,
                Err(reason) => {
                    let CoreLine { id, sent, .. } = serde_json::from_str(text).map_err(wrong)?;
                    Fail {
                        id: id.0,
                        class: Class::BadResponse,
                        sent: sent.as_bool(),
                        message: Violation::new(reason, line).to_string(),
                        status: None,
                        wait: None,
                        body: String::new(),
                        answer: None,
                        hint: None,
                    }
                }
            })
        }
        "beat" => Message::Beat(serde_json::from_str::<IdLine>(text).map_err(wrong)?.id.0),
        "hello" => hello(serde_json::from_str(text).map_err(wrong)?)?,
        "stop" => {
            let StopLine { now } = serde_json::from_str(text).map_err(wrong)?;
            Message::Stop { now }
        }
        other => {
            return Err(format!(
                "a line has the unknown kind `{}`",
                escaped(other.as_bytes())
            ));
        }
    })
}

fn hello(hello: Hello) -> Result<Message, String> {
    if hello.protocol != PROTOCOL {
        return Err(format!("the protocol is not {PROTOCOL}"));
    }
    if !(1..=WIDEST).contains(&hello.width) {
        return Err(format!("the width is not from 1 to {WIDEST}"));
    }
    Ok(Message::Hello(hello))
}

fn done(line: DoneLine<'_>) -> Result<Done, String> {
    let mut wrong = None;
    let (content, media_type) = match (line.json, line.text, line.bytes) {
        (Some(json), None, None) => (Content::Here(json.get().as_bytes().to_vec()), JSON),
        (None, Some(text), None) => match serde_json::from_str::<String>(text.get()) {
            Ok(text) => (Content::Here(text.into_bytes()), TEXT),
            Err(_) if text.get().starts_with('"') => {
                let message = "the text has half of a surrogate pair, which is no character";
                let failure = Failure::new(Class::BadResponse, FailureKind::NotText, message);
                wrong = Some(Box::new(failure));
                (Content::Here(Vec::new()), TEXT)
            }
            Err(_) => return Err("`text` is no string".to_owned()),
        },
        (None, None, Some(bytes)) => (Content::Follows(bytes.0), BYTES),
        (None, None, None) => (Content::Here(b"null".to_vec()), JSON),
        _ => return Err("an answer has more than one of json, text and bytes".to_owned()),
    };
    Ok(Done {
        id: line.id.0,
        content,
        media_type: line.media_type.unwrap_or_else(|| media_type.to_owned()),
        status: line.status.map(|status| status.0),
        hint: hint(
            line.limit,
            Bill {
                cost: line.cost,
                weight: line.weight,
            },
        ),
        wrong,
    })
}

fn fail(line: FailLine) -> Result<Fail, String> {
    let class = match &line.class {
        None => Class::Rejected,
        Some(word) => Class::from_word(word)
            .ok_or_else(|| format!("there is no class `{}`", escaped(word.as_bytes())))?,
    };
    let words = [line.kind, line.message];
    let words = words
        .iter()
        .flatten()
        .map(|words| words.split_whitespace().collect::<Vec<_>>().join(" "));
    let words: Vec<String> = words.filter(|words| !words.is_empty()).collect();
    Ok(Fail {
        id: line.id.0,
        class,
        sent: line.sent,
        message: match words.is_empty() {
            true => "the worker gave no reason".to_owned(),
            false => words.join(": "),
        },
        status: line.status.map(|status| status.0),
        wait: seconds(line.retry_after),
        body: line.body.unwrap_or_default(),
        answer: line.answer,
        hint: hint(
            line.limit,
            Bill {
                cost: line.cost,
                weight: line.weight,
            },
        ),
    })
}

/// The line `hello`: the protocol's versions, the run in hexadecimal form, the worker's number, and the calls that should
/// be out at once.
pub(super) fn hello_line(run: &str, worker: usize, width: usize) -> String {
    let stride = env!("CARGO_PKG_VERSION");
    let hello = json!({
        "t": "hello", "protocol": [PROTOCOL], "stride": stride, "run": run, "worker": worker, "width": width,
    });
    format!("{hello}\n")
}

/// The end of the line `call`, after its id. `chunk` is the job's chunk, `timeout` the longest duration of the call, and
/// `pool` the row of a pool, as a JSON object.
pub(super) fn call_end(
    job: &Job,
    attempt: &Attempt,
    chunk: usize,
    timeout: Duration,
    pool: Option<&str>,
) -> String {
    let pool = pool.map_or_else(String::new, |row| format!(",\"pool\":{row}"));
    // A row may have line ends between its values.
    let fields = job.columns.row().unwrap_or("{}").replace(['\n', '\r'], " ");
    format!(
        ",\"name\":{},\"file\":{},\"position\":{},\"chunk\":{chunk},\"attempt\":{},\"key\":\"{}\",\"repeat\":{},\"timeout\":{},\"fields\":{fields}{pool}}}\n",
        json_string(job.path.as_bytes()),
        json_string(job.file.as_os_str().as_encoded_bytes()),
        job.position.0,
        attempt.id.number,
        attempt.key,
        attempt.repeat,
        json!(timeout.as_secs_f64()),
    )
}

/// The beginning of the line `call`.
pub(super) fn call_start(id: u64) -> String {
    format!("{{\"t\":\"call\",\"id\":{id}")
}

/// The line `cancel`.
pub(super) fn cancel_line(id: u64) -> String {
    format!("{{\"t\":\"cancel\",\"id\":{id}}}\n")
}

/// The line `bye`.
pub(super) const BYE: &str = "{\"t\":\"bye\"}\n";

mod stated;
mod violation;
use stated::{Limit, Whole, cost, hint, seconds, weight};

#[cfg(any(test, fuzzing))]
mod heard;
#[cfg(any(test, fuzzing))]
pub use heard::heard;

#[cfg(test)]
mod tests;
