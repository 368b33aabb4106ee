//! Filters for jobs: terms such as `state=failed` or `status>=500`, all of which have to hold. Pure.
//!
//! A term is a field, a relation and what to compare with:
//!
//! | field | relations | values |
//! | --- | --- | --- |
//! | `state` | `=` `!=` | `pending`, `running`, `done`, `failed`, `held` |
//! | `class` | `=` `!=` | the classes of failures |
//! | `status`, `attempts` | all | whole numbers |
//! | `started` | `<` `<=` `>` `>=` | `2026-01-31`, `2026-01-31T10:00` (UTC, or with an offset), `2h ago` |
//! | `duration` | `<` `<=` `>` `>=` | `250ms`, `10s`, `2m` |
//! | `name` | `=` `!=`, and `~` `!~` for a pattern | a name; in a pattern `*` is anything, `?` a character, `[a-z]` one of them |
//!
//! After `=` and `!=` there may be several, with commas between them, but for names: `state=failed,held` is one of the
//! two, `status!=404,410` neither. Class, status, started and duration are those of the latest attempt. Where there is
//! none, only `!=` is true.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::job::{Class, FileName, JobState};
use crate::settings::parse_duration;

/// A condition on a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Term {
    /// It is in one of these states, or in none.
    State {
        /// In one, or else in none.
        is: bool,
        /// The states.
        any: Vec<JobState>,
    },
    /// Its failure is of one of these classes, or of none.
    Class {
        /// Of one, or else of none.
        is: bool,
        /// The classes.
        any: Vec<Class>,
    },
    /// One of its numbers compares so with one of these, or is none of them.
    Number {
        /// Which.
        what: Number,
        /// How.
        order: Order,
        /// With what: several only where it is to be equal, or not.
        any: Vec<i64>,
    },
    /// It has this name, or another.
    Name {
        /// This, or else another.
        is: bool,
        /// The name.
        name: FileName,
    },
    /// Its name is like this pattern, or is not.
    Like {
        /// Like it, or else not.
        is: bool,
        /// The pattern.
        pattern: FileName,
    },
}

/// A number that a job has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// The HTTP status.
    Status,
    /// How many attempts there were.
    Attempts,
    /// When the latest began, in milliseconds since 1970.
    Started,
    /// How long it took, in milliseconds.
    Duration,
}

/// How numbers compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// `=`
    Equal,
    /// `!=`
    Other,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
}

/// A relation as it is written; longer ones come before those that they begin with.
const RELATIONS: [(&str, Relation); 8] = [
    ("!=", Relation::Order(Order::Other)),
    ("!~", Relation::Like(false)),
    ("<=", Relation::Order(Order::AtMost)),
    (">=", Relation::Order(Order::AtLeast)),
    ("=", Relation::Order(Order::Equal)),
    ("~", Relation::Like(true)),
    ("<", Relation::Order(Order::Less)),
    (">", Relation::Order(Order::More)),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Order(Order),
    Like(bool),
}

/// The fields there are, each with an example.
const FIELDS: [(&str, &str); 7] = [
    ("state", "state=failed,held"),
    ("class", "class=rejected"),
    ("status", "status>=500"),
    ("attempts", "attempts>1"),
    ("started", "'started>=2026-01-31T10:00' or 'started>2h ago'"),
    ("duration", "'duration>10s'"),
    ("name", "'name~*.txt'"),
];

impl Term {
    /// Reads a term. `now` is in milliseconds since 1970, for times that are counted from it.
    ///
    /// # Errors
    ///
    /// Returns a message for the user where it is none: what is wrong, and what to write.
    pub fn read(words: &[u8], now: i64) -> Result<Self, String> {
        let text = String::from_utf8_lossy(words);
        let field: String = text
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        let Some((_, example)) = FIELDS.iter().find(|(known, _)| *known == field) else {
            let examples = FIELDS.map(|(_, example)| example);
            return Err(format!(
                "`{text}` is no term: write {}",
                examples.join(", or ")
            ));
        };
        let wrong = || Err(format!("`{text}` is no term: write {example}"));
        let rest = &words[field.len()..];
        let found = RELATIONS.iter().find_map(|(written, relation)| {
            Some((relation, rest.strip_prefix(written.as_bytes())?))
        });
        let Some((relation, value)) = found.filter(|(_, value)| !value.is_empty()) else {
            return wrong();
        };
        let value_text = String::from_utf8_lossy(value);
        let each = || value_text.split(',').map(str::trim);
        match (field.as_str(), *relation) {
            ("name", Relation::Like(is)) => Ok(Self::Like {
                is,
                pattern: FileName::new(value),
            }),
            ("name", Relation::Order(order @ (Order::Equal | Order::Other))) => Ok(Self::Name {
                is: order == Order::Equal,
                name: FileName::new(value),
            }),
            ("state", Relation::Order(order @ (Order::Equal | Order::Other))) => Ok(Self::State {
                is: order == Order::Equal,
                any: known(each(), "state", &JobState::ALL, JobState::as_str)?,
            }),
            ("class", Relation::Order(order @ (Order::Equal | Order::Other))) => Ok(Self::Class {
                is: order == Order::Equal,
                any: known(each(), "class", &Class::ALL, Class::as_str)?,
            }),
            ("status", Relation::Order(order)) => numbers(Number::Status, order, each(), example),
            ("attempts", Relation::Order(order)) => {
                numbers(Number::Attempts, order, each(), example)
            }
            ("started", Relation::Order(order)) if order.is_of_more_and_less() => {
                let Some(moment) = moment(value_text.trim(), now) else {
                    return wrong();
                };
                Ok(Self::Number {
                    what: Number::Started,
                    order,
                    any: vec![moment],
                })
            }
            ("duration", Relation::Order(order)) if order.is_of_more_and_less() => {
                let duration = parse_duration(value_text.trim())?;
                Ok(Self::Number {
                    what: Number::Duration,
                    order,
                    any: vec![duration.as_millis() as i64],
                })
            }
            _ => wrong(),
        }
    }
}

