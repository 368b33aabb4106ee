//! Bounds of evaluation. The interpreter cannot be interrupted, so each recursive definition, fold, array and `range` calls a
//! filter that counts steps and looks at the stack. A single call of a native filter is not interrupted.

use std::cell::Cell;

use jaq_core::data::JustLut;
use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::native::{Fun, bome, run, v};
use jaq_core::ops::Math;
use jaq_core::path::{Part, Path};
use jaq_json::Val;

use super::error::EvalError;
use super::{read, room};

/// The data of filters: values alone.
pub(super) type Data = JustLut<Val>;

/// The names of filters that no expression can contain.
const STEP: &str = "!step";
const RANGE: &str = "!range";
const TIMES: &str = "!times";

/// The steps of any evaluation, and those for each byte of its input.
const STEPS: usize = 1_000_000;
const STEPS_PER_BYTE: usize = 16;

/// The maximum size of a string, an array or JSON text, in bytes: of any one, and for each byte of the input.
const LONGEST: usize = 64 << 20;
const LONGER_PER_BYTE: usize = 16;

/// The maximum nesting of a value, which is dropped recursively. An expression may add levels to an answer.
pub(super) const DEEPEST: usize = 2 * read::DEEPEST;

/// A value's nesting is measured once in so many steps, and by so many of its values. A prime, so that no loop has a step
/// that is never measured.
const MEASURED_EVERY: usize = 61;
const MEASURED: usize = 4 * DEEPEST;

/// A bound that an evaluation has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    Steps,
    Stack,
    Nesting,
    Length,
}

impl From<Bound> for EvalError {
    fn from(bound: Bound) -> Self {
        Self::new(&match bound {
            Bound::Steps => "it takes too many steps, or has no end".to_owned(),
            Bound::Stack => "it recurses too deeply, or without end".to_owned(),
            Bound::Nesting => {
                format!("it makes a value that is nested more than {DEEPEST} levels deep")
            }
            Bound::Length => format!(
                "it makes a text or an array of more than {} MiB",
                longest() >> 20
            ),
        })
    }
}

thread_local! {
    /// The steps that are left.
    static LEFT: Cell<usize> = const { Cell::new(0) };
    /// The maximum size of a text or an array.
    static LENGTH: Cell<usize> = const { Cell::new(0) };
    /// The bound that the current evaluation has reached. An expression may catch the error, so it is kept here.
    static REACHED: Cell<Option<Bound>> = const { Cell::new(None) };
}

/// Evaluates within the bounds for an input of so many bytes.
pub(super) fn bounded<T>(
    bytes: usize,
    evaluate: impl FnOnce() -> Result<T, EvalError>,
) -> Result<Result<T, EvalError>, Bound> {
    LEFT.set(STEPS.saturating_add(bytes.saturating_mul(STEPS_PER_BYTE)));
    LENGTH.set(LONGEST.saturating_add(bytes.saturating_mul(LONGER_PER_BYTE)));
    REACHED.set(None);
    room::begin();
    let evaluated = evaluate();
    REACHED.take().map_or(Ok(evaluated), Err)
}

/// Returns the maximum size of a text or an array in the current evaluation.
pub(super) fn longest() -> usize {
    LENGTH.get()
}

fn step(value: &Val) -> Option<Bound> {
    let left = LEFT.get();
    LEFT.set(left.saturating_sub(1));
    let is_long = |value: &Val| match value {
        Val::TStr(text) => text.len() > longest(),
        Val::Arr(values) => values.len() > longest() / size_of::<Val>(),
        _ => false,
    };
    match left {
        0 => Some(Bound::Steps),
        _ if room::is_used_up() => Some(Bound::Stack),
        _ if is_long(value) => Some(Bound::Length),
        _ if left.is_multiple_of(MEASURED_EVERY) && is_deep(value, DEEPEST, &mut { MEASURED }) => {
            Some(Bound::Nesting)
        }
        _ => None,
    }
}

/// Returns whether a value is nested more than `levels` deep, as far as `rest` values tell.
fn is_deep(value: &Val, levels: usize, rest: &mut usize) -> bool {
    let mut inner = |value: &Val| {
        *rest = rest.saturating_sub(1);
        *rest > 0 && is_deep(value, levels - 1, rest)
    };
    match value {
        Val::Arr(_) | Val::Obj(_) if levels == 0 => true,
        Val::Arr(values) => values.iter().any(&mut inner),
        Val::Obj(fields) => fields.values().any(&mut inner),
        _ => false,
    }
}

/// Returns the error for a bound, and stops all that the expression still does.
fn reached(bound: Bound) -> jaq_json::Error {
    LEFT.set(0);
    REACHED.set(REACHED.get().or(Some(bound)));
    jaq_core::Error::str(EvalError::from(bound))
}

/// Multiplies, unless that repeats a string too often.
fn times(left: Val, right: Val) -> Result<Val, jaq_json::Error> {
    if let (Val::TStr(text), Val::Num(count)) | (Val::Num(count), Val::TStr(text)) = (&left, &right)
        && let Some(count) = count.as_isize()
        && count > 0
        && text.len().saturating_mul(count as usize) > longest()
    {
        return Err(reached(Bound::Length));
    }
    left * right
}

/// Returns the native filters, with `range` under another name, and the filters that [`definition`] adds calls of.
pub(super) fn filters(natives: impl Iterator<Item = Fun<Data>>) -> impl Iterator<Item = Fun<Data>> {
    let natives = natives.map(|(name, arguments, filter)| match name {
        "range" => (RANGE, arguments, filter),
        _ => (name, arguments, filter),
    });
    natives.chain([
        run((STEP, v(0), |(_, value): (_, Val)| {
            bome(step(&value).map_or(Ok(Val::Bool(true)), |bound| Err(reached(bound))))
        })),
        run((
            TIMES,
            v(2),
            |(mut context, _): (jaq_core::Ctx<Data>, Val)| {
                let right = context.pop_var();
                bome(times(context.pop_var(), right))
            },
        )),
    ])
}

