//! Turns the options of a request, in curl's words, into the request.

use std::path::Path;

use stride::caller::{Braces, Credential, Template};
use stride::curl::{self, ParsedOption, Role};
use stride::settings::{
    Body, Call, Content, Escape, Field, Header, HeaderValue, Piece, Request, Treatment,
};

use super::data::{self, Data, FORM, Kind};
use super::file::{self, LARGEST_CONFIG};
use super::header::{self, ParsedHeader};
use super::numbers::{bytes, seconds};
use super::parsed::{CurlLimits, ParsedCall};
use super::slips::{self, Part};
use super::withheld::{share, withhold};
use super::{form, json, url};
use crate::cli::output::error::{CliError, quoted};
use crate::cli::output::named;

/// The depth to which configuration files may refer to each other.
const DEEPEST_CONFIG: usize = 8;

/// The place of a request among those of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    First,
    Later,
}

/// The options of a request in their order, with those of configuration files in place of `-K`.
pub(super) struct Options {
    pub(super) list: Vec<ParsedOption>,
    pub(super) braces: Braces,
}

impl Options {
    pub(super) fn read(&mut self, given: Vec<ParsedOption>, depth: usize) -> Result<(), CliError> {
        for each in given {
            match each.option.long {
                "config" => self.read_file(&file::name(each.value())?, depth)?,
                name if each.is_off => self.list.retain(|given| given.option.long != name),
                _ => self.list.push(each),
            }
        }
        Ok(())
    }

    fn read_file(&mut self, path: &str, depth: usize) -> Result<(), CliError> {
        let wrong = |cause: String| {
            let path = quoted(path.as_ref());
            CliError::usage(format!("cannot read the options in {path}"))
                .cause(cause)
                .hint("use -K FILE with a file of curl's options")
        };
        if depth == DEEPEST_CONFIG {
            return Err(wrong(format!(
                "the files refer to each other more than {DEEPEST_CONFIG} times"
            )));
        }
        let text =
            named::read_text(path, LARGEST_CONFIG).map_err(|error| wrong(error.to_string()))?;
        self.read(curl::config::read(&text)?, depth + 1)
    }

    pub(super) fn all(&self, names: &[&str]) -> impl Iterator<Item = &ParsedOption> {
        let list = self.list.iter();
        list.filter(|given| names.contains(&given.option.long))
    }

    /// Returns the last option of these names: as with curl, it takes precedence.
    pub(super) fn last(&self, names: &[&str]) -> Option<&ParsedOption> {
        self.all(names).last()
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.last(&[name]).map(ParsedOption::value)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.last(&[name]).is_some()
    }

    pub(super) fn is_pasted(&self) -> bool {
        self.braces == Braces::Pasted
    }

    /// Parses the run's first request.
    pub(super) fn parse(self) -> Result<ParsedCall, CliError> {
        let limits = self.limits()?;
        let mut notes = self.without_effect();
        let (request, credentials) = self.request(Step::First, &[], &mut notes)?;
        Ok(ParsedCall {
            call: Call::Http(Box::new(request)),
            credentials,
            limits,
            notes,
        })
    }

    /// Returns the options of curl that are settings of stride.
    pub(super) fn limits(&self) -> Result<CurlLimits, CliError> {
        let seconds = |name| self.last(&[name]).map_or(Ok(None), seconds);
        Ok(CurlLimits {
            timeout: seconds("max-time")?,
            connect_timeout: seconds("connect-timeout")?,
            max_response: self.last(&["max-filesize"]).map_or(Ok(None), bytes)?,
        })
    }

