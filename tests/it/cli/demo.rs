//! The demo, which is a newcomer's first minute.

use serde_json::Value;

use super::Place;

#[test]
fn the_demo_survives_a_kill_and_exports() {
    let place = Place::new();
    let demo = place.begin(&["demo"]);
    let done = || {
        let status = place.stride(&["status", "--json", "--db", "stride-demo/stride.db"]);
        if status.code == Some(0) {
            status.json()["done"].as_u64().unwrap()
        } else {
            0
        }
    };
    place.until(|| done() > 50);
    demo.kill();
    let before = done();
    let ran = place.begin(&["demo"]).end().expect(0);
    let ran = ran
        .says("$ stride run --url http://127.0.0.1:")
        .says("$ stride export --all")
        .says("recovered: ");
    assert!(ran.stderr.contains("fails now and then"), "{}", ran.stderr);
    let results: Value = serde_json::from_slice(
        &std::fs::read(place.at("stride-demo/api_call_results.json")).unwrap(),
    )
    .unwrap();
    let results = results.as_object().unwrap();
    assert_eq!(results.len(), 300);
    let scored = results
        .values()
        .filter(|result| result["score"].is_f64() && result["label"].is_string())
        .count();
    let refused = results
        .values()
        .filter(|result| result["error"]["status"] == 422)
        .count();
    assert_eq!(scored + refused, 300);
    assert!((1..=10).contains(&refused), "{refused} were refused");
    assert!(before > 50);
    // Once more: nothing is left to call, and the export is the same.
    place.begin(&["demo"]).end().expect(0);
}
