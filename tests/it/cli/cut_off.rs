//! Pasted commands and credentials from which a shell has taken a part: refused before a call.

use super::Place;
use crate::support::{FakeApi, Reply};

/// Runs a line of a shell, which finds stride in its PATH, and returns what stride says.
fn shell(place: &Place, line: &str) -> String {
    let mut command = place.command_under(&["sh", "-c", line], &[]);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{line}: {said}");
    said
}

#[test]
fn a_command_that_quotes_have_cut_off_is_refused_with_the_way_out() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    let requests = api.requests();
    place.texts(2);
    place.write("content-type", "a file");
    for command in [
        "'curl -X POST URL -H 'Authorization: Token k' -H 'content-type: audio/wav' --data-binary @{}'",
        "\"curl URL -H \"Authorization: Bearer x\" --data-binary @{}\"",
        "\"curl -H \"X-Api-Key: x\" URL/{name}\"",
        "'curl URL/{name} -H 'X-Api-Key: x''",
        "curl URL/{name}",
    ] {
        let command = command.replace("URL", &api.url());
        for words in [
            "stride run --curl C texts",
            "stride run --dry-run --curl C texts",
        ] {
            let said = shell(&place, &words.replace('C', &command));
            assert!(
                said.contains("error: the shell has cut the command of --curl off at `"),
                "{command}: {said}"
            );
            assert!(
                said.contains(
                    "hint: use --curl @FILE with the command in a file, or --curl - and paste it"
                ),
                "{said}"
            );
        }
    }
    // A word without spaces loses its quotes.
    for command in [
        "stride run --curl 'curl URL -H 'X-A:k' -d '{\"a\":\"{text}\"}'' texts",
        "stride run --url URL -d {\"a\":\"{text}\"} texts",
    ] {
        let said = shell(&place, &command.replace("URL", &api.url()));
        assert!(
            said.contains("error: the data looks like JSON that has lost its double quotes"),
            "{said}"
        );
    }
    assert_eq!(api.requests(), requests, "no call");
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_credential_without_its_key_is_refused() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    let requests = api.requests();
    place.texts(2);
    let refuse = |flag: &str, value: &str, words: &str| {
        let ran = place.stride(&["run", "--url", &api.url(), flag, value, "texts"]);
        ran.expect(2).says(words);
    };
    let empty = "error: the header `Authorization` ends after `Bearer`";
    refuse("-H", "Authorization: Bearer ", empty);
    refuse("--oauth2-bearer", "", empty);
    let example = "ends in an example of a key";
    refuse("-H", "Authorization: Bearer <YOUR_API_KEY>", example);
    refuse("-H", "xi-api-key: YOUR_API_KEY", example);
    refuse("-u", "me:<password>", example);
    assert_eq!(api.requests(), requests, "no call");
    assert_eq!(place.bystander(), bystander);
}
