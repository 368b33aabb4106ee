//! The head of an answer, for people.

/// The head of an answer, with secrets masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Which HTTP it came in, such as `HTTP/1.1`.
    pub version: String,
    /// The status and what it is called.
    pub status: String,
    /// The headers, in the order in which they came.
    pub headers: Vec<(String, String)>,
}
