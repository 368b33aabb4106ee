//! Readings of a text: with escapes undone, or with what is in base64 or hexadecimal in it decoded. Each byte of a reading
//! knows which bytes of the text it was made of.

mod escapes;

use std::borrow::Cow;
use std::ops::Range;

pub(super) use escapes::Escapes;
use escapes::Found;

/// The shortest base64 text that is decoded, in characters: shorter ones hold less than a value that is looked for.
const SHORTEST_BASE64: usize = 11;
/// The shortest hexadecimal text that is decoded, in digits.
const SHORTEST_HEX: usize = 16;
/// The shortest text within decoded bytes that is worth another reading, in bytes.
const SHORTEST_TEXT: usize = 8;

/// One reading of a text.
#[derive(Hash)]
pub(super) struct Layer<'t> {
    bytes: Cow<'t, [u8]>,
    /// Where each byte comes from. `None` where the reading is the text itself.
    origins: Option<Vec<(u32, u32)>>,
    /// Whether the text goes on behind its end.
    pub(super) is_cut: bool,
}

impl<'t> Layer<'t> {
    /// The text itself: less than 4 GiB.
    pub(super) fn of(text: &'t [u8], is_cut: bool) -> Self {
        Self {
            bytes: text.into(),
            origins: None,
            is_cut,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the part of the text that a part of this reading was made of.
    pub(super) fn origin(&self, part: Range<usize>) -> Range<usize> {
        match &self.origins {
            None => part,
            Some(origins) => origins[part.start].0 as usize..origins[part.end - 1].1 as usize,
        }
    }

    /// Undoes escapes of one kind. `None` where there are none. An escape that is cut off is left out.
    pub(super) fn unescaped(&self, escapes: Escapes) -> Option<Layer<'static>> {
        let marker = escapes.marker();
        let mut decoded = Decoded::with_capacity(self.bytes.len());
        let (mut copied, mut at) = (0, 0);
        while let Some(next) = self.bytes[at..].iter().position(|byte| *byte == marker) {
            at += next;
            let length = match escapes.read(&self.bytes[at..], self.is_cut) {
                Found::Escape(length, meant) => {
                    decoded.copy(self, copied..at);
                    let origin = self.origin(at..at + length);
                    for byte in meant.bytes(&mut [0; 4]) {
                        decoded.push(*byte, &origin);
                    }
                    copied = at + length;
                    length
                }
                Found::Part if self.is_cut => {
                    decoded.copy(self, copied..at);
                    return Some(decoded.layer(true));
                }
                Found::Part | Found::Nothing => 1,
            };
            at += length;
        }
        if copied == 0 {
            return None;
        }
        decoded.copy(self, copied..self.bytes.len());
        Some(decoded.layer(self.is_cut))
    }

    /// Decodes base64, of either alphabet, and hexadecimal, wherever it may begin and whatever breaks it.
    pub(super) fn decoded(&self) -> impl Iterator<Item = Layer<'static>> {
        let in_base64 = self.runs(SHORTEST_BASE64, &BASE64);
        let in_hex = self.runs(SHORTEST_HEX, &HEX);
        let from_base64 = (0..4).map(move |skip| self.decode(&in_base64, skip, 6, &BASE64));
        let from_hex = (0..2).map(move |skip| self.decode(&in_hex, skip, 4, &HEX));
        from_base64.chain(from_hex).flatten()
    }

    /// Finds the parts of this reading that have at least so many digits, and nothing else but gaps.
    fn runs(&self, shortest: usize, digits: &Digits) -> Vec<Range<usize>> {
        let (mut runs, mut at) = (Vec::new(), 0);
        while at < self.bytes.len() {
            let (begin, mut count) = (at, 0);
            loop {
                at += match self.sign(at, digits) {
                    Sign::Digit(_) => {
                        count += 1;
                        1
                    }
                    Sign::Gap(length) => length,
                    Sign::Other => break,
                };
            }
            // Where the text is cut off, the beginning of a value is enough.
            let is_cut = self.is_cut && at == self.bytes.len();
            if count >= if is_cut { shortest / 2 } else { shortest } {
                runs.push(begin..at);
            }
            at += 1;
        }
        runs
    }

