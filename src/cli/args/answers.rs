//! Flags for the answers.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use stride::failure_class::Statuses;
use stride::settings::{Expect, Judging};

/// The rules by which answers are judged, and what is kept and exported of them.
#[derive(Debug, Default, ClapArgs)]
#[command(next_help_heading = "Answers")]
pub(crate) struct AnswerArgs {
    /// Statuses of results, such as 2xx,404; their answers must also meet --expect and --success [default: 2xx]
    #[arg(long, value_name = "STATUSES")]
    pub(crate) expect_status: Option<Statuses>,
    /// Required form of a result: json, text or any [default: json; for programs any, unless --success or the media type
    /// requires JSON]
    #[arg(long, value_name = "WHAT")]
    pub(crate) expect: Option<Expect>,
    /// jq expression that must be true of a result, such as '.status == "ok"'; may use $status, $headers and $col
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true)]
    pub(crate) success: Option<String>,
    /// jq expression for what exports write of a result, such as '.choices[0].message.content'
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true)]
    pub(crate) extract: Option<String>,
    /// Write the body of each result, such as audio, to its own file in this folder; sets --expect any by default
    #[arg(long, value_name = "DIR")]
    pub(crate) output_dir: Option<PathBuf>,
}

impl AnswerArgs {
    /// Returns the rules as a run remembers them. Answers of a program need not be JSON.
    pub(crate) fn judging(&self, of_program: bool) -> Judging {
        Judging {
            statuses: self.expect_status.clone().unwrap_or_default(),
            expect: self.expect.unwrap_or(match self.output_dir {
                Some(_) => Expect::Any,
                None if of_program => Expect::AsStated,
                None => Expect::Json,
            }),
            success: self.success.clone(),
            extract: self.extract.clone(),
        }
    }
}
