//! `--on-finish`.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use serde_json::{Value, json};

use super::Place;
use crate::support::{FakeApi, Reply, has_tool};

/// An API that refuses the file `texts/0003` and records the summaries sent to `/hook`.
fn api() -> (FakeApi, std::sync::mpsc::Receiver<(String, Value)>) {
    let (send, heard) = channel();
    let send = Mutex::new(send);
    let api = FakeApi::start(move |request| {
        if request.target.starts_with("/hook") {
            let kind = request
                .header("content-type")
                .unwrap_or_default()
                .to_owned();
            let summary = serde_json::from_slice(&request.body).unwrap();
            send.lock().unwrap().send((kind, summary)).unwrap();
            return Reply::json("").with_status(204);
        }
        match request.target.ends_with("0003") {
            true => Reply::json(json!({"error": "no"})).with_status(422),
            false => Reply::json(json!({"ok": true})),
        }
    });
    (api, heard)
}

#[test]
fn a_command_gets_the_summary_of_every_end() {
    let (api, _heard) = api();
    let place = Place::new();
    let url = format!("{}/v1/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    place.texts(5);
    let save = "cat > summary.json; echo \"$STRIDE_EXIT $STRIDE_DB\" > told; echo hooked";
    let words = ["run", "--url", &url, "texts", "--on-finish", save];
    // The command's output goes to stderr, because stdout is for data.
    let ran = place.stride(&words).expect(3).says("hooked");
    assert!(ran.stdout.is_empty());
    let summary: Value =
        serde_json::from_slice(&std::fs::read(place.at("summary.json")).unwrap()).unwrap();
    let database = place.at("stride.db").canonicalize().unwrap();
    let told = std::fs::read_to_string(place.at("told")).unwrap();
    assert_eq!(told, format!("3 {}\n", database.display()));
    for (name, expected) in [
        ("exit", json!(3)),
        ("total", json!(6)),
        ("done", json!(5)),
        ("failed", json!(1)),
        ("calls", json!(5)),
        ("ending", json!("finished")),
        ("next", json!("stride failures")),
    ] {
        assert_eq!(summary[name], expected, "{name}: {summary}");
    }
    assert_eq!(
        summary["causes"][0]["message"],
        "HTTP 422 Unprocessable Entity: no"
    );
    assert_eq!(summary["causes"][0]["count"], 1);
    assert!(summary.get("error").is_none());
    // It runs once, and its failure changes nothing.
    std::fs::remove_file(place.at("told")).unwrap();
    place
        .stride(&["retry", "--on-finish", "exit 9"])
        .expect(3)
        .says("the command of --on-finish ended with exit status: 9");
    assert!(!place.at("told").exists());
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn the_summary_names_the_guard_that_stopped_the_run() {
    let api = FakeApi::start(|_| Reply::json(json!({"error": "who are you"})).with_status(401));
    let place = Place::new();
    place.texts(8);
    let url = format!("{}/v1/{{name}}", api.url());
    place
        .stride(&[
            "run",
            "--url",
            &url,
            "texts",
            "--on-finish",
            "cat > summary.json",
        ])
        .expect(4);
    let summary: Value =
        serde_json::from_slice(&std::fs::read(place.at("summary.json")).unwrap()).unwrap();
    assert_eq!(
        (&summary["exit"], &summary["pending"]),
        (&json!(4), &json!(8)),
        "{summary}"
    );
    assert!(!summary["error"].as_str().unwrap().is_empty());
    assert_eq!(summary["next"], "stride resume");
    let stopped = &summary["stopped"];
    assert_eq!(
        (&stopped["reason"], &stopped["action"], &stopped["until"]),
        (&json!("credentials"), &json!("fix"), &json!(null)),
        "{summary}"
    );
    assert!(stopped["words"].as_str().unwrap().contains("401"));
    assert_eq!(&place.status()["stopped"], stopped);
    let text = |words| String::from_utf8(place.stride(words).expect(0).stdout).unwrap();
    let status = text(&["status"]);
    assert!(
        status.contains("stopped the service does not accept the credentials (HTTP 401"),
        "{status}"
    );
    assert!(
        status.contains(": stride resume -H 'Authorization: Bearer {env:API_KEY}'\n"),
        "{status}"
    );
    let report = text(&["report"]);
    assert!(
        report.contains("the service does not accept the credentials. The last answer: HTTP 401"),
        "{report}"
    );
}

#[test]
fn curl_posts_the_summary() {
    if !has_tool("curl") {
        return;
    }
    let (api, heard) = api();
    let place = Place::new();
    place.texts(2);
    let url = format!("{}/v1/{{name}}", api.url());
    let post = format!(
        "curl -s -H 'Content-Type: application/json' -d @- {}/hook",
        api.url()
    );
    place
        .stride(&["run", "--url", &url, "texts", "--on-finish", &post])
        .expect(0);
    let (kind, summary) = heard.try_recv().unwrap();
    assert_eq!(
        (kind.as_str(), &summary["done"]),
        ("application/json", &json!(2))
    );
}

#[test]
fn a_command_that_resumes_the_run_does_not_loop() {
    let (api, _heard) = api();
    let place = Place::new();
    place.texts(5);
    let url = format!("{}/v1/{{name}}", api.url());
    let bin = env!("CARGO_BIN_EXE_stride");
    let again = format!("echo x >> ends; [ $(wc -l < ends) -gt 2 ] || '{bin}' retry");
    let variables = [("STRIDE_ON_FINISH", again.as_str())];
    let words = ["run", "--retries", "0", "--url", &url, "texts"];
    place.stride_with(&variables, &words).expect(3);
    assert_eq!(std::fs::read(place.at("ends")).unwrap(), b"x\n");
    let attempts = place.sql("SELECT attempts FROM work WHERE state = 3");
    assert_eq!(attempts.concat(), ["2"]);
    // The same command, out of the user's file.
    place.write(
        ".home/.config/stride/stride.toml",
        format!("on-finish = {again:?}\n"),
    );
    place.stride(&["retry"]).expect(3);
    assert_eq!(std::fs::read(place.at("ends")).unwrap(), b"x\nx\n");
}
