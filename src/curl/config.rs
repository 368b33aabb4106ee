//! curl's configuration files: an option a line.

use super::error::CurlError;
use super::options::{Given, Spec, letters, takes};

/// Reads a configuration file (`curl -K`): a line holds an option with or without its dashes and, after white
/// space, `=` or `:`, its value, in double quotes where it has white space in it.
///
/// # Errors
///
/// An option that curl does not have, or that stride has no use for; a value that is missing.
pub fn read(text: &str) -> Result<Vec<Given>, CurlError> {
    let mut given = Vec::new();
    for line in text.trim_start_matches('\u{feff}').lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let end = line
            .find(|char: char| char.is_whitespace() || matches!(char, '=' | ':'))
            .unwrap_or(line.len());
        let (name, rest) = line.split_at(end);
        let rest = rest.trim_start();
        let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start();
        let mut value = (!rest.is_empty()).then(|| value(rest));
        let long = name.strip_prefix("--");
        match (long, name.strip_prefix('-')) {
            (None, Some(short)) if !short.is_empty() => {
                given.extend(letters(short, || value.take())?);
            }
            _ => {
                let option = Spec::long(long.unwrap_or(name))?;
                given.push(Given {
                    option,
                    value: takes(option, || value.take())?,
                    written: name.to_owned(),
                });
            }
        }
        if value.is_some_and(|value| !value.is_empty()) {
            return Err(CurlError::Option {
                written: name.to_owned(),
                hint: "curl does not take it with the value that is behind it: put white space between an option and its value, and none where it has no value",
            });
        }
    }
    Ok(given)
}

/// A value: in quotes with escapes, or up to the next white space.
fn value(text: &str) -> String {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        return text[..end].to_owned();
    };
    let (mut out, mut chars) = (String::new(), quoted.chars());
    while let Some(char) = chars.next() {
        match char {
            '"' => break,
            '\\' => match chars.next() {
                Some('t') => out.push('\t'),
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some('v') => out.push('\u{b}'),
                Some(char) => out.push(char),
                None => {}
            },
            char => out.push(char),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_in_every_form() {
        let text = "# a comment\nurl = \"http://a/\"\n-H \"X-A: \\\"b\\\"\"\nheader: x\n--json = {\"a\":1}\nget\n\n";
        let told: Vec<_> = read(text)
            .unwrap()
            .into_iter()
            .map(|given| (given.option.long, given.value.unwrap_or_default()))
            .collect();
        assert_eq!(
            told,
            [
                ("url", "http://a/".to_owned()),
                ("header", "X-A: \"b\"".to_owned()),
                ("header", "x".to_owned()),
                ("json", "{\"a\":1}".to_owned()),
                ("get", String::new()),
            ]
        );
        assert!(read("nonsense = 1").is_err());
        assert!(read("url").is_err());
    }

    #[test]
    fn letters_stand_together_as_in_a_command() {
        let told = |text| {
            let given = read(text)?.into_iter();
            let pairs = given.map(|given| (given.option.long, given.value.unwrap_or_default()));
            Ok::<Vec<_>, CurlError>(pairs.collect())
        };
        let pair = |long, value: &str| (long, value.to_owned());
        assert_eq!(
            told("-sS\n-XPUT\n-sd a=b\n"),
            Ok(vec![
                pair("silent", ""),
                pair("show-error", ""),
                pair("request", "PUT"),
                pair("silent", ""),
                pair("data", "a=b"),
            ])
        );
        // Of the two values the option would have, curl takes neither.
        for text in ["-HX-A: b", "-XPUT GET", "-", "-sc jar"] {
            let error = read(text).unwrap_err().to_string();
            assert!(!error.contains('\0'), "{error:?}");
        }
    }
}
