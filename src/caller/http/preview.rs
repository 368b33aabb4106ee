//! A request as it would leave, for people: with its secrets masked.

use reqwest::header::{CONTENT_LENGTH, HOST};

use super::client::HttpPlan;
use super::message::Built;
use super::reading::Reading;
use crate::job::{Attempt, Job, Outcome};

/// A request as it would leave, with its secrets masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The method.
    pub method: String,
    /// Where it goes.
    pub url: String,
    /// The headers, in the order in which they are sent.
    pub headers: Vec<(String, String)>,
    /// The beginning of its body.
    pub body: Vec<u8>,
    /// The length of the whole body, in bytes; `None` where it has none.
    pub length: Option<u64>,
}

impl HttpPlan {
    /// The request of an attempt, with at most `most` bytes of its body. Nothing is sent.
    ///
    /// # Errors
    ///
    /// The request cannot be made of this file: what the attempt would come to.
    pub fn preview(&self, job: &Job, attempt: &Attempt, most: usize) -> Result<Preview, Outcome> {
        let filled = self.plan().keys.current();
        let real = filled.message.build(job, attempt, Reading::Patient)?;
        let length = real.body.as_ref().map(super::body::Segments::length);
        let Built {
            method,
            url,
            mut headers,
            body,
        } = filled
            .message
            .masked()
            .build(job, attempt, Reading::Patient)?;
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, length.into());
        }
        let text = |bytes: &[u8]| filled.secrets.mask_text(&String::from_utf8_lossy(bytes));
        let mut told = Vec::with_capacity(headers.len() + 1);
        if !headers.contains_key(HOST) {
            let host = url.host_str().unwrap_or_default();
            let host = url
                .port()
                .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
            told.push((HOST.to_string(), host));
        }
        for (name, value) in &headers {
            told.push((name.to_string(), text(value.as_bytes())));
        }
        let body = body.map_or_else(
            || Ok(Vec::new()),
            |body| body.beginning(most, Reading::Patient),
        );
        let body = body.map_err(|error| super::source::refusal(&error))?;
        Ok(Preview {
            method: method.to_string(),
            url: text(url.as_str().as_bytes()),
            headers: told,
            body: filled.secrets.mask(&body),
            length,
        })
    }
}
