//! Wrong paths, wrong files, wrong words: always one clear error and the right exit code.

use std::fs;
use std::process::Stdio;

use super::{Place, listed};
use crate::support::within_limit;

const LOOKS: [&[&str]; 7] = [
    &["resume"],
    &["retry"],
    &["status"],
    &["failures"],
    &["export"],
    &["report"],
    &["verify"],
];

#[test]
fn the_url_of_a_database_server_is_refused_without_its_password() {
    let place = Place::new();
    for look in LOOKS {
        let words = [look, &["--db", "postgres://me:a-password@host/runs"]].concat();
        let said = "a run cannot be stored at postgres://…";
        let ran = place.stride(&words).expect(2).says(said);
        assert!(!ran.stderr.contains("a-password"), "{}", ran.stderr);
    }
}

#[test]
fn row_25_a_file_that_is_not_a_run_is_not_changed() {
    let place = Place::new();
    place.write("text", "this is no database, but it is long enough to have a header of a hundred bytes, or so one would think");
    place.write("empty", "");
    fs::create_dir(place.at("folder")).unwrap();
    let other = rusqlite::Connection::open(place.at("other")).unwrap();
    other
        .execute_batch("CREATE TABLE t (x); PRAGMA user_version = 1;")
        .unwrap();
    drop(other);
    place.write("in", "x");
    let run: &[&str] = &["run", "--url", "http://127.0.0.1:9/", "in"];
    for db in ["text", "empty", "folder", "other"] {
        let before = fs::read(place.at(db)).ok();
        for words in LOOKS.into_iter().chain([run]) {
            place
                .stride(&[words, &["--db", db]].concat())
                .expect(6)
                .says("is not a run's database");
        }
        assert_eq!(fs::read(place.at(db)).ok(), before, "{db} was changed");
    }
}

#[test]
fn row_26_a_newer_database_is_not_changed() {
    is_left_as_it_is(999, "schema version 999", "update stride");
}

#[test]
fn row_27_a_database_of_an_earlier_build_is_not_changed() {
    is_left_as_it_is(9, "an earlier build made it", "with the build that made it");
}

fn is_left_as_it_is(version: i64, error: &str, hint: &str) {
    let place = Place::new();
    place.write("list", "");
    place
        .stride(&[
            "run",
            "--url",
            "http://127.0.0.1:9/",
            "--files-from",
            "list",
        ])
        .expect(0);
    rusqlite::Connection::open(place.at("stride.db"))
        .unwrap()
        .pragma_update(None, "user_version", version)
        .unwrap();
    let before = fs::read(place.at("stride.db")).unwrap();
    for words in LOOKS {
        place.stride(words).expect(6).says(error).says(hint);
    }
    assert_eq!(fs::read(place.at("stride.db")).unwrap(), before);
}

/// `tests/data/misuse.txt` has commands and their expected output. With `STRIDE_REWRITE` the test writes it again; then
/// review the differences.
#[test]
fn every_misuse_is_one_clear_error_with_a_hint() {
    let place = Place::new();
    let service = furnish(&place);
    let before = (listed(&place.at("")), made(&place));
    let text = fs::read_to_string(MISUSES).unwrap();
    let (told, said): (Vec<Misuse>, Vec<Misuse>) = misuses(&text)
        .into_iter()
        .map(|expected| {
            let said = give(&place, &service, &expected.command);
            assert_eq!(
                (listed(&place.at("")), made(&place)),
                before,
                "{}",
                expected.command
            );
            (expected, said)
        })
        .unzip();
    assert!(said.len() > 100, "{}", said.len());
    let unclear: Vec<&Misuse> = said.iter().filter(|misuse| !misuse.is_clear()).collect();
    assert!(unclear.is_empty(), "{unclear:#?}");
    if std::env::var_os("STRIDE_REWRITE").is_some() {
        fs::write(MISUSES, written(&said)).unwrap();
        return;
    }
    for (expected, said) in told.iter().zip(&said) {
        assert_eq!(said, expected, "STRIDE_REWRITE=1 writes {MISUSES} anew");
    }
}

const MISUSES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/misuse.txt");

/// A command and its output.
#[derive(Debug, PartialEq, Eq)]
struct Misuse {
    command: String,
    lines: Vec<String>,
    code: i32,
}

impl Misuse {
    /// Returns true for one error with one hint. A reader that closes early is not misuse.
    fn is_clear(&self) -> bool {
        let count = |label: &str| {
            let begin = self.lines.iter().filter(|line| line.starts_with(label));
            begin.count()
        };
        let panicked = self.lines.iter().any(|line| line.contains("panicked"));
        match self.code {
            0 => !panicked && (count("error: "), count("hint: ")) == (0, 0),
            _ => !panicked && (count("error: "), count("hint: ")) == (1, 1),
        }
    }
}

/// Parses the file: commands after `$`, their output, and the exit code after `=>`.
fn misuses(text: &str) -> Vec<Misuse> {
    let (mut found, mut commands, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push(command.to_owned());
        } else if let Some(code) = line.strip_prefix("=> ") {
            let code = code.parse().unwrap();
            let each = |command| Misuse {
                command,
                lines: lines.clone(),
                code,
            };
            found.extend(commands.drain(..).map(each));
            lines.clear();
        } else {
            lines.push(line.to_owned());
        }
    }
    assert!(commands.is_empty(), "{commands:?} have no `=>`");
    found
}

