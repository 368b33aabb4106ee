//! A request, compiled: checked once, and ready to be put together for any file.

use std::path::{Path, PathBuf};

use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue as Value, USER_AGENT,
};
use reqwest::{Method, Url};

use super::body::Segments;
use super::content::{self, Content, Part};
use super::credential::Credential;
use super::error::{PlanError, unsendable};
use super::progress::Progress;
use super::reading::Reading;
use super::reference::Reference;
use super::source::Source;
use super::template::{Braces, Encoding, Template, TemplateError, lower_case_triplets, media_type};
use crate::job::{Attempt, Columns, FailureKind, FileName, Job, JobId, Outcome, Position};
use crate::settings::{Header as Given, HeaderValue, Request};

/// The header that carries an attempt's key
/// (<https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>).
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The content codings that are taken unless a request says otherwise.
const CODINGS: &str = "gzip, deflate, br, zstd";

/// A request, compiled.
#[derive(Debug, Clone)]
pub(super) struct Message {
    method: Method,
    url: Template,
    /// What is put at the end of the URL's query.
    query: Vec<Part>,
    headers: Vec<Header>,
    content: Content,
    /// Whether answers may be compressed.
    compressed: bool,
}

/// A header as the request has it. Without a value it is left out.
#[derive(Debug, Clone)]
struct Header {
    name: HeaderName,
    /// Where it stands, for people.
    place: String,
    value: Option<Template>,
    /// Whether it is a name and a password, to be wrapped as Basic authentication has it.
    basic: bool,
    /// Whether it is a credential, which stays with the origin it is for.
    private: bool,
}

/// A request for one file.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Segments>,
}

impl Built {
    /// The client's own form of it.
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
    /// Checks a request. `credentials` are the values that are used and not stored; files that are not a job's
    /// own resolve against `base`.
    pub(super) fn compile(
        request: &Request,
        credentials: &[Credential],
        base: &Path,
    ) -> Result<Self, PlanError> {
        let braces = if request.pasted {
            Braces::Pasted
        } else {
            Braces::Ours
        };
        let template = |place: &str, text: &str| {
            Template::read(text, braces).map_err(|error| wrong(place, error))
        };
        let mut headers = Vec::new();
        let mut withheld: Vec<&str> = Vec::new();
        for header in &request.headers {
            let name = sendable(header)?;
            let place = format!("the header `{}`", header.name);
            let value = match &header.value {
                HeaderValue::Absent => None,
                HeaderValue::Template(text) | HeaderValue::Basic(text) => {
                    Some(template(&place, text)?)
                }
                HeaderValue::Withheld => {
                    // The n-th of a name has the n-th value that was given for it.
                    let same = |name: &&str| name.eq_ignore_ascii_case(&header.name);
                    let before = withheld.iter().filter(|name| same(name)).count();
                    let mut given = credentials
                        .iter()
                        .filter(|given| same(&given.name.as_str()));
                    withheld.push(&header.name);
                    let value = given.nth(before);
                    let value = value.ok_or_else(|| PlanError::Missing(header.name.clone()))?;
                    Some(Template::secret(value.value.as_bytes()))
                }
            };
            let private = crate::settings::is_sensitive(&header.name)
                || !matches!(header.value, HeaderValue::Template(_) | HeaderValue::Absent)
                || value.as_ref().is_some_and(Template::has_reference);
            headers.push(Header {
                name,
                place,
                value,
                basic: matches!(header.value, HeaderValue::Basic(_)),
                private,
            });
        }
        let in_body = |error| wrong("the body", error);
        Ok(Self {
            method: Method::from_bytes(request.method.as_bytes())
                .map_err(|_| PlanError::Method(request.method.clone()))?,
            url: template("the URL", &request.url)?,
            query: Part::compile_query(&request.query, base).map_err(in_body)?,
            headers,
            content: Content::compile(&request.body, base).map_err(in_body)?,
            compressed: !request.transport.uncompressed,
        })
    }

    /// Puts values in the place of references.
    pub(super) fn resolve(
        &self,
        value: &mut dyn FnMut(&Reference) -> Result<Vec<u8>, TemplateError>,
    ) -> Result<Self, PlanError> {
        let mut headers = Vec::with_capacity(self.headers.len());
        for header in &self.headers {
            let template = header.value.as_ref().map(|template| {
                let resolved = template.resolve(&mut |reference| {
                    let value = value(reference)?;
                    match Value::from_bytes(&value) {
                        Ok(_) => Ok(value),
                        Err(_) => Err(TemplateError::Value {
                            reference: reference.clone(),
                            reason: UNSENDABLE.to_owned(),
                        }),
                    }
                })?;
                if header.basic {
                    let pair = resolved.constant()?;
                    return Ok(Template::secret(Credential::basic(&pair).as_bytes()));
                }
                Ok(resolved)
            });
            headers.push(Header {
                value: template
                    .transpose()
                    .map_err(|error| wrong(&header.place, error))?,
                ..header.clone()
            });
        }
        let in_body = |error| wrong("the body", error);
        Ok(Self {
            method: self.method.clone(),
            url: self
                .url
                .resolve(value)
                .map_err(|error| wrong("the URL", error))?,
            query: content::resolve_all(&self.query, value).map_err(in_body)?,
            headers,
            content: self.content.resolve(value).map_err(in_body)?,
            compressed: self.compressed,
        })
    }

