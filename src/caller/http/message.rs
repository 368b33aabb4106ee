//! The request template of a run, checked once and filled for each job.

use std::path::Path;

use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap,
    HeaderName, HeaderValue as Value, USER_AGENT,
};
use reqwest::{Method, Url};

use super::body::Segments;
use super::content::{self, BodyPart, Content, Given};
use super::credential::Credential;
use super::error::{PlanError, missing_of_row};
use super::header::Header;
use super::progress::Progress;
use super::reading::Reading;
use super::reference::Reference;
use super::source::Source;
use super::template::{Braces, Template, TemplateError, media_type};
use crate::job::{Attempt, FileStamp, Job, Outcome, StepKind};
use crate::settings::Request;

/// The header that carries an attempt's key
/// (<https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>).
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The content codings that a request accepts by default.
const CODINGS: &str = "gzip, deflate, br, zstd";

/// The place of a request among those of a job.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Its index, from 0.
    pub(super) index: usize,
    pub(super) kind: StepKind,
}

impl Place {
    #[cfg(any(test, fuzzing))]
    pub(super) const FIRST: Self = Self {
        index: 0,
        kind: StepKind::Write,
    };
}

/// A compiled request.
#[derive(Debug, Clone)]
pub(super) struct Message {
    place: Place,
    method: Method,
    pub(super) url: Template,
    /// Parts appended to the URL's query.
    pub(super) query: Vec<BodyPart>,
    pub(super) headers: Vec<Header>,
    content: Content,
    /// Accepts compressed answers.
    compressed: bool,
    /// The request was pasted.
    pasted: bool,
}

/// The relation of a URL to the user's own ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trust {
    /// It gets no credentials.
    pub(super) is_foreign: bool,
    /// A URL of the user names its origin.
    pub(super) is_own: bool,
    /// The public host whose answer names it, if no URL of the user does.
    pub(super) named_by: Option<String>,
}

impl Trust {
    /// The user names the origin.
    pub(super) const OWN: Self = Self {
        is_foreign: false,
        is_own: true,
        named_by: None,
    };
}

/// A request for one file.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Segments>,
    /// The job's file, if it was opened.
    pub(super) source: Option<FileStamp>,
    /// The relation of the URL to the user's own ones.
    pub(super) trust: Trust,
}

impl Built {
    /// Leaves out what only the user's own origins get: the credentials, and the `Host` that the user gave for them.
    pub(super) fn drop_credentials(&mut self, message: &Message) {
        self.headers.remove(HOST);
        for name in message.private_headers() {
            self.headers.remove(name);
        }
    }

    /// Converts it for the client.
    pub(super) fn into_request(
        self,
        progress: &Progress,
        reading: Reading,
    ) -> Result<reqwest::Request, Outcome> {
        let mut request = reqwest::Request::new(self.method, self.url);
        *request.headers_mut() = self.headers;
        if let Some(body) = self.body {
            *request.body_mut() = Some(body.into_body(progress, reading)?);
        }
        Ok(request)
    }
}

impl Message {
    /// Checks and compiles a request. `credentials` are used and never stored. Files other than a job's own resolve
    /// against `base`.
    pub(super) fn compile(
        request: &Request,
        place: Place,
        credentials: &[Credential],
        base: &Path,
    ) -> Result<Self, PlanError> {
        let braces = if request.pasted {
            Braces::Pasted
        } else {
            Braces::Ours
        };
        let headers = Header::compile_all(&request.headers, credentials, braces)?;
        let given = Given {
            base,
            is_pasted: request.pasted,
        };
        let query =
            BodyPart::compile_all(&request.query, given).map_err(PlanError::in_template(BODY))?;
        let message = Self {
            place,
            method: Method::from_bytes(request.method.as_bytes())
                .map_err(|_| PlanError::Method(request.method.clone()))?,
            url: Template::read(&request.url, braces).map_err(PlanError::in_template(URL))?,
            query: query.into_iter().map(BodyPart::in_query).collect(),
            headers,
            content: Content::compile(&request.body, given)
                .map_err(PlanError::in_template(BODY))?,
            compressed: !request.transport.uncompressed,
            pasted: request.pasted,
        };
        message.bind()
    }

    /// Binds the placeholders for answers to this request.
    fn bind(mut self) -> Result<Self, PlanError> {
        let (step, is_lenient) = (self.place.index, self.pasted);
        self.url = (self.url.bind(step, is_lenient)).map_err(PlanError::in_template(URL))?;
        for header in &mut self.headers {
            let bound = header.value.take();
            let bound = bound.map(|value| value.bind(step, is_lenient));
            header.value = (bound.transpose()).map_err(PlanError::in_template(&header.label))?;
        }
        for part in self.parts_mut() {
            let template = std::mem::take(&mut part.template);
            part.template = (template.bind(step, true)).map_err(PlanError::in_template(BODY))?;
            if part.is_file_of_answer() {
                return Err(PlanError::FileOfAnswer);
            }
        }
        Ok(self)
    }

