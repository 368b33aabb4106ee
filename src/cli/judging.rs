//! The words by which answers are judged.

use clap::Args as ClapArgs;

use stride::caller::PlanError;
use stride::judge::WrongExpression;
use stride::settings::{Call, Expect, Judging};

use super::error::Problem;
use super::exit;

/// Which answers are results, and what of them is exported.
#[derive(Debug, Default, ClapArgs)]
#[command(next_help_heading = "Answers")]
pub(crate) struct Answers {
    /// What a 2xx answer has to be, to be a result: json, text or any [default: json]
    #[arg(long, value_name = "WHAT")]
    pub(crate) expect: Option<Expect>,
    /// A jq expression that has to be true of a result, such as '.status == "ok"'; may use $status and $headers
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true)]
    pub(crate) success: Option<String>,
    /// A jq expression for what is exported of a result, such as '.choices[0].message.content'
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true)]
    pub(crate) extract: Option<String>,
}

impl Answers {
    /// As a run remembers it.
    pub(crate) fn judging(&self) -> Judging {
        Judging {
            expect: self.expect.unwrap_or(Expect::Json),
            success: self.success.clone(),
            extract: self.extract.clone(),
        }
    }

    /// What a run that is there keeps: one that was made before there was a choice goes on as it was, by the same
    /// command.
    pub(crate) fn keep(&self, stored: &Call, judging: &mut Judging) {
        if let Call::Http(request) = stored
            && request.judging.expect == Expect::AsStated
            && self.expect.is_none()
        {
            judging.expect = Expect::AsStated;
        }
    }
}

impl From<WrongExpression> for Problem {
    fn from(error: WrongExpression) -> Self {
        PlanError::from(error).into()
    }
}

/// An expression that cannot be read, and where.
pub(crate) fn wrong_expression(error: &WrongExpression) -> Problem {
    Problem::of(exit::USAGE, error).hint(
        "expressions are those of jq (https://jqlang.org/manual), without files, environment and clock; put them into single quotes",
    )
}
