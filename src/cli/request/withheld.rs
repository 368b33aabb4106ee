//! Replaces credentials that were typed into a URL, a form or a text by placeholders, because a run does not store them.

use std::ops::Range;

use percent_encoding::percent_decode_str;

use stride::caller::{Braces, Credential, PROXY_AUTHORIZATION, Reference, Template};
use stride::settings::{
    Body, Content, Escape, HeaderValue, Piece, Request, is_credential, is_credential_in_text,
    is_sensitive,
};

use crate::cli::output::error::CliError;

/// Takes the values out of a request whose names look like those of credentials. References stay. `known` are the
/// credentials of the run so far.
pub(super) fn withhold(request: &mut Request, known: &[Credential]) -> Vec<Credential> {
    let braces = match request.pasted {
        true => Braces::Pasted,
        false => Braces::Ours,
    };
    let mut taken = Taken::new(Braces::of_body(request.pasted, false), known);
    for header in &mut request.headers {
        if let HeaderValue::Template(value) = &header.value
            && is_sensitive(&header.name)
            && let Some(value) = literal(value, braces)
        {
            let name = header.name.clone();
            taken.found.push(Credential { name, value });
            header.value = HeaderValue::Withheld;
        }
    }
    taken.url(&mut request.url, braces);
    taken.pieces(&mut request.query, true);
    match &mut request.body {
        Body::Pieces { pieces } => taken.pieces(pieces, false),
        Body::Multipart { fields } => {
            for field in fields {
                let Content::Text(text) = &mut field.content else {
                    continue;
                };
                if let Some(value) = literal(text, taken.body)
                    && is_credential_in_text(&field.name, &value)
                {
                    *text = taken.take(&field.name, value);
                } else if text.trim_start().starts_with(['{', '[']) {
                    *text = taken.json(text);
                }
            }
        }
        Body::File | Body::Nothing => {}
    }
    taken.found.split_off(known.len())
}

/// Gives the withheld headers of a request the credentials `known` from requests before it. A header takes the value of
/// its name there; one with another value becomes a placeholder. Returns the credentials that are not known.
///
/// # Errors
///
/// The password of a proxy is another one.
pub(super) fn share(
    request: &mut Request,
    own: Vec<Credential>,
    known: &[Credential],
) -> Result<Vec<Credential>, CliError> {
    if known.is_empty() {
        return Ok(own);
    }
    let (proxy, own): (Vec<_>, Vec<_>) = own
        .into_iter()
        .partition(|credential| credential.name.eq_ignore_ascii_case(PROXY_AUTHORIZATION));
    let named = |name: &str| {
        known
            .iter()
            .find(|known| known.name.eq_ignore_ascii_case(name))
    };
    for proxy in &proxy {
        if named(&proxy.name).is_some_and(|known| known.value != proxy.value) {
            return Err(
                CliError::usage("two requests have different passwords for a proxy")
                    .hint("use the same proxy for all requests"),
            );
        }
    }
    let mut taken = Taken::new(Braces::of_body(request.pasted, false), known);
    let mut headers = request.headers.iter_mut();
    let mut seen: Vec<String> = Vec::new();
    for Credential { name, value } in own {
        let withheld = headers.find(|header| header.value == HeaderValue::Withheld);
        let is_second = seen.iter().any(|seen| seen.eq_ignore_ascii_case(&name));
        seen.push(name.clone());
        let is_same = named(&name).is_some_and(|known| known.value == value) && !is_second;
        if let Some(header) = withheld.filter(|_| !is_same) {
            header.value = HeaderValue::Template(taken.take(&name, value));
        }
    }
    let is_new = |proxy: &Credential| named(&proxy.name).is_none();
    let mut found = taken.found.split_off(known.len());
    found.extend(proxy.into_iter().filter(is_new));
    Ok(found)
}

/// The credentials that have been taken out.
struct Taken {
    found: Vec<Credential>,
    /// The meaning of braces in a body.
    body: Braces,
}

impl Taken {
    fn new(body: Braces, known: &[Credential]) -> Self {
        let found = known.to_vec();
        Self { found, body }
    }

    /// Takes a value and returns its placeholder. Two values have different placeholders.
    fn take(&mut self, name: &str, value: String) -> String {
        let harmless = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.');
        let name: String = name
            .chars()
            .map(|char| if harmless(char) { char } else { '_' })
            .collect();
        let names = (1..).map(|number| match number {
            1 => name.clone(),
            number => format!("{name}-{number}"),
        });
        for name in names {
            let credential = Credential::given(&name, value.clone());
            let known = self
                .found
                .iter()
                .find(|known| known.name == credential.name);
            if known.is_none_or(|known| known.value == value) {
                if known.is_none() {
                    self.found.push(credential);
                }
                return Reference::Given(name).to_string();
            }
        }
        value
    }

    fn url(&mut self, url: &mut String, braces: Braces) {
        let Some(from) = url.find('?') else { return };
        let end = url[from..].find('#').map_or(url.len(), |at| from + at);
        let pairs = self.pairs(&url[from + 1..end], braces, true);
        url.replace_range(from + 1..end, &pairs);
    }

