//! The URL of a request: checked once, and filled for each job.

use std::path::PathBuf;

use reqwest::Url;

use super::body::Segments;
use super::error::{PlanError, unsendable};
use super::message::Message;
use super::reading::Reading;
use super::source::{Source, refusal};
use super::template::{Encoding, leads_away, lower_case_triplets};
use crate::job::{Columns, FailureKind, FileName, Job, JobId, Outcome, Position};

/// A part of the error about a URL without a scheme.
const RELATIVE: &str = "without a base";

impl Message {
    /// Returns the index of the request whose answer names the service, if one does.
    pub(super) fn named_by(&self) -> Option<usize> {
        self.url.named_by()
    }

    /// Returns the origin that the user's own words name for a job.
    pub(super) fn origin(&self, job: &Job, source: &Source) -> Option<String> {
        if self.named_by().is_some() {
            return None;
        }
        let service = self.url.fill_service(job, source)?;
        Some(Url::parse(&service).ok()?.origin().ascii_serialization())
    }

    /// Checks the URL and the headers with an ordinary file name, and returns the URL for it, unless an answer names the
    /// service.
    pub(super) fn check(&self, url: &str) -> Result<Option<Url>, PlanError> {
        let path = FileName::from("name.txt");
        let job = Job {
            id: JobId(0),
            position: Position(0),
            // An empty path opens no file.
            file: PathBuf::new(),
            path,
            columns: Columns::default(),
            answers: Vec::new(),
        };
        let source = Source::new(&job.file, Reading::Patient);
        for header in &self.headers {
            header.check(&job, &source)?;
        }
        if self.named_by().is_some() {
            return Ok(None);
        }
        let refused = |reason: &str| PlanError::Url {
            url: url
                .rsplit_once('@')
                .map_or_else(|| url.to_owned(), |(_, host)| format!("…@{host}")),
            reason: reason.to_owned(),
        };
        // Placeholders that need the file or its row are checked at each call.
        let filled = self.url.fill(Encoding::Url, &job, &source);
        let text = filled.map_or_else(
            |_| self.url.literals().collect(),
            |text| String::from_utf8_lossy(&text).into_owned(),
        );
        let parsed = Url::parse(&text).map_err(|error| match error.to_string() {
            text if text.contains(RELATIVE) => refused("it needs a scheme, such as https://"),
            text => refused(&text),
        })?;
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(refused("it must not contain a name or a password"));
        }
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(refused("only http and https can be called"));
        }
        if !is_sendable(&parsed) {
            return Err(refused(UNSENDABLE_HOST));
        }
        Ok(Some(parsed))
    }

    /// Returns the URL for a job. `base` returns the one of an earlier request, to which an answer's is relative.
    pub(super) fn url(
        &self,
        job: &Job,
        source: &Source,
        base: &dyn Fn(usize) -> Result<Url, Outcome>,
    ) -> Result<Url, Outcome> {
        self.url.refuse_empty(job)?;
        let (named, rest) = self.url.split_answer();
        let refused = |error: &str| {
            let message = match named {
                None => format!("the file's values cannot be put into the URL: {error}"),
                Some(field) => format!("{{{}}} is not a URL to call: {error}", field.name()),
            };
            unsendable(FailureKind::BadUrl, message)
        };
        let mut text = rest.fill(Encoding::Url, job, source)?;
        if leads_away(&rest, &String::from_utf8_lossy(&text)) {
            return Err(refused("they would lead to another path"));
        }
        if let Some(field) = named {
            let mut whole = field.text(job)?.trim_ascii().to_vec();
            whole.append(&mut text);
            text = whole;
        }
        if !self.query.is_empty() {
            // Drop the fragment, which is never sent.
            text.truncate(
                text.iter()
                    .position(|byte| *byte == b'#')
                    .unwrap_or(text.len()),
            );
            let mut query = Segments::default();
            for part in &self.query {
                part.fill(job, source, &mut query)?;
            }
            let query = query.beginning(usize::MAX, source.reading());
            let query = query.map_err(|error| refusal(&error))?;
            text.push(if text.contains(&b'?') { b'&' } else { b'?' });
            text.extend(lower_case_triplets(query));
        }
        let text = String::from_utf8_lossy(&text);
        let url = match (Url::parse(&text), named) {
            (Err(error), Some(field)) if error.to_string().contains(RELATIVE) => {
                base(field.step())?.join(&text)
            }
            (url, _) => url,
        };
        match url {
            Ok(url) if !is_sendable(&url) => Err(refused(UNSENDABLE_HOST)),
            Ok(url) if named.is_some() && !matches!(url.scheme(), "http" | "https") => {
                Err(refused("only http and https can be called"))
            }
            Ok(url)
                if named.is_some() && !(url.username().is_empty() && url.password().is_none()) =>
            {
                Err(refused("it has a name or a password"))
            }
            Ok(url) => Ok(url),
            Err(error) => Err(refused(&error.to_string())),
        }
    }
}

/// The reason for which a URL is refused that the URL standard allows and HTTP does not.
const UNSENDABLE_HOST: &str = "its host has a character that no host has; a placeholder has one pair of braces, as {col.host}";

/// Returns true if HTTP can carry the host (RFC 3986, section 3.2.2). The URL standard allows more characters in it.
fn is_sendable(url: &Url) -> bool {
    !url.host_str()
        .is_some_and(|host| host.contains(['{', '}', '"', '`']))
}
