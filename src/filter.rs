//! Conditions on jobs: terms such as `state=failed` or `status>=500`, all of which must hold. Pure.
//!
//! A term is a field, a relation and a value:
//!
//! | field | relations | values |
//! | --- | --- | --- |
//! | `state` | `=` `!=` | `pending`, `waiting`, `running`, `done`, `failed`, `held`, `forgotten` |
//! | `class` | `=` `!=` | the classes of failures |
//! | `status`, `attempts` | all but `~` `!~` | whole numbers |
//! | `started` | `<` `<=` `>` `>=` | `2026-01-31`, `2026-01-31T10:00` (UTC, or with an offset), `2h ago` |
//! | `duration` | `<` `<=` `>` `>=` | `250ms`, `10s`, `2m` |
//! | `name` | `=` `!=`, and `~` `!~` for a pattern | a name; in a pattern `*` is anything, `?` a character, `[a-z]` one of them |
//! | `col.NAME` | all | a column of a list that is a table; numbers are ordered as numbers, any other text by its characters |
//!
//! `=` and `!=` accept several values separated by commas, except for names: `state=failed,held` is either state,
//! `status!=404,410` neither status. Class, status, started and duration are those of the result's attempt, or else of the
//! latest one. A job without the value matches only `!=` and `!~`. The name and the values of a column may be quoted:
//! `col."a b"="x,y",z`. As in expressions, `$col.NAME == "x"` is the same as `col.NAME=x`.

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
    /// The class of that attempt's failure.
    Class(Vec<Class>),
    /// One of its numbers.
    Number(Number, Vec<i64>),
    /// Its name, or a pattern for it.
    Name(FileName),
    /// A column of the list, and values or a pattern for it.
    Column(String, Vec<String>),
}

/// A number that a job has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// The HTTP status of the result's attempt, or else of the latest one.
    Status,
    /// The number of attempts.
    Attempts,
    /// The time at which that attempt began, in milliseconds since 1970.
    Started,
    /// The duration of that attempt in milliseconds.
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
const FIELDS: [FieldRule; 8] = [
    ("state", &[Equal, NotEqual], "state=failed,held"),
    ("class", &[Equal, NotEqual], "class=rejected"),
    ("status", NUMERIC, "'status>=500'"),
    ("attempts", NUMERIC, "'attempts>1'"),
    (
        "started",
        ORDERING,
        "'started>=2026-01-31T10:00' or 'started>2h ago'",
    ),
    ("duration", ORDERING, "'duration>10s'"),
    ("name", &[Equal, NotEqual, Like, Unlike], "'name~*.txt'"),
    ("col", Relation::VARIANTS, "col.NAME=VALUE"),
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
        let words = words
            .strip_prefix(b"$")
            .filter(|rest| rest.starts_with(b"col"))
            .unwrap_or(words);
        let is_of_field = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
        let (field, rest) = words.split_at(words.iter().take_while(is_of_field).count());
        let Some((field, relations, example)) =
            FIELDS.iter().find(|(known, ..)| known.as_bytes() == field)
        else {
            return Err(unknown_field(&text));
        };
        let wrong = || match relations
            .iter()
            .any(|relation| matches!(relation, Less | More))
        {
            // A shell takes `>` and what follows for a file.
            true if rest.is_empty() => {
                format!("invalid term `{text}`: use {example}, with the quotes")
            }
            _ => format!("invalid term `{text}`: use {example}"),
        };
        let (column, rest) = match *field {
            "col" => column_name(rest).ok_or_else(wrong)?,
            _ => (String::new(), rest),
        };
        let rest = rest.trim_ascii_start();
        let written = Relation::VARIANTS.iter().find_map(|relation| {
            Some((*relation, rest.strip_prefix(relation.as_str().as_bytes())?))
        });
        let (relation, value) = written
            .filter(|(relation, value)| relations.contains(relation) && !value.is_empty())
            .ok_or_else(wrong)?;
        let before = String::from_utf8_lossy(&words[..words.len() - value.len()]);
        let check = |pattern: &str| match relation {
            Like | Unlike => check_pattern(&before, pattern),
            _ => Ok(()),
        };
        if *field == "name" {
            check(&String::from_utf8_lossy(value))?;
            let operand = Operand::Name(FileName::new(value));
            return Ok(Self { relation, operand });
        }
        // `==` is jq's word for `=`.
        let value = value
            .strip_prefix(b"=")
            .filter(|_| relation == Equal)
            .unwrap_or(value);
        let value = String::from_utf8_lossy(value);
        let operand = match *field {
            "col" => {
                let values = split_words(value.trim()).ok_or_else(wrong)?;
                let is_single = values.len() == 1 || matches!(relation, Equal | NotEqual);
                match is_single {
                    true => {
                        check(&values[0])?;
                        Operand::Column(column, values)
                    }
                    false => return Err(format!("several values need = or !=: use {example}")),
                }
            }
            field => operand(field, relation, value.trim(), now, example).ok_or_else(wrong)??,
        };
        Ok(Self { relation, operand })
    }

    /// Returns the column of the list that the term compares, if it is one.
    pub fn column(&self) -> Option<&str> {
        match &self.operand {
            Operand::Column(name, _) => Some(name),
            _ => None,
        }
    }
}

