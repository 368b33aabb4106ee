//! Templates: text with placeholders, filled in one pass. Inserted values are not scanned for placeholders.

mod answer;
mod error;
mod field;
mod fill;
mod read;
mod url;

use std::borrow::Cow;
use std::fmt;

pub use error::TemplateError;
pub use field::meant_placeholder;
pub(super) use field::media_type;
pub(in crate::caller) use fill::Encoding;
pub(super) use fill::{lower_case_triplets, plus_encoded};
pub use read::Braces;
pub(super) use url::{leads_away, secrets as secrets_of_service};

use super::reference::Reference;
use crate::job::{Job, Outcome};
use answer::AnswerField;
use field::Field;

/// Text with placeholders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Inserted(Inserted, JsonContext),
}

/// A value to insert.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Inserted {
    Field(Field),
    Reference(Reference),
    /// The value of a reference.
    Secret(SecretText),
}

/// The place of a placeholder in a JSON text. In other texts, only [`JsonContext::Verbatim`] matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JsonContext {
    /// A string.
    String,
    /// A string in single quotes, which no standard allows and some services take.
    SingleQuoted,
    /// A place where a value is expected.
    Value,
    /// Any place, for a value that is inserted as it is.
    Verbatim,
}

/// A value that `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
struct SecretText(Vec<u8>);

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl Template {
    /// Returns whether the template refers to a secret.
    pub fn has_reference(&self) -> bool {
        self.references().next().is_some()
    }

    /// Returns whether the template is an empty text.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether the template has any placeholder.
    pub fn has_placeholder(&self) -> bool {
        self.0.iter().any(|part| !matches!(part, Part::Text(_)))
    }

    /// Returns whether any placeholder takes its value from a file or its row.
    pub fn has_field(&self) -> bool {
        self.fields()
            .any(|field| !matches!(field, Field::Answer(_)))
    }

    /// Returns whether any placeholder takes its value from an earlier answer.
    pub fn has_answer(&self) -> bool {
        self.fields().any(|field| matches!(field, Field::Answer(_)))
    }

    /// Binds placeholders for answers to the request `step`, counted from 0, that the template is a part of. In the first
    /// request, where braces may stand for themselves, they do.
    pub(super) fn bind(self, step: usize, is_lenient: bool) -> Result<Self, TemplateError> {
        let mut bound = Self::default();
        for part in self.0 {
            match part {
                Part::Inserted(Inserted::Field(Field::Answer(mut field)), context) => {
                    if field.bind(step) {
                        let field = Inserted::Field(Field::Answer(field));
                        bound.0.push(Part::Inserted(field, context));
                    } else if step == 0 && is_lenient {
                        bound.push_text(&format!("{{{}}}", field.name()));
                    } else {
                        return Err(TemplateError::TooEarly(field.name().to_owned()));
                    }
                }
                Part::Text(text) => bound.push_text(&text),
                part => bound.0.push(part),
            }
        }
        Ok(bound)
    }

    /// Returns the headers of earlier answers that the template uses, each with the index of the answer.
    pub(super) fn headers_of_answers(&self) -> Vec<(usize, String)> {
        let answers = self.answers();
        let headers =
            answers.filter_map(|field| Some((field.step(), field.header_name()?.to_owned())));
        headers.collect()
    }

    /// Refuses an empty value of an answer, which would lead to another address or be no value at all.
    pub(super) fn refuse_empty(&self, job: &Job) -> Result<(), Outcome> {
        self.answers().try_for_each(|field| field.refuse_empty(job))
    }

    fn answers(&self) -> impl Iterator<Item = &AnswerField> {
        self.fields().filter_map(|field| match field {
            Field::Answer(field) => Some(field),
            _ => None,
        })
    }

    /// Returns the columns of the list that the template uses.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.fields().filter_map(Field::column)
    }

    /// Returns whether the template uses the whole row of a list.
    pub fn needs_whole_row(&self) -> bool {
        self.fields().any(|field| matches!(field, Field::Row))
    }

    /// Returns whether the template begins with text, and not with a placeholder.
    pub fn begins_with_text(&self) -> bool {
        matches!(self.0.first(), Some(Part::Text(_)))
    }

    /// Returns the text between the placeholders.
    pub fn literals(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Inserted(..) => None,
        })
    }

    /// Returns the references to secrets.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.0.iter().filter_map(|part| match part {
            Part::Inserted(Inserted::Reference(reference), _) => Some(reference),
            _ => None,
        })
    }

    fn fields(&self) -> impl Iterator<Item = &Field> {
        self.0.iter().filter_map(|part| match part {
            Part::Inserted(Inserted::Field(field), _) => Some(field),
            _ => None,
        })
    }

    /// Returns whether the template needs the file, and not only its name.
    pub(in crate::caller) fn needs_file(&self) -> bool {
        self.fields().any(Field::needs_file)
    }

    /// Returns whether the template inserts the contents of the file.
    pub(in crate::caller) fn has_contents(&self) -> bool {
        self.fields()
            .any(|field| matches!(field, Field::Text | Field::Base64))
    }

    /// Returns whether the template inserts the job's path.
    pub(in crate::caller) fn has_path(&self) -> bool {
        self.fields().any(|field| *field == Field::Path)
    }

    /// Returns whether the template begins with the job's path or a part of it that is a path too.
    pub(in crate::caller) fn begins_with_path(&self) -> bool {
        let first = self.0.first();
        matches!(
            first,
            Some(Part::Inserted(
                Inserted::Field(Field::Path | Field::Name | Field::Dir),
                _
            ))
        )
    }

    /// Creates a template without placeholders.
    pub(in crate::caller) fn literal(text: &str) -> Self {
        Self(vec![Part::Text(text.to_owned())])
    }

    /// Returns whether the template uses `{dir}`.
    pub(super) fn has_folder(&self) -> bool {
        self.fields().any(|field| *field == Field::Dir)
    }

    /// Returns the text with `x` in place of each encoded value. Keeps secrets that are inserted as they are, because
    /// their slashes make segments.
    pub(super) fn outline(&self) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => Cow::from(text),
            Part::Inserted(Inserted::Secret(SecretText(value)), JsonContext::Verbatim) => {
                String::from_utf8_lossy(value)
            }
            Part::Inserted(..) => Cow::from("x"),
        });
        parts.collect()
    }

    /// Returns the text with sample values, which keep a JSON text valid.
    pub fn json_sample(&self) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Inserted(_, JsonContext::Value) => "\"x\"",
            Part::Inserted(_, JsonContext::String | JsonContext::SingleQuoted) => "x",
            // A digit fits into a string, too.
            Part::Inserted(_, JsonContext::Verbatim) => "0",
        });
        parts.collect()
    }

    /// Returns whether the template is the path of the job's own file.
    pub fn is_path(&self) -> bool {
        matches!(
            self.0.as_slice(),
            [Part::Inserted(Inserted::Field(Field::Path), _)]
        )
    }

    /// Returns the text of a template that belongs to no file.
    ///
    /// # Errors
    ///
    /// A reference cannot be used, or there is a placeholder for a file.
    pub fn resolve_text(
        &self,
        lookup: &dyn Fn(&Reference) -> Result<Vec<u8>, String>,
    ) -> Result<String, TemplateError> {
        let resolved = self.resolve(&mut |reference| look_up(reference, lookup))?;
        Ok(String::from_utf8_lossy(&resolved.constant()?).into_owned())
    }

    /// Replaces references by their values.
    pub(super) fn resolve(
        &self,
        value: &mut dyn FnMut(&Reference) -> Result<Vec<u8>, TemplateError>,
    ) -> Result<Self, TemplateError> {
        let parts = self.0.iter().map(|part| match part {
            Part::Inserted(Inserted::Reference(reference), place) => Ok(Part::Inserted(
                Inserted::Secret(SecretText(value(reference)?)),
                *place,
            )),
            part => Ok(part.clone()),
        });
        parts.collect::<Result<_, _>>().map(Self)
    }

    /// Refuses a reference after `?` or `&` whose value has a `=`: it holds whole parameters, and would be encoded as
    /// one word.
    pub(super) fn check_parameters(
        &self,
        value: &mut dyn FnMut(&Reference) -> Result<Vec<u8>, TemplateError>,
    ) -> Result<(), TemplateError> {
        for parts in self.0.windows(2) {
            if let [
                Part::Text(before),
                Part::Inserted(Inserted::Reference(reference), context),
            ] = parts
                && before.ends_with(['?', '&'])
                && *context != JsonContext::Verbatim
                && value(reference)?.contains(&b'=')
            {
                return Err(TemplateError::Encoded(reference.clone()));
            }
        }
        Ok(())
    }

    /// Returns the bytes of a resolved template that belongs to no file.
    pub(super) fn constant(&self) -> Result<Vec<u8>, TemplateError> {
        let mut out = Vec::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Inserted(Inserted::Secret(SecretText(value)), _) => {
                    out.extend_from_slice(value);
                }
                Part::Inserted(..) => return Err(TemplateError::NoFile),
            }
        }
        Ok(out)
    }

    /// Returns a copy without the values of secrets.
    pub(super) fn masked(&self) -> Self {
        let parts = self.0.iter().map(|part| match part {
            Part::Inserted(Inserted::Secret(_) | Inserted::Reference(_), _) => {
                Part::Text("[redacted]".to_owned())
            }
            part => part.clone(),
        });
        Self(parts.collect())
    }

    /// Returns whether the template holds a secret or refers to one.
    pub(super) fn is_private(&self) -> bool {
        self.masked() != *self
    }

    /// Creates a template that is a secret's value.
    pub(super) fn secret(value: &[u8]) -> Self {
        let secret = Inserted::Secret(SecretText(value.to_vec()));
        Self(vec![Part::Inserted(secret, JsonContext::Value)])
    }

    /// Changes the text between the placeholders.
    pub(super) fn with_text(self, change: impl Fn(&str) -> String) -> Self {
        let parts = self.0.into_iter().map(|part| match part {
            Part::Text(text) => Part::Text(change(&text)),
            part => part,
        });
        Self(parts.collect())
    }
}

/// Looks up a reference. Refuses an empty value, which would otherwise show only in the service's refusal.
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

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(template.constant().unwrap(), b"Bearer sesame");
        assert!(!format!("{template:?}").contains("sesame"));
        let refused = |text| resolve(text).unwrap_err().to_string();
        assert_eq!(refused("{env:NO}"), "{env:NO}: it is not there");
        assert_eq!(refused("{file:empty}"), "{file:empty}: its value is empty");
        let of_a_file = Template::parse("{name}").unwrap();
        assert_eq!(of_a_file.resolve_text(&lookup), Err(TemplateError::NoFile));
    }
}
