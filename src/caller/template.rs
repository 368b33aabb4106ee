//! Templates: text with placeholders, filled in one pass. What is inserted is never looked at again.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use std::os::unix::ffi::OsStrExt;
use thiserror::Error;

use super::reference::Reference;
use crate::job::Job;

/// Everything but the unreserved characters of RFC 3986, section 2.3.
pub(super) const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Text with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
    Reference(Reference),
    /// A secret's value in the place of its reference. Never printed.
    Secret(SecretText),
}

/// A value that is used and not shown.
#[derive(Clone, PartialEq, Eq)]
struct SecretText(Vec<u8>);

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// What a job can fill in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    /// The name as the list has it.
    Path,
    /// Its last component.
    Name,
    /// That without its extension.
    Stem,
    /// The extension, without the dot.
    Ext,
}

/// A template that is not one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// No such placeholder.
    #[error("unknown placeholder {{{0}}}")]
    Unknown(String),
    /// A brace that nothing closes.
    #[error("a `{{` that is not closed")]
    Open,
    /// A placeholder for a file where there is none.
    #[error("no file's name can stand here")]
    NoFile,
    /// A reference that cannot be used.
    #[error("{reference}: {reason}")]
    Value {
        /// Which.
        reference: Reference,
        /// Why; without its value.
        reason: String,
    },
}

impl Template {
    /// Reads a template. `{{` and `}}` stand for the braces themselves. A placeholder ends at the first `}`, so a
    /// command that needs one belongs into a script.
    ///
    /// # Errors
    ///
    /// An unknown placeholder, or a brace that is not closed.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                literal.push_str(brace);
                rest = after;
            } else if brace == "}" {
                literal.push('}');
            } else {
                let (name, after) = rest.split_once('}').ok_or(TemplateError::Open)?;
                if !literal.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut literal)));
                }
                parts.push(Self::placeholder(name)?);
                rest = after;
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self(parts))
    }

    fn placeholder(name: &str) -> Result<Part, TemplateError> {
        Ok(match name {
            "path" => Part::Field(Field::Path),
            "name" => Part::Field(Field::Name),
            "stem" => Part::Field(Field::Stem),
            "ext" => Part::Field(Field::Ext),
            name => match Reference::parse(name) {
                Some(reference) => Part::Reference(reference),
                None => return Err(TemplateError::Unknown(name.to_owned())),
            },
        })
    }

    /// Whether it refers to a secret.
    pub fn has_reference(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Reference(_)))
    }

    /// Whether it has any placeholder.
    pub fn has_placeholder(&self) -> bool {
        self.0.iter().any(|part| !matches!(part, Part::Text(_)))
    }

    /// The text between the placeholders.
    pub fn literals(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The text of a template that no file has a part in.
    ///
    /// # Errors
    ///
    /// A reference that cannot be used, or a placeholder for a file.
    pub fn resolve_text(
        &self,
        lookup: &dyn Fn(&Reference) -> Result<Vec<u8>, String>,
    ) -> Result<String, TemplateError> {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => Ok(text.clone()),
            Part::Reference(reference) => {
                look_up(reference, lookup).map(|value| String::from_utf8_lossy(&value).into_owned())
            }
            Part::Field(_) | Part::Secret(_) => Err(TemplateError::NoFile),
        });
        parts.collect()
    }

    /// Puts values in the place of references.
    pub(super) fn resolve(
        &self,
        value: &mut dyn FnMut(&Reference) -> Result<Vec<u8>, TemplateError>,
    ) -> Result<Self, TemplateError> {
        let parts = self.0.iter().map(|part| match part {
            Part::Reference(reference) => Ok(Part::Secret(SecretText(value(reference)?))),
            part => Ok(part.clone()),
        });
        parts.collect::<Result<_, _>>().map(Self)
    }

    /// The bytes of a template whose references are resolved, and that no file has a part in.
    ///
    /// # Errors
    ///
    /// A placeholder for a file.
    pub(super) fn constant(&self) -> Result<Vec<u8>, TemplateError> {
        let mut out = Vec::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Secret(SecretText(value)) => out.extend_from_slice(value),
                Part::Field(_) | Part::Reference(_) => return Err(TemplateError::NoFile),
            }
        }
        Ok(out)
    }

    /// A template that is a secret's value.
    pub(super) fn secret(value: &[u8]) -> Self {
        Self(vec![Part::Secret(SecretText(value.to_vec()))])
    }

    /// Fills the template for a URL: every value percent-encoded, so that it stays within its place.
    pub(super) fn fill_url(&self, job: &Job) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Field(field) => out.extend(percent_encode(field.of(job), RESERVED)),
                Part::Secret(SecretText(value)) => out.extend(percent_encode(value, RESERVED)),
                Part::Reference(_) => {}
            }
        }
        out
    }

    /// Fills the template with every value as it is.
    pub(super) fn fill(&self, job: &Job) -> Vec<u8> {
        let mut out = Vec::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Field(field) => out.extend_from_slice(field.of(job)),
                Part::Secret(SecretText(value)) => out.extend_from_slice(value),
                Part::Reference(_) => {}
            }
        }
        out
    }
}

