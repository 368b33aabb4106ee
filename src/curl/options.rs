//! Parses the options of a command of curl.

use super::error::CurlError;
use super::table::{EXPAND, OPTIONS, Role, Spec};

/// Options of PowerShell's own `curl`, which is another program.
const POWERSHELL_OPTIONS: [&str; 6] = [
    "-uri",
    "-method",
    "-headers",
    "-body",
    "-contenttype",
    "-usebasicparsing",
];

/// A parsed option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedOption {
    /// The option.
    pub option: &'static Spec,
    /// The value, if the option takes one.
    pub value: Option<String>,
    /// The option as written.
    pub written: String,
    /// Takes the option back, as `--no-OPTION` does.
    pub is_off: bool,
}

impl ParsedOption {
    /// Returns the value, or an empty text for an option without one.
    pub fn value(&self) -> &str {
        self.value.as_deref().unwrap_or_default()
    }
}

impl Spec {
    /// Returns the option of this long name.
    ///
    /// # Errors
    ///
    /// The option is unknown or not supported.
    pub fn long(name: &str) -> Result<&'static Self, CurlError> {
        exactly(name)
            .ok_or_else(|| CurlError::Unknown(format!("--{name}")))?
            .supported(&format!("--{name}"))
    }

    /// Returns the option, unless it is not supported.
    fn supported(&'static self, written: &str) -> Result<&'static Self, CurlError> {
        match self.role {
            Role::Refused(hint) => Err(CurlError::Option {
                written: written.to_owned(),
                hint,
            }),
            _ => Ok(self),
        }
    }

    /// Pairs the option with its value, which comes from `next` if the option takes one.
    fn with_value(
        &'static self,
        written: String,
        next: impl FnOnce() -> Option<String>,
    ) -> Result<ParsedOption, CurlError> {
        let value = match self.value {
            Some(_) => {
                let missing = || CurlError::Value(format!("--{}", self.long));
                Some(next().ok_or_else(missing)?)
            }
            None => None,
        };
        Ok(ParsedOption {
            option: self,
            value,
            written,
            is_off: false,
        })
    }
}

fn exactly(name: &str) -> Option<&'static Spec> {
    OPTIONS.iter().find(|spec| spec.long == name)
}

/// Returns the option of a long name, which may be abbreviated, and whether the name takes it back.
fn named(name: &str) -> Result<(&'static Spec, bool), CurlError> {
    let written = format!("--{name}");
    if let Some(spec) = exactly(name) {
        return Ok((spec, false));
    }
    let flag = |name: &str| exactly(name).filter(|spec| spec.value.is_none());
    // `--no-OPTION` takes back an option, and `--OPTION` one that the table has as `no-OPTION`.
    let opposite = match name.strip_prefix("no-") {
        Some(name) => flag(name),
        None => flag(&format!("no-{name}")),
    };
    if let Some(spec) = opposite {
        return Ok((spec, true));
    }
    let (prefix, hint) = EXPAND;
    if name.starts_with(prefix) {
        return Err(CurlError::Option { written, hint });
    }
    let mut longer = OPTIONS.iter().filter(|spec| spec.long.starts_with(name));
    match (longer.next(), longer.next()) {
        (Some(spec), None) if !name.is_empty() => Ok((spec, false)),
        _ => Err(CurlError::Unknown(written)),
    }
}

