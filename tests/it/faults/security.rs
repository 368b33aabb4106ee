//! Malicious names, answers and databases.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{counts, named, place, run};
use crate::cli::{Place, listed};
use crate::support::{FakeApi, Reply};

const SECRET: &str = "sk-5ca1ab1e0ddba11";

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

/// stride uses a literal credential of the command line, never stores it, and warns that others can see it.
#[test]
fn row_96_a_literal_credential_is_used_and_not_stored_and_a_reference_is_named_instead() {
    let api = FakeApi::start(|request| match request.header("authorization") {
        Some(value) if value.contains(SECRET) => Reply::json(1),
        _ => Reply::status(401),
    });
    let place = place(2);
    let url = named(&api);
    let header = format!("Authorization: Bearer {SECRET}");
    place
        .stride(&run(&url, &["-H", &header]))
        .expect(0)
        .says("not stored")
        .says("{env:NAME}");
    assert!(!holds(&fs::read(place.at("stride.db")).unwrap(), SECRET));
}

#[test]
fn row_98_a_database_that_others_can_read_causes_a_warning() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = place(1);
    let url = named(&api);
    place.stride(&run(&url, &[])).expect(0);
    let mode = |mode| fs::set_permissions(place.at("stride.db"), fs::Permissions::from_mode(mode));
    mode(0o644).unwrap();
    place
        .stride(&run(&url, &[]))
        .expect(0)
        .says("other users can read")
        .says("chmod 600");
    mode(0o600).unwrap();
    let ran = place.stride(&run(&url, &[])).expect(0);
    assert!(!ran.stderr.contains("chmod"), "{}", ran.stderr);
}

#[test]
fn row_99_a_name_adds_no_header_and_leaves_no_place_of_a_url() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    let bystander = place.with_bystander(&named(&api));
    let evil = "texts/a\r\nX-Evil: 1?b#c";
    place.write(evil, "x");
    let url = named(&api);
    let header = ["--accept-change", "-H", "X-Name: {name}"];
    place.stride(&run(&url, &header)).expect(3).says("x-name");
    assert_eq!(api.requests(), 1, "only the bystander's");
    let sql = "SELECT outcome, class, kind FROM attempt JOIN job ON job.id = attempt.job WHERE path LIKE 'texts%'";
    assert_eq!(place.sql(sql).concat(), ["not_sent", "input", "bad_header"]);
    place.stride(&run(&url, &["--accept-change"])).expect(3);
    place.stride(&["retry"]).expect(0);
    let call = api.log().pop().unwrap();
    assert_eq!(call.target, "/a%0D%0AX-Evil%3A%201%3Fb%23c");
    assert_eq!(call.request.header("x-evil"), None);
    // A form quotes a name, and in JSON it stays within its string.
    let form = ["--accept-change", "-F", "file=@{path}"];
    place.write("texts/\"; x=\"y", "x");
    place.stride(&run(&url, &form)).expect(0);
    let body = api.log().pop().unwrap().body;
    assert!(
        holds(&body, "filename=\"%22; x=%22y\""),
        "{}",
        String::from_utf8_lossy(&body)
    );
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_101_nothing_from_outside_is_obeyed_by_a_terminal() {
    let evil = "\u{1b}]0;pwned\u{7}\u{9b}31m\u{202e}";
    let api = FakeApi::start(move |_| {
        Reply::text(format!("{evil} error"))
            .with_status(302)
            .header("location", format!("/{evil}").as_bytes())
    });
    let place = Place::new();
    place.write(format!("texts/{evil}.txt"), "x");
    let url = named(&api);
    let ran = place.stride(&run(&url, &["--rate", "100/s"]));
    let told = [
        ran.stderr,
        place.stride(&["failures"]).stderr,
        String::from_utf8(place.stride(&["failures"]).stdout).unwrap(),
        String::from_utf8(place.stride(&["status"]).stdout).unwrap(),
    ];
    for text in told {
        let acts =
            |char: char| char.is_control() && !matches!(char, '\n' | '\t') || char == '\u{202e}';
        assert!(!text.contains(acts), "{text:?}");
    }
    // Data is not escaped.
    let json = place.stride(&["failures", "--json"]).json();
    assert!(json.to_string().contains("pwned"), "{json}");
}

#[test]
fn row_102_names_are_not_run_as_sql() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    let bystander = place.with_bystander(&named(&api));
    for name in [
        "'; DROP TABLE job;--",
        "\" OR 1=1 --",
        "a%_b",
        "?1",
        "x');--",
    ] {
        place.write(format!("texts/{name}"), "x");
    }
    let url = named(&api);
    place.stride(&run(&url, &[])).expect(0);
    place
        .stride(&["retry", "--match", "'; DROP TABLE job;--", "--queue-only"])
        .expect(0);
    counts(&place, &[("done", 6), ("total", 6)]);
    place.stride(&["verify"]).expect(0);
    assert_eq!(place.bystander(), bystander);
}