    /// Parses one request of a run whose other requests have the credentials `known`. Returns its further ones.
    pub(super) fn request(
        self,
        step: Step,
        known: &[Credential],
        notes: &mut Vec<String>,
    ) -> Result<(Request, Vec<Credential>), CliError> {
        let (mut url, user) = header::without_user(&self.url()?, self.braces)?;
        if user.is_some() && self.has("disallow-username-in-url") {
            return Err(
                CliError::usage("the URL has a name, against --disallow-username-in-url")
                    .hint("leave out the name, or the option"),
            );
        }
        let mut headers = self.headers(&url, user, notes)?;
        let (transport, proxy_credential) = self.transport()?;
        let (body, query) = self.body(&mut url, &mut headers)?;
        if self.is_pasted() && !self.has("globoff") {
            url::refuse_globs(&url)?;
        }
        let (headers, credentials): (Vec<_>, Vec<_>) = headers.into_iter().unzip();
        let mut request = Request {
            method: self.method(&body, &query)?,
            url,
            headers,
            body,
            query,
            pasted: self.is_pasted(),
            transport,
            ..Request::default()
        };
        json::check(&request, media_type(&request.headers))?;
        if !mentions(&request, step) {
            return Err(match step {
                Step::First => CliError::usage("the request is the same for every file")
                    .hint("put the file into it, such as -F file=@{} or --data-binary @{}; {} is its name, {text} its text, {base64} the file in base64"),
                Step::Later => CliError::usage("a request of --then is the same for every file")
                    .hint("put a part of the answer before into it, such as {answer.id} or {header.location}"),
            });
        }
        let own = proxy_credential
            .into_iter()
            .chain(credentials.into_iter().flatten());
        let mut own = share(&mut request, own.collect(), known)?;
        let all: Vec<Credential> = known.iter().chain(&own).cloned().collect();
        let withheld = withhold(&mut request, &all);
        for credential in &withheld {
            let name = credential.reference().unwrap_or(&credential.name);
            let place = format!("`{name}` in the request");
            slips::check(&place, &credential.value, Part::Credential)?;
        }
        own.extend(withheld);
        Ok((request, own))
    }

    fn url(&self) -> Result<String, CliError> {
        let mut urls = self.all(&["url"]).map(ParsedOption::value);
        let Some(url) = urls.next() else {
            let no_url = CliError::usage("no URL to call");
            let user = self.value("user").unwrap_or_default();
            if user.starts_with("http://") || user.starts_with("https://") {
                let url = quoted(Path::new(user));
                return Err(no_url
                    .note("-u is a name and a password, as with curl")
                    .hint(format!("use --url {url}")));
            }
            return Err(no_url.hint("name the service with --url, paste a command with --curl, or run a program with --exec; `stride resume` continues a run"));
        };
        if urls.next().is_some() {
            return Err(CliError::usage("more than one URL to call").hint(
                "use one URL, with a placeholder for the part that differs from file to file",
            ));
        }
        slips::check("the URL", url, Part::Other)?;
        if self.is_pasted() && url.starts_with('@') {
            return Err(CliError::usage("--url cannot read URLs from a file").hint(
                "use one URL, with a placeholder for the part that differs from file to file",
            ));
        }
        // A variable at the beginning may have a scheme.
        let scheme = self.value("proto-default");
        let has_variable =
            || Template::read(url, self.braces).is_ok_and(|template| !template.begins_with_text());
        Ok(match self.is_pasted() {
            true if scheme.is_some() || !has_variable() => {
                url::with_scheme(url, scheme.unwrap_or("http"))
            }
            _ => url.to_owned(),
        })
    }

    /// Describes the options that have no effect.
    pub(super) fn without_effect(&self) -> Vec<String> {
        let named = |role: Role| {
            let given = self.list.iter().filter(|given| given.option.role == role);
            let mut names: Vec<&str> = given.map(|given| given.written.as_str()).collect();
            let mut seen = std::collections::HashSet::new();
            names.retain(|name| seen.insert(*name));
            (!names.is_empty()).then(|| names.join(" "))
        };
        let outputs = named(Role::Output).map(|names| {
            format!("curl's options for answers have no effect here ({names}): stride stores the answers, and `stride export` writes them")
        });
        let dropped = named(Role::Dropped)
            .map(|names| format!("these options of curl have no effect here: {names}"));
        outputs.into_iter().chain(dropped).collect()
    }

