//! The protocol for tests of any bytes.

use super::{Content, Decoder, Done, Message};

/// Returns what a worker says, read in pieces of this size, up to a violation. Only tests compile it.
pub fn heard(bytes: &[u8], step: usize) -> Vec<String> {
    let mut decoder = Decoder::default();
    let (mut found, mut follows) = (Vec::new(), 0);
    for piece in bytes.chunks(step) {
        decoder.room().extend_from_slice(piece);
        loop {
            follows -= decoder.take(follows).len() as u64;
            if follows > 0 {
                break;
            }
            match decoder.next() {
                Ok(None) => break,
                Ok(Some((message, _))) => {
                    if let Message::Done(Done {
                        content: Content::Follows(bytes),
                        ..
                    }) = message
                    {
                        follows = bytes;
                    }
                    found.push(format!("{message:?}"));
                }
                Err(violation) => {
                    found.push(violation.to_string());
                    return found;
                }
            }
        }
    }
    found
}
