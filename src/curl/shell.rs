//! Splits a pasted command into words like a shell (POSIX.1-2024, Shell Command Language, sections 2.2 and 2.3):
//! quotes, escapes, continued lines, comments, variables, home folders and command substitutions.

use super::error::CurlError;

/// Splits a command into its words. A variable becomes the reference `{env:NAME}` and a command substitution
/// `{cmd:COMMAND}`, so that their values are looked up at run time and never stored.
///
/// # Errors
///
/// A quote is not closed, a character is typographic, or the command needs a shell, such as for a pipe or an expansion.
pub fn words(text: &str) -> Result<Vec<String>, CurlError> {
    Splitter {
        rest: text,
        words: Vec::new(),
        word: None,
    }
    .read()
}

struct Splitter<'t> {
    rest: &'t str,
    words: Vec<String>,
    /// The current word. It may be empty, as in `''`.
    word: Option<String>,
}

impl Splitter<'_> {
    fn read(mut self) -> Result<Vec<String>, CurlError> {
        while let Some(char) = self.next() {
            match char {
                ' ' | '\t' | '\r' => self.end(),
                '\n' => {
                    self.end();
                    let more = !self.rest.trim().is_empty() && !self.words.is_empty();
                    if more && !self.rest.trim_start().starts_with('#') {
                        return Err(CurlError::Shell {
                            what: "a second line".to_owned(),
                            hint: "end a continued line with a backslash",
                        });
                    }
                }
                '#' if self.word.is_none() => {
                    let end = self.rest.find('\n').unwrap_or(self.rest.len());
                    self.rest = &self.rest[end..];
                }
                '\\' => match self.next() {
                    Some('\n') => {}
                    Some('\r') if self.rest.starts_with('\n') => drop(self.next()),
                    Some(char) => self.push(char),
                    None => {}
                },
                '\'' => self.single()?,
                '"' => self.double()?,
                '$' if self.rest.starts_with('\'') => {
                    self.next();
                    self.ansi_c()?;
                }
                '$' => self.variable()?,
                '`' => self.backquoted()?,
                '~' if self.word.is_none() && self.is_home() => self.push_str("{env:HOME}"),
                '|' | '&' | ';' | '<' | '>' | '(' | ')' => return Err(operator(char, self.rest)),
                char => match typographic(char) {
                    Some(error) => return Err(error),
                    None => self.push(char),
                },
            }
        }
        self.end();
        Ok(self.words)
    }

    fn next(&mut self) -> Option<char> {
        let char = self.rest.chars().next()?;
        self.rest = &self.rest[char.len_utf8()..];
        Some(char)
    }

    fn push(&mut self, char: char) {
        self.word.get_or_insert_default().push(char);
    }

    fn push_str(&mut self, text: &str) {
        self.word.get_or_insert_default().push_str(text);
    }

    fn end(&mut self) {
        self.words.extend(self.word.take());
    }

    /// Returns whether the `~` before the rest stands for the home folder (section 2.6.1).
    fn is_home(&self) -> bool {
        let next = self.rest.chars().next();
        next.is_none_or(|char| char == '/' || char.is_ascii_whitespace())
    }

    fn single(&mut self) -> Result<(), CurlError> {
        let (quoted, rest) = self.rest.split_once('\'').ok_or(CurlError::Open("'"))?;
        self.push_str(quoted);
        self.rest = rest;
        Ok(())
    }

    fn double(&mut self) -> Result<(), CurlError> {
        self.word.get_or_insert_default();
        loop {
            match self.next().ok_or(CurlError::Open("\""))? {
                '"' => return Ok(()),
                '\\' => match self.next().ok_or(CurlError::Open("\""))? {
                    '\n' => {}
                    char @ ('$' | '`' | '"' | '\\') => self.push(char),
                    char => {
                        self.push('\\');
                        self.push(char);
                    }
                },
                '$' => self.variable()?,
                '`' => self.backquoted()?,
                char => self.push(char),
            }
        }
    }

    /// Reads `$'…'`, which browsers write (POSIX.1-2024, section 2.2.4).
    fn ansi_c(&mut self) -> Result<(), CurlError> {
        const OPEN: CurlError = CurlError::Open("$'");
        let mut bytes = Vec::new();
        loop {
            match self.next().ok_or(OPEN)? {
                '\'' => break,
                '\\' => match self.next().ok_or(OPEN)? {
                    'n' => bytes.push(b'\n'),
                    't' => bytes.push(b'\t'),
                    'r' => bytes.push(b'\r'),
                    'a' => bytes.push(7),
                    'b' => bytes.push(8),
                    'e' | 'E' => bytes.push(27),
                    'f' => bytes.push(12),
                    'v' => bytes.push(11),
                    'x' => bytes.push(self.digits(16, 2).map_or(0, |(value, _)| value) as u8),
                    digit @ '0'..='7' => {
                        let rest = self.digits(8, 2);
                        let first = digit as u32 - '0' as u32;
                        let value =
                            rest.map_or(first, |(value, digits)| first * 8_u32.pow(digits) + value);
                        bytes.push(value as u8);
                    }
                    unit @ ('u' | 'U') => {
                        let digits = if unit == 'u' { 4 } else { 8 };
                        let value = self.digits(16, digits).map_or(0, |(value, _)| value);
                        let char = char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER);
                        bytes.extend(char.to_string().bytes());
                    }
                    char => bytes.extend(char.to_string().bytes()),
                },
                char => bytes.extend(char.to_string().bytes()),
            }
        }
        // Escaped bytes need not be text, but a word is.
        self.push_str(&String::from_utf8_lossy(&bytes));
        Ok(())
    }

    /// Reads a command in back quotes.
    fn backquoted(&mut self) -> Result<(), CurlError> {
        let (command, rest) = self.rest.split_once('`').ok_or(CurlError::Open("`"))?;
        self.rest = rest;
        self.command(command.trim())
    }

    /// Converts a command substitution to a reference. A command that uses the file would have to run for each file.
    fn command(&mut self, command: &str) -> Result<(), CurlError> {
        if command.is_empty()
            || command.contains(['"', '\n', '{', '}', '`', '\\'])
            || command.starts_with('(')
        {
            return Err(substitution());
        }
        self.push_str(&format!("{{cmd:{command}}}"));
        Ok(())
    }

    /// Reads `$NAME`, `${NAME}` or `$(COMMAND)`. Another `${…}` is an error; any other `$` stands for itself.
    fn variable(&mut self) -> Result<(), CurlError> {
        let braced = self.rest.starts_with('{');
        if let Some(command) = self.rest.strip_prefix('(') {
            let end = closing(command).ok_or_else(substitution)?;
            self.rest = &command[end + 1..];
            return self.command(command[..end].trim());
        }
        let text = &self.rest[usize::from(braced)..];
        let length = text
            .find(|char: char| !(char.is_ascii_alphanumeric() || char == '_'))
            .unwrap_or(text.len());
        let (name, after) = text.split_at(length);
        if name.is_empty() || name.starts_with(|char: char| char.is_ascii_digit()) {
            if braced {
                return Err(expansion());
            }
            self.push('$');
            return Ok(());
        }
        self.rest = match braced {
            true => after.strip_prefix('}').ok_or_else(expansion)?,
            false => after,
        };
        self.push_str(&format!("{{env:{name}}}"));
        Ok(())
    }

    /// Reads at most `most` digits. Returns the number and the count of its digits.
    fn digits(&mut self, radix: u32, most: usize) -> Option<(u32, u32)> {
        let digits = self.rest.chars().take(most);
        let length = digits.take_while(|char| char.is_digit(radix)).count();
        let (number, rest) = self.rest.split_at(length);
        let value = u32::from_str_radix(number, radix).ok()?;
        self.rest = rest;
        Some((value, length as u32))
    }
}

