//! What a call is: the request, as a run remembers it.

use serde::{Deserialize, Serialize};

use super::{Body, Judging, Piece, Transport};

/// What a call is. A run has one; changing it changes what its results mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Call {
    /// An HTTP request.
    Http(Box<Request>),
    /// A program's own caller, under a name that the program chooses and changes with its meaning.
    Program {
        /// The name.
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
    /// The headers that were asked for, in order.
    pub headers: Vec<Header>,
    /// What it carries.
    #[serde(default)]
    pub body: Body,
    /// What is put at the end of the URL's query, in pieces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<Piece>,
    /// Whether placeholders in the URL and the headers are only those that there are, and all other braces stand
    /// for themselves, as in a pasted command.
    #[serde(default)]
    pub pasted: bool,
    /// How it gets to its service.
    #[serde(default)]
    pub transport: Transport,
    /// Which answers are results.
    #[serde(default)]
    pub judging: Judging,
    /// The folder that the bodies of results go into, each in a file of its own: absolute. Otherwise they go into the
    /// database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_dir: Option<String>,
}

impl Request {
    /// Whether an answer to it has a body. That to HEAD describes one that does not come (RFC 9110, section 9.3.2).
    pub fn has_answer_body(&self) -> bool {
        self.method != "HEAD"
    }
}

/// A header that was asked for.
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
    /// A name and a password with a colon between them, as a value of Basic authentication (RFC 7617): a template.
    Basic(String),
    /// A literal credential: used by the invocation that gave it, and not remembered.
    Withheld,
    /// The header is not sent, even where it would be by default.
    Absent,
}

/// One difference between the request that a run has and the one it is asked to go on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// As the run has it.
    pub old: String,
    /// As it is asked for now.
    pub new: String,
}

impl Call {
    /// The differences between this call and a new one, in the order of the request.
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

    /// What it is, for people: names and values, in the order of the request.
    pub fn lines(&self) -> Vec<(String, String)> {
        match self {
            Self::Program { name } => vec![("caller".to_owned(), name.clone())],
            Self::Http(request) => {
                let mut lines = vec![
                    ("method".to_owned(), request.method.clone()),
                    ("url".to_owned(), request.url.clone()),
                ];
                lines.extend(request.headers.iter().map(|header| {
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
                let query = request.query.iter().map(Piece::line);
                lines.extend(query.map(|line| ("query".to_owned(), line)));
                let body = request.body.lines().into_iter();
                lines.extend(body.map(|line| ("body".to_owned(), line)));
                lines.extend(request.transport.lines());
                lines.extend(request.judging.lines());
                let folder = request.output_dir.iter().cloned();
                lines.extend(folder.map(|folder| ("output-dir".to_owned(), folder)));
                lines
            }
        }
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
    fn differences_name_what_changed_and_nothing_else() {
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
