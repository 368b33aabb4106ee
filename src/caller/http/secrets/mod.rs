//! Masking of secret values in all that is stored or printed of a failure.
//!
//! A service may quote a key in JSON, in a URL, in HTML or in base64, also one within another. So a text is searched in all
//! its readings: as it is, with its escapes undone, and with its base64 and hexadecimal decoded, several levels deep. A match in a reading is replaced at its origin in the text.
//!
//! A service may also quote a part of a credential, so the parts are secret too ([`parts`]).

mod layer;
mod parts;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::ops::Range;
use std::sync::OnceLock;

use aho_corasick::AhoCorasick;

use layer::{Escapes, Layer};

/// The known secret values.
#[derive(Clone, Default)]
pub(in crate::caller) struct Secrets {
    /// The values, with case and spaces folded.
    values: HashSet<Vec<u8>>,
    /// Searches for all values at once. Built at its first use.
    finder: OnceLock<Option<AhoCorasick>>,
}

/// The minimum length of a value, in bytes. Shorter ones occur in unrelated texts by chance.
const SHORTEST: usize = 8;
/// The minimum length of a value's beginning that is masked at the end of a cut text, in bytes.
const SHORTEST_CUT: usize = 4;
/// The maximum number of nested quotings that are undone.
const DEEPEST: u32 = 3;

const REDACTED: &[u8] = b"[redacted]";
/// The end of a cut message.
const ELLIPSIS: char = '…';

/// The number of bytes to mask at once.
const PIECE: usize = 1 << 16;
/// The maximum number of bytes that spell one byte, in two layers of the longest escapes.
const LONGEST_SPELLING: usize = 40;
/// The number of masked bytes that are read again with the next piece, so that an escape is seen from its beginning.
const CONTEXT: usize = 256;

impl Secrets {
    /// Adds a value and its parts.
    pub(in crate::caller) fn add(&mut self, value: &[u8]) {
        self.add_value(value);
        let whole = Layer::new(value, false);
        // Values of cookies are often percent-encoded.
        let typed = whole.unescaped(Escapes::Percent);
        for reading in typed.iter().chain([&whole]) {
            for part in parts::parts(reading.bytes()) {
                self.add_value(&part);
            }
        }
    }

    fn add_value(&mut self, value: &[u8]) {
        self.finder = OnceLock::new();
        self.add_reading(value);
        // The value may have been typed in its escaped form.
        for escapes in Escapes::ALL {
            if let Some(typed) = Layer::new(value, false).unescaped(escapes) {
                self.add_reading(typed.bytes());
            }
        }
        // A service may read the bytes as Latin-1, or replace those it cannot read.
        if !value.is_ascii() {
            let latin: String = value.iter().map(|byte| char::from(*byte)).collect();
            self.add_reading(latin.as_bytes());
            self.add_reading(String::from_utf8_lossy(value).as_bytes());
        }
    }

    fn add_reading(&mut self, value: &[u8]) {
        let folded = folded(value);
        if folded.len() >= SHORTEST {
            self.values.insert(folded);
        }
    }

    /// Returns the number of bytes after a position that may belong to a value which begins before it.
    pub(super) fn reach(&self) -> usize {
        let longest = self.values.iter().map(Vec::len).max();
        longest.map_or(0, |longest| longest * LONGEST_SPELLING)
    }

    /// Replaces all known values.
    pub(in crate::caller) fn mask(&self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        self.write(bytes, &self.found(bytes, false), 0..bytes.len(), &mut out);
        out
    }

    /// Masks the first `most` bytes of a text, which may continue after `bytes`. Values may begin in them and end later.
    pub(super) fn mask_beginning(&self, bytes: &[u8], most: usize) -> Vec<u8> {
        let most = most.min(bytes.len());
        let mut out = Vec::with_capacity(most);
        self.write(bytes, &self.found(bytes, true), 0..most, &mut out);
        out
    }

    /// Returns whether there are no values.
    pub(in crate::caller) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Returns whether these bytes contain a known value.
    pub(super) fn are_in(&self, bytes: &[u8]) -> bool {
        !self.found(bytes, false).is_empty()
    }

    /// Masks a stream, a piece at a time.
    pub(super) fn mask_all(
        &self,
        from: &mut impl Read,
        to: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        self.mask_pieces(PIECE, from, to)
    }

    fn mask_pieces(
        &self,
        piece: usize,
        from: &mut impl Read,
        to: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let piece = piece.max(self.reach());
        // The first `written` bytes of the text have been written already.
        let (mut text, mut written) = (Vec::new(), 0);
        loop {
            let read = from.by_ref().take(piece as u64).read_to_end(&mut text)?;
            let goes_on = read == piece;
            // A value that begins in the rest may end in the next piece.
            let rest = if goes_on { self.reach() } else { 0 };
            let end = text.len().saturating_sub(rest).max(written);
            let mut masked = Vec::with_capacity(end - written);
            let found = self.found(&text, goes_on);
            let behind = self.write(&text, &found, written..end, &mut masked);
            to(&masked)?;
            if !goes_on {
                return Ok(());
            }
            let again = behind.saturating_sub(CONTEXT);
            text.drain(..again);
            written = behind - again;
        }
    }