/// A trigger in a database of another user does not run.
#[test]
fn row_103_a_database_of_another_user_runs_no_code() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = place(2);
    let url = named(&api);
    let bystander = place.with_bystander(&url);
    place.stride(&run(&url, &["--max-calls", "2"]));
    let connection = rusqlite::Connection::open(place.at("stride.db")).unwrap();
    let changed = connection.execute_batch(
        "CREATE TRIGGER evil AFTER UPDATE ON job BEGIN DELETE FROM result; END;
         CREATE TRIGGER worse AFTER INSERT ON result BEGIN UPDATE run SET call = '{}'; END;",
    );
    changed.unwrap();
    drop(connection);
    place.stride(&["resume", "--max-calls", "none"]).expect(0);
    counts(&place, &[("done", 3)]);
    assert_eq!(place.sql("SELECT count(*) FROM result").concat(), ["3"]);
    assert_eq!(place.bystander(), bystander);
}

/// A command that its request refers to does not run, either, unless the user has typed it.
#[test]
fn row_103_a_command_in_a_database_of_another_user_does_not_run() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = place(2);
    let (mine, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = named(&api);
    let header = "X-Key: {cmd:echo ran >> ran.txt; echo key-0123}";
    let words = run(&url, &["-H", header, "--max-calls", "1"]);
    let at = |home: &tempfile::TempDir, words: &[&str]| {
        let home = home.path().to_str().unwrap();
        let ran = place.stride_with(&[("HOME", home)], words);
        (ran.code, ran.stderr)
    };
    assert_eq!(at(&theirs, &words).0, Some(4));
    let ran = fs::read(place.at("ran.txt")).unwrap();
    for words in [&["resume"][..], &["retry"], &["try", "texts/0001"]] {
        let (code, said) = at(&mine, words);
        assert_eq!(code, Some(2), "{said}");
        assert!(
            said.contains("echo ran") && said.contains("--allow-commands"),
            "{said}"
        );
    }
    assert_eq!(fs::read(place.at("ran.txt")).unwrap(), ran);
    assert_eq!(api.requests(), 1);
    // The user who typed it continues as before, and one who allows it once has typed it.
    assert_eq!(at(&theirs, &["resume", "--max-calls", "none"]).0, Some(0));
    assert_eq!(
        at(&mine, &["try", "texts/0001", "--allow-commands"]).0,
        Some(0)
    );
    assert_eq!(at(&mine, &["try", "texts/0001"]).0, Some(0));
    let known = fs::read_to_string(mine.path().join(".local/state/stride/requests")).unwrap();
    assert!(!known.contains("echo"), "{known}");
}

#[test]
fn row_105_nothing_in_an_answer_leads_anywhere() {
    let other = FakeApi::start(|_| Reply::json("\"not asked\""));
    let elsewhere = format!("{}/steal", other.url());
    let target = elsewhere.clone();
    let api = FakeApi::start(move |request| match request.target.as_str() {
        "/0000" => Reply::json(format!("{{\"next\": \"{target}\"}}"))
            .header("link", format!("<{target}>; rel=next")),
        _ => Reply::status(307).header("location", &target),
    });
    let place = place(2);
    let url = named(&api);
    place
        .stride(&run(&url, &["-j", "1"]))
        .expect(3)
        .says("not followed");
    assert_eq!(other.requests(), 0);
    // With --location, the credentials do not follow.
    let header = "X-Api-Key: {env:KEY}";
    let words = run(
        &url,
        &["--accept-change", "-L", "-H", header, "-H", "X-Else: kept"],
    );
    let key = [("KEY", SECRET)];
    place.stride_with(&key, &words).expect(3);
    place.stride_with(&key, &["retry"]).expect(0);
    let log = other.log();
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].request.header("x-api-key"), None);
    assert_eq!(log[0].request.header("x-else"), Some("kept"));
    assert_eq!(&*log[0].body, b"texts/0001");
    // A body with a credential does not leave the service at all.
    let json = r#"{"key": "{env:KEY}", "name": "{name}"}"#;
    place.write("texts/0002", "x");
    let words = run(&url, &["--accept-change", "-L", "--json", json]);
    place.stride_with(&key, &words).expect(4);
    assert_eq!(other.requests(), 1);
}

