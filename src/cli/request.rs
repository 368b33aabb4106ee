//! From the words of a request to what a run remembers of it, and the credentials that it must not remember.

use percent_encoding::percent_decode_str;

use stride::caller::{Credential, Lookup, PlanError, Template, TemplateError};
use stride::settings::{Call, Difference, Header, HeaderValue, Request, is_sensitive};

use super::args::Run;
use super::error::Problem;

/// A request as it was asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) request: Request,
    /// The values that are used now and not stored.
    pub(crate) credentials: Vec<Credential>,
}

/// A header as it was given: what is kept of it, and what is used now and not kept.
type Given = (Header, Option<Credential>);

/// Reads the request of `stride run`.
pub(crate) fn asked(run: &Run) -> Result<Asked, Problem> {
    let (url, user) = without_user(&run.url)?;
    let mut headers = Vec::new();
    let mut credentials = Vec::new();
    for header in user
        .into_iter()
        .map(Ok)
        .chain(run.header.iter().map(|text| header(text)))
    {
        let (header, credential) = header?;
        headers.push(header);
        credentials.extend(credential);
    }
    let has_one = |header: &Header| header.name.eq_ignore_ascii_case("authorization");
    // As with curl, what is given in so many words comes first.
    if run.netrc && !headers.iter().any(has_one) {
        headers.push(Header {
            name: "Authorization".to_owned(),
            value: HeaderValue::Template(format!("{{netrc:{}}}", host(&url)?)),
        });
    }
    let method = run.request.as_deref().unwrap_or("POST").to_owned();
    Ok(Asked {
        request: Request {
            method,
            url,
            headers,
            judging: run.answers.judging(),
            ..Request::default()
        },
        credentials,
    })
}

/// The host of a URL, which has to be the same for every file.
fn host(url: &str) -> Result<&str, Problem> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    if authority.contains('{') {
        return Err(Problem::usage(
            "--netrc needs a host in the URL that is the same for every file",
        ));
    }
    let port = authority
        .rfind(':')
        .filter(|colon| !authority[*colon..].contains(']'));
    Ok(port.map_or(authority, |colon| &authority[..colon]))
}

/// Reads headers that are given again because their values are not stored.
pub(crate) fn given_again(
    texts: &[String],
    call: &Call,
    lookup: &Lookup,
) -> Result<Vec<Credential>, Problem> {
    let Call::Http(request) = call else {
        return Ok(Vec::new());
    };
    let mut credentials = Vec::new();
    for text in texts {
        let (name, value) = split(text)?;
        let withheld = request.headers.iter().any(|header| {
            header.value == HeaderValue::Withheld && header.name.eq_ignore_ascii_case(name)
        });
        if !withheld {
            return Err(Problem::usage(format!(
                "the header `{name}` is not one whose value has to be given again"
            ))
            .note("a run's request is changed with `stride run … --accept-change`"));
        }
        // It may be given as a reference now; its value is needed either way.
        let resolved = Template::parse(value)
            .and_then(|template| template.resolve_text(&**lookup))
            .map_err(|error| wrong_template(name, error))?;
        credentials.push(Credential {
            name: name.to_owned(),
            value: resolved,
        });
    }
    Ok(credentials)
}

/// Reads `Name: value`, `Name:` or `Name;` as curl does. A literal value of a sensitive header is taken out.
fn header(text: &str) -> Result<Given, Problem> {
    if let Some(name) = text.strip_suffix(';').filter(|name| !name.contains(':')) {
        return Ok((
            Header {
                name: name.to_owned(),
                value: HeaderValue::Template(String::new()),
            },
            None,
        ));
    }
    let (name, value) = split(text)?;
    let name = name.to_owned();
    if value.is_empty() {
        return Ok((
            Header {
                name,
                value: HeaderValue::Absent,
            },
            None,
        ));
    }
    let template = Template::parse(value).map_err(|error| wrong_template(&name, error))?;
    if is_sensitive(&name) && !template.has_placeholder() {
        let credential = Credential {
            name: name.clone(),
            value: value.to_owned(),
        };
        return Ok((
            Header {
                name,
                value: HeaderValue::Withheld,
            },
            Some(credential),
        ));
    }
    if is_sensitive(&name) && mixes_literals(&template) {
        return Err(Problem::usage(format!(
            "the header `{name}` mixes a placeholder with a literal value"
        ))
        .note("the literal part would be stored")
        .hint(
            "put the whole value into one variable or file, and write {env:NAME} or {file:PATH}",
        ));
    }
    let value = HeaderValue::Template(value.to_owned());
    Ok((Header { name, value }, None))
}

fn wrong_template(header: &str, error: TemplateError) -> Problem {
    let place = format!("the header `{header}`");
    PlanError::Template { place, error }.into()
}

