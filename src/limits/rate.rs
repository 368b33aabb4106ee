//! Rates as people write them: `10/s`, `5000/d`, `20MB/s`, `90000w/m`, `auto`, `none`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The unit that a rate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// Calls.
    Calls,
    /// Bytes of files sent.
    Bytes,
    /// The file's weight (`--weight`), such as its tokens.
    Weight,
}

/// An amount per window of time, such as `10/s`, `5000/d`, `20MB/s` or `90000w/m`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// The amount as the user wrote it, in `unit`.
    amount: f64,
    unit: Unit,
    window: Window,
}

/// The name of a unit, the measure, and the size in calls, bytes or weight.
type Unit = (&'static str, Measure, f64);
/// The name of a window, and its length in seconds.
type Window = (&'static str, u64);

const UNITS: [Unit; 11] = [
    ("", Measure::Calls, 1.0),
    ("w", Measure::Weight, 1.0),
    ("B", Measure::Bytes, 1.0),
    ("KiB", Measure::Bytes, 1024.0),
    ("MiB", Measure::Bytes, 1_048_576.0),
    ("GiB", Measure::Bytes, 1_073_741_824.0),
    ("KB", Measure::Bytes, 1e3),
    ("kB", Measure::Bytes, 1e3),
    ("MB", Measure::Bytes, 1e6),
    ("GB", Measure::Bytes, 1e9),
    ("TB", Measure::Bytes, 1e12),
];
const WINDOWS: [Window; 4] = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];

/// Least amount of a rate: one per year with `/d`. Less is a typing error.
const LEAST: f64 = 1.0 / 366.0;
/// Most calls per window. The clocks resolve a microsecond.
const MOST_CALLS: f64 = 1e6;
/// Most bytes or weight per window. From 2^53 on, whole numbers are inexact in `f64`.
const MOST: f64 = 1e15;

impl Rate {
    /// Returns the unit that it counts.
    pub fn measure(self) -> Measure {
        self.unit.1
    }

    /// Returns the amount per window, in calls, bytes or weight.
    pub fn amount(self) -> f64 {
        self.amount * self.unit.2
    }

    /// Returns the length of the window.
    pub fn window(self) -> Duration {
        Duration::from_secs(self.window.1)
    }

    /// Returns the time from one call, byte or unit of weight to the next.
    pub fn interval(self) -> Duration {
        Duration::from_secs_f64(self.window().as_secs_f64() / self.amount())
    }

    fn parse(text: &str) -> Option<Self> {
        let (amount, window) = text.split_once('/')?;
        let letters = amount.find(|c: char| c.is_ascii_alphabetic());
        let (amount, unit) = amount.split_at(letters.unwrap_or(amount.len()));
        let rate = Self {
            amount: amount.parse().ok()?,
            unit: UNITS.into_iter().find(|(name, ..)| *name == unit)?,
            window: WINDOWS.into_iter().find(|(name, _)| *name == window)?,
        };
        let most = match rate.measure() {
            Measure::Calls => MOST_CALLS,
            Measure::Bytes | Measure::Weight => MOST,
        };
        (LEAST..=most).contains(&rate.amount()).then_some(rate)
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text).ok_or_else(|| {
            format!(
                "`{text}` is not a rate: use an amount and a unit of time, such as 10/s, 600/m, 5000/h or 100000/d, 20MB/s for bytes, or 90000w/m for weights"
            )
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}/{}", self.amount, self.unit.0, self.window.0)
    }
}

/// The values of `--rate`. All windows apply at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Rates {
    /// Limits set by the user.
    pub windows: Vec<Rate>,
    /// Learn the service's own limit as well; false for `none`.
    pub adaptive: bool,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            windows: Vec::new(),
            adaptive: true,
        }
    }
}

impl Rates {
    /// Returns the values as [`Self::parse`] reads them: rates, or `auto`, or `none`.
    pub fn to_words(&self) -> Vec<String> {
        match (self.windows.is_empty(), self.adaptive) {
            (true, true) => vec!["auto".to_owned()],
            (true, false) => vec!["none".to_owned()],
            _ => self.windows.iter().map(ToString::to_string).collect(),
        }
    }

    /// Parses rates, `auto`, or `none` alone.
    ///
    /// # Errors
    ///
    /// Returns a message for the user if a word is invalid, or `none` is not alone.
    pub fn parse<'w>(words: impl IntoIterator<Item = &'w str>) -> Result<Self, String> {
        let (mut rates, mut auto) = (Self::default(), false);
        for word in words {
            match word {
                "none" => rates.adaptive = false,
                "auto" => auto = true,
                rate => rates.windows.push(rate.parse()?),
            }
        }
        if !rates.adaptive && (auto || !rates.windows.is_empty()) {
            return Err(
                "`none` cannot be combined with other rates, because it turns off all of them"
                    .to_owned(),
            );
        }
        Ok(rates)
    }

    /// Returns true if a window counts this unit.
    pub fn counts(&self, measure: Measure) -> bool {
        self.windows.iter().any(|rate| rate.measure() == measure)
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_words().join(" and "))
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
        for (right, measure, amount) in [
            ("5000/d", Measure::Calls, 5e3),
            ("20MB/s", Measure::Bytes, 2e7),
            ("1.5KiB/h", Measure::Bytes, 1536.0),
            ("90000w/m", Measure::Weight, 9e4),
        ] {
            let rate = rate(right);
            assert_eq!(rate.to_string(), right);
            assert_eq!((rate.measure(), rate.amount()), (measure, amount));
        }
        for wrong in [
            "10", "10/", "/s", "0/s", "-1/s", "nan/s", "inf/s", "10/w", "10 /s", "1e99/s", "",
            "10x/s", "MB/s", "10 MB/s", "w/m",
        ] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn words_are_parsed_together() {
        let rates = Rates::parse(["auto", "10/s", "5000/d"]).unwrap();
        assert_eq!(rates.to_words(), ["10/s", "5000/d"]);
        assert_eq!(rates.to_string(), "10/s and 5000/d");
        for word in ["auto", "none"] {
            assert_eq!(Rates::parse([word]).unwrap().to_string(), word);
        }
        assert_eq!(Rates::default().to_string(), "auto");
        assert_eq!(Rates::parse([]).unwrap(), Rates::default());
        assert!(Rates::parse(["none", "auto"]).is_err());
        assert!(!rates.counts(Measure::Bytes));
    }
}
