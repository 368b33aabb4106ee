//! Reads from an answer how long to wait and which limits the service has. Pure: the clock is an argument. Values that
//! cannot be read are ignored. A time in the past is a wait of zero, and every wait is cut to 366 days.
//!
//! | where | value | source |
//! | --- | --- | --- |
//! | `Retry-After` | seconds, an HTTP date, or a Unix time | RFC 9110, section 10.2.3; some services send Unix times |
//! | `retry-after-ms`, `x-ms-retry-after-ms`, `x-amz-retry-after` | milliseconds | Azure OpenAI, Azure Cosmos DB, AWS SDKs |
//! | `RateLimit`, `RateLimit-Policy` | structured fields | draft-ietf-httpapi-ratelimit-headers from 08 on |
//! | `RateLimit` | `limit=…, remaining=…, reset=…` | the same, 07 |
//! | `RateLimit-Limit`, `-Remaining`, `-Reset` | numbers, `100;w=60`; GitLab's reset is a Unix time | the same, 00–06 |
//! | `X-RateLimit-…`, `X-Rate-Limit-…` | the same three; GitHub's reset is a Unix time | custom; GitHub, X, Reddit |
//! | the same with the suffix `-Requests` or `-Tokens` | the same; resets such as `6m0s` | OpenAI, Azure OpenAI, Groq |
//! | `X-RateLimit-Limit-Minute` and the like | calls | Kong |
//! | `anthropic-ratelimit-requests-limit` and the like, of tokens too | resets as RFC 3339 | Anthropic |
//! | `x-amzn-RateLimit-Limit` | calls a second | Amazon's Selling Partner API |
//! | body: `"retryDelay": "31s"` | a duration | Google, google.rpc.RetryInfo |
//! | body: `"retryAfterSeconds": 5` | seconds | AWS, Kubernetes |
//! | body: `try again in 6m0s` | a duration | OpenAI, Groq |
//! | body: `retry in 1.5s` | a duration | Google's Gemini |
//! | body: `retry after 23 seconds` | a duration, or seconds without a unit | Azure OpenAI, Telegram |
//!
//! A reset is a number of seconds, a Unix time in seconds or milliseconds, a duration such as `120ms`, RFC 3339 or an
//! HTTP date. A limit on tokens delays calls only when it is exhausted, because the tokens of a call are unknown.

mod blame;
mod text;
mod words;

use std::cmp::Reverse;
use std::collections::HashSet;
use std::time::{Duration, SystemTime};

pub(super) use self::blame::{blames_limit, blames_size};
pub(super) use self::text::unix_time_or_seconds;
use self::text::{count, date, members, milliseconds, number, reset, seconds, until};
pub(super) use self::words::stated_wait;
use crate::job::{Hint, Policy};

/// Returns every value of a header, in order.
pub(super) type GetAll<'h> = &'h dyn Fn(&str) -> Vec<String>;

/// The signs of one answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signs {
    /// The service's limits.
    pub(super) hint: Option<Box<Hint>>,
    /// The wait in a header such as `Retry-After`.
    pub(super) stated: Option<Duration>,
    /// The wait after a refusal: as stated, else until the exhausted limit is reset.
    pub(super) wait: Option<Duration>,
    /// The headers say that a limit is exhausted.
    pub(super) exhausted: bool,
    /// The time by the answer's `Date`, because the service's clock may differ from ours.
    pub(super) clock: SystemTime,
}

impl Signs {
    /// Reads the signs of an answer that has headers of these names, in lower case.
    pub(super) fn read<'n>(
        names: impl IntoIterator<Item = &'n str>,
        headers: GetAll<'_>,
        now: SystemTime,
    ) -> Self {
        let clock = first(headers, "date").and_then(|value| date(&value));
        let clock = clock.unwrap_or(now);
        // Most answers have no sign, and looking up every possible name is slow.
        if !names.into_iter().any(is_one) {
            return Self {
                hint: None,
                stated: None,
                wait: None,
                exhausted: false,
                clock,
            };
        }
        let allowances = allowances(headers, clock);
        let longest = |remaining| {
            let such = allowances.iter().filter(|one| one.remaining == remaining);
            such.filter_map(|one| one.reset).max()
        };
        let stated = stated(headers, clock);
        Self {
            stated,
            // If the answer does not say which limit is exhausted, it may be any of them.
            wait: stated
                .or_else(|| longest(Some(0)))
                .or_else(|| longest(None)),
            exhausted: allowances.iter().any(|one| one.remaining == Some(0)),
            hint: hint(headers, &allowances),
            clock,
        }
    }
}

/// Families of three headers: the texts before and after `limit`, `remaining` or `reset`, and whether they count calls.
const FAMILIES: [(&str, &str, bool); 11] = [
    ("ratelimit-", "", true),
    ("x-ratelimit-", "", true),
    ("x-ratelimit-", "-requests", true),
    ("x-ratelimit-", "-tokens", false),
    ("x-rate-limit-", "", true),
    ("x-rate-limit-", "-requests", true),
    ("x-rate-limit-", "-tokens", false),
    ("anthropic-ratelimit-requests-", "", true),
    ("anthropic-ratelimit-tokens-", "", false),
    ("anthropic-ratelimit-input-tokens-", "", false),
    ("anthropic-ratelimit-output-tokens-", "", false),
];

/// Headers that state a wait in milliseconds.
const IN_MS: [&str; 3] = ["retry-after-ms", "x-ms-retry-after-ms", "x-amz-retry-after"];

/// The header that states calls per second.
const A_SECOND: &str = "x-amzn-ratelimit-limit";

