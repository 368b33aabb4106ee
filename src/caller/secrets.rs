//! The values that must not be shown: replaced, by value, in whatever is stored or printed of a failure.

use std::io::{self, Read};
use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

use super::template::{RESERVED, lower_case_triplets, plus_encoded};

/// Known secret values, in the forms in which a service may echo them.
#[derive(Clone, Default)]
pub(super) struct Secrets {
    forms: Vec<Vec<u8>>,
    /// Finds all of them at once. Made when it is first needed.
    finder: OnceLock<Option<AhoCorasick>>,
}

/// Shorter values would be found by chance in texts that have nothing to do with them.
const SHORTEST: usize = 8;

const REDACTED: &[u8] = b"[redacted]";

/// How much is masked at once, in bytes.
const PIECE: usize = 1 << 16;

impl Secrets {
    /// Adds a value and each of its words, for a service may echo the key without the `Bearer` before it.
    pub(super) fn add(&mut self, value: &[u8]) {
        self.finder = OnceLock::new();
        self.add_forms(value);
        for word in value.split(u8::is_ascii_whitespace) {
            self.add_forms(word);
        }
        // What Basic authentication wraps (RFC 7617).
        if let Some(encoded) = value.strip_prefix(b"Basic ")
            && let Ok(pair) = STANDARD.decode(encoded)
        {
            self.add_forms(&pair);
            pair.splitn(2, |byte| *byte == b':')
                .for_each(|part| self.add_forms(part));
        }
    }

    fn add_forms(&mut self, value: &[u8]) {
        if value.len() < SHORTEST {
            return;
        }
        let in_json = |text: &str| {
            let json = serde_json::Value::from(text).to_string();
            json[1..json.len() - 1].to_owned()
        };
        let json = in_json(&String::from_utf8_lossy(value));
        let mut forms = vec![
            value.to_vec(),
            // As it stands in JSON, and in JSON that is quoted in JSON, as in many an error message.
            in_json(&json).into_bytes(),
            json.into_bytes(),
            // What is cut off is padding, which a text may have or not.
            STANDARD_NO_PAD.encode(value).into_bytes(),
            URL_SAFE_NO_PAD.encode(value).into_bytes(),
        ];
        // As we send it in a URL or a form ourselves, and as a stricter encoder would; in either case of letters.
        for encoded in [
            percent_encode(value, RESERVED).to_string(),
            percent_encode(value, NON_ALPHANUMERIC).to_string(),
            plus_encoded(value),
        ] {
            forms.push(lower_case_triplets(encoded.clone().into_bytes()));
            forms.push(encoded.into_bytes());
        }
        for form in forms {
            if !self.forms.contains(&form) {
                self.forms.push(form);
            }
        }
    }

    /// The length of the longest form, in bytes.
    pub(super) fn longest(&self) -> usize {
        self.forms.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// The bytes with every known value replaced.
    pub(super) fn mask(&self, bytes: &[u8]) -> Vec<u8> {
        self.mask_beginning(bytes, bytes.len())
    }

    /// The first `most` bytes with every known value replaced that begins within them.
    pub(super) fn mask_beginning(&self, bytes: &[u8], most: usize) -> Vec<u8> {
        self.masked(bytes, most).0
    }

    /// Whether there is any.
    pub(super) fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }

    /// Returns whether some known value stands in these bytes.
    pub(super) fn are_in(&self, bytes: &[u8]) -> bool {
        // What cannot be searched is not shown either.
        self.finder()
            .is_none_or(|finder| finder.find(bytes).is_some())
    }

    /// Masks all that can be read, a piece at a time.
    pub(super) fn mask_all(
        &self,
        from: &mut impl Read,
        to: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        let mut waiting = Vec::new();
        loop {
            let read = from.read(&mut piece)?;
            waiting.extend_from_slice(&piece[..read]);
            // A value that begins in the rest may end in what comes.
            let whole = match read {
                0 => waiting.len(),
                _ => (waiting.len() + 1).saturating_sub(self.longest().max(1)),
            };
            let (masked, behind) = self.masked(&waiting, whole);
            to(&masked)?;
            waiting.drain(..behind);
            if read == 0 {
                return Ok(());
            }
        }
    }

