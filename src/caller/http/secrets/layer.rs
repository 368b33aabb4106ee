//! Readings of a text: with escapes undone, or with base64 or hexadecimal decoded. Each byte of a reading knows its origin
//! in the text.

mod escapes;

use std::borrow::Cow;
use std::ops::Range;

pub(super) use escapes::Escapes;
use escapes::{NoEscape, hex_digit};

/// The minimum length of base64 to decode, in characters. Shorter text cannot hold a value.
const SHORTEST_BASE64: usize = 11;
/// The minimum length of hexadecimal to decode, in digits.
const SHORTEST_HEX: usize = 16;
/// The minimum length of text in decoded bytes to read again, in bytes.
const SHORTEST_TEXT: usize = 8;

/// One reading of a text.
#[derive(Hash)]
pub(super) struct Layer<'t> {
    bytes: Cow<'t, [u8]>,
    /// The origin of each byte. `None` if the reading is the text itself.
    origins: Option<Vec<(u32, u32)>>,
    /// Marks the beginning of a longer text.
    pub(super) is_cut: bool,
}

impl<'t> Layer<'t> {
    /// Creates the reading that is the text itself, of less than 4 GiB.
    pub(super) fn new(text: &'t [u8], is_cut: bool) -> Self {
        Self {
            bytes: text.into(),
            origins: None,
            is_cut,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the origin of a part of this reading.
    pub(super) fn origin(&self, part: Range<usize>) -> Range<usize> {
        match &self.origins {
            None => part,
            Some(origins) => origins[part.start].0 as usize..origins[part.end - 1].1 as usize,
        }
    }

    /// Undoes escapes of one kind, or returns `None` if there are none. Omits a truncated escape.
    pub(super) fn unescaped(&self, escapes: Escapes) -> Option<Layer<'static>> {
        let marker = escapes.marker();
        let mut decoded = Decoded::with_capacity(self.bytes.len());
        let (mut copied, mut at) = (0, 0);
        while let Some(next) = self.bytes[at..].iter().position(|byte| *byte == marker) {
            at += next;
            let length = match escapes.read(&self.bytes[at..], self.is_cut) {
                Ok((length, value)) => {
                    decoded.copy(self, copied..at);
                    let origin = self.origin(at..at + length);
                    for byte in value.bytes(&mut [0; 4]) {
                        decoded.push(*byte, &origin);
                    }
                    copied = at + length;
                    length
                }
                Err(NoEscape::Truncated) if self.is_cut => {
                    decoded.copy(self, copied..at);
                    return Some(decoded.layer(true));
                }
                Err(_) => 1,
            };
            at += length;
        }
        if copied == 0 {
            return None;
        }
        decoded.copy(self, copied..self.bytes.len());
        Some(decoded.layer(self.is_cut))
    }

    /// Decodes base64 of either alphabet and hexadecimal, at each alignment and across line breaks and tags.
    pub(super) fn decoded(&self) -> impl Iterator<Item = Layer<'static>> {
        let in_base64 = self.runs(SHORTEST_BASE64, base64);
        let in_hex = self.runs(SHORTEST_HEX, hex);
        let from_base64 = (0..4).map(move |skip| self.decode(&in_base64, skip, 6));
        let from_hex = (0..2).map(move |skip| self.decode(&in_hex, skip, 4));
        from_base64.chain(from_hex).flatten()
    }

    /// Finds the parts of this reading that consist of digits and gaps, with at least `shortest` digits.
    fn runs(&self, shortest: usize, digits: Digits) -> Runs {
        let (mut runs, mut at) = (Runs::default(), 0);
        while at < self.bytes.len() {
            let mut run = Vec::new();
            loop {
                at += match self.sign(at, digits) {
                    Sign::Digit(digit) => {
                        run.push((at, digit));
                        1
                    }
                    Sign::Gap(length) => length,
                    Sign::Other => break,
                };
            }
            let is_cut = self.is_cut && at == self.bytes.len();
            // The beginning of a value is enough at the end of a cut text.
            if run.len() >= if is_cut { shortest / 2 } else { shortest } {
                runs.digits.push(run);
                runs.is_cut = is_cut;
            }
            at += 1;
        }
        runs
    }

    /// Classifies the byte at a position.
    fn sign(&self, at: usize, digits: Digits) -> Sign {
        match self.bytes.get(at) {
            None => Sign::Other,
            Some(b'<') => match tag(&self.bytes[at..], self.is_cut) {
                0 => Sign::Other,
                length => Sign::Gap(length),
            },
            Some(byte) => digits(*byte),
        }
    }

