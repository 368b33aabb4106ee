//! Decides which answers are results, for new and stored answers alike.

mod meter;
mod poll;
mod wait;

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use thiserror::Error;

use crate::failure_class::{ClassRule, Statuses};
use crate::job::{
    Bill, Body, Class, Columns, Failure, FailureKind, check_json, check_text, is_json, json_text,
};
use crate::jq::{self, Expression, Input, SyntaxError};
use crate::settings::{Expect, Judging, Settings};
use meter::Meter;
pub use poll::{PollValidator, Readiness};
pub use wait::RetryAfter;

/// The status of an answer that never has a body (RFC 9110, section 15.3.5).
const NO_CONTENT: u16 = 204;

/// The hint for answers that are not JSON and may still be wanted.
const OTHER_EXPECTATIONS: &str = "to accept such answers, use `--expect text` or `--expect any`; `stride recheck` does so for stored ones";

/// Validates answers by a run's rules. All threads share it.
#[derive(Debug, Default)]
pub struct Validator {
    statuses: Statuses,
    expect: Expect,
    success: Option<Expression>,
    keeps_headers: bool,
    meter: Meter,
    /// Held while an answer from a file is in memory, so that there is one at a time.
    alone: Mutex<()>,
}

/// Invalid expression of a flag, such as `--success`.
#[derive(Debug, Error)]
#[error("the expression of --{flag} cannot be read")]
pub struct WrongExpression {
    /// Its flag.
    pub flag: &'static str,
    /// The error.
    pub source: SyntaxError,
}

/// A complete answer.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'r> {
    /// The status; `None` without HTTP.
    pub status: Option<u16>,
    /// The `Content-Type` as received.
    pub media_type: Option<&'r str>,
    /// The headers as a JSON object from lower-case name to value, if they are needed.
    pub headers: Option<&'r str>,
    /// The job's row, if the list is a table.
    pub columns: &'r Columns,
    /// The body.
    pub body: &'r Body,
    /// An answer to this method has a body.
    pub has_body: bool,
}

/// The reason why an answer is not a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// `unexpected_status`, `not_json`, `not_text` or `not_successful`.
    pub kind: FailureKind,
    /// The reason, in one line.
    pub message: String,
}

impl Invalid {
    fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// Returns the class of the failure. The user's rules apply to unexpected statuses and unsuccessful answers as they do
    /// to HTTP errors. They see the beginning of the body.
    pub fn class(&self, rules: &[ClassRule], status: Option<u16>, beginning: &[u8]) -> Class {
        let beginning = &beginning[..beginning.len().min(Failure::BODY_KEPT)];
        let ruled = || {
            rules
                .iter()
                .find_map(|rule| rule.class_of_failure(status, beginning))
        };
        match self.kind {
            FailureKind::NotSuccessful | FailureKind::UnexpectedStatus => {
                ruled().unwrap_or(Class::BadResponse)
            }
            _ => Class::BadResponse,
        }
    }
}

impl Validator {
    /// Returns the class of a failure as [`Invalid::class`] does. But no rule applies to a status that the user has named as
    /// one of results.
    pub fn class(
        &self,
        invalid: &Invalid,
        rules: &[ClassRule],
        status: Option<u16>,
        beginning: &[u8],
    ) -> Class {
        let named = status.is_some_and(|status| self.names(status));
        invalid.class(if named { &[] } else { rules }, status, beginning)
    }

