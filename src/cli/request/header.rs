//! Parses headers, and takes out the credentials that are not stored.

use percent_encoding::percent_decode_str;

use stride::caller::{Braces, Credential, PlanError, Template, TemplateError};
use stride::settings::{Header, HeaderValue, is_sensitive};

use crate::cli::output::error::{CliError, quoted};
use crate::cli::output::named;
use crate::cli::request::file;
use crate::cli::request::slips::{self, Part};

/// The largest file of headers, in bytes.
const LARGEST: u64 = 1 << 20;

/// A header as it is stored, and its credential, which is not stored.
pub(super) type ParsedHeader = (Header, Option<Credential>);

/// Returns the headers of `-H`; `@FILE` has one in each line.
pub(super) fn lines(text: &str) -> Result<Vec<String>, CliError> {
    let Some(path) = text.strip_prefix('@') else {
        return Ok(vec![text.to_owned()]);
    };
    let path = file::name(path)?;
    let lines = named::read_text(&path, LARGEST).map_err(|error| {
        CliError::usage(format!(
            "cannot read the headers in {}",
            quoted(path.as_ref())
        ))
        .cause(error.to_string())
    })?;
    let lines = lines.lines().filter(|line| !line.trim().is_empty());
    Ok(lines.map(str::to_owned).collect())
}

/// Returns the name of a header that belongs to the connection or describes the body of one call, if the line is one.
/// Browsers copy such headers, and documentation has them.
pub(super) fn set_by_stride(line: &str) -> Option<String> {
    // HTTP/2 has headers with a colon before their names.
    let (colon, rest) = match line.strip_prefix(':') {
        Some(rest) => (":", rest),
        None => ("", line),
    };
    let (name, value) = rest
        .split_once(':')
        .unwrap_or((rest.trim_end_matches(';'), ""));
    let lower = name.trim().to_ascii_lowercase();
    let keeps_alive = |value: &str| {
        let mut words = value
            .split(',')
            .map(|word| word.trim().to_ascii_lowercase());
        words.all(|word| matches!(word.as_str(), "" | "keep-alive" | "te"))
    };
    let is_own = match (colon, lower.as_str()) {
        (":", name) => matches!(name, "authority" | "method" | "path" | "scheme"),
        (_, "content-length" | "transfer-encoding" | "keep-alive" | "proxy-connection") => true,
        (_, "connection") => keeps_alive(value),
        _ => false,
    };
    is_own.then(|| format!("{colon}{}", name.trim()))
}

/// Parses `Name: value`, `Name:` or `Name;` as curl does. Takes out the literal value of a sensitive header.
pub(super) fn header(text: &str, braces: Braces) -> Result<ParsedHeader, CliError> {
    if let Some(name) = text.strip_suffix(';').filter(|name| !name.contains(':')) {
        let value = HeaderValue::Template(String::new());
        let name = name.to_owned();
        return Ok((Header { name, value }, None));
    }
    let (name, value) = split(text)?;
    let name = name.to_owned();
    if value.is_empty() {
        let value = HeaderValue::Absent;
        return Ok((Header { name, value }, None));
    }
    let part = match is_sensitive(&name) {
        true => Part::Credential,
        false => Part::Other,
    };
    slips::check(&place(&name), value, part)?;
    if is_sensitive(&name)
        && SCHEMES
            .iter()
            .any(|scheme| value.eq_ignore_ascii_case(scheme))
    {
        return Err(
            CliError::usage(format!("{} ends after `{value}`", place(&name)))
                .note("a variable that is not set, or empty, leaves nothing behind it")
                .hint(format!(
                    "use -H '{name}: {value} {{env:NAME}}' with the variable's name, and set it"
                )),
        );
    }
    let template = Template::read(value, braces).map_err(|error| wrong_template(&name, error))?;
    if is_sensitive(&name) && !template.has_placeholder() {
        return Ok(withheld(&name, value.to_owned()));
    }
    // A signature may consist of a checksum of the file, with literal text beside it.
    let is_made = template.has_field() && name.to_ascii_lowercase().contains("signature");
    if is_sensitive(&name) && !is_made && mixes_literals(&template) {
        return Err(CliError::usage(format!(
            "the header `{name}` mixes a placeholder with a literal value"
        ))
        .note("the literal part would be stored")
        .hint("put the whole value into one variable or file, and use {env:NAME} or {file:PATH}"));
    }
    let value = HeaderValue::Template(value.to_owned());
    Ok((Header { name, value }, None))
}

/// Authentication schemes, which are no credentials by themselves.
const SCHEMES: [&str; 5] = ["Bearer", "Basic", "Token", "Key", "ApiKey"];

fn withheld(name: &str, value: String) -> ParsedHeader {
    let name = name.to_owned();
    let credential = Credential {
        name: name.clone(),
        value,
    };
    let value = HeaderValue::Withheld;
    (Header { name, value }, Some(credential))
}

/// Names a header in messages.
pub(super) fn place(header: &str) -> String {
    format!("the header `{header}`")
}

fn wrong_template(header: &str, error: TemplateError) -> CliError {
    let place = place(header);
    PlanError::Template { place, error }.into()
}

