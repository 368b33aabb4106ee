//! What a run was told: the request, which decides the results, and the free settings, which do not. Pure.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::class::ClassRule;
use crate::pace::Rate;
use crate::retry::{DoubtPolicy, RetryPolicy};

/// What a call is. A run has one; changing it changes what its results mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Call {
    /// An HTTP request.
    Http(Request),
    /// A program's own caller, under a name that the program chooses and changes with its meaning.
    Program {
        /// The name.
        name: String,
    },
}

/// An HTTP request for each file, as templates. It holds references to secrets, never their values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The URL, with placeholders and without user information.
    pub url: String,
    /// The headers that were asked for, in order.
    pub headers: Vec<Header>,
}

/// A header that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Its name, as written.
    pub name: String,
    /// Its value.
    pub value: HeaderValue,
}

/// A header's value, as a run remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeaderValue {
    /// A template.
    Template(String),
    /// A literal credential: used by the invocation that gave it, and not remembered.
    Withheld,
    /// The header is not sent, even where it would be by default.
    Absent,
}

/// Whether a header's literal value is a credential, judged by the header's name.
pub fn is_sensitive(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "authorization" | "proxy-authorization" | "cookie" => true,
        "idempotency-key" => false,
        name => ["key", "token", "secret"]
            .iter()
            .any(|word| name.contains(word)),
    }
}

/// One difference between the request that a run has and the one it is asked to go on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// As the run has it.
    pub old: String,
    /// As it is asked for now.
    pub new: String,
}

impl Call {
    /// The differences between this call and a new one, in the order of the request.
    pub fn differences(&self, new: &Self) -> Vec<Difference> {
        let (old, new) = (self.lines(), new.lines());
        let mut names: Vec<&str> = old.iter().chain(&new).map(|line| line.0.as_str()).collect();
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| seen.insert(*name));
        names
            .into_iter()
            .filter_map(|name| {
                let [old, new] = [&old, &new].map(|lines| {
                    let values: Vec<&str> = lines
                        .iter()
                        .filter(|line| line.0 == name)
                        .map(|line| line.1.as_str())
                        .collect();
                    if values.is_empty() {
                        format!("{name}: (none)")
                    } else {
                        format!("{name}: {}", values.join(", "))
                    }
                });
                (old != new).then_some(Difference { old, new })
            })
            .collect()
    }

    fn lines(&self) -> Vec<(String, String)> {
        match self {
            Self::Program { name } => vec![("caller".to_owned(), name.clone())],
            Self::Http(request) => {
                let mut lines = vec![
                    ("method".to_owned(), request.method.clone()),
                    ("url".to_owned(), request.url.clone()),
                ];
                lines.extend(request.headers.iter().map(|header| {
                    let value = match &header.value {
                        HeaderValue::Template(template) => template.clone(),
                        HeaderValue::Withheld => "(a literal credential, not stored)".to_owned(),
                        HeaderValue::Absent => "(not sent)".to_owned(),
                    };
                    (
                        format!("header {}", header.name.to_ascii_lowercase()),
                        value,
                    )
                }));
                lines
            }
        }
    }
}

/// The settings that may change from one invocation to the next. One left out keeps its last given value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Chunk threads.
    pub threads: usize,
    /// The pace of all threads together.
    #[serde(with = "rate_as_text")]
    pub rate: Option<Rate>,
    /// Repeats that count against a job.
    pub retries: u32,
    /// The bound of the first wait before a repeat.
    pub retry_delay: Duration,
    /// The bound of every wait before a repeat.
    pub retry_max_delay: Duration,
    /// What to do with what is in doubt.
    pub in_doubt: DoubtPolicy,
    /// How long a whole call may take.
    pub timeout: Duration,
    /// How long a call may go without a byte, while the file is being sent or the answer is arriving.
    pub idle_timeout: Duration,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// The largest answer, in bytes after content decoding.
    pub max_response: u64,
    /// How long calls in flight may take to end after a stop was asked for.
    pub grace: Duration,
    /// Rules that put answers into other classes; the first that speaks of an answer decides.
    pub classes: Vec<ClassRule>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            threads: 8,
            rate: None,
            retries: 4,
            retry_delay: Duration::from_secs(1),
            retry_max_delay: Duration::from_secs(60),
            in_doubt: DoubtPolicy::Retry,
            timeout: Duration::from_secs(600),
            idle_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            max_response: 16 << 20,
            grace: Duration::from_secs(30),
            classes: Vec::new(),
        }
    }
}

impl Settings {
    /// The rules by which jobs are repeated.
    pub fn retry_policy(&self) -> RetryPolicy {
        RetryPolicy {
            retries: self.retries,
            delay: self.retry_delay,
            max_delay: self.retry_max_delay,
            in_doubt: self.in_doubt,
        }
    }
}

