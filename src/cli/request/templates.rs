//! Finds the templates of a request.

use serde_json::Value;

use stride::caller::{Braces, Template};
use stride::job::escaped;
use stride::settings::{Judging, Request};

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

/// The use that a request makes of rows of a list.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowUse {
    /// The columns that it needs.
    pub(crate) columns: Vec<String>,
    /// It has the placeholder `{row}`.
    whole: bool,
    /// Its placeholders that read the job's file.
    pub(crate) of_file: Vec<&'static str>,
}

/// The placeholders that read a file.
const OF_FILE: [&str; 4] = ["text", "base64", "size", "sha256"];

impl RowUse {
    pub(crate) fn new(request: &Request) -> Self {
        let stored = serde_json::to_string(&sent(request)).unwrap_or_default();
        let is_used = |field: &&str| stored.contains(&format!("{{{field}}}"));
        let mut found = Self {
            of_file: OF_FILE.into_iter().filter(is_used).collect(),
            ..Self::default()
        };
        // Expressions and the folder are not templates, although they may contain braces.
        for template in templates(&sent(request)) {
            for column in template.columns() {
                if !found.columns.iter().any(|known| known == column) {
                    found.columns.push(column.to_owned());
                }
            }
            found.whole |= template.needs_row() && template.columns().next().is_none();
        }
        found
    }

    /// Names a part of the row that the request uses, if it uses any.
    pub(crate) fn describe(&self) -> Option<String> {
        let column = self.columns.first();
        let column = column.map(|name| format!("the column `{}`", escaped(name.as_bytes())));
        column.or_else(|| self.whole.then(|| "{row}".to_owned()))
    }
}

/// Returns the part of a request whose texts are templates.
pub(crate) fn sent(request: &Request) -> Request {
    Request {
        judging: Judging::default(),
        output_dir: None,
        ..request.clone()
    }
}