/// Returns whether a template has literal text that may be a secret: more than an authentication scheme, such as `Bearer`,
/// and names, such as those of cookies.
fn mixes_literals(template: &Template) -> bool {
    let letters = |word: &str| {
        word.len() <= LONGEST_SCHEME
            && word
                .bytes()
                .all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_'))
    };
    // A word right before a placeholder may be the beginning of a key, unless it is a name with `=`.
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

/// Longer than any authentication scheme that services use, and shorter than keys.
const LONGEST_SCHEME: usize = 20;

pub(super) fn split(text: &str) -> Result<(&str, &str), CliError> {
    if let Some(variable) = slips::whole(text) {
        return Err(CliError::usage(format!(
            "-H has nothing but {variable}, so the header's name is unknown"
        ))
        .hint(format!(
            "use -H \"Name: {variable}\" with only the value in it"
        )));
    }
    let (name, value) = text.split_once(':').ok_or_else(|| {
        // The text may be a secret value, so the message does not repeat it.
        CliError::usage("a header has no colon").hint("use -H 'Name: value'")
    })?;
    Ok((name.trim(), value.trim()))
}

/// Parses the name and the password of `-u`. Takes out a literal password; a reference is stored.
pub(super) fn basic(pair: &str, braces: Braces) -> Result<ParsedHeader, CliError> {
    const NAME: &str = "Authorization";
    slips::check("-u", pair, Part::Credential)?;
    let template = Template::read(pair, braces).map_err(|error| wrong_template(NAME, error))?;
    if !template.has_placeholder() {
        if !pair.contains(':') {
            return Err(CliError::usage("-u has a name and no password")
                .hint("use -u NAME:PASSWORD, or -u NAME: for an empty password"));
        }
        return Ok(withheld(NAME, Credential::basic(pair.as_bytes())));
    }
    // A literal name may stand beside a reference to its password, but no literal password beside a reference.
    let literal = template.literals().collect::<Vec<_>>().join("{}");
    let password = literal.split_once(':').map_or("", |(_, password)| password);
    if !password.replace("{}", "").is_empty() {
        return Err(
            CliError::usage("-u mixes a reference with a literal password")
                .note("the literal part would be stored")
                .hint("use -u '{env:NAME}:{env:PASSWORD}'"),
        );
    }
    let name = NAME.to_owned();
    let value = HeaderValue::Basic(pair.to_owned());
    Ok((Header { name, value }, None))
}

/// Returns a range of bytes. As with curl, a number alone begins a range to the end.
pub(super) fn range(range: &str) -> String {
    match range.is_empty() || range.contains(['-', '{']) {
        true => range.to_owned(),
        false => format!("{range}-"),
    }
}

/// Takes the user information out of a URL. It becomes a header, as with every client.
pub(super) fn without_user(
    url: &str,
    braces: Braces,
) -> Result<(String, Option<ParsedHeader>), CliError> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Ok((url.to_owned(), None));
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let Some(at) = rest[..end].rfind('@') else {
        return Ok((url.to_owned(), None));
    };
    let (user, host) = (&rest[..at], &rest[at + 1..]);
    let url = format!("{scheme}://{host}");
    if user.contains('{') {
        return Ok((url, Some(basic(user, braces)?)));
    }
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let decode = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pair = format!("{}:{}", decode(name), decode(password));
    let header = withheld("Authorization", Credential::basic(pair.as_bytes()));
    Ok((url, Some(header)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_curl_reads_them_and_literal_credentials_are_taken_out() {
        let template = |text: &str| Some(HeaderValue::Template(text.to_owned()));
        for (text, stored) in [
            ("Accept:text/plain", template("text/plain")),
            ("Content-Type:", Some(HeaderValue::Absent)),
            ("X-Empty;", template("")),
            ("no colon", None),
            ("Authorization: Bearer sesame", Some(HeaderValue::Withheld)),
            ("X-Api-Key: {env:KEY}", template("{env:KEY}")),
            ("Authorization: {file:../key}", template("{file:../key}")),
            (
                "Authorization: Bearer {cmd:pass show api}",
                template("Bearer {cmd:pass show api}"),
            ),
            ("Cookie: sid={file:key}", template("sid={file:key}")),
            (
                "Authorization: DeepL-Auth-Key {env:KEY}",
                template("DeepL-Auth-Key {env:KEY}"),
            ),
            (
                "Authorization: Token token=\"{env:KEY}\"",
                template("Token token=\"{env:KEY}\""),
            ),
            ("X-Signature: sha256={sha256}", template("sha256={sha256}")),
            ("Authorization: Bearer sk-sesame-{file:key}", None),
            ("X-Api-Key: sk-sesame-{cmd:cat key}", None),
            ("X-Api-Key: {vault:key}", None),
        ] {
            let parsed = header(text, Braces::Ours).ok();
            let is_withheld = stored == Some(HeaderValue::Withheld);
            let credential = parsed
                .as_ref()
                .and_then(|(_, credential)| credential.as_ref());
            assert_eq!(credential.is_some(), is_withheld, "{text}");
            assert_eq!(parsed.map(|(header, _)| header.value), stored, "{text}");
        }
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
    fn user_information_becomes_a_header_that_is_not_stored() {
        let without_user = |url| without_user(url, Braces::Ours).unwrap();
        let (url, user) = without_user("https://me:p%40ss@host/x@y");
        assert_eq!(url, "https://host/x@y");
        let (header, credential) = user.unwrap();
        assert_eq!(header.value, HeaderValue::Withheld);
        // me:p@ss
        assert_eq!(credential.unwrap().value, "Basic bWU6cEBzcw==");
        assert_eq!(without_user("https://host/x@y").0, "https://host/x@y");
        let (url, user) = without_user("https://{env:ME}:{env:KEY}@host/");
        assert_eq!(url, "https://host/");
        let stored = HeaderValue::Basic("{env:ME}:{env:KEY}".to_owned());
        assert_eq!(user.unwrap().0.value, stored);
    }
}
