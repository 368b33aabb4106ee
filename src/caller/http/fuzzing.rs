//! Doors for the fuzzers (`tests/fuzz`) to what is private. Compiled for them alone.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::message::Message;
use super::reading::Reading;
use super::signs;
use super::source::Source;
use super::template::{Encoding, Template};
use crate::job::{Attempt, Hint, Job};
use crate::settings::Request;

/// How inserted values are escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escaping {
    /// Not at all.
    Plain,
    /// For a URL.
    Url,
    /// For a form.
    Form,
    /// For a form, slashes too.
    All,
    /// For JSON.
    Json,
}

/// Fills a template. `None` where the job does not have what it takes.
pub fn fill(template: &Template, escaping: Escaping, job: &Job) -> Option<Vec<u8>> {
    let encoding = match escaping {
        Escaping::Plain => Encoding::Plain,
        Escaping::Url => Encoding::Url,
        Escaping::Form => Encoding::Form,
        Escaping::All => Encoding::All,
        Escaping::Json => Encoding::Json,
    };
    template
        .fill(encoding, job, &Source::new(&job.file, Reading::Patient))
        .ok()
}

/// A request for one file.
#[derive(Debug)]
pub struct Sent {
    /// Where it goes.
    pub url: String,
    /// Its headers.
    pub headers: Vec<(String, Vec<u8>)>,
    /// What it carries.
    pub body: Vec<u8>,
}

/// Puts a request together. `None` where that cannot be.
pub fn request(request: &Request, job: &Job, attempt: &Attempt) -> Option<Sent> {
    let message = Message::compile(request, &[], Path::new("/")).ok()?;
    let built = message.build(job, attempt, Reading::Patient).ok()?;
    let headers = built.headers.iter();
    let own = headers.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
    let body = built
        .body
        .map(|body| body.beginning(usize::MAX, Reading::Patient).ok());
    Some(Sent {
        url: built.url.to_string(),
        headers: own.collect(),
        body: body.map_or(Some(Vec::new()), |body| body)?,
    })
}

/// The signs of an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    /// How long to wait after a refusal.
    pub wait: Option<Duration>,
    /// The wait that is stated as one.
    pub stated: Option<Duration>,
    /// The wait that the body states.
    pub by_body: Option<Duration>,
    /// The service's limits.
    pub hint: Option<Hint>,
}

/// Reads the signs of an answer.
pub fn said(look: &dyn Fn(&str) -> Vec<String>, body: &[u8], now: SystemTime) -> Said {
    Said {
        wait: signs::wait(look, now),
        stated: signs::stated(look, now),
        by_body: signs::stated_by_body(body, signs::clock(look, now)),
        hint: signs::hint(look, now).map(|hint| *hint),
    }
}
