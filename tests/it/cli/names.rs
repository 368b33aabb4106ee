//! The names of a list: slips on the command line, spellings, empty folders, links, encodings.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Stdio;

use serde_json::json;

use super::{Place, Ran, listed};
use crate::support::{FakeApi, Reply};

/// A service that echoes its requests.
pub(super) fn echo() -> FakeApi {
    FakeApi::start(|request| {
        let body = String::from_utf8_lossy(&request.body);
        Reply::json(json!({"target": request.target, "body": body}))
    })
}

impl Place {
    /// Runs a command with this input.
    pub(super) fn stride_reading(&self, words: &[&str], input: &[u8]) -> Ran {
        let mut command = self.command(words);
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = pipes.stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        Ran {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

#[test]
fn a_slip_on_the_command_line_makes_nothing() {
    let api = echo();
    let place = Place::new();
    place.texts(2);
    symlink("nowhere", place.at("broken")).unwrap();
    let url = api.url();
    let run = |words: &[&str]| place.stride(&[&["run", "--url", &url], words].concat());
    let before = listed(&place.at(""));
    for (words, said, hint) in [
        (&["txts"][..], "cannot find txts\n", "use texts\n"),
        (&["txts/"], "cannot find txts/\n", "use texts\n"),
        (
            &["texts/000"],
            "cannot find texts/000\n",
            "use texts/0000\n",
        ),
        (
            &["texts", "elsewhere"],
            "cannot find elsewhere\n",
            "correct the name",
        ),
        (&["texts/0000/x"], "Not a directory", "correct the name"),
        (&["broken"], "cannot find broken\n", "correct the link"),
        (
            &["texts/*.txt"],
            "cannot find texts/*.txt\n",
            "the shell has found no file",
        ),
        (
            &["a1", "b1", "texts"],
            "cannot find 2 files: a1, b1\n",
            "correct the name",
        ),
        (&["--dry-run", "txts"], "cannot find txts\n", "use texts\n"),
        (
            &["-F", "f=@{}", "txts"],
            "cannot find txts\n",
            "use texts\n",
        ),
        (
            &["--json", "[{text}]", "txts"],
            "cannot find txts\n",
            "use texts\n",
        ),
    ] {
        run(words)
            .expect(2)
            .says(said)
            .says("note: nothing was changed")
            .says(hint);
        assert_eq!(listed(&place.at("")), before, "{words:?}");
    }
    let words = ["run", "--curl", "curl -T {} http://127.0.0.1:9/", "txts"];
    place.stride(&words).expect(2).says("cannot find txts");
    assert_eq!(api.requests(), 0);

    // The right command then leaves nothing behind of the slip, and a slip after it changes nothing.
    run(&["texts"]).expect(0);
    run(&["texts", "more"])
        .expect(2)
        .says("`stride resume` continues");
    let status = place.status();
    assert_eq!((&status["total"], &status["done"]), (&json!(2), &json!(2)));
    place.stride(&["export"]).expect(0);
}

#[test]
fn names_that_the_run_has_and_names_in_lists_are_not_refused() {
    let api = echo();
    let place = Place::new();
    place.texts(2);
    let url = api.url();
    let run = |words: &[&str]| place.stride(&[&["run", "--url", &url], words].concat());
    run(&["texts/0000", "./texts/0001"]).expect(0);
    fs::remove_dir_all(place.at("texts")).unwrap();
    run(&["texts/0000", "texts//0001"])
        .expect(0)
        .says("2 files, none of them new");
    place.write("list", "texts/0000\na\nb\nc\nd\ne\nf\n");
    run(&["--files-from", "list"]).expect(3).says(
        "6 × the file is missing (input)\n    a\n    b\n    c\n    d\n    e\n    and 1 more\n",
    );
    place
        .stride_reading(&["run", "--url", &url, "--files-from", "-"], b"g\n")
        .expect(3);
    assert_eq!(api.requests(), 2);
}

#[test]
fn a_name_need_not_be_a_file_if_the_calls_read_none() {
    let api = echo();
    let place = Place::new();
    let url = format!("{}/{{}}", api.url());
    let words = ["run", "--url", &url, "-X", "GET", "-j", "1"];
    let names = ["17", "./17", "a//b"];
    place.stride(&[&words[..], &names].concat()).expect(0);
    let targets: Vec<String> = api.log().into_iter().map(|call| call.target).collect();
    assert_eq!(targets, ["/17", "/.%2F17", "/a%2F%2Fb"]);
    let keys = place.stride(&["export"]).expect(0).json();
    let mut keys: Vec<&String> = keys.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["./17", "17", "a//b"]);
    // A later request that reads files has those jobs still.
    let words = ["run", "--url", &url, "--accept-change"];
    place
        .stride(&[&words[..], &names].concat())
        .expect(0)
        .says("3 files, none of them new");
}

#[test]
fn spellings_of_one_path_are_one_file_named_by_the_first() {
    let api = echo();
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    place.write("in/a", "a");
    place.write("in/b", "b");
    place.write("in/c,d", "c");
    symlink("in", place.at("link")).unwrap();
    place.write(
        "list",
        "./in/a\nin/a\nin//a\nin/./a\n././/in/a\nin/b\n./in/b\nlink/a\nin/../in/a\n",
    );
    let url = api.url();
    let run = |words: &[&str]| place.stride(&[&["run", "--url", &url], words].concat());
    run(&["--files-from", "list"])
        .expect(0)
        .says("list: 4 files; 5 duplicates collapsed");
    assert_eq!(api.requests(), 5);
    // Another spelling is known, also on the command line, and a new file has a new one.
    run(&["./in", "in/../in/a", "link/a", "./bystander.txt"])
        .expect(0)
        .says("list: 6 files, 1 of them new");
    run(&["in"])
        .expect(0)
        .says("list: 3 files, none of them new");
    assert_eq!(api.requests(), 6);
    let exported = place.stride(&["export"]).expect(0).json();
    let names: Vec<&String> = exported.as_object().unwrap().keys().collect();
    let expected = [
        "bystander.txt",
        "./in/a",
        "in/b",
        "link/a",
        "in/../in/a",
        "./in/c,d",
    ];
    assert_eq!(names, expected);
    for (name, rows) in [("in/a", 1), ("./in/a", 1), ("in//b", 1), ("in/../in/b", 0)] {
        let wanted = format!("name={name}");
        let words = ["export", "--format", "jsonl", "--where", &wanted];
        let lines = place.stride(&words).expect(0).stdout;
        assert_eq!(
            lines.iter().filter(|byte| **byte == b'\n').count(),
            rows,
            "{name}"
        );
    }
    place.stride(&["verify"]).expect(0);
    // With several columns as the name, the first is the path.
    place.write("list.csv", "path,n\n./in/a,1\nin/a,2\nin//a,1\n");
    let words = [
        "--db",
        "rows.db",
        "--files-from",
        "list.csv",
        "--key-column",
        "path,n",
    ];
    run(&words)
        .expect(2)
        .says("lines 2 and 4 of the list list.csv");
    place.write(
        "list.csv",
        "path,n\n./in/a,1\nin/a,2\n./in/a,1\n\"./in/c,d\",1\n",
    );
    run(&words).expect(0).says("3 files; 1 duplicate collapsed");
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn an_absolute_name_and_a_relative_one_are_one_file() {
    let api = echo();
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    ["a", "b", "c"]
        .iter()
        .for_each(|name| place.write(format!("in/{name}"), name));
    let whole = |name: &str| {
        fs::canonicalize(place.at(name))
            .unwrap()
            .display()
            .to_string()
    };
    let [a, b, c, folder] = ["in/a", "in/b", "in/c", "in"].map(whole);
    let url = api.url();
    let run = |words: &[&str]| place.stride(&[&["run", "--url", &url], words].concat());
    // In a new run and in one that exists, whichever came first.
    run(&[
        "--db",
        "new.db",
        "in/a",
        &a,
        &b,
        "in/b",
        &format!("{folder}//c"),
    ])
    .expect(0)
    .says("list: 3 files; 2 duplicates collapsed");
    let planned = run(&["--dry-run", "--db", "other.db", &a, "in/a"]).expect(0);
    assert!(planned.stdout.starts_with(b"files: 1\n"));
    run(&["in/a", &b]).expect(0).says("list: 2 files\n");
    run(&[&a, "in/b", &c])
        .expect(0)
        .says("list: 3 files, 1 of them new");
    run(&[&folder])
        .expect(0)
        .says("list: 3 files, none of them new");
    assert_eq!(api.requests(), 1 + 3 + 3);
    // The first spelling is the name, and each one names the file, also when it is gone.
    let exported = place.stride(&["export"]).expect(0).json();
    let names: Vec<&String> = exported.as_object().unwrap().keys().collect();
    assert_eq!(names, ["bystander.txt", "in/a", &b, &c]);
    for name in ["in/b", &b] {
        let wanted = format!("name={name}");
        let words = ["export", "--format", "jsonl", "--where", &wanted];
        let lines = place.stride(&words).expect(0).stdout;
        assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), 1);
        place
            .stride(&["forget", name])
            .expect(0)
            .says("forgot 1 file");
        place.stride(&["forget", "--undo", name]).expect(0);
    }
    fs::remove_dir_all(place.at("in")).unwrap();
    run(&["in/b", &b, "in/c", &a])
        .expect(0)
        .says("list: 3 files, none of them new; 1 duplicate collapsed");
    place.stride(&["verify"]).expect(0);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn an_empty_folder_or_list_is_called_so() {
    let api = echo();
    let place = Place::new();
    fs::create_dir(place.at("empty")).unwrap();
    place.write("hidden/.a", "a");
    place.write("list", "\n");
    place.write("list.csv", "path,a\n");
    let url = api.url();
    for (words, said) in [
        (&["empty"][..], "the folder empty has no files to call"),
        (&["hidden/"], "the folder hidden/ has no files to call"),
        (&["--files-from", "list"], "the list list has no names"),
        (
            &["--files-from", "list.csv"],
            "the list list.csv has no names",
        ),
        (
            &["--files-from", "-"],
            "the list on standard input has no names",
        ),
        (
            &["--sample", "3", "empty"],
            "the folder empty has no files to call",
        ),
    ] {
        let db = format!("{}.db", words.last().unwrap().trim_matches(['/', '-']));
        let ran = place.stride(&[&["run", "--db", &db, "--url", &url], words].concat());
        let ran = ran
            .expect(0)
            .says(said)
            .says("nothing to do: the run has no files");
        assert!(!ran.stderr.contains("export"), "{}", ran.stderr);
        place
            .stride(&["resume", "--db", &db])
            .expect(0)
            .says("nothing to do: the run has no files");
    }
    place.write("a", "a");
    let words = ["run", "--db", "list.db", "--url", &url, "empty", "a"];
    place
        .stride(&words)
        .expect(0)
        .says("the folder empty has no files")
        .says("1 of 1 file done");
}

#[test]
fn a_walk_names_what_it_skips_and_follows_links_if_asked() {
    let api = echo();
    let place = Place::new();
    place.write("in/a", "a");
    place.write("far/b", "b");
    place.write("far/deep/c", "c");
    symlink("../far", place.at("in/link")).unwrap();
    symlink("../../in", place.at("far/deep/back")).unwrap();
    symlink("nowhere", place.at("in/broken")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(place.at("in/socket")).unwrap();
    let url = api.url();
    let run = |words: &[&str]| place.stride(&[&["run", "--url", &url, "in"], words].concat());
    run(&[])
        .expect(0)
        .says("list: 1 file; 1 skipped (link to a folder); 2 skipped (not a file)")
        .says("links to folders were not followed: in/link\n")
        .says("--follow")
        .says("not files: in/broken (a link to a missing file), in/socket (a socket)\n");
    run(&["--follow"])
        .expect(0)
        .says("list: 3 files, 2 of them new; 3 skipped (not a file)")
        .says("in/link/deep/back (a link to a folder above it)");
    let exported = place.stride(&["export"]).expect(0).json();
    let names: Vec<&String> = exported.as_object().unwrap().keys().collect();
    assert_eq!(names, ["in/a", "in/link/b", "in/link/deep/c"]);
}

#[test]
fn lists_of_windows_are_read_or_refused_by_name() {
    let api = echo();
    let place = Place::new();
    let names = place.texts(2);
    let url = api.url();
    let crlf = names.join("\r\n") + "\r\n";
    place.write("crlf", format!("\u{feff}{crlf}"));
    place
        .stride(&["run", "--url", &url, "--files-from", "crlf"])
        .expect(0)
        .says("the lines of crlf end with CR LF");
    assert_eq!(api.requests(), 2);
    let utf_16: Vec<u8> = format!("\u{feff}{crlf}")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    place.write("utf 16", &utf_16);
    place.write("nul", names.join("\0"));
    let before = listed(&place.at(""));
    for (list, said, hint) in [
        (
            "utf 16",
            "the list utf 16 is in UTF-16",
            "iconv -f UTF-16 -t UTF-8 'utf 16'",
        ),
        ("nul", "line 1 of the list nul has a NUL byte", "add -0"),
    ] {
        let words = ["run", "--db", "no.db", "--url", &url, "--files-from", list];
        place.stride(&words).expect(2).says(said).says(hint);
        assert_eq!(listed(&place.at("")), before);
    }
}

#[test]
fn an_option_that_is_also_a_file_is_refused() {
    let api = echo();
    let place = Place::new();
    for name in ["-k", "--help", "-j9", "a"] {
        place.write(name, name);
    }
    let url = api.url();
    for (word, hint) in [
        ("-k", "for the option, use --insecure"),
        ("--help", "to call the file, use ./--help"),
        ("-j9", "to call the file, use ./-j9"),
    ] {
        place
            .stride(&["run", "--url", &url, word, "a"])
            .expect(2)
            .says(&format!("{word} is an option, and also the name of a file"))
            .says(hint);
        assert_eq!(listed(&place.at("")), ["--help", "-j9", "-k", "a"]);
    }
    place
        .stride(&["run", "--url", &url, "--insecure", "--", "-k", "a"])
        .expect(0)
        .says("2 files");
    let words = ["run", "--url", &url, "--insecure", "./-k", "./-j9"];
    place
        .stride(&words)
        .expect(0)
        .says("2 files, 1 of them new");
    assert_eq!(api.requests(), 3);
    place
        .stride(&["try", "-k", "--url", &url])
        .expect(2)
        .says("./-k");
}

#[test]
fn names_that_are_relative_to_the_folder_of_their_list_are_explained() {
    let api = echo();
    for files in [3, 60] {
        let place = Place::new();
        let names = place.texts(files);
        let bare: Vec<&str> = names.iter().map(|name| &name["texts/".len()..]).collect();
        place.write("texts/list", bare.join("\n"));
        let url = api.url();
        let words = ["run", "--url", &url, "--files-from", "texts/list"];
        let code = if files > 20 { 4 } else { 3 };
        place
            .stride(&words)
            .expect(code)
            .says("the names in the list texts/list are relative to its folder: cd texts,")
            .says("--files-from list\n");
        // Names that are in neither folder are not explained.
        place.write("texts/list", "nope\n");
        let words = [
            "run",
            "--db",
            "no.db",
            "--url",
            &url,
            "--files-from",
            "texts/list",
        ];
        let ran = place.stride(&words).expect(3);
        assert!(
            !ran.stderr.contains("relative to its folder"),
            "{}",
            ran.stderr
        );
    }
    assert_eq!(api.requests(), 0);
}

#[test]
fn an_unreadable_folder_is_named_with_a_way_out() {
    let api = echo();
    let place = Place::new();
    place.write("in/secret/a", "a");
    let closed = fs::Permissions::from_mode(0o000);
    fs::set_permissions(place.at("in/secret"), closed).unwrap();
    // The superuser may read everything, unless it drops the capability.
    let lesser = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];
    let starter = match fs::read_dir(place.at("in/secret")) {
        Ok(_) => &lesser[..],
        Err(_) => &[],
    };
    let words = ["run", "--url", &api.url(), "in"];
    let mut command = place.command_under(starter, &words);
    let ran = place.begin_command(&mut command).end().expect(2);
    ran.says("cannot read in/secret")
        .says("Permission denied")
        .says("chmod u+rx in/secret");
    let open = fs::Permissions::from_mode(0o700);
    fs::set_permissions(place.at("in/secret"), open).unwrap();
    assert!(!place.at("stride.db").exists());
}
