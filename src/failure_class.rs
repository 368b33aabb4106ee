//! The user's rules for the classes of failures. Pure.

mod status;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::job::Class;
use status::StatusPattern;
pub use status::Statuses;

/// A rule such as `status=409:transient`, `exit=3:transient` or `body~overloaded:throttled`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClassRule {
    condition: Condition,
    class: Class,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    /// `status=409` or `status=5xx`.
    Status(StatusPattern),
    /// `exit=3`: a command's exit code.
    Exit(u8),
    /// `body~text`: the beginning of an error's body, or the end of a command's standard error, contains the text, ignoring
    /// ASCII case.
    Body(String),
}

impl ClassRule {
    /// Returns the class of an answer to which this rule applies. Rules about bodies never apply to a status of success,
    /// because results may contain the words of an error.
    pub fn class_of(&self, status: u16, body: &[u8]) -> Option<Class> {
        match &self.condition {
            Condition::Body(_) if (200..300).contains(&status) => None,
            _ => self.class_of_failure(Some(status), body),
        }
    }

    /// Returns the class of a rejected answer with any status, or of a failure without one.
    pub fn class_of_failure(&self, status: Option<u16>, body: &[u8]) -> Option<Class> {
        let holds = match &self.condition {
            Condition::Status(pattern) => status.is_some_and(|status| pattern.contains(status)),
            Condition::Exit(_) => false,
            Condition::Body(text) => contains(body, text),
        };
        holds.then_some(self.class)
    }

    /// Returns the class of a command's exit with this code, other than 0, and this end of its standard error.
    pub fn class_of_exit(&self, code: i32, said: &[u8]) -> Option<Class> {
        let holds = match &self.condition {
            Condition::Exit(expected) => i32::from(*expected) == code,
            Condition::Body(text) => contains(said, text),
            Condition::Status(_) => false,
        };
        holds.then_some(self.class)
    }
}

/// Returns whether a body contains a text, ignoring ASCII case.
pub fn contains(body: &[u8], text: &str) -> bool {
    let text = text.as_bytes();
    body.windows(text.len().max(1))
        .any(|window| window.eq_ignore_ascii_case(text))
}

impl FromStr for ClassRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            let words: Vec<&str> = Class::ALL.iter().map(|class| class.as_str()).collect();
            format!(
                "`{text}` is not a rule: use a condition and a class, such as status=409:transient, exit=3:transient or body~overloaded:throttled; the classes are {}",
                words.join(", ")
            )
        };
        let (condition, class) = text.rsplit_once(':').ok_or_else(wrong)?;
        let class = Class::from_word(class).ok_or_else(wrong)?;
        let condition = if let Some(status) = condition.strip_prefix("status=") {
            Condition::Status(StatusPattern::read(status).ok_or_else(wrong)?)
        } else if let Some(code) = condition.strip_prefix("exit=") {
            let code = code.parse().ok().filter(|code| *code != 0);
            Condition::Exit(code.ok_or_else(wrong)?)
        } else {
            match condition.strip_prefix("body~") {
                Some(text) if !text.is_empty() => Condition::Body(text.to_owned()),
                _ => return Err(wrong()),
            }
        };
        Ok(Self { condition, class })
    }
}

impl fmt::Display for ClassRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.condition {
            Condition::Status(pattern) => write!(f, "status={pattern}")?,
            Condition::Exit(code) => write!(f, "exit={code}")?,
            Condition::Body(text) => write!(f, "body~{text}")?,
        }
        write!(f, ":{}", self.class.as_str())
    }
}

impl TryFrom<String> for ClassRule {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ClassRule> for String {
    fn from(rule: ClassRule) -> Self {
        rule.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_apply_to_statuses_and_to_bodies_of_errors() {
        let overloaded = r#"{"type":"Overloaded_Error"}"#;
        for (rule, status, body, class) in [
            ("status=409:transient", 409, "", Some(Class::Transient)),
            ("status=409:transient", 408, "", None),
            ("status=4xx:rejected", 429, "", Some(Class::Rejected)),
            ("status=202:transient", 202, "", Some(Class::Transient)),
            (
                "body~overloaded:throttled",
                529,
                overloaded,
                Some(Class::Throttled),
            ),
            ("body~overloaded:throttled", 529, "over", None),
            ("body~overloaded:throttled", 200, overloaded, None),
            ("body~a:b:quota", 400, "it says A:B", Some(Class::Quota)),
        ] {
            let parsed: ClassRule = rule.parse().unwrap();
            assert_eq!(parsed.class_of(status, body.as_bytes()), class, "{rule}");
        }
    }

    #[test]
    fn invalid_rules_are_rejected_and_valid_ones_survive_storage() {
        let wrong = "|409:transient|status=409|status=409:nonsense|status=99:auth|status=6xx:auth|status=:auth|body~:auth|exit=:auth|exit=0:auth|exit=256:auth|body=x:auth|header~x:auth";
        for wrong in wrong.split('|') {
            assert!(wrong.parse::<ClassRule>().is_err(), "{wrong}");
        }
        for right in [
            "status=409:transient",
            "status=5xx:quota",
            "exit=3:quota",
            "body~a:b:throttled",
        ] {
            assert_eq!(right.parse::<ClassRule>().unwrap().to_string(), right);
        }
    }
}