impl Order {
    fn is_of_more_and_less(self) -> bool {
        !matches!(self, Self::Equal | Self::Other)
    }
}

/// The words of which each is one of those that are known.
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
                format!(
                    "there is no {what} `{word}`: write one of {}",
                    all.join(", ")
                )
            })
        })
        .collect()
}

fn numbers<'w>(
    what: Number,
    order: Order,
    words: impl Iterator<Item = &'w str>,
    example: &str,
) -> Result<Term, String> {
    let read = |word: &'w str| {
        let number = word.parse::<u32>().map(i64::from);
        number.map_err(|_| format!("`{word}` is no whole number: write {example}"))
    };
    let any = words.map(read).collect::<Result<Vec<i64>, String>>()?;
    if any.len() > 1 && order.is_of_more_and_less() {
        return Err(format!(
            "several numbers go with = and != alone: write {example}"
        ));
    }
    Ok(Term::Number { what, order, any })
}

/// A moment, in milliseconds since 1970: with an offset, or in UTC, or counted back from now.
fn moment(text: &str, now: i64) -> Option<i64> {
    if let Some(ago) = text.strip_suffix("ago") {
        let ago = parse_duration(ago.trim_end()).ok()?;
        return Some(now - ago.as_millis() as i64);
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment.as_millisecond());
    }
    let moment = text.parse::<DateTime>().ok()?;
    let moment = TimeZone::UTC.to_timestamp(moment).ok()?;
    Some(moment.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-31T10:00:00Z.
    const NOW: i64 = 1_769_853_600_000;

    fn read(text: &str) -> Term {
        Term::read(text.as_bytes(), NOW).unwrap_or_else(|error| panic!("{error}"))
    }

    fn number(what: Number, order: Order, any: &[i64]) -> Term {
        let any = any.to_vec();
        Term::Number { what, order, any }
    }

    #[test]
    fn terms_are_read_as_they_are_documented() {
        let states = |is, any: &[JobState]| Term::State {
            is,
            any: any.to_vec(),
        };
        assert_eq!(
            read("state=failed,held"),
            states(true, &[JobState::Failed, JobState::Held])
        );
        assert_eq!(read("state!=done"), states(false, &[JobState::Done]));
        assert_eq!(
            read("class=bad_response"),
            Term::Class {
                is: true,
                any: vec![Class::BadResponse]
            }
        );
        assert_eq!(
            read("status>=500"),
            number(Number::Status, Order::AtLeast, &[500])
        );
        assert_eq!(
            read("status!=404,410"),
            number(Number::Status, Order::Other, &[404, 410])
        );
        assert_eq!(
            read("attempts>1"),
            number(Number::Attempts, Order::More, &[1])
        );
        assert_eq!(
            read("duration<=1.5s"),
            number(Number::Duration, Order::AtMost, &[1500])
        );
        let pattern = FileName::from("glob*,=~.txt");
        assert_eq!(read("name~glob*,=~.txt"), Term::Like { is: true, pattern });
        let name = FileName::new(&b"caf\xe9"[..]);
        assert_eq!(
            Term::read(b"name!=caf\xe9", NOW),
            Ok(Term::Name { is: false, name })
        );
    }

    #[test]
    fn moments_are_in_utc_or_say_what_they_are_in() {
        for (text, expected) in [
            ("started>=2026-01-31T10:00", NOW),
            ("started>=2026-01-31 10:00:00", NOW),
            ("started>=2026-01-31T10:00:00Z", NOW),
            ("started>=2026-01-31T11:00+01:00", NOW),
            ("started>=2026-01-31", NOW - 36_000_000),
            ("started>=2h ago", NOW - 7_200_000),
            ("started>=90s ago", NOW - 90_000),
        ] {
            let expected = number(Number::Started, Order::AtLeast, &[expected]);
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_term_says_what_is_one() {
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
            ("status=x", "no whole number"),
            ("status=-1", "no whole number"),
            ("status=99999999999", "no whole number"),
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
            let told = Term::read(wrong.as_bytes(), NOW).unwrap_err();
            assert!(told.contains(says), "{wrong}: {told}");
            assert!(told.contains(": write "), "{wrong}: {told}");
        }
    }
}