    /// The values that were made of names and passwords.
    pub(super) fn basic(&self) -> impl Iterator<Item = Vec<u8>> {
        let basic = self.headers.iter().filter(|header| header.basic);
        basic.filter_map(|header| header.value.as_ref()?.constant().ok())
    }

    /// Whether answers may be compressed.
    pub(super) fn takes_compressed(&self) -> bool {
        let refused = |header: &Header| header.name == ACCEPT_ENCODING && header.value.is_none();
        self.compressed && !self.headers.iter().any(refused)
    }

    /// The headers that are credentials, which stay with the origin they are for.
    pub(super) fn private_headers(&self) -> impl Iterator<Item = &HeaderName> {
        let private = self.headers.iter().filter(|header| header.private);
        private.map(|header| &header.name)
    }

    /// What of it is a credential, if anything; what the URL refers to aside.
    pub(super) fn credential(&self) -> Option<String> {
        let sent = |header: &&Header| header.value.as_ref().is_some_and(|value| !value.is_empty());
        let header = self
            .headers
            .iter()
            .filter(sent)
            .find(|header| header.private);
        match header {
            Some(header) => Some(header.place.clone()),
            None if self.has_private_body() => Some("what the body refers to".to_owned()),
            None if self.query.iter().any(Part::is_private) => {
                Some("what the URL refers to".to_owned())
            }
            None => None,
        }
    }

    /// Whether the body has a credential in it.
    pub(super) fn has_private_body(&self) -> bool {
        self.content.is_private()
    }

