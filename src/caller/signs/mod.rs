//! What an answer's headers say about waiting and about the service's limits. Pure: the clock is an argument,
//! and what cannot be read says nothing.
//!
//! Read are:
//!
//! - `Retry-After` (RFC 9110, section 10.2.3), and the `retry-after-ms` that some services send beside it;
//! - `RateLimit` and `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers: structured fields (RFC 9651)
//!   since its version 08, `limit=…, remaining=…, reset=…` in 07, and in 00–06, as in
//!   draft-polli-ratelimit-headers before, `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset`;
//! - the same three with `X-RateLimit-` or `X-Rate-Limit-` in front, which no text defines. With `-Requests`
//!   behind they count calls, with `-Tokens` something else; `X-RateLimit-Limit-Minute` and the like (Kong) name
//!   their window.

mod text;

use std::cmp::Reverse;
use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use self::text::{count, date, members, number, reset, seconds, until};
use crate::job::{Hint, Policy};

/// Gives every value of a header, in order.
pub(super) type Look<'l> = &'l dyn Fn(&str) -> Vec<String>;

/// The families of three headers: what stands before and after `-limit`, `-remaining` and `-reset`.
const FAMILIES: [(&str, &str); 7] = [
    ("ratelimit", ""),
    ("x-ratelimit", ""),
    ("x-ratelimit", "-requests"),
    ("x-ratelimit", TOKENS),
    ("x-rate-limit", ""),
    ("x-rate-limit", "-requests"),
    ("x-rate-limit", TOKENS),
];
const TOKENS: &str = "-tokens";
/// The windows that a limit's name can tell, in seconds.
const WINDOWS: [(&str, u64); 4] = [
    ("second", 1),
    ("minute", 60),
    ("hour", 3_600),
    ("day", 86_400),
];

/// Whether a header of this name, in lower case, may say something about waiting or limits. Where none of an answer
/// does, nothing here has anything to say.
pub(super) fn is_one(name: &str) -> bool {
    ["ratelimit", "x-ratelimit", "x-rate-limit", "retry-after"]
        .iter()
        .any(|before| name.starts_with(before))
}

/// How long a service that refuses asks to wait: as [`stated`], or else until the reset of the limit that is
/// used up.
pub(super) fn wait(look: Look<'_>, now: SystemTime) -> Option<Duration> {
    stated(look, now).or_else(|| {
        let pairs = pairs(look, clock(look, now));
        let longest = |remaining| {
            let such = pairs.iter().filter(|pair| pair.remaining == remaining);
            such.filter_map(|pair| pair.reset).max()
        };
        // A refusal says that something is used up; where it does not say what, any of it may be.
        longest(Some(0)).or_else(|| longest(None))
    })
}

/// The wait that is stated as one. A date is judged by the answer's own `Date` where it has one, for the
/// service's clock may differ from ours.
pub(super) fn stated(look: Look<'_>, now: SystemTime) -> Option<Duration> {
    let in_ms = first(look, "retry-after-ms").and_then(|value| number(&value));
    in_ms.map(|ms| seconds(ms / 1e3)).or_else(|| {
        let value = first(look, "retry-after")?;
        let wait = number(&value).map(seconds);
        wait.or_else(|| date(&value).map(|then| until(then, clock(look, now))))
    })
}

/// What the service says about its limits, if anything. Of several limits the one with the shortest window
/// counts, and of several allowances the one of which least is left.
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

/// What is left of an allowance, and when it is whole again.
#[derive(Debug, Clone, Copy, Default)]
struct Pair {
    remaining: Option<u64>,
    reset: Option<Duration>,
}

impl Pair {
    fn says_something(&self) -> bool {
        self.remaining.is_some() || self.reset.is_some()
    }

    /// An allowance of something else than calls: how much of it a call takes is not known, so all it can say
    /// is that there is none left for a while.
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
    for (before, after) in FAMILIES {
        let value = |name: &str| first(look, &format!("{before}-{name}{after}"));
        let pair = Pair {
            remaining: value("remaining").and_then(|value| count(&value)),
            reset: value("reset").and_then(|value| reset(&value, clock)),
        };
        if after != TOKENS || pair.closes() {
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
        .filter(|(_, after)| *after != TOKENS)
        .map(|(before, after)| format!("{before}-limit{after}"));
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
    policies
}

fn first(look: Look<'_>, name: &str) -> Option<String> {
    look(name).into_iter().next()
}

/// A header that is a list may come in several lines (RFC 9110, section 5.3).
fn all(look: Look<'_>, name: &str) -> String {
    look(name).join(",")
}

/// What time it is for the service.
fn clock(look: Look<'_>, now: SystemTime) -> SystemTime {
    let date = first(look, "date").and_then(|value| date(&value));
    date.unwrap_or(now)
}

#[cfg(test)]
mod tests;
