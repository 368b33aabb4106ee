//! Parses credentials that are given again because they are not stored, and refuses a request that has changed.

use stride::caller::{Credential, Lookup, PROXY_AUTHORIZATION, PlanError, Reference, Template};
use stride::settings::{Call, Difference, HeaderValue};

use crate::cli::args::Resume;
use crate::cli::output::error::CliError;
use crate::cli::output::format::counted;
use crate::cli::request::header::{split, wrong_template};
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

/// Parses the credentials that are given again. Each must be one that the request needs.
pub(crate) fn parse_credentials(
    given: &CredentialArgs<'_>,
    call: &Call,
    lookup: &Lookup,
) -> Result<Vec<Credential>, CliError> {
    let Call::Http(request) = call else {
        return Ok(Vec::new());
    };
    let mut credentials = Vec::new();
    // A reference is resolved at once, because the calls need the value.
    let resolve =
        |text: &str| Template::parse(text).and_then(|template| template.resolve_text(&**lookup));
    let mut values = Vec::new();
    for text in given.headers {
        let (name, value) = split(text)?;
        let value = resolve(value).map_err(|error| wrong_template(name, error))?;
        values.push((name.to_owned(), value));
    }
    for (name, pair) in [
        ("Authorization", given.user),
        (PROXY_AUTHORIZATION, given.proxy_user),
    ] {
        if let Some(pair) = pair {
            let pair = resolve(pair).map_err(|error| wrong_template(name, error))?;
            values.push((name.to_owned(), Credential::basic(pair.as_bytes())));
        }
    }
    for (name, value) in values {
        let is_proxys = name.eq_ignore_ascii_case(PROXY_AUTHORIZATION);
        let withheld = request.headers.iter().any(|header| {
            header.value == HeaderValue::Withheld && header.name.eq_ignore_ascii_case(&name)
        }) || is_proxys && request.transport.proxy_withheld;
        if !withheld {
            return Err(CliError::usage(format!(
                "the header `{name}` has no value that has to be given again"
            ))
            .hint("use `stride run … --accept-change` to change the run's request"));
        }
        credentials.push(Credential { name, value });
    }
    let templates = templates(request);
    for text in given.credentials {
        let (name, value) = text.split_once('=').ok_or_else(|| {
            CliError::usage("--credential has no value")
                .hint("use --credential NAME=VALUE, or NAME={env:VARIABLE}")
        })?;
        let asked = Reference::Given(name.to_owned());
        if !templates
            .iter()
            .any(|template| template.references().any(|known| *known == asked))
        {
            return Err(CliError::usage(format!(
                "`{}` is not a credential that has to be given again",
                stride::job::escaped(name.as_bytes())
            ))
            .hint("use `stride run … --accept-change` to change the run's request"));
        }
        let value = resolve(value).map_err(|error| PlanError::Template {
            place: format!("--credential {name}"),
            error,
        })?;
        credentials.push(Credential::given(name, value));
    }
    Ok(credentials)
}

/// Returns the error about a request that differs from the run's, with the old and the new line of each difference.
pub(crate) fn changed_request(differences: &[Difference], done: u64) -> CliError {
    let mut cli_error = CliError::usage(format!(
        "the request differs from the run's ({} done with the old one)",
        counted(done, "file")
    ));
    for Difference { old, new } in differences {
        cli_error = cli_error
            .line(format!("  - {old}"))
            .line(format!("  + {new}"));
    }
    cli_error
        .note("nothing was changed")
        .hint("use the old request, add --accept-change to continue with the new one, or start another run with --db FILE")
}
