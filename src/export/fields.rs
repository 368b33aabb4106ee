//! The members of many JSON objects: their names in the order of appearance, and the types of their values.

use std::collections::HashMap;

use super::error::ExportError;
use crate::job::Members;

/// The maximum number of names. Objects with more have ids for names, and make no table.
const MOST: usize = 10_000;

/// The type of a column whose values are JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Integer,
    Real,
    Boolean,
    /// Any value, as `text_of` makes it text.
    Text,
}

/// The names and types of the members of many JSON objects.
#[derive(Debug, Default)]
pub(super) struct Fields {
    all: Vec<(String, Values)>,
    index: HashMap<String, usize>,
    /// Names that are kept even beyond [`MOST`].
    asked: Vec<String>,
    is_cut: bool,
}

impl Fields {
    /// Creates a collection that keeps these names, however many others there are.
    pub(super) fn with(asked: Vec<String>) -> Self {
        Self {
            asked,
            ..Self::default()
        }
    }

    /// Adds an object.
    pub(super) fn add(&mut self, members: &Members<'_>) {
        for (at, (name, value)) in members.0.iter().enumerate() {
            // Most objects have the same names in the same order.
            let found = match self.all.get(at) {
                Some((known, _)) if known == name => Some(at),
                _ => self.find(name),
            };
            match found {
                Some(at) => self.all[at].1.add(value.get()),
                None => self.is_cut = true,
            }
        }
    }

    /// Returns the index of a name, which is added if it is new and there is room.
    fn find(&mut self, name: &str) -> Option<usize> {
        if let Some(at) = self.index.get(name) {
            return Some(*at);
        }
        if self.all.len() >= MOST && !self.asked.iter().any(|asked| asked == name) {
            return None;
        }
        self.index.insert(name.to_owned(), self.all.len());
        self.all.push((name.to_owned(), Values::default()));
        Some(self.all.len() - 1)
    }

    /// Returns all names, or an error if they are too many for a table. `whose` begins its message.
    pub(super) fn whole(
        &self,
        whose: &'static str,
    ) -> Result<impl Iterator<Item = &str>, ExportError> {
        match self.is_cut {
            true => Err(ExportError::ManyColumns { whose }),
            false => Ok(self.names()),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Returns the names in the order of their appearance.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|(name, _)| name.as_str())
    }

    /// Checks that there is a member of this name.
    pub(super) fn check(&self, prefix: &'static str, name: &str) -> Result<(), ExportError> {
        match self.index.contains_key(name) {
            true => Ok(()),
            false => Err(ExportError::NoColumn {
                name: format!("{prefix}{name}"),
                known: self.names().map(|name| format!("{prefix}{name}")).collect(),
            }),
        }
    }

    /// Returns the type of the values of a name.
    pub(super) fn kind(&self, name: &str) -> Kind {
        let values = self.index.get(name).map(|at| &self.all[*at].1);
        values.map_or(Kind::Text, Values::kind)
    }
}

/// The types of a member's values.
#[derive(Debug, Default)]
struct Values {
    integers: bool,
    /// An integer is beyond those that a float represents.
    large: bool,
    reals: bool,
    booleans: bool,
    /// A string, an array, an object, or a number that no column of numbers holds.
    others: bool,
}

impl Values {
    fn add(&mut self, json: &str) {
        match json.as_bytes().first() {
            Some(b'n') => {}
            Some(b't' | b'f') => self.booleans = true,
            Some(b'-' | b'0'..=b'9') => match json.parse::<i64>() {
                Ok(number) => {
                    self.integers = true;
                    self.large |= number.unsigned_abs() > 1 << f64::MANTISSA_DIGITS;
                }
                Err(_) if !json.contains(['.', 'e', 'E']) => self.others = true,
                Err(_) => match json.parse::<f64>() {
                    Ok(number) if number.is_finite() => self.reals = true,
                    _ => self.others = true,
                },
            },
            _ => self.others = true,
        }
    }

    fn kind(&self) -> Kind {
        match (self.integers, self.reals, self.booleans, self.others) {
            (true, false, false, false) => Kind::Integer,
            (false, true, false, false) => Kind::Real,
            (true, true, false, false) if !self.large => Kind::Real,
            (false, false, true, false) => Kind::Boolean,
            _ => Kind::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_has_a_type_that_holds_all_its_values() {
        for (values, expected) in [
            (&["1", "-2", "null"][..], Kind::Integer),
            (&["1", "2.5"], Kind::Real),
            (&["0.1", "1e3"], Kind::Real),
            (&["9007199254740993"], Kind::Integer),
            (&["9007199254740993", "0.5"], Kind::Text),
            (&["12345678901234567890123"], Kind::Text),
            (&["1e400"], Kind::Text),
            (&["true", "false"], Kind::Boolean),
            (&["true", "1"], Kind::Text),
            (&["\"1\"", "1"], Kind::Text),
            (&["[1]"], Kind::Text),
            (&["null"], Kind::Text),
        ] {
            let mut fields = Fields::default();
            for value in values {
                let object = format!("{{\"a\": {value}}}");
                fields.add(&Members::read(&object).unwrap());
            }
            assert_eq!(fields.kind("a"), expected, "{values:?}");
        }
    }

    #[test]
    fn names_are_in_the_order_of_their_appearance() {
        let mut fields = Fields::default();
        for object in [r#"{"b":1,"a":2}"#, r#"{"a":1,"c":2,"b":3,"b":4}"#, "{}"] {
            fields.add(&Members::read(object).unwrap());
        }
        assert_eq!(fields.names().collect::<Vec<_>>(), ["b", "a", "c"]);
        assert!(fields.check("col.", "a").is_ok());
        let error = fields.check("col.", "d").unwrap_err();
        let message = "there is no column `col.d`, only `col.b`, `col.a`, `col.c`";
        assert_eq!(error.to_string(), message);
        let many: Vec<String> = (0..=MOST).map(|id| format!("\"{id}\":0")).collect();
        let many = format!("{{{},\"z\":0}}", many.join(","));
        let mut fields = Fields::with(vec!["z".to_owned()]);
        fields.add(&Members::read(&many).unwrap());
        assert!(fields.check("", "z").is_ok() && fields.check("", "0").is_ok());
        let error = fields.whole("the list has").err().unwrap();
        assert_eq!(
            error.to_string(),
            "the list has more than 10,000 different columns"
        );
    }
}
