//! Formats numbers, sizes and lists of names for people.

use stride::job::{FileName, shortened};

/// Formats a number with thousands separators: 41,000.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Formats a number and its noun: `1 file`, `41,000 files`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    format!(
        "{} {noun}{}",
        grouped(number),
        if number == 1 { "" } else { "s" }
    )
}

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

/// How many names a message lists at most.
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

/// How much of a message or a body is shown in one line, in characters.
const SHOWN: usize = 200;

/// Escapes and shortens a text from outside.
pub(crate) fn short(text: &[u8]) -> String {
    shortened(text, SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(41_000), "41,000");
        assert_eq!(grouped(10_000_000), "10,000,000");
        assert_eq!(counted(1, "file"), "1 file");
        assert_eq!(counted(2, "file"), "2 files");
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
