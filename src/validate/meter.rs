//! Evaluates `--cost` and `--settle`.

use crate::job::{Bill, Money};
use crate::jq::{Expression, Input, SyntaxError};
use crate::settings::{CallCost, Settings};

/// Reads from answers what their calls cost and weighed.
#[derive(Debug, Default)]
pub(super) struct Meter {
    cost: Option<Expression>,
    settle: Option<Expression>,
}

impl Meter {
    /// Parses the expressions of a run. An error comes with its flag.
    pub(super) fn new(settings: &Settings) -> Result<Self, (&'static str, SyntaxError)> {
        let read = |flag, text: Option<&String>| {
            let read = text.map(|text| Expression::new(text)).transpose();
            read.map_err(|error| (flag, error))
        };
        let cost = match &settings.cost {
            Some(CallCost::Answer(expression)) => Some(expression),
            Some(CallCost::Each(_)) | None => None,
        };
        Ok(Self {
            cost: read("cost", cost)?,
            settle: read("settle", settings.settle.as_ref())?,
        })
    }

    pub(super) fn is_off(&self) -> bool {
        self.cost.is_none() && self.settle.is_none()
    }

    pub(super) fn needs_headers(&self) -> bool {
        let expressions = [&self.cost, &self.settle];
        (expressions.into_iter().flatten()).any(Expression::needs_headers)
    }

    /// Evaluates the expressions. A value that is no number of at least zero states nothing.
    ///
    /// jq calculates with binary fractions. A cost is the shortest decimal number that stands for the result, rounded to
    /// billionths, half to even. A number that the answer states and the expression only passes on keeps its digits.
    pub(super) fn bill(&self, input: &Input<'_>) -> Bill {
        let value = |expression: &Option<Expression>| expression.as_ref()?.value(input).ok();
        Bill {
            cost: value(&self.cost).and_then(|number| Money::round(&number)),
            weight: value(&self.settle).and_then(|number| Bill::round_weight(&number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jq::Body;

    fn bill(cost: &str, settle: Option<&str>) -> Bill {
        let settings = Settings {
            cost: Some(CallCost::Answer(cost.to_owned())),
            settle: settle.map(str::to_owned),
            ..Settings::default()
        };
        let body = r#"{"usage":{"total_tokens":1234},"price":0.00000000150000000000000000001,"none":null,"text":"7"}"#;
        let meter = Meter::new(&settings).unwrap();
        assert!(!meter.is_off());
        meter.bill(&Input {
            body: Body::Json(body),
            status: Some(200),
            headers: Some(r#"{"x-cost":"0.25"}"#),
            columns: Some(r#"{"rate":"2"}"#),
        })
    }

    #[test]
    fn only_numbers_of_at_least_zero_are_costs() {
        for (expression, billionths) in [
            (".usage.total_tokens * 0.000002", Some(2_468_000)),
            // 0.1 + 0.2 is 0.30000000000000004.
            ("0.1 + 0.2", Some(300_000_000)),
            ("0.0000000025", Some(2)),
            ("1e-9 * 3 / 2", Some(2)),
            // More digits than a binary fraction has.
            (".price", Some(2)),
            (r#"$headers["x-cost"] | tonumber"#, Some(250_000_000)),
            ("($col.rate | tonumber) * $status", Some(400_000_000_000)),
            ("0", Some(0)),
            (".none", None),
            (".usage.missing * 2", None),
            (".text", None),
            ("-1", None),
            ("nan", None),
            ("infinite", None),
            ("1, 2", None),
            ("empty", None),
            ("error", None),
            ("1e12", None),
        ] {
            let found = bill(expression, None).cost;
            assert_eq!(found, billionths.map(Money), "{expression}");
        }
    }

    #[test]
    fn weights_are_rounded_up() {
        for (expression, weight) in [
            (".usage.total_tokens", Some(1234)),
            (".usage.total_tokens / 4", Some(309)),
            (".none", None),
            ("-1", None),
            ("nan", None),
        ] {
            assert_eq!(bill("0", Some(expression)).weight, weight, "{expression}");
        }
    }

    #[test]
    fn a_wrong_expression_names_its_flag() {
        let settings = Settings {
            settle: Some(".a |".to_owned()),
            ..Settings::default()
        };
        assert_eq!(Meter::new(&settings).unwrap_err().0, "settle");
    }
}
