//! Parses the flags of programs that make the calls.

use stride::settings::{Call, Command, Way};

use crate::cli::args::answers::AnswerArgs;
use crate::cli::args::program::ProgramArgs;
use crate::cli::output::error::CliError;

/// Parts of a script that stand for the file.
const USES: [&str; 5] = ["$1", "${1", "$@", "$*", "STRIDE_"];

/// Returns the call that the flags describe, if they name a program.
pub(super) fn call(args: &ProgramArgs, answers: &AnswerArgs) -> Result<Option<Call>, CliError> {
    let (way, words) = if let Some(command) = &args.exec {
        (Way::Exec, refuse_interpreter(words("--exec", command)?)?)
    } else if let Some(script) = &args.exec_shell {
        if script.trim().is_empty() {
            return Err(CliError::usage("the script of --exec-shell is empty")
                .hint("the file is \"$1\" in it, as in --exec-shell 'wc -w < \"$1\"'"));
        }
        if !USES.iter().any(|used| script.contains(used)) {
            return Err(
                CliError::usage("the script of --exec-shell is the same for every file").hint(
                    "the file is \"$1\" in it, as in --exec-shell 'wc -w < \"$1\"'; its name is also in STRIDE_NAME",
                ),
            );
        }
        (Way::Shell, vec![script.clone()])
    } else {
        match args.worker.as_deref() {
            Some("-") => (Way::Starter, Vec::new()),
            Some(command) => (Way::Worker, words("--worker", command)?),
            None => return Ok(None),
        }
    };
    Ok(Some(Call::Command(Box::new(Command {
        way,
        words,
        name: None,
        version: None,
        source: None,
        judging: answers.judging(true),
        output_dir: None,
    }))))
}

/// Programs that run the file that they are given.
const INTERPRETERS: [&str; 8] = [
    "sh", "bash", "zsh", "python", "python3", "node", "perl", "ruby",
];

/// Refuses an interpreter without a script, which would run each file of the list: the quotes around the command are missing.
fn refuse_interpreter(words: Vec<String>) -> Result<Vec<String>, CliError> {
    let [program] = &words[..] else {
        return Ok(words);
    };
    let name = program.rsplit('/').next().unwrap_or_default();
    if !INTERPRETERS.contains(&name) {
        return Ok(words);
    }
    Err(
        CliError::usage(format!("--exec {program} would run each file as a script")).hint(format!(
            "put the whole command into quotes, as in --exec '{program} SCRIPT {{}}'; if you mean that, use --exec '{program} {{}}'"
        )),
    )
}

/// Returns a note about a command of curl that takes refusals for answers.
pub(super) fn note(args: &ProgramArgs, answers: &AnswerArgs) -> Option<String> {
    let command = args.exec.as_ref().or(args.exec_shell.as_ref())?;
    let mut words = command.split_whitespace();
    let is_curl = |word: &str| word == "curl" || word.ends_with("/curl");
    words.find(|word| is_curl(word))?;
    let fails = |word: &str| {
        word.starts_with("--fail")
            || word.starts_with('-') && !word.starts_with("--") && word.contains('f')
    };
    (!words.any(fails) && answers.success.is_none()).then(|| {
        "curl exits with 0 for refusals such as 401 and 500, so these become results; add --fail-with-body to it, or use --url or --curl in place of the program"
            .to_owned()
    })
}

/// Splits a command into words as a shell does.
///
/// # Errors
///
/// A quote is not closed, there is no word, or the command needs a shell.
fn words(flag: &str, command: &str) -> Result<Vec<String>, CliError> {
    if let Some(char) = needs_shell(command) {
        let cli_error = CliError::usage(format!(
            "{flag} runs its command without a shell, and `{char}` needs one"
        ));
        return Err(match flag {
            "--exec" => cli_error.hint(
                "use --exec-shell, where \"$1\" is the file; or put the word into single quotes, if it is meant as it is",
            ),
            _ => cli_error.hint(format!(
                "use {flag} \"sh -c '…'\"; or put the word into single quotes, if it is meant as it is"
            )),
        });
    }
    let words = shlex::split(command).ok_or_else(|| {
        CliError::usage(format!("a quote of {flag} is not closed")).hint("check its quotes")
    })?;
    if words.is_empty() {
        return Err(CliError::usage(format!("the command of {flag} is empty"))
            .hint(format!("use {flag} 'PROGRAM ARGUMENTS'")));
    }
    Ok(words)
}

/// Returns the first character of an expansion, a pipe, a redirection or a list, which only a shell understands
/// (POSIX.1-2024, Shell Command Language, section 2.2). Patterns such as `*` are passed on as they are.
fn needs_shell(command: &str) -> Option<char> {
    let (mut quote, mut chars) = (None, command.chars());
    while let Some(char) = chars.next() {
        match (quote, char) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('\''), _) => {}
            (_, '\\') => drop(chars.next()),
            (_, '$' | '`') => return Some(char),
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(char),
            (None, '|' | '>' | '<' | '&' | ';') => return Some(char),
            (None, _) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_and_one_that_needs_a_shell_is_refused() {
        for (command, expected) in [
            ("wc -c {}", &["wc", "-c", "{}"][..]),
            (
                r#"x 'a b' "c\"d" e\ f '' '$HOME|;' "a;b""#,
                &["x", "a b", "c\"d", "e f", "", "$HOME|;", "a;b"],
            ),
            ("x \\$HOME \\; a\\|b", &["x", "$HOME", ";", "a|b"]),
        ] {
            assert_eq!(words("--exec", command).unwrap(), expected, "{command}");
        }
        for (command, expected) in [
            ("cat {} | wc", "`|` needs one"),
            ("cat < {}", "`<` needs one"),
            ("cat {} > x", "`>` needs one"),
            ("a & b", "`&` needs one"),
            ("a; b", "`;` needs one"),
            ("x $HOME", "`$` needs one"),
            ("x \"$(date)\"", "`$` needs one"),
            ("x `date`", "`` ` `` needs one"),
            ("x 'a", "is not closed"),
            ("  ", "is empty"),
        ] {
            let error = words("--exec", command).unwrap_err();
            let expected = expected.replace("`` ` ``", "```");
            assert!(
                error.words().contains(&expected),
                "{command}: {}",
                error.words()
            );
        }
    }
}
