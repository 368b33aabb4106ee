//! Rows of lists that are tables.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;

/// A job's row in a list that is a table: a JSON value for each column.
#[derive(Debug, Clone, Default)]
pub struct Columns(Option<Arc<BTreeMap<String, Box<RawValue>>>>);

impl Columns {
    /// Parses a JSON object from column to value.
    ///
    /// # Errors
    ///
    /// The text is not a JSON object.
    pub fn read(object: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(object).map(|columns| Self(Some(Arc::new(columns))))
    }

    /// Returns whether the list is not a table.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the value of a column as JSON text.
    pub fn json(&self, name: &str) -> Option<&str> {
        self.0.as_ref()?.get(name).map(|value| value.get())
    }

    /// Returns the value of a column as text: the characters of a string, and JSON for any other value.
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
    fn values_are_json_or_text() {
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