mod rate_as_text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use super::Rate;

    #[expect(clippy::ref_option, reason = "serde hands fields over by reference")]
    pub(super) fn serialize<S: Serializer>(rate: &Option<Rate>, to: S) -> Result<S::Ok, S::Error> {
        rate.map(|rate| rate.to_string()).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Rate>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| text.parse().map_err(de::Error::custom))
            .transpose()
    }
}

/// Reads a duration with its unit: `250ms`, `30s`, `10m`, `2h`, `1d`.
///
/// # Errors
///
/// Returns a message for the user where the text is not such a duration.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split_unit(text);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => f64::NAN,
    };
    number
        .parse()
        .ok()
        .and_then(|number: f64| Duration::try_from_secs_f64(number * seconds).ok())
        // Longer than anybody waits, and short enough to be added to any clock.
        .filter(|duration| *duration <= Duration::from_secs(366 * 86_400))
        .ok_or_else(|| format!("`{text}` is not a duration: write a number and a unit, such as 250ms, 30s, 10m or 2h"))
}

/// Reads a size with its unit: `512B`, `64KiB`, `16MiB`, `1GiB`, or in powers of ten `10KB`, `10MB`, `1GB`.
///
/// # Errors
///
/// Returns a message for the user where the text is not such a size.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = split_unit(text);
    let bytes: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => 0,
    };
    number
        .parse()
        .ok()
        .and_then(|number: u64| number.checked_mul(bytes))
        .filter(|size| *size > 0)
        .ok_or_else(|| format!("`{text}` is not a size: write a whole number and a unit, such as 64KiB, 16MiB or 10MB"))
}

fn split_unit(text: &str) -> (&str, &str) {
    text.split_at(
        text.find(|c: char| c.is_ascii_alphabetic())
            .unwrap_or(text.len()),
    )
}

/// Writes a duration as people would: `0.4 s`, `12 s`, `3 m 20 s`, `5 h 02 m`.
pub fn show_duration(duration: Duration) -> impl fmt::Display {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} m {:02} s", seconds / 60, seconds % 60),
        3600..86400 => format!("{} h {:02} m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {:02} h", seconds / 86400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(url: &str, headers: &[(&str, HeaderValue)]) -> Call {
        let headers = headers.iter().map(|(name, value)| Header {
            name: (*name).to_owned(),
            value: value.clone(),
        });
        Call::Http(Request {
            method: "POST".to_owned(),
            url: url.to_owned(),
            headers: headers.collect(),
        })
    }

    #[test]
    fn differences_name_what_changed_and_nothing_else() {
        let template = |text: &str| HeaderValue::Template(text.to_owned());
        let old = request(
            "http://a/",
            &[
                ("X-A", template("1")),
                ("Authorization", HeaderValue::Withheld),
            ],
        );
        assert_eq!(old.differences(&old), []);
        let new = request(
            "http://b/",
            &[("x-a", template("1")), ("Accept", template("text/plain"))],
        );
        let lines: Vec<_> = old
            .differences(&new)
            .into_iter()
            .map(|d| (d.old, d.new))
            .collect();
        assert_eq!(
            lines,
            [
                ("url: http://a/".to_owned(), "url: http://b/".to_owned()),
                (
                    "header authorization: (a literal credential, not stored)".to_owned(),
                    "header authorization: (none)".to_owned()
                ),
                (
                    "header accept: (none)".to_owned(),
                    "header accept: text/plain".to_owned()
                ),
            ]
        );
    }

    #[test]
    fn settings_survive_storage_and_older_versions() {
        let settings = Settings {
            threads: 3,
            rate: Some("10/s".parse().unwrap()),
            ..Settings::default()
        };
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), settings);
        assert_eq!(
            serde_json::from_str::<Settings>("{}").unwrap(),
            Settings::default()
        );
    }

    #[test]
    fn credentials_are_known_by_their_headers() {
        for name in [
            "Authorization",
            "X-Api-Key",
            "cookie",
            "x-auth-token",
            "Client-Secret",
        ] {
            assert!(is_sensitive(name), "{name}");
        }
        for name in ["Accept", "Idempotency-Key", "X-Language"] {
            assert!(!is_sensitive(name), "{name}");
        }
    }

    #[test]
    fn durations_and_sizes_need_their_units() {
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(parse_size("16MiB"), Ok(16 << 20));
        assert_eq!(parse_size("10MB"), Ok(10_000_000));
        for wrong in ["", "10", "s", "-1s", "1w", "1e30h", "nans"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "10", "MiB", "-1B", "1.5MiB", "0B", "99999999999GiB"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_read_well() {
        let shown = |seconds| show_duration(Duration::from_secs_f64(seconds)).to_string();
        assert_eq!(shown(0.42), "0.4 s");
        assert_eq!(shown(12.0), "12 s");
        assert_eq!(shown(200.0), "3 m 20 s");
        assert_eq!(shown(18_120.0), "5 h 02 m");
        assert_eq!(shown(90_000.0), "1 d 01 h");
    }
}
