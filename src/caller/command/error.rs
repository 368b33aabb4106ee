//! Errors of commands that cannot be run.

use crate::caller::TemplateError;
use crate::caller::outputs::WrongFolder;
use crate::job::escaped;
use crate::validate::WrongExpression;

/// The reason why a command cannot be run for any file.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There is no program.
    #[error("the command is empty")]
    Empty,
    /// The program is no executable file.
    #[error("cannot run `{}`: {reason}", escaped(.program.as_bytes()))]
    Program {
        /// Its name.
        program: String,
        /// Why.
        reason: &'static str,
    },
    /// Invalid template.
    #[error("`{}` in the command: {error}", escaped(.word.as_bytes()))]
    Template {
        /// The word.
        word: String,
        /// The error.
        error: TemplateError,
    },
    /// A word refers to a secret, which every user of the machine could see among the arguments.
    #[error("`{}` in the command would show a secret to every user of this machine", escaped(.0.as_bytes()))]
    Secret(String),
    /// A word has the contents of a file.
    #[error("`{}` in the command: arguments do not hold whole files", escaped(.0.as_bytes()))]
    Contents(String),
    /// The script of a shell inside of a command has a placeholder: a name could be run as a part of it.
    #[error("`{}` in the script of `{shell} -c`: the names of files would be run as parts of the script", escaped(.script.as_bytes()))]
    Script {
        /// The shell.
        shell: String,
        /// The script.
        script: String,
    },
    /// Invalid `--success` or `--extract` expression.
    #[error(transparent)]
    Expression(#[from] WrongExpression),
    /// The folder for results cannot be used.
    #[error(transparent)]
    Outputs(#[from] WrongFolder),
}