/// Refuses a pattern that surely is not meant: one that matches nothing, and one that is a plain word.
fn check_pattern(before: &str, pattern: &str) -> Result<(), String> {
    let mut rest = pattern;
    while let Some((_, set)) = rest.split_once('[') {
        // A `]` that is first in a set is one of its characters.
        let first = set.strip_prefix('^').unwrap_or(set).chars().next();
        let length = first.map_or(0, char::len_utf8) + usize::from(set.starts_with('^'));
        let end = set[length..].find(']').ok_or_else(|| {
            let quoted = pattern.replace('[', "[[]");
            format!("invalid term `{before}{pattern}`, a [ without its ]: use '{before}{quoted}' for the [ itself")
        })?;
        rest = &set[length + end + 1..];
    }
    match pattern.contains(['*', '?', '[']) {
        true => Ok(()),
        false => Err(format!(
            "invalid term `{before}{pattern}`, a pattern without * or ?: use '{before}*{pattern}*' for what contains it"
        )),
    }
}

/// Returns the message for a term that begins with no field. Most such terms mean a column of the list.
fn unknown_field(text: &str) -> String {
    let end = text.find(['=', '!', '<', '>', '~']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let name = name.trim();
    let lower = name.to_ascii_lowercase();
    let mut fields = FIELDS.iter();
    let near = fields.find(|(known, ..)| strsim::damerau_levenshtein(known, &lower) <= 1);
    if let Some((.., example)) = near {
        return format!("invalid term `{text}`: use {example}");
    }
    let examples = FIELDS.map(|(.., example)| example);
    let examples = examples.join(", or ");
    match lower.as_str() {
        "file" | "path" => format!("invalid term `{text}`: use 'name{rest}' for the file's name"),
        // As jq names them.
        field if field.starts_with("result.") || field.starts_with('.') => {
            let field = name.strip_prefix("result").unwrap_or(name);
            format!(
                "invalid term `{text}`: use a filter of the exported results, as in stride export --format jsonl | jq -c 'select(.result{field} == \"VALUE\")'; a term has no field of results"
            )
        }
        "" => format!("invalid term `{text}`: use {examples}"),
        _ if rest.is_empty() => format!("invalid term `{text}`: use {examples}"),
        _ => format!(
            "invalid term `{text}`: use 'col.{name}{rest}' for a column of the list; other terms are {examples}"
        ),
    }
}

/// Parses the value of any field except `name` and `col`. Returns `None` if the whole term is invalid.
fn operand(
    field: &str,
    relation: Relation,
    value: &str,
    now: i64,
    example: &str,
) -> Option<Result<Operand, String>> {
    let each = || value.split(',').map(str::trim);
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
    Some(match field {
        "state" => known(each(), "state", JobState::ALL, JobState::as_str).map(Operand::State),
        "class" => known(each(), "class", Class::ALL, Class::as_str).map(Operand::Class),
        "status" => one_or_more(Number::Status),
        "attempts" => one_or_more(Number::Attempts),
        "started" => Ok(Operand::Number(
            Number::Started,
            vec![parse_time(value, now)?],
        )),
        _ => parse_duration(value)
            .map(|duration| Operand::Number(Number::Duration, vec![duration.as_millis() as i64])),
    })
}

/// Splits `.NAME`, `."NAME"` or `["NAME"]` from the beginning of a text. A bare name ends at the relation.
fn column_name(text: &[u8]) -> Option<(String, &[u8])> {
    let text = std::str::from_utf8(text).ok()?;
    let (name, rest) = match text.strip_prefix('.') {
        Some(quoted) if quoted.starts_with('"') => quoted_name(quoted)?,
        Some(bare) => {
            let (name, rest) = bare.split_at(bare.find(['=', '!', '<', '>', '~'])?);
            (name.trim().to_owned(), rest)
        }
        None => {
            let (name, rest) = quoted_name(text.strip_prefix('[')?)?;
            (name, rest.strip_prefix(']')?)
        }
    };
    Some((name, rest.as_bytes()))
}

/// Splits a JSON string from the beginning of a text.
fn quoted_name(text: &str) -> Option<(String, &str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<String>();
    let first = values.next()?.ok()?;
    Some((first, &text[values.byte_offset()..]))
}

/// Splits words at commas, as a line of CSV: a word with a comma is between double quotes.
pub(crate) fn split_words(text: &str) -> Option<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader
        .has_headers(false)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let words = reader.records().next()?.ok()?;
    Some(words.iter().map(str::to_owned).collect())
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
                b"$col.lang == \"de\"",
                (
                    Equal,
                    Operand::Column("lang".to_owned(), vec!["de".to_owned()]),
                ),
            ),
            (
                br#"col."a=b"!="x,y", z"#,
                (
                    NotEqual,
                    Operand::Column("a=b".to_owned(), vec!["x,y".to_owned(), "z".to_owned()]),
                ),
            ),
            (
                br#"col["n"] >= 5"#,
                (
                    AtLeast,
                    Operand::Column("n".to_owned(), vec!["5".to_owned()]),
                ),
            ),
            (
                b"col.two words~*=*",
                (
                    Like,
                    Operand::Column("two words".to_owned(), vec!["*=*".to_owned()]),
                ),
            ),
            (
                br#"col.empty="""#,
                (
                    Equal,
                    Operand::Column("empty".to_owned(), vec![String::new()]),
                ),
            ),
            (b"status == 200", (Equal, number(Number::Status, vec![200]))),
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
            ("status", "'status>=500', with the quotes"),
            ("col", "col.NAME=VALUE"),
            ("col.lang", "col.NAME=VALUE"),
            ("col.lang=", "col.NAME=VALUE"),
            ("col.n>1,2", "several values"),
            ("column=1", "col.NAME=VALUE"),
            ("size>1", "state=failed"),
            ("1=1; DROP TABLE job", "state=failed"),
        ] {
            let message = Term::read(wrong.as_bytes(), NOW).unwrap_err();
            assert!(message.contains(says), "{wrong}: {message}");
            assert!(message.contains(": use "), "{wrong}: {message}");
        }
    }
}
