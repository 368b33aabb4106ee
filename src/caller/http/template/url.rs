//! Templates of URLs. Variables may name the service, as in `{env:BASE}/v1/things` or `http://{env:HOST}/things`. Their
//! values are parts of the URL as they are. Only a password, a query, and a key in place of a host are secret.

use std::borrow::Cow;

use super::answer::AnswerField;
use super::field::Field;
use super::fill::Encoding;
use super::{Inserted, JsonContext, Part, SecretText, Template, TemplateError};
use crate::caller::http::reference::Reference;
use crate::caller::http::source::Source;
use crate::job::Job;
use crate::settings::is_credential_in_text;

/// The characters that end the host of a URL.
const ENDS: [char; 3] = ['/', '?', '#'];

impl Template {
    /// Returns whether a reference of this URL stands before its path.
    pub(in crate::caller::http) fn names_service(&self, reference: &Reference) -> bool {
        let parts = self.0[..self.before_path()].iter();
        let mut references = parts.filter_map(Part::reference);
        references.any(|found| found == reference)
    }

    /// Replaces the references of a URL by their values. Returns the name and the password in the value of a variable
    /// that names the service, too. A pasted URL has the scheme `http` by default, as with curl.
    pub(in crate::caller::http) fn resolve_url(
        &self,
        is_pasted: bool,
        value: &mut dyn FnMut(&Reference) -> Result<Vec<u8>, TemplateError>,
    ) -> Result<(Self, Option<String>), TemplateError> {
        let (before, after) = self.0.split_at(self.before_path());
        let mut url = Self::default();
        for part in before {
            match part.reference() {
                Some(reference @ (Reference::Env(_) | Reference::Pool(_))) => {
                    let value = value(reference)?;
                    let value = String::from_utf8_lossy(&value);
                    let (address, query) = value.split_at(query(&value));
                    url.push_text(address);
                    if !query.is_empty() {
                        let query = Inserted::Secret(SecretText(query.into()));
                        url.0.push(Part::Inserted(query, JsonContext::Verbatim));
                    }
                }
                // Its value may change during the run, and the calls would go to another service.
                Some(reference) => {
                    return Err(TemplateError::Value {
                        reference: reference.clone(),
                        reason: "only a variable or a pool can name the service".to_owned(),
                    });
                }
                None => match part {
                    Part::Text(text) => url.push_text(text),
                    inserted => url.0.push(inserted.clone()),
                },
            }
        }
        let mut user = None;
        if let Some(Part::Text(start)) = url.0.first_mut()
            && before.iter().any(|part| part.reference().is_some())
        {
            let scheme_follows =
                matches!(after.first(), Some(Part::Text(text)) if text.starts_with("://"));
            if is_pasted && !scheme_follows && !start.contains("://") {
                start.insert_str(0, "http://");
            }
            if let Some((from, at)) = user_information(start) {
                user = Some(start[from..at].to_owned());
                start.replace_range(from..=at, "");
            }
        }
        url.0.extend(Self(after.to_vec()).resolve(value)?.0);
        Ok((url, user))
    }

    /// Returns the index of the request whose answer names the service, if one does.
    pub(in crate::caller::http) fn named_by(&self) -> Option<usize> {
        let before = self.0[..self.before_path()].iter();
        let mut steps = before.filter_map(|part| match part {
            Part::Inserted(Inserted::Field(Field::Answer(field)), _) => Some(field.step()),
            _ => None,
        });
        steps.next()
    }

    /// Splits off a value of an answer at the beginning of a URL, which is a URL itself.
    pub(in crate::caller::http) fn split_answer(&self) -> (Option<&AnswerField>, Cow<'_, Self>) {
        match self.0.split_first() {
            Some((Part::Inserted(Inserted::Field(Field::Answer(field)), _), rest)) => {
                (Some(field), Cow::Owned(Self(rest.to_vec())))
            }
            _ => (None, Cow::Borrowed(self)),
        }
    }

    /// Returns the part of the URL up to its path, filled.
    pub(in crate::caller::http) fn fill_service(
        &self,
        job: &Job,
        source: &Source,
    ) -> Option<String> {
        let at = self.before_path();
        let mut text = Self(self.0[..at].to_vec())
            .fill(Encoding::Url, job, source)
            .ok()?;
        if let Some(Part::Text(next)) = self.0.get(at) {
            text.extend(next.bytes());
        }
        String::from_utf8(text).ok()
    }

    pub(super) fn push_text(&mut self, text: &str) {
        match self.0.last_mut() {
            Some(Part::Text(before)) => before.push_str(text),
            _ => self.0.push(Part::Text(text.to_owned())),
        }
    }

    /// Returns the number of parts before the first literal one that reaches the path of a URL.
    fn before_path(&self) -> usize {
        let mut has_scheme = false;
        let reaches = |part: &Part| {
            let Part::Text(text) = part else { return false };
            match text.split_once("://") {
                Some((scheme, rest)) if !has_scheme && !scheme.contains(ENDS) => {
                    has_scheme = true;
                    rest.contains(ENDS)
                }
                _ => text.contains(ENDS),
            }
        };
        self.0.iter().position(reaches).unwrap_or(self.0.len())
    }
}

impl Part {
    fn reference(&self) -> Option<&Reference> {
        match self {
            Self::Inserted(Inserted::Reference(reference), _) => Some(reference),
            _ => None,
        }
    }
}

