//! Variables in pasted commands.

use std::fs;

use super::pasted::{place, seen};
use crate::support::{FakeApi, Reply};

#[test]
fn variables_are_inserted_as_a_shell_inserts_them() {
    let place = place();
    let variables = [
        ("P", "a/b"),
        ("Q", "a%2Fb+c="),
        ("N", "100"),
        ("S", "two \\n lines"),
    ];
    let json = r#"{"n": $N, "s": "$S", "f": "{name}"}"#;
    let in_json = format!("curl API/x -d \"{}\"", json.replace('"', "\\\""));
    for (command, target, body) in [
        (
            "curl \"API/x/$P?q=$Q\" -d @{}",
            "/x/a/b?q=a%2Fb+c=",
            "some text",
        ),
        (
            "curl API/x -d \"q=$Q&n={name}\"",
            "/x",
            "q=a%2Fb+c=&n=a+b.txt",
        ),
        (
            "curl API/x -d n={name} --data-urlencode \"q=$Q\"",
            "/x",
            "n=a+b.txt&q=a%252Fb%2Bc%3D",
        ),
        (
            &in_json,
            "/x",
            r#"{"n": 100, "s": "two \n lines", "f": "a b.txt"}"#,
        ),
    ] {
        let request = seen(&place, &variables, command);
        assert_eq!(request.target, target, "{command}");
        assert_eq!(String::from_utf8_lossy(&request.body), body, "{command}");
    }
}

#[test]
fn a_variable_can_name_the_service() {
    let place = place();
    for (command, variable, target) in [
        ("curl $V/v1/{name} -d @{}", "API/base", "/base/v1/a%20b.txt"),
        (
            "curl \"${V}/_bulk?pretty\" --data-binary \"@{}\"",
            "HOST",
            "/_bulk?pretty",
        ),
        ("curl http://$V/x -d @{}", "HOST", "/x"),
        ("curl --url '{env:V}/x' -d @{}", "API", "/x"),
        (
            "curl -T {} \"$V\"",
            "API/put?sig=a%2Fb%3D",
            "/put?sig=a%2Fb%3D",
        ),
        ("curl -T {} $V", "API/folder/", "/folder/a%20b.txt"),
        ("curl -T {} $V", "API", "/a%20b.txt"),
        ("curl -G $V/q -d n={name}", "API", "/q?n=a+b.txt"),
    ] {
        let request = seen(&place, &[("V", variable)], command);
        assert_eq!(request.target, target, "{command}");
    }
    // In stride's own words, too.
    let api = FakeApi::start(|_| Reply::json(1));
    let words = [
        "run",
        "--db",
        "own.db",
        "--url",
        "{env:V}/x/{name}",
        "a b.txt",
    ];
    place.stride_with(&[("V", &api.url())], &words).expect(0);
    assert_eq!(api.log()[0].target, "/x/a%20b.txt");
    place
        .stride_with(
            &[("V", "127.0.0.1:9")],
            &["run", "--db", "none.db", "--url", "{env:V}/x", "a b.txt"],
        )
        .expect(2)
        .says("it needs a scheme");
    place
        .stride(&[
            "run",
            "--db",
            "none.db",
            "--curl",
            "curl $NONE/x -d @{}",
            "a b.txt",
        ])
        .expect(2)
        .says("NONE is not set");
    assert!(!place.at("none.db").exists());
}

#[test]
fn a_password_in_the_variable_of_a_service_is_sent_and_not_stored() {
    const PASSWORD: &str = "hunter2hunter2";
    let place = place();
    let value = format!("http://me:{PASSWORD}@HOST/");
    let request = seen(&place, &[("V", &value)], "curl ${V}x -d @{}");
    assert_eq!(request.target, "/x");
    let basic = stride::caller::Credential::basic(format!("me:{PASSWORD}").as_bytes());
    assert_eq!(request.header("authorization"), Some(basic.as_str()));
    // -u takes precedence.
    let request = seen(
        &place,
        &[("V", &value), ("U", "you:word")],
        "curl ${V}x -d @{} -u $U",
    );
    let basic = stride::caller::Credential::basic(b"you:word");
    assert_eq!(request.header("authorization"), Some(basic.as_str()));
    let stored = fs::read(place.at("stride.db")).unwrap();
    assert!(
        !stored
            .windows(PASSWORD.len())
            .any(|part| part == PASSWORD.as_bytes())
    );
    // The host is shown, and the password is not.
    let dry = [
        "run",
        "--db",
        "dry.db",
        "--dry-run",
        "--curl",
        "curl ${V}x?k=1 -d @{}",
        "a b.txt",
    ];
    let value = format!("https://me:{PASSWORD}@service.example/");
    let ran = place.stride_with(&[("V", &value)], &dry).expect(0);
    let shown = String::from_utf8(ran.stdout).unwrap();
    assert!(shown.contains("https://service.example/x?k=1"), "{shown}");
    assert!(!shown.contains(PASSWORD), "{shown}");
    // Nor is it sent in the clear to another machine.
    let value = value.replace("https", "http");
    place
        .stride_with(&[("V", &value)], &dry)
        .expect(2)
        .says("unencrypted");
}

#[test]
fn variables_and_the_home_folder_are_known_in_names_of_files() {
    let place = place();
    place.write(".home/c", "header = \"X-C: {name}\"\n");
    place.write("lists/h", "X-H: 1\n");
    place.write("lists/d", "data for all\n");
    let command = "curl API/{} -K ~/c -H @$V/h -d @$V/d";
    let folder = place.at("lists");
    let request = seen(&place, &[("V", folder.to_str().unwrap())], command);
    assert_eq!(request.header("x-c"), Some("a b.txt"));
    assert_eq!(request.header("x-h"), Some("1"));
    assert_eq!(*request.body, b"data for all"[..]);
    for (words, named) in [
        ("--cacert $V/ca.pem", "lists/ca.pem"),
        ("-E ~/me.pem", ".home/me.pem"),
        ("--key \"${V}/me.key\" -E $V/h", "lists/h"),
        ("-K ~/none", ".home/none"),
        ("-H @$V/none", "lists/none"),
        ("-d @$V/none", "lists/none"),
        ("--cacert $UNSET/ca.pem", "UNSET is not set"),
    ] {
        let command = format!("curl https://localhost:9/{{}} {words}");
        let variables = [("V", folder.to_str().unwrap())];
        let words = ["run", "--db", "none.db", "--curl", &command, "a b.txt"];
        place.stride_with(&variables, &words).expect(2).says(named);
        assert!(!place.at("none.db").exists());
    }
}