    /// Writes a part of a text with the values replaced. Returns the end of the part, or of a value that crosses it.
    fn write(
        &self,
        text: &[u8],
        found: &[Range<usize>],
        part: Range<usize>,
        out: &mut Vec<u8>,
    ) -> usize {
        let mut at = part.start;
        for range in found {
            if range.start >= part.end {
                break;
            }
            if range.end > at {
                out.extend_from_slice(&text[at..range.start.max(at)]);
                out.extend_from_slice(REDACTED);
                at = range.end;
            }
        }
        out.extend_from_slice(&text[at.min(part.end)..part.end]);
        at.max(part.end)
    }

    /// Finds all values in a text, in order and without overlaps.
    fn found(&self, text: &[u8], is_cut: bool) -> Vec<Range<usize>> {
        if self.is_empty() || text.is_empty() {
            return Vec::new();
        }
        // Without a search nothing may be shown.
        let Some(finder) = self.finder() else {
            return std::iter::once(0..text.len()).collect();
        };
        let mut search = Search {
            finder,
            values: &self.values,
            end: text.len(),
            found: Vec::new(),
            seen: HashSet::new(),
        };
        search.all(&Layer::new(text, is_cut), DEEPEST);
        let mut found = search.found;
        found.sort_unstable_by_key(|range: &Range<usize>| (range.start, range.end));
        found.dedup_by(|next, last| {
            let overlaps = next.start < last.end;
            if overlaps {
                last.end = last.end.max(next.end);
            }
            overlaps
        });
        found
    }

    fn finder(&self) -> Option<&AhoCorasick> {
        let make = || AhoCorasick::new(&self.values).ok();
        self.finder.get_or_init(make).as_ref()
    }

    /// Masks a text, which ends with an ellipsis if it was cut.
    pub(in crate::caller) fn mask_text(&self, text: &str) -> String {
        let masked = match text.strip_suffix(ELLIPSIS) {
            Some(cut) => {
                let mut masked = self.mask_beginning(cut.as_bytes(), cut.len());
                masked.extend_from_slice(ELLIPSIS.encode_utf8(&mut [0; 4]).as_bytes());
                masked
            }
            None => self.mask(text.as_bytes()),
        };
        String::from_utf8_lossy(&masked).into_owned()
    }
}

/// A search through a text.
struct Search<'s> {
    finder: &'s AhoCorasick,
    values: &'s HashSet<Vec<u8>>,
    /// The text's end.
    end: usize,
    /// The places of values in the text.
    found: Vec<Range<usize>>,
    /// The hashes of the readings searched so far, because several ways lead to one reading. Readings of equal bytes from
    /// different places of the text differ.
    seen: HashSet<u64>,
}

impl Search<'_> {
    /// Searches a reading of the text and its own readings, `deeper` levels deep.
    fn all(&mut self, layer: &Layer<'_>, deeper: u32) {
        if self.one(layer) {
            self.within(layer, deeper);
        }
    }

    /// Searches the readings of a reading.
    fn within(&mut self, layer: &Layer<'_>, deeper: u32) {
        let Some(deeper) = deeper.checked_sub(1) else {
            return;
        };
        for escapes in Escapes::ALL {
            if let Some(unescaped) = layer.unescaped(escapes) {
                self.all(&unescaped, deeper);
            }
        }
        for decoded in layer.decoded() {
            // Only text can hold further escapes or encodings.
            if self.one(&decoded)
                && let Some(texts) = decoded.texts()
            {
                self.within(&texts, deeper);
            }
        }
    }

    /// Searches one reading. Returns false if it was searched before.
    fn one(&mut self, layer: &Layer<'_>) -> bool {
        let mut hasher = DefaultHasher::new();
        layer.hash(&mut hasher);
        if !self.seen.insert(hasher.finish()) {
            return false;
        }
        let bytes = folded(layer.bytes());
        let whole = self.finder.find_overlapping_iter(&bytes);
        self.found
            .extend(whole.map(|value| layer.origin(value.range())));
        if layer.is_cut {
            let begun = self.values.iter().filter_map(|value| begun(value, &bytes));
            self.found.extend(begun.max().map(|length| {
                let begin = bytes.len() - length;
                layer.origin(begin..bytes.len()).start..self.end
            }));
        }
        true
    }
}

/// Folds upper and lower case, and the space and the `+` of a form.
fn folded(text: &[u8]) -> Vec<u8> {
    let fold = |byte: &u8| match byte {
        b'+' => b' ',
        byte => byte.to_ascii_lowercase(),
    };
    text.iter().map(fold).collect()
}

/// Returns the length of a value's longest beginning that ends a text, if it is long enough.
fn begun(value: &[u8], text: &[u8]) -> Option<usize> {
    let most = text.len().min(value.len() - 1);
    (SHORTEST_CUT..=most)
        .rev()
        .find(|length| text.ends_with(&value[..*length]))
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} secrets]", self.values.len())
    }
}
