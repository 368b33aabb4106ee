//! Templates: text with placeholders, filled in one pass. What is inserted is never looked at again.

mod error;
mod field;
mod fill;
mod read;

use std::fmt;

pub use error::TemplateError;
pub(super) use field::media_type;
pub(super) use fill::{Encoding, lower_case_triplets, plus_encoded};
pub use read::Braces;

use super::reference::Reference;
use field::Field;

/// Text with placeholders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Inserted(Inserted, Place),
}

/// What is inserted between the text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Inserted {
    Field(Field),
    Reference(Reference),
    /// A secret's value in the place of its reference. Never printed.
    Secret(SecretText),
}

/// Where in a JSON text a placeholder stands. Of no meaning in other texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Within a string.
    String,
    /// Within a string in single quotes, which no standard knows and some services take.
    Single,
    /// Where a value is expected.
    Value,
    /// Anywhere, for what was written as it is to be sent.
    AsTyped,
}

/// A value that is used and not shown.
#[derive(Clone, PartialEq, Eq)]
struct SecretText(Vec<u8>);

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl Template {
    /// Whether it refers to a secret.
    pub fn has_reference(&self) -> bool {
        self.references().next().is_some()
    }

    /// Whether it is an empty text.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it has any placeholder.
    pub fn has_placeholder(&self) -> bool {
        self.0.iter().any(|part| !matches!(part, Part::Text(_)))
    }

    /// Whether a file or its row has a part in it.
    pub fn has_field(&self) -> bool {
        self.fields().next().is_some()
    }

    /// The columns of the list that it asks for.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.fields().filter_map(Field::column)
    }

    /// Whether it begins with text, and not with a placeholder.
    pub fn begins_with_text(&self) -> bool {
        matches!(self.0.first(), Some(Part::Text(_)))
    }

    /// The text between the placeholders.
    pub fn literals(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Inserted(..) => None,
        })
    }

    /// The secrets that it refers to.
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

    /// Whether filling it needs the file, and not only its name.
    pub(super) fn needs_file(&self) -> bool {
        self.fields().any(Field::needs_file)
    }

    /// Whether the folder of the job's name has a part in it.
    pub(super) fn has_folder(&self) -> bool {
        self.fields().any(|field| *field == Field::Dir)
    }

    /// Its text, with an `x` for each thing that is inserted.
    pub(super) fn outline(&self) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Inserted(..) => "x",
        });
        parts.collect()
    }

    /// Whether it is the path of the job's own file.
    pub fn is_path(&self) -> bool {
        matches!(
            self.0.as_slice(),
            [Part::Inserted(Inserted::Field(Field::Path), _)]
        )
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
        let resolved = self.resolve(&mut |reference| look_up(reference, lookup))?;
        Ok(String::from_utf8_lossy(&resolved.constant()?).into_owned())
    }

    /// Puts values in the place of references.
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
                Part::Inserted(Inserted::Secret(SecretText(value)), _) => {
                    out.extend_from_slice(value);
                }
                Part::Inserted(..) => return Err(TemplateError::NoFile),
            }
        }
        Ok(out)
    }

    /// The same without any secret's value.
    pub(super) fn masked(&self) -> Self {
        let parts = self.0.iter().map(|part| match part {
            Part::Inserted(Inserted::Secret(_) | Inserted::Reference(_), _) => {
                Part::Text("[redacted]".to_owned())
            }
            part => part.clone(),
        });
        Self(parts.collect())
    }

    /// Whether it has a secret's value, or refers to one.
    pub(super) fn is_private(&self) -> bool {
        self.masked() != *self
    }

    /// A template that is a secret's value.
    pub(super) fn secret(value: &[u8]) -> Self {
        let secret = Inserted::Secret(SecretText(value.to_vec()));
        Self(vec![Part::Inserted(secret, Place::Value)])
    }

    /// The same with its text changed, and its placeholders as they are.
    pub(super) fn with_text(self, change: impl Fn(&str) -> String) -> Self {
        let parts = self.0.into_iter().map(|part| match part {
            Part::Text(text) => Part::Text(change(&text)),
            part => part,
        });
        Self(parts.collect())
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
