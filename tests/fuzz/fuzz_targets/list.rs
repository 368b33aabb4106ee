//! Parses lists in all layouts: every name is valid, and the size of the reads makes no difference.

#![no_main]

use std::io::Read;

use libfuzzer_sys::fuzz_target;
use stride::input::{Key, Layout, list};
use stride::job::Columns;

/// Reads a list in small pieces.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let most = into.len().min(self.1);
        self.0.read(&mut into[..most])
    }
}

fuzz_target!(|input: (u8, &[u8])| {
    let (choice, bytes) = input;
    let key = match choice & 4 {
        0 => Key::Usual,
        _ => Key::Columns("k".to_owned()),
    };
    let layout = match choice % 4 {
        0 => Layout::Lines,
        1 => Layout::Nul,
        2 => Layout::Csv { key: key.clone() },
        _ => Layout::Jsonl { key: key.clone() },
    };
    let whole = list(bytes, &layout);
    let again = list(Pieces(bytes, 1 + usize::from(choice >> 3)), &layout);
    let (items, blank) = match (whole, again) {
        (Ok(whole), Ok(again)) => {
            assert_eq!(whole, again);
            whole
        }
        (Err(whole), Err(again)) => {
            assert_eq!(whole.to_string(), again.to_string());
            return;
        }
        (whole, again) => panic!("{whole:?} is not {again:?}"),
    };
    assert!(items.len() + blank as usize <= bytes.len() + 1);
    let names: usize = items.iter().map(|item| item.name.as_bytes().len()).sum();
    assert!(names <= bytes.len());
    for item in &items {
        let name = item.name.as_bytes();
        assert!(!name.is_empty() && !name.contains(&0));
        match &layout {
            Layout::Lines => assert!(!name.contains(&b'\n') && item.columns.is_none()),
            Layout::Nul => assert!(item.columns.is_none()),
            Layout::Csv { .. } | Layout::Jsonl { .. } => {
                let text = item.columns.as_ref().expect("a table has columns");
                let columns = Columns::read(text).expect("an object");
                let own = match &key {
                    Key::Columns(key) => columns.text(key),
                    _ => columns.text("path").or_else(|| columns.text("file")),
                };
                let own = own.expect("the column with the names");
                // A name that is not UTF-8 has another form in the object.
                assert!(item.name.as_str().is_none_or(|name| name == own));
            }
        }
    }
    // A list with one name for each entry survives a round trip.
    let end = match layout {
        Layout::Lines => b'\n',
        Layout::Nul => 0,
        _ => return,
    };
    let written: Vec<u8> = items
        .iter()
        .flat_map(|item| item.name.as_bytes().iter().copied().chain([end]))
        .collect();
    assert_eq!(
        list(written.as_slice(), &layout).expect("a list"),
        (items, 0)
    );
});
