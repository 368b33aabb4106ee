//! Names of answers in a folder: derived from the job's name, and never outside the folder.

/// The longest name in bytes that common file systems accept.
const LONGEST: usize = 255;

/// Splits a job's name into the folders and the file of its answer, at least one part. Removes slashes at the beginning,
/// `.` and empty parts. Replaces `..` by `__` and NUL by `_`, and keeps every other byte.
pub(super) fn parts(name: &[u8]) -> Vec<Vec<u8>> {
    let parts = name.split(|byte| *byte == b'/');
    let mut parts: Vec<Vec<u8>> = parts
        .filter(|part| !part.is_empty() && *part != b".")
        .map(|part| match part {
            b".." => b"__".to_vec(),
            part => {
                let clean = |byte: &u8| if *byte == 0 { b'_' } else { *byte };
                part.iter().map(clean).collect()
            }
        })
        .collect();
    if parts.is_empty() {
        parts.push(b"_".to_vec());
    }
    parts
}

/// Removes an extension that the job's name already has: a JSON answer to `a.json` is `a.json`.
pub(super) fn without_extension<'n>(name: &'n [u8], extension: &str) -> &'n [u8] {
    let (stem, end) = name.split_at(name.len().saturating_sub(extension.len()));
    match !stem.is_empty() && end.eq_ignore_ascii_case(extension.as_bytes()) {
        true => stem,
        false => name,
    }
}

/// Returns the name to try after `taken` others were taken: `a.json`, `a-2.json`, `a-3.json`. A long name is cut
/// between characters.
pub(super) fn numbered(stem: &[u8], extension: &str, taken: u32) -> Vec<u8> {
    let suffix = match taken {
        0 => extension.to_owned(),
        _ => format!("-{}{extension}", u64::from(taken) + 1),
    };
    let most = LONGEST - suffix.len();
    let mut end = stem.len().min(most);
    // The bytes of a character after its first begin with the bits 10.
    while end < stem.len() && end > most.saturating_sub(4) && stem[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    [&stem[..end], suffix.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_in_the_folder() {
        for (name, extension, expected) in [
            (&b"a.txt"[..], ".json", "a.txt.json"),
            (b"texts/a.txt", ".json", "texts/a.txt.json"),
            (b"/abs/a", ".bin", "abs/a.bin"),
            (b"../../etc/passwd", ".txt", "__/__/etc/passwd.txt"),
            (b"./a//b/./c", ".txt", "a/b/c.txt"),
            (b"a/..", ".txt", "a/__.txt"),
            (b"a.json", ".json", "a.json"),
            (b"a.JSON", ".json", "a.json"),
            (b".json", ".json", ".json.json"),
            (b"/", ".txt", "_.txt"),
            (b".", ".txt", "_.txt"),
            (b"a\0b", ".txt", "a_b.txt"),
            (b"caf\xe9", ".txt", "caf\u{fffd}.txt"),
        ] {
            let mut parts = parts(name);
            let file = parts.pop().unwrap();
            parts.push(numbered(without_extension(&file, extension), extension, 0));
            let path = parts.join(&b'/');
            assert_eq!(String::from_utf8_lossy(&path), expected);
        }
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let long = "ü".repeat(300).into_bytes();
        for (extension, taken) in [("", 0), ("", 7), (".json", 0), (".json", u32::MAX)] {
            let name = numbered(&long, extension, taken);
            assert!(
                (LONGEST - 1..=LONGEST).contains(&name.len()),
                "{}",
                name.len()
            );
            assert!(std::str::from_utf8(&name).is_ok());
        }
        assert_eq!(numbered(b"a", ".json", 1), b"a-2.json");
        assert_eq!(numbered(&[0xff; 300], ".json", 0).len(), LONGEST);
    }
}