    /// Returns the headers of earlier answers that this request uses, each with the index of the answer.
    pub(super) fn headers_of_answers(&self) -> Vec<(usize, String)> {
        let values = self.headers.iter();
        let values = values.filter_map(|header| header.value.as_ref());
        let parts = self.query.iter().chain(self.content.parts());
        let parts = parts.map(|part| &part.template);
        let templates = values.chain(parts).chain([&self.url]);
        templates.flat_map(Template::headers_of_answers).collect()
    }

    /// Replaces references by their values.
    pub(super) fn resolve(
        &self,
        value: &mut dyn FnMut(&Reference) -> Result<Vec<u8>, TemplateError>,
    ) -> Result<Self, PlanError> {
        let mut message = self.clone();
        for header in &mut message.headers {
            header.resolve(value)?;
        }
        self.url
            .check_parameters(value)
            .map_err(PlanError::in_template(URL))?;
        let (url, user) =
            (self.url.resolve_url(self.pasted, value)).map_err(PlanError::in_template(URL))?;
        message.url = url;
        user.iter().for_each(|user| message.add_user(user));
        for part in message.parts_mut() {
            part.template = part
                .template
                .resolve(value)
                .map_err(PlanError::in_template(BODY))?;
        }
        Ok(message)
    }

    /// Adds the user information of the URL, unless another credential takes precedence.
    fn add_user(&mut self, user: &str) {
        if self.headers.iter().any(|known| known.name == AUTHORIZATION) {
            return;
        }
        self.headers.push(Header::of_user(user));
    }

    /// Returns whether a reference stands before the path of the URL.
    pub(super) fn names_service(&self, reference: &Reference) -> bool {
        self.url.names_service(reference)
    }

    /// Returns the parts of the query and the body.
    fn parts_mut(&mut self) -> impl Iterator<Item = &mut BodyPart> {
        self.query.iter_mut().chain(self.content.parts_mut())
    }

    /// Returns the encoded values of Basic authentication.
    pub(super) fn basic(&self) -> impl Iterator<Item = Vec<u8>> {
        let basic = self.headers.iter().filter(|header| header.basic);
        basic.filter_map(|header| header.value.as_ref()?.constant().ok())
    }

    /// Returns whether the request accepts compressed answers. An `Accept-Encoding` header takes precedence.
    pub(super) fn takes_compressed(&self) -> bool {
        let mut headers = self.headers.iter();
        let given = headers.find(|header| header.name == ACCEPT_ENCODING);
        given.map_or(self.compressed, |header| header.value.is_some())
    }

    /// Returns the headers that hold credentials, which redirects to other origins must not carry.
    pub(super) fn private_headers(&self) -> impl Iterator<Item = &HeaderName> {
        let private = self.headers.iter().filter(|header| header.private);
        private.map(|header| &header.name)
    }

    /// Describes the credential that this request carries, if any.
    pub(super) fn credential(&self) -> Option<String> {
        let sent = |header: &Header| header.value.as_ref().is_some_and(|value| !value.is_empty());
        let mut headers = self.headers.iter();
        if let Some(header) = headers.find(|header| header.private && sent(header)) {
            return Some(header.label.clone());
        }
        if self.has_private_body() {
            return Some("the secret in the body".to_owned());
        }
        let mut query = self.query.iter();
        let private = self.url.is_private() || query.any(|part| part.template.is_private());
        private.then(|| "the secret in the URL".to_owned())
    }

    /// Describes the credential that another origin would get although private headers are left out.
    pub(super) fn fixed_credential(&self) -> Option<String> {
        let mut rest = self.clone();
        rest.headers.retain(|header| !header.private);
        rest.credential()
    }

    /// Returns whether the body holds a credential.
    pub(super) fn has_private_body(&self) -> bool {
        self.content.is_private()
    }

    /// Returns a copy without the values of secrets.
    pub(super) fn masked(&self) -> Self {
        let mut message = self.clone();
        message.url = message.url.masked();
        for header in &mut message.headers {
            header.value = header.value.as_ref().map(Template::masked);
        }
        message.parts_mut().for_each(BodyPart::mask);
        message
    }

    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    /// Checks the files that are the same for every job.
    pub(super) fn check_files(&self) -> Result<(), PlanError> {
        let parts = self.query.iter().chain(self.content.parts());
        for path in parts.filter_map(BodyPart::fixed_file) {
            let opened = Source::new(&path, Reading::Patient).open().map(drop);
            if let Err(outcome) = opened {
                let failure = outcome.failure();
                let reason = failure.map_or("it cannot be read", |failure| &failure.message);
                return Err(PlanError::File {
                    reason: reason.to_owned(),
                    path,
                });
            }
        }
        Ok(())
    }