/// Windows in the names of limits, in seconds.
const WINDOWS: [(&str, u64); 4] = [
    ("second", 1),
    ("minute", 60),
    ("hour", 3_600),
    ("day", 86_400),
];

/// Returns whether a header of this name can be a sign.
fn is_one(name: &str) -> bool {
    let starts = ["retry-after", "ratelimit", "x-ratelimit", "x-rate-limit"];
    let others = ["anthropic-ratelimit-", A_SECOND];
    starts
        .iter()
        .chain(&others)
        .any(|start| name.starts_with(start))
        || IN_MS.contains(&name)
}

fn stated(headers: GetAll<'_>, clock: SystemTime) -> Option<Duration> {
    let in_ms = IN_MS.iter().find_map(|name| {
        let value = first(headers, name)?;
        number(&value).map(|ms| milliseconds(ms, clock))
    });
    in_ms.or_else(|| {
        let value = first(headers, "retry-after")?;
        let wait = number(&value).map(|number| unix_time_or_seconds(number, clock));
        wait.or_else(|| date(&value).map(|then| until(then, clock)))
    })
}

/// Returns the policy with the shortest window and the allowance with the fewest calls left.
fn hint(headers: GetAll<'_>, allowances: &[Allowance]) -> Option<Box<Hint>> {
    let policies = policies(headers).into_iter();
    let policy = policies.min_by_key(|policy| (policy.window, policy.calls));
    let least = allowances
        .iter()
        .min_by_key(|one| (one.remaining.unwrap_or(u64::MAX), Reverse(one.reset)))
        .copied()
        .unwrap_or_default();
    let hint = Hint {
        policy,
        remaining: least.remaining,
        reset: least.reset,
        ..Hint::default()
    };
    (!hint.is_empty()).then(|| Box::new(hint))
}

/// The rest of an allowance, and the time until it is reset.
#[derive(Debug, Clone, Copy, Default)]
struct Allowance {
    remaining: Option<u64>,
    reset: Option<Duration>,
}

impl Allowance {
    fn is_stated(&self) -> bool {
        self.remaining.is_some() || self.reset.is_some()
    }

    /// Returns whether nothing is left until the reset. Allowances in other units than calls are ignored before that, because
    /// it is unknown how much of them a call takes.
    fn is_exhausted(&self) -> bool {
        self.remaining == Some(0) && self.reset.is_some()
    }
}

fn allowances(headers: GetAll<'_>, clock: SystemTime) -> Vec<Allowance> {
    let mut allowances = Vec::new();
    let list = all(headers, "ratelimit");
    let policies = all(headers, "ratelimit-policy");
    let other_units: HashSet<&str> = members(&policies)
        .into_iter()
        .filter_map(|member| (!member.counts_calls()).then_some(member.name))
        .collect();
    let mut version_07 = Allowance::default();
    for member in members(&list) {
        let allowance = Allowance {
            remaining: member.get("r").and_then(count),
            reset: member.get("t").and_then(|value| reset(value, clock)),
        };
        if allowance.is_stated() {
            if allowance.is_exhausted() || !other_units.contains(member.name) {
                allowances.push(allowance);
            }
            continue;
        }
        // Version 07 has a member for each value. Some services send one member with parameters.
        for (key, value) in member.words() {
            match key {
                "remaining" => version_07.remaining = count(value),
                "reset" => version_07.reset = reset(value, clock),
                _ => {}
            }
        }
    }
    allowances.push(version_07);
    for (before, after, counts_calls) in FAMILIES {
        let value = |name: &str| first(headers, &format!("{before}{name}{after}"));
        let allowance = Allowance {
            remaining: value("remaining").and_then(|value| count(&value)),
            reset: value("reset").and_then(|value| reset(&value, clock)),
        };
        if counts_calls || allowance.is_exhausted() {
            allowances.push(allowance);
        }
    }
    allowances.retain(Allowance::is_stated);
    allowances
}

fn policies(headers: GetAll<'_>) -> Vec<Policy> {
    let mut policies = Vec::new();
    let mut add = |calls: Option<u64>, window: Option<Duration>| {
        if let (Some(calls @ 1..), Some(window)) = (calls, window)
            && !window.is_zero()
        {
            policies.push(Policy { calls, window });
        }
    };
    let limits = FAMILIES
        .iter()
        .filter(|(_, _, counts_calls)| *counts_calls)
        .map(|(before, after, _)| format!("{before}limit{after}"));
    for name in limits.chain(["ratelimit-policy".to_owned()]) {
        let list = all(headers, &name);
        for member in members(&list) {
            if member.counts_calls() {
                let window = member.get("w").or_else(|| member.get("window"));
                let calls = member.get("q").unwrap_or(member.name);
                add(count(calls), window.and_then(number).map(seconds));
            }
        }
    }
    for before in ["x-ratelimit", "x-rate-limit"] {
        for (word, window) in WINDOWS {
            let limit = first(headers, &format!("{before}-limit-{word}"));
            let calls = limit.and_then(|value| count(&value));
            add(calls, Some(Duration::from_secs(window)));
        }
    }
    // A rate such as 0.0167 becomes one call in a longer window.
    let a_second = first(headers, A_SECOND).and_then(|value| number(&value));
    if let Some(rate) = a_second.filter(|rate| *rate > 0.0) {
        let calls = rate.floor().max(1.0);
        add(Some(calls as u64), Some(seconds(calls / rate)));
    }
    policies
}

fn first(headers: GetAll<'_>, name: &str) -> Option<String> {
    headers(name).into_iter().next()
}

/// Joins the lines of a header that is a list (RFC 9110, section 5.3).
fn all(headers: GetAll<'_>, name: &str) -> String {
    headers(name).join(",")
}

#[cfg(test)]
mod tests;
