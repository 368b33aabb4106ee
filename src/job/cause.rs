//! What failures have in common: the same cause, whatever numbers and names are in its words.

use std::borrow::Cow;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Class, FileName, JobState};

/// How much of an error's body is looked at where it says nothing that is meant for people, in characters.
const LOOKED_AT: usize = 200;
/// A word of letters and digits together is an id from this length on, in bytes.
const ID: usize = 8;
/// What stands for a number or an id.
const ANY: char = '#';
/// What stands for the job's own name.
const OWN: &str = "{}";

/// What jobs failed for. Failures whose words differ only in numbers, in ids, and in the job's own name have the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CauseKey {
    /// Failed or held.
    pub state: JobState,
    /// The failure's class.
    pub class: Option<Class>,
    /// The failure's kind.
    pub kind: Option<String>,
    /// The HTTP status.
    pub status: Option<u16>,
    /// The failure's words and those of the service, with `#` for each number and id, and `{}` for the job's own name.
    pub gist: String,
}

impl CauseKey {
    /// The same, but for the words, which are made of a failure's message and the beginning of its body.
    pub fn with_words(self, job: &FileName, message: &str, body: &[u8]) -> Self {
        let said = said(body);
        let mut gist = folded(message, job);
        if !said.is_empty() {
            gist.push_str(": ");
            gist.push_str(&folded(&said, job));
        }
        Self { gist, ..self }
    }

    /// Eight hexadecimal digits by which a command can name it. They stay the same as long as stride's wording does.
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
        let digits = hash.finalize();
        digits[..4]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// What an error's body says to people: the message in it, where it is JSON as services write it, or else how it begins.
pub fn said(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let message = serde_json::from_str(&text).ok();
    let message = message.as_ref().and_then(message_in);
    let text = message.unwrap_or_else(|| text.trim());
    text.chars().take(LOOKED_AT).collect()
}

/// The text for people in an error as JSON: `{"error": {"message": …}}`, `{"error": …}`, `{"message": …}`, `{"detail": …}`
/// and `{"title": …}` (RFC 9457), `{"errors": [{"message": …}]}`.
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

/// Text with `{}` for the job's own name, and `#` for each number and each id in it.
pub fn folded(text: &str, job: &FileName) -> String {
    let own = job.to_string_lossy();
    let last = own.rsplit('/').next().unwrap_or_default();
    let mut text = Cow::from(text);
    for name in [&*own, last] {
        // A name such as `1` is in any text.
        if name.len() >= 3 && text.contains(name) {
            text = text.replace(name, OWN).into();
        }
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(c) = rest.chars().next() {
        let length = word(rest);
        if length == 0 {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        fold_word(&rest[..length], &mut out);
        rest = &rest[length..];
    }
    out
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

/// The length of the word at the beginning: letters and digits, with what joins them, such as the hyphens of an id, the
/// point of a number, the colons of a time.
fn word(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut end = bytes.iter().take_while(|byte| is_of_word(**byte)).count();
    while end > 0 {
        let before = bytes[end - 1];
        let (Some(joint), Some(after)) = (bytes.get(end), bytes.get(end + 1)) else {
            break;
        };
        let joins = match joint {
            b'-' | b'_' => is_of_word(*after),
            b'.' | b',' | b':' => before.is_ascii_digit() && after.is_ascii_digit(),
            _ => false,
        };
        if !joins {
            break;
        }
        end += 1;
        end += bytes[end..]
            .iter()
            .take_while(|byte| is_of_word(**byte))
            .count();
    }
    end
}

/// Writes a word with `#` for what is a number or an id in it.
fn fold_word(word: &str, out: &mut String) {
    if !word.bytes().any(|byte| byte.is_ascii_digit()) {
        out.push_str(word);
        return;
    }
    let is_hex = word
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if is_hex && word.len() >= ID {
        out.push(ANY);
        return;
    }
    let mut folded = String::new();
    for part in word.split_inclusive(['-', '_']) {
        let bare = part.trim_end_matches(['-', '_']);
        let joint = &part[bare.len()..];
        let letters = bare.bytes().any(|byte| byte.is_ascii_alphabetic());
        let digits = bare.bytes().any(|byte| byte.is_ascii_digit());
        match (letters, digits) {
            (true, true) if bare.len() >= ID => folded.push(ANY),
            (_, false) => folded.push_str(bare),
            _ => without_numbers(bare, &mut folded),
        }
        folded.push_str(joint);
    }
    // `2026-01-31` is one thing as much as `31` is.
    while let Some(at) = folded.find("#-#").or_else(|| folded.find("#_#")) {
        folded.replace_range(at + 1..at + 3, "");
    }
    out.push_str(&folded);
}

/// Writes a word with `#` for each number in it.
fn without_numbers(word: &str, out: &mut String) {
    let mut in_number = false;
    let mut chars = word.chars().peekable();
    while let Some(c) = chars.next() {
        let goes_on = in_number
            && matches!(c, '.' | ',' | ':')
            && chars.peek().is_some_and(char::is_ascii_digit);
        if c.is_ascii_digit() || goes_on {
            if !in_number {
                out.push(ANY);
            }
            in_number = true;
        } else {
            out.push(c);
            in_number = false;
        }
    }
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
    fn what_a_service_says_is_found_in_its_json() {
        for (body, expected) in [
            (r#"{"error":{"message":"too long","code":1}}"#, "too long"),
            (r#"{"error":"too short","id":"x1"}"#, "too short"),
            (r#"{"errors":[{"detail":"no audio"}]}"#, "no audio"),
            (r#"{"code":7}"#, r#"{"code":7}"#),
            (" not JSON ", "not JSON"),
            ("", ""),
        ] {
            assert_eq!(said(body.as_bytes()), expected, "{body}");
        }
        assert_eq!(said(&[b'x'; 1000]).len(), LOOKED_AT);
    }

    #[test]
    fn causes_are_told_apart_by_all_that_they_are() {
        let key = CauseKey {
            state: JobState::Failed,
            class: Some(Class::Rejected),
            kind: None,
            status: Some(422),
            gist: String::new(),
        };
        let first = key.clone().with_words(&"a1".into(), "page 1 of x", b"");
        let second = key.clone().with_words(&"a2".into(), "page 22 of x", b"");
        assert_eq!(first, second);
        assert_eq!(first.id(), second.id());
        let others = [
            key.clone(),
            CauseKey {
                status: Some(423),
                ..first.clone()
            },
            CauseKey {
                state: JobState::Held,
                ..first.clone()
            },
            CauseKey {
                class: None,
                ..first.clone()
            },
            CauseKey {
                kind: Some("x".to_owned()),
                ..first.clone()
            },
        ];
        for other in others {
            assert_ne!(other.id(), first.id());
        }
        assert_eq!(first.id().len(), 8);
    }
}