/// Returns a definition of `range` that counts the steps of the native one.
pub(super) fn range() -> Def<&'static str> {
    let args = ["$from", "$to", "$by"];
    Def {
        name: "range",
        args: args.into(),
        body: stepwise(Term::Call(RANGE, args.map(Term::Var).into())),
    }
}

/// Adds steps to the folds and arrays of a definition, and to the definition if it calls itself.
pub(super) fn definition(definition: Def<&str>) -> Def<&str> {
    inner(definition, &mut Vec::new())
}

fn inner<'s>(mut definition: Def<&'s str>, called: &mut Vec<&'s str>) -> Def<&'s str> {
    let before = called.len();
    definition.body = term(definition.body, called);
    if called[before..].contains(&definition.name) {
        definition.body = guarded(definition.body);
    }
    definition
}

/// Takes a step before `then`. A condition keeps a path a path, and a call in a tail there.
fn guarded(then: Term<&str>) -> Term<&str> {
    Term::IfThenElse(vec![(Term::Call(STEP, Vec::new()), then)], None)
}

/// Takes a step for each output.
pub(super) fn stepwise(outputs: Term<&str>) -> Term<&str> {
    let step = guarded(Term::Id);
    Term::BinOp(outputs.into(), BinaryOp::Pipe(None), step.into())
}

/// Adds steps to a term, and collects the names of the filters that it calls.
fn term<'s>(found: Term<&'s str>, called: &mut Vec<&'s str>) -> Term<&'s str> {
    let mut each = |found: Term<&'s str>| term(found, called);
    match found {
        Term::Arr(Some(inner)) => Term::Arr(Some(stepwise(each(*inner)).into())),
        Term::Fold(name, inputs, pattern, arguments) => {
            let inputs = each(*inputs).into();
            let pattern = self::pattern(pattern, &mut each);
            let arguments = arguments.into_iter().enumerate();
            let arguments = arguments.map(|(number, argument)| match number {
                1 => guarded(each(argument)),
                _ => each(argument),
            });
            Term::Fold(name, inputs, pattern, arguments.collect())
        }
        Term::BinOp(left, BinaryOp::Math(Math::Mul), right) => {
            Term::Call(TIMES, vec![each(*left), each(*right)])
        }
        Term::BinOp(left, operator, right) => {
            let left = each(*left).into();
            let operator = match operator {
                BinaryOp::Pipe(Some(pattern)) => {
                    BinaryOp::Pipe(Some(self::pattern(pattern, &mut each)))
                }
                operator => operator,
            };
            Term::BinOp(left, operator, each(*right).into())
        }
        Term::Call(name, arguments) => {
            let arguments = arguments.into_iter().map(&mut each).collect();
            called.push(name);
            Term::Call(name, arguments)
        }
        Term::Def(definitions, then) => {
            let definitions = definitions.into_iter();
            let definitions = definitions.map(|definition| inner(definition, called));
            Term::Def(definitions.collect(), term(*then, called).into())
        }
        Term::Str(format, parts) => {
            let parts = parts.into_iter().map(|part| match part {
                StrPart::Term(inner) => StrPart::Term(each(inner)),
                part => part,
            });
            Term::Str(format, parts.collect())
        }
        Term::Obj(fields) => {
            let fields = fields.into_iter();
            let fields = fields.map(|(key, value)| (each(key), value.map(&mut each)));
            Term::Obj(fields.collect())
        }
        Term::Neg(inner) => Term::Neg(each(*inner).into()),
        Term::Label(name, inner) => Term::Label(name, each(*inner).into()),
        Term::TryCatch(inner, catch) => {
            let inner = each(*inner).into();
            Term::TryCatch(inner, catch.map(|catch| each(*catch).into()))
        }
        Term::IfThenElse(branches, last) => {
            let branches = branches.into_iter();
            let branches = branches.map(|(condition, then)| (each(condition), each(then)));
            let branches = branches.collect();
            Term::IfThenElse(branches, last.map(|last| each(*last).into()))
        }
        Term::Path(inner, Path(parts)) => {
            let inner = each(*inner).into();
            let parts = parts.into_iter().map(|(part, optional)| {
                let part = match part {
                    Part::Index(index) => Part::Index(each(index)),
                    Part::Range(from, to) => Part::Range(from.map(&mut each), to.map(&mut each)),
                };
                (part, optional)
            });
            Term::Path(inner, Path(parts.collect()))
        }
        found @ (Term::Id
        | Term::Recurse
        | Term::Num(_)
        | Term::Arr(None)
        | Term::Break(_)
        | Term::Var(_)) => found,
    }
}

fn pattern<'s>(
    found: Pattern<&'s str>,
    each: &mut dyn FnMut(Term<&'s str>) -> Term<&'s str>,
) -> Pattern<&'s str> {
    match found {
        Pattern::Var(name) => Pattern::Var(name),
        Pattern::Arr(patterns) => {
            let patterns = patterns.into_iter();
            Pattern::Arr(patterns.map(|inner| pattern(inner, each)).collect())
        }
        Pattern::Obj(fields) => {
            let fields = fields.into_iter();
            let fields = fields.map(|(key, inner)| (each(key), pattern(inner, each)));
            Pattern::Obj(fields.collect())
        }
    }
}
