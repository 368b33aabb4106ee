//! Rows of lists that are tables.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Formatter};
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::media::without_lone_surrogates;

/// A job's row in a list that is a table: a JSON object from column to value.
#[derive(Debug, Clone, Default)]
pub struct Columns(Option<Arc<str>>);

impl Columns {
    /// The row of a job that has none.
    pub const NONE: &'static Self = &Self(None);

    /// Parses a JSON object from column to value.
    ///
    /// # Errors
    ///
    /// The text is not a JSON object.
    pub fn read(object: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<Members<'_>>(object)?;
        Ok(Self(Some(object.into())))
    }

    /// Returns true if the job has no row, or if it was not loaded.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the row as it is stored: a JSON object.
    pub fn row(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Returns the names of the columns.
    pub fn names(&self) -> Vec<String> {
        let members = self.row().and_then(Members::read);
        let members = members.into_iter().flat_map(|members| members.0);
        members.map(|(name, _)| name).collect()
    }

    /// Returns the row with U+FFFD for half surrogate pairs.
    pub(crate) fn without_lone_surrogates(&self) -> Self {
        let row = self.row().map(without_lone_surrogates);
        Self(row.map(Arc::from))
    }

    /// Returns the value of a column as JSON text.
    pub fn json(&self, name: &str) -> Option<&str> {
        let members = Members::read(self.row()?)?;
        let mut found = members.0.into_iter().rev();
        found.find_map(|(column, value)| (column == name).then_some(value.get()))
    }

    /// Returns the value of a column as text: the characters of a string, or JSON for any other value and for a string with
    /// half a surrogate pair.
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.json(name).map(text_of)
    }
}

/// Returns the characters of a JSON string. Any other value, and a string with half a surrogate pair, stays JSON.
pub(crate) fn text_of(json: &str) -> Cow<'_, str> {
    match serde_json::from_str::<String>(json) {
        Ok(text) => Cow::Owned(text),
        Err(_) => Cow::Borrowed(json),
    }
}

/// The members of a JSON object in their order, repeated ones included.
#[derive(Debug)]
pub(crate) struct Members<'a>(pub(crate) Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Returns the members of an object. Any other value has none.
    pub(crate) fn read(json: &'a str) -> Option<Self> {
        let is_object = json.trim_start().starts_with('{');
        is_object.then(|| serde_json::from_str(json).ok()).flatten()
    }

    /// Returns the members by their names. The last one of a name counts.
    pub(crate) fn by_name(self) -> BTreeMap<String, &'a str> {
        let members = self.0.into_iter();
        members.map(|(name, value)| (name, value.get())).collect()
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_json_or_text() {
        let row = r#"{"a": "x\ny", "b": 12345678901234567890123, "c": {"d": 1}, "s": "\udce9", "b": 1.0}"#;
        let columns = Columns::read(row).unwrap();
        assert_eq!(columns.text("a").unwrap(), "x\ny");
        assert_eq!(columns.json("a").unwrap(), r#""x\ny""#);
        assert_eq!(columns.text("b").unwrap(), "1.0");
        assert_eq!(columns.text("c").unwrap(), r#"{"d": 1}"#);
        assert_eq!(columns.text("s").unwrap(), r#""\udce9""#);
        assert_eq!(columns.text("e"), None);
        assert_eq!(columns.row(), Some(row));
        assert!(Columns::read("[]").is_err());
        assert_eq!(Columns::default().json("a"), None);
    }
}
