//! Causes: groups of failures whose messages differ only in numbers, ids and names.

use std::borrow::Cow;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Class, FileName, JobState};
use crate::text::hex;

/// The number of characters of an error's body that are compared and shown.
const LOOKED_AT: usize = 200;

/// The first line of a Python traceback, whose last line has the message.
const TRACEBACK: &str = "Traceback (most recent call last)";
/// The length in bytes from which a word with letters and digits is an id.
const ID: usize = 8;
/// Replaces a number or an id.
const ANY: char = '#';
/// Replaces the job's own name.
const OWN: &str = "{}";

/// The cause of a failure. Failures whose messages differ only in numbers, ids and the job's own name share it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CauseKey {
    /// The job's state: failed or held.
    pub state: JobState,
    /// The failure's class.
    pub class: Option<Class>,
    /// The failure's kind.
    pub kind: Option<String>,
    /// The HTTP status.
    pub status: Option<u16>,
    /// The messages of the failure and the service, with `#` for numbers and ids, and `{}` for the job's own name.
    pub gist: String,
}

impl CauseKey {
    /// Sets the gist from a failure's message and the beginning of its body.
    pub fn with_words(self, job: &FileName, message: &str, body: &[u8]) -> Self {
        let said = said(body);
        let mut gist = folded(message, job);
        if !said.is_empty() {
            gist.push_str(": ");
            gist.push_str(&folded(&said, job));
        }
        Self { gist, ..self }
    }

    /// Returns the eight hexadecimal digits by which commands name the cause. They depend on stride's wording.
    pub fn id(&self) -> String {
        let mut hash = Sha256::new();
        let status = self.status.map(|status| status.to_string());
        for part in [
            self.state.as_str(),
            self.class.map_or("", Class::as_str),
            self.kind.as_deref().unwrap_or_default(),
            status.as_deref().unwrap_or_default(),
            &self.gist,
        ] {
            hash.update(part);
            hash.update([0]);
        }
        hex(&hash.finalize()[..4])
    }
}

/// Returns the message in an error's body: of JSON of a usual form, or the last line of a Python traceback. For any other
/// body, returns its beginning.
pub fn said(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let message = serde_json::from_str(&text).ok();
    let message = message.as_ref().and_then(message_in);
    let text = message.unwrap_or_else(|| match text.trim() {
        trace if trace.starts_with(TRACEBACK) => trace.lines().next_back().unwrap_or_default(),
        text => text,
    });
    text.chars().take(LOOKED_AT).collect()
}

/// Returns the first message under a usual name, at any depth: `{"error": {"message": …}}`, `{"errors": [{"message": …}]}`,
/// or `{"detail": …}` and `{"title": …}` (RFC 9457).
fn message_in(error: &Value) -> Option<&str> {
    match error {
        Value::String(text) => Some(text.trim()),
        Value::Array(errors) => errors.first().and_then(message_in),
        Value::Object(fields) => {
            let names = [
                "error",
                "message",
                "detail",
                "title",
                "errors",
                "error_description",
                "msg",
                "reason",
            ];
            let mut found = names.iter().filter_map(|name| fields.get(*name));
            found.find_map(message_in)
        }
        _ => None,
    }
}

