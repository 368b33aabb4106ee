//! The page in a real browser.

use std::process::{Command, Stdio};

use super::page::check_whole;
use super::{Place, SCRIPT, page_of};
use crate::support::{FakeApi, Reply, within_limit};

/// Whether a program is there that a test needs. Where the variable is set it has to be.
fn has_tool(name: &str) -> bool {
    let found = Command::new(name)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let found = found.is_ok_and(|status| status.success());
    let required = std::env::var_os("STRIDE_REQUIRE_TOOLS").is_some();
    assert!(
        found || !required,
        "{name} is not there, and STRIDE_REQUIRE_TOOLS is set"
    );
    found
}

/// A page as a browser has it, and what the browser says about it.
fn browsed(place: &Place, file: &str) -> (String, String) {
    let mut command = Command::new("chromium");
    command
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--enable-logging=stderr",
            "--dump-dom",
        ])
        .arg(format!(
            "--user-data-dir={}",
            place.at(".browser").display()
        ))
        .arg(format!("file://{}", place.at(file).display()))
        .env("HOME", place.at(".home"))
        .stdin(Stdio::null());
    let output = within_limit(move || command.output().unwrap());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let said: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("CONSOLE"))
        .collect();
    (String::from_utf8(output.stdout).unwrap(), said.join("\n"))
}

#[test]
#[expect(clippy::print_stderr, reason = "what is left out is said")]
fn a_browser_has_nothing_to_say_about_the_page() {
    if !has_tool("chromium") {
        eprintln!("left out: there is no chromium to look at the page with");
        return;
    }
    let api = FakeApi::start(|request| match request.target.as_str() {
        "/3" => Reply::status(422).body("text/html", "<script>alert(2)</script>"),
        _ => Reply::json("{}"),
    });
    let place = Place::new();
    place.write(format!("{SCRIPT}/script>/3"), "x");
    (10..40).for_each(|i| place.write(format!("{SCRIPT}/script>/{i}"), "x"));
    let url = format!("{}/{{name}}", api.url());
    place.stride(&["run", "--url", &url, SCRIPT]).expect(3);
    let html = page_of(&place);
    check_whole(&html);
    let (dom, said) = browsed(&place, "report.html");
    assert_eq!(said, "");
    assert!(!dom.contains("<script"), "a name has become markup");
    assert!(dom.contains("&lt;script&gt;alert(1)&lt;/script&gt;/3"));
    // Everything of the page is where it was put: a browser mends what is not, by moving it.
    for element in [
        "<svg", "<path", "<rect", "<table", "<tr", "<td", "<figure", "<details", "<section", "<dd",
        "<li",
    ] {
        assert_eq!(
            dom.matches(element).count(),
            html.matches(element).count(),
            "{element}"
        );
    }
    assert!(
        dom.matches("<path class=\"bar ok\"").count() == 2,
        "one for each size"
    );
    assert!(dom.matches("<rect class=\"hint\"").count() > 1);
    // The browser does say something where the policy is not kept.
    place.write("other.html", html.replace("<style>", "<style>p{}"));
    let (_, said) = browsed(&place, "other.html");
    assert!(said.contains("Content Security Policy"), "{said}");
}
