//! Conditions on jobs: terms such as `state=failed` or `status>=500`, all of which must hold. Pure.
//!
//! A term is a field, a relation and a value:
//!
//! | field | relations | values |
//! | --- | --- | --- |
//! | `state` | `=` `!=` | `pending`, `running`, `done`, `failed`, `held`, `forgotten` |
//! | `class` | `=` `!=` | the classes of failures |
//! | `status`, `attempts` | all but `~` `!~` | whole numbers |
//! | `started` | `<` `<=` `>` `>=` | `2026-01-31`, `2026-01-31T10:00` (UTC, or with an offset), `2h ago` |
//! | `duration` | `<` `<=` `>` `>=` | `250ms`, `10s`, `2m` |
//! | `name` | `=` `!=`, and `~` `!~` for a pattern | a name; in a pattern `*` is anything, `?` a character, `[a-z]` one of them |
//!
//! `=` and `!=` accept several values separated by commas, except for names: `state=failed,held` is either state,
//! `status!=404,410` neither status. Class, status, started and duration are those of the latest attempt. A job without
//! an attempt matches only `!=`.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use strum::{IntoStaticStr, VariantArray};

use self::Relation::{AtLeast, AtMost, Equal, Less, Like, More, NotEqual, Unlike};
use crate::job::{Class, FileName, JobState};
use crate::settings::parse_duration;

/// A condition on a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The relation between the job's field and the operand.
    pub relation: Relation,
    /// The field, and the values with which it is compared.
    pub operand: Operand,
}

/// A field of a job with the values of a term. There are several values only for `=` and `!=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    /// The job's state.
    State(Vec<JobState>),
    /// The class of its failure.
    Class(Vec<Class>),
    /// One of its numbers.
    Number(Number, Vec<i64>),
    /// Its name, or a pattern for it.
    Name(FileName),
}

/// A number that a job has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// The HTTP status.
    Status,
    /// The number of attempts.
    Attempts,
    /// The time at which the latest attempt began, in milliseconds since 1970.
    Started,
    /// The duration of the latest attempt in milliseconds.
    Duration,
}

/// A relation in a term. Longer ones precede those that they begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
pub enum Relation {
    /// Differs from all values.
    #[strum(serialize = "!=")]
    NotEqual,
    /// Does not match the pattern.
    #[strum(serialize = "!~")]
    Unlike,
    /// Is at most the value.
    #[strum(serialize = "<=")]
    AtMost,
    /// Is at least the value.
    #[strum(serialize = ">=")]
    AtLeast,
    /// Is one of the values.
    #[strum(serialize = "=")]
    Equal,
    /// Matches the pattern.
    #[strum(serialize = "~")]
    Like,
    /// Is less than the value.
    #[strum(serialize = "<")]
    Less,
    /// Is more than the value.
    #[strum(serialize = ">")]
    More,
}

