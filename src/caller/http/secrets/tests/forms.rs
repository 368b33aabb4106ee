//! Random secrets in random forms. The forms are written independently of the code that reads them.

use std::iter;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use fastrand::Rng;
use proptest::prelude::*;

use super::super::*;
use super::knowing;

/// A text with a value in it, and the place of each byte of the value.
#[derive(Clone, Debug)]
struct Quoted {
    text: Vec<u8>,
    places: Vec<Range<usize>>,
}

impl Quoted {
    /// Spells each byte on its own.
    fn spelled(self, spell: &mut dyn FnMut(u8) -> String) -> Self {
        let mut text = Vec::new();
        let mut ends = vec![0];
        for byte in &self.text {
            text.extend(spell(*byte).bytes());
            ends.push(text.len());
        }
        let moved = |place: &Range<usize>| ends[place.start]..ends[place.end];
        Self {
            places: self.places.iter().map(moved).collect(),
            text,
        }
    }

    /// Replaces the text by its encoding, in digits of `bits` bits.
    fn encoded(self, bits: usize, text: String) -> Self {
        let digits = |place: &Range<usize>| place.start * 8 / bits..(place.end * 8).div_ceil(bits);
        Self {
            places: self.places.iter().map(digits).collect(),
            text: text.into_bytes(),
        }
    }

    /// Inserts a gap after every `every` bytes.
    fn broken(self, every: usize, gap: &str) -> Self {
        let moved = |place: usize| place + place / every * gap.len();
        let line = |line: &[u8]| [line, gap.as_bytes()].concat();
        let mut text: Vec<u8> = self.text.chunks(every).flat_map(line).collect();
        text.truncate(moved(self.text.len() - 1) + 1);
        let part = |place: &Range<usize>| moved(place.start)..moved(place.end - 1) + 1;
        Self {
            places: self.places.iter().map(part).collect(),
            text,
        }
    }

    fn within(self, before: &str, after: &str) -> Self {
        let moved = |place: &Range<usize>| place.start + before.len()..place.end + before.len();
        Self {
            places: self.places.iter().map(moved).collect(),
            text: [before.as_bytes(), &self.text, after.as_bytes()].concat(),
        }
    }

    fn whole(&self) -> Range<usize> {
        self.places[0].start..self.places[self.places.len() - 1].end
    }
}

fn hex_of(byte: u8, rng: &mut Rng) -> String {
    if rng.bool() {
        format!("{byte:02x}")
    } else {
        format!("{byte:02X}")
    }
}

/// Quotes a text in a random form that services use.
fn quoted(text: Quoted, rng: &mut Rng) -> Quoted {
    let share = rng.f32();
    let ascii = text.text.is_ascii();
    let bytes = text.text.clone();
    match rng.u8(0..14) {
        0 => text,
        // JSON, with slashes escaped like PHP, and other characters like .NET.
        1 | 2 => text.spelled(&mut |byte| match byte {
            b'"' | b'\\' => format!("\\{}", byte as char),
            b'/' if rng.bool() => "\\/".to_owned(),
            byte if byte < 0x20 || byte.is_ascii() && rng.f32() < share / 2.0 => {
                format!("\\u00{}", hex_of(byte, rng))
            }
            byte => (byte as char).to_string(),
        }),
        3 if ascii => text.spelled(&mut |byte| match byte {
            b'&' => "&amp;".to_owned(),
            b'<' => "&lt;".to_owned(),
            b'"' => "&quot;".to_owned(),
            b'\'' => "&#39;".to_owned(),
            b'+' if rng.bool() => "&plus;".to_owned(),
            b'/' if rng.bool() => "&sol;".to_owned(),
            byte if rng.f32() < share => match rng.u8(0..3) {
                0 => format!("&#{byte};"),
                1 => format!("&#x{};", hex_of(byte, rng)),
                _ => format!("&#X00{};", hex_of(byte, rng)),
            },
            byte => (byte as char).to_string(),
        }),
        4 | 5 => text.spelled(&mut |byte| match byte {
            byte if byte == b'%' || !byte.is_ascii() || rng.f32() < share => {
                format!("%{}", hex_of(byte, rng))
            }
            byte => (byte as char).to_string(),
        }),
        6 => text.spelled(&mut |byte| match byte {
            b'\\' => "\\\\".to_owned(),
            byte if !byte.is_ascii() || rng.f32() < share => format!("\\x{}", hex_of(byte, rng)),
            byte => (byte as char).to_string(),
        }),
        // Browsers accept these without semicolons.
        10 if ascii => {
            let digits = rng.usize(3..16);
            text.spelled(&mut |byte| format!("&#{byte:0digits$}"))
        }
        11 if ascii => {
            let digits = rng.usize(2..16);
            text.spelled(&mut |byte| format!("&#x{byte:0digits$x}"))
        }
        7 | 8 | 12 => {
            let is_broken = rng.bool();
            let engine =
                [&STANDARD, &URL_SAFE, &STANDARD_NO_PAD, &URL_SAFE_NO_PAD][rng.usize(0..4)];
            let encoded = text.encoded(6, engine.encode(bytes));
            let gaps = ["\n    ", "\r\n\t\t", " ", "<br>", "<BR />\n", "</p>\n<p>"];
            match is_broken {
                true => encoded.broken(rng.usize(4..77), gaps[rng.usize(0..gaps.len())]),
                false => encoded,
            }
        }
        _ => {
            let upper = rng.bool();
            let digits = |byte: &u8| {
                if upper {
                    format!("{byte:02X}")
                } else {
                    format!("{byte:02x}")
                }
            };
            let encoded = text.encoded(4, bytes.iter().map(digits).collect());
            match rng.u8(0..5) {
                0 => encoded.broken(2, [":", " ", "-"][rng.usize(0..3)]),
                1 => encoded.broken(32, "\n  "),
                _ => encoded,
            }
        }
    }
}

