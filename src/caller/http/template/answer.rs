//! Values of the answers to earlier requests of a job.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::caller::http::error::bad_answer;
use crate::job::{Job, Members, Outcome, StepAnswer, json_text};

/// A value of the answer to an earlier request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::caller::http) struct AnswerField {
    /// The text between the braces.
    name: String,
    /// The index of the request; `None` stands for the one before.
    step: Option<usize>,
    part: Part,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Body,
    /// A header, by its name in lower case.
    Header(String),
    /// A value within the JSON of the body.
    Value(Vec<Key>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    Member(String),
    Item(usize),
}

impl AnswerField {
    /// Parses `answer`, `answer.PATH`, `header.NAME`, `stepN`, `stepN.PATH` or `stepN.header.NAME`, where a path is such as
    /// `a.b[0]`.
    pub(super) fn named(name: &str) -> Option<Self> {
        let field = |step, part| Self {
            name: name.to_owned(),
            step,
            part,
        };
        if let Some(header) = name.strip_prefix("header.") {
            return Some(field(None, header_part(header)?));
        }
        if let Some(path) = name.strip_prefix("answer") {
            return Some(field(None, path_part(path)?));
        }
        let rest = name.strip_prefix("step")?;
        let digits = rest.find(|char: char| !char.is_ascii_digit());
        let (number, rest) = rest.split_at(digits.unwrap_or(rest.len()));
        let step = number.parse::<usize>().ok()?.checked_sub(1)?;
        let part = match rest.strip_prefix(".header.") {
            Some(header) => header_part(header)?,
            None => path_part(rest)?,
        };
        Some(field(Some(step), part))
    }

    /// Returns the text between the braces.
    pub(in crate::caller::http) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name of the header in lower case, if the field is one.
    pub(super) fn header_name(&self) -> Option<&str> {
        match &self.part {
            Part::Header(name) => Some(name),
            Part::Body | Part::Value(_) => None,
        }
    }

    /// Refuses an empty value.
    pub(super) fn refuse_empty(&self, job: &Job) -> Result<(), Outcome> {
        match self.text(job)?.trim_ascii().is_empty() {
            true => Err(self.bad("is empty", "")),
            false => Ok(()),
        }
    }

    /// Sets the request that the field is used in. Returns false unless it follows the one of the field.
    pub(super) fn bind(&mut self, step: usize) -> bool {
        let of = self.step.or(step.checked_sub(1));
        self.step = of;
        of.is_some_and(|of| of < step)
    }

    /// Returns the index of the request whose answer has the value.
    pub(in crate::caller::http) fn step(&self) -> usize {
        self.step.unwrap_or_default()
    }

    /// Returns the value as text. An error is the attempt's outcome: nothing was sent.
    pub(in crate::caller::http) fn text<'j>(&self, job: &'j Job) -> Result<Cow<'j, [u8]>, Outcome> {
        match &self.part {
            Part::Body => Ok(self.answer(job)?.body.as_slice().into()),
            Part::Header(name) => Ok(self.header(job, name)?.into_bytes().into()),
            Part::Value(keys) => {
                let json = self.value(job, keys)?;
                match json.as_bytes().first() {
                    Some(b'{') => Err(self.bad("is an object", ": use one of its members")),
                    Some(b'[') => Err(self.bad("is a list", ": use one of its items, such as [0]")),
                    Some(b'"') => match serde_json::from_str::<String>(json) {
                        Ok(text) => Ok(text.into_bytes().into()),
                        Err(_) => Err(self.bad("is not valid Unicode", "")),
                    },
                    _ => Ok(json.as_bytes().into()),
                }
            }
        }
    }

    /// Returns the value as JSON.
    pub(super) fn json<'j>(&self, job: &'j Job) -> Result<Cow<'j, str>, Outcome> {
        if let Part::Value(keys) = &self.part {
            return Ok(self.value(job, keys)?.into());
        }
        let text = self.text(job)?;
        if self.part == Part::Body
            && let Ok(json) = json_text(&text)
        {
            return Ok(json.to_owned().into());
        }
        let text = String::from_utf8_lossy(&text);
        Ok(serde_json::Value::from(text).to_string().into())
    }

    fn answer<'j>(&self, job: &'j Job) -> Result<&'j StepAnswer, Outcome> {
        let answer = job.answers.get(self.step());
        answer.ok_or_else(|| self.bad("is missing", ", which was not recorded"))
    }

    fn header(&self, job: &Job, name: &str) -> Result<String, Outcome> {
        let headers = self.answer(job)?.headers.as_deref().unwrap_or_default();
        let members = Members::read(headers).map(Members::by_name);
        let found = members.as_ref().and_then(|members| members.get(name));
        let value = found.and_then(|json| serde_json::from_str::<String>(json).ok());
        value
            .filter(|value| !value.trim().is_empty())
            .ok_or_else(|| self.bad("is missing", ""))
    }

    /// Returns the JSON of a value within the body.
    fn value<'j>(&self, job: &'j Job, keys: &[Key]) -> Result<&'j str, Outcome> {
        let body = &self.answer(job)?.body;
        let mut json =
            json_text(body).map_err(|_| self.bad("is missing", ", which is not JSON"))?;
        for key in keys {
            let found = match key {
                Key::Member(name) => {
                    Members::read(json).and_then(|members| members.by_name().get(name).copied())
                }
                Key::Item(index) => serde_json::from_str::<Vec<&'j RawValue>>(json)
                    .ok()
                    .and_then(|items| Some(items.get(*index)?.get())),
            };
            json = found.ok_or_else(|| self.bad("is missing", ""))?;
        }
        match json {
            "null" => Err(self.bad("is null", "")),
            json => Ok(json),
        }
    }

    fn bad(&self, what: &str, more: &str) -> Outcome {
        let (name, number) = (&self.name, self.step() + 1);
        bad_answer(format!(
            "{{{name}}} {what} in the answer of step {number}{more}"
        ))
    }
}

