//! Patterns of HTTP statuses, such as `404` and `2xx`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A status such as `404`, or a range of a hundred such as `2xx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StatusPattern {
    Hundred(u16),
    One(u16),
}

impl StatusPattern {
    pub(super) fn read(text: &str) -> Option<Self> {
        if let Some(hundred) = text.strip_suffix("xx") {
            let hundred = hundred.parse().ok()?;
            return (1..=5).contains(&hundred).then_some(Self::Hundred(hundred));
        }
        let status = text.parse().ok()?;
        (100..=599).contains(&status).then_some(Self::One(status))
    }

    pub(super) fn contains(self, status: u16) -> bool {
        match self {
            Self::One(one) => status == one,
            Self::Hundred(hundred) => status / 100 == hundred,
        }
    }
}

impl fmt::Display for StatusPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(status) => write!(f, "{status}"),
            Self::Hundred(hundred) => write!(f, "{hundred}xx"),
        }
    }
}

/// A set of statuses such as `2xx,404,412`. The default is `2xx`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Statuses(Vec<StatusPattern>);

impl Statuses {
    /// Returns whether a status is in the set.
    pub fn contain(&self, status: u16) -> bool {
        self.0.iter().any(|pattern| pattern.contains(status))
    }

    /// Returns whether the set is the default one.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Statuses {
    fn default() -> Self {
        Self(vec![StatusPattern::Hundred(2)])
    }
}

impl FromStr for Statuses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |part: &str| {
            format!("`{part}` is not a status: use statuses separated by commas, such as 2xx,404")
        };
        let read = |part: &str| StatusPattern::read(part.trim()).ok_or_else(|| wrong(part));
        let mut patterns: Vec<_> = text.split(',').map(read).collect::<Result<_, _>>()?;
        // The order must not matter when requests are compared.
        patterns.sort_unstable();
        patterns.dedup();
        Ok(Self(patterns))
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&words.join(","))
    }
}

impl TryFrom<String> for Statuses {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Statuses> for String {
    fn from(statuses: Statuses) -> Self {
        statuses.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_a_set() {
        let statuses: Statuses = "404, 2xx,412,404".parse().unwrap();
        assert_eq!(statuses.to_string(), "2xx,404,412");
        assert!(statuses.contain(204) && statuses.contain(412) && !statuses.contain(400));
        assert!("2xx".parse::<Statuses>().unwrap().is_default());
        assert!(!statuses.is_default());
        for wrong in ["", "2xx,", "99", "6xx", "600", "ok", "200-299", "2xx;404"] {
            assert!(wrong.parse::<Statuses>().is_err(), "{wrong}");
        }
    }
}
