//! Databases that landed versions of the schema have left, as the program made them.

use std::fs;

use crate::cli::Place;
use crate::support::{FakeApi, Reply};

/// The database of each version has four files: `done` is done, `failed` has failed, `running` was in flight when its
/// process was killed, and `pending` was never called.
#[test]
fn the_database_of_every_landed_version_can_be_resumed() {
    for stored in fs::read_dir("tests/data/databases").unwrap() {
        let stored = stored.unwrap().path();
        let api = FakeApi::start(|_| Reply::json(2));
        let place = Place::new();
        fs::copy(&stored, place.at("stride.db")).unwrap();
        for name in ["done", "failed", "running", "pending"] {
            place.write(name, name);
        }
        place.stride(&["status"]).expect(0);
        place.stride(&["verify"]).expect(0);
        let url = format!("{}/{{name}}", api.url());
        place
            .stride(&[
                "run",
                "--accept-change",
                "--url",
                &url,
                "done",
                "failed",
                "running",
                "pending",
            ])
            .expect(3)
            .says("recovered: 1 call in flight");
        assert_eq!(api.requests(), 2, "{}", stored.display());
        place.stride(&["verify"]).expect(0);
        let rows = place.sql(
            "SELECT path, state, attempts, result, class, error FROM results ORDER BY position",
        );
        let expected = [
            ["done", "done", "1", "1", "", ""],
            [
                "failed",
                "failed",
                "1",
                "",
                "rejected",
                "HTTP 422 Unprocessable Entity",
            ],
            ["running", "done", "2", "2", "", ""],
            ["pending", "done", "1", "2", "", ""],
        ];
        assert_eq!(rows, expected, "{}", stored.display());
    }
}
