//! From the words of a request, stride's own or a pasted command of curl's, to what a run remembers of it, and the
//! credentials that it must not remember.

mod again;
mod data;
mod form;
pub(crate) mod given;
mod header;
pub(crate) mod plan;
mod proxy;
mod stored;
mod templates;
mod url;
mod withheld;

use std::path::{Path, PathBuf};
use std::time::Duration;

use stride::caller::{Braces, Credential, Template};
use stride::curl::{self, CurlError, ParsedOption, Role, Spec};
use stride::job::FileName;
use stride::settings::{
    Body, Content, Escape, Field, Header, HeaderValue, Http, Piece, Request, Transport, Treatment,
};

use crate::cli::args::Asks;
use crate::cli::args::settings::SettingsArgs;
use crate::cli::output::error::{Problem, quoted};
use crate::cli::output::named;
pub(crate) use again::{GivenAgain, given_again, refuse_change};
use data::{Data, Kind};
pub(crate) use stored::stored;
pub(crate) use templates::{column, templates};
use withheld::withhold;

/// A request as it was asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) request: Request,
    /// The values that are used now and not stored.
    pub(crate) credentials: Vec<Credential>,
    /// What a pasted command says of settings that stride has too.
    pub(crate) limits: Limits,
    /// What of a pasted command has no effect.
    pub(crate) without_effect: Vec<String>,
}

/// What a pasted command says of settings that stride has too.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) timeout: Option<Duration>,
    pub(crate) connect_timeout: Option<Duration>,
    /// In bytes.
    pub(crate) max_response: Option<u64>,
}

impl Limits {
    /// Fills in the settings that stride's own flags leave out.
    pub(crate) fn fill(self, settings: &mut SettingsArgs) {
        settings.timeout = settings.timeout.or(self.timeout);
        settings.connect_timeout = settings.connect_timeout.or(self.connect_timeout);
        settings.max_response = settings.max_response.or(self.max_response);
    }
}

/// How many redirects curl follows unless it is told otherwise.
const MOST_REDIRECTS: u32 = 50;
/// The largest configuration file, in bytes: it may have data in it.
const LARGEST_CONFIG: u64 = 64 << 20;
/// How deep configuration files may refer to each other.
const DEEPEST_CONFIG: usize = 8;

/// Reads the request of `stride run` and `stride try`.
pub(crate) fn asked(asks: &Asks) -> Result<Asked, Problem> {
    let mut given = match &asks.curl {
        Some(command) => curl::command(command)?,
        None => Vec::new(),
    };
    let url = asks.url.as_ref().map(|url| {
        Ok::<_, CurlError>(ParsedOption {
            option: Spec::long("url")?,
            value: Some(url.clone()),
            written: "--url".to_owned(),
        })
    });
    given.extend(url.transpose()?);
    given.extend(asks.words.0.iter().cloned());
    let mut builder = Builder::new(asks.curl.is_some());
    builder.take_all(given, 0)?;
    let mut asked = builder.finish()?;
    asked.request.judging = asks.answers.judging();
    asked.request.output_dir = asks.answers.output_dir()?;
    Ok(asked)
}

impl From<CurlError> for Problem {
    fn from(error: CurlError) -> Self {
        Self::usage(error.to_string()).hint(error.hint())
    }
}

/// Gathers what the options say.
struct Builder {
    braces: Braces,
    urls: Vec<String>,
    method: Option<String>,
    headers: Vec<header::Given>,
    data: Vec<Data>,
    fields: Vec<Field>,
    query: Vec<Data>,
    upload: Option<String>,
    is_get: bool,
    is_head: bool,
    user: Option<String>,
    netrc: bool,
    bearer: Option<String>,
    cookies: Vec<String>,
    /// Headers that have options of their own, in curl's words.
    beside: Vec<(&'static str, String)>,
    transport: Transport,
    follows: bool,
    most_redirects: u32,
    proxy_user: Option<String>,
    credentials: Vec<Credential>,
    limits: Limits,
    globs: bool,
    without_effect: Vec<String>,
}

impl Builder {
    fn new(pasted: bool) -> Self {
        Self {
            braces: if pasted { Braces::Pasted } else { Braces::Ours },
            urls: Vec::new(),
            method: None,
            headers: Vec::new(),
            data: Vec::new(),
            fields: Vec::new(),
            query: Vec::new(),
            upload: None,
            is_get: false,
            is_head: false,
            user: None,
            netrc: false,
            bearer: None,
            cookies: Vec::new(),
            beside: Vec::new(),
            transport: Transport {
                uncompressed: pasted,
                ..Transport::default()
            },
            follows: false,
            most_redirects: MOST_REDIRECTS,
            proxy_user: None,
            credentials: Vec::new(),
            limits: Limits::default(),
            globs: pasted,
            without_effect: Vec::new(),
        }
    }

