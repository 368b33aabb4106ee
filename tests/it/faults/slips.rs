//! Requests that are wrong for every file: stride makes few calls, and shows the service's own words.

use serde_json::json;

use super::{counts, named, place};
use crate::support::{FakeApi, Reply, at_once};

/// The answers of a service to a wrong request, each with its words.
fn slips() -> [(Reply, &'static str); 4] {
    let text = |status| Reply::text("no route to /v2/sentimint").with_status(status);
    let field = Reply::json(r#"{"error":{"message":"unknown field 'texxt'"}}"#);
    let page = Reply::status(200).body("text/html", "<html>Please sign in first</html>");
    [
        (text(404), "no route to /v2/sentimint"),
        (field.clone().with_status(400), "unknown field 'texxt'"),
        (field.with_status(422), "unknown field 'texxt'"),
        (page, "Please sign in first"),
    ]
}

#[test]
fn a_wrong_request_stops_after_few_calls_with_the_words_of_the_service() {
    for threads in ["1", "8", "64"] {
        for (reply, words) in slips() {
            let api = FakeApi::start(move |_| reply.clone());
            let (place, url) = (place(600), named(&api));
            place
                .stride(&["run", "-j", threads, "--url", &url, "texts"])
                .expect(4)
                .says("the calls of the first files all failed for one cause")
                .says(words);
            let calls = api.requests();
            assert!(calls <= 60, "{words}: {calls} calls, {threads} threads");
            counts(&place, &[("pending", 600), ("failed", 0), ("done", 0)]);
            let charged = place.sql("SELECT path FROM work JOIN job ON id = job WHERE charged > 0");
            assert!(charged.is_empty(), "{charged:?}");
            let stopped = place.status()["stopped"].clone();
            assert_eq!(
                (&stopped["reason"], &stopped["action"]),
                (&json!("rejected"), &json!("fix"))
            );
            assert!(
                stopped["words"].as_str().unwrap().contains(words),
                "{stopped}"
            );
        }
    }
}

#[test]
fn a_wrong_request_is_called_no_more_often_by_a_resume() {
    let api = FakeApi::start(|_| Reply::text("no such model").with_status(404));
    let (place, url) = (place(600), named(&api));
    place.stride(&["run", "--url", &url, "texts"]).expect(4);
    for _ in 0..3 {
        let before = api.requests();
        place.stride(&["resume"]).expect(4).says("no such model");
        let calls = api.requests() - before;
        assert!(calls <= 60, "{calls} calls");
    }
    counts(&place, &[("pending", 600), ("failed", 0)]);
}

#[test]
fn files_that_are_rejected_first_fail_by_themselves_if_another_is_accepted() {
    at_once(["1", "8"], |threads| {
        // Samples at the end of the list, or at random, are good.
        let api = FakeApi::start(|request| match request.target.as_str() < "/0040" {
            true => Reply::text("empty text").with_status(422),
            false => Reply::json(1),
        });
        let (place, url) = (place(300), named(&api));
        place
            .stride(&["run", "-j", threads, "--url", &url, "texts"])
            .expect(3);
        counts(&place, &[("done", 260), ("failed", 40), ("attempts", 300)]);
    });
}

#[test]
fn expected_answers_are_results_and_do_not_stop_a_run() {
    let api = FakeApi::start(|_| Reply::json(r#"{"found":false}"#).with_status(404));
    let (place, url) = (place(100), named(&api));
    let words = ["run", "--url", &url, "--expect-status", "2xx,404", "texts"];
    place.stride(&words).expect(0);
    counts(&place, &[("done", 100), ("attempts", 100)]);
}
