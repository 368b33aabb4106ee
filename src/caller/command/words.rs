//! The words of a command, as templates.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::error::CommandError;
use crate::caller::http::reading::Reading;
use crate::caller::http::source::Source;
use crate::caller::http::template::Encoding;
use crate::caller::{Braces, Template};
use crate::job::{Attempt, FileStamp, Job, Outcome};

/// The placeholder for the call's idempotency key.
const KEY: &str = "{key}";

/// The placeholder for the file, which a command without any placeholder gets as its last word.
const FILE: &str = "{}";

/// Shells, whose option `-c` takes a script.
const SHELLS: [&str; 7] = ["sh", "bash", "dash", "zsh", "ksh", "ash", "fish"];

/// The program and its arguments.
#[derive(Debug, Clone)]
pub(super) struct Words(Vec<Word>);

/// The templates between the placeholders for the key.
#[derive(Debug, Clone)]
struct Word(Vec<Template>);

/// The words for one call.
#[derive(Debug)]
pub(super) struct Filled {
    pub(super) words: Vec<OsString>,
    /// The file as the call found it, if a word names it or tells of it.
    pub(super) source: Option<FileStamp>,
}

impl Word {
    fn read(word: &str) -> Result<Self, CommandError> {
        let templates = word.split(KEY).map(|text| {
            Template::read(text, Braces::Pasted).map_err(|error| CommandError::Template {
                word: word.to_owned(),
                error,
            })
        });
        let read = Self(templates.collect::<Result<_, _>>()?);
        if read.0.iter().any(Template::has_reference) {
            return Err(CommandError::Secret(word.to_owned()));
        }
        if read.0.iter().any(Template::has_contents) {
            return Err(CommandError::Contents(word.to_owned()));
        }
        Ok(read)
    }

    fn has_placeholder(&self) -> bool {
        self.0.len() > 1 || self.0.iter().any(Template::has_placeholder)
    }

    fn fill(&self, job: &Job, attempt: &Attempt, source: &Source) -> Result<OsString, Outcome> {
        let mut bytes = Vec::new();
        for (at, template) in self.0.iter().enumerate() {
            if at > 0 {
                bytes.extend(attempt.key.to_string().bytes());
            }
            bytes.extend(template.fill(Encoding::Plain, job, source)?);
        }
        // A program would take such a name for an option.
        if bytes.starts_with(b"-") && self.0.first().is_some_and(Template::begins_with_path) {
            bytes.splice(..0, *b"./");
        }
        Ok(OsString::from_vec(bytes))
    }
}

impl Words {
    /// Reads the words of a command.
    ///
    /// # Errors
    ///
    /// The command is empty, or a word cannot be filled in safely.
    pub(super) fn new(words: &[String]) -> Result<Self, CommandError> {
        let mut read: Vec<Word> = words
            .iter()
            .map(|word| Word::read(word))
            .collect::<Result<_, _>>()?;
        if words.first().is_none_or(String::is_empty) {
            return Err(CommandError::Empty);
        }
        if let Some((shell, script)) = script(words)
            && Word::read(script)?.has_placeholder()
        {
            return Err(CommandError::Script {
                shell: shell.to_owned(),
                script: script.to_owned(),
            });
        }
        if !read.iter().any(Word::has_placeholder) {
            read.push(Word::read(FILE)?);
        }
        Ok(Self(read))
    }

    /// Returns the words of a shell that runs a script, with the file as its first argument.
    pub(super) fn of_script(script: &str) -> Result<Self, CommandError> {
        let literal = |text: &str| Word(vec![Template::literal(text)]);
        Ok(Self(vec![
            literal("sh"),
            literal("-c"),
            literal(script),
            literal("stride"),
            Word::read(FILE)?,
        ]))
    }

    /// Returns the program, if it is the same for every file.
    pub(super) fn program(&self) -> Option<String> {
        let word = self.0.first()?;
        let literals = word.0.iter().flat_map(Template::literals);
        (!word.has_placeholder()).then(|| literals.collect())
    }

    /// Returns whether a word is the path of the job's file, or tells of the file itself.
    pub(super) fn reads_file(&self) -> bool {
        let mut templates = self.0.iter().flat_map(|word| &word.0);
        templates.any(|template| template.has_path() || template.needs_file())
    }

    /// Fills in the words for a call. This opens the file if a word is its path, and may block.
    ///
    /// # Errors
    ///
    /// The outcome of an attempt that cannot be made: its file is missing, or the list lacks a column.
    pub(super) fn fill(
        &self,
        job: &Job,
        attempt: &Attempt,
        base: &Path,
    ) -> Result<Filled, Outcome> {
        let source = Source::new(&job.file, Reading::Patient);
        if self.reads_file() {
            source.open()?;
        }
        let named = base.join(job.path.as_path()) == job.file;
        let with_own_file;
        let job = match named {
            true => job,
            // The row names another file than its own name.
            false => {
                with_own_file = Job {
                    path: job.file.as_path().into(),
                    ..job.clone()
                };
                &with_own_file
            }
        };
        let words = self.0.iter();
        let words = words.map(|word| word.fill(job, attempt, &source));
        Ok(Filled {
            words: words.collect::<Result<_, _>>()?,
            source: source.stamp(),
        })
    }
}

