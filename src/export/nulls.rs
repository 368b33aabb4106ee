//! Counts the nulls among extracted values: a wrong name in an expression gives null and no error.

use std::collections::BTreeSet;

use crate::job::Members;

/// The nulls among extracted values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nulls {
    /// The number of extracted values.
    pub values: u64,
    /// The number of those that are null.
    pub whole: u64,
    /// The members that are null in each value.
    pub members: BTreeSet<String>,
}

impl Nulls {
    /// Counts a value.
    pub(super) fn count(&mut self, json: &str) {
        let is_open = self.values == 0 || !self.members.is_empty();
        self.add(Self {
            values: 1,
            whole: u64::from(json == "null"),
            members: match is_open {
                true => null_members(json),
                false => BTreeSet::new(),
            },
        });
    }

    /// Adds the counts of other values.
    pub(super) fn add(&mut self, other: Self) {
        match (self.values, other.values) {
            (_, 0) => {}
            (0, _) => self.members = other.members,
            _ => self.members.retain(|name| other.members.contains(name)),
        }
        self.values += other.values;
        self.whole += other.whole;
    }
}

fn null_members(json: &str) -> BTreeSet<String> {
    let object = Some(json).filter(|json| json.starts_with('{'));
    let members = object.and_then(Members::read);
    let members = members.into_iter().flat_map(|members| members.0);
    let nulls = members.filter(|(_, value)| value.get() == "null");
    nulls.map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_counts_if_it_is_null_everywhere() {
        let mut first = Nulls::default();
        first.count(r#"{"a":null,"b":null,"c":1}"#);
        first.count(r#"{"a":null,"b":2,"c":null}"#);
        let mut nulls = Nulls::default();
        nulls.add(first.clone());
        nulls.add(Nulls::default());
        assert_eq!(nulls, first);
        assert!(nulls.members.iter().eq(["a"]));
        nulls.count("null");
        assert_eq!((nulls.values, nulls.whole), (3, 1));
        assert!(nulls.members.is_empty());
    }
}