    fn pasted(&self) -> bool {
        self.braces == Braces::Pasted
    }

    fn take_all(&mut self, given: Vec<ParsedOption>, depth: usize) -> Result<(), Problem> {
        for each in given {
            if each.option.long == "config" {
                self.config(each.value(), depth)?;
            } else {
                self.take(&each)?;
            }
        }
        Ok(())
    }

    fn config(&mut self, path: &str, depth: usize) -> Result<(), Problem> {
        let wrong = |cause: String| {
            Problem::usage(format!(
                "cannot read the options in {}",
                quoted(path.as_ref())
            ))
            .cause(cause)
            .hint("name a file of curl's options with -K FILE")
        };
        if depth == DEEPEST_CONFIG {
            return Err(wrong(
                "the files refer to each other without end".to_owned(),
            ));
        }
        let text = named::read_text(path, LARGEST_CONFIG).map_err(|error| wrong(error.to_string()))?;
        let given = curl::config::read(&text).map_err(Problem::from)?;
        self.take_all(given, depth + 1)
    }

    fn take(&mut self, given: &ParsedOption) -> Result<(), Problem> {
        let value = given.value();
        let text = || value.to_owned();
        match given.option.long {
            "url" => self.urls.push(text()),
            "request" => self.method = Some(text()),
            "header" => self.headers.extend(header::headers(value, self.braces)?),
            "form" => self.fields.push(form::field(value)?),
            "form-string" => self.fields.push(form::literal(value)?),
            "data" | "data-ascii" => self.data(Kind::Plain, value),
            "data-raw" => self.data(Kind::Raw, value),
            "data-binary" => self.data(Kind::Binary, value),
            "data-urlencode" => self.data(Kind::Encoded, value),
            "json" => self.data(Kind::Json, value),
            "url-query" => self.query.push(match value.strip_prefix('+') {
                Some(raw) => Data {
                    kind: Kind::Raw,
                    text: raw.to_owned(),
                },
                None => Data {
                    kind: Kind::Encoded,
                    text: text(),
                },
            }),
            "upload-file" => self.upload = Some(text()),
            "get" => self.is_get = true,
            "head" => self.is_head = true,
            "user" => self.user = Some(text()),
            "netrc" => self.netrc = true,
            "oauth2-bearer" => self.bearer = Some(text()),
            "cookie" if value.contains('=') => self.cookies.push(text()),
            "cookie" => {
                return Err(Problem::usage("a file of cookies cannot be used")
                    .hint("give them in so many words: -b 'NAME=VALUE'"));
            }
            "user-agent" => self.beside.push(("User-Agent", text())),
            "referer" => self.beside.push(("Referer", text())),
            "range" => self.beside.push(("Range", format!("bytes={value}"))),
            "proxy" => self.transport.proxy = Some(text()),
            "socks5" => self.transport.proxy = Some(format!("socks5://{value}")),
            "socks5-hostname" => self.transport.proxy = Some(format!("socks5h://{value}")),
            "proxy-user" => self.proxy_user = Some(text()),
            "noproxy" => self.transport.no_proxy = Some(text()),
            "cacert" => self.transport.ca_file = Some(absolute(value)?),
            "cert" => self.transport.certificate = Some(absolute(value)?),
            "key" => self.transport.key = Some(absolute(value)?),
            "insecure" => self.transport.insecure = true,
            "http1.1" => self.transport.http = Http::Http1,
            "http2" => self.transport.http = Http::Http2,
            "http2-prior-knowledge" => self.transport.http = Http::Http2Only,
            "compressed" => self.transport.uncompressed = false,
            "location" => self.follows = true,
            "max-redirs" => self.most_redirects = number(given)?,
            "resolve" => self.transport.resolve.push(text()),
            "globoff" => self.globs = false,
            "connect-timeout" => self.limits.connect_timeout = Some(seconds(given)?),
            "max-time" => self.limits.timeout = Some(seconds(given)?),
            "max-filesize" => self.limits.max_response = Some(number(given)?),
            _ if given.option.role == Role::Output => {
                self.without_effect.push(given.written.clone());
            }
            _ => {}
        }
        Ok(())
    }