/// The value of a reference. An empty one would be a mistake that shows only in what the service answers.
pub(super) fn look_up(
    reference: &Reference,
    lookup: &dyn Fn(&Reference) -> Result<Vec<u8>, String>,
) -> Result<Vec<u8>, TemplateError> {
    let value = lookup(reference).and_then(|value| {
        if value.is_empty() {
            Err("its value is empty".to_owned())
        } else {
            Ok(value)
        }
    });
    value.map_err(|reason| TemplateError::Value {
        reference: reference.clone(),
        reason,
    })
}

impl Field {
    fn of(self, job: &Job) -> &[u8] {
        let path = job.path.as_path();
        match self {
            Self::Path => job.path.as_bytes(),
            Self::Name => path.file_name().unwrap_or_default().as_bytes(),
            Self::Stem => path.file_stem().unwrap_or_default().as_bytes(),
            Self::Ext => path.extension().unwrap_or_default().as_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Columns, JobId, Position};

    fn job(name: &[u8]) -> Job {
        let path = crate::job::FileName::new(name);
        Job {
            id: JobId(1),
            position: Position(0),
            columns: Columns::default(),
            file: path.as_path().to_owned(),
            path,
        }
    }

    #[test]
    fn values_are_encoded_for_the_url_and_raw_elsewhere() {
        let template = Template::parse("x/{path}?n={name}&s={stem}&e={ext}").unwrap();
        let job = job("a b/ü&?.tar.gz".as_bytes());
        assert_eq!(
            template.fill_url(&job),
            "x/a%20b%2F%C3%BC%26%3F.tar.gz?n=%C3%BC%26%3F.tar.gz&s=%C3%BC%26%3F.tar&e=gz"
        );
        assert_eq!(
            Template::parse("{stem}").unwrap().fill(&job),
            "ü&?.tar".as_bytes()
        );
    }

    #[test]
    fn it_is_one_pass() {
        let template = Template::parse("{name}")
            .unwrap()
            .resolve(&mut |_| Ok(b"leak".to_vec()))
            .unwrap();
        assert_eq!(template.fill(&job(b"{env:KEY}{path}")), b"{env:KEY}{path}");
    }

    #[test]
    fn bytes_that_are_not_utf8_survive() {
        assert_eq!(
            Template::parse("{name}")
                .unwrap()
                .fill_url(&job(b"\xff.txt")),
            "%FF.txt"
        );
    }

    #[test]
    fn unknown_placeholders_and_open_braces_are_refused() {
        for (text, error) in [
            ("{nmae}", TemplateError::Unknown("nmae".to_owned())),
            ("{}", TemplateError::Unknown(String::new())),
            ("{env:}", TemplateError::Unknown("env:".to_owned())),
            ("a{path", TemplateError::Open),
        ] {
            assert_eq!(Template::parse(text), Err(error), "{text}");
        }
        assert_eq!(
            Template::parse("{{path}} }").unwrap().fill(&job(b"x")),
            b"{path} }"
        );
    }

    #[test]
    fn a_reference_ends_at_the_first_brace() {
        let template = Template::parse("{cmd:echo {a}b}").unwrap();
        let command = Reference::Cmd("echo {a".to_owned());
        assert_eq!(template.0[0], Part::Reference(command));
        assert_eq!(template.literals().collect::<Vec<_>>(), ["b}"]);
    }

    #[test]
    fn a_secret_is_not_shown() {
        let lookup = |reference: &Reference| match reference.to_string().as_str() {
            "{env:KEY}" => Ok(b"sesame".to_vec()),
            "{file:empty}" => Ok(Vec::new()),
            _ => Err("it is not there".to_owned()),
        };
        let resolve = |text: &str| {
            let template = Template::parse(text).unwrap();
            assert!(template.has_reference());
            template.resolve(&mut |reference| look_up(reference, &lookup))
        };
        let template = resolve("Bearer {env:KEY}").unwrap();
        assert_eq!(template.fill(&job(b"x")), b"Bearer sesame");
        assert!(!format!("{template:?}").contains("sesame"));
        let refused = |text| resolve(text).unwrap_err().to_string();
        assert_eq!(refused("{env:NO}"), "{env:NO}: it is not there");
        assert_eq!(refused("{file:empty}"), "{file:empty}: its value is empty");
    }
}