    /// Parses the expressions of a run.
    ///
    /// # Errors
    ///
    /// One of them is invalid.
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
            meter: Meter::default(),
            alone: Mutex::default(),
        })
    }

    /// Also reads costs and weights from answers, by these settings.
    ///
    /// # Errors
    ///
    /// An expression is invalid.
    pub fn metering(self, settings: &Settings) -> Result<Self, WrongExpression> {
        let meter = Meter::new(settings);
        let meter = meter.map_err(|(flag, source)| WrongExpression { flag, source })?;
        Ok(Self { meter, ..self })
    }

    /// Returns whether costs or weights are read from answers.
    pub fn meters(&self) -> bool {
        !self.meter.is_off()
    }

    /// Returns what an answer states about its call.
    pub fn bill(&self, reply: &Reply<'_>) -> Bill {
        if self.meter.is_off() {
            return Bill::default();
        }
        let _alone = self.alone(reply);
        let body = reply.body.bytes().ok();
        body.map_or_else(Bill::default, |body| self.meter.bill(&reply.input(&body)))
    }

    fn alone(&self, reply: &Reply<'_>) -> Option<MutexGuard<'_, ()>> {
        let in_file = reply.body.in_memory().is_none();
        in_file.then(|| self.alone.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns whether the user has named a status as one of results.
    pub fn names(&self, status: u16) -> bool {
        !self.statuses.is_default() && self.statuses.contain(status)
    }

    /// Returns whether a status is one of results.
    pub fn takes(&self, status: u16) -> bool {
        self.statuses.contain(status)
    }

    /// Returns whether validation takes no longer than reading the answer.
    pub fn is_quick(&self) -> bool {
        self.success.is_none() && self.meter.is_off()
    }

    /// Returns whether an expression needs the headers of stored answers.
    pub fn keeps_headers(&self) -> bool {
        self.keeps_headers
    }

    /// Returns whether validation or metering needs the headers.
    pub fn needs_headers(&self) -> bool {
        self.meter.needs_headers() || self.success.as_ref().is_some_and(Expression::needs_headers)
    }

    /// Returns why an answer is not a result, if it is not.
    ///
    /// # Errors
    ///
    /// The answer's file cannot be read.
    pub fn validate(&self, reply: &Reply<'_>) -> io::Result<Result<(), Invalid>> {
        if let Some(status) = reply.status
            && !self.statuses.contain(status)
        {
            let message = format!("HTTP {status} is not the status of a result");
            return Ok(Err(Invalid::new(FailureKind::UnexpectedStatus, message)));
        }
        if reply.has_body
            && let Err(invalid) = self.meets_expectation(reply)?
        {
            return Ok(Err(invalid));
        }
        let Some(success) = &self.success else {
            return Ok(Ok(()));
        };
        let _alone = self.alone(reply);
        let body = reply.body.bytes()?;
        let expression = success.as_str();
        let message = match success.holds(&reply.input(&body)) {
            Ok(true) => return Ok(Ok(())),
            Ok(false) => format!("`{expression}` is not true of the answer"),
            Err(error) => format!("`{expression}` cannot be evaluated for the answer: {error}"),
        };
        Ok(Err(Invalid::new(FailureKind::NotSuccessful, message)))
    }

    fn meets_expectation(&self, reply: &Reply<'_>) -> io::Result<Result<(), Invalid>> {
        let json = |what: &str| {
            let checked = check_json(reply.body)?;
            Ok(checked.map_err(|error| {
                let message = format!("{what}: {error}; {OTHER_EXPECTATIONS}");
                Invalid::new(FailureKind::NotJson, message)
            }))
        };
        let states_json =
            || reply.status != Some(NO_CONTENT) && reply.media_type.is_some_and(is_json);
        match self.expect {
            Expect::Json => json("the answer is not JSON"),
            Expect::Text => Ok(check_text(reply.body)?.map_err(|error| {
                let message = format!(
                    "the answer is not UTF-8 text: {error}; to accept such answers, use `--expect any`"
                );
                Invalid::new(FailureKind::NotText, message)
            })),
            Expect::AsStated if states_json() => {
                json("the answer is not JSON, although its media type says so")
            }
            Expect::AsStated if self.success.is_some() => {
                json("the answer is not JSON, which --success needs")
            }
            Expect::AsStated | Expect::Any => Ok(Ok(())),
        }
    }
}

impl Reply<'_> {
    /// Returns the input of expressions. They see the body as JSON, else as a string, else as null.
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
            columns: self.columns.row(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply<'r>(status: u16, body: &'r Body) -> Reply<'r> {
        Reply {
            status: Some(status),
            media_type: None,
            headers: None,
            columns: Columns::NONE,
            body,
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

    /// Returns the kind of failure, or nothing for a result.
    fn kind(validator: &Validator, reply: &Reply<'_>) -> &'static str {
        let validated = validator.validate(reply).unwrap();
        validated.map_or_else(|invalid| invalid.kind.as_str(), |()| "")
    }

    #[test]
    fn results_have_the_expected_form() {
        const ALL: [Expect; 4] = [Expect::Json, Expect::Text, Expect::AsStated, Expect::Any];
        let json = Some("application/json");
        let stated_and_not_json = ["not_json", "", "not_json", ""];
        for (media_type, body, plain, with_success) in [
            (None, &b"{}"[..], [""; 4], [""; 4]),
            (
                None,
                b"",
                ["not_json", "", "", ""],
                ["not_json", "", "not_json", ""],
            ),
            (
                None,
                b"\xff",
                ["not_json", "not_text", "", ""],
                ["not_json", "not_text", "not_json", ""],
            ),
            (json, b"{}", [""; 4], [""; 4]),
            (json, b"{", stated_and_not_json, stated_and_not_json),
        ] {
            let body = body.into();
            let reply = Reply {
                media_type,
                ..reply(200, &body)
            };
            let kinds = |reply: &Reply<'_>, success| {
                ALL.map(|expect| kind(&validator(expect, success), reply))
            };
            assert_eq!(kinds(&reply, None), plain, "{reply:?}");
            assert_eq!(kinds(&reply, Some("true")), with_success, "{reply:?}");
            let without_body = Reply {
                has_body: false,
                ..reply
            };
            assert_eq!(kinds(&without_body, Some("true")), [""; 4]);
        }
        let body = Body::from(&b""[..]);
        let no_content = Reply {
            media_type: json,
            ..reply(204, &body)
        };
        assert_eq!(kind(&validator(Expect::AsStated, None), &no_content), "");
    }

    #[test]
    fn success_is_evaluated_for_json_text_and_anything_else() {
        for (expect, success, body, result) in [
            (Expect::Json, ".ok", &b"{\"ok\":1}"[..], true),
            (Expect::Json, ".ok", b"{\"ok\":null}", false),
            (Expect::Json, ".ok", b"[1]", false),
            (Expect::Text, ". == \"fine\"", b"fine", true),
            (Expect::Text, ". == 1", b"1", true),
            (Expect::Any, ". == null", b"\xff", true),
            (Expect::Any, "$status == 200", b"", true),
        ] {
            let found = kind(&validator(expect, Some(success)), &reply(200, &body.into()));
            assert_eq!(found.is_empty(), result, "{success}: {found}");
        }
    }

    #[test]
    fn the_status_is_checked_first() {
        let validator = Validator::new(&Judging {
            statuses: "200,404".parse().unwrap(),
            success: Some(".ok".to_owned()),
            ..Judging::default()
        })
        .unwrap();
        for (status, body, expected) in [
            (404, "{\"ok\":1}", ""),
            (404, "{\"ok\":0}", ""),
            (404, "{}", "not_successful"),
            (201, "{\"ok\":1}", "unexpected_status"),
            (500, "{\"ok\":1}", "unexpected_status"),
        ] {
            let body = body.as_bytes().into();
            assert_eq!(
                kind(&validator, &reply(status, &body)),
                expected,
                "{status}"
            );
        }
        assert!(validator.names(404) && validator.names(200) && !validator.names(201));
        assert!(!Validator::default().names(200));
    }

    #[test]
    fn rules_apply_to_unsuccessful_answers_only() {
        let rules = ["body~busy:throttled", "status=200:quota"];
        let rules: Vec<ClassRule> = rules.map(|rule| rule.parse().unwrap()).into();
        for (kind, status, body, class) in [
            (
                FailureKind::NotSuccessful,
                200,
                &b"Busy"[..],
                Class::Throttled,
            ),
            (FailureKind::NotSuccessful, 200, b"", Class::Quota),
            (FailureKind::NotJson, 200, b"busy", Class::BadResponse),
            (FailureKind::UnexpectedStatus, 201, b"", Class::BadResponse),
        ] {
            let found = Invalid::new(kind, "").class(&rules, Some(status), body);
            assert_eq!(found, class);
        }
    }

    #[test]
    fn headers_are_kept_if_an_expression_needs_them() {
        for (success, extract, keeps, needs) in [
            (None, Some("$headers.a"), true, false),
            (Some("$headers.a"), None, true, true),
            (Some("."), Some("."), false, false),
        ] {
            let validator = Validator::new(&Judging {
                success: success.map(str::to_owned),
                extract: extract.map(str::to_owned),
                ..Judging::default()
            })
            .unwrap();
            let found = (validator.keeps_headers(), validator.needs_headers());
            assert_eq!(found, (keeps, needs), "{success:?} {extract:?}");
        }
    }
}
