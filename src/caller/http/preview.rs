//! A request as it would be sent, with its secrets masked, for people.

use reqwest::header::{CONTENT_LENGTH, HOST};

use super::client::HttpPlan;
use super::error::no_step;
use super::keys::Filled;
use super::message::Built;
use super::reading::Reading;
use super::source::refusal;
use crate::job::{Attempt, Job, Outcome};

/// A request as it would be sent, with its secrets masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The method.
    pub method: String,
    /// The URL.
    pub url: String,
    /// The headers, `host` first unless it was given. The client sends `content-length`, and a `host` that was not
    /// given, last.
    pub headers: Vec<(String, String)>,
    /// The beginning of the body.
    pub body: Vec<u8>,
    /// The length of the whole body in bytes, if there is a body.
    pub length: Option<u64>,
}

impl HttpPlan {
    /// Builds the request of an attempt, with at most `most` bytes of its body, and sends nothing.
    ///
    /// # Errors
    ///
    /// The outcome of the attempt, if no request can be built from this file.
    pub fn preview(&self, job: &Job, attempt: &Attempt, most: usize) -> Result<Preview, Outcome> {
        let filled = self.plan().keys[usize::from(attempt.lane)].current();
        let step = usize::from(attempt.step.index);
        if step >= filled.messages.len() {
            return Err(no_step(step));
        }
        let origins = &self.plan().origins;
        let build = |filled: &Filled| origins.build(filled, step, job, attempt, Reading::Patient);
        // The length of a mask differs from its secret's.
        let length = build(&filled)?.body.map(|body| body.length());
        let Built {
            method,
            url,
            mut headers,
            body,
            ..
        } = build(&filled.masked())?;
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, length.into());
        }
        let text = |bytes: &[u8]| filled.secrets.mask_text(&String::from_utf8_lossy(bytes));
        let mut shown = Vec::with_capacity(headers.len() + 1);
        if !headers.contains_key(HOST) {
            let host = url.host_str().unwrap_or_default();
            let port = url
                .port()
                .map(|port| format!(":{port}"))
                .unwrap_or_default();
            shown.push((HOST.to_string(), format!("{host}{port}")));
        }
        for (name, value) in &headers {
            shown.push((name.to_string(), text(value.as_bytes())));
        }
        let body = body.map(|body| body.beginning(most, Reading::Patient));
        let body = body.transpose().map_err(|error| refusal(&error))?;
        Ok(Preview {
            method: method.to_string(),
            url: text(url.as_str().as_bytes()),
            headers: shown,
            body: filled.secrets.mask(&body.unwrap_or_default()),
            length,
        })
    }
}