/// Finds the end of the current parenthesis.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0, None);
    for (at, char) in text.char_indices() {
        match char {
            _ if quote == Some(char) => quote = None,
            _ if quote.is_some() => {}
            '\'' | '"' => quote = Some(char),
            '(' => depth += 1,
            ')' if depth == 0 => return Some(at),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Returns the error about a quote or a space that word processors and web pages put in place of a plain one.
pub(super) fn typographic(char: char) -> Option<CurlError> {
    match char {
        '“' | '”' | '„' | '‘' | '’' => Some(CurlError::Typographic(char.to_string())),
        '\u{a0}' | '\u{2007}' | '\u{202f}' | '\u{200b}' => {
            let code = format!("U+{:04X}", u32::from(char));
            Some(CurlError::Typographic(code))
        }
        _ => None,
    }
}

fn substitution() -> CurlError {
    CurlError::Shell {
        what: "this command substitution".to_owned(),
        hint: "use {base64} for the file in base64 or {text} for its text, or put the command into a script: {cmd:./SCRIPT}",
    }
}

fn expansion() -> CurlError {
    CurlError::Shell {
        what: "a parameter expansion".to_owned(),
        hint: "use $NAME or ${NAME}, or the value itself",
    }
}

fn operator(char: char, rest: &str) -> CurlError {
    let doubled = rest.starts_with(char);
    let what = if doubled {
        format!("`{char}{char}`")
    } else {
        format!("`{char}`")
    };
    let hint = match char {
        '|' => "leave out the commands after curl, and use --extract with a jq expression",
        '<' => "use -d @{} for the file, or -d TEXT",
        '>' => "leave it out, and use `stride export` to write the answers",
        '(' | ')' | '&' | ';' => "leave it out, or quote it if it belongs to a value",
        _ => "leave it out",
    };
    CurlError::Shell { what, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        words(text).unwrap()
    }

    #[test]
    fn words_are_split_like_a_shell() {
        for (text, expected) in [
            ("curl  -s\thttp://a/", &["curl", "-s", "http://a/"][..]),
            (
                "curl -d '{\"a\": \"b c\"}'",
                &["curl", "-d", "{\"a\": \"b c\"}"],
            ),
            (
                "curl -d \"{\\\"a\\\": \\\\n \\n}\"",
                &["curl", "-d", "{\"a\": \\n \\n}"],
            ),
            (
                "curl \\\n  -X POST \\\r\n http://a/\n",
                &["curl", "-X", "POST", "http://a/"],
            ),
            ("curl a'b'\"c\"d ''", &["curl", "abcd", ""]),
            ("curl -d 'it'\\''s'", &["curl", "-d", "it's"]),
            ("curl x#y # a comment\n", &["curl", "x#y"]),
            ("curl \"a\\\nb\"", &["curl", "ab"]),
            ("curl 'a\nb'", &["curl", "a\nb"]),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn variables_become_references() {
        for (text, expected) in [
            ("\"Bearer $KEY\"", "Bearer {env:KEY}"),
            ("\"${KEY}x\"", "{env:KEY}x"),
            ("$KEY:", "{env:KEY}:"),
            ("'$KEY'", "$KEY"),
            (
                "\"Bearer $(gcloud auth print-access-token)\"",
                "Bearer {cmd:gcloud auth print-access-token}",
            ),
            ("x$(a 'b)' (c) )y", "x{cmd:a 'b)' (c)}y"),
            ("`cat key`", "{cmd:cat key}"),
            ("~/ca.pem", "{env:HOME}/ca.pem"),
            ("~", "{env:HOME}"),
            ("x~/a", "x~/a"),
            ("\"~/a\"", "~/a"),
            ("~me/a", "~me/a"),
            ("\"\\$KEY 5$ $9\"", "$KEY 5$ $9"),
        ] {
            assert_eq!(read(text), [expected], "{text}");
        }
    }

    #[test]
    fn quotes_of_browsers_are_read() {
        assert_eq!(read(r"$'a\'b\n\u00e9\x41\101\\'"), ["a'b\né\u{41}A\\"]);
    }

    #[test]
    fn an_error_names_the_syntax_that_needs_a_shell() {
        for (text, named) in [
            ("curl a > b", "`>`"),
            ("curl a && b", "`&&`"),
            ("curl -d \"`cat {}`\"", "substitution"),
            ("curl -d \"$(cat 'x)\"", "substitution"),
            ("curl -d \"`cat x\"", "not closed"),
            ("curl ${A:-b}", "expansion"),
            ("curl \"a", "not closed"),
            ("curl a\ncurl b", "second line"),
            ("curl -H “a”", "`“` is typographic"),
            ("curl\u{a0}-d", "`U+00A0` is typographic"),
            ("curl -d a=‘b’", "`‘` is typographic"),
        ] {
            let error = words(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