    /// Returns the value of `-e`. `;auto` at its end is about redirects.
    fn referer<'g>(&self, given: &'g ParsedOption) -> Result<&'g str, CliError> {
        match given.value().strip_suffix(";auto") {
            Some(_) if self.follows() => Err(CliError::usage(format!(
                "`;auto` of {} is not supported with -L",
                given.written
            ))
            .hint("leave out `;auto`: redirects are followed with the same Referer")),
            Some(referer) => Ok(referer),
            None => Ok(given.value()),
        }
    }

    /// Returns the headers. Those of -H take precedence over options for one header, and these over `user`, the user
    /// information of the URL.
    fn headers(
        &self,
        url: &str,
        user: Option<ParsedHeader>,
        notes: &mut Vec<String>,
    ) -> Result<Vec<ParsedHeader>, CliError> {
        let (mut headers, mut dropped) = (Vec::new(), Vec::new());
        for given in self.all(&["header"]) {
            for line in header::lines(given.value())? {
                if let Some(name) = header::set_by_stride(&line).filter(|_| self.is_pasted()) {
                    dropped.push(name);
                    continue;
                }
                let parsed = header::header(&line, self.braces)?;
                // As with curl, the first Host counts.
                match is_named(&parsed.0, "host") {
                    true => add(&mut headers, parsed),
                    false => headers.push(parsed),
                }
            }
        }
        if !dropped.is_empty() {
            notes.push(format!(
                "stride sets these headers itself: {}",
                dropped.join(", ")
            ));
        }
        let mut cookies = Vec::new();
        // An empty value turns on curl's cookies for later requests, and sends none.
        let given = self.all(&["cookie"]);
        for given in given.filter(|given| !given.value().is_empty()) {
            // A variable holds cookies rather than the name of a file.
            if !given.value().contains('=') && slips::whole(given.value()).is_none() {
                return Err(CliError::usage("cookies cannot be read from a file")
                    .hint("use -b 'NAME=VALUE'"));
            }
            cookies.push(given.value());
        }
        let cookies = cookies.join("; ");
        let referer = self.last(&["referer"]);
        let referer = referer.map(|given| self.referer(given)).transpose()?;
        let range = self.value("range").map(header::range);
        for (name, scheme, value) in [
            ("User-Agent", "", self.value("user-agent")),
            ("Referer", "", referer),
            ("Range", "bytes=", range.as_deref()),
            (
                "Cookie",
                "",
                Some(cookies.as_str()).filter(|cookies| !cookies.is_empty()),
            ),
            ("Authorization", "Bearer ", self.value("oauth2-bearer")),
        ] {
            if let Some(value) = value {
                // As with curl, an empty value removes the header.
                let line = format!("{name}: {scheme}{value}");
                add(&mut headers, header::header(&line, self.braces)?);
            }
        }
        if let Some(pair) = self.value("user") {
            add(&mut headers, header::basic(pair, self.braces)?);
        }
        if let Some(user) = user {
            add(&mut headers, user);
        }
        if self.has("netrc") {
            let value = format!("{{netrc:{}}}", url::host(url)?);
            add(&mut headers, plain("Authorization", value));
        }
        Ok(headers)
    }

    /// Returns the body, and the pieces that go into the URL's query. Adds the headers that follow from the body.
    fn body(
        &self,
        url: &mut String,
        headers: &mut Vec<ParsedHeader>,
    ) -> Result<(Body, Vec<Piece>), CliError> {
        let all = self.list.iter();
        let data: Vec<Data<'_>> = all.filter_map(Data::new).collect();
        let fields = self.all(&["form", "form-string"]);
        let fields: Vec<Field> = fields.map(form::field).collect::<Result<_, _>>()?;
        let upload = self.value("upload-file");
        let in_query = self.all(&["url-query"]).map(Data::in_query);
        let mut query = data::query(&in_query.collect::<Vec<_>>())?;
        let bodies = [!data.is_empty(), !fields.is_empty(), upload.is_some()];
        if bodies.into_iter().filter(|is_given| *is_given).count() > 1 {
            return Err(
                CliError::usage("more than one body: -d, -F and -T exclude each other")
                    .hint("leave out all but one"),
            );
        }
        if let Some(path) = upload {
            url::check_upload(path, self.has("globoff"))?;
            url::complete(url, path);
            let treatment = Treatment::AsIs;
            let path = path.to_owned();
            let pieces = vec![Piece::Bytes { path, treatment }];
            return Ok((Body::Pieces { pieces }, query));
        }
        if !fields.is_empty() {
            return Ok((Body::Multipart { fields }, query));
        }
        let has_no_body = self.has("get") || self.has("head");
        if data.is_empty() {
            let body = match self.is_pasted() || has_no_body {
                true => Body::Nothing,
                false => Body::File,
            };
            return Ok((body, query));
        }
        if has_no_body {
            if !query.is_empty() {
                query.push(Piece::Text {
                    template: "&".to_owned(),
                    escape: Escape::Nothing,
                });
            }
            query.extend(data::query(&data)?);
            return Ok((Body::Nothing, query));
        }
        if data.iter().any(|data| data.kind == Kind::Json) {
            for name in ["Content-Type", "Accept"] {
                add(headers, plain(name, "application/json".to_owned()));
            }
        }
        add(headers, plain("Content-Type", FORM.to_owned()));
        let media_type = media_type(headers.iter().map(|(header, _)| header));
        let pieces = data::body(&data, media_type)?;
        Ok((Body::Pieces { pieces }, query))
    }

    fn method(&self, body: &Body, query: &[Piece]) -> Result<String, CliError> {
        let implied = match body {
            _ if self.has("upload-file") => "PUT",
            _ if self.has("head") => "HEAD",
            Body::Nothing if self.is_pasted() || self.has("get") || !query.is_empty() => "GET",
            _ => "POST",
        };
        let method = self.value("request").unwrap_or(implied);
        let typed = slips::variable(method, Part::Other).map(|name| format!("${name}"));
        match slips::whole(method).or(typed) {
            None => Ok(method.to_owned()),
            Some(variable) => Err(CliError::usage(format!(
                "-X has the variable {variable}, and the method cannot be a variable"
            ))
            .hint("use the method itself, such as -X PUT")),
        }
    }
}

