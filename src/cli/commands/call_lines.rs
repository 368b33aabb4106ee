//! Shows calls to people.

use std::path::Path;

use stride::caller::{Plan, Preview, ResponseHead};
use stride::job::{Answer, Attempt, Job, Outcome, escaped};

use crate::cli::output::error::quoted;

/// The maximum number of bytes of a request's body.
const SHOWN: usize = 4096;

/// Formats a call, with `key` as its idempotency key.
///
/// # Errors
///
/// The outcome of a call that cannot be made.
pub(super) fn call_lines(
    plan: &Plan,
    job: &Job,
    attempt: &Attempt,
    key: &str,
) -> Result<Vec<String>, Outcome> {
    match plan {
        Plan::Http(plan) => {
            let preview = plan.preview(job, attempt, SHOWN)?;
            Ok(request_lines(&preview, key))
        }
        Plan::Exec(plan) => {
            let words = plan.words(job, attempt)?;
            let words: Vec<String> = words.iter().map(|word| quoted(Path::new(word))).collect();
            Ok(vec![format!("> {}", words.join(" "))])
        }
        Plan::Worker(plan) => {
            let words = plan.words().iter().map(|word| quoted(Path::new(word)));
            let words: Vec<String> = words.collect();
            let command = match plan.is_starter() {
                true => "(the program that starts stride)".to_owned(),
                false => words.join(" "),
            };
            let line = plan.call_line(job, attempt);
            let line = line.replace(&attempt.key.to_string(), key);
            Ok(vec![
                format!("> {command}"),
                format!("> {}", line.trim_end()),
            ])
        }
    }
}

/// Formats a request, with `key` as its idempotency key.
fn request_lines(preview: &Preview, key: &str) -> Vec<String> {
    let line = |text: &str| format!("> {}", escaped(text.as_bytes()));
    let mut lines = vec![line(&format!("{} {}", preview.method, preview.url))];
    for (name, value) in &preview.headers {
        let value = match name.as_str() {
            "idempotency-key" => key,
            _ => value,
        };
        lines.push(line(&format!("{name}: {value}")));
    }
    lines.push(">".to_owned());
    let Some(length) = preview.length else {
        return lines;
    };
    let Ok(text) = std::str::from_utf8(whole_characters(&preview.body)) else {
        lines.push(format!("> ({length} bytes that are not text)"));
        return lines;
    };
    let text = text.strip_suffix('\n').unwrap_or(text);
    let body = text.split('\n');
    lines.extend(body.map(|text| line(text.strip_suffix('\r').unwrap_or(text))));
    // Compare with `SHOWN`, not with the shown length: masks make even a complete body differ from `length`.
    if length > SHOWN as u64 {
        lines.push(format!("> … ({length} bytes in all)"));
    }
    lines
}

/// Cuts an incomplete character off the end.
fn whole_characters(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    }
}

pub(super) fn message(outcome: &Outcome) -> &str {
    outcome
        .failure()
        .map_or("the request cannot be made", |failure| &failure.message)
}

/// Formats the body of an answer that another request follows.
pub(super) fn answer_lines(answer: &Answer) -> Vec<String> {
    let body = answer.body.beginning(SHOWN).unwrap_or_default();
    body_lines(&body, answer.body.len())
}

/// Formats the beginning of a body that is `length` bytes long.
fn body_lines(body: &[u8], length: u64) -> Vec<String> {
    let text = String::from_utf8_lossy(whole_characters(body));
    let lines = text.trim_end().split('\n').filter(|line| !line.is_empty());
    let lines = lines.map(|line| format!("< {}", escaped(line.as_bytes())));
    let mut lines: Vec<String> = lines.collect();
    if length > body.len() as u64 {
        lines.push(format!("< … ({length} bytes in all)"));
    }
    lines
}

/// Formats the head of an answer.
pub(super) fn head_lines(head: ResponseHead) -> Vec<String> {
    let ResponseHead {
        version,
        status,
        headers,
        not_ready,
    } = head;
    let headers = headers.into_iter();
    let headers = headers.map(|(name, value)| format!("< {name}: {}", escaped(value.as_bytes())));
    std::iter::once(format!("< {version} {status}"))
        .chain(headers)
        .chain(["<".to_owned()])
        .chain(body_lines(&not_ready, not_ready.len() as u64))
        .collect()
}
