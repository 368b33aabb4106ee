//! The flags of a request's later steps.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};

/// The heading of flags for later steps.
const STEPS: &str = "Later requests";

/// The flags of later steps, in the order of the command line: `--poll-until` and `--poll-fail` belong to the `--then` before
/// them.
#[derive(Debug, Clone, Default)]
pub(crate) struct ThenArgs(pub(crate) Vec<(StepFlag, String)>);

/// A flag of a later step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepFlag {
    Then,
    PollUntil,
    PollFail,
}

impl StepFlag {
    const ALL: [Self; 3] = [Self::Then, Self::PollUntil, Self::PollFail];

    /// Returns the flag as it is written.
    pub(crate) fn written(self) -> String {
        format!("--{}", self.name())
    }

    fn name(self) -> &'static str {
        match self {
            Self::Then => "then",
            Self::PollUntil => "poll-until",
            Self::PollFail => "poll-fail",
        }
    }

    fn arg(self) -> Arg {
        let arg = Arg::new(self.name())
            .long(self.name())
            .action(ArgAction::Append)
            .value_parser(value_parser!(String))
            .help_heading(STEPS);
        match self {
            Self::Then => arg
                .value_name("REQUEST")
                .help("Request after the answer to the one before: a URL, a curl command, or @FILE with one; repeatable")
                .long_help(
                    "Request after the answer to the one before: a URL, which is called with GET, a curl command, or \
                     @FILE with one; repeatable\n\n\
                     Its placeholders are also {answer.NAME}, {answer.LIST[0].NAME} and {header.NAME} of the answer \
                     before, {answer} for its whole body, and {step1.NAME} and {step1.header.NAME} of an earlier one. A \
                     URL has the headers of the first request, a curl command has its own. Options for results are \
                     about the last answer.",
                ),
            Self::PollUntil => arg
                .value_name("EXPR")
                .allow_hyphen_values(true)
                .help("Repeat the --then before this until the jq expression is true of its answer, such as '.status == \"done\"'; may use $status, $headers and $col"),
            Self::PollFail => arg
                .value_name("EXPR")
                .allow_hyphen_values(true)
                .help("jq expression that is true of an answer which says that the job failed, such as '.status == \"error\"'"),
        }
    }
}

impl Args for ThenArgs {
    fn augment_args(command: Command) -> Command {
        command.args(StepFlag::ALL.map(StepFlag::arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ThenArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut found = Vec::new();
        for flag in StepFlag::ALL {
            let values = matches
                .get_many::<String>(flag.name())
                .into_iter()
                .flatten();
            let indices = matches.indices_of(flag.name()).into_iter().flatten();
            let values = values.map(|value| (flag, value.clone()));
            found.extend(indices.zip(values));
        }
        found.sort_by_key(|(index, _)| *index);
        Ok(Self(found.into_iter().map(|(_, given)| given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