    /// As [`Secrets::mask_beginning`], with how many bytes that was.
    fn masked(&self, bytes: &[u8], most: usize) -> (Vec<u8>, usize) {
        // What cannot be searched for secrets is not shown.
        let Some(finder) = self.finder() else {
            return (REDACTED.to_vec(), bytes.len());
        };
        let most = most.min(bytes.len());
        let mut out = Vec::with_capacity(most);
        let mut at = 0;
        for found in finder.find_iter(bytes) {
            if found.start() >= most {
                break;
            }
            out.extend_from_slice(&bytes[at..found.start()]);
            out.extend_from_slice(REDACTED);
            at = found.end();
        }
        out.extend_from_slice(&bytes[at.min(most)..most]);
        (out, at.max(most))
    }

    fn finder(&self) -> Option<&AhoCorasick> {
        let make = || {
            // The longest first: one form may contain another.
            let mut builder = AhoCorasick::builder();
            builder.match_kind(MatchKind::LeftmostLongest);
            builder.build(&self.forms).ok()
        };
        self.finder.get_or_init(make).as_ref()
    }

    pub(super) fn mask_text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.mask(text.as_bytes())).into_owned()
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} forms of secrets]", self.forms.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_value_is_replaced() {
        let mut secrets = Secrets::default();
        secrets.add(b"s3cret/key+1");
        secrets.add(b"short");
        let echoed = "got s3cret/key+1, s3cret%2Fkey%2B1 and czNjcmV0L2tleSsx, short";
        assert_eq!(
            secrets.mask_text(echoed),
            "got [redacted], [redacted] and [redacted], short"
        );
        assert!(!format!("{secrets:?}").contains("s3cret"));
    }

    #[test]
    fn forms_that_others_make_of_a_value_are_replaced_too() {
        let mut secrets = Secrets::default();
        secrets.add(b"s3cret \"key\"+1?>");
        for echoed in [
            r#"s3cret \"key\"+1?>"#,
            "s3cret+%22key%22%2B1%3F%3E",
            "s3cret%20%22key%22%2b1%3f%3e",
            "czNjcmV0ICJrZXkiKzE_Pg",
        ] {
            assert_eq!(secrets.mask_text(&format!("<{echoed}>")), "<[redacted]>");
        }
        assert_eq!(Secrets::default().mask(b"as it was"), b"as it was");
    }

    #[test]
    fn the_words_of_a_value_and_the_password_of_a_pair_are_secret_too() {
        let mut secrets = Secrets::default();
        secrets.add(b"Bearer sk-verysecret99");
        // me:hunter2pass
        secrets.add(b"Basic bWU6aHVudGVyMnBhc3M=");
        let echoed = "invalid token sk-verysecret99, password hunter2pass";
        let masked = "invalid token [redacted], password [redacted]";
        assert_eq!(secrets.mask_text(echoed), masked);
    }
    #[test]
    fn a_value_is_found_wherever_the_pieces_begin() {
        struct Pieces<'b>(&'b [u8], usize);
        impl Read for Pieces<'_> {
            fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
                let (piece, rest) = self.0.split_at(self.1.min(self.0.len()));
                to[..piece.len()].copy_from_slice(piece);
                self.0 = rest;
                Ok(piece.len())
            }
        }
        let mut secrets = Secrets::default();
        for known in [Secrets::default(), {
            secrets.add(b"s3cret/key+1");
            secrets
        }] {
            for text in [
                "",
                "s3cret/key+1",
                "as3cret/key+",
                "s3cret/ks3cret/key+1s3cret%2Fkey%2B1czNjcmV0L2tleSsx!s3cret/key+",
            ] {
                for size in 1..20 {
                    let mut masked = Vec::new();
                    let mut pieces = Pieces(text.as_bytes(), size);
                    let add = &mut |piece: &[u8]| {
                        masked.extend_from_slice(piece);
                        Ok(())
                    };
                    known.mask_all(&mut pieces, add).unwrap();
                    let expected = known.mask(text.as_bytes());
                    assert_eq!(masked, expected, "{text} in pieces of {size}");
                }
            }
        }
    }
}