fn a_secret(rng: &mut Rng) -> String {
    let length = rng.usize(SHORTEST..60);
    let odd = b"+/\\\"%&=?:;<>'-_. ";
    let char = |rng: &mut Rng| match rng.u8(0..4) {
        0 => odd[rng.usize(0..odd.len())] as char,
        _ => rng.alphanumeric(),
    };
    let inner: String = iter::repeat_with(|| char(rng)).take(length).collect();
    // Letters at both ends cannot form an escape with a neighbour.
    format!("{}{inner}{}", rng.alphabetic(), rng.alphabetic())
}

/// Returns a random secret, and a text that quotes it in at most two nested forms.
fn case(rng: &mut Rng) -> (String, Quoted) {
    let around = [
        ("", ""),
        ("invalid key: ", " for user 7"),
        ("{\"message\": \"", "\"}"),
        ("me:", ""),
        ("/login?next=", "#x"),
        ("<p>", "</p>"),
    ];
    let secret = a_secret(rng);
    let mut text = Quoted {
        text: secret.as_bytes().to_vec(),
        places: (0..secret.len()).map(|place| place..place + 1).collect(),
    };
    for _ in 0..2 {
        text = quoted(text, rng);
        let (before, after) = around[rng.usize(0..around.len())];
        text = text.within(before, after);
    }
    (secret, text)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn row_118_a_value_is_replaced_in_any_two_forms_and_nothing_else_is(seed: u64) {
        let mut rng = Rng::with_seed(seed);
        let (secret, quoted) = case(&mut rng);
        let mut secrets = knowing(&["another-one-of-them"]);
        secrets.add_value(secret.as_bytes());
        let place = quoted.whole();
        let masked = secrets.mask(&quoted.text);
        let expected = [&quoted.text[..place.start], REDACTED, &quoted.text[place.end..]].concat();
        prop_assert_eq!(
            String::from_utf8_lossy(&masked),
            String::from_utf8_lossy(&expected),
            "{} in {}", secret, String::from_utf8_lossy(&quoted.text)
        );

        // Cut the text anywhere after the value's eighth byte.
        let cut = rng.usize(quoted.places[SHORTEST - 1].end..=place.end);
        let masked = secrets.mask_beginning(&quoted.text[..cut], cut);
        let expected = [&quoted.text[..place.start], REDACTED].concat();
        prop_assert_eq!(
            String::from_utf8_lossy(&masked),
            String::from_utf8_lossy(&expected),
            "{} in {}", secret, String::from_utf8_lossy(&quoted.text[..cut])
        );
    }

    #[test]
    fn row_118_a_value_is_found_across_pieces(seed: u64) {
        let mut rng = Rng::with_seed(seed);
        let (secret, quoted) = case(&mut rng);
        let mut secrets = Secrets::default();
        secrets.add_value(secret.as_bytes());
        // A longer spelling may exceed the reach.
        prop_assume!(quoted.whole().len() <= secret.len() * LONGEST_SPELLING);
        let mut text = Vec::new();
        for _ in 0..4 {
            let filler = rng.usize(0..3 * secrets.reach());
            text.extend(iter::repeat_with(|| b"ab/ \n,"[rng.usize(0..6)]).take(filler));
            text.extend(b" ");
            text.extend(&quoted.text);
            text.extend(b" ");
        }
        let mut masked = Vec::new();
        let add = &mut |piece: &[u8]| {
            masked.extend_from_slice(piece);
            Ok(())
        };
        secrets.mask_pieces(1, &mut text.as_slice(), add).unwrap();
        let at_once = secrets.mask(&text);
        prop_assert_eq!(String::from_utf8_lossy(&masked), String::from_utf8_lossy(&at_once));
        prop_assert_eq!(masked.windows(REDACTED.len()).filter(|part| *part == REDACTED).count(), 4);
    }

    #[test]
    fn row_118_any_text_can_be_searched(text: Vec<u8>, signs in "[\\\\%&#xu{};0-9a-f]{0,200}") {
        let secrets = knowing(&["s3cret/key+1"]);
        secrets.mask(&text);
        let signs = signs.as_bytes();
        prop_assert_eq!(secrets.mask(signs), signs);
        secrets.mask_beginning(signs, signs.len());
    }
}