    fn data(&mut self, kind: Kind, text: &str) {
        let text = text.to_owned();
        self.data.push(Data { kind, text });
    }

    fn finish(mut self) -> Result<Asked, Problem> {
        let mut url = self.url()?;
        self.beside_headers()?;
        let (without, user) = header::without_user(&url)?;
        url = without;
        if let Some(given) = user {
            self.add(given);
        }
        if let Some(pair) = self.user.take() {
            let given = header::basic(&pair, self.braces)?;
            self.add(given);
        }
        if self.netrc {
            let value = HeaderValue::Template(format!("{{netrc:{}}}", url::host(&url)?));
            self.add_header("Authorization", value);
        }
        if self.transport.proxy.is_some() || self.proxy_user.is_some() {
            let (url, credential) =
                proxy::settle(self.transport.proxy.take(), self.proxy_user.take())?;
            self.transport.proxy = Some(url);
            self.transport.proxy_withheld |= credential.is_some();
            self.credentials.extend(credential);
        }
        let (body, query) = self.body(&mut url)?;
        self.transport.redirects = if self.follows { self.most_redirects } else { 0 };
        let method = self.method(&body, &query);
        if self.globs {
            url::refuse_globs(&url)?;
        }
        let mut headers = Vec::new();
        for (header, credential) in std::mem::take(&mut self.headers) {
            headers.push(header);
            self.credentials.extend(credential);
        }
        let mut request = Request {
            method,
            url,
            headers,
            body,
            query,
            pasted: self.pasted(),
            transport: self.transport,
            ..Request::default()
        };
        if !mentions_file(&request) {
            return Err(Problem::usage("the request does not say where the file goes: it would be the same for every file")
                .hint("write @{} where the file goes, such as -F file=@{} or --data-binary @{}; {} is its name, {text} its text, {base64} the file in base64"));
        }
        self.credentials.extend(withhold(&mut request));
        Ok(Asked {
            request,
            credentials: self.credentials,
            limits: self.limits,
            without_effect: self.without_effect,
        })
    }

    fn url(&mut self) -> Result<String, Problem> {
        let url = match self.urls.as_slice() {
            [url] => url.clone(),
            [] => {
                return Err(Problem::usage("there is nothing to call")
                    .hint("name the service with --url, or paste a command with --curl"));
            }
            [..] => {
                return Err(Problem::usage("there are several URLs").hint(
                    "a run calls one; what differs from file to file is a placeholder in it",
                ));
            }
        };
        // As curl guesses.
        Ok(if self.pasted() && !url.contains("://") {
            format!("http://{url}")
        } else {
            url
        })
    }

    /// Adds a header unless one of its name was given in so many words, which comes first.
    fn add(&mut self, (header, credential): header::Given) {
        if !self.has(&header.name) {
            self.headers.push((header, credential));
        }
    }

    fn add_header(&mut self, name: &str, value: HeaderValue) {
        let name = name.to_owned();
        self.add((Header { name, value }, None));
    }

    fn has(&self, name: &str) -> bool {
        let same = |(header, _): &header::Given| header.name.eq_ignore_ascii_case(name);
        self.headers.iter().any(same)
    }

    /// Adds the headers that have options of their own.
    fn beside_headers(&mut self) -> Result<(), Problem> {
        let mut beside = std::mem::take(&mut self.beside);
        if !self.cookies.is_empty() {
            beside.push(("Cookie", self.cookies.join("; ")));
        }
        if let Some(token) = self.bearer.take() {
            beside.push(("Authorization", format!("Bearer {token}")));
        }
        for (name, value) in beside {
            // Without a value the header is left out, as with curl.
            let given = header::header(&format!("{name}: {value}"), self.braces)?;
            self.add(given);
        }
        Ok(())
    }

