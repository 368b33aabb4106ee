//! A secret in every place that can hold one. No file and no message of stride contains it.

use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

use super::Place;
use crate::support::{FakeApi, Gate, Reply, Request};

/// A unique secret, with characters that are encoded in a URL, in JSON and in base64.
fn secret(place: &str) -> String {
    let chance: String = std::iter::repeat_with(fastrand::alphanumeric)
        .take(24)
        .collect();
    format!("{place}/{chance}+\"%=&")
}

/// Every form in which a secret may be written.
fn forms(secret: &str) -> Vec<String> {
    let percent = percent_encode(secret.as_bytes(), NON_ALPHANUMERIC).to_string();
    vec![
        secret.to_owned(),
        secret.replace('"', "\\\""),
        percent.to_lowercase(),
        percent,
        STANDARD.encode(secret),
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
        // The random part is recognizable in every form.
        secret.split(['/', '+']).nth(1).unwrap().to_owned(),
    ]
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Repeats the whole request in an error, in all forms that services use.
fn echo(request: &Request) -> String {
    let all = format!(
        "{} {:?} {}",
        request.target,
        request.headers,
        String::from_utf8_lossy(&request.body)
    );
    let values = request.headers.iter().map(|(_, value)| {
        let bare = value.rsplit(' ').next().unwrap_or_default();
        format!(
            "{} {} {}",
            STANDARD.encode(bare),
            percent_encode(bare.as_bytes(), NON_ALPHANUMERIC),
            String::from_utf8_lossy(&STANDARD.decode(bare).unwrap_or_default()),
        )
    });
    let values: Vec<String> = values.collect();
    format!("{{\"error\": {:?}}}", format!("{all} {}", values.join(" ")))
}

#[test]
fn row_97_no_file_and_no_message_contains_a_secret() {
    let gate = Gate::default();
    let api = {
        let gate = gate.clone();
        FakeApi::start(move |request| {
            let says = Reply::json(echo(request));
            match request.target.split('?').next().unwrap() {
                "/0000" => says
                    .with_status(400)
                    .header("x-echo", echo(request).as_bytes()),
                "/0001" => says.with_status(500),
                "/0002" => says
                    .with_status(302)
                    .header("location", request.target.as_bytes()),
                // A rejected 2xx answer, which is kept whole.
                "/0003" => says,
                "/0004" if request.attempt == 0 => Reply::json(1).when(&gate),
                _ => Reply::json("{\"error\": null}"),
            }
        })
    };
    let place = Place::new();
    place.texts(8);
    let names = [
        "env", "file", "cmd", "netrc", "header", "bearer", "cookie", "query", "body", "form",
    ];
    let secrets: Vec<String> = names.iter().map(|name| secret(name)).collect();
    let of = |name: &str| secrets[names.iter().position(|other| *other == name).unwrap()].as_str();
    // The search leaves out the secrets' own files.
    let outside = tempfile::tempdir().unwrap();
    let at = |name: &str| outside.path().join(name).to_str().unwrap().to_owned();
    for name in ["file", "cmd", "body"] {
        fs::write(at(name), format!("{}\n", of(name))).unwrap();
    }
    let netrc = of("netrc").replace('"', "\\\"");
    fs::write(
        at("netrc"),
        format!("machine 127.0.0.1 login me password {netrc}\n"),
    )
    .unwrap();
    let command = |words: &[&str]| {
        let mut command = place.command(words);
        command.env("NETRC", at("netrc"));
        for name in ["env", "query", "form", "bearer"] {
            command.env(format!("S_{}", name.to_uppercase()), of(name));
        }
        command
    };
    let mut said = Vec::new();
    let mut run = |command: &mut Command| {
        let output = command.output().unwrap();
        said.extend(output.stdout);
        said.extend(output.stderr);
        output.status.code()
    };

    let url = format!("{}/{{name}}?key={{env:S_QUERY}}", api.url());
    let (file, cmd) = (
        format!("X-File: {{file:{}}}", at("file")),
        format!("X-Cmd: {{cmd:cat {}}}", at("cmd")),
    );
    let (header, cookie) = (
        format!("X-Api-Key: {}", of("header")),
        format!("session={}", of("cookie")),
    );
    let form = format!(
        "{{\"a\": \"{{env:S_FORM}}\", \"b\": \"{{file:{}}}\", \"c\": \"{{text}}\"}}",
        at("body")
    );
    let request = [
        "--url",
        &url,
        "-H",
        "X-Env: {env:S_ENV}",
        "-H",
        &file,
        "-H",
        &cmd,
        "-H",
        &header,
        "-b",
        &cookie,
        "-n",
        "--json",
        &form,
        "--success",
        ".error == null",
        "--retries",
        "1",
        "--retry-delay",
        "0s",
        "--events",
        "events",
        "-j",
        "2",
        "texts",
    ];
    let words = [&["run"][..], &request].concat();
    assert_eq!(
        run(&mut command(
            &[&["run", "--dry-run"][..], &request].concat()
        )),
        Some(0)
    );
    assert_eq!(
        run(&mut command(
            &[&["try", "texts/0000"][..], &request[..request.len() - 9]].concat()
        )),
        Some(3)
    );

    // A crash in the middle of a call.
    let going_on = place.begin_command(&mut command(&words));
    api.wait_until(|log| log.iter().any(|call| call.target.starts_with("/0004")));
    going_on.kill();
    gate.open();
    assert_eq!(run(&mut command(&words)), Some(3));
    let sent = api.log();
    let sent = sent
        .iter()
        .find(|call| call.target.starts_with("/0005"))
        .unwrap();
    assert_eq!(sent.request.header("x-file"), Some(of("file")));
    assert_eq!(sent.request.header("x-cmd"), Some(of("cmd")));
    assert_eq!(sent.request.header("x-env"), Some(of("env")));
    assert_eq!(sent.request.header("x-api-key"), Some(of("header")));
    assert!(
        sent.request
            .header("cookie")
            .unwrap()
            .contains(of("cookie"))
    );
    assert!(
        sent.request
            .header("authorization")
            .unwrap()
            .starts_with("Basic ")
    );
    let body: serde_json::Value = serde_json::from_slice(&sent.body).unwrap();
    assert_eq!(
        (&body["a"], &body["b"]),
        (&of("form").into(), &of("body").into())
    );

    // Given in other ways: a pasted command, a token, a name and a password, a form.
    let pasted = format!(
        "curl -u \"me:$S_ENV\" '{}/{{name}}' -F key=\"$S_FORM\" -F file=@{{}} -H \"X-Token: $S_BEARER\"",
        api.url()
    );
    let other = [
        "run",
        "--db",
        "other.db",
        "--curl",
        &pasted,
        "--success",
        ".error == null",
        "--retries",
        "0",
        "texts",
    ];
    assert_eq!(run(&mut command(&other)), Some(3));
    let literal = format!("me:{}", of("header"));
    let literal = [
        "run",
        "--db",
        "third.db",
        "-u",
        &literal,
        "--url",
        &url,
        "--success",
        ".error == null",
        "--retries",
        "0",
        "texts",
    ];
    assert_eq!(run(&mut command(&literal)), Some(3));
    assert_eq!(run(&mut command(&["resume", "--db", "third.db"])), Some(3));
    for words in [
        &["failures"][..],
        &["failures", "--json"],
        &["status", "--json"],
        &["export", "--all"],
        &["export", "--all", "--format", "csv", "-o", "results.csv"],
        &[
            "export",
            "--all",
            "--format",
            "jsonl",
            "-o",
            "results.jsonl",
        ],
        &["failures", "--json", "--db", "other.db"],
        &["failures", "--json", "--db", "third.db"],
        &["recheck", "--success", ".error"],
    ] {
        run(&mut command(words));
    }

    let files = files(&place.at(""));
    assert!(files.len() > 12, "{files:?}");
    for (name, secret) in names.iter().zip(&secrets) {
        for form in forms(secret) {
            let holds = |bytes: &[u8]| {
                bytes
                    .windows(form.len())
                    .any(|part| part == form.as_bytes())
            };
            assert!(
                !holds(&said),
                "{name} was said as {form}: {}",
                String::from_utf8_lossy(&said)
            );
            for file in &files {
                assert!(
                    !holds(&fs::read(file).unwrap()),
                    "{name} is in {} as {form}",
                    file.display()
                );
            }
        }
    }
    let masked = String::from_utf8_lossy(&said).matches("[redacted]").count();
    assert!(masked > 20, "{masked}");
}

/// A key in place of a host is a slip, and the resolver's error names the host.
#[test]
fn a_key_in_place_of_the_host_is_masked() {
    const KEY: &str = "sk-0123456789abcdef";
    let place = Place::new();
    place.texts(2);
    for url in [
        "https://{env:KEY}/v1",
        "http://{env:KEY}:9/{name}",
        "{env:KEY}/v1",
    ] {
        let words = ["--db", "other.db", "run", "--accept-change", "--url", url];
        let run = [&words[..], &["--allow-plain-http", "texts"]].concat();
        let ran = place.stride_with(&[("KEY", KEY)], &run);
        assert!(!ran.stderr.contains(KEY), "{}", ran.stderr);
    }
    for file in files(&place.at("")) {
        let bytes = fs::read(&file).unwrap();
        let found = bytes.windows(KEY.len()).any(|part| part == KEY.as_bytes());
        assert!(!found, "{}", file.display());
    }
}
