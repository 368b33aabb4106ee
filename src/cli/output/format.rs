//! Formats numbers, sizes and lists of names for people.

use stride::job::{FileName, shortened};
pub(crate) use stride::report::{counted, grouped};

/// Formats a size in powers of two: `64 MiB`, `1.5 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    let mut amount = bytes as f64;
    let mut units = ["bytes", "KiB", "MiB", "GiB", "TiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for next in units {
        if amount < 1024.0 {
            break;
        }
        amount /= 1024.0;
        unit = next;
    }
    let rounded = (amount * 10.0).round() / 10.0;
    format!("{rounded} {unit}")
}

/// The most names in a message.
const NAMES: usize = 5;

/// Lists the first few names, and counts the others.
pub(crate) fn names(names: &[FileName]) -> String {
    let mut shown: Vec<String> = names.iter().take(NAMES).map(ToString::to_string).collect();
    if names.len() > NAMES {
        shown.push(format!(
            "and {} more",
            grouped((names.len() - NAMES) as u64)
        ));
    }
    shown.join(", ")
}

/// The longest text from outside in a line, in characters.
const SHOWN: usize = 200;

/// Escapes and shortens a text from outside.
pub(crate) fn short(text: &[u8]) -> String {
    shortened(text, SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_powers_of_two() {
        for (bytes, expected) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (64 << 20, "64 MiB"),
            (3 << 29, "1.5 GiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }
}
