//! Where in a folder the answer of a job goes: a place that the job's name tells, and that is in the folder whatever the
//! name is.

/// The most bytes that a name in a folder may have, on every file system in use.
const LONGEST: usize = 255;
/// Room for what tells names apart that would be the same, in bytes.
const SUFFIX: usize = 12;

/// A spot below a folder: the folders on the way, and the file's name without and with its ending.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) folders: Vec<Vec<u8>>,
    stem: Vec<u8>,
    ending: String,
}

impl Spot {
    /// The spot for the answer to a job of this name. What leads out of the folder is left out (a slash at the
    /// beginning) or renamed (`..` becomes `__`); all other bytes are kept, as far as a file system takes them.
    pub(super) fn of(name: &[u8], ending: &str) -> Self {
        let parts = name
            .split(|byte| *byte == b'/')
            .filter(|part| !part.is_empty() && *part != b".");
        let mut folders: Vec<Vec<u8>> = parts.map(part).collect();
        let mut stem = folders.pop().unwrap_or_else(|| b"_".to_vec());
        let ending = format!(".{ending}");
        // An answer to `a.json` that is JSON is `a.json`.
        let split = stem.len().saturating_sub(ending.len());
        if split > 0 && stem[split..].eq_ignore_ascii_case(ending.as_bytes()) {
            stem.truncate(split);
        }
        shorten(&mut stem, LONGEST - SUFFIX - ending.len());
        Self {
            folders,
            stem,
            ending,
        }
    }

    /// The file's name where so many others have been tried, all of which there was something of.
    pub(super) fn file(&self, tried: u32) -> Vec<u8> {
        let suffix = suffix(tried);
        [&self.stem, suffix.as_bytes(), self.ending.as_bytes()].concat()
    }
}

/// A folder's name where so many others were files.
pub(super) fn folder(name: &[u8], tried: u32) -> Vec<u8> {
    let mut name = name.to_vec();
    if tried > 0 {
        shorten(&mut name, LONGEST - SUFFIX);
    }
    name.extend_from_slice(suffix(tried).as_bytes());
    name
}

fn suffix(tried: u32) -> String {
    match tried {
        0 => String::new(),
        _ => format!("-{}", u64::from(tried) + 1),
    }
}

fn part(part: &[u8]) -> Vec<u8> {
    if part == b".." {
        return b"__".to_vec();
    }
    let mut part: Vec<u8> = part
        .iter()
        .map(|byte| if *byte == 0 { b'_' } else { *byte })
        .collect();
    shorten(&mut part, LONGEST);
    part
}

/// Cuts a name where a character begins.
fn shorten(name: &mut Vec<u8>, most: usize) {
    if name.len() <= most {
        return;
    }
    let mut end = most;
    while end > most.saturating_sub(4) && name[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    name.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &[u8], ending: &str) -> String {
        let place = Spot::of(name, ending);
        let parts = place.folders.iter().cloned().chain([place.file(0)]);
        let parts: Vec<String> = parts
            .map(|part| String::from_utf8_lossy(&part).into_owned())
            .collect();
        parts.join("/")
    }

    #[test]
    fn a_place_is_in_the_folder_whatever_the_name_is() {
        for (name, ending, expected) in [
            (&b"a.txt"[..], "json", "a.txt.json"),
            (b"texts/a.txt", "json", "texts/a.txt.json"),
            (b"/abs/a", "bin", "abs/a.bin"),
            (b"../../etc/passwd", "txt", "__/__/etc/passwd.txt"),
            (b"./a//b/./c", "txt", "a/b/c.txt"),
            (b"a/..", "txt", "a/__.txt"),
            (b"a.json", "json", "a.json"),
            (b"a.JSON", "json", "a.json"),
            (b".json", "json", ".json.json"),
            (b"/", "txt", "_.txt"),
            (b".", "txt", "_.txt"),
            (b"a\0b", "txt", "a_b.txt"),
            (b"caf\xe9", "txt", "caf\u{fffd}.txt"),
        ] {
            assert_eq!(path(name, ending), expected);
        }
    }

    #[test]
    fn long_names_are_cut_and_have_room_for_what_tells_them_apart() {
        let long = "ü".repeat(300);
        let place = Spot::of(format!("{long}/{long}").as_bytes(), "json");
        let names = [&place.folders[0], &place.file(0), &place.file(u32::MAX)];
        for name in names.into_iter().chain([&folder(&place.folders[0], 7)]) {
            assert!(name.len() <= LONGEST, "{}", name.len());
            assert!(std::str::from_utf8(name).is_ok());
        }
        assert!(place.file(1).ends_with(b"-2.json"));
        assert_ne!(folder(&place.folders[0], 1), place.folders[0]);
        let odd = vec![0xff; 300];
        assert!(Spot::of(&odd, "json").file(0).len() <= LONGEST);
    }
}