    /// Returns what stands at a place where there may be digits.
    fn sign(&self, at: usize, digits: &Digits) -> Sign {
        match self.bytes.get(at) {
            None => Sign::Other,
            Some(b'<') => match tag(&self.bytes[at..], self.is_cut) {
                0 => Sign::Other,
                length => Sign::Gap(length),
            },
            Some(byte) => match digits[usize::from(*byte)] {
                NO_DIGIT => Sign::Other,
                GAP => Sign::Gap(1),
                digit => Sign::Digit(digit),
            },
        }
    }

    /// Decodes runs of digits of so many bits each, but for the first digits of each run.
    fn decode(
        &self,
        runs: &[Range<usize>],
        skip: usize,
        bits: u32,
        digits: &Digits,
    ) -> Option<Layer<'static>> {
        let last = runs.last()?;
        let is_cut = self.is_cut && last.end == self.bytes.len();
        let most: usize = runs.iter().map(ExactSizeIterator::len).sum();
        let mut decoded = Decoded::with_capacity(most * bits as usize / 8 + runs.len());
        for run in runs {
            // What comes from one place of the text and what comes from another are not next to each other.
            decoded.part();
            let (mut value, mut held, mut begin) = (0_u32, 0, 0);
            let (mut left, mut next) = (skip, run.start);
            while next < run.end {
                let place = next;
                let digit = match self.sign(place, digits) {
                    Sign::Digit(digit) => digit,
                    Sign::Gap(length) => {
                        next += length;
                        continue;
                    }
                    Sign::Other => break,
                };
                next += 1;
                if left > 0 {
                    left -= 1;
                    continue;
                }
                if held == 0 {
                    begin = place;
                }
                value = value << bits | u32::from(digit);
                held += bits;
                // What is too little for a byte is left out.
                if held >= 8 {
                    held -= 8;
                    let origin = self.origin(begin..place + 1);
                    // Fewer than eight bits are left over each time.
                    decoded.push((value >> held) as u8, &origin);
                    value &= (1 << held) - 1;
                    begin = place;
                }
            }
        }
        Some(decoded.layer(is_cut))
    }

    /// Leaves out whatever is not text. `None` where there is nothing that is.
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
            // No part has a separator behind it that is the last one.
            at += chunk.invalid().len();
            at -= 1;
        }
        (!decoded.bytes.is_empty()).then(|| decoded.layer(is_cut))
    }
}

/// What stands at a place where there may be digits.
enum Sign {
    Digit(u8),
    /// What may stand between digits, of this length in bytes: spaces, ends of lines, tags.
    Gap(usize),
    Other,
}

/// The most letters in a tag's name. What a longer one has in it may be digits.
const LONGEST_TAG: usize = 4;

/// Returns the length of the tag at the beginning of a text, such as `<br />`, or 0. The text may be cut off at its end.
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

/// What each byte is as a digit.
type Digits = [u8; 256];

/// A byte that is no digit.
const NO_DIGIT: u8 = 255;
/// A byte that may stand between digits.
const GAP: u8 = 254;

const BASE64: Digits = digits(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    b"-_",
    62,
    b" \t\r\n",
);
const HEX: Digits = digits(b"0123456789abcdef", b"ABCDEF", 10, b" \t\r\n:-+");

/// Numbers digits in their order, and others from a number on.
const fn digits(usual: &[u8], others: &[u8], from: u8, gaps: &[u8]) -> Digits {
    let mut digits = [NO_DIGIT; 256];
    let mut place = 0;
    while place < gaps.len() {
        digits[gaps[place] as usize] = GAP;
        place += 1;
    }
    place = 0;
    while place < usual.len() {
        digits[usual[place] as usize] = place as u8;
        place += 1;
    }
    place = 0;
    while place < others.len() {
        digits[others[place] as usize] = from + place as u8;
        place += 1;
    }
    digits
}

/// A reading while it is being made.
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

    /// Takes a part of another reading over.
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

    /// Ends a part, if there is one: no value goes on behind it.
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
