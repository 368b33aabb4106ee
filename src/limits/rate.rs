//! Rates as people write them: `10/s`, `5000/d`, `20MB/s`, `90000w/m`, `auto`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What a rate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// Calls.
    Calls,
    /// Bytes of files sent.
    Bytes,
    /// The weight that the user gives to a file, such as its tokens.
    Weight,
}

/// So much in a window of time, such as `10/s`, `5000/d`, `20MB/s` or `90000w/m`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    amount: f64,
    /// The unit of a rate in bytes as it was written, and its size.
    bytes: Option<(&'static str, f64)>,
    measure: Measure,
    unit: char,
}

/// The units of a rate in bytes.
const BYTES: [(&str, f64); 9] = [
    ("B", 1.0),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("KB", 1e3),
    ("kB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
];

/// Calls in a day may be few, but a pace below one in a year is a mistake.
const LEAST: f64 = 1.0 / 366.0;
/// No clock here can tell calls apart that are closer than a microsecond.
const MOST_CALLS: f64 = 1e6;
/// Whole numbers beyond this are not exact.
const MOST: f64 = 1e15;

impl Rate {
    /// So many calls in a second.
    pub fn per_second(calls: f64) -> Self {
        Self {
            amount: calls,
            bytes: None,
            measure: Measure::Calls,
            unit: 's',
        }
    }

    /// What it counts.
    pub fn measure(self) -> Measure {
        self.measure
    }

    /// How much in a window.
    pub fn amount(self) -> f64 {
        self.amount * self.bytes.map_or(1.0, |(_, size)| size)
    }

    /// The window.
    pub fn window(self) -> Duration {
        Duration::from_secs(match self.unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            _ => 86_400,
        })
    }

    /// The time from one call, byte or unit of weight to the next.
    pub fn interval(self) -> Duration {
        Duration::from_secs_f64(self.window().as_secs_f64() / self.amount())
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            format!(
                "`{text}` is not a rate: write an amount and a unit of time, such as 10/s, 600/m, 5000/h or 100000/d, 20MB/s for bytes, or 90000w/m for weights"
            )
        };
        let (amount, unit) = text.split_once('/').ok_or_else(wrong)?;
        let unit = match unit {
            "s" => 's',
            "m" => 'm',
            "h" => 'h',
            "d" => 'd',
            _ => return Err(wrong()),
        };
        let letters = amount
            .find(|c: char| c.is_ascii_alphabetic())
            .unwrap_or(amount.len());
        let (number, kind) = amount.split_at(letters);
        let bytes = BYTES.into_iter().find(|(name, _)| *name == kind);
        let measure = match kind {
            "" => Measure::Calls,
            "w" => Measure::Weight,
            _ if bytes.is_some() => Measure::Bytes,
            _ => return Err(wrong()),
        };
        let rate = Self {
            amount: number.parse().map_err(|_| wrong())?,
            bytes,
            measure,
            unit,
        };
        let most = if measure == Measure::Calls {
            MOST_CALLS
        } else {
            MOST
        };
        let possible = (LEAST..=most).contains(&rate.amount()) && number.trim() == number;
        possible.then_some(rate).ok_or_else(wrong)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.measure {
            Measure::Calls => "",
            Measure::Weight => "w",
            Measure::Bytes => self.bytes.map_or("B", |(name, _)| name),
        };
        write!(f, "{}{kind}/{}", self.amount, self.unit)
    }
}

/// The values of `--rate`: windows that must all have room, and whether the service's limit is found within them.
#[derive(Debug, Clone, PartialEq)]
pub struct Rates {
    /// The windows.
    pub windows: Vec<Rate>,
    /// Find the service's limit; not with `none`.
    pub finds: bool,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            windows: Vec::new(),
            finds: true,
        }
    }
}

impl Rates {
    /// One window.
    pub fn of(rate: Rate) -> Self {
        Self {
            windows: vec![rate],
            finds: true,
        }
    }

    /// As words, each of which can be read again: rates, or `auto`, or `none`.
    pub fn words(&self) -> Vec<String> {
        match (self.windows.is_empty(), self.finds) {
            (true, true) => vec!["auto".to_owned()],
            (true, false) => vec!["none".to_owned()],
            _ => self.windows.iter().map(ToString::to_string).collect(),
        }
    }

    /// Reads words: rates, `auto`, or `none` alone.
    ///
    /// # Errors
    ///
    /// Returns a message for the user where a word is none of these.
    pub fn read<'w>(words: impl IntoIterator<Item = &'w str>) -> Result<Self, String> {
        let (mut rates, mut auto) = (Self::default(), false);
        for word in words {
            match word {
                "none" => rates.finds = false,
                "auto" => auto = true,
                rate => rates.windows.push(rate.parse()?),
            }
        }
        if !rates.finds && (auto || !rates.windows.is_empty()) {
            return Err(
                "`none` stands alone: it means no rate at all, not even one that is found"
                    .to_owned(),
            );
        }
        Ok(rates)
    }

    /// Whether a window counts this.
    pub fn counts(&self, measure: Measure) -> bool {
        self.windows.iter().any(|rate| rate.measure() == measure)
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    #[test]
    fn a_rate_needs_its_unit() {
        assert_eq!(rate("10/s").interval(), Duration::from_millis(100));
        assert_eq!(rate("0.5/m").interval(), Duration::from_secs(120));
        for right in ["5000/d", "20MB/s", "1.5GiB/h", "90000w/m"] {
            assert_eq!(rate(right).to_string(), right);
        }
        for wrong in [
            "10", "10/", "/s", "0/s", "-1/s", "nan/s", "inf/s", "10/w", "10 /s", "1e99/s", "",
            "10x/s", "MB/s", "10 MB/s", "w/m",
        ] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn bytes_and_weights_are_counted_as_such() {
        let bytes = rate("20MB/s");
        assert_eq!((bytes.measure(), bytes.amount()), (Measure::Bytes, 2e7));
        let weight = rate("90000w/m");
        assert_eq!((weight.measure(), weight.amount()), (Measure::Weight, 9e4));
    }

    #[test]
    fn words_are_read_together() {
        let rates = Rates::read(["auto", "10/s", "5000/d"]).unwrap();
        assert_eq!(rates.words(), ["10/s", "5000/d"]);
        assert_eq!(rates.to_string(), "10/s and 5000/d");
        for word in ["auto", "none"] {
            assert_eq!(Rates::read([word]).unwrap().to_string(), word);
        }
        assert_eq!(Rates::default().to_string(), "auto");
        assert_eq!(Rates::read([]).unwrap(), Rates::default());
        assert!(Rates::read(["none", "auto"]).is_err());
        assert!(!rates.counts(Measure::Bytes));
    }
}
