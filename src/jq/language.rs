//! Which words expressions have, and what is wrong with those that use others.

use std::ops::Range;

use jaq_core::compile::Undefined;
use jaq_core::data::JustLut;
use jaq_core::load::{Arena, File, Loader, import, lex, parse, span};
use jaq_core::native::{Fun, bome, run, v};
use jaq_core::{Compiler, load};
use jaq_json::Val;
use jaq_std::ValT as _;

use super::error::{EvalError, SyntaxError};
use super::read;
use super::room::with_room;
use crate::job::nesting;

/// What filters work on: values alone.
pub(super) type Data = JustLut<Val>;

/// The variables, in the order in which their values are given.
const VARIABLES: [&str; 2] = ["$status", "$headers"];

/// Filters of the standard library that see or do something beside their input: the environment, the clock, the
/// time zone and its files, the log, the process. And one that reads JSON to any depth, instead of which there is
/// one of ours.
const LEFT_OUT: [&str; 16] = [
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

/// How deeply brackets may be nested in an expression: reading it is recursive.
const DEEPEST_EXPRESSION: usize = 100;

/// How long an expression may be, in bytes. What is nested in it without brackets, or in strings, is so many levels deep
/// at most.
const LONGEST_EXPRESSION: usize = 6_000;

/// How much of an expression is shown where it is wrong, in characters.
const SHOWN: usize = 20;

fn definitions() -> impl Iterator<Item = parse::Def<&'static str>> {
    jaq_core::defs()
        .chain(jaq_std::defs())
        .chain(jaq_json::defs())
        .filter(|definition| !LEFT_OUT.contains(&definition.name))
}

fn filters() -> impl Iterator<Item = Fun<Data>> {
    jaq_core::funs::<Data>()
        .chain(jaq_std::funs())
        .chain(jaq_json::funs())
        .filter(|(name, ..)| !LEFT_OUT.contains(name))
        .chain([run(("fromjson", v(0), |(_, value): (_, Val)| {
            bome(from_json(&value))
        }))])
}

/// One JSON text, under the same bounds as an answer.
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
    // It is read by recursion.
    with_room(|| compile_here(text)).unwrap_or_else(|_| {
        Err(SyntaxError {
            message: "there is no room for reading the expression".to_owned(),
            place: place(text, 0),
        })
    })
}

fn compile_here(text: &str) -> Result<jaq_core::Filter<Data>, SyntaxError> {
    let arena = Arena::default();
    let program = File {
        code: text,
        path: (),
    };
    let loaded = Loader::new(definitions())
        .load(&arena, program)
        .and_then(|modules| {
            import(&modules, |_| Err("nothing can be imported".to_owned()))?;
            Ok(modules)
        })
        .map_err(|errors| {
            first(
                text,
                errors.into_iter().map(|(_, error)| unread(text, error)),
            )
        })?;
    Compiler::default()
        .with_funs(filters())
        .with_global_vars(VARIABLES)
        .compile(loaded)
        .map_err(|errors| {
            let undefined = errors.into_iter().flat_map(|(_, errors)| errors);
            first(
                text,
                undefined.map(|(name, what)| Some(undefined_name(text, name, &what))),
            )
        })
}

fn first(text: &str, mut errors: impl Iterator<Item = Option<SyntaxError>>) -> SyntaxError {
    errors
        .find_map(|error| error)
        .unwrap_or_else(|| SyntaxError {
            message: "this is no expression".to_owned(),
            place: place(text, 0),
        })
}

fn unread(text: &str, error: load::Error<&str>) -> Option<SyntaxError> {
    let missing = |what: &str, found: &str| {
        let at = within(text, found).start;
        let (message, place) = match shown(found) {
            None => (format!("{what} is missing"), "the end".to_owned()),
            Some(found) => (
                format!("{what} is missing before `{found}`"),
                place(text, at),
            ),
        };
        SyntaxError { message, place }
    };
    match error {
        load::Error::Io(errors) => errors
            .into_iter()
            .next()
            .map(|(path, message)| SyntaxError {
                message,
                place: place(text, within(text, path).start),
            }),
        load::Error::Lex(errors) => {
            errors
                .into_iter()
                .next()
                .map(|(expected, found)| match expected {
                    lex::Expect::Delim(open) => SyntaxError {
                        message: format!("the {} is missing for `{open}`", expected.as_str()),
                        place: place(text, within(text, open).start),
                    },
                    _ => missing(&format!("a {}", expected.as_str()), found),
                })
        }
        load::Error::Parse(errors) => errors
            .into_iter()
            .next()
            .map(|(expected, found)| missing(&format!("a {}", expected.as_str()), found)),
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
        place: place(text, within(text, name).start),
    }
}

/// Where a part lies in a text; what is no part of it is taken to be at its end.
fn within(text: &str, part: &str) -> Range<usize> {
    let (whole, begin) = (text.as_bytes().as_ptr_range(), part.as_ptr());
    if whole.contains(&begin) || begin == whole.end {
        span(text, part)
    } else {
        text.len()..text.len()
    }
}

fn shown(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    })
}

/// A place in a text, for people.
fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    match before.matches('\n').count() {
        0 => format!("column {column}"),
        lines => format!("line {}, column {column}", lines + 1),
    }
}
