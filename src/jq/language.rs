//! The names that expressions may use, and errors of syntax.

use std::iter;

use jaq_core::compile::Undefined;
use jaq_core::load::{Arena, File, Loader, import, lex, parse};
use jaq_core::native::{Fun, bome, run, v};
use jaq_core::{Compiler, load};
use jaq_json::Val;
use jaq_std::ValT as _;

use super::bounds::{self, Data};
use super::error::{EvalError, SyntaxError};
use super::read;
use super::room::with_room;
use crate::job::nesting;
use crate::text::cut;

/// The variables, in the order of their values.
const VARIABLES: [&str; 3] = ["$status", "$headers", "$col"];

/// Excluded filters of the standard library. They use more than their input, such as the environment, the clock, files or
/// the log. `fromjson` is replaced, because it reads JSON of any depth.
const EXCLUDED: [&str; 16] = [
    "env",
    "now",
    "halt",
    "halt_error",
    "debug",
    "debug_empty",
    "stderr",
    "stderr_empty",
    "input",
    "inputs",
    "input_filename",
    "localtime",
    "strflocaltime",
    "strptime",
    "get_search_list",
    "fromjson",
];

/// The maximum nesting of brackets in an expression. The parser is recursive.
const DEEPEST_EXPRESSION: usize = 100;

/// The maximum length of an expression, in bytes. It bounds nesting without brackets, and in strings.
const LONGEST_EXPRESSION: usize = 6_000;

/// The maximum length of a quoted part of an expression, in characters.
const SHOWN: usize = 20;

/// The definition of the whole expression. Only definitions have bounds.
const WHOLE: &str = "@expression";

fn definitions() -> impl Iterator<Item = parse::Def<&'static str>> {
    iter::once(bounds::range())
        .chain(jaq_core::defs())
        .chain(jaq_std::defs())
        .chain(jaq_json::defs())
        .filter(|definition| !EXCLUDED.contains(&definition.name))
}

fn filters() -> impl Iterator<Item = Fun<Data>> {
    let natives = jaq_core::funs::<Data>()
        .chain(jaq_std::funs())
        .chain(jaq_json::funs())
        .filter(|(name, ..)| !EXCLUDED.contains(name))
        .chain([run(("fromjson", v(0), |(_, value): (_, Val)| {
            bome(from_json(&value))
        }))]);
    bounds::filters(natives)
}

/// Parses one JSON text under the same limits as an answer.
fn from_json(value: &Val) -> Result<Val, jaq_json::Error> {
    let bytes = value.as_utf8_bytes();
    let bytes = bytes.ok_or_else(|| jaq_core::Error::typ(value.clone(), "string"))?;
    let error =
        |error: EvalError| jaq_core::Error::str(format_args!("cannot parse as JSON: {error}"));
    read::checked(bytes).and_then(read::value).map_err(error)
}

pub(super) fn compile(text: &str) -> Result<jaq_core::Filter<Data>, SyntaxError> {
    if let Err(at) = nesting(text.as_bytes(), DEEPEST_EXPRESSION) {
        return Err(SyntaxError {
            message: "the expression is nested too deeply".to_owned(),
            place: place(text, at),
        });
    }
    if text.len() > LONGEST_EXPRESSION {
        return Err(SyntaxError {
            message: format!("the expression is longer than {LONGEST_EXPRESSION} bytes"),
            place: place(text, LONGEST_EXPRESSION),
        });
    }
    // The parser is recursive.
    with_room(|| compile_here(text)).unwrap_or_else(|_| {
        Err(SyntaxError {
            message: "no thread could be started to compile the expression".to_owned(),
            place: place(text, 0),
        })
    })
}

fn compile_here(text: &str) -> Result<jaq_core::Filter<Data>, SyntaxError> {
    let arena = Arena::default();
    let load = |definitions: Vec<parse::Def<_>>, code| {
        let loaded = Loader::new(definitions).load(&arena, File { code, path: () });
        let loaded = loaded.and_then(|modules| {
            import(&modules, |_| Err("modules cannot be imported".to_owned()))?;
            Ok(modules)
        });
        loaded.map_err(|errors| {
            let mut errors = errors.into_iter();
            let error = errors.find_map(|(_, error)| invalid_syntax(text, error));
            error.unwrap_or_else(|| unknown_error(text))
        })
    };
    load(Vec::new(), text)?;
    let whole = load::parse(text, |parser| parser.term()).ok_or_else(|| unknown_error(text))?;
    let whole = parse::Def {
        name: WHOLE,
        args: Vec::new(),
        body: bounds::stepwise(whole),
    };
    let mut definitions: Vec<parse::Def<&str>> = definitions().collect();
    definitions.push(whole);
    let definitions = definitions.into_iter().map(bounds::definition);
    let loaded = load(definitions.collect(), WHOLE)?;
    let compiler = Compiler::default().with_funs(filters());
    let compiled = compiler.with_global_vars(VARIABLES).compile(loaded);
    compiled.map_err(|errors| {
        let mut undefined = errors.into_iter().flat_map(|(_, errors)| errors);
        undefined.next().map_or_else(
            || unknown_error(text),
            |(name, what)| undefined_name(text, name, &what),
        )
    })
}

/// Returns the error for a failure that the interpreter does not explain.
fn unknown_error(text: &str) -> SyntaxError {
    SyntaxError {
        message: "the expression is invalid".to_owned(),
        place: place(text, 0),
    }
}

fn invalid_syntax(text: &str, error: load::Error<&str>) -> Option<SyntaxError> {
    let missing = |what: &str, found: &str| match shortened(found) {
        None => SyntaxError {
            message: format!("a {what} is missing"),
            place: "the end".to_owned(),
        },
        Some(shown) => SyntaxError {
            message: format!("a {what} is missing before `{shown}`"),
            place: place_of(text, found),
        },
    };
    match error {
        load::Error::Io(errors) => {
            let (path, message) = errors.into_iter().next()?;
            let place = place_of(text, path);
            Some(SyntaxError { message, place })
        }
        load::Error::Lex(errors) => {
            let (expected, found) = errors.into_iter().next()?;
            Some(match expected {
                lex::Expect::Delim(open) => SyntaxError {
                    message: format!("the {} is missing for `{open}`", expected.as_str()),
                    place: place_of(text, open),
                },
                _ => missing(expected.as_str(), found),
            })
        }
        load::Error::Parse(errors) => {
            let (expected, found) = errors.into_iter().next()?;
            Some(missing(expected.as_str(), found))
        }
    }
}

fn undefined_name(text: &str, name: &str, what: &Undefined) -> SyntaxError {
    let arguments = match what {
        Undefined::Filter(1) => " with 1 argument".to_owned(),
        Undefined::Filter(count) if *count > 0 => format!(" with {count} arguments"),
        _ => String::new(),
    };
    SyntaxError {
        message: format!("there is no {} `{name}`{arguments}", what.as_str()),
        place: place_of(text, name),
    }
}

fn shortened(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| cut(text.to_owned(), SHOWN))
}

/// Describes the place of a part of the text. Any other string counts as the end.
fn place_of(text: &str, part: &str) -> String {
    let offset = part.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
    place(text, offset.min(text.len()))
}

/// Describes an offset in a text for people.
fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before[start..].chars().count() + 1;
    match line {
        1 => format!("column {column}"),
        _ => format!("line {line}, column {column}"),
    }
}
