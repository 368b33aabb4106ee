//! What a list that is a table says of a job beside its name.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;

/// What a list that is a table says of a job beside its name: a JSON value for each column.
#[derive(Debug, Clone, Default)]
pub struct Columns(Option<Arc<BTreeMap<String, Box<RawValue>>>>);

impl Columns {
    /// Reads an object from column to value.
    ///
    /// # Errors
    ///
    /// The text is not a JSON object.
    pub fn read(object: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(object).map(|columns| Self(Some(Arc::new(columns))))
    }

    /// Whether the list says nothing but the name.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The value of a column as JSON text.
    pub fn json(&self, name: &str) -> Option<&str> {
        self.0.as_ref()?.get(name).map(|value| value.get())
    }

    /// The value of a column as text: a string's characters, and everything else as JSON.
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        let json = self.json(name)?;
        match serde_json::from_str::<String>(json) {
            Ok(text) => Some(Cow::Owned(text)),
            Err(_) => Some(Cow::Borrowed(json)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_had_as_json_and_as_text() {
        let columns =
            Columns::read(r#"{"a": "x\ny", "b": 12345678901234567890123, "c": {"d": 1}}"#);
        let columns = columns.unwrap();
        assert_eq!(columns.text("a").unwrap(), "x\ny");
        assert_eq!(columns.json("a").unwrap(), r#""x\ny""#);
        assert_eq!(columns.text("b").unwrap(), "12345678901234567890123");
        assert_eq!(columns.text("c").unwrap(), r#"{"d": 1}"#);
        assert_eq!(columns.text("e"), None);
        assert!(Columns::read("[]").is_err());
        assert_eq!(Columns::default().json("a"), None);
    }
}