/// Whether a template has literal text that may be a secret: more than the word that names a scheme of
/// authentication, such as `Bearer`, or the name of a cookie.
fn mixes_literals(template: &Template) -> bool {
    template.literals().any(|text| {
        let text = text.trim();
        let scheme =
            text.len() <= LONGEST_SCHEME && text.bytes().all(|byte| byte.is_ascii_alphabetic());
        let cookie = text
            .strip_suffix('=')
            .is_some_and(|name| !name.contains(['=', ' ']));
        !(scheme || cookie)
    })
}

/// The longest registered authentication scheme, `SCRAM-SHA-256` aside, has twelve letters.
const LONGEST_SCHEME: usize = 16;

fn split(text: &str) -> Result<(&str, &str), Problem> {
    let (name, value) = text.split_once(':').ok_or_else(|| {
        // What has no colon may be a value on its own: it is not repeated.
        Problem::usage("a header has no colon").hint("write it as -H 'Name: value'")
    })?;
    Ok((name.trim(), value.trim()))
}

/// Takes the user information out of a URL: it becomes a header, as every client makes of it.
fn without_user(url: &str) -> Result<(String, Option<Given>), Problem> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Ok((url.to_owned(), None));
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let Some(at) = rest[..end].rfind('@') else {
        return Ok((url.to_owned(), None));
    };
    let (user, host) = (&rest[..at], &rest[at + 1..]);
    if user.contains('{') {
        return Err(
            Problem::usage("the user information of a URL cannot hold a placeholder")
                .hint("give a header instead: -H 'Authorization: Bearer {env:NAME}'"),
        );
    }
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let decode = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pair = format!("{}:{}", decode(name), decode(password));
    let credential = Credential {
        name: "Authorization".to_owned(),
        value: Credential::basic(pair.as_bytes()),
    };
    let header = Header {
        name: credential.name.clone(),
        value: HeaderValue::Withheld,
    };
    Ok((
        format!("{scheme}://{host}"),
        Some((header, Some(credential))),
    ))
}

/// The difference between two requests, two lines each, as an error that says how to go on.
pub(crate) fn refuse_change(differences: &[Difference], done: u64) -> Problem {
    let mut error = format!(
        "the request is not the one that this run was made with ({} done under it)",
        super::terminal::counted(done, "file")
    );
    for Difference { old, new } in differences {
        let line =
            |sign, text: &str| format!("\n  {sign} {}", stride::job::escaped(text.as_bytes()));
        error.push_str(&line('-', old));
        error.push_str(&line('+', new));
    }
    Problem::usage(error)
        .note("nothing was changed")
        .hint("give the old request, add --accept-change to go on with the new one, or make another run with --db FILE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_credentials_are_taken_out() {
        let (kept, credential) = header("Authorization: Bearer sesame").unwrap();
        assert_eq!(kept.value, HeaderValue::Withheld);
        assert_eq!(credential.unwrap().value, "Bearer sesame");
        let (kept, credential) = header("X-Api-Key: {env:KEY}").unwrap();
        assert_eq!(kept.value, HeaderValue::Template("{env:KEY}".to_owned()));
        assert!(credential.is_none());
    }

    #[test]
    fn every_kind_of_reference_stands_for_a_whole_value() {
        for value in [
            "{file:../key}",
            "Bearer {cmd:pass show api}",
            "sid={file:key}",
        ] {
            let text = format!("Authorization: {value}");
            let (kept, credential) = header(&text).unwrap();
            assert_eq!(kept.value, HeaderValue::Template(value.to_owned()));
            assert!(credential.is_none());
        }
        assert!(header("Authorization: Bearer sk-sesame-{file:key}").is_err());
        assert!(header("X-Api-Key: sk-sesame-{cmd:cat key}").is_err());
        assert!(header("X-Api-Key: {vault:key}").is_err());
    }

    #[test]
    fn headers_are_read_as_curl_reads_them() {
        assert_eq!(
            header("Accept:text/plain").unwrap().0.value,
            HeaderValue::Template("text/plain".to_owned())
        );
        assert_eq!(
            header("Content-Type:").unwrap().0.value,
            HeaderValue::Absent
        );
        assert_eq!(
            header("X-Empty;").unwrap().0.value,
            HeaderValue::Template(String::new())
        );
        assert!(header("no colon").is_err());
    }

    #[test]
    fn user_information_becomes_a_header_that_is_not_stored() {
        let (url, user) = without_user("https://me:p%40ss@host/x@y").unwrap();
        assert_eq!(url, "https://host/x@y");
        let (header, credential) = user.unwrap();
        assert_eq!(header.value, HeaderValue::Withheld);
        // me:p@ss
        assert_eq!(credential.unwrap().value, "Basic bWU6cEBzcw==");
        assert_eq!(
            without_user("https://host/x@y").unwrap().0,
            "https://host/x@y"
        );
        assert!(without_user("https://{env:USER}@host/").is_err());
    }
}