/// Parses the words of a command, `curl` first.
///
/// # Errors
///
/// The command is not curl. Or an option is unknown, not supported or of PowerShell, or its value is missing. Or a word
/// begins with a dash of typography.
pub fn read(words: Vec<String>) -> Result<Vec<ParsedOption>, CurlError> {
    let mut words = words.into_iter();
    let program = words.next().unwrap_or_default();
    if !is_curl(&program) {
        return Err(CurlError::Program(program));
    }
    let (mut options, mut only_urls) = (Vec::new(), false);
    while let Some(word) = words.next() {
        if only_urls || word == "-" || !word.starts_with('-') {
            if let Some(dash) = word.chars().next().filter(|char| "–—−".contains(*char)) {
                return Err(CurlError::Typographic(dash.to_string()));
            }
            options.push(long("url", || Some(word))?);
        } else if POWERSHELL_OPTIONS.contains(&word.to_ascii_lowercase().as_str()) {
            let (what, shell) = (word, "PowerShell");
            return Err(CurlError::OtherShell { what, shell });
        } else if word == "--" {
            only_urls = true;
        } else if let Some(name) = word.strip_prefix("--") {
            options.push(long(name, || words.next())?);
        } else {
            options.extend(letters(&word[1..], || words.next())?);
        }
    }
    Ok(options)
}

/// Returns whether a word names the program, possibly by its path.
pub(super) fn is_curl(word: &str) -> bool {
    matches!(word.rsplit(['/', '\\']).next(), Some("curl" | "curl.exe"))
}

/// Parses a long option, without its dashes.
pub(super) fn long(
    name: &str,
    next: impl FnOnce() -> Option<String>,
) -> Result<ParsedOption, CurlError> {
    let (spec, is_off) = named(name)?;
    let written = format!("--{name}");
    if is_off {
        return Ok(ParsedOption {
            option: spec,
            value: None,
            written,
            is_off,
        });
    }
    spec.supported(&written)?.with_value(written, next)
}

/// Parses the letters after a dash. The first option with a value takes the rest of the word, or else the next word.
pub(super) fn letters(
    letters: &str,
    mut next: impl FnMut() -> Option<String>,
) -> Result<Vec<ParsedOption>, CurlError> {
    let mut options = Vec::new();
    for (at, letter) in letters.char_indices() {
        let written = format!("-{letter}");
        let mut known = OPTIONS.iter();
        let Some(spec) = known.find(|spec| spec.short == Some(letter)) else {
            return Err(CurlError::Unknown(written));
        };
        spec.supported(&written)?;
        let rest = &letters[at + letter.len_utf8()..];
        options.push(spec.with_value(written, || match rest {
            "" => next(),
            rest => Some(rest.to_owned()),
        })?);
        if spec.value.is_some() {
            break;
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_parsed_like_curl() {
        let words = "curl -sXPOST http://a/ -H x --data - -Ff=@b -- -c";
        let options = read(words.split(' ').map(str::to_owned).collect()).unwrap();
        let parsed: Vec<_> = options
            .iter()
            .map(|option| (option.option.long, option.value()))
            .collect();
        assert_eq!(
            parsed,
            [
                ("silent", ""),
                ("request", "POST"),
                ("url", "http://a/"),
                ("header", "x"),
                ("data", "-"),
                ("form", "f=@b"),
                ("url", "-c"),
            ]
        );
    }

    #[test]
    fn a_flag_can_be_taken_back_and_a_name_abbreviated() {
        let parsed = |name: &str| {
            let given = long(name, || Some("x".to_owned())).unwrap();
            (given.option.long, given.is_off)
        };
        assert_eq!(parsed("no-location"), ("location", true));
        assert_eq!(parsed("no-digest"), ("digest", true));
        assert_eq!(parsed("no-buffer"), ("no-buffer", false));
        assert_eq!(parsed("buffer"), ("no-buffer", true));
        assert_eq!(parsed("user-a"), ("user-agent", false));
        for name in [
            "no-data",
            "data-",
            "frobnicate",
            "",
            "no-",
            "expand-url",
            "digest",
        ] {
            assert!(long(name, || Some("x".to_owned())).is_err(), "{name}");
        }
    }

    #[test]
    fn names_are_unique() {
        for (i, one) in OPTIONS.iter().enumerate() {
            for other in &OPTIONS[i + 1..] {
                assert_ne!(one.long, other.long);
                assert!(one.short.is_none() || one.short != other.short, "{one:?}");
            }
        }
    }
}