fn header_part(name: &str) -> Option<Part> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_name = !name.is_empty() && name.bytes().all(is_word);
    is_name.then(|| Part::Header(name.to_ascii_lowercase()))
}

/// Parses a path such as `.a.b[0]`. The empty one is the whole body.
fn path_part(path: &str) -> Option<Part> {
    let is_word = |char: char| char.is_alphanumeric() || "-_$@:".contains(char);
    let (mut keys, mut rest) = (Vec::new(), path);
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let (index, after) = after.split_once(']')?;
            keys.push(Key::Item(index.parse().ok()?));
            rest = after;
            continue;
        }
        let after = rest.strip_prefix('.')?;
        let end = after.find(|char| !is_word(char)).unwrap_or(after.len());
        let name = Some(&after[..end]).filter(|name| !name.is_empty())?;
        keys.push(Key::Member(name.to_owned()));
        rest = &after[end..];
    }
    Some(match keys.is_empty() {
        true => Part::Body,
        false => Part::Value(keys),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Columns, FileName, JobId, Position};

    fn job() -> Job {
        let answer = |headers: &str, body: &str| StepAnswer {
            headers: Some(headers.to_owned()),
            body: body.as_bytes().to_vec(),
            ..StepAnswer::default()
        };
        Job {
            id: JobId(1),
            position: Position(0),
            path: FileName::from("a"),
            file: "a".into(),
            columns: Columns::default(),
            answers: vec![
                answer(
                    r#"{"location":"/x","empty":""}"#,
                    r#"{"id": 12345678901234567890123, "a": {"b": ["x", {"c": "é\"/"}]}, "n": null, "t": true}"#,
                ),
                answer("{}", "plain"),
            ],
        }
    }

    /// Returns the text and the JSON of a field of the third request, or the message of the failure.
    fn values(name: &str) -> (String, String) {
        let mut field = AnswerField::named(name).unwrap();
        assert!(field.bind(2), "{name}");
        let message = |outcome: Outcome| outcome.failure().unwrap().message.clone();
        let job = job();
        let text = field
            .text(&job)
            .map(|text| String::from_utf8_lossy(&text).into_owned());
        let json = field.json(&job).map(Cow::into_owned);
        (text.unwrap_or_else(message), json.unwrap_or_else(message))
    }

    #[test]
    fn values_of_answers_are_text_or_json() {
        for (name, text, json) in [
            ("answer", "plain", r#""plain""#),
            ("step2", "plain", r#""plain""#),
            (
                "step1.id",
                "12345678901234567890123",
                "12345678901234567890123",
            ),
            ("step1.a.b[1].c", "é\"/", r#""é\"/""#),
            ("step1.t", "true", "true"),
            ("step1.header.Location", "/x", r#""/x""#),
        ] {
            assert_eq!(values(name), (text.to_owned(), json.to_owned()), "{name}");
        }
        let (text, json) = values("step1.a.b");
        assert!(text.contains("is a list"), "{text}");
        assert_eq!(json, r#"["x", {"c": "é\"/"}]"#);
    }

    #[test]
    fn what_is_not_there_is_named() {
        for (name, says) in [
            (
                "answer.id",
                "{answer.id} is missing in the answer of step 2, which is not JSON",
            ),
            (
                "header.location",
                "{header.location} is missing in the answer of step 2",
            ),
            (
                "step1.header.empty",
                "{step1.header.empty} is missing in the answer of step 1",
            ),
            ("step1.n", "{step1.n} is null in the answer of step 1"),
            (
                "step1.a.b[2]",
                "{step1.a.b[2]} is missing in the answer of step 1",
            ),
            (
                "step1.a[0]",
                "{step1.a[0]} is missing in the answer of step 1",
            ),
        ] {
            assert_eq!(values(name), (says.to_owned(), says.to_owned()));
        }
    }

    #[test]
    fn only_paths_of_earlier_answers_are_fields() {
        for name in [
            "answers",
            "answer.",
            "answer..a",
            "answer[x]",
            "answer[0",
            "answer.a b",
            "header",
            "header.",
            "header.a b",
            "step",
            "step0",
            "stepx.a",
            "step1.header.",
            "step1x",
        ] {
            assert_eq!(AnswerField::named(name), None, "{name}");
        }
        let bound = |name: &str, step| AnswerField::named(name).unwrap().bind(step);
        assert!(bound("answer", 1) && !bound("answer", 0));
        assert!(bound("step1.x", 1) && !bound("step2.x", 1));
    }
}
