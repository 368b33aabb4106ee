//! Headers: what is kept of them, and the credentials that must not be.

use percent_encoding::percent_decode_str;

use stride::caller::{Braces, Credential, PlanError, Template, TemplateError};
use stride::settings::{Header, HeaderValue, is_sensitive};

use crate::cli::output::error::{Problem, quoted};
use crate::cli::output::named;

/// The largest file of headers, in bytes.
const LARGEST: u64 = 1 << 20;

/// A header as it was given: what is kept of it, and what is used now and not kept.
pub(super) type Given = (Header, Option<Credential>);

/// Reads the headers of `-H`; `@FILE` stands for those in a file, one a line.
pub(super) fn headers(text: &str, braces: Braces) -> Result<Vec<Given>, Problem> {
    let Some(path) = text.strip_prefix('@') else {
        return Ok(vec![header(text, braces)?]);
    };
    let lines = named::read_text(path, LARGEST).map_err(|error| {
        Problem::usage(format!(
            "cannot read the headers in {}",
            quoted(path.as_ref())
        ))
        .cause(error.to_string())
    })?;
    let lines = lines.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| header(line, braces)).collect()
}

/// Reads `Name: value`, `Name:` or `Name;` as curl does. A literal value of a sensitive header is taken out.
pub(super) fn header(text: &str, braces: Braces) -> Result<Given, Problem> {
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
    let template = Template::read(value, braces).map_err(|error| wrong_template(&name, error))?;
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
    // A signature may be made of the file, as its checksum is.
    let is_made = template.has_field() && name.to_ascii_lowercase().contains("signature");
    if is_sensitive(&name) && !is_made && mixes_literals(&template) {
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

pub(super) fn wrong_template(header: &str, error: TemplateError) -> Problem {
    let place = format!("the header `{header}`");
    PlanError::Template { place, error }.into()
}

/// Whether a template has literal text that may be a secret: more than the words that name a scheme of
/// authentication, such as `Bearer`, and the names of what comes, such as those of cookies.
fn mixes_literals(template: &Template) -> bool {
    let letters = |word: &str| {
        word.len() <= LONGEST_SCHEME
            && word
                .bytes()
                .all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_'))
    };
    // What stands right before a placeholder without being its name may be the beginning of a key.
    let harmless = |text: &str| {
        let bare = |word: &str| word.trim_matches(['"', ';', ',']).to_owned();
        let words: Vec<String> = text.split_whitespace().map(bare).collect();
        let stands_apart = text.ends_with(char::is_whitespace);
        words.iter().enumerate().all(|(number, word)| {
            let is_last = number + 1 == words.len();
            match word.strip_suffix('=') {
                Some(name) => letters(name),
                None => word.is_empty() || letters(word) && (stands_apart || !is_last),
            }
        })
    };
    template.literals().any(|text| !harmless(text))
}

/// Longer than any scheme of authentication that services use, and shorter than keys.
const LONGEST_SCHEME: usize = 20;

pub(super) fn split(text: &str) -> Result<(&str, &str), Problem> {
    let (name, value) = text.split_once(':').ok_or_else(|| {
        // What has no colon may be a value on its own: it is not repeated.
        Problem::usage("a header has no colon").hint("write it as -H 'Name: value'")
    })?;
    Ok((name.trim(), value.trim()))
}

/// Reads the name and the password of `-u`. What refers to a secret is kept; what is literal is used now.
pub(super) fn basic(pair: &str, braces: Braces) -> Result<Given, Problem> {
    let name = "Authorization".to_owned();
    let read = |text: &str| {
        Template::read(text, braces).map_err(|error| wrong_template("Authorization", error))
    };
    let template = read(pair)?;
    if !template.has_placeholder() {
        if !pair.contains(':') {
            return Err(Problem::usage("-u has a name and no password")
                .hint("write -u NAME:PASSWORD, or -u NAME: for an empty one"));
        }
        let credential = Credential {
            name: name.clone(),
            value: Credential::basic(pair.as_bytes()),
        };
        let value = HeaderValue::Withheld;
        return Ok((Header { name, value }, Some(credential)));
    }
    // A name may be written out beside a reference to its password, and not the other way round.
    let literal = template.literals().collect::<Vec<_>>().join("{}");
    let password = literal.split_once(':').map_or("", |(_, password)| password);
    if !password.replace("{}", "").is_empty() {
        return Err(
            Problem::usage("-u mixes a reference with a literal password")
                .note("the literal part would be stored")
                .hint("write -u '{env:NAME}:{env:PASSWORD}'"),
        );
    }
    let value = HeaderValue::Basic(pair.to_owned());
    Ok((Header { name, value }, None))
}

/// Takes the user information out of a URL: it becomes a header, as every client makes of it.
pub(super) fn without_user(url: &str) -> Result<(String, Option<Given>), Problem> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_credentials_are_taken_out() {
        let (kept, credential) = header("Authorization: Bearer sesame", Braces::Ours).unwrap();
        assert_eq!(kept.value, HeaderValue::Withheld);
        assert_eq!(credential.unwrap().value, "Bearer sesame");
        let (kept, credential) = header("X-Api-Key: {env:KEY}", Braces::Ours).unwrap();
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
            let (kept, credential) = header(&text, Braces::Ours).unwrap();
            assert_eq!(kept.value, HeaderValue::Template(value.to_owned()));
            assert!(credential.is_none());
        }
        assert!(header("Authorization: Bearer sk-sesame-{file:key}", Braces::Ours).is_err());
        assert!(header("X-Api-Key: sk-sesame-{cmd:cat key}", Braces::Ours).is_err());
        assert!(header("X-Api-Key: {vault:key}", Braces::Ours).is_err());
        assert!(header("X-Signature: sha256={sha256}", Braces::Ours).is_ok());
    }

    #[test]
    fn a_name_may_stand_beside_a_reference_to_its_password() {
        let kept = |pair| basic(pair, Braces::Ours).unwrap().0.value;
        assert_eq!(kept("me:sesame"), HeaderValue::Withheld);
        for pair in ["{env:KEY}:", "me:{env:PASSWORD}", "{file:pair}"] {
            assert_eq!(kept(pair), HeaderValue::Basic(pair.to_owned()));
        }
        assert!(basic("me", Braces::Ours).is_err());
        assert!(basic("{env:USER}:sesame", Braces::Ours).is_err());
    }

    #[test]
    fn schemes_of_services_are_no_secrets() {
        for value in [
            "DeepL-Auth-Key {env:KEY}",
            "Token token=\"{env:KEY}\"",
            "Api-Key {file:key}",
        ] {
            let text = format!("Authorization: {value}");
            assert!(header(&text, Braces::Ours).is_ok(), "{value}");
        }
    }

    #[test]
    fn headers_are_read_as_curl_reads_them() {
        assert_eq!(
            header("Accept:text/plain", Braces::Ours).unwrap().0.value,
            HeaderValue::Template("text/plain".to_owned())
        );
        assert_eq!(
            header("Content-Type:", Braces::Ours).unwrap().0.value,
            HeaderValue::Absent
        );
        assert_eq!(
            header("X-Empty;", Braces::Ours).unwrap().0.value,
            HeaderValue::Template(String::new())
        );
        assert!(header("no colon", Braces::Ours).is_err());
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