fn written(misuses: &[Misuse]) -> String {
    let mut out = String::from(
        "# What wrong commands say. The test in tests/it/cli/misuse.rs writes this.\n",
    );
    for together in misuses.chunk_by(|a, b| (&a.lines, a.code) == (&b.lines, b.code)) {
        out.push('\n');
        for misuse in together {
            out.push_str(&format!("$ {}\n", misuse.command));
        }
        for line in &together[0].lines {
            out.push_str(&format!("{line}\n"));
        }
        out.push_str(&format!("=> {}\n", together[0].code));
    }
    out
}

/// Creates the files and runs that the commands use. Returns the URL of the service.
fn furnish(place: &Place) -> String {
    place.write("a", "a");
    place.write("text", "text ".repeat(40));
    place.write("empty", "");
    place.write("nul", "a\0b\n");
    fs::create_dir(place.at("folder")).unwrap();
    std::os::unix::fs::symlink("loop", place.at("loop")).unwrap();
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
    rustix::fs::mknodat(rustix::fs::CWD, place.at("fifo"), kind, mode, 0).unwrap();
    let api = crate::support::FakeApi::start(|_| crate::support::Reply::json(1));
    place.write("bystander.txt", "bystander");
    let words = ["run", "--url", &api.url(), "--db", "made", "bystander.txt"];
    place.stride(&words).expect(0);
    api.url()
}

/// The rows of the run, which must not change.
fn made(place: &Place) -> Vec<String> {
    let connection = rusqlite::Connection::open(place.at("made")).unwrap();
    let sql =
        "SELECT CAST(path || state || attempts || key || result.body || settings || call AS BLOB) FROM run, work JOIN job ON job.id = work.job
               JOIN attempt ON attempt.job = job.id JOIN result ON result.job = job.id";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0));
    rows.unwrap()
        .map(|row| String::from_utf8_lossy(&row.unwrap()).into_owned())
        .collect()
}

/// Runs a command of the file. `>&-` at its end closes its stdout; with `>/dev/full` stdout is full.
#[expect(clippy::print_stdout, reason = "shown where the test fails")]
fn give(place: &Place, service: &str, line: &str) -> Misuse {
    // The last command shown is the one that failed.
    println!("$ {line}");
    let mut words = shlex(line);
    assert_eq!(words.remove(0), "stride", "{line}");
    let stdout = match words.last().map(String::as_str) {
        Some(">&-") => std::io::pipe().unwrap().1.into(),
        Some(">/dev/full") => fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap()
            .into(),
        _ => Stdio::null(),
    };
    words.retain(|word| !word.starts_with('>'));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut command = place.command(&words);
    let output = within_limit(move || command.stdout(stdout).output().unwrap());
    let said = String::from_utf8(output.stderr).unwrap();
    let folder = place.at("").canonicalize().unwrap();
    let said = said
        .replace(folder.to_str().unwrap(), "PLACE")
        .replace(service, "SERVICE");
    Misuse {
        command: line.to_owned(),
        lines: said.lines().map(str::to_owned).collect(),
        code: output.status.code().unwrap(),
    }
}

/// Words between spaces, or in single quotes.
fn shlex(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        match index % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

#[test]
fn help_succeeds_and_an_empty_command_line_is_an_error() {
    let place = Place::new();
    place
        .stride(&[])
        .expect(2)
        .says("  stride demo ")
        .says("  stride run --url URL FOLDER ")
        .says("  stride failures ")
        .says("  stride export -o results.json ");
    let help = place.stride(&["--help"]).expect(0).stdout;
    assert!(String::from_utf8(help).unwrap().contains("stride resume"));
    place.stride(&["--version"]).expect(0);
}

#[test]
fn rows_10_and_11_closed_outputs_do_not_stop_a_run() {
    let api = crate::support::FakeApi::start(|_| crate::support::Reply::json(1));
    let place = Place::new();
    place.texts(5);
    let words = format!(
        "'{}' run --url {} texts 2>&- >&-",
        env!("CARGO_BIN_EXE_stride"),
        api.url()
    );
    let mut shell = std::process::Command::new("/bin/sh");
    let status = shell
        .args(["-c", &words])
        .current_dir(place.at(""))
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(api.requests(), 5);
    place.stride(&["verify"]).expect(0);
}

#[test]
fn row_35_more_threads_than_descriptors_are_refused_before_anything_is_created() {
    let place = Place::new();
    place.texts(1);
    let words = format!(
        "ulimit -n 100 && '{}' run -j 50 --url http://127.0.0.1:9/ texts",
        env!("CARGO_BIN_EXE_stride")
    );
    let mut shell = std::process::Command::new("/bin/sh");
    let output = shell
        .args(["-c", &words])
        .current_dir(place.at(""))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    let processors = std::thread::available_parallelism().unwrap().get();
    let most = 100_usize.saturating_sub(32 + 4 * processors) / 3;
    let hint = match most {
        0 => "hint: raise the limit".to_owned(),
        most => format!("hint: use -j {most} or fewer, or raise the limit"),
    };
    assert!(said.contains(&hint), "{said}");
    assert_eq!(listed(&place.at("")), ["texts"]);
}
