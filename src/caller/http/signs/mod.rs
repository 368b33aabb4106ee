//! Signs by which an answer says how long to wait and what the service's limits are. Pure: the clock is an argument, and
//! a value that cannot be read says nothing. A moment that has passed is a wait of nothing, and 366 days are the most.
//!
//! | where | value | source |
//! | --- | --- | --- |
//! | `Retry-After` | seconds, an HTTP date, or a moment since 1970 | RFC 9110, section 10.2.3; the last is seen in the wild |
//! | `retry-after-ms`, `x-ms-retry-after-ms`, `x-amz-retry-after` | milliseconds | Azure OpenAI, Azure Cosmos DB, AWS SDKs |
//! | `RateLimit`, `RateLimit-Policy` | structured fields | draft-ietf-httpapi-ratelimit-headers from 08 on |
//! | `RateLimit` | `limit=…, remaining=…, reset=…` | the same, 07 |
//! | `RateLimit-Limit`, `-Remaining`, `-Reset` | numbers, `100;w=60`; GitLab's reset is a moment | the same, 00–06 |
//! | `X-RateLimit-…`, `X-Rate-Limit-…` | the same three; GitHub's reset is a moment | custom; GitHub, X, Reddit |
//! | the same with `-Requests` or `-Tokens` behind | the same; resets such as `6m0s` | OpenAI, Azure OpenAI, Groq |
//! | `X-RateLimit-Limit-Minute` and the like | calls | Kong |
//! | `anthropic-ratelimit-requests-limit` and the like, of tokens too | resets as RFC 3339 | Anthropic |
//! | `x-amzn-RateLimit-Limit` | calls a second | Amazon's Selling Partner API |
//! | body: `"retryDelay": "31s"` | a span | Google, google.rpc.RetryInfo |
//! | body: `"retryAfterSeconds": 5` | seconds | AWS, Kubernetes |
//! | body: `try again in 6m0s` | a span | OpenAI, Groq |
//! | body: `retry in 1.5s` | a span | Google's Gemini |
//! | body: `retry after 23 seconds` | a span, or seconds without a unit | Azure OpenAI, Telegram |
//!
//! A reset is seconds, a moment since 1970 in seconds or milliseconds, a span such as `120ms`, RFC 3339 or an HTTP date.
//! Limits of tokens hold calls up only once they are used up, because the tokens of a call are not known.

mod blame;
mod text;
mod words;

use std::cmp::Reverse;
use std::collections::HashSet;
use std::time::{Duration, SystemTime};

pub(super) use self::blame::{Speaks, speaks_of_limit, too_large};
pub(super) use self::text::moment_or_seconds;
use self::text::{count, date, members, milliseconds, number, reset, seconds, until};
use crate::job::{Hint, Policy};

/// Gives every value of a header, in order.
pub(super) type Look<'l> = &'l dyn Fn(&str) -> Vec<String>;

/// Three headers that belong together: the names differ in `limit`, `remaining` and `reset`.
struct Family {
    before: &'static str,
    after: &'static str,
    counts_calls: bool,
}

const fn family(before: &'static str, after: &'static str, counts_calls: bool) -> Family {
    Family {
        before,
        after,
        counts_calls,
    }
}

const FAMILIES: [Family; 11] = [
    family("ratelimit-", "", true),
    family("x-ratelimit-", "", true),
    family("x-ratelimit-", "-requests", true),
    family("x-ratelimit-", "-tokens", false),
    family("x-rate-limit-", "", true),
    family("x-rate-limit-", "-requests", true),
    family("x-rate-limit-", "-tokens", false),
    family("anthropic-ratelimit-requests-", "", true),
    family("anthropic-ratelimit-tokens-", "", false),
    family("anthropic-ratelimit-input-tokens-", "", false),
    family("anthropic-ratelimit-output-tokens-", "", false),
];

/// Headers that state a wait in milliseconds.
const IN_MS: [&str; 3] = ["retry-after-ms", "x-ms-retry-after-ms", "x-amz-retry-after"];

/// The header that states calls a second.
const A_SECOND: &str = "x-amzn-ratelimit-limit";

/// The windows that a limit's name can tell, in seconds.
const WINDOWS: [(&str, u64); 4] = [
    ("second", 1),
    ("minute", 60),
    ("hour", 3_600),
    ("day", 86_400),
];

impl Family {
    fn header(&self, name: &str) -> String {
        format!("{}{name}{}", self.before, self.after)
    }
}

/// Returns whether a header of this name, in lower case, can be a sign. An answer without such a header says nothing by
/// its headers.
pub(super) fn is_one(name: &str) -> bool {
    let starts = ["retry-after", "ratelimit", "x-ratelimit", "x-rate-limit"];
    let others = ["anthropic-ratelimit-", A_SECOND];
    starts
        .iter()
        .chain(&others)
        .any(|start| name.starts_with(start))
        || IN_MS.contains(&name)
}

/// Returns how long the headers of a refusal ask to wait: as [`stated`], or else until the reset of the limit that is
/// used up.
pub(super) fn wait(look: Look<'_>, now: SystemTime) -> Option<Duration> {
    stated(look, now).or_else(|| {
        let pairs = pairs(look, clock(look, now));
        let longest = |remaining| {
            let such = pairs.iter().filter(|pair| pair.remaining == remaining);
            such.filter_map(|pair| pair.reset).max()
        };
        // A refusal says that a limit is used up. Where it does not say which, it may be any.
        longest(Some(0)).or_else(|| longest(None))
    })
}