/// Returns the secrets in the value of a variable that names the service: its password and its query.
pub(in crate::caller::http) fn secrets(value: &[u8]) -> Vec<String> {
    let value = String::from_utf8_lossy(value);
    let (address, query) = value.split_at(query(&value));
    let query = query.get(1..).unwrap_or_default().to_owned();
    let user = user_information(address).map(|(from, at)| &address[from..at]);
    let password = user.and_then(|user| user.split_once(':'));
    let password = password.map(|(_, password)| password.to_owned());
    let found = password.into_iter().chain([query]);
    let found = found.filter(|secret| !secret.is_empty());
    found.chain(mistaken(address)).collect()
}

/// Returns the word that stands in place of a host, if it looks like a key.
fn mistaken(address: &str) -> Option<String> {
    let from = address.find("://").map_or(0, |at| at + 3);
    let end = address[from..].find(['/', ':']);
    let host = &address[from..end.map_or(address.len(), |end| from + end)];
    (!host.contains('.') && is_credential_in_text("key", host)).then(|| host.to_owned())
}

/// Returns the position of a URL's query or fragment.
fn query(url: &str) -> usize {
    url.find(['?', '#']).unwrap_or(url.len())
}

/// Returns the positions of the beginning of the user information in a URL, and of the `@` after it.
fn user_information(url: &str) -> Option<(usize, usize)> {
    let from = url.find("://").map_or(0, |at| at + 3);
    let end = url[from..].find(ENDS).map_or(url.len(), |at| from + at);
    let at = url[from..end].rfind('@')?;
    Some((from, from + at))
}

/// Returns whether inserted values make a dot segment in a URL's path. Servers follow those to another resource,
/// however they are encoded (RFC 3986, section 5.2.4). The folder `.` of a name is harmless.
pub(in crate::caller::http) fn leads_away(template: &Template, filled: &str) -> bool {
    fn segments(url: &str) -> std::str::Split<'_, [char; 2]> {
        let path = &url[..url.find(['?', '#']).unwrap_or(url.len())];
        path.split(['/', '\\'])
    }
    let outline = template.outline();
    // Slashes in values are encoded, so both have the same number of segments.
    std::iter::zip(segments(filled), segments(&outline)).any(|(segment, before)| {
        segment != before
            && match segment.to_ascii_lowercase().replace("%2e", ".").as_str() {
                ".." => true,
                "." => !template.has_folder(),
                _ => false,
            }
    })
}

#[cfg(test)]
mod tests {
    use super::super::Braces;
    use super::*;

    /// Resolves a pasted URL whose only reference is `{env:U}`. Returns its text, and the user information.
    fn resolved(url: &str, value: &str) -> Option<(String, Option<String>)> {
        let template = Template::read(url, Braces::Pasted).unwrap();
        let (url, user) = template.resolve_url(true, &mut |_| Ok(value.into())).ok()?;
        let text = String::from_utf8(url.constant().unwrap()).unwrap();
        Some((text, user))
    }

    #[test]
    fn a_variable_before_the_path_is_part_of_the_url() {
        for (url, value, expected) in [
            (
                "{env:U}/v1/x",
                "https://a.example:8443/base",
                "https://a.example:8443/base/v1/x",
            ),
            (
                "{env:U}/_bulk",
                "localhost:9200",
                "http://localhost:9200/_bulk",
            ),
            ("{env:U}", "https://a/b?sig=c%2Fd", "https://a/b?sig=c%2Fd"),
            ("{env:U}?x=1", "a", "http://a?x=1"),
            ("http://{env:U}/x", "h:80", "http://h:80/x"),
            ("{env:U}://h/x", "https", "https://h/x"),
            ("http://{env:U}:{env:U}/x", "9", "http://9:9/x"),
        ] {
            let found = resolved(url, value).unwrap();
            assert_eq!(found, (expected.to_owned(), None), "{url}");
        }
        let (url, user) = resolved("{env:U}/x", "https://me:p%40ss@h:9200").unwrap();
        assert_eq!(
            (url.as_str(), user.as_deref()),
            ("https://h:9200/x", Some("me:p%40ss"))
        );
        for url in ["{cmd:u}/x", "http://{file:u}/x"] {
            assert_eq!(resolved(url, "h"), None, "{url}");
        }
    }

    #[test]
    fn only_references_before_the_path_name_the_service() {
        let names = |url: &str| {
            let template = Template::read(url, Braces::Ours).unwrap();
            template.names_service(&Reference::Env("U".to_owned()))
        };
        assert!(names("{env:U}/x?y=http://z"));
        assert!(names("https://{env:U}"));
        assert!(!names("https://h/{env:U}"));
        assert!(!names("https://h?u={env:U}"));
        assert!(!names("{env:V}/x?u={env:U}"));
    }

    #[test]
    fn a_password_and_a_query_are_secrets() {
        let found = secrets(b"https://me:sesame@h/x?sig=abc");
        assert_eq!(found, ["sesame", "sig=abc"]);
        assert_eq!(secrets(b"https://h:80/x@y"), Vec::<String>::new());
        assert_eq!(secrets(b"sk-0123456789abcdef"), ["sk-0123456789abcdef"]);
        assert_eq!(secrets(b"v1-0123456789.example.com"), Vec::<String>::new());
    }
}
