//! All templates of a request, wherever they stand.

use serde_json::Value;

use stride::caller::{Braces, Template};
use stride::settings::Request;

/// All templates of a request, in both readings of braces: what one of them takes for a placeholder is there.
pub(crate) fn templates(request: &Request) -> Vec<Template> {
    // A request is stored as its templates.
    let stored = serde_json::to_value(request).unwrap_or_default();
    let mut found = Vec::new();
    collect(&stored, &mut found);
    found
}

fn collect(value: &Value, found: &mut Vec<Template>) {
    match value {
        Value::String(text) => {
            let both = [Braces::Ours, Braces::Pasted];
            found.extend(
                both.into_iter()
                    .flat_map(|braces| Template::read(text, braces)),
            );
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        Value::Object(values) => values.values().for_each(|value| collect(value, found)),
        _ => {}
    }
}

/// The first column of the list that a request asks for.
pub(crate) fn column(request: &Request) -> Option<String> {
    let templates = templates(request);
    let mut columns = templates.iter().flat_map(Template::columns);
    columns.next().map(str::to_owned)
}
