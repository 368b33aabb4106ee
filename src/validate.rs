//! Validation of answers: decides which are results, for new answers and stored ones alike. Pure.

mod wait;

use std::io;
use std::sync::{Mutex, PoisonError};

use thiserror::Error;

use crate::failure_class::{ClassRule, Statuses};
use crate::job::{Body, Class, Failure, FailureKind, check_json, check_text, is_json, json_text};
use crate::jq::{self, Expression, Input, SyntaxError};
use crate::settings::{Expect, Judging};
pub use wait::RetryAfter;

/// The status of an answer that has no body, whatever its headers say (RFC 9110, section 15.3.5).
const NO_CONTENT: u16 = 204;

/// What helps where an answer is not JSON and may well be what was wanted.
const OTHER_EXPECTATIONS: &str = "`--expect text` or `--expect any` takes such answers, and `stride recheck` those that are there";

/// Validates answers by a run's rules. All threads share it.
#[derive(Debug, Default)]
pub struct Validator {
    statuses: Statuses,
    expect: Expect,
    success: Option<Expression>,
    keeps_headers: bool,
    /// Held while an answer is read from its file, so that only one is in memory at a time.
    alone: Mutex<()>,
}

/// Invalid `--success`, `--extract` or `--retry-after` expression.
#[derive(Debug, Error)]
#[error("the expression of --{flag} cannot be read")]
pub struct WrongExpression {
    /// The flag by which it is given.
    pub flag: &'static str,
    /// What is wrong with it.
    pub source: SyntaxError,
}

/// A complete answer.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'r> {
    /// The status; `None` where the caller is not HTTP.
    pub status: Option<u16>,
    /// The `Content-Type` as received.
    pub media_type: Option<&'r str>,
    /// The headers as a JSON object from lower-case name to value, where they are kept.
    pub headers: Option<&'r str>,
    /// The body.
    pub body: &'r Body,
    /// Whether an answer to this method has a body. Where not, there is nothing to expect of it.
    pub has_body: bool,
}

/// The reason why an answer is no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `unexpected_status`, `not_json`, `not_text` or `not_successful`.
    pub kind: FailureKind,
    /// The reason, in one line.
    pub message: String,
}

impl Refusal {
    /// The kind of an answer of which the expression of success is not true.
    const NOT_SUCCESSFUL: FailureKind = FailureKind::NotSuccessful;
    /// The kind of an answer whose status is not that of a result.
    const UNEXPECTED_STATUS: FailureKind = FailureKind::UnexpectedStatus;

    fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// The class of the failure. What the service says of itself in an answer that was no success can be put into
    /// another class, as any error's words can be: those at its beginning.
    pub fn class(&self, rules: &[ClassRule], status: Option<u16>, beginning: &[u8]) -> Class {
        let beginning = &beginning[..beginning.len().min(Failure::BODY_KEPT)];
        let ruled = || {
            rules
                .iter()
                .find_map(|rule| rule.class_of_failure(status?, beginning))
        };
        match self.kind {
            Self::NOT_SUCCESSFUL | Self::UNEXPECTED_STATUS => ruled().unwrap_or(Class::BadResponse),
            _ => Class::BadResponse,
        }
    }
}

impl Validator {
    /// Reads the expressions of a run.
    ///
    /// # Errors
    ///
    /// One of them is none.
    pub fn new(judging: &Judging) -> Result<Self, WrongExpression> {
        let read = |flag, text: &Option<String>| {
            let text = text.as_deref();
            text.map(Expression::new)
                .transpose()
                .map_err(|source| WrongExpression { flag, source })
        };
        let success = read("success", &judging.success)?;
        let extract = read("extract", &judging.extract)?;
        let looks = |expression: &Option<Expression>| {
            expression.as_ref().is_some_and(Expression::needs_headers)
        };
        let keeps_headers = looks(&success) || looks(&extract);
        Ok(Self {
            statuses: judging.statuses.clone(),
            expect: judging.expect,
            success,
            keeps_headers,
            alone: Mutex::default(),
        })
    }

    /// Returns whether answers with this status are results because the user has named it.
    pub fn names(&self, status: u16) -> bool {
        !self.statuses.is_default() && self.statuses.hold(status)
    }

    /// Returns whether a status is that of a result.
    pub fn takes(&self, status: u16) -> bool {
        self.statuses.hold(status)
    }

    /// Returns true if validation takes no longer than reading the answer, as there is no expression to evaluate.
    pub fn is_quick(&self) -> bool {
        self.success.is_none()
    }

