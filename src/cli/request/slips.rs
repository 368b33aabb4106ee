//! Finds slips in a typed request: variables that no shell has replaced, examples in place of keys, and the ellipsis of a
//! hint.

use stride::caller::{Braces, Template};

use crate::cli::output::error::CliError;

/// The character that stands for a value in stride's hints.
const ELLIPSIS: char = '…';

/// The part of a request in which a variable is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// A credential, of which a variable is a whole word.
    Credential,
    /// A URL, a method, or a header without a credential. Services give names such as `$filter` a meaning of their own
    /// there, so only upper-case names are variables.
    Other,
}

/// Refuses text with a variable that no shell has replaced, and a credential that ends in an ellipsis or in an example. The
/// error names its `place`, and shows at most the variable's name.
pub(super) fn check(place: &str, text: &str, part: Part) -> Result<(), CliError> {
    if part == Part::Credential && text.trim_end().ends_with(ELLIPSIS) {
        return Err(CliError::usage(format!(
            "{place} ends in `{ELLIPSIS}`, which stands for the value in a hint"
        ))
        .hint(format!("put the value in place of `{ELLIPSIS}`")));
    }
    if part == Part::Credential && is_example(text) {
        return Err(CliError::usage(format!(
            "{place} ends in an example of a key, as documentation has it"
        ))
        .hint("put your own key in its place: {env:NAME} reads it from a variable"));
    }
    // A command in a placeholder may have variables.
    let template = Template::read(text, Braces::Pasted).unwrap_or_default();
    let mut literals = template.literals();
    match literals.find_map(|text| variable(text, part)) {
        None => Ok(()),
        Some(name) => Err(CliError::usage(format!(
            "{place} has the text ${name}, which no shell has replaced: single quotes prevent that"
        ))
        .hint(format!("use {{env:{name}}} in its place"))),
    }
}

/// Returns whether a credential ends in the likes of `<your api key>` or `YOUR_API_KEY`.
fn is_example(text: &str) -> bool {
    let is_word = |char: char| char.is_ascii_alphanumeric() || "_- .".contains(char);
    let text = text.trim_end_matches(['"', '\'', ' ']);
    let inner = text
        .strip_suffix('>')
        .and_then(|text| text.rsplit_once('<'));
    let last = text.rsplit([' ', ':', '=', '"']).next().unwrap_or_default();
    let is_upper = |char: char| char.is_ascii_uppercase() || "_-".contains(char);
    inner.is_some_and(|(_, inner)| !inner.is_empty() && inner.chars().all(is_word))
        || (last.contains("YOUR_") || last.contains("YOUR-")) && last.chars().all(is_upper)
}

/// Returns the name of the first `$NAME` or `${NAME}`.
pub(super) fn variable(text: &str, part: Part) -> Option<&str> {
    let starts = text.match_indices('$').map(|(at, _)| at);
    starts.into_iter().find_map(|at| {
        let before = text[..at].chars().next_back();
        let is_apart = match part {
            // A password may have a dollar sign.
            Part::Credential => {
                before.is_none_or(|char| char.is_whitespace() || ":=\"'".contains(char))
            }
            Part::Other => before.is_none_or(|char| !char.is_alphanumeric() && char != '$'),
        };
        let rest = &text[at + 1..];
        let (name, after) = match rest.strip_prefix('{') {
            Some(inner) => inner.split_once('}')?,
            None => rest.split_at(name_end(rest)),
        };
        let ends = after
            .chars()
            .next()
            .is_none_or(|char| !char.is_alphanumeric());
        (is_apart && ends && is_name(name, part)).then_some(name)
    })
}

fn name_end(text: &str) -> usize {
    let is_part = |char: char| char.is_ascii_alphanumeric() || char == '_';
    text.find(|char| !is_part(char)).unwrap_or(text.len())
}

fn is_name(name: &str, part: Part) -> bool {
    let is_case = |char: char| part == Part::Credential || !char.is_ascii_lowercase();
    // One letter is rarely a variable, except as the whole of a key.
    let shortest = if part == Part::Credential { 1 } else { 2 };
    name.len() >= shortest
        && name.contains(|char: char| char.is_ascii_alphabetic())
        && name_end(name) == name.len()
        && !name.starts_with(|char: char| char.is_ascii_digit())
        && name.chars().all(is_case)
}

/// Returns the variable or the command that is the whole of an option's value, as a shell writes it.
pub(super) fn whole(text: &str) -> Option<String> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    match inner.split_once(':')? {
        ("env", name) => Some(format!("${name}")),
        ("cmd", command) => Some(format!("$({command})")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_stands_apart() {
        for (text, credential, other) in [
            ("Bearer $API_KEY", Some("API_KEY"), Some("API_KEY")),
            ("${API_KEY}", Some("API_KEY"), Some("API_KEY")),
            ("me:$pw", Some("pw"), None),
            ("me:pa$WORD1", None, None),
            ("me:pa$$WORD", None, None),
            ("$2y$10$abcdefghij", None, None),
            ("https://$HOST/v1/x", None, Some("HOST")),
            ("https://a/x?$filter=b&$top=1", None, None),
            ("https://a/x?k=${KEY}&a=1", Some("KEY"), Some("KEY")),
            ("Bearer $K", Some("K"), None),
            ("$_", None, None),
            ("$", None, None),
            ("${open", None, None),
        ] {
            assert_eq!(variable(text, Part::Credential), credential, "{text}");
            assert_eq!(variable(text, Part::Other), other, "{text}");
        }
    }

    #[test]
    fn an_example_is_no_credential() {
        for (text, is_one) in [
            ("Bearer <YOUR_API_KEY>", true),
            ("Token <your api key>", true),
            ("Bearer YOUR-TOKEN", true),
            ("me:YOUR_PASSWORD", true),
            ("INSERT_YOUR_API_KEY_HERE", true),
            ("token=\"YOUR_KEY\"", true),
            ("Bearer sk-<a>b", false),
            ("Bearer YOURs3cr3t", false),
            ("Bearer <>", false),
        ] {
            assert_eq!(is_example(text), is_one, "{text}");
        }
    }

    #[test]
    fn the_ellipsis_of_a_hint_is_no_credential() {
        assert!(check("a", "Bearer …", Part::Credential).is_err());
        assert!(check("a", "Bearer …x", Part::Credential).is_ok());
    }
}