    /// Decodes runs of digits of `bits` bits each. Skips the first `skip` digits of each run.
    fn decode(&self, runs: &Runs, skip: usize, bits: u32) -> Option<Layer<'static>> {
        let most: usize = runs.digits.iter().map(Vec::len).sum();
        let mut decoded = Decoded::with_capacity(most * bits as usize / 8 + runs.digits.len());
        for run in &runs.digits {
            // Bytes of different runs are not adjacent.
            decoded.part();
            let (mut value, mut held, mut begin) = (0_u32, 0, 0);
            for &(place, digit) in run.iter().skip(skip) {
                if held == 0 {
                    begin = place;
                }
                value = value << bits | u32::from(digit);
                held += bits;
                // Bits that do not fill a byte are dropped.
                if held >= 8 {
                    held -= 8;
                    let origin = self.origin(begin..place + 1);
                    // Fewer than eight bits remain.
                    decoded.push((value >> held) as u8, &origin);
                    value &= (1 << held) - 1;
                    begin = place;
                }
            }
        }
        (most > 0).then(|| decoded.layer(runs.is_cut))
    }

    /// Keeps only the parts that are text. Returns `None` if there are none.
    pub(super) fn texts(&self) -> Option<Layer<'static>> {
        let is_text = |byte: &u8| !byte.is_ascii_control() || matches!(byte, b'\t' | b'\r' | b'\n');
        let mut decoded = Decoded::with_capacity(0);
        let (mut at, mut is_cut) = (0, false);
        for chunk in self.bytes.utf8_chunks() {
            for part in chunk.valid().as_bytes().split(|byte| !is_text(byte)) {
                let end = at + part.len();
                if part.len() >= SHORTEST_TEXT {
                    decoded.part();
                    decoded.copy(self, at..end);
                    is_cut = self.is_cut && end == self.bytes.len();
                }
                at = end + 1;
            }
            // The last part has no separator after it.
            at += chunk.invalid().len();
            at -= 1;
        }
        (!decoded.bytes.is_empty()).then(|| decoded.layer(is_cut))
    }
}

/// The runs of digits of a reading, each digit with its place.
#[derive(Default)]
struct Runs {
    digits: Vec<Vec<(usize, u8)>>,
    /// Marks that the last run ends where the text is cut.
    is_cut: bool,
}

/// A byte, or a tag, among digits.
enum Sign {
    Digit(u8),
    /// A space, a line break or a tag between digits, of this length in bytes.
    Gap(usize),
    Other,
}

/// The maximum number of letters in a tag's name. The letters of a longer one may be digits.
const LONGEST_TAG: usize = 4;

/// Returns the length of a tag such as `<br />` at the beginning of a text, or 0.
fn tag(text: &[u8], is_cut: bool) -> usize {
    let mut at = 1;
    let mut skip = |most: usize, is_it: fn(&u8) -> bool| {
        at += text[at..]
            .iter()
            .take(most)
            .take_while(|byte| is_it(byte))
            .count();
        at
    };
    let begin = skip(1, |byte| *byte == b'/');
    let end = skip(LONGEST_TAG, u8::is_ascii_alphanumeric);
    skip(1, |byte| *byte == b' ');
    let length = skip(1, |byte| *byte == b'/');
    match text.get(length) {
        Some(b'>') if end > begin => length + 1,
        None if is_cut => length,
        _ => 0,
    }
}

/// Classifies a byte as a digit.
type Digits = fn(u8) -> Sign;

/// Reads digits of both base64 alphabets.
fn base64(byte: u8) -> Sign {
    Sign::Digit(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        b' ' | b'\t' | b'\r' | b'\n' => return Sign::Gap(1),
        _ => return Sign::Other,
    })
}

fn hex(byte: u8) -> Sign {
    match byte {
        b' ' | b'\t' | b'\r' | b'\n' | b':' | b'-' | b'+' => Sign::Gap(1),
        _ => hex_digit(byte).map_or(Sign::Other, Sign::Digit),
    }
}

/// A reading under construction.
struct Decoded {
    bytes: Vec<u8>,
    origins: Vec<(u32, u32)>,
}

impl Decoded {
    fn with_capacity(length: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(length),
            origins: Vec::with_capacity(length),
        }
    }

    fn push(&mut self, byte: u8, origin: &Range<usize>) {
        self.bytes.push(byte);
        self.origins.push((origin.start as u32, origin.end as u32));
    }

    /// Appends a part of another reading.
    fn copy(&mut self, layer: &Layer<'_>, part: Range<usize>) {
        self.bytes.extend_from_slice(&layer.bytes[part.clone()]);
        match &layer.origins {
            Some(origins) => self.origins.extend_from_slice(&origins[part]),
            None => {
                let places = part.start as u32..part.end as u32;
                self.origins.extend(places.map(|place| (place, place + 1)));
            }
        }
    }

    /// Ends a part, if there is one, so that no value crosses its end.
    fn part(&mut self) {
        if let Some(&(_, end)) = self.origins.last() {
            self.bytes.push(0);
            self.origins.push((end, end));
        }
    }

    fn layer(self, is_cut: bool) -> Layer<'static> {
        Layer {
            bytes: self.bytes.into(),
            origins: Some(self.origins),
            is_cut,
        }
    }
}
