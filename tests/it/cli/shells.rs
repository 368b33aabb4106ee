//! Completions in real shells, and manual pages for real readers.

use std::process::Command;

use super::Place;
use crate::support::{Typist, has_tool};

const BIN: &str = env!("CARGO_BIN_EXE_stride");

/// A folder with files to complete and a shell's completion script.
fn place(shell: &str, script: &str) -> Place {
    let place = Place::new();
    place.write("texts/a.txt", "a");
    place.write("list.txt", "texts/a.txt\n");
    let ran = place.stride(&["completions", shell]).expect(0);
    place.write(script, ran.stdout);
    place
}

/// Begins a shell in a terminal, with the program in its path.
fn begin(place: &Place, words: &[&str]) -> Typist {
    let bin = std::path::Path::new(BIN).parent().unwrap();
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let mut typist = Typist::begin(words, |command| {
        command
            .current_dir(place.at(""))
            .env_clear()
            .env("PATH", path)
            .env("HOME", place.at(".home"))
            .env("ZDOTDIR", place.at(""))
            .env("BASH_COMPLETION_USER_DIR", place.at(".bash"))
            .env("TERM", "xterm");
    });
    typist.sees(&["ready> "]);
    typist
}

/// Types as a person does, and checks the completions.
fn completes(typist: &mut Typist) {
    for (keys, texts) in [
        ("stride ex\t", &["stride export "][..]),
        ("stride export --form\t", &["stride export --format"]),
        ("stride export --format \t\t", &["json", "jsonl", "csv"]),
        ("stride completions \t\t", &["elvish", "powershell", "zsh"]),
        ("stride run --files-from li\t", &["--files-from list.txt"]),
        ("stride run --color never tex\t", &["never texts/"]),
        ("stride man re\t\t", &["recheck", "resume", "retry"]),
    ] {
        typist.types(keys);
        typist.sees(texts);
        // Clear the line.
        typist.types("\x15");
    }
}

const BASH: &str = "PS1='ready> '\nbind 'set bell-style none'\nbind 'set page-completions off'\n";

#[test]
fn bash_completes_without_anything_else() {
    if !has_tool("bash") {
        return;
    }
    let place = place("bash", "stride.bash");
    place.write("rc", format!("{BASH}. ./stride.bash\n"));
    completes(&mut begin(
        &place,
        &["bash", "--noprofile", "--rcfile", "rc", "-i"],
    ));
}

#[test]
fn bash_completion_finds_the_script_by_its_name() {
    const SCRIPTS: &str = "/usr/share/bash-completion/bash_completion";
    if !has_tool("bash") || !has_tool(SCRIPTS) {
        return;
    }
    let place = place("bash", ".bash/completions/stride");
    place.write("rc", format!("{BASH}. {SCRIPTS}\n"));
    completes(&mut begin(
        &place,
        &["bash", "--noprofile", "--rcfile", "rc", "-i"],
    ));
}

#[test]
fn zsh_completes() {
    if !has_tool("zsh") {
        return;
    }
    let place = place("zsh", "functions/_stride");
    let folder = place.at("functions");
    place.write(
        ".zshrc",
        format!(
            "PS1='ready> '\nunsetopt beep prompt_sp prompt_cr\nsetopt no_always_last_prompt\nfpath=({} $fpath)\nautoload -Uz compinit\ncompinit -u -D\n",
            folder.display()
        ),
    );
    completes(&mut begin(&place, &["zsh", "-d", "-i"]));
}

#[test]
fn fish_completes() {
    if !has_tool("fish") {
        return;
    }
    let place = place("fish", "stride.fish");
    let asked = |line: &str| {
        let words = format!("source stride.fish; complete -C '{line}'");
        let mut fish = Command::new("fish");
        let fish = fish.args(["--no-config", "-c", &words]);
        let output = fish
            .current_dir(place.at(""))
            .env("HOME", place.at(".home"))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(asked("stride ex").starts_with("export\t"));
    assert!(asked("stride export --format ").contains("jsonl\t"));
}

#[test]
fn every_shell_has_a_script_with_every_command() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = place.stride(&["completions", shell]).expect(0);
        let script = String::from_utf8(ran.stdout).unwrap();
        for command in super::examples::commands(&place) {
            assert!(script.contains(&command), "{shell}: {command}");
        }
        assert!(script.contains("max-outage"), "{shell}");
    }
}

#[test]
fn manual_pages_are_valid_for_real_readers() {
    let place = Place::new();
    place.stride(&["man", "-o", "share/man1"]).expect(0);
    let pages = super::listed(&place.at("share/man1"));
    let commands = super::examples::commands(&place);
    assert_eq!(pages.len(), commands.len() + 1);
    for command in &commands {
        let page = format!("stride-{command}.1");
        assert!(pages.contains(&page), "{page}");
        let text = std::fs::read_to_string(place.at("share/man1").join(&page)).unwrap();
        for section in [
            "EXAMPLES",
            "EXIT STATUS",
            "ENVIRONMENT",
            "FILES",
            "SEE ALSO",
        ] {
            let heading = text.lines().any(|line| {
                line.strip_prefix(".SH ")
                    .is_some_and(|title| title.trim_matches('"') == section)
            });
            assert!(heading, "{page}: {section}");
        }
        let printed = place.stride(&["man", command]).expect(0).stdout;
        assert_eq!(text.as_bytes(), printed, "{page}");
    }
    if has_tool("mandoc") {
        let mut mandoc = Command::new("mandoc");
        let mandoc = mandoc.args(["-T", "lint", "-W", "error"]).args(&pages);
        let output = mandoc.current_dir(place.at("share/man1")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
    }
    if has_tool("man") {
        let read = |page: &str| {
            let mut man = Command::new("man");
            let man = man.args(["--warnings=all", "-l", page]);
            let man = man.env("LC_ALL", "C.UTF-8").env("MANWIDTH", "120");
            let output = man.current_dir(place.at("share/man1")).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() && said.is_empty(), "{page}: {said}");
            String::from_utf8(output.stdout).unwrap()
        };
        let text = read("stride-export.1");
        assert!(text.contains("stride export --partial -o results.csv"));
        assert!(read("stride.1").contains("stride-export(1)"));
        read("stride-run.1");
    }
}

#[test]
fn a_manual_page_on_a_terminal_is_readable() {
    let place = Place::new();
    for (folders, expected) in [("/usr/bin:/bin", "EXIT STATUS"), ("/nowhere", "Usage: ")] {
        if expected == "EXIT STATUS" && !has_tool("man") {
            continue;
        }
        let path = format!("PATH={folders}");
        let mut typist = Typist::begin(&["env", &path, BIN, "man", "run"], |command| {
            command.current_dir(place.at("")).env_clear();
            let variables = [
                ("PATH", "/usr/bin:/bin"),
                ("TERM", "xterm"),
                ("PAGER", "cat"),
            ];
            command.envs(variables);
        });
        typist.sees(&[expected]);
    }
}

#[test]
fn a_folder_for_manual_pages_that_cannot_be_is_an_error() {
    let place = Place::new();
    place.write("file", "");
    place
        .stride(&["man", "-o", "file/man1"])
        .expect(1)
        .says("cannot write the manual pages to file/man1")
        .says("hint: ");
    place
        .stride(&["man", "exprot"])
        .expect(2)
        .says("hint: use export");
}
