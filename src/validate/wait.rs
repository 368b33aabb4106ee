//! Evaluates `--retry-after`.

use super::{Reply, WrongExpression};
use crate::jq::Expression;

/// A jq expression for the seconds that an answer asks to wait.
#[derive(Debug)]
pub struct RetryAfter(Expression);

impl RetryAfter {
    /// Parses an expression.
    ///
    /// # Errors
    ///
    /// The expression is invalid.
    pub fn new(text: &str) -> Result<Self, WrongExpression> {
        let read = Expression::new(text).map(Self);
        read.map_err(|source| WrongExpression {
            flag: "retry-after",
            source,
        })
    }

    /// Returns whether it needs the answer's headers.
    pub fn needs_headers(&self) -> bool {
        self.0.needs_headers()
    }

    /// Returns the seconds for an answer, or `None` if the value is not a number of at least zero. An answer so large
    /// that it is in a file has no wait.
    pub fn seconds(&self, reply: &Reply<'_>) -> Option<f64> {
        let body = reply.body.in_memory()?;
        let value = self.0.value(&reply.input(body)).ok()?;
        let seconds = value.parse().ok();
        seconds.filter(|seconds: &f64| *seconds >= 0.0 && seconds.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Columns;

    fn seconds(expression: &str, body: &str) -> Option<f64> {
        let reply = Reply {
            status: Some(429),
            media_type: None,
            headers: Some(r#"{"x-wait":"7"}"#),
            columns: &Columns::read(r#"{"wait":"8"}"#).unwrap(),
            body: &body.as_bytes().into(),
            has_body: true,
        };
        RetryAfter::new(expression).unwrap().seconds(&reply)
    }

    #[test]
    fn only_numbers_of_at_least_zero_are_waits() {
        let body = r#"{"wait":30,"ms":1500,"text":"9","less":-1,"none":null}"#;
        for (expression, expected) in [
            (".wait", Some(30.0)),
            (".ms / 1000", Some(1.5)),
            (".text | tonumber", Some(9.0)),
            (r#"$headers["x-wait"] | tonumber"#, Some(7.0)),
            ("if $status == 429 then 0 else 1 end", Some(0.0)),
            ("$col.wait | tonumber", Some(8.0)),
            (".none", None),
            (".absent", None),
            (".less", None),
            (".text", None),
            ("nan", None),
            ("infinite", None),
            ("empty", None),
            ("1, 2", None),
            ("true", None),
            (".wait.deep", None),
            ("error", None),
        ] {
            assert_eq!(seconds(expression, body), expected, "{expression}");
        }
        assert_eq!(seconds(".wait", "no JSON"), None);
        let error = RetryAfter::new(".a |").unwrap_err();
        assert!(error.to_string().contains("--retry-after"), "{error}");
    }
}
