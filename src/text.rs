//! Numbers, sizes and bytes as text.

/// Formats a number with thousands separators: `41,000`.
pub fn grouped(number: u64) -> String {
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
pub fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}

/// Formats a size in powers of two: `64 MiB`, `1.5 GiB`.
pub fn size(bytes: u64) -> String {
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

/// Formats bytes in hexadecimal. Every call formats a key, and `{:02x}` is measurably slower.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from(b"0123456789abcdef"[usize::from(half & 15)]);
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, *byte].map(digit));
    digits.collect()
}

/// Cuts a text after `most` characters, and marks the cut with an ellipsis.
pub fn cut(mut text: String, most: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_bytes_read_well() {
        for (number, expected) in [(0, "0"), (999, "999"), (41_000, "41,000")] {
            assert_eq!(grouped(number), expected);
        }
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
        assert_eq!(hex(&[0, 0x9f, 0xff]), "009fff");
        assert_eq!(cut("größe".to_owned(), 3), "grö…");
        assert_eq!(cut("größe".to_owned(), 5), "größe");
    }
}
