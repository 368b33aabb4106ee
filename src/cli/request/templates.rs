//! Finds the templates of a request.

use serde_json::Value;

use stride::caller::{Braces, Template, meant_placeholder};
use stride::job::escaped;
use stride::jq::Expression;
use stride::settings::{Call, CallCost, Judging, Request, Settings, Way, Weight};
use stride::store;

/// Returns all templates of a request, in both readings of braces, so that no placeholder is missed.
pub(crate) fn templates(request: &Request) -> Vec<Template> {
    read(&texts(request))
}

fn read(texts: &[String]) -> Vec<Template> {
    let both = |text: &String| {
        let braces = [Braces::Ours, Braces::Pasted];
        braces.map(|braces| Template::read(text, braces))
    };
    texts.iter().flat_map(both).flatten().collect()
}

/// Returns each string of the stored form that may be a template. Expressions are none.
fn texts(request: &Request) -> Vec<String> {
    let mut request = request.clone();
    request.then.iter_mut().for_each(|then| then.poll = None);
    let stored = serde_json::to_value(request).unwrap_or_default();
    let mut found = Vec::new();
    collect(stored, &mut found);
    found
}

/// Returns the texts of a call that may be templates. Expressions and the folder are none, although they may contain
/// braces.
fn texts_of(call: &Call) -> Vec<String> {
    match call.sent() {
        Call::Http(request) => texts(&request),
        Call::Command(command) if command.way == Way::Exec => command.words,
        Call::Command(_) | Call::Program { .. } => Vec::new(),
    }
}

fn collect(value: Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(values) => values.into_iter().for_each(|value| collect(value, found)),
        Value::Object(values) => values.into_values().for_each(|value| collect(value, found)),
        _ => {}
    }
}

/// The maximum number of words in braces that are compared with the columns of a list.
const MOST_WORDS: usize = 50;

/// The use that a request makes of rows of a list.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowUse {
    /// The columns that its templates need.
    columns: Vec<String>,
    /// The columns that its expressions name, each after the flag of the expression.
    judged: Vec<(&'static str, String)>,
    /// Words in braces that are sent as they are, because they are no placeholders.
    words: Vec<String>,
    /// It has the placeholder `{row}`.
    whole: bool,
    /// Its `--success` uses the row, or its workers may.
    passes_row: bool,
    /// It has later requests, which use answers.
    has_steps: bool,
    /// Its placeholders that read the job's file.
    pub(crate) of_file: Vec<&'static str>,
}

/// The placeholders that read a file.
const OF_FILE: [&str; 4] = ["text", "base64", "size", "sha256"];

impl RowUse {
    pub(crate) fn new(call: &Call) -> Self {
        let texts = texts_of(call);
        let is_used = |field: &&str| {
            let placeholder = format!("{{{field}}}");
            texts.iter().any(|text| text.contains(&placeholder))
        };
        let mut found = Self {
            of_file: OF_FILE.into_iter().filter(is_used).collect(),
            has_steps: matches!(call, Call::Http(request) if !request.then.is_empty()),
            ..Self::default()
        };
        for template in read(&texts) {
            for column in template.columns() {
                if !found.columns.iter().any(|known| known == column) {
                    found.columns.push(column.to_owned());
                }
            }
            found.whole |= template.needs_whole_row();
        }
        let usual = Judging::default();
        let Judging {
            success, extract, ..
        } = call.judging().unwrap_or(&usual);
        let mut expressions = vec![
            ("--success", success.as_ref()),
            ("--extract", extract.as_ref()),
        ];
        if let Call::Http(request) = call {
            for poll in request.then.iter().filter_map(|then| then.poll.as_ref()) {
                expressions.push(("--poll-until", Some(&poll.until)));
                expressions.push(("--poll-fail", poll.fail.as_ref()));
            }
        }
        for (flag, text) in expressions {
            found.add_judged(flag, text);
        }
        found.passes_row =
            call.has_workers() || success.as_ref().is_some_and(|text| text.contains("$col"));
        for text in &texts {
            found.add_words(text);
        }
        found
    }

    /// Adds the columns that settings name.
    pub(crate) fn add_settings(&mut self, settings: &Settings) {
        let cost = match &settings.cost {
            Some(CallCost::Answer(expression)) => Some(expression),
            _ => None,
        };
        for (flag, text) in [("--cost", cost), ("--settle", settings.settle.as_ref())] {
            self.add_judged(flag, text);
        }
        let columns = settings.weight.iter().flat_map(Weight::columns);
        self.judged
            .extend(columns.map(|column| ("--weight", column)));
    }