    /// Returns true if an expression needs the headers of stored answers.
    pub fn keeps_headers(&self) -> bool {
        self.keeps_headers
    }

    /// Returns true if `--success` needs the headers.
    pub fn needs_headers(&self) -> bool {
        self.success.as_ref().is_some_and(Expression::needs_headers)
    }

    /// Returns why an answer is no result, if it is none.
    ///
    /// # Errors
    ///
    /// The file that it is in cannot be read.
    pub fn validate(&self, reply: &Reply<'_>) -> io::Result<Result<(), Refusal>> {
        if let Some(status) = reply.status
            && !self.statuses.hold(status)
        {
            let message = format!("HTTP {status} is not the status of a result");
            return Ok(Err(Refusal::new(Refusal::UNEXPECTED_STATUS, message)));
        }
        if reply.has_body
            && let Err(refusal) = self.meets_expectation(reply)?
        {
            return Ok(Err(refusal));
        }
        let Some(success) = &self.success else {
            return Ok(Ok(()));
        };
        let in_file = reply.body.in_memory().is_none();
        let _alone = in_file.then(|| self.alone.lock().unwrap_or_else(PoisonError::into_inner));
        let body = reply.body.bytes()?;
        Ok(match success.holds(&reply.input(&body)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refusal::new(
                Refusal::NOT_SUCCESSFUL,
                format!("`{}` is not true of the answer", success.as_str()),
            )),
            Err(error) => Err(Refusal::new(
                Refusal::NOT_SUCCESSFUL,
                format!(
                    "`{}` cannot be evaluated for the answer: {error}",
                    success.as_str()
                ),
            )),
        })
    }

    fn meets_expectation(&self, reply: &Reply<'_>) -> io::Result<Result<(), Refusal>> {
        let json = |what: &str| {
            let checked = check_json(reply.body)?;
            Ok(checked.map_err(|error| {
                Refusal::new(
                    FailureKind::NotJson,
                    format!("{what}: {error}; {OTHER_EXPECTATIONS}"),
                )
            }))
        };
        match self.expect {
            Expect::Json => json("the answer is not JSON"),
            Expect::Text => Ok(check_text(reply.body)?.map_err(|error| {
                Refusal::new(
                    FailureKind::NotText,
                    format!(
                        "the answer is not UTF-8 text: {error}; `--expect any` takes such answers"
                    ),
                )
            })),
            Expect::AsStated
                if reply.status != Some(NO_CONTENT) && reply.media_type.is_some_and(is_json) =>
            {
                json("the answer says it is JSON and is not")
            }
            Expect::AsStated if self.success.is_some() => {
                json("the answer is not JSON, which --success needs")
            }
            Expect::AsStated | Expect::Any => Ok(Ok(())),
        }
    }
}

