//! References to secrets. What is stored of a secret is where it is to be found; whoever uses the library says
//! how to look there.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a secret is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// In an environment variable: `{env:NAME}`.
    Env(String),
    /// In a file, without the newline at its end: `{file:PATH}`.
    File(PathBuf),
    /// In what a shell command prints, without the newline at its end: `{cmd:COMMAND}`.
    Cmd(String),
    /// In the user's `.netrc`, for this host, as a value of Basic authentication: `{netrc:HOST}`.
    Netrc(String),
    /// In the command that gave it: a credential that was typed into the request under this name, and is not stored. It
    /// stands in the request as it was typed.
    Given(String),
}

/// Finds the value of a reference, or says why there is none, without telling any of it.
pub type Lookup = Arc<dyn Fn(&Reference) -> Result<Vec<u8>, String> + Send + Sync>;

impl Reference {
    /// Reads what stands between the braces.
    pub(super) fn parse(text: &str) -> Option<Self> {
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

    /// Whether its value may be another one later in the same process.
    pub(super) fn can_change(&self) -> bool {
        !matches!(self, Self::Env(_) | Self::Given(_))
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_and_written_alike() {
        for text in [
            "env:KEY",
            "file:../a key:1",
            "cmd:pass show api | head -n1",
            "netrc:api.example",
            "given:api_key",
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(reference.to_string(), format!("{{{text}}}"));
        }
        for text in ["env:", "env", "File:x", "other:x", ":x"] {
            assert_eq!(Reference::parse(text), None, "{text}");
        }
    }
}
