//! The headers of a request template.

use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue as Value};

use super::credential::Credential;
use super::error::{PlanError, unsendable};
use super::reference::Reference;
use super::source::Source;
use super::template::{Braces, Encoding, Template, TemplateError};
use crate::job::{FailureKind, Job, Outcome};
use crate::settings::{self, HeaderValue};

/// The reason why a value cannot be sent in a header.
const UNSENDABLE: &str = "its value has a character that no header can carry, such as a newline";

/// A header of the request. Without a value it is not sent.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) name: HeaderName,
    /// Names the header in messages.
    pub(super) label: String,
    pub(super) value: Option<Template>,
    /// Marks a name and a password, which are encoded for Basic authentication.
    pub(super) basic: bool,
    /// Marks a credential, which redirects to other origins must not carry.
    pub(super) private: bool,
}

impl Header {
    /// Compiles all headers. Those whose values are not stored take `credentials`.
    pub(super) fn compile_all(
        given: &[settings::Header],
        credentials: &[Credential],
        braces: Braces,
    ) -> Result<Vec<Self>, PlanError> {
        let template = |label: &str, text: &str| {
            Template::read(text, braces).map_err(PlanError::in_template(label))
        };
        let mut headers = Vec::new();
        let mut withheld: Vec<&str> = Vec::new();
        for header in given {
            let name = sendable(header)?;
            let label = format!("the header `{}`", header.name);
            let value = match &header.value {
                HeaderValue::Absent => None,
                HeaderValue::Template(text) | HeaderValue::Basic(text) => {
                    Some(template(&label, text)?)
                }
                HeaderValue::Withheld => {
                    // The n-th header of a name takes the n-th credential of that name.
                    let same = |name: &str| name.eq_ignore_ascii_case(&header.name);
                    let before = withheld.iter().filter(|name| same(name)).count();
                    withheld.push(&header.name);
                    let mut all = credentials.iter().filter(|given| same(&given.name));
                    let credential = all
                        .nth(before)
                        .ok_or_else(|| PlanError::Missing(header.name.clone()))?;
                    Some(Template::secret(credential.value.as_bytes()))
                }
            };
            let private = settings::is_sensitive(&header.name)
                || !matches!(header.value, HeaderValue::Template(_) | HeaderValue::Absent)
                || value.as_ref().is_some_and(is_credential);
            headers.push(Self {
                name,
                label,
                value,
                basic: matches!(header.value, HeaderValue::Basic(_)),
                private,
            });
        }
        Ok(headers)
    }

    /// Creates the header for the user information of a URL.
    pub(super) fn of_user(user: &str) -> Self {
        Self {
            name: AUTHORIZATION,
            label: "the password in the URL".to_owned(),
            value: Some(Template::secret(Credential::of_user(user).as_bytes())),
            basic: true,
            private: true,
        }
    }

    /// Replaces references by their values, which must be sendable.
    pub(super) fn resolve(
        &mut self,
        value: &mut dyn FnMut(&Reference) -> Result<Vec<u8>, TemplateError>,
    ) -> Result<(), PlanError> {
        if let Some(template) = &self.value {
            let resolved = resolve(template, self.basic, value);
            self.value = Some(resolved.map_err(PlanError::in_template(&self.label))?);
        }
        Ok(())
    }

    /// Refuses a value that cannot be sent for this job. A placeholder that has no value yet is checked at each call.
    pub(super) fn check(&self, job: &Job, source: &Source) -> Result<(), PlanError> {
        if let Some(value) = &self.value
            && let Ok(filled) = value.fill(Encoding::Plain, job, source)
            && Value::from_bytes(&filled).is_err()
        {
            return Err(PlanError::Header {
                name: self.name.to_string(),
                reason: UNSENDABLE,
            });
        }
        Ok(())
    }

    /// Returns the value for a job. An error is the attempt's outcome: nothing was sent.
    pub(super) fn fill(&self, job: &Job, source: &Source) -> Result<Option<Value>, Outcome> {
        let Some(value) = &self.value else {
            return Ok(None);
        };
        value.refuse_empty(job)?;
        let value = value.fill(Encoding::Plain, job, source)?;
        let value = Value::from_bytes(&value).map_err(|_| {
            let name = &self.name;
            let message = format!("the file's values cannot be put into the header `{name}`");
            unsendable(FailureKind::BadHeader, message)
        })?;
        Ok(Some(value))
    }
}

/// Authentication schemes (RFC 9110, section 11.1), and words of services for them, in lower case.
const SCHEMES: [&str; 6] = ["bearer ", "basic ", "token ", "key ", "apikey ", "digest "];

/// Returns whether a value is a credential, whatever its header is called.
fn is_credential(value: &Template) -> bool {
    let first = value.literals().next().filter(|_| value.begins_with_text());
    let first = first.unwrap_or_default().trim_start().to_ascii_lowercase();
    value.has_reference()
        || SCHEMES.iter().any(|scheme| first.starts_with(scheme))
        || value.literals().any(settings::has_key)
}

/// Replaces references in a header's value.
fn resolve(
    template: &Template,
    basic: bool,
    value: &mut dyn FnMut(&Reference) -> Result<Vec<u8>, TemplateError>,
) -> Result<Template, TemplateError> {
    let resolved = template.resolve(&mut |reference| {
        let value = value(reference)?;
        match Value::from_bytes(&value) {
            Ok(_) => Ok(value),
            Err(_) => Err(TemplateError::Value {
                reference: reference.clone(),
                reason: UNSENDABLE.to_owned(),
            }),
        }
    })?;
    if basic {
        let mut pair = resolved.constant()?;
        if !pair.contains(&b':') {
            // A name without a password.
            pair.push(b':');
        }
        return Ok(Template::secret(Credential::basic(&pair).as_bytes()));
    }
    Ok(resolved)
}

/// Returns a header's name, unless the connection or the client decides its value.
fn sendable(header: &settings::Header) -> Result<HeaderName, PlanError> {
    let refused = |reason| PlanError::Header {
        name: header.name.clone(),
        reason,
    };
    let name = HeaderName::from_bytes(header.name.as_bytes())
        .map_err(|_| refused("not a header's name"))?;
    match (name.as_str(), &header.value) {
        // Each call opens a connection of its own then.
        ("connection", HeaderValue::Template(value)) if value.eq_ignore_ascii_case("close") => {
            Ok(name)
        }
        ("connection", _) => Err(refused("only `close` can be sent")),
        ("content-length" | "transfer-encoding", _) => Err(refused("it follows from the file")),
        ("accept", HeaderValue::Absent) => {
            Err(refused("it cannot be removed; `*/*` means the same"))
        }
        ("host", HeaderValue::Absent) => Err(refused("it cannot be removed; HTTP/1.1 requires it")),
        _ => Ok(name),
    }
}