/// A credential is recognized in every flag: stride uses it, does not store it, and asks for it again.
#[test]
fn row_119_a_credential_in_any_flag_is_used_and_not_stored() {
    let query = format!("?n=1&api_key={SECRET}&page_token=p");
    let typed = |before: &str, after: &str| format!("{before}{SECRET}{after}");
    for (place_of_it, words, name) in [
        (
            "",
            vec!["-H".to_owned(), typed("X-Authorization: Bearer ", "")],
            "X-Authorization",
        ),
        (
            "",
            vec!["-H".to_owned(), typed("X-Password: ", "")],
            "X-Password",
        ),
        (
            "",
            vec!["-H".to_owned(), typed("X-Signature: ", "")],
            "X-Signature",
        ),
        ("", vec!["-b".to_owned(), typed("session=", "")], "Cookie"),
        (&*query, vec![], "api_key"),
        (
            "",
            vec!["--url-query".to_owned(), typed("access_token=", "")],
            "access_token",
        ),
        (
            "",
            vec!["-d".to_owned(), typed("n={name}&client_secret=", "")],
            "client_secret",
        ),
        (
            "",
            vec![
                "--data-urlencode".to_owned(),
                typed("password=", ""),
                "-d".to_owned(),
                "n={}".to_owned(),
            ],
            "password",
        ),
        (
            "",
            vec![
                "-F".to_owned(),
                typed("secret=", ""),
                "-F".to_owned(),
                "file=@{}".to_owned(),
            ],
            "secret",
        ),
        (
            "",
            vec![
                "--json".to_owned(),
                typed("{\"n\": \"{}\", \"apiKey\": \"", "\"}"),
            ],
            "apiKey",
        ),
    ] {
        let api = FakeApi::start(|request| {
            let headers = format!("{:?}", request.headers);
            let parts = [request.target.as_bytes(), headers.as_bytes(), &request.body];
            match request.target.starts_with("/bystander") || holds(&parts.concat(), SECRET) {
                true => Reply::json(1),
                false => Reply::status(401),
            }
        });
        let place = place(2);
        let bystander = place.with_bystander(&named(&api));
        let url = format!("{}{place_of_it}", named(&api));
        let mut run = run(&url, &["--accept-change", "--max-calls", "2"]);
        run.splice(1..1, words.iter().map(String::as_str));
        place
            .stride(&run)
            .expect(4)
            .says(&format!("`{name}`"))
            .says("not stored")
            .says("{env:NAME}");
        counts(&place, &[("done", 2), ("pending", 1)]);
        let sent = api.log().pop().unwrap();
        assert!(
            place_of_it.is_empty() || sent.target.ends_with(place_of_it),
            "{}",
            sent.target
        );
        for file in listed(&place.at(""))
            .iter()
            .filter(|name| name.starts_with("stride.db"))
        {
            assert!(
                !holds(&fs::read(place.at(file)).unwrap(), SECRET),
                "{name}: {file}"
            );
        }
        let status = String::from_utf8(place.stride(&["status"]).stdout).unwrap();
        assert!(!status.contains(SECRET), "{status}");

        let again = match words.first().map(String::as_str) {
            Some("-H") => ["-H".to_owned(), words[1].clone()],
            Some("-b") => ["-H".to_owned(), format!("Cookie: {}", words[1])],
            _ => ["--credential".to_owned(), format!("{name}={{env:AGAIN}}")],
        };
        place
            .stride(&["resume", "--max-calls", "none"])
            .expect(2)
            .says(name)
            .says("not stored")
            .says(" again");
        let resume = ["resume", "--max-calls", "none", &again[0], &again[1]];
        place.stride_with(&[("AGAIN", SECRET)], &resume).expect(0);
        counts(&place, &[("done", 3)]);
        assert_eq!(place.bystander(), bystander);
    }
}

/// Other values are stored, and stride says once which of them look like keys.
#[test]
fn row_119_stored_parts_of_a_request_that_look_like_keys_are_shown_once() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = place(2);
    let url = format!("{}?page_token=p&max_tokens=5", named(&api));
    let bystander = place.with_bystander(&url);
    let words = [
        "--accept-change",
        "-H",
        "X-Request-Signature-Version: 2",
        "-H",
        "X-Tenant: of {env:TENANT}",
        "-H",
        "X-Customer: cust-0f9c1d2e3b4a59687786",
    ];
    let run = run(&url, &words);
    let told =
        "note: the header `X-Customer` may hold a key, which stride.db stores in plain text\n";
    let tenant = [("TENANT", "acme")];
    place.stride_with(&tenant, &run).expect(0).says(told);
    let sent = api.log().pop().unwrap();
    assert_eq!(
        sent.request.header("x-request-signature-version"),
        Some("2")
    );
    assert!(sent.target.ends_with("?page_token=p&max_tokens=5"));
    let changed = [&run[..], &["-H", "X-Else: 1"]].concat();
    for words in [&run[..], &["resume"], &changed] {
        let ran = place.stride_with(&tenant, words).expect(0);
        assert!(!ran.stderr.contains("may hold"), "{}", ran.stderr);
    }
    place
        .stride_with(&tenant, &["resume", "--credential", "page_token=x"])
        .expect(2)
        .says("`page_token` is not a credential");
    assert_eq!(place.bystander(), bystander);
}
