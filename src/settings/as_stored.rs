//! The stored form of settings whose types do not implement serde's traits.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Rates;

pub(super) mod rates {
    use super::*;

    pub(in super::super) fn serialize<S: Serializer>(
        rates: &Rates,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        rates.to_words().serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Rates, D::Error> {
        let words = Vec::<String>::deserialize(from)?;
        Rates::parse(words.iter().map(String::as_str)).map_err(de::Error::custom)
    }
}

/// Stores a value as text.
pub(super) mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use super::*;

    #[expect(clippy::ref_option, reason = "serde passes fields by reference")]
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
