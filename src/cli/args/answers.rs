//! The words by which answers are judged.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use stride::failure_class::Statuses;
use stride::job::FileName;
use stride::settings::{Expect, Judging};

use crate::cli::output::error::Problem;

/// Which answers are results, and what of them is exported.
#[derive(Debug, Default, ClapArgs)]
#[command(next_help_heading = "Answers")]
pub(crate) struct Answers {
    /// The statuses of results, such as 2xx,404; --expect and --success apply to all of them [default: 2xx]
    #[arg(long, value_name = "STATUSES")]
    pub(crate) expect_status: Option<Statuses>,
    /// What an answer with such a status has to be, to be a result: json, text or any [default: json]
    #[arg(long, value_name = "WHAT")]
    pub(crate) expect: Option<Expect>,
    /// A jq expression that has to be true of a result, such as '.status == "ok"'; may use $status and $headers
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true)]
    pub(crate) success: Option<String>,
    /// A jq expression for what is exported of a result, such as '.choices[0].message.content'
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true)]
    pub(crate) extract: Option<String>,
    /// Put the body of each result into a file of its own in this folder, such as audio or images; --expect is any then
    #[arg(long, value_name = "DIR")]
    pub(crate) output_dir: Option<PathBuf>,
}

impl Answers {
    /// Returns the rules as a run remembers them.
    pub(crate) fn judging(&self) -> Judging {
        Judging {
            statuses: self.expect_status.clone().unwrap_or_default(),
            expect: self.expect.unwrap_or(match self.output_dir {
                Some(_) => Expect::Any,
                None => Expect::Json,
            }),
            success: self.success.clone(),
            extract: self.extract.clone(),
        }
    }

    /// Returns the folder for results as a run remembers it.
    pub(crate) fn output_dir(&self) -> Result<Option<String>, Problem> {
        let Some(folder) = &self.output_dir else {
            return Ok(None);
        };
        let shown = FileName::from(folder.as_path());
        let absolute = std::path::absolute(folder).map_err(|error| {
            Problem::usage(format!("`{shown}` is not a folder for answers"))
                .cause(error.to_string())
                .hint("give a folder to --output-dir")
        })?;
        let text = absolute.into_os_string().into_string().map_err(|_| {
            Problem::usage(format!("the path of the folder {shown} is not UTF-8"))
                .hint("give another folder to --output-dir")
        })?;
        Ok(Some(text))
    }
}
