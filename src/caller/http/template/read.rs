//! Parses templates.

use super::field::Field;
use super::{Inserted, JsonContext, Part, Template, TemplateError};
use crate::caller::http::reference::Reference;

/// The meaning of braces in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Braces {
    /// An opening brace begins a known placeholder, or is doubled to stand for itself.
    Ours,
    /// Braces that begin no known placeholder stand for themselves. `{{name}}` stands for the text `{name}`.
    Body,
    /// Like [`Braces::Body`], in a JSON text: `{}` is a placeholder within strings and an empty object elsewhere.
    Json,
    /// For the text of a pasted curl command: like [`Braces::Body`], but double braces stand for themselves, because
    /// they belong to templates of other programs.
    Pasted,
    /// Like [`Braces::Pasted`], in a JSON text.
    PastedJson,
}

impl Braces {
    /// Returns the meaning of braces in a body.
    pub fn of_body(is_pasted: bool, is_json: bool) -> Self {
        match (is_pasted, is_json) {
            (false, false) => Self::Body,
            (false, true) => Self::Json,
            (true, false) => Self::Pasted,
            (true, true) => Self::PastedJson,
        }
    }

    fn is_pasted(self) -> bool {
        matches!(self, Self::Pasted | Self::PastedJson)
    }

    fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::PastedJson)
    }
}

impl Template {
    /// Parses a template with [`Braces::Ours`]: `{{` and `}}` stand for single braces. A placeholder ends at the first
    /// `}`, so put a command that contains `}` in a script.
    ///
    /// # Errors
    ///
    /// A placeholder is unknown, or a brace is not closed.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Self::read(text, Braces::Ours)
    }

    /// Parses a template.
    ///
    /// # Errors
    ///
    /// With [`Braces::Ours`], a placeholder is unknown or a brace is not closed.
    pub fn read(text: &str, braces: Braces) -> Result<Self, TemplateError> {
        match braces {
            Braces::Ours => ours(text),
            _ => Ok(lenient(text, braces)),
        }
    }
}

/// Collects the parts of a template and tracks JSON strings.
#[derive(Default)]
struct Parts {
    parts: Vec<Part>,
    literal: String,
    /// The quote of the current string; `None` outside of strings.
    quote: Option<u8>,
    escaped: bool,
    /// The text was pasted.
    is_pasted: bool,
}

impl Parts {
    fn text(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.quote.is_some() => self.escaped = true,
                quote if self.quote == Some(quote) => self.quote = None,
                quote @ (b'"' | b'\'') if self.quote.is_none() => self.quote = Some(quote),
                _ => {}
            }
        }
        self.literal.push_str(text);
    }

    fn insert(&mut self, Placeholder { inserted, is_raw }: Placeholder) {
        if !self.literal.is_empty() {
            self.parts
                .push(Part::Text(std::mem::take(&mut self.literal)));
        }
        let place = match self.quote {
            _ if is_raw => JsonContext::Verbatim,
            // A shell inserts the values of variables as they are.
            _ if self.is_pasted && matches!(inserted, Inserted::Reference(_)) => {
                JsonContext::Verbatim
            }
            None => JsonContext::Value,
            Some(b'\'') => JsonContext::SingleQuoted,
            Some(_) => JsonContext::String,
        };
        self.parts.push(Part::Inserted(inserted, place));
    }

    fn end(mut self) -> Template {
        if !self.literal.is_empty() {
            self.parts.push(Part::Text(self.literal));
        }
        Template(self.parts)
    }
}

fn ours(text: &str) -> Result<Template, TemplateError> {
    let (mut parts, mut rest) = (Parts::default(), text);
    while let Some(at) = rest.find(['{', '}']) {
        parts.text(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            parts.text(brace);
            rest = after;
        } else if brace == "}" {
            parts.text(brace);
        } else {
            let (name, after) = rest.split_once('}').ok_or(TemplateError::Open)?;
            let found = placeholder(name);
            parts.insert(found.ok_or_else(|| TemplateError::Unknown(name.to_owned()))?);
            rest = after;
        }
    }
    parts.text(rest);
    Ok(parts.end())
}