impl Relation {
    /// Returns the relation as it is written.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The relations of a field, and an example.
type FieldRule = (&'static str, &'static [Relation], &'static str);

/// Every field.
const FIELDS: [FieldRule; 7] = [
    ("state", &[Equal, NotEqual], "state=failed,held"),
    ("class", &[Equal, NotEqual], "class=rejected"),
    ("status", NUMERIC, "status>=500"),
    ("attempts", NUMERIC, "attempts>1"),
    (
        "started",
        ORDERING,
        "'started>=2026-01-31T10:00' or 'started>2h ago'",
    ),
    ("duration", ORDERING, "'duration>10s'"),
    ("name", &[Equal, NotEqual, Like, Unlike], "'name~*.txt'"),
];
const NUMERIC: &[Relation] = &[Equal, NotEqual, Less, AtMost, More, AtLeast];
const ORDERING: &[Relation] = &[Less, AtMost, More, AtLeast];

impl Term {
    /// Parses a term. `now`, in milliseconds since 1970, is the time to which `ago` refers.
    ///
    /// # Errors
    ///
    /// Returns a message with the fault, and an example of a valid term.
    pub fn read(words: &[u8], now: i64) -> Result<Self, String> {
        let text = String::from_utf8_lossy(words);
        let is_of_field = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
        let (field, rest) = words.split_at(words.iter().take_while(is_of_field).count());
        let Some((field, relations, example)) =
            FIELDS.iter().find(|(known, ..)| known.as_bytes() == field)
        else {
            let examples = FIELDS.map(|(.., example)| example);
            let examples = examples.join(", or ");
            return Err(format!("invalid term `{text}`: use {examples}"));
        };
        let wrong = || format!("invalid term `{text}`: use {example}");
        let written = Relation::VARIANTS.iter().find_map(|relation| {
            Some((*relation, rest.strip_prefix(relation.as_str().as_bytes())?))
        });
        let (relation, value) = written
            .filter(|(relation, value)| relations.contains(relation) && !value.is_empty())
            .ok_or_else(wrong)?;
        let value_text = String::from_utf8_lossy(value);
        let value_text = value_text.trim();
        let each = || value_text.split(',').map(str::trim);
        let one_or_more = |number| {
            let is_number = |word: &str| {
                let number = word.parse::<u32>().map(i64::from);
                number.map_err(|_| format!("invalid number `{word}`: use {example}"))
            };
            let values = each().map(is_number).collect::<Result<Vec<_>, _>>()?;
            match values.len() > 1 && ORDERING.contains(&relation) {
                true => Err(format!("several numbers need = or !=: use {example}")),
                false => Ok(Operand::Number(number, values)),
            }
        };
        let operand = match *field {
            "state" => Operand::State(known(each(), "state", JobState::ALL, JobState::as_str)?),
            "class" => Operand::Class(known(each(), "class", Class::ALL, Class::as_str)?),
            "status" => one_or_more(Number::Status)?,
            "attempts" => one_or_more(Number::Attempts)?,
            "started" => {
                let time = parse_time(value_text, now).ok_or_else(wrong)?;
                Operand::Number(Number::Started, vec![time])
            }
            "duration" => {
                let duration = parse_duration(value_text)?.as_millis() as i64;
                Operand::Number(Number::Duration, vec![duration])
            }
            _ => Operand::Name(FileName::new(value)),
        };
        Ok(Self { relation, operand })
    }
}

/// Parses words that each name one of `all`.
fn known<'w, T: Copy>(
    words: impl Iterator<Item = &'w str>,
    what: &str,
    all: &[T],
    as_str: fn(T) -> &'static str,
) -> Result<Vec<T>, String> {
    words
        .map(|word| {
            let found = all.iter().find(|each| as_str(**each) == word);
            found.copied().ok_or_else(|| {
                let all: Vec<&str> = all.iter().map(|each| as_str(*each)).collect();
                let all = all.join(", ");
                format!("unknown {what} `{word}`: use one of {all}")
            })
        })
        .collect()
}

/// Parses a time with an offset, in UTC, or before `now`. Returns milliseconds since 1970.
fn parse_time(text: &str, now: i64) -> Option<i64> {
    if let Some(ago) = text.strip_suffix("ago") {
        let ago = parse_duration(ago.trim_end()).ok()?;
        return Some(now - ago.as_millis() as i64);
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.as_millisecond());
    }
    let time = text.parse::<DateTime>().ok()?;
    let time = TimeZone::UTC.to_timestamp(time).ok()?;
    Some(time.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-31T10:00:00Z.
    const NOW: i64 = 1_769_853_600_000;

    fn read(text: &[u8]) -> (Relation, Operand) {
        let term = Term::read(text, NOW).unwrap_or_else(|error| panic!("{error}"));
        (term.relation, term.operand)
    }

    #[test]
    fn terms_are_parsed_as_documented() {
        let number = Operand::Number;
        let bad = Class::BadResponse;
        for (text, expected) in [
            (
                &b"state=failed,held"[..],
                (
                    Equal,
                    Operand::State(vec![JobState::Failed, JobState::Held]),
                ),
            ),
            (
                b"state!=done",
                (NotEqual, Operand::State(vec![JobState::Done])),
            ),
            (b"class=bad_response", (Equal, Operand::Class(vec![bad]))),
            (b"status>=500", (AtLeast, number(Number::Status, vec![500]))),
            (
                b"status!=404,410",
                (NotEqual, number(Number::Status, vec![404, 410])),
            ),
            (b"attempts>1", (More, number(Number::Attempts, vec![1]))),
            (
                b"duration<=1.5s",
                (AtMost, number(Number::Duration, vec![1500])),
            ),
            (
                b"name~glob*,=~.txt",
                (Like, Operand::Name("glob*,=~.txt".into())),
            ),
            (
                b"name!=caf\xe9",
                (NotEqual, Operand::Name(FileName::new(&b"caf\xe9"[..]))),
            ),
        ] {
            assert_eq!(read(text), expected);
        }
    }

    #[test]
    fn times_are_in_utc_unless_they_have_an_offset() {
        for (text, expected) in [
            ("started>=2026-01-31T10:00", NOW),
            ("started>=2026-01-31 10:00:00", NOW),
            ("started>=2026-01-31T10:00:00Z", NOW),
            ("started>=2026-01-31T11:00+01:00", NOW),
            ("started>=2026-01-31", NOW - 36_000_000),
            ("started>=2h ago", NOW - 7_200_000),
            ("started>=90s ago", NOW - 90_000),
        ] {
            let expected = Operand::Number(Number::Started, vec![expected]);
            assert_eq!(read(text.as_bytes()), (AtLeast, expected), "{text}");
        }
    }

    #[test]
    fn an_invalid_term_is_an_error_with_an_example() {
        for (wrong, says) in [
            ("", "state=failed"),
            ("state", "state=failed"),
            ("state=", "state=failed"),
            ("state>done", "state=failed"),
            (
                "state=done,,",
                "one of pending, running, done, failed, held",
            ),
            ("State=done", "state=failed"),
            ("class=nope", "one of transient, throttled"),
            ("class~auth", "class=rejected"),
            ("status=x", "invalid number"),
            ("status=-1", "invalid number"),
            ("status=99999999999", "invalid number"),
            ("status>1,2", "several numbers"),
            ("started=2026-01-31", "started>="),
            ("started>yesterday", "started>="),
            ("started>2h", "started>="),
            ("duration>10", "a number and a unit"),
            ("duration=10s", "duration>10s"),
            ("name>a", "name~"),
            ("size>1", "state=failed"),
            ("1=1; DROP TABLE job", "state=failed"),
        ] {
            let message = Term::read(wrong.as_bytes(), NOW).unwrap_err();
            assert!(message.contains(says), "{wrong}: {message}");
            assert!(message.contains(": use "), "{wrong}: {message}");
        }
    }
}