impl Reply<'_> {
    /// What expressions see of it, whose body these bytes are: JSON where it is JSON, otherwise a string where it is
    /// text, otherwise null.
    pub fn input<'i>(&'i self, body: &'i [u8]) -> Input<'i> {
        let body = match json_text(body) {
            _ if !self.has_body => jq::Body::Nothing,
            Ok(json) => jq::Body::Json(json),
            Err(_) => std::str::from_utf8(body).map_or(jq::Body::Nothing, jq::Body::Text),
        };
        Input {
            body,
            status: self.status,
            headers: self.headers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUCCESS: &str = "true";

    fn reply(body: &[u8]) -> Reply<'_> {
        Reply {
            status: Some(200),
            media_type: None,
            headers: None,
            body: Box::leak(Box::new(body.into())),
            has_body: true,
        }
    }

    fn validator(expect: Expect, success: Option<&str>) -> Validator {
        let success = success.map(str::to_owned);
        Validator::new(&Judging {
            expect,
            success,
            ..Judging::default()
        })
        .unwrap()
    }

    #[test]
    fn what_is_expected_is_what_a_result_is() {
        let kinds = |reply: &Reply<'_>, success| {
            [Expect::Json, Expect::Text, Expect::AsStated, Expect::Any].map(|expect| {
                let judged = validator(expect, success).validate(reply).unwrap();
                judged.map_or_else(|refusal| refusal.kind.as_str(), |()| "")
            })
        };
        let stated = |body| Reply {
            media_type: Some("application/json"),
            ..reply(body)
        };
        for (reply, plain, with_success) in [
            (reply(b"{}"), ["", "", "", ""], ["", "", "", ""]),
            (
                reply(b""),
                ["not_json", "", "", ""],
                ["not_json", "", "not_json", ""],
            ),
            (
                reply(b"\xff"),
                ["not_json", "not_text", "", ""],
                ["not_json", "not_text", "not_json", ""],
            ),
            (stated(b"{}"), ["", "", "", ""], ["", "", "", ""]),
            (
                stated(b"{"),
                ["not_json", "", "not_json", ""],
                ["not_json", "", "not_json", ""],
            ),
        ] {
            assert_eq!(kinds(&reply, None), plain, "{reply:?}");
            assert_eq!(kinds(&reply, Some(SUCCESS)), with_success, "{reply:?}");
            let without_body = Reply {
                has_body: false,
                ..reply
            };
            assert_eq!(kinds(&without_body, Some(SUCCESS)), [""; 4]);
        }
        let no_content = Reply {
            status: Some(204),
            ..stated(b"")
        };
        assert_eq!(kinds(&no_content, None), ["not_json", "", "", ""]);
    }

    #[test]
    fn success_is_said_of_json_text_and_whatever_there_is() {
        for (expect, success, body, good) in [
            (Expect::Json, ".ok", &b"{\"ok\":1}"[..], true),
            (Expect::Json, ".ok", b"{\"ok\":null}", false),
            (Expect::Json, ".ok", b"[1]", false),
            (Expect::Text, ". == \"fine\"", b"fine", true),
            (Expect::Text, ". == 1", b"1", true),
            (Expect::Any, ". == null", b"\xff", true),
            (Expect::Any, "$status == 200", b"", true),
        ] {
            let judged = validator(expect, Some(success))
                .validate(&reply(body))
                .unwrap();
            assert_eq!(judged.is_ok(), good, "{success}: {judged:?}");
        }
        let error = validator(Expect::Json, Some(".ok"))
            .validate(&reply(b"[1]"))
            .unwrap()
            .unwrap_err();
        assert!(error.message.contains("cannot index"), "{}", error.message);
    }

    #[test]
    fn rules_speak_of_answers_that_are_no_success_and_of_no_others() {
        let rules: Vec<ClassRule> = ["body~busy:throttled", "status=200:quota"]
            .map(|rule| rule.parse().unwrap())
            .into();
        let class = |kind, body| Refusal::new(kind, "").class(&rules, Some(200), body);
        assert_eq!(class(Refusal::NOT_SUCCESSFUL, b"Busy"), Class::Throttled);
        assert_eq!(class(Refusal::NOT_SUCCESSFUL, b""), Class::Quota);
        assert_eq!(class(FailureKind::NotJson, b"busy"), Class::BadResponse);
    }

    #[test]
    fn a_status_decides_before_anything_else_is_looked_at() {
        let validator = Validator::new(&Judging {
            statuses: "200,404".parse().unwrap(),
            success: Some(".ok".to_owned()),
            ..Judging::default()
        })
        .unwrap();
        let kind = |status, body: &'static [u8]| {
            let reply = Reply {
                status: Some(status),
                ..reply(body)
            };
            let judged = validator.validate(&reply).unwrap();
            judged.map_or_else(|refusal| refusal.kind.as_str(), |()| "")
        };
        assert_eq!(kind(404, b"{\"ok\":1}"), "");
        assert_eq!(kind(404, b"{\"ok\":0}"), "");
        assert_eq!(kind(404, b"{}"), "not_successful");
        assert_eq!(kind(201, b"{\"ok\":1}"), "unexpected_status");
        assert_eq!(kind(500, b"{\"ok\":1}"), "unexpected_status");
        assert!(validator.names(404) && validator.names(200) && !validator.names(201));
        assert!(!Validator::default().names(200));
        let unlisted = Refusal::new(FailureKind::UnexpectedStatus, "");
        assert_eq!(unlisted.class(&[], Some(201), b""), Class::BadResponse);
    }

    #[test]
    fn headers_are_kept_where_an_expression_looks_at_them() {
        let judging = |success: Option<&str>, extract: Option<&str>| Judging {
            expect: Expect::Json,
            success: success.map(str::to_owned),
            extract: extract.map(str::to_owned),
            ..Judging::default()
        };
        let validator = Validator::new(&judging(None, Some("$headers.a"))).unwrap();
        assert!(validator.keeps_headers() && !validator.needs_headers());
        let validator = Validator::new(&judging(Some("$headers.a"), None)).unwrap();
        assert!(validator.keeps_headers() && validator.needs_headers());
        let validator = Validator::new(&judging(Some("."), Some("."))).unwrap();
        assert!(!validator.keeps_headers() && !validator.needs_headers());
        assert!(
            Validator::new(&judging(None, Some("("))).is_err_and(|error| error.flag == "extract")
        );
    }
}