    /// What goes into the body, and what into the URL's query.
    fn body(&mut self, url: &mut String) -> Result<(Body, Vec<Piece>), Problem> {
        let data = std::mem::take(&mut self.data);
        let fields = std::mem::take(&mut self.fields);
        let upload = self.upload.take();
        let mut query = data::pieces(&std::mem::take(&mut self.query), Some(FORM))?;
        let kinds = [!data.is_empty(), !fields.is_empty(), upload.is_some()];
        if kinds.into_iter().filter(|is_given| *is_given).count() > 1 {
            return Err(Problem::usage(
                "a request has one body: -d, -F and -T do not go together",
            ));
        }
        if let Some(path) = upload {
            url::complete(url, &path);
            let treatment = Treatment::AsIs;
            let pieces = vec![Piece::Bytes { path, treatment }];
            self.method.get_or_insert_with(|| "PUT".to_owned());
            return Ok((Body::Pieces { pieces }, query));
        }
        if !fields.is_empty() {
            return Ok((Body::Multipart { fields }, query));
        }
        if data.is_empty() {
            let is_default = !self.pasted() && !self.is_get && !self.is_head;
            let body = if is_default {
                Body::File
            } else {
                Body::Nothing
            };
            return Ok((body, query));
        }
        if self.is_get || self.is_head {
            if !query.is_empty() {
                query.push(Piece::Text {
                    template: "&".to_owned(),
                    escape: Escape::Nothing,
                });
            }
            query.extend(data::pieces(&data, Some(FORM))?);
            return Ok((Body::Nothing, query));
        }
        let is_json = data.iter().any(|data| data.kind == Kind::Json);
        let media_type = if is_json { "application/json" } else { FORM };
        let template = |text: &str| HeaderValue::Template(text.to_owned());
        self.add_header("Content-Type", template(media_type));
        if is_json {
            self.add_header("Accept", template("application/json"));
        }
        let given = self.headers.iter().find_map(|(header, _)| {
            let value = match &header.value {
                HeaderValue::Template(value) => Some(value.clone()),
                _ => None,
            };
            header
                .name
                .eq_ignore_ascii_case("content-type")
                .then_some(value)
        });
        let pieces = data::pieces(&data, given.flatten().as_deref())?;
        Ok((Body::Pieces { pieces }, query))
    }

    fn method(&self, body: &Body, query: &[Piece]) -> String {
        let implied = match body {
            _ if self.is_head => "HEAD",
            Body::Nothing if self.pasted() || self.is_get || !query.is_empty() => "GET",
            _ => "POST",
        };
        self.method.clone().unwrap_or_else(|| implied.to_owned())
    }
}

/// The media type of data for which no other was given (HTML, section 4.10.21.7).
const FORM: &str = "application/x-www-form-urlencoded";

/// Whether a file has any part in a request.
fn mentions_file(request: &Request) -> bool {
    let has = |text: &str| Template::read(text, Braces::Pasted).is_ok_and(|text| text.has_field());
    let in_json =
        |text: &str| Template::read(text, Braces::Json).is_ok_and(|text| text.has_field());
    let in_piece = |piece: &Piece| match piece {
        Piece::Text { template, escape } if *escape == Escape::Json => in_json(template),
        Piece::Text { template: text, .. } | Piece::Bytes { path: text, .. } => has(text),
    };
    let in_body = match &request.body {
        Body::File => true,
        // Nothing but the name can go into a request that has no body, and not even that has to.
        Body::Nothing => !request.pasted,
        Body::Pieces { pieces } => pieces.iter().any(in_piece),
        Body::Multipart { fields } => fields.iter().any(|field| match &field.content {
            Content::Text(text) | Content::File(text) | Content::TextOf(text) => has(text),
        }),
    };
    let in_headers = request.headers.iter().any(|header| match &header.value {
        HeaderValue::Template(text) => has(text),
        _ => false,
    });
    in_body || in_headers || has(&request.url) || request.query.iter().any(in_piece)
}

/// Where a file lies, whatever the folder of a later command.
fn absolute(path: &str) -> Result<PathBuf, Problem> {
    std::path::absolute(Path::new(path)).map_err(|error| {
        let name = FileName::from(Path::new(path));
        Problem::usage(format!("`{name}` is not a file's name")).cause(error.to_string())
    })
}

fn number<T: std::str::FromStr>(given: &ParsedOption) -> Result<T, Problem> {
    let wrong = |_| Problem::usage(format!("{} needs a whole number", given.written));
    given.value().parse().map_err(wrong)
}

fn seconds(given: &ParsedOption) -> Result<Duration, Problem> {
    let seconds = given.value().parse().ok();
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| Problem::usage(format!("{} needs a number of seconds", given.written)))
}
