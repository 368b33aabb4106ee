//! The options that stride shares with curl.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};

use stride::curl::{OPTIONS, ParsedOption, Role};

/// The options that stride shares with curl, in the order of the command line: several of them form one body together.
#[derive(Debug, Clone, Default)]
pub(crate) struct CurlArgs(pub(crate) Vec<ParsedOption>);

impl Args for CurlArgs {
    fn augment_args(command: Command) -> Command {
        let native = OPTIONS.iter().filter_map(|spec| match spec.role {
            Role::Native(help) => Some((spec, help)),
            _ => None,
        });
        let args = native.map(|(spec, help)| {
            let arg = Arg::new(spec.long)
                .long(spec.long)
                .help(help)
                .help_heading("Request");
            let arg = match spec.short {
                Some(letter) => arg.short(letter),
                None => arg,
            };
            match spec.value {
                // A value may begin with a dash, as `-d -5` does.
                Some(name) => arg
                    .value_name(name)
                    .action(ArgAction::Append)
                    .allow_hyphen_values(true)
                    .value_parser(value_parser!(String)),
                None => arg.action(ArgAction::SetTrue),
            }
        });
        command.args(args)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for CurlArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut found = Vec::new();
        for spec in OPTIONS {
            if !matches!(spec.role, Role::Native(_)) {
                continue;
            }
            let given = |value| ParsedOption {
                option: spec,
                value,
                written: format!("--{}", spec.long),
                is_off: false,
            };
            if spec.value.is_some() {
                let values = matches.get_many::<String>(spec.long).into_iter().flatten();
                let indices = matches.indices_of(spec.long).into_iter().flatten();
                let values = values.map(|value| given(Some(value.clone())));
                found.extend(indices.zip(values));
            } else if matches.get_flag(spec.long) {
                found.push((0, given(None)));
            }
        }
        found.sort_by_key(|(index, _)| *index);
        Ok(Self(found.into_iter().map(|(_, given)| given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
