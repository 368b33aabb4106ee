//! jq expressions on answers, compiled once and shared by all threads. An expression sees only its input: no files, no
//! environment, no clock. One that runs away fails.

mod bounds;
mod error;
mod language;
mod memory;
mod read;
mod room;
mod write;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use jaq_core::{Ctx, Vars, unwrap_valr};
use jaq_json::{Map, Num, Val};

pub use error::{EvalError, SyntaxError};
pub use read::DEEPEST;
pub use room::with_room;

use crate::job::nesting;
use bounds::{Bound, Data};
use memory::Share;

/// The maximum nesting of an answer that is evaluated on the current thread's stack.
const SHALLOW: usize = 8;

/// The words with which an expression may recurse deeper than the answer is nested.
const RECURSIVE: [&str; 4] = ["def", "fromjson", "reduce", "foreach"];

/// The maximum length of an expression that cannot itself be deeply nested, in bytes.
const SHORT: usize = 200;

/// A compiled expression.
pub struct Expression {
    text: String,
    recurses: bool,
    filter: jaq_core::Filter<Data>,
}

/// The input of an expression.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// `.`
    pub body: Body<'a>,
    /// `$status`
    pub status: Option<u16>,
    /// `$headers`, as a JSON object from lower-case name to string. `None` if they were not stored.
    pub headers: Option<&'a str>,
    /// `$col`, the row of a list that is a table, as a JSON object. Without one, `$col` is an empty object.
    pub columns: Option<&'a str>,
}