    /// Returns whether the file is the body. Some methods give a body no meaning (RFC 9110, section 9.3).
    fn sends_file(&self) -> bool {
        matches!(self.content, Content::File)
            && !matches!(
                self.method,
                Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS | Method::TRACE
            )
    }

    /// Returns whether the request has a body.
    pub(super) fn has_body(&self) -> bool {
        match self.content {
            Content::Nothing => false,
            Content::File => self.sends_file(),
            Content::Pieces(_) | Content::Form(_) => true,
        }
    }

    /// Returns whether a call reads the job's own file. A name need not be that of a file otherwise.
    pub(super) fn reads_file(&self) -> bool {
        let values = self
            .headers
            .iter()
            .filter_map(|header| header.value.as_ref());
        self.sends_file()
            || !matches!(self.content, Content::File) && self.content.needs_file()
            || self.query.iter().any(BodyPart::needs_file)
            || values.chain([&self.url]).any(Template::needs_file)
    }

    /// Builds the request for one job, for an address that [`Message::url`] has returned. An error is the attempt's
    /// outcome: nothing was sent. With [`Reading::AtHand`], [`Outcome::Interrupted`] means that reading would have waited.
    pub(super) fn build(
        &self,
        job: &Job,
        attempt: &Attempt,
        source: &Source,
        (url, trust): (Url, Trust),
    ) -> Result<Built, Outcome> {
        let mut headers = self.headers(job, attempt, source)?;
        let body = if self.has_body() {
            let media_type = headers.get(CONTENT_TYPE);
            let media_type = media_type.and_then(|value| value.to_str().ok());
            let body = (self.content).fill(job, source, &attempt.key, media_type)?;
            if body.length() == 0 {
                // The client omits it, and some services require it (RFC 9110, section 8.6).
                headers.insert(CONTENT_LENGTH, Value::from_static("0"));
            }
            Some(body)
        } else {
            None
        };
        let mut built = Built {
            method: self.method.clone(),
            url,
            headers,
            body,
            source: source.stamp(),
            trust,
        };
        if built.trust.is_foreign {
            built.drop_credentials(self);
        }
        Ok(built)
    }

    /// Opens the job's file if the request reads it.
    pub(super) fn open(&self, job: &Job, source: &Source) -> Result<(), Outcome> {
        if !self.reads_file() {
            return Ok(());
        }
        source
            .open()
            .map_err(|outcome| match job.columns.is_empty() {
                true => outcome,
                false => missing_of_row(job, outcome),
            })
            .map(drop)
    }

    fn headers(&self, job: &Job, attempt: &Attempt, source: &Source) -> Result<HeaderMap, Outcome> {
        let mut headers = HeaderMap::new();
        headers.insert(
            USER_AGENT,
            Value::from_static(concat!("stride/", env!("CARGO_PKG_VERSION"))),
        );
        headers.insert(ACCEPT, Value::from_static("*/*"));
        if self.takes_compressed() {
            headers.insert(ACCEPT_ENCODING, Value::from_static(CODINGS));
        }
        // A repeated key would repeat the first answer to a poll.
        let takes_key = self.place.index == 0 || self.place.kind == StepKind::Write;
        if let Ok(key) = Value::from_str(&attempt.key.to_string())
            && takes_key
        {
            headers.insert(IDEMPOTENCY_KEY, key);
        }
        if self.sends_file() {
            headers.insert(CONTENT_TYPE, Value::from_static(media_type(&job.file)));
        }
        for header in &self.headers {
            headers.remove(&header.name);
        }
        for header in &self.headers {
            if let Some(value) = header.fill(job, source)? {
                headers.append(&header.name, value);
            }
        }
        if let Content::Form(_) = &self.content {
            let given = headers
                .get(CONTENT_TYPE)
                .and_then(|value| value.to_str().ok());
            let media_type = given.unwrap_or("multipart/form-data");
            let boundary = content::boundary(&attempt.key);
            if let Ok(value) = Value::from_str(&format!("{media_type}; boundary={boundary}")) {
                headers.insert(CONTENT_TYPE, value);
            }
        }
        Ok(headers)
    }
}

/// The names of these parts in messages.
const URL: &str = "the URL";
const BODY: &str = "the body";
