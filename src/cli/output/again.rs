//! Commands to paste, with flags for the credentials that are not stored if they make calls.

use stride::settings::{Call, HeaderValue, Request};
use stride::store::{Location, Reader};

use crate::cli::output::error::command;

/// The beginning of the placeholder of a credential that is not stored.
const GIVEN: &str = "{given:";

/// Stands for the command that resumes a run whose calls are made by the program that starts stride.
const STARTER: &str = "start the program again";

/// Returns a command to paste, for the run of this call. No command resumes the run of a program that starts stride.
pub(crate) fn again(db: &Location, call: &Call, words: &str) -> String {
    if call.is_starters() {
        return match words.split_once("resume") {
            Some(("", "")) => STARTER.to_owned(),
            Some(("", flags)) => format!("{STARTER} with{flags}"),
            _ if words.starts_with("retry") => command(db, &format!("{words} --queue-only")),
            _ => command(db, words),
        };
    }
    let makes_calls = ["resume", "retry", "try"]
        .iter()
        .any(|verb| words.starts_with(verb));
    let mut words = words.to_owned();
    if makes_calls && let Call::Http(request) = call {
        words.extend(flags(request));
    }
    command(db, &words)
}

/// Returns the same for the run of a database; without flags for credentials if that cannot be read.
pub(crate) fn again_for(db: &Location, words: &str) -> String {
    let info = Reader::open(db).and_then(|reader| reader.info());
    match info {
        Ok(info) => again(db, &info.call, words),
        Err(_) => command(db, words),
    }
}

/// Describes what a command of [`again_for`] that begins with `retry` does with these files.
pub(crate) fn effect_for(db: &Location, files: &str) -> String {
    let info = Reader::open(db).and_then(|reader| reader.info());
    match info.is_ok_and(|info| info.call.is_starters()) {
        true => format!("has the program call {files} again when you start it"),
        false => format!("calls {files} again"),
    }
}

/// Returns the flags for credentials that are not stored. An ellipsis stands for each value.
fn flags(request: &Request) -> Vec<String> {
    let withheld = request
        .headers
        .iter()
        .filter(|header| header.value == HeaderValue::Withheld);
    let mut flags: Vec<String> = withheld
        .map(|header| format!(" -H '{}: …'", header.name))
        .collect();
    if request.transport.proxy_withheld {
        flags.push(" -U NAME:…".to_owned());
    }
    // The stored form has no other text of this kind: such a placeholder cannot be typed.
    let stored = serde_json::to_string(request).unwrap_or_default();
    for rest in stored.split(GIVEN).skip(1) {
        let name = rest.split('}').next().unwrap_or_default();
        let flag = format!(" --credential '{name}=…'");
        if !flags.contains(&flag) {
            flags.push(flag);
        }
    }
    flags
}

#[cfg(test)]
mod tests {
    use stride::settings::{Command, Header, Judging, Transport, Way};

    use super::*;

    #[test]
    fn a_command_has_the_credentials_that_are_not_stored() {
        let header = |name: &str, value| Header {
            name: name.to_owned(),
            value,
        };
        let request = Request {
            url: "https://a/?sig={given:sig}&again={given:sig}".to_owned(),
            headers: vec![
                header("X-Api-Key", HeaderValue::Withheld),
                header("Accept", HeaderValue::Absent),
            ],
            transport: Transport {
                proxy_withheld: true,
                ..Transport::default()
            },
            ..Request::default()
        };
        let call = Call::Http(Box::new(request));
        let again = |words| again(&"a.db".into(), &call, words);
        let resume = "stride resume -H 'X-Api-Key: …' -U NAME:… --credential 'sig=…' --db a.db";
        assert_eq!(again("resume"), resume);
        assert_eq!(again("failures"), "stride failures --db a.db");
    }

    #[test]
    fn the_program_that_starts_stride_goes_on_with_its_run() {
        let call = Call::Command(Box::new(Command {
            way: Way::Starter,
            words: Vec::new(),
            name: None,
            version: None,
            source: None,
            judging: Judging::default(),
            output_dir: None,
        }));
        for (words, expected) in [
            ("resume", "start the program again"),
            (
                "resume --max-calls none",
                "start the program again with --max-calls none",
            ),
            ("retry --held", "stride retry --held --queue-only --db a.db"),
            ("failures", "stride failures --db a.db"),
        ] {
            assert_eq!(again(&"a.db".into(), &call, words), expected);
        }
    }
}
