//! What is given again of a request: credentials that are not stored, and the whole of it where it has changed.

use stride::caller::{Credential, Lookup, PROXY_AUTHORIZATION, PlanError, Reference, Template};
use stride::settings::{Call, Difference, HeaderValue};

use crate::cli::args::Resume;
use crate::cli::output::error::Problem;
use crate::cli::output::format::counted;
use crate::cli::request::header::{split, wrong_template};
use crate::cli::request::templates::templates;

/// Credentials that are given again.
#[derive(Debug, Default)]
pub(crate) struct GivenAgain<'g> {
    pub(crate) headers: &'g [String],
    /// As NAME=VALUE.
    pub(crate) credentials: &'g [String],
    pub(crate) user: Option<&'g String>,
    pub(crate) proxy_user: Option<&'g String>,
}

impl<'g> From<&'g Resume> for GivenAgain<'g> {
    fn from(resume: &'g Resume) -> Self {
        Self {
            headers: &resume.header,
            credentials: &resume.credential,
            user: resume.user.as_ref(),
            proxy_user: resume.proxy_user.as_ref(),
        }
    }
}

/// Reads headers that are given again because their values are not stored.
pub(crate) fn given_again(
    given: &GivenAgain<'_>,
    call: &Call,
    lookup: &Lookup,
) -> Result<Vec<Credential>, Problem> {
    let Call::Http(request) = call else {
        return Ok(Vec::new());
    };
    let mut credentials = Vec::new();
    let basic = |name: &str, pair: &String| {
        let reference = |error| wrong_template(name, error);
        let template = Template::parse(pair).map_err(reference)?;
        let pair = template.resolve_text(&**lookup).map_err(reference)?;
        Ok::<_, Problem>((name.to_owned(), Credential::basic(pair.as_bytes())))
    };
    let mut values = Vec::new();
    for text in given.headers {
        let (name, value) = split(text)?;
        // It may be given as a reference now; its value is needed either way.
        let resolved = Template::parse(value)
            .and_then(|template| template.resolve_text(&**lookup))
            .map_err(|error| wrong_template(name, error))?;
        values.push((name.to_owned(), resolved));
    }
    for (name, pair) in [
        ("Authorization", given.user),
        (PROXY_AUTHORIZATION, given.proxy_user),
    ] {
        values.extend(pair.as_ref().map(|pair| basic(name, pair)).transpose()?);
    }
    for (name, value) in values {
        let is_proxys = name.eq_ignore_ascii_case(PROXY_AUTHORIZATION);
        let withheld = request.headers.iter().any(|header| {
            header.value == HeaderValue::Withheld && header.name.eq_ignore_ascii_case(&name)
        }) || is_proxys && request.transport.proxy_withheld;
        if !withheld {
            return Err(Problem::usage(format!(
                "the header `{name}` is not one whose value has to be given again"
            ))
            .note("a run's request is changed with `stride run … --accept-change`"));
        }
        credentials.push(Credential { name, value });
    }
    let templates = templates(request);
    for text in given.credentials {
        let (name, value) = text.split_once('=').ok_or_else(|| {
            Problem::usage("--credential has no value")
                .hint("write it as --credential NAME=VALUE, or NAME={env:VARIABLE}")
        })?;
        let asked = Reference::Given(name.to_owned());
        if !templates
            .iter()
            .any(|template| template.references().any(|known| *known == asked))
        {
            return Err(Problem::usage(format!(
                "`{}` is not a credential that has to be given again",
                stride::job::escaped(name.as_bytes())
            ))
            .note("a run's request is changed with `stride run … --accept-change`"));
        }
        let value = Template::parse(value)
            .and_then(|template| template.resolve_text(&**lookup))
            .map_err(|error| PlanError::Template {
                place: format!("--credential {name}"),
                error,
            })?;
        credentials.push(Credential::given(name, value));
    }
    Ok(credentials)
}

/// The difference between two requests, two lines each, as an error that says how to go on.
pub(crate) fn refuse_change(differences: &[Difference], done: u64) -> Problem {
    let mut problem = Problem::usage(format!(
        "the request is not the one that this run was made with ({} done under it)",
        counted(done, "file")
    ));
    for Difference { old, new } in differences {
        problem = problem
            .line(format!("  - {old}"))
            .line(format!("  + {new}"));
    }
    problem
        .note("nothing was changed")
        .hint("give the old request, add --accept-change to go on with the new one, or make another run with --db FILE")
}
