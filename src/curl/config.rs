//! Configuration files of curl, with one option per line.

use super::error::CurlError;
use super::options::{ParsedOption, letters, long};

/// Parses a configuration file (`curl -K`). A line holds an option with or without its dashes. Its value follows after
/// white space, `=` or `:`, in double quotes if it contains white space.
///
/// # Errors
///
/// An option is unknown or not supported, its value is missing, or it has one and takes none.
pub fn read(text: &str) -> Result<Vec<ParsedOption>, CurlError> {
    let mut options = Vec::new();
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
        match (name.strip_prefix("--"), name.strip_prefix('-')) {
            (None, Some(short)) if !short.is_empty() => {
                options.extend(letters(short, || value.take())?);
            }
            (with_dashes, _) => {
                options.push(long(with_dashes.unwrap_or(name), || value.take())?);
            }
        }
        if value.is_some_and(|value| !value.is_empty()) {
            return Err(CurlError::Option {
                written: name.to_owned(),
                hint: "use white space between an option and its value, and leave out the value of an option without one",
            });
        }
    }
    Ok(options)
}

/// Parses a value: in quotes with escapes, or up to the next white space.
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
    fn options_are_parsed_in_every_form() {
        let text = "# a comment\nurl = \"http://a/\"\n-H \"X-A: \\\"b\\\"\"\nheader: x\n--json = {\"a\":1}\nget\n\n\
            -sS\n-XPUT\n-sd a=b\n";
        let options = read(text).unwrap();
        let parsed: Vec<_> = options
            .iter()
            .map(|option| (option.option.long, option.value()))
            .collect();
        assert_eq!(
            parsed,
            [
                ("url", "http://a/"),
                ("header", "X-A: \"b\""),
                ("header", "x"),
                ("json", "{\"a\":1}"),
                ("get", ""),
                ("silent", ""),
                ("show-error", ""),
                ("request", "PUT"),
                ("silent", ""),
                ("data", "a=b"),
            ]
        );
        // With two values, curl takes neither.
        for text in [
            "nonsense = 1",
            "url",
            "-HX-A: b",
            "-XPUT GET",
            "-",
            "-sc jar",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