/// The body of an answer as input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// One JSON text.
    Json(&'a str),
    /// Text, converted to a string.
    Text(&'a str),
    /// Neither JSON nor text: null.
    Nothing,
}

impl Expression {
    /// Compiles an expression.
    ///
    /// # Errors
    ///
    /// The syntax is invalid, a name is unknown, or the expression reaches a limit whatever the answer is.
    pub fn new(text: &str) -> Result<Self, SyntaxError> {
        let is_part = |char: char| char.is_ascii_alphanumeric() || "_.".contains(char);
        let filter = language::compile(text).map_err(|error| match text.chars().all(is_part) {
            true if !text.starts_with('.') && !text.is_empty() => SyntaxError {
                message: format!("{error}; a field begins with a dot, as in .{text}"),
                place: String::new(),
            },
            _ => error,
        })?;
        let expression = Self {
            text: text.to_owned(),
            recurses: text.len() > SHORT || RECURSIVE.iter().any(|word| text.contains(word)),
            filter,
        };
        match expression.has_no_end() {
            true => Err(SyntaxError {
                message: "it takes too many steps or too much memory, or runs without end, whatever the answer is".to_owned(),
                place: String::new(),
            }),
            false => Ok(expression),
        }
    }

    /// Returns whether the expression reaches a limit for `true`, an answer without parts. Then it would for any answer.
    fn has_no_end(&self) -> bool {
        let input = Input {
            body: Body::Json("true"),
            status: None,
            headers: Some("{}"),
            columns: None,
        };
        let count = |outputs: Outputs<'_>| Ok(outputs.take_while(Result::is_ok).count());
        self.evaluate(&input, count).is_err()
    }

    /// Returns the expression as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns whether the expression uses headers, which have to be stored for it.
    pub fn needs_headers(&self) -> bool {
        self.text.contains("$headers")
    }

    /// Returns whether the expression uses the columns of the list.
    pub fn needs_columns(&self) -> bool {
        self.text.contains("$col")
    }

    /// Returns the columns that the expression names literally, as in `$col.lang` or `$col["lang"]`. An expression that
    /// binds `$col` itself names none.
    pub fn columns(&self) -> Vec<String> {
        named_columns(&self.text)
    }

    /// Returns whether the first output is neither null nor false. Without any output, returns false.
    ///
    /// # Errors
    ///
    /// The evaluation fails for this answer.
    pub fn holds(&self, input: &Input<'_>) -> Result<bool, EvalError> {
        self.evaluate(input, |outputs| {
            outputs
                .next()
                .transpose()
                .map(|first| first.is_some_and(|value| jaq_core::ValT::as_bool(&value)))
        })?
    }

    /// Returns the outputs as compact JSON: null for none, the value for one, an array for several.
    ///
    /// # Errors
    ///
    /// The evaluation fails for this answer, or a value is not JSON.
    pub fn value(&self, input: &Input<'_>) -> Result<String, EvalError> {
        self.evaluate(input, |outputs| {
            let mut values = outputs.collect::<Result<Vec<Val>, _>>()?;
            let value = match values.len() {
                0 => Val::Null,
                1 => values.swap_remove(0),
                _ => values.into_iter().collect(),
            };
            write::compact(&value)
        })?
    }

    fn evaluate<T: Send>(
        &self,
        input: &Input<'_>,
        take: impl Fn(Outputs<'_>) -> Result<T, EvalError> + Sync,
    ) -> Result<Result<T, EvalError>, Bound> {
        let bytes = match input.body {
            Body::Json(text) | Body::Text(text) => text.len(),
            Body::Nothing => 0,
        };
        let here = || bounds::bounded(bytes, || self.evaluate_here(input, &take));
        if !self.recurses && !input.is_deep() {
            let evaluated = here();
            if !matches!(evaluated, Err(Bound::Stack)) {
                return evaluated;
            }
        }
        // The interpreter and the user's definitions recurse into values, with frames of tens of kilobytes.
        with_room(here).unwrap_or_else(|_| {
            let message = "no thread could be started for the evaluation";
            Ok(Err(EvalError::new(message)))
        })
    }

    fn evaluate_here<T>(
        &self,
        input: &Input<'_>,
        take: impl Fn(Outputs<'_>) -> Result<T, EvalError>,
    ) -> Result<T, EvalError> {
        let _share = match input.body {
            Body::Json(text) => Some(Share::reserve(text.as_bytes())),
            Body::Text(_) | Body::Nothing => None,
        };
        let body = match input.body {
            Body::Json(text) => read::value(text)?,
            Body::Text(text) => Val::from(text.to_owned()),
            Body::Nothing => Val::Null,
        };
        let status = input
            .status
            .map_or(Val::Null, |status| Val::Num(Num::from_integral(status)));
        let headers = match input.headers {
            Some(text) if self.needs_headers() => read::value(text)?,
            None if self.needs_headers() => {
                return Err(EvalError::new("the answer's headers were not stored"));
            }
            _ => Val::obj(Map::default()),
        };
        let columns = match input.columns {
            Some(text) if self.needs_columns() => read::value(text)?,
            _ => Val::obj(Map::default()),
        };
        // A panic of the interpreter must not let an answer end the run.
        catch_unwind(AssertUnwindSafe(|| {
            let context = Ctx::<Data>::new(&self.filter.lut, Vars::new([status, headers, columns]));
            let mut outputs = self
                .filter
                .id
                .run((context, body))
                .map(unwrap_valr)
                .map(|output| output.map_err(EvalError::raised));
            take(&mut outputs)
        }))
        .unwrap_or_else(|_| Err(EvalError::new("the interpreter failed on this answer")))
    }
}

/// The outputs of an expression.
type Outputs<'o> = &'o mut dyn Iterator<Item = Result<Val, EvalError>>;

impl Input<'_> {
    fn is_deep(&self) -> bool {
        match self.body {
            Body::Json(text) => nesting(text.as_bytes(), SHALLOW).is_err(),
            Body::Text(_) | Body::Nothing => false,
        }
    }
}

/// Finds `$col.NAME`, `$col."NAME"` and `$col["NAME"]` in an expression.
fn named_columns(text: &str) -> Vec<String> {
    let is_in_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut names: Vec<String> = Vec::new();
    for (at, found) in text.match_indices("$col") {
        if text[..at].trim_end().ends_with("as") {
            return Vec::new();
        }
        let rest = &text[at + found.len()..];
        let name = if let Some(name) = rest.strip_prefix('.') {
            let length = name.find(|c| !is_in_word(c)).unwrap_or(name.len());
            match &name[..length] {
                "" => first_string(name).map(|(name, _)| name),
                word => Some(word.to_owned()),
            }
        } else {
            let indexed = rest.strip_prefix('[').and_then(first_string);
            // A longer index is computed.
            indexed.and_then(|(name, rest)| rest.trim_start().starts_with(']').then_some(name))
        };
        names.extend(name.filter(|name| !names.contains(name)));
    }
    names
}

/// Returns the JSON string at the beginning of a text, and the text behind it.
fn first_string(text: &str) -> Option<(String, &str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<String>();
    let first = values.next()?.ok()?;
    Some((first, &text[values.byte_offset()..]))
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({:?})", self.text)
    }
}

#[cfg(test)]
mod tests;
