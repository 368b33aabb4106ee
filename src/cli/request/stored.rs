//! Names the parts of a request that a database shows to its readers and that look like keys.

use stride::caller::{Braces, Template};
use stride::settings::{Body, Call, Content, HeaderValue, Piece, has_key};

/// Names the stored parts of a call that look like keys, or returns `None`. Values with the name of a credential are
/// not stored.
pub(crate) fn stored(call: &Call) -> Option<String> {
    let request = match call {
        Call::Http(request) => request,
        Call::Command(command) => {
            let is_key = command.words.iter().any(|word| has_key(word));
            return is_key.then(|| "the command".to_owned());
        }
        Call::Program { .. } => return None,
    };
    let typed = |text: &str| {
        let template = Template::read(text, Braces::Pasted);
        template.is_ok_and(|template| template.literals().any(has_key))
    };
    let in_piece = |piece: &Piece| match piece {
        Piece::Text { template, .. } => typed(template),
        Piece::Bytes { .. } => false,
    };
    let mut parts: Vec<String> = Vec::new();
    for request in request.all() {
        let mut note = |part: String| {
            if !parts.contains(&part) {
                parts.push(part);
            }
        };
        if typed(&request.url) || request.query.iter().any(in_piece) {
            note("the URL".to_owned());
        }
        for header in &request.headers {
            if let HeaderValue::Template(value) = &header.value
                && typed(value)
            {
                note(format!("the header `{}`", header.name));
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
        data.map(str::to_owned).into_iter().for_each(note);
    }
    let last = parts.pop()?;
    Some(match parts.is_empty() {
        true => last,
        false => format!("{} and {last}", parts.join(", ")),
    })
}
