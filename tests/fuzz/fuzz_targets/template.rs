//! Parses templates without loss, and keeps each inserted value in its place.

#![no_main]

#[path = "../job.rs"]
mod job;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use stride::caller::fuzzing::{Escaping, fill};
use stride::caller::{Braces, Template};
use stride::job::json_text;

use job::{Given, job};

#[derive(Debug, Arbitrary)]
struct Input {
    text: String,
    given: Given,
}

/// Returns a JSON text without white space and without the contents of its strings.
fn shape(json: &str) -> String {
    let (mut out, mut quoted, mut escaped) = (String::new(), false, false);
    for char in json.chars() {
        match char {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => {
                quoted = !quoted;
                out.push('"');
            }
            char if !quoted && !char.is_ascii_whitespace() => out.push(char),
            _ => {}
        }
    }
    out
}

/// The same JSON text with placeholders where it had nulls.
fn with_placeholders(json: &str) -> String {
    let places = [
        "{col.a}", "{col.b}", "{index}", "{name}", "{text}", "{size}",
    ];
    let (mut out, mut rest, mut inserted) = (String::new(), json, 0);
    while let Some(at) = rest.find(['"', 'n']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("null") {
            out.push_str(places[inserted % places.len()]);
            inserted += 1;
            rest = after;
            continue;
        }
        let mut escaped = false;
        let end = rest[1..].find(|char| match char {
            _ if escaped => {
                escaped = false;
                false
            }
            '\\' => {
                escaped = true;
                false
            }
            char => char == '"',
        });
        let end = end.map_or(rest.len(), |end| end + 2);
        out.push_str(&rest[..end]);
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

fn count(bytes: &[u8], these: &[u8]) -> usize {
    bytes.iter().filter(|byte| these.contains(byte)).count()
}

fuzz_target!(|input: Input| {
    let (text, job) = (input.text.as_str(), job(&input.given));
    let ours = Template::read(text, Braces::Ours);
    assert!(ours.is_ok() || text.contains('{'));
    let pasted = Template::read(text, Braces::Pasted).unwrap();
    let json = Template::read(text, Braces::Json).unwrap();
    for template in [ours.as_ref().ok(), Some(&pasted), Some(&json)] {
        let Some(template) = template else { continue };
        let literal: String = template.literals().collect();
        assert!(literal.len() <= text.len());
        if !text.contains(['{', '}']) {
            assert!(!template.has_placeholder());
            assert_eq!(literal, text);
        }
        if !template.has_placeholder() {
            assert!(!template.has_field() && !template.has_reference());
            let filled = fill(template, Escaping::Plain, &job);
            assert_eq!(filled.as_deref(), Some(literal.as_bytes()));
        }
        let literal = literal.as_bytes();
        if let Some(filled) = fill(template, Escaping::Url, &job) {
            assert_eq!(count(&filled, b"/?#&="), count(literal, b"/?#&="));
        }
        if let Some(filled) = fill(template, Escaping::Form, &job) {
            assert_eq!(count(&filled, b"&=?#"), count(literal, b"&=?#"));
        }
        if let Some(filled) = fill(template, Escaping::All, &job) {
            assert_eq!(count(&filled, b"&=?#/"), count(literal, b"&=?#/"));
        }
    }
    if !pasted.has_placeholder() && !text.contains("{{") {
        assert_eq!(pasted.literals().collect::<String>(), text);
    }

    if json_text(text.as_bytes()).is_ok() {
        for (text, is_json) in [(text.to_owned(), true), (with_placeholders(text), false)] {
            let template = Template::read(&text, Braces::Json).unwrap();
            if let Some(filled) = fill(&template, Escaping::Json, &job) {
                let filled = json_text(&filled).expect("it was JSON before");
                assert!(!is_json || shape(filled) == shape(&text), "{filled}");
            }
        }
    }
});
