//! Parses any pasted text, as a command or as a configuration file.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stride::curl::{self, ParsedOption, config};

/// Checks the rules that hold for every option.
fn check(given: &[ParsedOption]) {
    for each in given {
        assert_eq!(each.value.is_some(), each.option.value.is_some());
    }
}

fuzz_target!(|text: &str| {
    if let Ok(words) = curl::words(text) {
        // The reference to a variable expands a character the most: `$A` becomes `{env:A}`.
        let length: usize = words.iter().map(String::len).sum();
        assert!(length <= 7 * text.len());
        assert_eq!(curl::command(text), curl::read(words));
    } else {
        assert!(curl::command(text).is_err());
    }
    if let Ok(given) = curl::command(text) {
        check(&given);
    }
    if let Ok(given) = config::read(text) {
        check(&given);
        assert!(given.len() <= 2 * text.len());
    }
});
