//! Checks that hold for every page.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

fn has(words: &str, word: &str) -> bool {
    words.split(' ').any(|each| each == word)
}

/// Returns the texts between two markers.
fn between<'t>(text: &'t str, begin: &str, end: &str) -> Vec<&'t str> {
    let pieces = text.split(begin).skip(1);
    pieces.map(|rest| rest.split(end).next().unwrap()).collect()
}

/// The elements of a page, and their attributes. None of them runs a program or loads anything.
const ELEMENTS: &str = "html head body header nav main section footer h1 h2 h3 p a ul ol li dl dt dd div span b strong q \
     code table thead tbody tr th td figure figcaption details summary svg g path rect line text \
     title";
const ATTRIBUTES: &str = "id class href aria-label aria-labelledby aria-hidden role tabindex scope viewBox \
     preserveAspectRatio d x y x1 x2 y1 y2 dx dy width height";

/// Checks that a page is complete and loads nothing from elsewhere.
#[track_caller]
pub(super) fn check_whole(html: &str) {
    assert!(html.starts_with("<!DOCTYPE html>") && html.ends_with("</html>\n"));
    assert!(html.len() < 1_000_000, "{} bytes", html.len());
    let [style] = between(html, "<style>", "</style>")[..] else {
        panic!("there is one style");
    };
    let [policy] = between(html, "Content-Security-Policy\" content=\"", "\"")[..] else {
        panic!("there is one policy");
    };
    let hash = STANDARD.encode(Sha256::digest(style));
    assert_eq!(
        policy,
        format!(
            "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'"
        )
    );
    let body = html.split("</style>").nth(1).unwrap();
    for tag in between(body, "<", ">") {
        let Some(words) = tag.split_once(' ') else {
            let name = tag.trim_start_matches('/');
            assert!(has(ELEMENTS, name), "<{tag}>");
            continue;
        };
        assert!(has(ELEMENTS, words.0), "<{tag}>");
        // Outside of the values there are only names.
        for name in words
            .1
            .split('"')
            .step_by(2)
            .filter(|name| !matches!(*name, "" | "/"))
        {
            let name = name.trim_start().strip_suffix('=');
            assert!(name.is_some_and(|name| has(ATTRIBUTES, name)), "<{tag}>");
        }
    }
    let links = between(html, " href=\"", "\"");
    assert!(links.len() > 5 && links.iter().all(|link| link.starts_with('#')));
    for link in links {
        assert!(html.contains(&format!(" id=\"{}\"", &link[1..])), "{link}");
    }
    // Each referenced name exists, and once.
    for name in between(html, " aria-labelledby=\"", "\"")
        .iter()
        .flat_map(|names| names.split(' '))
    {
        assert_eq!(
            html.matches(&format!(" id=\"{name}\"")).count(),
            1,
            "{name}"
        );
    }
}
