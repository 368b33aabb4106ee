//! Recognizes pasted text that is not a command of curl for a POSIX shell, so that the error says what it is.

use super::error::CurlError;
use super::options::is_curl;
use super::shell::typographic;

/// Words at the beginning of PowerShell commands.
const POWERSHELL: [&str; 5] = ["invoke-", "iwr", "irm", "$session", "$headers"];

/// Returns the command in a pasted text, without comments and a prompt before it.
///
/// # Errors
///
/// The text is empty, begins with another program or a typographic word, or is in the syntax of cmd or PowerShell.
pub(super) fn command(text: &str) -> Result<&str, CurlError> {
    // An editor may have begun the file with a byte order mark.
    let mut text = text.trim_start_matches('\u{feff}').trim_start();
    while text.starts_with('#') {
        text = text.split_once('\n').unwrap_or_default().1.trim_start();
    }
    if text.is_empty() {
        return Err(CurlError::Empty);
    }
    // Documentation often shows the prompt.
    let prompt = ["$ ", "% ", "> "];
    let command = prompt.iter().find_map(|prompt| text.strip_prefix(prompt));
    let command = command.unwrap_or(text).trim_start();
    let first = command.split([' ', '\t', '\n', '\r', '(', '|']).next();
    let first = first.unwrap_or_default();
    // The program's name may be quoted or escaped, too.
    if !is_curl(first.trim_matches(['"', '\'', '\\'])) {
        if let Some(error) = first.chars().find_map(typographic) {
            return Err(error);
        }
        let lower = first.to_ascii_lowercase();
        if POWERSHELL.iter().any(|word| lower.starts_with(word)) {
            return Err(other_shell(&format!("`{first}`"), "PowerShell"));
        }
        // The value of a variable before the command may be a secret.
        let first = match first.split_once('=') {
            Some((name, _)) => format!("{name}=…"),
            None => first.to_owned(),
        };
        return Err(
            match command.contains("| curl") || command.contains("|curl") {
                true => CurlError::Before(first),
                false => CurlError::Program(first),
            },
        );
    }
    match continuation(command) {
        Some('^') => Err(other_shell("this", "cmd")),
        Some('`') => Err(other_shell("this", "PowerShell")),
        _ => Ok(command),
    }
}

fn other_shell(what: &str, shell: &'static str) -> CurlError {
    let what = what.to_owned();
    CurlError::OtherShell { what, shell }
}

/// Returns the character by which another shell continues a line or escapes a quote, if the command has one outside of
/// quotes.
fn continuation(command: &str) -> Option<char> {
    let ends_line = |rest: &str| {
        let rest = rest.trim_start_matches([' ', '\t', '\r']);
        rest.is_empty() || rest.starts_with('\n')
    };
    // A quote, and whether a backslash escapes in it.
    let mut quote: Option<(char, bool)> = None;
    let mut before = ' ';
    let mut chars = command.char_indices();
    while let Some((at, char)) = chars.next() {
        let rest = &command[at + char.len_utf8()..];
        match (char, quote) {
            ('\\', None | Some((_, true))) => drop(chars.next()),
            (char, Some((end, _))) if char == end => quote = None,
            (_, Some(_)) => {}
            ('\'', None) => quote = Some(('\'', before == '$')),
            ('"', None) => quote = Some(('"', true)),
            ('^', None) if rest.starts_with('"') || ends_line(rest) => return Some('^'),
            ('`', None) if ends_line(rest) => return Some('`'),
            _ => {}
        }
        before = char;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_programs_and_shells_are_named() {
        for (text, named) in [
            ("wget http://a/", "`wget` is not curl"),
            ("", "the command is empty"),
            ("# curl http://a/", "the command is empty"),
            ("KEY=sesame curl http://a/", "`KEY=…` is not curl"),
            ("fetch(\"http://a/\", {})", "`fetch` is not curl"),
            ("cat f | curl -d @- http://a/", "`|` after `cat`"),
            ("Invoke-WebRequest -Uri \"http://a/\"", "PowerShell"),
            ("$session = New-Object X", "PowerShell"),
            ("curl.exe -X POST `\r\n  http://a/", "PowerShell"),
            ("curl ^\"http://a/^\" ^\n -H ^\"a: b^\"", "cmd"),
            ("curl \"http://a/\" ^\r\n  -d x", "cmd"),
        ] {
            let error = command(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn a_command_for_bash_is_taken() {
        for text in [
            "curl http://a/ -d 'a^\n`\nb'",
            "curl -d \"`date`\" http://a/",
            "curl -d a^b http://a/",
            "curl -d \"it's\" -H 'a `\n b ^\n' http://a/",
            "curl -d $'it\\'s ^\n'",
            "/usr/bin/curl x",
            "\\curl x",
        ] {
            assert_eq!(command(text), Ok(text));
        }
        assert_eq!(command("  $ curl x"), Ok("curl x"));
    }
}