fn lenient(text: &str, braces: Braces) -> Template {
    let around = if braces.is_pasted() {
        ["{{", "}}"]
    } else {
        ["{", "}"]
    };
    let (mut parts, mut rest) = (Parts::default(), text);
    parts.is_pasted = braces.is_pasted();
    while let Some(at) = rest.find('{') {
        parts.text(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some((name, after)) = known(rest.strip_prefix('{').unwrap_or_default())
            && let Some(after) = after.strip_prefix('}')
        {
            parts.text(around[0]);
            parts.text(name);
            parts.text(around[1]);
            rest = after;
            continue;
        }
        match known(rest) {
            // An empty object.
            Some(("", after)) if braces.is_json() && parts.quote.is_none() => {
                parts.text("{}");
                rest = after;
            }
            Some((name, after)) => {
                if let Some(placeholder) = placeholder(name) {
                    parts.insert(placeholder);
                }
                rest = after;
            }
            None => parts.text("{"),
        }
    }
    parts.text(rest);
    parts.end()
}

/// Returns the name of a known placeholder at the beginning of a text, and the text after its closing brace.
fn known(text: &str) -> Option<(&str, &str)> {
    let (name, after) = text.split_once('}')?;
    // Text with one of these is JSON or a program, not a placeholder.
    let foreign = name.contains(['"', '\n', '{']);
    (!foreign && placeholder(name).is_some()).then_some((name, after))
}

/// A placeholder of a template.
struct Placeholder {
    inserted: Inserted,
    /// Its value is inserted as it is, whatever the surroundings.
    is_raw: bool,
}

/// The end of a reference whose value is inserted as it is.
const RAW: &str = ":raw";

/// Parses the text between braces.
fn placeholder(name: &str) -> Option<Placeholder> {
    if let Some(field) = Field::named(name) {
        return Some(Placeholder {
            inserted: Inserted::Field(field),
            is_raw: false,
        });
    }
    let raw = name.strip_suffix(RAW);
    let raw = raw.and_then(|name| Reference::parse(name).filter(Reference::can_be_raw));
    let is_raw = raw.is_some();
    let reference = raw.or_else(|| Reference::parse(name))?;
    Some(Placeholder {
        // A credential was typed in its final form.
        is_raw: is_raw || matches!(reference, Reference::Given(_)),
        inserted: Inserted::Reference(reference),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows a template with its placeholders in angle brackets, those of JSON values in double ones.
    fn shown(template: &Template) -> String {
        let parts = template.0.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Inserted(inserted, place) => {
                let name = match inserted {
                    Inserted::Field(field) => format!("{field:?}"),
                    Inserted::Reference(reference) => reference.to_string(),
                    Inserted::Secret(_) => String::new(),
                };
                match place {
                    JsonContext::String => format!("<{name}>"),
                    JsonContext::SingleQuoted => format!("<'{name}'>"),
                    JsonContext::Value | JsonContext::Verbatim => format!("<<{name}>>"),
                }
            }
        });
        parts.collect()
    }

    #[test]
    fn an_unknown_placeholder_or_an_open_brace_is_an_error() {
        for (text, error) in [
            ("{nmae}", TemplateError::Unknown("nmae".to_owned())),
            ("{env:}", TemplateError::Unknown("env:".to_owned())),
            ("{col.}", TemplateError::Unknown("col.".to_owned())),
            ("a{path", TemplateError::Open),
        ] {
            assert_eq!(Template::parse(text), Err(error), "{text}");
        }
        assert_eq!(
            shown(&Template::parse("{{path}} }{}").unwrap()),
            "{path} }<<Path>>"
        );
    }

    #[test]
    fn a_reference_ends_at_the_first_brace() {
        let template = Template::parse("{cmd:echo {a}b}").unwrap();
        assert_eq!(shown(&template), "<<{cmd:echo {a}>>b}");
        assert_eq!(template.literals().collect::<Vec<_>>(), ["b}"]);
    }

    #[test]
    fn a_raw_reference_has_the_name_without_the_word() {
        for (text, references) in [
            ("{env:SAS:raw}", &["{env:SAS}"][..]),
            ("{file:a:b:raw}{cmd:c d:raw}", &["{file:a:b}", "{cmd:c d}"]),
            // Neither of these can be raw.
            ("{env:raw}", &["{env:raw}"]),
            ("{netrc:host:raw}", &["{netrc:host:raw}"]),
        ] {
            let template = Template::parse(text).unwrap();
            let found: Vec<String> = template.references().map(ToString::to_string).collect();
            assert_eq!(found, references, "{text}");
        }
    }

    #[test]
    fn pasted_json_is_unchanged() {
        for (text, expected) in [
            (r#"{"a":{"b":{}}}"#, r#"{"a":{"b":{}}}"#),
            (r#"{"a":{"b":"{}"}}"#, r#"{"a":{"b":"<Path>"}}"#),
            (r#"{"n":{index}}"#, r#"{"n":<<Index>>}"#),
            (r#"{"a":"\"{name}","b":{}}"#, r#"{"a":"\"<Name>","b":{}}"#),
            (
                r#"{"a":"{{name}} {{}} {{x}}"}"#,
                r#"{"a":"{name} {} {{x}}"}"#,
            ),
            (
                r#"{"query":"{ viewer { name } }"}"#,
                r#"{"query":"{ viewer { name } }"}"#,
            ),
            (
                r#"{"a":"{col.x y}{env:KEY}"}"#,
                r#"{"a":"<Column("x y")><{env:KEY}>"}"#,
            ),
            (r#"{file:"a"}"#, r#"{file:"a"}"#),
            (
                r#"{'a':'{name}','b':"it's {}"}"#,
                r#"{'a':'<'Name'>','b':"it's <Path>"}"#,
            ),
            ("{", "{"),
            ("{path", "{path"),
        ] {
            assert_eq!(
                shown(&Template::read(text, Braces::Json).unwrap()),
                expected
            );
        }
    }

    #[test]
    fn empty_braces_are_the_path_outside_of_json() {
        let shown = |text| shown(&Template::read(text, Braces::Body).unwrap());
        assert_eq!(shown("x={}&y={a}&z={stem}"), "x=<<Path>>&y={a}&z=<<Stem>>");
        assert_eq!(shown("{{stem}}{{}}{{"), "{stem}{}{{");
    }

    #[test]
    fn double_braces_of_pasted_text_stand_for_themselves() {
        for braces in [Braces::Pasted, Braces::PastedJson] {
            for text in [
                r#"{"a":"{{name}} {{{text}}} {{ name }} {{#each}}"}"#,
                "{{}}",
                "a{{base64}}b}}",
            ] {
                assert_eq!(shown(&Template::read(text, braces).unwrap()), text);
            }
        }
        let mixed = Template::read("{{name}}/{name}", Braces::Pasted).unwrap();
        assert_eq!(shown(&mixed), "{{name}}/<<Name>>");
    }
}
