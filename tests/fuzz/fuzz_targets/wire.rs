//! Reads any output of a worker. In pieces it says the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stride::caller::heard;

fuzz_target!(|input: (u8, &[u8])| {
    let (step, bytes) = input;
    let whole = heard(bytes, bytes.len().max(1));
    assert_eq!(heard(bytes, usize::from(step).max(1)), whole);
    assert!(whole.iter().all(|said| !said.contains('\n')));
});
