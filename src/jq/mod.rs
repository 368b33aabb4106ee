//! Expressions in the language of jq, on answers: compiled once, shared by all threads. Pure: an expression sees
//! the answer and nothing else, neither files nor the environment nor the time.

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
use language::Data;
use memory::Share;

/// How deeply an answer is nested at most that is looked at on the thread's own stack.
const SHALLOW: usize = 8;

/// What an expression may say so that more than the answer's depth decides how deep its evaluation gets.
const RECURSIVE: [&str; 4] = ["def", "fromjson", "reduce", "foreach"];

/// How long an expression is at most that is not deep in itself, in bytes.
const SHORT: usize = 200;

/// How much of an error is kept, in characters: jq's errors show the values they are about.
const ERROR_KEPT: usize = 300;

/// An expression that can be evaluated.
pub struct Expression {
    text: String,
    recurses: bool,
    filter: jaq_core::Filter<Data>,
}

/// What an expression sees of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// `.`
    pub body: Body<'a>,
    /// `$status`
    pub status: Option<u16>,
    /// `$headers`, as a JSON object from lower-case name to string; `None` where they were not kept.
    pub headers: Option<&'a str>,
}

/// An answer's body, as an expression sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// One JSON text.
    Json(&'a str),
    /// Text, which becomes a string.
    Text(&'a str),
    /// Nothing that JSON has a value for: null.
    Nothing,
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    ///
    /// It is not one, or it refers to something that there is not.
    pub fn new(text: &str) -> Result<Self, SyntaxError> {
        let filter = language::compile(text)?;
        Ok(Self {
            text: text.to_owned(),
            recurses: text.len() > SHORT || RECURSIVE.iter().any(|word| text.contains(word)),
            filter,
        })
    }

    /// The expression, as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it looks at the answer's headers, which have to be kept then.
    pub fn needs_headers(&self) -> bool {
        self.text.contains("$headers")
    }

    /// Whether the first output is neither null nor false. Without any output it is not so.
    ///
    /// # Errors
    ///
    /// It has no value for this answer.
    pub fn holds(&self, input: &Input<'_>) -> Result<bool, EvalError> {
        self.evaluate(input, |outputs| {
            outputs
                .next()
                .transpose()
                .map(|first| first.is_some_and(|value| jaq_core::ValT::as_bool(&value)))
        })
    }

    /// The outputs as compact JSON text: the only one as it is, several as an array, null where there is none.
    ///
    /// # Errors
    ///
    /// It has no value for this answer, or one that is not JSON.
    pub fn value(&self, input: &Input<'_>) -> Result<String, EvalError> {
        self.evaluate(input, |outputs| {
            let mut values = outputs.collect::<Result<Vec<Val>, _>>()?;
            let value = match values.len() {
                0 => Val::Null,
                1 => values.swap_remove(0),
                _ => values.into_iter().collect(),
            };
            write::compact(&value)
        })
    }

    fn evaluate<T: Send>(
        &self,
        input: &Input<'_>,
        take: impl FnOnce(Outputs<'_>) -> Result<T, EvalError> + Send,
    ) -> Result<T, EvalError> {
        if !self.recurses && !input.is_deep() {
            return self.evaluate_here(input, take);
        }
        // The interpreter goes down into a value by recursion, and so do the user's own definitions, in steps of
        // tens of kilobytes.
        with_room(|| self.evaluate_here(input, take))
            .map_err(|_| EvalError::new("there is no room for evaluating it"))?
    }

    fn evaluate_here<T>(
        &self,
        input: &Input<'_>,
        take: impl FnOnce(Outputs<'_>) -> Result<T, EvalError>,
    ) -> Result<T, EvalError> {
        let _share = match input.body {
            Body::Json(text) => Some(Share::of(text.as_bytes())),
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
                return Err(EvalError::new("the answer's headers were not kept"));
            }
            _ => Val::obj(Map::default()),
        };
        // The interpreter should not panic, and a service's answer must not be able to end the run by it.
        catch_unwind(AssertUnwindSafe(|| {
            let context = Ctx::<Data>::new(&self.filter.lut, Vars::new([status, headers]));
            let mut outputs = self
                .filter
                .id
                .run((context, body))
                .map(unwrap_valr)
                .map(|output| output.map_err(EvalError::of));
            take(&mut outputs)
        }))
        .unwrap_or_else(|_| Err(EvalError::new("the interpreter failed on this answer")))
    }
}

/// The outputs of an expression, one after the other.
type Outputs<'o> = &'o mut dyn Iterator<Item = Result<Val, EvalError>>;

impl Input<'_> {
    fn is_deep(&self) -> bool {
        match self.body {
            Body::Json(text) => nesting(text.as_bytes(), SHALLOW).is_err(),
            Body::Text(_) | Body::Nothing => false,
        }
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({:?})", self.text)
    }
}

impl EvalError {
    /// What the expression raised: a text as it is, and any other value as JSON.
    fn of(error: jaq_json::Error) -> Self {
        match error.into_val() {
            Val::TStr(text) => Self::new(&String::from_utf8_lossy(&text)),
            value => Self::new(&value.to_string()),
        }
    }

    /// An error, cut to what a line can show.
    fn new(message: &str) -> Self {
        Self(match message.char_indices().nth(ERROR_KEPT) {
            Some((end, _)) => format!("{}…", &message[..end]),
            None => message.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
