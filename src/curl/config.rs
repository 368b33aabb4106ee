//! curl's configuration files: an option a line.

use super::CurlError;
use super::options::{Given, Spec, takes};

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
        let option = match name.strip_prefix("--") {
            Some(long) => Spec::long(long)?,
            None => match name.strip_prefix('-') {
                Some(short) => Spec::short(short.chars().next().unwrap_or_default())?,
                None => Spec::long(name)?,
            },
        };
        let value = value(rest);
        let value = takes(option, || (!rest.is_empty()).then_some(value))?;
        given.push(Given {
            option,
            value,
            written: name.to_owned(),
        });
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
}
