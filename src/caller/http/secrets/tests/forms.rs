//! Random secrets in random forms, which are written here without regard to how stride reads them.

use std::iter;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use fastrand::Rng;
use proptest::prelude::*;

use super::super::*;
use super::knowing;

/// A text that a value was put into, and where each byte of the value went.
#[derive(Clone, Debug)]
struct Quoted {
    text: Vec<u8>,
    places: Vec<Range<usize>>,
}

impl Quoted {
    /// Spells each byte by itself.
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

    /// Encodes the whole in digits of so many bits each.
    fn encoded(self, bits: usize, text: String) -> Self {
        let digits = |place: &Range<usize>| place.start * 8 / bits..(place.end * 8).div_ceil(bits);
        Self {
            places: self.places.iter().map(digits).collect(),
            text: text.into_bytes(),
        }
    }

    /// Puts a gap behind every so many bytes.
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

/// Quotes a text in one of the forms that services use, written without regard to how stride reads them.
fn quoted(text: Quoted, rng: &mut Rng) -> Quoted {
    let share = rng.f32();
    let ascii = text.text.is_ascii();
    let bytes = text.text.clone();
    match rng.u8(0..14) {
        0 => text,
        // JSON, with slashes escaped as PHP does it and with whatever is no letter as .NET does it.
        1 | 2 => text.spelled(&mut |byte| match byte {
            b'"' | b'\\' => format!("\\{}", byte as char),
            b'/' if rng.bool() => "\\/".to_owned(),
            byte if byte < 0x20 || byte.is_ascii() && rng.f32() < share / 2.0 => {
                format!("\\u00{}", hex_of(byte, rng))
            }
            byte => char_of(byte),
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
        // As browsers take it too.
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

/// A byte of UTF-8 as the part of a character that it is. Only ASCII is told as a character of its own.
fn char_of(byte: u8) -> String {
    assert!(byte.is_ascii(), "only ASCII is put into JSON here");
    (byte as char).to_string()
}

fn a_secret(rng: &mut Rng) -> String {
    let length = rng.usize(SHORTEST..60);
    let odd = b"+/\\\"%&=?:;<>'-_. ";
    let char = |rng: &mut Rng| match rng.u8(0..4) {
        0 => odd[rng.usize(0..odd.len())] as char,
        _ => rng.alphanumeric(),
    };
    let inner: String = iter::repeat_with(|| char(rng)).take(length).collect();
    // Where a value begins and ends with letters, no neighbour makes an escape of its ends.
    format!("{}{inner}{}", rng.alphabetic(), rng.alphabetic())
}

/// A secret, and a text in which it is quoted.
fn case(rng: &mut Rng) -> (String, Quoted) {
    let secret = a_secret(rng);
    let text = case_of(&secret, rng);
    (secret, text)
}

/// A credential, and a text in which a part of it is quoted.
fn case_of_part(rng: &mut Rng) -> (String, Quoted) {
    let signs = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/-_.~!*";
    let length = rng.usize(SHORTEST..60);
    let sign = |rng: &mut Rng| signs[rng.usize(0..signs.len())] as char;
    let inner: String = iter::repeat_with(|| sign(rng)).take(length).collect();
    let part = format!("{}{inner}{}", rng.alphabetic(), rng.alphabetic());
    let scheme = ["Basic", "basic", "BASIC"][rng.usize(0..3)];
    let pairs = [
        format!("me:{part}"),
        format!("{part}:"),
        format!("{part}:x"),
    ];
    let engine = [&STANDARD, &URL_SAFE, &STANDARD_NO_PAD][rng.usize(0..3)];
    let pair = engine.encode(&pairs[rng.usize(0..3)]);
    let credential = match rng.u8(0..12) {
        0 => format!("sid={part}; theme=dark"),
        1 => format!("theme=dark;sid={part}"),
        2 => format!("Token token=\"{part}\""),
        3 => format!("Custom id='me', key='{part}',n=1"),
        4 => format!("id7,{part}"),
        5 => format!("id7:{part}"),
        6 => format!("grant=x&key={part}&n=1"),
        7 => format!("Bearer {part}"),
        8 => format!("{{\"type\": \"x\",\n  \"token\":\"{part}\"}}"),
        9 => format!("session=%7B%22token%22:%22{part}%22%7D"),
        10 => format!("{scheme} {pair}"),
        _ => pair,
    };
    let text = case_of(&part, rng);
    (credential, text)
}

/// A text in which a secret is quoted in at most two forms, one within the other.
fn case_of(secret: &str, rng: &mut Rng) -> Quoted {
    let around = [
        ("", ""),
        ("invalid key: ", " for user 7"),
        ("{\"message\": \"", "\"}"),
        ("me:", ""),
        ("/login?next=", "#x"),
        ("<p>", "</p>"),
    ];
    let mut text = Quoted {
        text: secret.as_bytes().to_vec(),
        places: (0..secret.len()).map(|place| place..place + 1).collect(),
    };
    for _ in 0..2 {
        text = quoted(text, rng);
        let (before, after) = around[rng.usize(0..around.len())];
        text = text.within(before, after);
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn row_118_a_value_is_replaced_in_any_two_forms_of_it_and_nothing_else_is(seed: u64) {
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

        // Cut off anywhere behind its eighth byte.
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
    fn row_118_a_part_of_a_credential_is_replaced_in_any_two_forms_of_it(seed: u64) {
        let mut rng = Rng::with_seed(seed);
        let (credential, quoted) = case_of_part(&mut rng);
        let masked = knowing(&[&credential]).mask_text(&String::from_utf8_lossy(&quoted.text));
        let (place, all) = (quoted.whole(), quoted.text.len());
        // Together with the signs around it, which are parts of the credential too.
        let is_masked = masked.split_once("[redacted]").is_some_and(|(before, after)| {
            quoted.text.starts_with(before.as_bytes())
                && quoted.text.ends_with(after.as_bytes())
                && before.len() <= place.start
                && after.len() <= all - place.end
        });
        prop_assert!(
            is_masked,
            "{} in {}: {}", credential, String::from_utf8_lossy(&quoted.text), masked
        );
    }

    #[test]
    fn row_118_a_value_is_found_wherever_the_pieces_begin(seed: u64) {
        let mut rng = Rng::with_seed(seed);
        let (secret, quoted) = case(&mut rng);
        let mut secrets = Secrets::default();
        secrets.add_value(secret.as_bytes());
        // What is spelled at more length is not always seen from its beginning to its end.
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
    fn row_118_no_text_is_too_odd_to_be_searched(text: Vec<u8>, signs in "[\\\\%&#xu{};0-9a-f]{0,200}") {
        let secrets = knowing(&["s3cret/key+1"]);
        secrets.mask(&text);
        let signs = signs.as_bytes();
        prop_assert_eq!(secrets.mask(signs), signs);
        secrets.mask_beginning(signs, signs.len());
    }
}
