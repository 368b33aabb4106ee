//! Quotes words for a shell or for curl's configuration files, and parses them back.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use stride::curl::{self, OPTIONS, ParsedOption, Role, config};

#[derive(Debug, Arbitrary)]
struct Input {
    words: Vec<(Quotes, String)>,
    options: Vec<(u8, Quotes, String)>,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Quotes {
    Single,
    Double,
    Browser,
    Backslash,
}

fn quoted(word: &str, quotes: Quotes) -> String {
    match quotes {
        Quotes::Single => format!("'{}'", word.replace('\'', "'\\''")),
        Quotes::Double => {
            let escaped = |char| matches!(char, '$' | '`' | '"' | '\\');
            format!("\"{}\"", before(word, escaped))
        }
        Quotes::Browser => {
            let mut out = "$'".to_owned();
            for char in word.chars() {
                match char {
                    '\'' | '\\' => out.extend(['\\', char]),
                    '\n' => out.push_str("\\n"),
                    '!' | '\0'..='\x1f' | '\x7f'..='\u{ffff}' => {
                        out.push_str(&format!("\\u{:04x}", u32::from(char)));
                    }
                    char => out.push(char),
                }
            }
            out.push('\'');
            out
        }
        // A newline after a backslash disappears.
        Quotes::Backslash => {
            let escaped = before(word, |char| char != '\n').replace('\n', "'\n'");
            format!("''{escaped}")
        }
    }
}

/// The same with a backslash before some characters.
fn before(word: &str, these: impl Fn(char) -> bool) -> String {
    let mut out = String::new();
    for char in word.chars() {
        if these(char) {
            out.push('\\');
        }
        out.push(char);
    }
    out
}

fn told(given: &[ParsedOption]) -> Vec<(&str, &str)> {
    given
        .iter()
        .map(|given| (given.option.long, given.value()))
        .collect()
}

fuzz_target!(|input: Input| {
    let line: Vec<String> = input
        .words
        .iter()
        .map(|(quotes, word)| quoted(word, *quotes))
        .collect();
    let words: Vec<&str> = input.words.iter().map(|(_, word)| word.as_str()).collect();
    for between in [" ", "\t", " \\\n", " \\\r\n "] {
        let read = curl::words(&line.join(between));
        assert_eq!(read.as_deref().unwrap_or_default(), words, "{line:?}");
    }

    let usable: Vec<_> = OPTIONS
        .iter()
        .filter(|spec| !matches!(spec.role, Role::Refused(_)))
        .collect();
    let (mut command, mut lines, mut expected) = ("curl".to_owned(), String::new(), Vec::new());
    for (number, quotes, value) in &input.options {
        let spec = usable[usize::from(*number) % usable.len()];
        let value = spec.value.map_or("", |_| value.as_str());
        expected.push((spec.long, value));
        let written = match spec.short {
            Some(letter) if number % 2 == 0 => format!("-{letter}"),
            _ => format!("--{}", spec.long),
        };
        command.push_str(&format!(" {written}"));
        lines.push_str(&written);
        if spec.value.is_some() {
            command.push_str(&format!(" {}", quoted(value, *quotes)));
            let value = before(value, |char| matches!(char, '"' | '\\'));
            let value = value.replace('\n', "\\n").replace('\r', "\\r");
            lines.push_str(&format!(" = \"{value}\""));
        }
        lines.push('\n');
    }
    let read = curl::command(&command);
    assert_eq!(told(read.as_deref().unwrap_or_default()), expected);
    let read = config::read(&lines);
    assert_eq!(
        told(read.as_deref().unwrap_or_default()),
        expected,
        "{lines}"
    );
});
