//! The head of an answer, for people.

/// The head of an answer, with secrets masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The HTTP version, such as `HTTP/1.1`.
    pub version: String,
    /// The status code and its reason phrase.
    pub status: String,
    /// The headers, in the order of their arrival.
    pub headers: Vec<(String, String)>,
}
