//! The page about a run.

mod browser;
mod long;
mod page;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::Place;
use crate::support::{FakeApi, Gate, Reply};
use browser::looked_at;
use page::check_whole;

/// A name that a careless page would take for markup.
const SCRIPT: &str = "<script>alert(1)<";

/// The page about the run, as text, by way of a file.
fn page_of(place: &Place) -> String {
    place
        .stride(&["report", "-o", "report.html"])
        .expect(0)
        .says("wrote the report to report.html");
    fs::read_to_string(place.at("report.html")).unwrap()
}

#[test]
fn a_report_is_one_page_with_everything_in_it() {
    let api = FakeApi::start(|request| match request.target.as_str() {
        "/0007" => Reply::json(json!({"error": "page 3 has no text layer"})).with_status(422),
        _ if request.attempt == 0 && request.target.ends_with('9') => Reply::status(503),
        _ => Reply::json("{}"),
    });
    let place = Place::new();
    place.texts(100);
    let url = format!("{}/{{name}}", api.url());
    let words = [
        "run",
        "--url",
        &url,
        "-j",
        "4",
        "--retry-delay",
        "0s",
        "-H",
        "Authorization: Bearer {env:SECRET}",
        "texts",
    ];
    place
        .stride_with(&[("SECRET", "correct-horse-battery")], &words)
        .expect(3);
    let html = page_of(&place);
    check_whole(&html);
    for said in [
        "<strong>99</strong> of 100 files done",
        "The last session finished at ",
        "page 3 has no text layer",
        "HTTP 422 Unprocessable Entity",
        "texts/0007",
        "Bearer {env:SECRET}",
        "<dt>header authorization</dt>",
        "path class=\"bar ok\"",
        "path class=\"bar p50\"",
        " repeated, half within ",
        "<g class=\"ok\">",
    ] {
        assert!(html.contains(said), "{said} is not in the page");
    }
    assert!(!html.contains("correct-horse-battery"));
    // Ten files were answered with 503 once, and so called twice.
    assert!(html.contains("<th scope=\"row\">2</th><td class=\"n\">10</td>"));
    let mode = |name: &str| fs::metadata(place.at(name)).unwrap().permissions().mode();
    place.write("usual", "");
    assert_eq!(mode("report.html"), mode("usual"));
    // A later walk does not take the page for input.
    let noted = place.sql("SELECT CAST(path AS TEXT) FROM artifact");
    assert!(noted[0][0].ends_with("report.html"), "{noted:?}");
    let printed = place.stride(&["report"]).expect(0).stdout;
    check_whole(std::str::from_utf8(&printed).unwrap());
}

#[test]
fn a_run_without_jobs_and_one_without_calls_say_so() {
    let place = Place::new();
    place.write("list", "");
    let url = "http://127.0.0.1:9/";
    place
        .stride(&["run", "--url", url, "--files-from", "list"])
        .expect(0);
    let html = page_of(&place);
    check_whole(&html);
    assert!(html.contains("<strong>0</strong> of 0 files done"));
    assert!(html.contains("No calls yet.") && !html.contains("class=\"bar "));
    looked_at(&place, &html);

    let api = FakeApi::start(|_| Reply::json("1"));
    let place = Place::new();
    place.with_bystander(&api.url());
    let html = page_of(&place);
    check_whole(&html);
    assert!(
        html.contains("<strong>1</strong> of 1 file done") && html.contains("class=\"bar ok\"")
    );
    assert!(html.contains("No file has failed, and none is held."));
    looked_at(&place, &html);
    place
        .stride(&["report", "-o", "stride.db"])
        .expect(2)
        .says("cannot write to");
}

#[test]
fn row_95_names_and_answers_stay_text() {
    let api = FakeApi::start(|_| {
        Reply::status(422).body("text/html", "<img src=x onerror=alert(2)>\u{1b}[31m")
    });
    let place = Place::new();
    let odd: [&[u8]; 3] = [
        b"caf\xe9 & <b>\"'",
        b"\x1b]0;owned\x07",
        "\u{202e}txt.exe".as_bytes(),
    ];
    place.write(format!("list/{SCRIPT}/script>"), "x");
    odd.iter()
        .for_each(|name| place.write([b"list/", *name].concat(), "x"));
    place
        .stride(&["run", "--url", &format!("{}/<i>", api.url()), "list"])
        .expect(3);
    let html = page_of(&place);
    check_whole(&html);
    for said in [
        "list/&lt;script&gt;alert(1)&lt;/script&gt;",
        "caf\\xe9 &amp; &lt;b&gt;&quot;'",
        "\\u{1b}]0;owned\\u{7}",
        "\\u{202e}txt.exe",
        "&lt;img src=x onerror=alert(2)&gt;\\u{1b}[31m",
        "/&lt;i&gt;",
    ] {
        assert!(html.contains(said), "{said} is not in the page");
    }
    let is_safe = |c: char| !c.is_control() || c == '\n';
    assert!(html.chars().all(|c| is_safe(c) && c != '\u{202e}'));
}

#[test]
fn a_running_run_is_distinguished_from_one_whose_process_died() {
    let gate = Gate::default();
    let closed = gate.clone();
    let api = FakeApi::start(move |request| match request.target.as_str() {
        "/a" => Reply::json("1"),
        _ => Reply::json("1").when(&closed),
    });
    let place = Place::new();
    place.write("a", "a");
    place.write("b", "b");
    let url = format!("{}/{{name}}", api.url());
    let running = place.begin(&["run", "--url", &url, "-j", "1", "a", "b"]);
    api.wait_for(2);
    let html = page_of(&place);
    check_whole(&html);
    let at_work = format!("Process {} has been working on the run", running.pid());
    assert!(html.contains(&at_work) && html.contains("<strong>1</strong> of 2 files done"));
    assert!(html.contains("<g class=\"now\">") && html.contains("with 1 call in flight."));
    running.kill();
    let html = page_of(&place);
    assert!(html.contains("The last session was killed or crashed, with 1 call in flight; "));
    assert!(html.contains("The next session marks these calls as in doubt."));
    gate.open();
    place.stride(&["resume"]).expect(0);
    let html = page_of(&place);
    check_whole(&html);
    assert!(html.contains("The last session finished at ") && html.contains("2 sessions"));
    assert!(html.contains("<g class=\"bad\">") && html.contains("path class=\"bar doubt\""));
}
