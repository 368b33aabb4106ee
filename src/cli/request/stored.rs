//! Names the parts of a request that a database shows to its readers.

use stride::caller::{Braces, Template};
use stride::settings::{Body, Content, HeaderValue, Piece, Request};

/// Headers whose values are never private.
const PLAIN: [&str; 4] = ["accept", "content-type", "referer", "user-agent"];

/// Names the stored parts of a request that were typed and may be private, or returns `None`.
pub(crate) fn stored(request: &Request) -> Option<String> {
    let typed = |text: &str| {
        Template::read(text, Braces::Pasted)
            .is_ok_and(|template| template.literals().any(|text| !text.trim().is_empty()))
    };
    // A word such as `Bearer` before a reference is not a secret.
    let has_reference = |text: &str| {
        Template::parse(text).is_ok_and(|template| template.references().next().is_some())
    };
    let in_piece = |piece: &Piece| match piece {
        Piece::Text { template, .. } => typed(template),
        Piece::Bytes { .. } => false,
    };
    let mut parts = Vec::new();
    for header in &request.headers {
        if let HeaderValue::Template(value) = &header.value
            && typed(value)
            && !has_reference(value)
            && !PLAIN.contains(&header.name.to_ascii_lowercase().as_str())
        {
            parts.push(format!("the header `{}`", header.name));
        }
    }
    let data = match &request.body {
        Body::Pieces { pieces } if pieces.iter().any(in_piece) => Some("the data"),
        Body::Multipart { fields } => fields
            .iter()
            .any(|field| matches!(&field.content, Content::Text(text) if typed(text)))
            .then_some("the form"),
        _ => None,
    };
    parts.extend(data.map(str::to_owned));
    let query = request.url.split_once('?').map_or("", |(_, query)| query);
    let mut pairs = query.split('&').filter(|pair| !pair.is_empty());
    let is_typed = |pair: &str| {
        let value = pair.split_once('=').map_or(pair, |(_, value)| value);
        typed(value) && !has_reference(value)
    };
    if pairs.any(is_typed) || !request.query.is_empty() {
        parts.insert(0, "the URL".to_owned());
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}
