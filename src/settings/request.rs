//! The request, as a run remembers it.

use serde::{Deserialize, Serialize};

use super::{Body, Command, Judging, Piece, Transport, Way};

/// The definition of a run's calls. Changing it changes the meaning of its results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Call {
    /// An HTTP request.
    Http(Box<Request>),
    /// A program of the user's.
    Command(Box<Command>),
    /// A Rust program's own caller.
    Program {
        /// A name that the program changes together with the meaning of its calls.
        name: String,
    },
}

/// An HTTP request for each file, as templates. It holds references to secrets, never their values.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The URL, with placeholders and without user information.
    pub url: String,
    /// The requested headers, in order.
    pub headers: Vec<Header>,
    /// The body.
    #[serde(default)]
    pub body: Body,
    /// Pieces to append to the URL's query.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<Piece>,
    /// Braces other than placeholders in the URL and the headers are literal, as in a pasted command.
    #[serde(default)]
    pub pasted: bool,
    /// The connection to the service.
    #[serde(default)]
    pub transport: Transport,
    /// The rules for results.
    #[serde(default)]
    pub judging: Judging,
    /// The folder for the bodies of results, each in its own file: an absolute path, or one below the run's base. By default
    /// the database stores them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_dir: Option<String>,
    /// The requests after this one, in order. The rules for results are about the answer to the last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub then: Vec<Then>,
    /// Origins such as `https://host:port` that answers may name and that get credentials.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_origins: Vec<String>,
}

/// A later request of each job. Its templates may use the answers of the requests before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Then {
    /// The request. Only the run's first one has rules for results, a folder for them, and later requests.
    pub request: Request,
    /// The request is repeated until its answer is the one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll: Option<PollRule>,
}

/// The rule by which a request is repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollRule {
    /// A jq expression that is true of the last answer.
    pub until: String,
    /// A jq expression that is true of an answer which says that the job has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail: Option<String>,
}

/// A requested header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Its name, as written.
    pub name: String,
    /// Its value.
    pub value: HeaderValue,
}

/// A header's value, as a run remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeaderValue {
    /// A template.
    Template(String),
    /// A template of `name:password`, to be encoded for Basic authentication (RFC 7617).
    Basic(String),
    /// A literal credential, which only the invocation that gave it knows.
    Withheld,
    /// The header is not sent, even if it is by default.
    Absent,
}

/// A difference between a run's request and a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The run's line.
    pub old: String,
    /// The new line.
    pub new: String,
}

