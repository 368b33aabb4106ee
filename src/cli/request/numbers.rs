//! Parses the numbers of curl's options.

use std::time::Duration;

use stride::curl::ParsedOption;
use stride::job::shortened;

use crate::cli::output::error::CliError;

/// Parses `--max-redirs`; `-1` is any number.
pub(super) fn redirects(given: &ParsedOption) -> Result<u32, CliError> {
    match given.value() {
        "-1" => Ok(u32::MAX),
        value => value
            .parse()
            .map_err(|_| wrong(given, "a whole number, such as 3")),
    }
}

/// Parses a size in bytes, with `b`, or with `k`, `M`, `G`, `T` or `P` for powers of 1024, in either case; 0 is no
/// limit.
pub(super) fn bytes(given: &ParsedOption) -> Result<Option<u64>, CliError> {
    let value = given.value();
    let digits = value.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let exponent = match &value[digits.len()..] {
        "" | "b" | "B" => Some(0),
        "k" | "K" => Some(1),
        "m" | "M" => Some(2),
        "g" | "G" => Some(3),
        "t" | "T" => Some(4),
        "p" | "P" => Some(5),
        _ => None,
    };
    let size = digits.parse::<u64>().ok().zip(exponent);
    let size = size.and_then(|(number, exponent)| number.checked_mul(1 << (10 * exponent)));
    match size {
        Some(size) => Ok(Some(size).filter(|size| *size > 0)),
        None => Err(wrong(given, "a number of bytes, such as 10M")),
    }
}

/// Parses a number of seconds. Returns `None` for 0: the pasted command sets no limit, and stride's default applies.
pub(super) fn seconds(given: &ParsedOption) -> Result<Option<Duration>, CliError> {
    let seconds = given.value().parse().ok();
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    match duration {
        Some(duration) => Ok(Some(duration).filter(|duration| !duration.is_zero())),
        None => Err(wrong(given, "a number of seconds, such as 2.5")),
    }
}

fn wrong(given: &ParsedOption, needed: &str) -> CliError {
    let value = shortened(given.value().as_bytes(), 60);
    CliError::usage(format!("{} needs {needed}, not `{value}`", given.written))
}

#[cfg(test)]
mod tests {
    use stride::curl::Spec;

    use super::*;

    fn given(option: &str, value: &str) -> ParsedOption {
        ParsedOption {
            option: Spec::long(option).unwrap(),
            value: Some(value.to_owned()),
            written: format!("--{option}"),
            is_off: false,
        }
    }

    #[test]
    fn sizes_have_the_suffixes_of_curl() {
        for (text, expected) in [
            ("1000", Some(Some(1000))),
            ("0", Some(None)),
            ("1k", Some(Some(1 << 10))),
            ("2M", Some(Some(2 << 20))),
            ("3G", Some(Some(3 << 30))),
            ("3x", None),
            ("k", None),
            ("-1", None),
            ("99999999P", None),
        ] {
            assert_eq!(bytes(&given("max-filesize", text)).ok(), expected, "{text}");
        }
    }

    #[test]
    fn zero_seconds_and_minus_one_redirect_are_no_limit() {
        let seconds = |text| seconds(&given("max-time", text)).ok();
        assert_eq!(seconds("0"), Some(None));
        assert_eq!(seconds("0.5"), Some(Some(Duration::from_millis(500))));
        assert_eq!(seconds("-1"), None);
        let redirects = |text| redirects(&given("max-redirs", text)).ok();
        assert_eq!(redirects("-1"), Some(u32::MAX));
        assert_eq!(redirects("3"), Some(3));
        assert_eq!(redirects("-2"), None);
    }
}
