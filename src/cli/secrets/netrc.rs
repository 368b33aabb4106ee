//! Reads `.netrc` as curl does: `machine HOST login NAME password WORD`, and `default` for all other hosts.
//!
//! No crate does. `rust-netrc` takes the last of a host's entries, where curl takes the first. It compares hosts by case,
//! and refuses the whole file for one unknown word. `netrc` is unmaintained.

/// Finds the name and the password for a host. Skips `macdef` definitions, which end with an empty line.
pub(crate) fn find(text: &str, host: &str) -> Option<(String, String)> {
    let mut words = words(text).into_iter();
    let (mut ours, mut login, mut password) = (false, None, None);
    while let Some(word) = words.next() {
        match word.as_str() {
            "machine" | "default" if ours && password.is_some() => break,
            "machine" => {
                ours = words
                    .next()
                    .is_some_and(|name| name.eq_ignore_ascii_case(host));
                (login, password) = (None, None);
            }
            "default" => (ours, login, password) = (true, None, None),
            "login" if ours => login = words.next(),
            "password" if ours => password = words.next(),
            "login" | "password" | "account" => drop(words.next()),
            _ => {}
        }
    }
    password
        .filter(|_| ours)
        .map(|password| (login.unwrap_or_default(), password))
}

/// Splits the file into words, which are separated by white space or in double quotes. Drops comments.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut in_macro = false;
    for line in text.lines() {
        if in_macro {
            in_macro = !line.trim().is_empty();
            continue;
        }
        let mut rest = line.trim_start();
        while !rest.is_empty() && !rest.starts_with('#') {
            let (word, after) = match rest.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
                None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
            };
            if word == "macdef" {
                in_macro = true;
                break;
            }
            words.push(word.to_owned());
            rest = after.trim_start();
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# keys
machine a.example login me password hunter2
machine b.example
  login you
  password \"two words\"
macdef init
  machine c.example login nobody password nothing

machine d.example account x password only
default login any password rest
";

    #[test]
    fn each_host_has_its_own() {
        let found = |host: &str| find(FILE, host);
        let pair = |name: &str, word: &str| Some((name.to_owned(), word.to_owned()));
        assert_eq!(found("a.example"), pair("me", "hunter2"));
        assert_eq!(found("B.example"), pair("you", "two words"));
        assert_eq!(
            found("c.example"),
            pair("any", "rest"),
            "a macro is no entry"
        );
        assert_eq!(found("d.example"), pair("", "only"));
        assert_eq!(find("machine a login b", "a"), None);
        assert_eq!(find("", "a"), None);
    }
}
