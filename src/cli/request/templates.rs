//! Finds the templates of a request.

use serde_json::Value;

use stride::caller::{Braces, Template};
use stride::settings::Request;

/// Returns all templates of a request, in both readings of braces, so that no placeholder is missed.
pub(crate) fn templates(request: &Request) -> Vec<Template> {
    // Each string of the stored form may be a template.
    let stored = serde_json::to_value(request).unwrap_or_default();
    let mut found = Vec::new();
    collect(&stored, &mut found);
    found
}

fn collect(value: &Value, found: &mut Vec<Template>) {
    match value {
        Value::String(text) => {
            let both = [Braces::Ours, Braces::Pasted];
            let read = |braces| Template::read(text, braces);
            found.extend(both.into_iter().flat_map(read));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        Value::Object(values) => values.values().for_each(|value| collect(value, found)),
        _ => {}
    }
}

/// Returns the first column of the list that a request uses.
pub(crate) fn column(request: &Request) -> Option<String> {
    let templates = templates(request);
    let mut columns = templates.iter().flat_map(Template::columns);
    columns.next().map(str::to_owned)
}