/// Returns the value of the `Content-Type`.
fn media_type<'h>(headers: impl IntoIterator<Item = &'h Header>) -> Option<&'h str> {
    let mut headers = headers.into_iter();
    headers.find_map(|header| match &header.value {
        HeaderValue::Template(value) if is_named(header, "content-type") => Some(value.as_str()),
        _ => None,
    })
}

fn plain(name: &str, value: String) -> ParsedHeader {
    let name = name.to_owned();
    let value = HeaderValue::Template(value);
    (Header { name, value }, None)
}

/// Adds a header unless there is one of its name.
fn add(headers: &mut Vec<ParsedHeader>, added: ParsedHeader) {
    if !headers
        .iter()
        .any(|(header, _)| is_named(header, &added.0.name))
    {
        headers.push(added);
    }
}

fn is_named(header: &Header, name: &str) -> bool {
    header.name.eq_ignore_ascii_case(name)
}

/// Returns whether a request differs from file to file.
fn mentions(request: &Request, step: Step) -> bool {
    let differs = |text: &Template| text.has_field() || step == Step::Later && text.has_answer();
    let has = |text: &str| Template::read(text, Braces::Pasted).is_ok_and(|text| differs(&text));
    let in_json = |text: &str| Template::read(text, Braces::Json).is_ok_and(|text| differs(&text));
    let in_piece = |piece: &Piece| match piece {
        Piece::Text { template, escape } if *escape == Escape::Json => in_json(template),
        Piece::Text { template: text, .. } | Piece::Bytes { path: text, .. } => has(text),
    };
    let in_body = match &request.body {
        Body::File => true,
        // A request of stride's own without a body need not even have the file's name.
        Body::Nothing => !request.pasted && step == Step::First,
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
