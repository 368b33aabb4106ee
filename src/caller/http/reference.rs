//! References to secrets. A run stores where a secret is found, never its value. The library's user provides the
//! lookup.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// The place where a secret is found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// An environment variable: `{env:NAME}`.
    Env(String),
    /// A file, without the newline at its end: `{file:PATH}`.
    File(PathBuf),
    /// The output of a shell command, without the newline at its end: `{cmd:COMMAND}`.
    Cmd(String),
    /// The user's `.netrc`, for this host, as a value of Basic authentication: `{netrc:HOST}`.
    Netrc(String),
    /// A literal credential of the command line, under this name. It is sent as typed and not stored:
    /// `{given:NAME}`.
    Given(String),
    /// A column of the pool's row that makes the call: `{pool.NAME}`.
    Pool(String),
}

/// Finds the value of a reference. The error says why it cannot be found and holds no part of it.
pub type Lookup = Arc<dyn Fn(&Reference) -> Result<Vec<u8>, String> + Send + Sync>;

impl Reference {
    /// Parses the text between the braces.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(column) = text
            .strip_prefix("pool.")
            .filter(|column| !column.is_empty())
        {
            return Some(Self::Pool(column.to_owned()));
        }
        let (kind, rest) = text.split_once(':').filter(|(_, rest)| !rest.is_empty())?;
        match kind {
            "env" => Some(Self::Env(rest.to_owned())),
            "file" => Some(Self::File(rest.into())),
            "cmd" => Some(Self::Cmd(rest.to_owned())),
            "netrc" => Some(Self::Netrc(rest.to_owned())),
            "given" => Some(Self::Given(rest.to_owned())),
            _ => None,
        }
    }

    /// Returns whether the value can be inserted as it is, with `:raw` behind the reference.
    pub(super) fn can_be_raw(&self) -> bool {
        !matches!(self, Self::Netrc(_) | Self::Given(_))
    }

    /// Returns whether the value may change while the process runs.
    pub(super) fn can_change(&self) -> bool {
        !matches!(self, Self::Env(_) | Self::Given(_) | Self::Pool(_))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "{{env:{name}}}"),
            Self::File(path) => write!(f, "{{file:{}}}", path.display()),
            Self::Cmd(command) => write!(f, "{{cmd:{command}}}"),
            Self::Netrc(host) => write!(f, "{{netrc:{host}}}"),
            Self::Given(name) => write!(f, "{{given:{name}}}"),
            Self::Pool(column) => write!(f, "{{pool.{column}}}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_parsed_and_written_alike() {
        for text in [
            "env:KEY",
            "file:../a key:1",
            "cmd:pass show api | head -n1",
            "netrc:api.example",
            "given:api_key",
            "pool.key",
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(reference.to_string(), format!("{{{text}}}"));
        }
        for text in [
            "env:", "env", "pool.", "pool:key", "File:x", "other:x", ":x",
        ] {
            assert_eq!(Reference::parse(text), None, "{text}");
        }
    }
}
