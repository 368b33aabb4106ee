//! Gives the fuzzers (`tests/fuzz`) access to private functions. Only they compile it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::keys::Keys;
use super::message::{Message, Place};
use super::origins::Origins;
use super::reading::Reading;
use super::reference::Reference;
use super::secrets::Secrets;
use super::signs::{Signs, stated_wait};
use super::source::Source;
use super::template::{Encoding, Template};
use crate::job::{Attempt, Hint, Job};
use crate::settings::Request;

/// The escaping of inserted values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escaping {
    /// None.
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

/// Fills a template, or returns `None` if the job lacks a value for it.
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
    /// Its URL.
    pub url: String,
    /// Its headers.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// Builds a request, or returns `None` if that fails.
pub fn request(request: &Request, job: &Job, attempt: &Attempt) -> Option<Sent> {
    let message = Message::compile(request, Place::FIRST, &[], Path::new("/")).ok()?;
    let lookup = |_: &Reference| Err("a fuzzer has no secrets".to_owned());
    let keys = Keys::new(vec![message], Secrets::default(), Arc::new(lookup)).ok()?;
    let origins = Origins::parse(&[], false).ok()?;
    let built = origins
        .build(&keys.current(), 0, job, attempt, Reading::Patient)
        .ok()?;
    let headers = built.headers.iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
    let body = built
        .body
        .map(|body| body.beginning(usize::MAX, Reading::Patient).ok());
    Some(Sent {
        url: built.url.to_string(),
        headers: headers.collect(),
        body: body.map_or(Some(Vec::new()), |body| body)?,
    })
}

/// The waits and limits in an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    /// The wait after a refusal.
    pub wait: Option<Duration>,
    /// The wait in a header such as `Retry-After`.
    pub stated: Option<Duration>,
    /// The wait in the body.
    pub by_body: Option<Duration>,
    /// The service's limits.
    pub hint: Option<Hint>,
}

/// Reads the waits and limits in an answer.
pub fn said(headers: &[(&str, &str)], body: &[u8], now: SystemTime) -> Said {
    let get_all = |name: &str| {
        let same = headers.iter().filter(|(other, _)| *other == name);
        same.map(|(_, value)| (*value).to_owned()).collect()
    };
    let signs = Signs::read(headers.iter().map(|(name, _)| *name), &get_all, now);
    Said {
        wait: signs.wait,
        stated: signs.stated,
        by_body: stated_wait(body, signs.clock),
        hint: signs.hint.map(|hint| *hint),
    }
}
