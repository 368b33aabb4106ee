//! Which flags a command line has.

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};

/// The names of the flags that were typed, as opposed to those that have a default: of those that nobody has taken yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Typed(Vec<String>);

impl Typed {
    /// The names, with dashes.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Takes a flag for typed whose value stands somewhere else on the command line.
    pub(crate) fn add(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    /// Whether a flag of this name was typed.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names().any(|typed| typed == name)
    }
}

/// It is no flag itself.
impl Args for Typed {
    fn augment_args(command: Command) -> Command {
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        command
    }
}

impl FromArgMatches for Typed {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut typed = Self::default();
        typed.update_from_arg_matches(matches)?;
        Ok(typed)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let ids = matches.ids().map(clap::Id::as_str);
        let typed = ids.filter(|id| matches.value_source(id) == Some(ValueSource::CommandLine));
        self.0.extend(typed.map(|id| id.replace('_', "-")));
        Ok(())
    }
}
