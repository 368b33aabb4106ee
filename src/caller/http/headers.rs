//! The head of an answer as text.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// The head of an answer for people, with secrets masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHead {
    /// The HTTP version, such as `HTTP/1.1`.
    pub version: String,
    /// The status code and its reason phrase.
    pub status: String,
    /// The headers, in the order of their arrival.
    pub headers: Vec<(String, String)>,
    /// The beginning of the body of an answer which says that the service is not ready.
    pub not_ready: Vec<u8>,
}

pub(super) fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).map(lossy)
}

/// Returns headers as a JSON object from lower-case name to value. Joins headers of one name as a list (RFC 9110,
/// section 5.3).
pub(super) fn as_json(
    headers: &HeaderMap,
    show: &dyn Fn(&HeaderName, &HeaderValue) -> String,
) -> String {
    let object: serde_json::Map<_, _> = headers
        .keys()
        .map(|name| {
            let values = headers.get_all(name).iter().map(|value| show(name, value));
            let values: Vec<String> = values.collect();
            (name.as_str().to_owned(), values.join(", ").into())
        })
        .collect();
    serde_json::Value::Object(object).to_string()
}

pub(super) fn lossy(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}
