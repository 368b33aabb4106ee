//! The page in a real browser.

use std::process::{Command, Stdio};

use super::page::check_whole;
use super::{Place, SCRIPT, page_of};
use crate::support::{FakeApi, Reply, has_tool, within_limit};

/// Returns a page as the browser has it, and the browser's messages about it.
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

/// Loads the page in a browser, if one is installed. The browser must report nothing and move no element, as it does to
/// repair a page. Returns the page as the browser has it.
pub(super) fn looked_at(place: &Place, html: &str) -> Option<String> {
    if !has_tool("chromium") {
        return None;
    }
    let (dom, said) = browsed(place, "report.html");
    assert_eq!(said, "");
    assert!(!dom.contains("<script"), "a name has become markup");
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
    Some(dom)
}

#[test]
fn a_browser_reports_nothing_about_the_page() {
    let api = FakeApi::start(|request| match request.target.as_str() {
        "/3" => Reply::status(422).body("text/html", "<script>alert(2)</script>"),
        _ => Reply::json("{}"),
    });
    let place = Place::new();
    place.write(format!("{SCRIPT}/script>/3"), "x");
    (10..109).for_each(|i| place.write(format!("{SCRIPT}/script>/{i}"), "x"));
    let url = format!("{}/{{name}}", api.url());
    place.stride(&["run", "--url", &url, SCRIPT]).expect(3);
    let html = page_of(&place);
    check_whole(&html);
    let Some(dom) = looked_at(&place, &html) else {
        return;
    };
    assert!(dom.contains("&lt;script&gt;alert(1)&lt;/script&gt;/3"));
    assert_eq!(dom.matches("<path class=\"bar ok\"").count(), 1);
    assert!(dom.matches("<rect class=\"hint\"").count() > 1);
    // The browser reports a page that breaks the policy.
    place.write("other.html", html.replace("<style>", "<style>p{}"));
    let (_, said) = browsed(&place, "other.html");
    assert!(said.contains("Content Security Policy"), "{said}");
}
