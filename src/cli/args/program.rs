//! Flags that name a program which makes the calls.

use clap::Args as ClapArgs;

/// The program that makes the calls, in place of HTTP.
#[derive(Debug, Default, ClapArgs)]
#[command(next_help_heading = "Program")]
pub(crate) struct ProgramArgs {
    /// Run a command for each file, without a shell; {} is the file, which otherwise comes last
    ///
    /// What it prints is the answer, and its exit code says whether that is a result. Other placeholders are {name} {stem}
    /// {ext} {dir} {index} {size} {mime} {sha256} {col.NAME} {row} {key}. The command also has STRIDE_NAME, STRIDE_FILE,
    /// STRIDE_KEY and STRIDE_ATTEMPT in its environment.
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["exec_shell", "worker", "url", "curl"])]
    pub(crate) exec: Option<String>,
    /// Run a script with `sh` for each file, which is "$1" in it
    #[arg(long, value_name = "SCRIPT", conflicts_with_all = ["worker", "url", "curl"])]
    pub(crate) exec_shell: Option<String>,
    /// Give the files to processes of this command that stay; `-` is the program that starts stride
    ///
    /// They read calls from standard input and write answers to standard output, a JSON line each. The guide has the
    /// protocol.
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["url", "curl"])]
    pub(crate) worker: Option<String>,
}

impl ProgramArgs {
    /// Returns the flag that names a program, if one does.
    pub(crate) fn flag(&self) -> Option<&'static str> {
        match self {
            Self { exec: Some(_), .. } => Some("--exec"),
            Self {
                exec_shell: Some(_),
                ..
            } => Some("--exec-shell"),
            Self {
                worker: Some(_), ..
            } => Some("--worker"),
            _ => None,
        }
    }
}
