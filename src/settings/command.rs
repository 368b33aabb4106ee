//! A program of the user's own that makes the calls, as a run remembers it.

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::Judging;

/// The definition of calls that a program makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// How the program is used.
    pub way: Way,
    /// The program and its arguments, as templates for [`Way::Exec`]. For [`Way::Shell`] one script, and for
    /// [`Way::Starter`] nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
    /// The name that a worker gives to what it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The version that a worker gives to what it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// A checksum of the source of what a worker does. Another one is told, and is no change of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The rules for results.
    #[serde(default)]
    pub judging: Judging,
    /// The folder for the bodies of results, as in [`super::Request::output_dir`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_dir: Option<String>,
}

/// How a program makes calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Way {
    /// A process for each call, without a shell.
    Exec,
    /// A shell for each call. The job's file is its first argument.
    #[serde(rename = "exec-shell")]
    #[strum(serialize = "exec-shell")]
    Shell,
    /// Processes that stay, and take calls by the worker protocol.
    Worker,
    /// The program that started stride takes calls by the worker protocol, on stride's standard input and output.
    Starter,
}

impl Way {
    /// Returns whether calls go by the worker protocol.
    pub fn is_worker(self) -> bool {
        matches!(self, Self::Worker | Self::Starter)
    }
}

impl Command {
    /// Returns the name and the version that a worker gives to what it does.
    pub fn identity(&self) -> (Option<&str>, Option<&str>) {
        (self.name.as_deref(), self.version.as_deref())
    }

    /// Describes the call for people, as names and values.
    pub(super) fn lines(&self) -> Vec<(String, String)> {
        let way: &str = self.way.into();
        let what = match self.way {
            Way::Starter => "the program that starts stride".to_owned(),
            Way::Shell => self.words.concat(),
            Way::Exec | Way::Worker => quoted(&self.words),
        };
        let name = match self.way {
            Way::Starter => "worker",
            _ => way,
        };
        let mut lines = vec![(name.to_owned(), what)];
        for (name, value) in [
            ("worker name", &self.name),
            ("worker version", &self.version),
        ] {
            lines.extend(value.iter().map(|value| (name.to_owned(), value.clone())));
        }
        lines.extend(self.judging.lines());
        let folder = self.output_dir.iter().cloned();
        lines.extend(folder.map(|folder| ("output-dir".to_owned(), folder)));
        lines
    }

    /// Returns the program in one line: as a shell takes it, or the name that it gives itself.
    pub fn shown(&self) -> String {
        match self.way {
            Way::Exec | Way::Worker => quoted(&self.words),
            Way::Shell => self.words.concat(),
            Way::Starter => self.name.clone().unwrap_or_else(|| "a program".to_owned()),
        }
    }
}

/// Returns words as a shell takes them.
fn quoted(words: &[String]) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@%_+=:,./-{}".contains(&byte);
    let words = words.iter().map(|word| match word.bytes().all(is_plain) {
        true if !word.is_empty() => word.clone(),
        _ => format!("'{}'", word.replace('\'', r"'\''")),
    });
    words.collect::<Vec<_>>().join(" ")
}