impl Call {
    /// Returns the differences between this call and a new one, in the order of the request.
    pub fn differences(&self, new: &Self) -> Vec<Difference> {
        let (old, new) = (self.lines(), new.lines());
        let mut names: Vec<&str> = old.iter().chain(&new).map(|line| line.0.as_str()).collect();
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| seen.insert(*name));
        names
            .into_iter()
            .filter_map(|name| {
                let [old, new] = [&old, &new].map(|lines| {
                    let values: Vec<&str> = lines
                        .iter()
                        .filter(|line| line.0 == name)
                        .map(|line| line.1.as_str())
                        .collect();
                    if values.is_empty() {
                        format!("{name}: (none)")
                    } else {
                        format!("{name}: {}", values.join(", "))
                    }
                });
                (old != new).then_some(Difference { old, new })
            })
            .collect()
    }

    /// Returns the rules for results, unless a Rust program has its own.
    pub fn judging(&self) -> Option<&Judging> {
        match self {
            Self::Http(request) => Some(&request.judging),
            Self::Command(command) => Some(&command.judging),
            Self::Program { .. } => None,
        }
    }

    /// The same, to be changed.
    pub fn judging_mut(&mut self) -> Option<&mut Judging> {
        match self {
            Self::Http(request) => Some(&mut request.judging),
            Self::Command(command) => Some(&mut command.judging),
            Self::Program { .. } => None,
        }
    }

    /// Returns the folder for the bodies of results, as the run remembers it.
    pub fn output_dir(&self) -> Option<&str> {
        match self {
            Self::Http(request) => request.output_dir.as_deref(),
            Self::Command(command) => command.output_dir.as_deref(),
            Self::Program { .. } => None,
        }
    }

    /// Returns the call with another folder for the bodies of results. A Rust program has none.
    #[must_use]
    pub fn with_output_dir(mut self, folder: Option<String>) -> Self {
        match &mut self {
            Self::Http(request) => request.output_dir = folder,
            Self::Command(command) => command.output_dir = folder,
            Self::Program { .. } => {}
        }
        self
    }

    /// Returns the part of the call that is sent: without the rules for results and their folder.
    #[must_use]
    pub fn sent(&self) -> Self {
        let mut sent = self.clone().with_output_dir(None);
        if let Some(judging) = sent.judging_mut() {
            *judging = Judging::default();
        }
        // Only a worker's name and version say what it sends.
        if let Self::Command(command) = &mut sent {
            command.source = None;
        }
        sent
    }

    /// Returns the call with a worker's name, version and checksum of its source. Other calls have none.
    #[must_use]
    pub fn with_worker(
        mut self,
        name: Option<String>,
        version: Option<String>,
        source: Option<String>,
    ) -> Self {
        if let Self::Command(command) = &mut self
            && command.way.is_worker()
        {
            (command.name, command.version, command.source) = (name, version, source);
        }
        self
    }

    /// Returns the number of requests of each job.
    pub fn steps(&self) -> usize {
        match self {
            Self::Http(request) => request.all().count(),
            Self::Command(_) | Self::Program { .. } => 1,
        }
    }

    /// Returns true if the request of a step, by its index, may send the file or what is computed from its bytes.
    pub fn sends_file(&self, step: usize) -> bool {
        let Self::Http(request) = self else {
            return true;
        };
        let Some(request) = request.all().nth(step) else {
            return false;
        };
        // Templates are text in the stored form.
        let stored = serde_json::to_string(request).unwrap_or_default();
        let reads = ["{text", "{base64", "{sha256", "{size", r#""kind":"bytes""#];
        request.body == Body::File || reads.iter().any(|read| stored.contains(read))
    }

    /// Returns the index of the last request that differs from one of another call.
    pub fn last_changed_step(&self, other: &Self) -> Option<usize> {
        let (Self::Http(own), Self::Http(other)) = (self.sent(), other.sent()) else {
            return (self.sent() != other.sent()).then_some(usize::MAX);
        };
        let first = |request: &Request| Request {
            then: Vec::new(),
            allow_origins: Vec::new(),
            ..request.clone()
        };
        let (most, least) = (own.then.len(), other.then.len());
        let changed = (0..most.max(least)).rev();
        let mut changed = changed.filter(|index| own.then.get(*index) != other.then.get(*index));
        let later = changed.next().map(|index| index + 1);
        later.or_else(|| (first(&own) != first(&other)).then_some(0))
    }

    /// Returns whether calls go by the worker protocol.
    pub fn has_workers(&self) -> bool {
        matches!(self, Self::Command(command) if command.way.is_worker())
    }

    /// Returns whether the program that starts stride makes the calls.
    pub fn is_starters(&self) -> bool {
        matches!(self, Self::Command(command) if command.way == Way::Starter)
    }

    /// Returns whether results have a body. An answer to HEAD describes one and has none (RFC 9110, section 9.3.2).
    pub fn has_answer_body(&self) -> bool {
        !matches!(self, Self::Http(request) if request.all().last().is_some_and(|last| last.method == "HEAD"))
    }

    /// Describes the call for people, in one line that is not escaped.
    pub fn summary(&self) -> String {
        match self {
            Self::Http(request) => {
                let first = format!("{} {}", request.method, request.url);
                match request.then.len() {
                    0 => first,
                    1 => format!("{first}, then 1 more request"),
                    more => format!("{first}, then {more} more requests"),
                }
            }
            Self::Command(command) => command.shown(),
            Self::Program { name } => format!("caller {name} of a program"),
        }
    }

    /// Describes the call for people, as names and values in the order of the request.
    pub fn lines(&self) -> Vec<(String, String)> {
        match self {
            Self::Program { name } => vec![("caller".to_owned(), name.clone())],
            Self::Command(command) => command.lines(),
            Self::Http(request) => {
                let mut lines = request.sent_lines();
                let then = request.then.iter().zip(2..);
                lines.extend(then.flat_map(|(then, number)| then.lines(number)));
                let origins = request.allow_origins.iter().cloned();
                lines.extend(origins.map(|origin| ("allow-origin".to_owned(), origin)));
                lines.extend(request.judging.lines());
                let folder = request.output_dir.iter().cloned();
                lines.extend(folder.map(|folder| ("output-dir".to_owned(), folder)));
                lines
            }
        }
    }
}