/// Returns a shell of a command and the script that it gets with `-c`.
fn script(words: &[String]) -> Option<(&str, &str)> {
    let is_shell = |word: &&String| {
        let name = Path::new(word).file_name().map(OsStr::as_bytes);
        SHELLS.iter().any(|shell| name == Some(shell.as_bytes()))
    };
    let at = words.iter().position(|word| is_shell(&word))?;
    let rest = &words[at + 1..];
    let options = rest.iter().take_while(|word| word.starts_with(['-', '+']));
    let options = options.count();
    let has_script = rest[..options]
        .iter()
        .any(|word| word.starts_with('-') && !word.starts_with("--") && word.contains('c'));
    let script = rest.get(options).filter(|_| has_script)?;
    Some((&words[at], script))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{AttemptId, Columns, IdempotencyKey, JobId, Position, Step};

    fn job(name: &str, base: &Path) -> Job {
        Job {
            id: JobId(1),
            position: Position(6),
            path: name.into(),
            file: base.join(name),
            columns: Columns::read(r#"{"id":"a b","n":-3}"#).unwrap(),
            answers: Vec::new(),
        }
    }

    fn fill(words: &[&str], name: &str) -> Result<Vec<String>, String> {
        let base = tempfile::tempdir().unwrap();
        std::fs::write(base.path().join(name), "abc").unwrap();
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let words = Words::new(&words).map_err(|error| error.to_string())?;
        let job_id = JobId(1);
        let attempt = Attempt {
            id: AttemptId {
                job: job_id,
                number: 1,
            },
            key: IdempotencyKey([0; 16]),
            repeat: false,
            suspect: false,
            step: Step::FIRST,
            lane: 0,
        };
        let filled = words.fill(&job(name, base.path()), &attempt, base.path());
        let filled = filled.map_err(|outcome| format!("{outcome:?}"))?;
        let texts = filled.words.into_iter();
        Ok(texts.map(|word| word.into_string().unwrap()).collect())
    }

    #[test]
    fn placeholders_are_filled_in_and_the_file_is_the_last_word_without_any() {
        for (words, name, expected) in [
            (&["wc", "-c"][..], "a.txt", &["wc", "-c", "a.txt"][..]),
            (&["wc", "{}", "-"], "a.txt", &["wc", "a.txt", "-"]),
            (&["x", "{name}:{index}"], "a.txt", &["x", "a.txt:6"]),
            (&["x", "{col.id}", "{col.n}"], "a.txt", &["x", "a b", "-3"]),
            (
                &["x", "k={key}"],
                "a",
                &["x", "k=00000000-0000-0000-0000-000000000000"],
            ),
            // A word with other braces is as it is.
            (
                &["awk", "{print $1} ${HOME}"],
                "a",
                &["awk", "{print $1} ${HOME}", "a"],
            ),
            (
                &["x"],
                "$(touch x) `y` 'q' \"r\"\n;|&",
                &["x", "$(touch x) `y` 'q' \"r\"\n;|&"],
            ),
            (
                &["x", "{}", "{name}", "-{}"],
                "-rf",
                &["x", "./-rf", "./-rf", "--rf"],
            ),
            (&["x", "{}"], "{key}{}", &["x", "{key}{}"]),
            (
                &["sh", "-c", "cat \"$1\"", "x", "{}"],
                "a",
                &["sh", "-c", "cat \"$1\"", "x", "a"],
            ),
        ] {
            assert_eq!(fill(words, name).unwrap(), expected, "{words:?}");
        }
    }

    #[test]
    fn unsafe_words_are_refused() {
        for (words, expected) in [
            (&[][..], "the command is empty"),
            (&[""], "the command is empty"),
            (&["x", "{env:KEY}"], "would show a secret"),
            (&["x", "{text}"], "do not hold whole files"),
            (
                &["sh", "-c", "cat {}"],
                "would be run as parts of the script",
            ),
            (
                &["nice", "/bin/bash", "-e", "-xc", "cat {name}"],
                "would be run as parts of the script",
            ),
        ] {
            let error = fill(words, "a").unwrap_err();
            assert!(error.contains(expected), "{words:?}: {error}");
        }
    }

    #[test]
    fn a_file_that_a_word_names_must_exist() {
        let base = tempfile::tempdir().unwrap();
        let missing = job("missing", base.path());
        let attempt = Attempt {
            id: AttemptId {
                job: JobId(1),
                number: 1,
            },
            key: IdempotencyKey([0; 16]),
            repeat: false,
            suspect: false,
            step: Step::FIRST,
            lane: 0,
        };
        for (word, is_sent) in [("{}", false), ("{size}", false), ("{name}", true)] {
            let words = Words::new(&["x".to_owned(), word.to_owned()]).unwrap();
            assert_eq!(words.reads_file(), !is_sent);
            let filled = words.fill(&missing, &attempt, base.path());
            assert_eq!(filled.is_ok(), is_sent, "{word}");
        }
    }
}