    /// The same without any secret's value.
    pub(super) fn masked(&self) -> Self {
        let headers = self.headers.iter().map(|header| Header {
            value: header.value.as_ref().map(Template::masked),
            ..header.clone()
        });
        Self {
            url: self.url.masked(),
            query: self.query.iter().map(Part::masked).collect(),
            headers: headers.collect(),
            content: self.content.masked(),
            ..self.clone()
        }
    }

    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    /// Tries the request on a name that has nothing special about it, and says where it would go.
    pub(super) fn check(&self, url: &str) -> Result<Url, PlanError> {
        let path = FileName::from("name.txt");
        let job = Job {
            id: JobId(0),
            position: Position(0),
            // Of no file that may be there.
            file: PathBuf::new(),
            path,
            columns: Columns::default(),
        };
        let source = Source::of(&job.file, Reading::Patient);
        let refused = |reason: &str| PlanError::Url {
            url: url
                .rsplit_once('@')
                .map_or_else(|| url.to_owned(), |(_, host)| format!("…@{host}")),
            reason: reason.to_owned(),
        };
        // What only a file or its row can fill in is seen when it is called.
        let filled = self.url.fill(Encoding::Url, &job, &source);
        let text = filled.map_or_else(
            |_| self.url.literals().collect(),
            |text| String::from_utf8_lossy(&text).into_owned(),
        );
        let parsed = Url::parse(&text).map_err(|error| match error.to_string() {
            text if text.contains("without a base") => {
                refused("it needs a scheme, such as https://")
            }
            text => refused(&text),
        })?;
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(refused("its user information cannot be told from its host"));
        }
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(refused("only http and https can be called"));
        }
        for header in &self.headers {
            if let Some(value) = &header.value
                && let Ok(filled) = value.fill(Encoding::Plain, &job, &source)
                && Value::from_bytes(&filled).is_err()
            {
                return Err(PlanError::Header {
                    name: header.name.to_string(),
                    reason: UNSENDABLE,
                });
            }
        }
        Ok(parsed)
    }

    /// Whether the file goes along by itself: not where HTTP gives a body no meaning (RFC 9110, section 9.3).
    fn sends_file(&self) -> bool {
        matches!(self.content, Content::File)
            && !matches!(
                self.method,
                Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS | Method::TRACE
            )
    }

    /// Whether the job's own file has to be there. Where a list is a table its rows may be about something else
    /// than files.
    fn needs_file(&self, job: &Job) -> bool {
        let templates = self
            .headers
            .iter()
            .filter_map(|header| header.value.as_ref());
        job.columns.is_empty()
            || self.sends_file()
            || !matches!(self.content, Content::File) && self.content.needs_file()
            || content::needs_file(&self.query)
            || templates.chain([&self.url]).any(Template::needs_file)
    }

    /// The request for one file. An error is the attempt's outcome: nothing was sent. Where reading must not wait,
    /// [`Outcome::Interrupted`] says that it would have had to.
    pub(super) fn build(
        &self,
        job: &Job,
        attempt: &Attempt,
        reading: Reading,
    ) -> Result<Built, Outcome> {
        let source = Source::of(&job.file, reading);
        if self.needs_file(job) {
            source.open()?;
        }
        let url = self.url(job, &source)?;
        let mut headers = self.headers(job, attempt, &source)?;
        let body = match &self.content {
            Content::Nothing => None,
            Content::File if !self.sends_file() => None,
            content => {
                let body = content.fill(job, &source, &attempt.key)?;
                if body.length() == 0 {
                    // The client leaves it out, and some services insist on it (RFC 9110, section 8.6).
                    headers.insert(CONTENT_LENGTH, Value::from_static("0"));
                }
                Some(body)
            }
        };
        Ok(Built {
            method: self.method.clone(),
            url,
            headers,
            body,
        })
    }

    fn url(&self, job: &Job, source: &Source) -> Result<Url, Outcome> {
        let mut text = self.url.fill(Encoding::Url, job, source)?;
        let refused = |error: &str| {
            let message = format!("what the file gives cannot be put into the URL: {error}");
            unsendable(FailureKind::BadUrl, message)
        };
        if leads_away(&self.url, &String::from_utf8_lossy(&text)) {
            return Err(refused("it would lead to another place"));
        }
        if !self.query.is_empty() {
            // A fragment is not sent.
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
            let query = query.map_err(|error| super::source::refusal(&error))?;
            text.push(if text.contains(&b'?') { b'&' } else { b'?' });
            text.extend(lower_case_triplets(query));
        }
        Url::parse(&String::from_utf8_lossy(&text)).map_err(|error| refused(&error.to_string()))
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
        if let Ok(key) = Value::from_str(&attempt.key.to_string()) {
            headers.insert(IDEMPOTENCY_KEY, key);
        }
        if self.sends_file() {
            headers.insert(CONTENT_TYPE, Value::from_static(media_type(&job.file)));
        }
        for header in &self.headers {
            headers.remove(&header.name);
        }
        for header in &self.headers {
            let Some(value) = &header.value else { continue };
            let value = value.fill(Encoding::Plain, job, source)?;
            let value = Value::from_bytes(&value).map_err(|_| {
                unsendable(
                    FailureKind::BadHeader,
                    format!(
                        "what the file gives cannot be put into the header `{}`",
                        header.name
                    ),
                )
            })?;
            headers.append(&header.name, value);
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

/// Whether what was inserted into a URL makes a segment of dots. Those are followed, however they are encoded, to
/// another resource (RFC 3986, section 5.2.4). The folder `.` leads nowhere.
fn leads_away(template: &Template, filled: &str) -> bool {
    fn segments(url: &str) -> std::str::Split<'_, [char; 2]> {
        let path = &url[..url.find(['?', '#']).unwrap_or(url.len())];
        path.split(['/', '\\'])
    }
    let outline = template.outline();
    // No value adds a slash, so what is at the same place was made of the same.
    std::iter::zip(segments(filled), segments(&outline)).any(|(segment, before)| {
        segment != before
            && match segment.to_ascii_lowercase().replace("%2e", ".").as_str() {
                ".." => true,
                "." => !template.has_folder(),
                _ => false,
            }
    })
}

/// Why a value cannot be sent in a header.
const UNSENDABLE: &str = "its value has a character that no header can carry, such as a newline";

fn wrong(place: &str, error: TemplateError) -> PlanError {
    PlanError::Template {
        place: place.to_owned(),
        error,
    }
}

/// A header's name, unless what is asked of it is what the connection or the client decides.
fn sendable(header: &Given) -> Result<HeaderName, PlanError> {
    let refused = |reason| PlanError::Header {
        name: header.name.clone(),
        reason,
    };
    let name = HeaderName::from_bytes(header.name.as_bytes())
        .map_err(|_| refused("not a header's name"))?;
    match (name.as_str(), &header.value) {
        // Then no connection is used again.
        ("connection", HeaderValue::Template(value)) if value.eq_ignore_ascii_case("close") => {
            Ok(name)
        }
        ("connection", _) => Err(refused("only `close` can be asked for")),
        ("content-length" | "transfer-encoding", _) => Err(refused("it follows from the file")),
        ("accept", HeaderValue::Absent) => {
            Err(refused("it cannot be left out; `*/*` says the same"))
        }
        _ => Ok(name),
    }
}