/// Returns the wait that the headers state as one. A moment is judged by the answer's own `Date` where it has one,
/// because the service's clock may differ from ours.
pub(super) fn stated(look: Look<'_>, now: SystemTime) -> Option<Duration> {
    let clock = clock(look, now);
    let in_ms = IN_MS.iter().find_map(|name| {
        let value = first(look, name)?;
        number(&value).map(|ms| milliseconds(ms, clock))
    });
    in_ms.or_else(|| {
        let value = first(look, "retry-after")?;
        let wait = number(&value).map(|number| moment_or_seconds(number, clock));
        wait.or_else(|| date(&value).map(|then| until(then, clock)))
    })
}

/// Returns the longest wait that the beginning of a body states.
pub(super) fn stated_by_body(body: &[u8], clock: SystemTime) -> Option<Duration> {
    words::stated(body, clock)
}

/// Returns whether the headers say that some limit is used up.
pub(super) fn is_used_up(look: Look<'_>, now: SystemTime) -> bool {
    let pairs = pairs(look, clock(look, now));
    pairs.iter().any(|pair| pair.remaining == Some(0))
}

/// Returns the service's limits, if the headers say something about them. Of several limits the one with the shortest
/// window counts, and of several allowances the one of which least is left.
pub(super) fn hint(look: Look<'_>, now: SystemTime) -> Option<Box<Hint>> {
    let policies = policies(look).into_iter();
    let policy = policies.min_by_key(|policy| (policy.window, policy.calls));
    let pairs = pairs(look, clock(look, now)).into_iter();
    let least = pairs
        .min_by_key(|pair| (pair.remaining.unwrap_or(u64::MAX), Reverse(pair.reset)))
        .unwrap_or_default();
    let hint = Hint {
        policy,
        remaining: least.remaining,
        reset: least.reset,
    };
    (!hint.is_empty()).then(|| Box::new(hint))
}

/// The rest of an allowance, and the time until it is whole again.
#[derive(Debug, Clone, Copy, Default)]
struct Pair {
    remaining: Option<u64>,
    reset: Option<Duration>,
}

impl Pair {
    fn says_something(&self) -> bool {
        self.remaining.is_some() || self.reset.is_some()
    }

    /// Returns whether nothing is left for a while. An allowance of something else than calls can say no more, because
    /// it is not known how much of it a call takes.
    fn closes(&self) -> bool {
        self.remaining == Some(0) && self.reset.is_some()
    }
}

fn pairs(look: Look<'_>, clock: SystemTime) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let list = all(look, "ratelimit");
    let policies = all(look, "ratelimit-policy");
    let other_units: HashSet<&str> = members(&policies)
        .into_iter()
        .filter_map(|member| (!member.counts_calls()).then_some(member.name))
        .collect();
    let mut loose = Pair::default();
    for member in members(&list) {
        let pair = Pair {
            remaining: member.get("r").and_then(count),
            reset: member.get("t").and_then(|value| reset(value, clock)),
        };
        if pair.says_something() {
            if pair.closes() || !other_units.contains(member.name) {
                pairs.push(pair);
            }
            continue;
        }
        // Version 07: what belongs together is a list, and with some services one member with parameters.
        for (key, value) in member.words() {
            match key {
                "remaining" => loose.remaining = count(value),
                "reset" => loose.reset = reset(value, clock),
                _ => {}
            }
        }
    }
    pairs.push(loose);
    for family in FAMILIES {
        let value = |name: &str| first(look, &family.header(name));
        let pair = Pair {
            remaining: value("remaining").and_then(|value| count(&value)),
            reset: value("reset").and_then(|value| reset(&value, clock)),
        };
        if family.counts_calls || pair.closes() {
            pairs.push(pair);
        }
    }
    pairs.retain(Pair::says_something);
    pairs
}

fn policies(look: Look<'_>) -> Vec<Policy> {
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
        .filter(|family| family.counts_calls)
        .map(|family| family.header("limit"));
    for name in limits.chain(["ratelimit-policy".to_owned()]) {
        let list = all(look, &name);
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
            let limit = first(look, &format!("{before}-limit-{word}"));
            let calls = limit.and_then(|value| count(&value));
            add(calls, Some(Duration::from_secs(window)));
        }
    }
    // Such as 0.0167: the window of one call is as exact as the number.
    let a_second = first(look, A_SECOND).and_then(|value| number(&value));
    if let Some(rate) = a_second.filter(|rate| *rate > 0.0) {
        let calls = rate.floor().max(1.0);
        add(Some(calls as u64), Some(seconds(calls / rate)));
    }
    policies
}

fn first(look: Look<'_>, name: &str) -> Option<String> {
    look(name).into_iter().next()
}

/// Joins the lines of a header that is a list (RFC 9110, section 5.3).
fn all(look: Look<'_>, name: &str) -> String {
    look(name).join(",")
}

/// Returns the service's time.
pub(super) fn clock(look: Look<'_>, now: SystemTime) -> SystemTime {
    let date = first(look, "date").and_then(|value| date(&value));
    date.unwrap_or(now)
}

#[cfg(test)]
mod tests;