    /// Takes values from `NAME=VALUE` pairs, which are separated by `&`.
    fn pairs(&mut self, pairs: &str, braces: Braces, in_url: bool) -> String {
        let mut left = String::with_capacity(pairs.len());
        for (number, pair) in split(pairs).into_iter().enumerate() {
            if number > 0 {
                left.push('&');
            }
            match pair.split_once('=') {
                Some((name, value))
                    if let Some(value) = literal(value, braces)
                        && is_named(name, &value, in_url) =>
                {
                    left.push_str(name);
                    left.push('=');
                    left.push_str(&self.take(&decoded(name), value));
                }
                _ => left.push_str(pair),
            }
        }
        left
    }

    fn pieces(&mut self, pieces: &mut [Piece], in_url: bool) {
        // The name of the next piece, if that is a value.
        let mut before: Option<String> = None;
        for piece in pieces {
            let name = before.take();
            let Piece::Text { template, escape } = piece else {
                continue;
            };
            match escape {
                Escape::Json => *template = self.json(template),
                Escape::Form => {
                    let last = template.rsplit('&').next();
                    before = last.and_then(|pair| pair.strip_suffix('=')).map(decoded);
                    *template = self.pairs(template, self.body, in_url);
                }
                Escape::All => {
                    if let Some(name) = name
                        && let Some(value) = literal(template, self.body)
                        && is_named(&name, &value, in_url)
                    {
                        *template = self.take(&name, value);
                    }
                }
                Escape::Nothing => {}
            }
        }
    }

    /// Takes values from the strings that are members of JSON objects.
    fn json(&mut self, text: &str) -> String {
        let mut left = String::with_capacity(text.len());
        let (mut copied, mut at) = (0, 0);
        let mut name: Option<&str> = None;
        while let Some(string) = string(text, at) {
            let between = text[at..string.start - 1].trim();
            let inner = &text[string.clone()];
            if between == ":"
                && let Some(name) = name
                && let Some(value) = literal(inner, self.body)
                && is_credential_in_text(name, &value)
            {
                left.push_str(&text[copied..string.start]);
                left.push_str(&self.take(name, value));
                copied = string.end;
            }
            name = Some(inner);
            at = string.end + 1;
        }
        left.push_str(&text[copied..]);
        left
    }
}

fn is_named(name: &str, value: &str, in_url: bool) -> bool {
    let name = decoded(name);
    match in_url {
        true => is_credential(&name),
        false => is_credential_in_text(&name, value),
    }
}

fn decoded(name: &str) -> String {
    let name = name.replace('+', " ");
    percent_decode_str(&name).decode_utf8_lossy().into_owned()
}

/// Returns the text of a template without placeholders, unless it is empty.
fn literal(template: &str, braces: Braces) -> Option<String> {
    let template = Template::read(template, braces).ok()?;
    let text: String = template.literals().collect();
    (!template.has_placeholder() && !text.is_empty()).then_some(text)
}

/// Splits at each `&` outside of placeholders.
fn split(pairs: &str) -> Vec<&str> {
    let (mut depth, mut from) = (0_usize, 0);
    let mut split = Vec::new();
    for (at, char) in pairs.char_indices() {
        match char {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            '&' if depth == 0 => {
                split.push(&pairs[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    split.push(&pairs[from..]);
    split
}

/// Returns the content of the next string in double quotes.
fn string(text: &str, from: usize) -> Option<Range<usize>> {
    let start = from + text[from..].find('"')? + 1;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(start) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(start..at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the URL that is left, and the names and values that were taken.
    fn from_url(url: &str) -> (String, Vec<(String, String)>) {
        let mut request = Request {
            url: url.to_owned(),
            ..Request::default()
        };
        let taken = withhold(&mut request, &[]).into_iter();
        let taken = taken.map(|credential| (credential.name, credential.value));
        (request.url, taken.collect())
    }

    #[test]
    fn credentials_are_taken_out_of_a_query() {
        let (url, taken) =
            from_url("https://a/{name}?q=1&api_key=sk%2F1&sig=ab=&key={env:K}#token=x");
        assert_eq!(
            url,
            "https://a/{name}?q=1&api_key={given:api_key}&sig={given:sig}&key={env:K}#token=x"
        );
        let expected = [("given:api_key", "sk%2F1"), ("given:sig", "ab=")];
        assert_eq!(
            taken,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        for url in [
            "https://a/api_key=1",
            "https://a/?page_token=x&max_tokens=1&api_key=&token",
            "https://a/?x={cmd:get &token=1}",
        ] {
            assert_eq!(from_url(url), (url.to_owned(), Vec::new()));
        }
        let (url, taken) = from_url("https://a/?key=1&key=2&key=1");
        assert_eq!(
            url,
            "https://a/?key={given:key}&key={given:key-2}&key={given:key}"
        );
        assert_eq!(taken.len(), 2);
    }

    #[test]
    fn only_members_with_the_name_of_a_credential_are_taken_out_of_json() {
        let json =
            r#"{"text": "{text}", "max_tokens": 5, "auth": {"api_key": "a\"b", "key": "title"}}"#;
        let mut taken = Taken::new(Braces::Body, &[]);
        assert_eq!(taken.json(json), json.replace(r#"a\"b"#, "{given:api_key}"));
        assert_eq!(taken.found[0].value, r#"a\"b"#);
        assert_eq!(
            taken.pairs("token=word", Braces::Pasted, false),
            "token=word"
        );
    }
}
