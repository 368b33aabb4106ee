//! Conversion of an answer's headers to text.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

pub(super) fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).map(lossy)
}

/// Returns headers as a JSON object from lower-case name to value. Joins headers of one name as a list (RFC 9110,
/// section 5.3).
pub(super) fn as_json(headers: &HeaderMap, show: &dyn Fn(&HeaderValue) -> String) -> String {
    let object: serde_json::Map<_, _> = headers
        .keys()
        .map(|name| {
            let values: Vec<String> = headers.get_all(name).iter().map(show).collect();
            (name.as_str().to_owned(), values.join(", ").into())
        })
        .collect();
    serde_json::Value::Object(object).to_string()
}

pub(super) fn lossy(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}