impl Then {
    /// Describes the request for people, as names and values.
    fn lines(&self, number: usize) -> impl Iterator<Item = (String, String)> {
        let mut lines = self.request.sent_lines();
        if let Some(PollRule { until, fail }) = &self.poll {
            lines.push(("poll-until".to_owned(), until.clone()));
            lines.extend(
                fail.iter()
                    .map(|fail| ("poll-fail".to_owned(), fail.clone())),
            );
        }
        let named = move |(name, value)| (format!("step {number} {name}"), value);
        lines.into_iter().map(named)
    }
}

impl Request {
    /// Describes what is sent for people, as names and values in the order of the request.
    fn sent_lines(&self) -> Vec<(String, String)> {
        let mut lines = vec![
            ("method".to_owned(), self.method.clone()),
            ("url".to_owned(), self.url.clone()),
        ];
        lines.extend(self.headers.iter().map(|header| {
            let value = match &header.value {
                HeaderValue::Template(template) => template.clone(),
                HeaderValue::Basic(template) => format!("Basic, {template}"),
                HeaderValue::Withheld => "(a literal credential, not stored)".to_owned(),
                HeaderValue::Absent => "(not sent)".to_owned(),
            };
            (
                format!("header {}", header.name.to_ascii_lowercase()),
                value,
            )
        }));
        let query = self.query.iter().map(Piece::line);
        lines.extend(query.map(|line| ("query".to_owned(), line)));
        let body = self.body.lines().into_iter();
        lines.extend(body.map(|line| ("body".to_owned(), line)));
        lines.extend(self.transport.lines());
        lines
    }

    /// Returns this request and the later ones, in order.
    pub fn all(&self) -> impl Iterator<Item = &Self> {
        let then = self.then.iter().map(|then| &then.request);
        std::iter::once(self).chain(then)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(url: &str, headers: &[(&str, HeaderValue)]) -> Call {
        let headers = headers.iter().map(|(name, value)| Header {
            name: (*name).to_owned(),
            value: value.clone(),
        });
        Call::Http(Box::new(Request {
            method: "POST".to_owned(),
            url: url.to_owned(),
            headers: headers.collect(),
            ..Request::default()
        }))
    }

    #[test]
    fn differences_are_the_changed_lines() {
        let template = |text: &str| HeaderValue::Template(text.to_owned());
        let old = request(
            "http://a/",
            &[
                ("X-A", template("1")),
                ("Authorization", HeaderValue::Withheld),
            ],
        );
        assert_eq!(old.differences(&old), []);
        let new = request(
            "http://b/",
            &[("x-a", template("1")), ("Accept", template("text/plain"))],
        );
        let lines: Vec<_> = old
            .differences(&new)
            .into_iter()
            .map(|d| (d.old, d.new))
            .collect();
        assert_eq!(
            lines,
            [
                ("url: http://a/".to_owned(), "url: http://b/".to_owned()),
                (
                    "header authorization: (a literal credential, not stored)".to_owned(),
                    "header authorization: (none)".to_owned()
                ),
                (
                    "header accept: (none)".to_owned(),
                    "header accept: text/plain".to_owned()
                ),
            ]
        );
    }
}
