//! How settings are stored whose types are not serde's.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Rates, Threads};

#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    None,
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrWord {
    Number(usize),
    Word(String),
}

pub(super) mod rates {
    use super::*;

    pub(in super::super) fn serialize<S: Serializer>(
        rates: &Rates,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        rates.words().serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Rates, D::Error> {
        // One rate alone, or none, is how the first version stored it.
        let words = match Words::deserialize(from)? {
            Words::None => Vec::new(),
            Words::One(word) => vec![word],
            Words::Many(words) => words,
        };
        Rates::read(words.iter().map(String::as_str)).map_err(de::Error::custom)
    }
}

pub(super) mod threads {
    use super::*;

    pub(in super::super) fn serialize<S: Serializer>(
        threads: &Threads,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match threads {
            Threads::Fixed(threads) => threads.serialize(to),
            Threads::Auto => "auto".serialize(to),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Threads, D::Error> {
        match NumberOrWord::deserialize(from)? {
            NumberOrWord::Number(threads) => Ok(Threads::Fixed(threads)),
            NumberOrWord::Word(word) if word == "auto" => Ok(Threads::Auto),
            NumberOrWord::Word(word) => Err(de::Error::custom(format!(
                "`{word}` is no number of threads"
            ))),
        }
    }
}

/// What can be read from its own words.
pub(super) mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use super::*;

    #[expect(clippy::ref_option, reason = "serde hands fields over by reference")]
    pub(in super::super) fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_ref().map(ToString::to_string).serialize(to)
    }

    pub(in super::super) fn deserialize<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err = String>,
        D: Deserializer<'de>,
    {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| text.parse().map_err(de::Error::custom))
            .transpose()
    }
}