/// Replaces the job's own name with `{}`, and each number and id with `#`.
pub fn folded(text: &str, job: &FileName) -> String {
    let own = job.to_string_lossy();
    let last = own.rsplit('/').next().unwrap_or_default();
    let mut text = Cow::from(text);
    for name in [&*own, last] {
        // A short name such as `1` occurs in any text by chance.
        if name.len() >= 3 && text.contains(name) {
            text = text.replace(name, OWN).into();
        }
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(first) = rest.chars().next() {
        let length = match first.is_ascii_alphanumeric() {
            true => word_length(rest.as_bytes()),
            false => first.len_utf8(),
        };
        let (word, after) = rest.split_at(length);
        fold_word(word, &mut out);
        rest = after;
    }
    out
}

/// Returns the length of the word at the beginning of a text: ASCII letters and digits, the hyphens and underscores
/// between them, and the points, commas and colons between digits.
fn word_length(text: &[u8]) -> usize {
    let is_inside = |at: usize| {
        let (before, after) = (text[at - 1], text.get(at + 1).copied().unwrap_or_default());
        match text[at] {
            b'-' | b'_' => before.is_ascii_alphanumeric() && after.is_ascii_alphanumeric(),
            b'.' | b',' | b':' => before.is_ascii_digit() && after.is_ascii_digit(),
            byte => byte.is_ascii_alphanumeric(),
        }
    };
    let end = (1..text.len()).find(|at| !is_inside(*at));
    end.unwrap_or(text.len())
}

/// Appends a word, with `#` for each number and id in it.
fn fold_word(word: &str, out: &mut String) {
    let has = |text: &str, is: fn(&u8) -> bool| text.as_bytes().iter().any(is);
    if !has(word, u8::is_ascii_digit) {
        out.push_str(word);
        return;
    }
    if word.len() >= ID && !has(word, |byte| !byte.is_ascii_hexdigit() && *byte != b'-') {
        out.push(ANY);
        return;
    }
    let mut folded = String::new();
    for part in word.split_inclusive(['-', '_']) {
        let bare = part.trim_end_matches(['-', '_']);
        if bare.len() >= ID && has(bare, u8::is_ascii_digit) && has(bare, u8::is_ascii_alphabetic) {
            folded.push(ANY);
        } else {
            let is_letter = u8::is_ascii_alphabetic;
            for run in bare
                .as_bytes()
                .chunk_by(|a, b| is_letter(a) == is_letter(b))
            {
                match is_letter(&run[0]) {
                    true => folded.extend(run.iter().copied().map(char::from)),
                    false => folded.push(ANY),
                }
            }
        }
        folded.push_str(&part[bare.len()..]);
    }
    // A date such as `2026-01-31` is one number.
    while let Some(at) = folded.find("#-#").or_else(|| folded.find("#_#")) {
        folded.replace_range(at + 1..at + 3, "");
    }
    out.push_str(&folded);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gist(text: &str) -> String {
        folded(text, &"texts/call-0038.txt".into())
    }

    #[test]
    fn numbers_and_ids_are_folded_and_words_are_not() {
        for (text, expected) in [
            (
                "HTTP 422 Unprocessable Entity",
                "HTTP # Unprocessable Entity",
            ),
            ("took 1.5 s of 30", "took # s of #"),
            ("connect 127.0.0.1:8080: refused", "connect #: refused"),
            (
                "request 3f9a2c1d-1234-4abc-8def-0123456789ab failed",
                "request # failed",
            ),
            ("req_011CQxAbZ9yyV, deadbeef01", "req_#, #"),
            ("at 2026-01-31T10:00:00Z", "at #"),
            ("on 2026-01-31", "on #"),
            ("gpt-4o has 16k", "gpt-#o has #k"),
            ("no number, no id: a-b_c", "no number, no id: a-b_c"),
            ("größe 文 7", "größe 文 #"),
            ("", ""),
        ] {
            assert_eq!(gist(text), expected, "{text}");
        }
    }

    #[test]
    fn the_jobs_own_name_is_folded() {
        assert_eq!(gist("cannot read texts/call-0038.txt"), "cannot read {}");
        assert_eq!(gist("`call-0038.txt` is empty"), "`{}` is empty");
        assert_eq!(folded("page 1 of a", &"a".into()), "page # of a");
    }

    #[test]
    fn the_services_message_is_found_in_its_json() {
        for (body, expected) in [
            (r#"{"error":{"message":"too long","code":1}}"#, "too long"),
            (r#"{"error":"too short","id":"x1"}"#, "too short"),
            (r#"{"errors":[{"detail":"no audio"}]}"#, "no audio"),
            (r#"{"code":7}"#, r#"{"code":7}"#),
            (
                "Traceback (most recent call last):\n  File\nKeyError: 'a'\n",
                "KeyError: 'a'",
            ),
            (" not JSON ", "not JSON"),
            ("", ""),
        ] {
            assert_eq!(said(body.as_bytes()), expected, "{body}");
        }
        assert_eq!(said(&[b'x'; 1000]).len(), LOOKED_AT);
    }

    #[test]
    fn every_field_of_a_cause_changes_its_id() {
        let key = CauseKey {
            state: JobState::Failed,
            class: Some(Class::Rejected),
            kind: None,
            status: Some(422),
            gist: String::new(),
        };
        let first = key.clone().with_words(&"a1".into(), "page 1 of x", b"");
        let second = key.with_words(&"a2".into(), "page 22 of x", b"");
        assert_eq!(first, second);
        assert_eq!(first.id(), second.id());
        let changes: [fn(&mut CauseKey); 5] = [
            |key| key.gist.clear(),
            |key| key.status = Some(423),
            |key| key.state = JobState::Held,
            |key| key.class = None,
            |key| key.kind = Some("x".to_owned()),
        ];
        for change in changes {
            let mut other = first.clone();
            change(&mut other);
            assert_ne!(other.id(), first.id());
        }
        assert_eq!(first.id().len(), 8);
    }
}