    fn add_judged(&mut self, flag: &'static str, text: Option<&String>) {
        // An invalid expression is reported later.
        let expression = text.and_then(|text| Expression::new(text).ok());
        let columns = expression.map(|expression| expression.columns());
        let columns = columns.into_iter().flatten();
        self.judged.extend(columns.map(|column| (flag, column)));
    }

    /// Adds the words in single braces that are no placeholders.
    fn add_words(&mut self, text: &str) {
        let template = Template::read(text, Braces::Pasted).unwrap_or_default();
        for word in template.literals().flat_map(words_in_braces) {
            if self.words.len() < MOST_WORDS && !self.words.iter().any(|known| known == word) {
                self.words.push(word.to_owned());
            }
        }
    }

    /// Returns all columns that a list is searched for.
    pub(crate) fn wanted(&self) -> Vec<String> {
        let judged = self.judged.iter().map(|(_, column)| column);
        let all = self.columns.iter().chain(judged).chain(&self.words);
        let mut wanted: Vec<String> = Vec::new();
        for column in all {
            if !wanted.contains(column) {
                wanted.push(column.clone());
            }
        }
        wanted
    }

    /// Returns the parts of a row on which a call's result depends. `--extract` is evaluated at each export.
    pub(crate) fn decisive(&self) -> store::RowUse {
        match self.whole || self.passes_row {
            true => store::RowUse::Whole,
            false => store::RowUse::Columns(self.columns.clone()),
        }
    }

    /// Returns the columns that expressions name.
    pub(crate) fn judged(&self) -> Vec<String> {
        self.judged.iter().map(|(_, name)| name.clone()).collect()
    }

    /// Returns whether the templates need a column.
    pub(crate) fn needs(&self, column: &str) -> bool {
        self.columns.iter().any(|known| known == column)
    }

    /// Returns the flag of an expression that names a column.
    pub(crate) fn judges(&self, column: &str) -> Option<&'static str> {
        let mut judged = self.judged.iter();
        judged
            .find(|(_, known)| known == column)
            .map(|(flag, _)| *flag)
    }

    /// Says which part of the row the calls use, if they use any.
    pub(crate) fn describe(&self) -> Option<String> {
        let column = self.columns.first();
        let column = column.map(|name| {
            let name = escaped(name.as_bytes());
            format!("the request uses the column `{name}`")
        });
        column.or_else(|| self.whole.then(|| "the request uses {row}".to_owned()))
    }

    /// Says which column an expression names, if one does.
    pub(crate) fn describe_judged(&self) -> Option<String> {
        let (flag, name) = self.judged.first()?;
        Some(format!(
            "{flag} uses the column `{}`",
            escaped(name.as_bytes())
        ))
    }

    /// Describes the words in braces that probably stand for a column of the list, or for a placeholder.
    pub(crate) fn slips(&self, columns: &[String]) -> Vec<String> {
        let words = self.words.iter().filter_map(|word| {
            let shown = escaped(word.as_bytes());
            if let Some(column) = meant_column(word, columns) {
                let column = escaped(column.as_bytes());
                return Some(format!(
                    "`{{{shown}}}` is sent as it is; the list's column is {{col.{column}}}"
                ));
            }
            let placeholder = meant_placeholder(word)
                .filter(|meant| self.has_steps || !meant.contains(['.', '[']))?;
            Some(format!(
                "`{{{shown}}}` is sent as it is; did you mean {{{placeholder}}}?"
            ))
        });
        words.collect()
    }
}

/// Returns the words in single braces. Double braces, `${` and `\{` belong to other languages.
fn words_in_braces(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices('{').filter_map(|(at, _)| {
        let rest = &text[at + 1..];
        let end = rest.find(['{', '}', '"', '\\', '\n'])?;
        let is_apart = !text[..at].ends_with(['{', '$', '\\']);
        let word = &rest[..end];
        let is_word = is_apart && rest[end..].starts_with('}') && !word.trim().is_empty();
        is_word.then_some(word)
    })
}

/// Returns the column that a word in braces names.
fn meant_column<'c>(word: &str, columns: &'c [String]) -> Option<&'c String> {
    const PREFIXES: [&str; 6] = ["$col.", "row.", "column.", "columns.", "cols.", "list."];
    let mut prefixes = PREFIXES.iter();
    let name = prefixes.find_map(|prefix| word.strip_prefix(prefix));
    let name = name.or_else(|| word.strip_prefix("col")?.strip_prefix([':', '_', '-', ' ']));
    [Some(word), name].into_iter().flatten().find_map(|name| {
        let exact = columns.iter().find(|column| *column == name);
        exact.or_else(|| {
            let mut columns = columns.iter();
            columns.find(|column| column.eq_ignore_ascii_case(name))
        })
    })
}
