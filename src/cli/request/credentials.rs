//! Parses headers and credentials that are given to a run which has its request already, and refuses a request that has
//! changed.

use stride::caller::{
    Braces, Credential, Lookup, PROXY_AUTHORIZATION, PlanError, Reference, Template,
};
use stride::job::escaped;
use stride::settings::{Call, Difference, Header, HeaderValue, Request};

use crate::cli::args::Resume;
use crate::cli::output::error::CliError;
use crate::cli::output::format::counted;
use crate::cli::request::header::{self, ParsedHeader, split};
use crate::cli::request::slips::{self, Part};
use crate::cli::request::templates::templates;

/// The flags that give credentials again.
#[derive(Debug, Default)]
pub(crate) struct CredentialArgs<'g> {
    pub(crate) headers: &'g [String],
    /// NAME=VALUE pairs.
    pub(crate) credentials: &'g [String],
    pub(crate) user: Option<&'g String>,
    pub(crate) proxy_user: Option<&'g String>,
}

impl CredentialArgs<'_> {
    fn is_empty(&self) -> bool {
        self.headers.is_empty()
            && self.credentials.is_empty()
            && self.user.is_none()
            && self.proxy_user.is_none()
    }
}

impl<'g> From<&'g Resume> for CredentialArgs<'g> {
    fn from(resume: &'g Resume) -> Self {
        Self {
            headers: &resume.header,
            credentials: &resume.credential,
            user: resume.user.as_ref(),
            proxy_user: resume.proxy_user.as_ref(),
        }
    }
}

/// The meaning of these flags for a run's request.
#[derive(Debug, Default)]
pub(crate) struct GivenAgain {
    /// Values that the request needs and a run does not store.
    pub(crate) credentials: Vec<Credential>,
    /// The request with the given headers, if they change it.
    pub(crate) changed: Option<Call>,
}

/// Parses headers and credentials for a run's request. A header with a value that is not stored takes the value; any other
/// one changes the request.
pub(crate) fn parse_credentials(
    given: &CredentialArgs<'_>,
    call: &Call,
    lookup: &Lookup,
) -> Result<GivenAgain, CliError> {
    let Call::Http(request) = call else {
        return match given.is_empty() {
            true => Ok(GivenAgain::default()),
            false => Err(CliError::usage(
                "the run makes no HTTP requests that could carry a header or a credential",
            )
            .hint("leave it out; a program of the run gets your environment")),
        };
    };
    let mut found = GivenAgain::default();
    let mut added = Vec::new();
    // A reference is resolved at once, because the calls need the value.
    let resolve = |place: &str, text: &str| {
        slips::check(place, text, Part::Credential)?;
        let template = Template::parse(text);
        let value = template.and_then(|template| template.resolve_text(&**lookup));
        let place = place.to_owned();
        value.map_err(|error| CliError::from(PlanError::Template { place, error }))
    };
    for text in given.headers {
        let withheld = split(text)
            .ok()
            .filter(|(name, _)| is_withheld(request, name));
        let Some((name, value)) = withheld else {
            for line in header::lines(text)? {
                added.push(header::header(&line, Braces::Ours)?);
            }
            continue;
        };
        let value = resolve(&header::place(name), value)?;
        let name = name.to_owned();
        found.credentials.push(Credential { name, value });
    }
    for (name, pair) in [
        ("Authorization", given.user),
        (PROXY_AUTHORIZATION, given.proxy_user),
    ] {
        let Some(pair) = pair else { continue };
        if is_withheld(request, name) {
            let pair = resolve(&header::place(name), pair)?;
            let (name, value) = (name.to_owned(), Credential::basic(pair.as_bytes()));
            found.credentials.push(Credential { name, value });
        } else if name == PROXY_AUTHORIZATION {
            return Err(
                CliError::usage("the run's request has no proxy that needs -U")
                    .hint("repeat the whole `stride run …` with -x and -U"),
            );
        } else {
            added.push(header::basic(pair, Braces::Ours)?);
        }
    }
    for text in given.credentials {
        let (name, value) = credential(text, request)?;
        let value = resolve(&format!("--credential {name}"), value)?;
        found.credentials.push(Credential::given(name, value));
    }
    found.changed = with_headers(request, added, &mut found.credentials);
    Ok(found)
}

/// Returns whether a run's request has a header of this name whose value is not stored, for the service or the proxy.
fn is_withheld(request: &Request, name: &str) -> bool {
    let in_headers = request.headers.iter().any(|header| {
        header.value == HeaderValue::Withheld && header.name.eq_ignore_ascii_case(name)
    });
    in_headers || name.eq_ignore_ascii_case(PROXY_AUTHORIZATION) && request.transport.proxy_withheld
}

/// Splits a value of --credential, whose name must be one that the request needs.
fn credential<'t>(text: &'t str, request: &Request) -> Result<(&'t str, &'t str), CliError> {
    let (name, value) = text.split_once('=').ok_or_else(|| {
        CliError::usage("--credential has no value")
            .hint("use --credential NAME=VALUE, or NAME={env:VARIABLE}")
    })?;
    let asked = Reference::Given(name.to_owned());
    let mut templates = templates(request).into_iter();
    if templates.any(|template| template.references().any(|known| *known == asked)) {
        return Ok((name, value));
    }
    Err(CliError::usage(format!(
        "`{}` is not a credential that has to be given again",
        escaped(name.as_bytes())
    ))
    .hint("use `stride run … --accept-change` to change the run's request"))
}

/// Returns the request with these headers in place of its own ones of the same names, or `None` if that is no change. A later
/// request that has the same header gets the new one, too.
fn with_headers(
    request: &Request,
    added: Vec<ParsedHeader>,
    credentials: &mut Vec<Credential>,
) -> Option<Call> {
    let mut changed = request.clone();
    let (added, found): (Vec<Header>, Vec<Option<Credential>>) = added.into_iter().unzip();
    credentials.extend(found.into_iter().flatten());
    let is_replaced = |header: &Header| {
        let mut added = added.iter();
        added.any(|added| added.name.eq_ignore_ascii_case(&header.name))
    };
    for then in &mut changed.then {
        let headers = &mut then.request.headers;
        let shared: Vec<Header> = headers
            .extract_if(.., |header| {
                is_replaced(header) && request.headers.contains(header)
            })
            .collect();
        let is_shared = |added: &&Header| {
            let mut shared = shared.iter();
            shared.any(|shared| shared.name.eq_ignore_ascii_case(&added.name))
        };
        headers.extend(added.iter().filter(is_shared).cloned());
    }
    changed.headers.retain(|header| !is_replaced(header));
    changed.headers.extend(added.iter().cloned());
    (changed != *request).then(|| Call::Http(Box::new(changed)))
}

/// Returns the error about a request that differs from the run's, with the old and the new line of each difference. It has no
/// hint yet.
pub(crate) fn changed_request(differences: &[Difference], done: u64, waiting: u64) -> CliError {
    let waiting = match waiting {
        0 => String::new(),
        waiting => format!(", {} in the middle of it", counted(waiting, "file")),
    };
    let cli_error = CliError::usage(format!(
        "the request differs from the run's ({} done with the old one{waiting})",
        counted(done, "file")
    ));
    lines(differences)
        .fold(cli_error, CliError::line)
        .note("nothing was changed")
}

/// Describes differences, a line for the old request and one for the new one.
pub(crate) fn lines(differences: &[Difference]) -> impl Iterator<Item = String> {
    differences
        .iter()
        .flat_map(|Difference { old, new }| [format!("  - {old}"), format!("  + {new}")])
}
